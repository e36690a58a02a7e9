"""Gates: by-hand choices, and a table of real answers that puts each outcome and cost in its column."""

import numpy as np
import pandas as pd
import pytest

from hide_utils import HiDe, evaluate, load_benchmark, load_model
from hide_utils.analyses import when_to_look as gating
from hide_utils.evaluation import token_selection
from hide_utils.method.entities import given_entities


def table(direct, hide, margin, maps=None):
    n = len(direct)
    known = {
        "sample_id": [f"s{i}" for i in range(n)],
        "direct": direct,
        "hide": hide,
        "margin": np.array(margin, float),
    }
    flops = {"direct": 10.0, "hide": 20.0, "margin_look": 22.0, "margin_stay": 10.0, "maps_look": 20.0}
    flops |= {"maps_stay": 15.0, "both_look": 22.0, "both_stay": 15.0}
    maps = np.array(margin if maps is None else maps, float)
    return pd.DataFrame(known | {"maps": maps} | {f"flops_{name}": [v] * n for name, v in flops.items()})


UNSURE = table([True, True, False, False], [False, True, True, True], [9, 8, 2, 1])


def test_the_threshold_is_the_most_accurate_and_looks_least():
    gate = gating.choose_gate("margin", UNSURE)
    assert gate.looks(UNSURE).tolist() == [False, False, True, True]
    applied = gating.applied_to(gate, UNSURE)
    assert applied["correct"].tolist() == [True] * 4 and applied["flops"].tolist() == [10, 10, 22, 22]
    same = gating.choose_gate("margin", table([True] * 3, [True] * 3, [1, 2, 3]))
    assert not same.looks(UNSURE).any(), "where looking changes nothing it is not done"
    with pytest.raises(ValueError, match="unknown signal 'mood'"):
        gating.choose_gate("mood", UNSURE)


def test_the_curve_runs_from_never_to_always():
    found = gating.curve(gating.fitted("maps", UNSURE), UNSURE)
    assert found["looked"].tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert found["accuracy"].iloc[[0, -1]].tolist() == [UNSURE["direct"].mean(), UNSURE["hide"].mean()]
    assert found["times_direct"].iloc[[0, -1]].tolist() == [1.5, 2.0]  # maps are paid for in any case


def test_the_signals_pull_the_way_they_should():
    two = table([True] * 4, [True] * 4, [0, 0, 4, 4], [0, 2, 0, 2])
    scores = {s: gating.fitted(s, two).score(two["margin"].to_numpy(), two["maps"].to_numpy()) for s in gating.SIGNALS}
    assert scores["margin"].tolist() == [1, 1, -1, -1] and scores["maps"].tolist() == [-1, 1, -1, 1]
    assert scores["both"].tolist() == [0, 2, -2, 0]


def test_what_a_gate_saves_and_keeps():
    gate = gating.choose_gate("margin", UNSURE)
    row = gating.summary({"margin": gate}, UNSURE).set_index("method")
    assert row.loc["hide", "harmed"] == 1 and row.loc["hide", "helped"] == 2
    assert row.loc["margin", ["saved", "gains", "looked"]].tolist() == [1.0, 1.0, 0.5]
    assert row.loc["direct", ["saved", "gains"]].tolist() == [1.0, 0.0]
    assert row.loc["hide", ["saved", "gains"]].tolist() == [0.0, 1.0]
    assert row.loc["margin", "difference"] == pytest.approx(0.25) and row.loc["margin", "times_direct"] == 1.6


@pytest.fixture(scope="module")
def measured():
    hide = HiDe(load_model("mini", device="cpu", dtype="float32"))
    samples = load_benchmark("scenes", split="calibration", n=4, resolution=256, seed=2)
    answers = evaluate(hide.model, samples, gating.PARTS, hide=hide, progress=False)
    layer, sigma = hide.settings.layer, hide.settings.sigma
    rows = [hide.open(s.image).search(given_entities(s.entities), [layer]) for s in samples]
    values = token_selection.strongest_score(rows, layer, sigma)
    return answers, gating.gate_table(answers, dict(zip((s.id for s in samples), values, strict=True)))


def test_the_table_holds_both_answers_and_what_each_way_costs(measured):
    answers, table = measured
    flops = answers.pivot(index="sample_id", columns="method", values="flops").loc[table["sample_id"]]
    right = answers.pivot(index="sample_id", columns="method", values="correct").loc[table["sample_id"]]
    for method in ("direct", "hide"):
        assert table[method].tolist() == right[method].tolist()
        assert table[f"flops_{method}"].tolist() == flops[method].tolist()
    assert table["flops_margin_stay"].tolist() == flops["direct"].tolist()
    assert table["flops_maps_look"].tolist() == flops["hide"].tolist()
    shared = table["flops_direct"] + table["flops_hide"] - table["flops_both_look"]  # the prefill is paid for once
    assert shared.tolist() == flops["cost: prefill"].tolist()
    assert (flops["direct"].to_numpy() < table["flops_maps_stay"]).all()


@pytest.mark.parametrize("signal", gating.SIGNALS)
def test_a_gate_looks_where_its_score_is_high(measured, signal):
    _, table = measured
    gate = gating.fitted(signal, table)
    scores = np.sort(gate.score(table["margin"].to_numpy(), table["maps"].to_numpy()))
    gate = gating.Gate(signal, float(scores[1:3].mean()), gate.centre, gate.spread)  # looks at half of them
    applied = gating.applied_to(gate, table)
    assert applied["looked"].sum() == 2
    assert applied["correct"].tolist() == np.where(applied["looked"], table["hide"], table["direct"]).tolist()
