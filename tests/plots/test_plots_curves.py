"""Curves, and points over a number, show the values of their tables with their intervals."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from hide_utils import plots
from hide_utils.analyses import robustness
from hide_utils.analyses import when_to_look as gating
from hide_utils.analyses.cost import PROCEDURES, STEPS
from hide_utils.baselines import LOOKS


@pytest.fixture
def ax():
    fig, ax = plt.subplots()
    yield ax
    plt.close(fig)


def points(ax):
    return [bar[0].get_xdata().tolist() for bar in ax.containers]


def test_error_curves_and_own_errors(ax):
    table = pd.DataFrame(
        [("absent", r, "accuracy", 0.9 - r / 2, 0.8 - r / 2, 1 - r / 2) for r in (1.0, 0.0)],
        columns=["corruption", "rate", "measure", "estimate", "low", "high"],
    )
    plots.error_curves(ax, table)
    line = ax.containers[0][0]
    assert line.get_xdata().tolist() == [0, 1] and line.get_ydata().tolist() == pytest.approx([0.9, 0.4])
    own = {"extractor": ["rules"], "rate": [0.3], "rate_low": [0.1], "rate_high": [0.5]}
    plots.points_at_rates(ax, pd.DataFrame(own | {"estimate": [0.7], "low": [0.6], "high": [0.8]}), "extractor")
    assert points(ax)[1:] == [[0.3]]
    plots.error_curves(ax, table[:0])  # nothing measured: nothing drawn
    assert len(ax.containers) == 2


def test_tokens_with_the_threshold(ax):
    table = pd.DataFrame({"token": ["star", "with"], "n": [4, 9], "score": [0.1, -0.1], "kept": [1.0, 0.0]})
    plots.token_bars(ax, table, 0.05)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["star (4)", "with (9)"]
    assert any(np.allclose(line.get_xdata(), 0.05) for line in ax.lines)


def test_gates_and_their_curves(ax):
    flops = {
        f"flops_{name}": [2.0] * 3 for name in ("hide", *(f"{s}_{w}" for s in gating.SIGNALS for w in ("look", "stay")))
    }
    outcomes = {"direct": [True, True, False], "hide": [False, True, True], "margin": [3.0, 2.0, 1.0]}
    cases = pd.DataFrame(
        {"sample_id": list("abc"), "maps": [1.0, 3.0, 2.0], "flops_direct": [1.0] * 3} | outcomes | flops
    )
    gates = {"margin": gating.choose_gate("margin", cases)}
    curves = {name: gating.curve(gate, cases) for name, gate in gates.items()}
    plots.cost_curves(ax, curves, gating.summary(gates, cases), looks=gating.SIGNAL_LOOKS)
    assert len(ax.lines) > len(curves) and set(ax.get_legend_handles_labels()[1]) == {"direct", "HiDe", "gate: margin"}


def test_curves_have_a_band_each(ax):
    table = pd.DataFrame({"kind": ["wrong", "wrong", "extra"], "rate": [1.0, 0.0, 0.0], "accuracy": [0.5, 0.6, 0.5]})
    table = table.assign(low=0.4, high=0.7)
    looks = robustness.CORRUPTION_LOOKS
    plots.bands(ax, table, "rate", "kind", looks=looks, values=plots.ACCURACY, markers=plots.MARKERS)
    assert ax.get_legend_handles_labels()[1] == ["wrong", "extra"] and len(ax.collections) == 2
    assert ax.lines[0].get_color() == looks["wrong"].color
    assert ax.lines[0].get_xdata().tolist() == [0.0, 1.0], "joined in order"
    assert [line.get_marker() for line in ax.lines] == ["o", "s"]


def test_setting_in_use_beside_a_published_one(ax):
    plots.setting(ax, 0.5, "the model's own: σ 0.5")
    plots.setting(ax, 3.0, "σ 3 (Qwen2.5-VL-7B)", published=True)
    assert ax.get_legend_handles_labels()[1] == ["the model's own: σ 0.5", "published: σ 3 (Qwen2.5-VL-7B)"]


def test_accuracy_over_a_number_returns_what_it_draws(ax):
    rows = [(m, x, i < 2 + x, 4) for m in ("direct", "hide") for x in (2, 1) for i in range(4)]
    results = pd.DataFrame(rows, columns=["method", "side", "correct", "n_options"])
    table = plots.accuracy_curve(ax, results, "side", xlabel="side", looks=LOOKS)
    assert table["side"].tolist() == [1, 1, 2, 2] and table["accuracy"].tolist() == [0.75, 0.75, 1, 1]
    assert list(table.columns) == ["side", "method", "n", "accuracy", "low", "high"]
    assert ax.get_legend_handles_labels()[1] == ["direct", "HiDe", "chance"]
    assert ax.lines[-1].get_ydata()[0] == 0.25


def test_costs_over_sides_and_weights(ax):
    table = pd.DataFrame({"side": [448, 896], "plain": [1.0, 4.0], "hide": [1.2, 4.4]})
    plots.over_sides(ax, table, ["plain", "hide"], looks=PROCEDURES)
    assert ax.get_legend_handles_labels()[1] == ["plain answer", "HiDe"] and ax.get_yscale() == "log"
    _, axes = plt.subplots(1, 2)
    grown = pd.DataFrame({"weights": [2e6, 1e6], "procedure": "plain", "seconds": [2.0, 1.0], "peak_bytes": [4e6, 3e6]})
    plots.over_weights(axes, grown, ["plain"], looks=PROCEDURES)
    assert axes[1].lines[0].get_xdata().tolist() == [1, 2] and axes[1].lines[0].get_ydata().tolist() == [3, 4]


def test_bars_are_stacked_of_their_parts_with_the_sum_behind(ax):
    table = pd.DataFrame({"extract": [1.0, None], "answer": [2.0, 4.0]}, index=["plain", "hide"])
    sums = pd.DataFrame({"min": [2.5, 3.0], "max": [3.5, 4.5]}, index=["plain", "hide"])
    plots.stacked_bars(ax, table, STEPS, "{:.1f} s", sums, looks=PROCEDURES)
    assert [text.get_text().strip() for text in ax.texts] == ["3.0 s", "4.0 s"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["plain answer", "HiDe"]
    assert [bar.get_label() for bar in ax.containers if bar.get_label() in ("entities", "answer")] == [
        "entities",
        "answer",
    ]


def test_floors_are_marked_on_their_bars():
    fig, ax = plots.new_figure()
    table = pd.DataFrame({"answer": [2.0, 3.0]}, index=["one", "other"])
    plots.stacked_bars(ax, table, STEPS, "{:.1f} s", pd.DataFrame({"min": [2, 3], "max": [2, 3]}, index=table.index))
    plots.floor_marks(ax, pd.Series({"other": 1.5}), "floor")
    ((low, high),) = ax.collections[-1].get_segments()
    assert low[0] == high[0] == 1.5 and (low[1] + high[1]) / 2 == 1
    plots.shared_legend(fig, [ax])
    assert "floor" in [text.get_text() for text in fig.legends[0].get_texts()]
