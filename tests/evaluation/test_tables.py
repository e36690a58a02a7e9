"""Costs, the front of accuracy against cost, the main table, and published numbers."""

import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hide_utils import paths, plots
from hide_utils.baselines import LOOKS
from hide_utils.evaluation.tables import (
    COSTS,
    beside,
    cost_table,
    main_table,
    pareto,
    published,
    readable,
    save_texts,
    styled,
)
from hide_utils.stats import holm, mcnemar_exact, wilson


def rows(n=30):
    rng, table = np.random.default_rng(0), []
    for number, (method, share, flops) in enumerate(
        (("direct", 0.4, 100), ("hide", 0.6, 130), ("tree_search", 0.5, 900))
    ):
        for i in range(n):
            right = bool(rng.random() < share)
            cost = dict.fromkeys(COSTS, 1.0 + number) | {"flops": flops + i % 2, "peak_bytes": None}
            letter = None if i == 0 else "A"
            table.append(
                {"sample_id": f"s{i}", "image_id": f"s{i}", "method": method, "kind": "ab"[i % 2],
                 "correct": None if i == n - 1 else right, "letter": letter,
                 "error": "cut short" if i == n - 1 else None,
                 "recall50": (i % 2) * 1.0 if method == "hide" and i < 28 else None, "area": 0.1} | cost
            )  # fmt: skip
    return pd.DataFrame(table)


def test_cost_is_the_mean_of_what_was_answered():
    table = cost_table(rows()).set_index("method")
    assert table["n"].eq(29).all() and list(table.index) == ["direct", "hide", "tree_search"]
    assert table.loc["hide", "flops"] == pytest.approx(130 + 14 / 29) and table["peak_bytes"].isna().all()
    assert table.loc["tree_search", "times_direct"] == pytest.approx((900 + 14 / 29) / (100 + 14 / 29))
    with pytest.raises(ValueError, match="no rows of the baseline 'direct'"):
        cost_table(rows().query("method == 'hide'"))


def test_main_table_is_over_all_samples_with_holm_over_its_own_methods():
    results = rows()
    table = main_table(results).set_index("method")
    wide = results[results["error"].isna()].pivot(index="sample_id", columns="method", values="correct")
    ps = [mcnemar_exact(wide[method], wide["direct"]).p for method in ("hide", "tree_search")]
    assert table.loc[["hide", "tree_search"], "p"].tolist() == pytest.approx(ps)
    assert table.loc[["hide", "tree_search"], "p_holm"].tolist() == pytest.approx(holm(ps))
    assert table.loc["hide", "low"] == wilson(int(wide["hide"].sum()), 29).low and table["unread"].eq(1).all()
    text = readable(main_table(results))
    assert text.loc[0, "p (Holm)"] == "–" and text.loc[0, "FLOPs"] == "1.00x" and text.loc[1, "method"] == "HiDe"
    assert f"{wide['hide'].mean():.1%}" in text.loc[1, "accuracy (95 % interval)"]
    assert table.loc["hide", "tokens"] == 3 * 2 and text.loc[1, "tokens"] == "6"
    assert text["boxes: recall, kept"].tolist() == ["–", "0.50, 10.0%", "–"]
    assert table[["n", "left_out"]].eq([29, 1]).all(axis=None) and text["n"].eq("29 (1 left out for errors)").all()


def test_main_table_of_the_baseline_alone():
    table = main_table(rows().query("method == 'direct'"))
    assert len(table) == 1 and readable(table).loc[0, "difference to direct"] == "–"


def test_front_by_hand():
    assert pareto([1, 2, 3, 3], [0.5, 0.4, 0.9, 0.8]).tolist() == [True, False, True, False]
    assert pareto([1, 1], [0.5, 0.5]).tolist() == [True, True]  # equal points do not beat each other


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12))
@settings(max_examples=40)
def test_front_always_holds_the_cheapest_and_the_best(points):
    cost, worth = np.array(points, float).T
    front = pareto(cost, worth)
    assert front[np.lexsort((-worth, cost))[0]] and front[np.lexsort((cost, -worth))[0]]
    for i in np.flatnonzero(~front):
        assert any(cost[j] <= cost[i] and worth[j] >= worth[i] and front[j] for j in range(len(cost)))


def test_accuracy_against_cost_shows_every_method():
    table = main_table(rows())
    fig, ax = plots.new_figure()
    plots.accuracy_against_cost(ax, table, pareto(table["times_direct"], table["accuracy"]), looks=LOOKS)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["tree search", "HiDe", "direct"]  # cheapest lowest
    assert [text.get_text() for text in ax.texts][1:3] == ["1.30× · 2", "1.00× · 1"]
    plt.close(fig)


@pytest.mark.parametrize(("name", "ours"), [("vstar", 92.1), ("hrbench4k", 77.5), ("hrbench8k", 75.4)])
def test_published_numbers_are_the_papers(name, ours):
    table = published(name)
    hide = table[(table["method"] == "hide") & (table["backbone"] == "Qwen2.5-VL-7B")]
    assert hide["accuracy"].tolist() == [ours] and hide["source"].tolist() == ["HiDe paper"]
    assert {"ZoomEye", "CVSearch"} & set(table["method"]) and table["accuracy"].between(30, 100).all()
    with pytest.raises(ValueError, match="no published numbers for 'scenes'"):
        published("scenes")


def test_measured_and_published_rows_stay_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "figures_folder", lambda: tmp_path)
    table = beside(main_table(rows()), "vstar", model="mini", benchmark="scenes | 896 px")
    kind = table["origin"].str.split(":").str[0]
    assert kind.tolist() == ["measured here"] * 3 + ["published"] * (len(table) - 3) and len(table) > 8
    assert table["model"][:3].eq("mini").all() and table["p (Holm)"][3:].eq("–").all()
    assert "HiDe" in set(table["method"][3:]) and "92.1%" in set(table["accuracy (95 % interval)"])
    markdown, latex, sidecar = save_texts(table, "both", "05_benchmarks", {"n": 30})
    lines = markdown.read_text().splitlines()
    assert len(lines) == 2 + len(table) + 1 and set(lines[5]) == {"|", " "}  # an empty line between the two
    assert all(line.replace(r"\|", "").count("|") == len(table.columns) + 1 for line in lines)
    assert latex.read_text().splitlines()[3 + 1 + 3] == r"\midrule" and r"\%" in latex.read_text()
    assert latex.read_text().count(r"\midrule") == 2 and latex.read_text().count(r"\\") == len(table) + 1
    assert set(json.loads(sidecar.read_text())["files"]) == {"both.md", "both.tex"}


def test_front_is_drawn_as_steps_through_its_points():
    table = main_table(rows())
    fig, ax = plots.new_figure()
    plots.pareto_front(ax, table, [True, True, False])
    steps, cost = ax.lines[0], table["times_direct"]
    assert steps.get_xdata()[:2].tolist() == pytest.approx(cost[:2].tolist()) and steps.get_xdata()[-1] > cost.max()
    assert steps.get_ydata().tolist() == pytest.approx([*table["accuracy"][:2], table["accuracy"][1]])
    plt.close(fig)


def test_small_p_values_and_large_costs_are_shown_as_what_they_are():
    row = {"method": "hide", "accuracy": 0.8, "gained": 24.0, "p": 4.3e-7, "p_holm": None, "flops": 22778590361.6}
    shown = styled(pd.DataFrame([row, row | {"gained": None}])).to_html()
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", shown)
    assert cells[:6] == ["hide", "0.800", "24", "4.3e-07", "–", "2.28e+10"] and cells[8] == "–"


def test_names_in_brackets_and_prices_are_shown_as_they_are():
    table = pd.DataFrame({"kind": ["<small>", "<big> & bold"], "<i>n</i>": ["$3 or $5", 0.5]})
    shown = styled(table).to_html()
    assert "<small>" not in shown and "&lt;small&gt;" in shown and "&lt;big&gt; &amp; bold" in shown
    assert "<i>" not in shown and "&lt;i&gt;n" in shown
    assert re.search(r'<table[^>]*class="tex2jax_ignore mathjax_ignore"', shown) and ">0.500<" in shown
