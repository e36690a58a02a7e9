"""When to look: cards and shares of gates on hand-made tables, and what is stored of real answers."""

import numpy as np
import pandas as pd
import pytest

from hide_utils import HiDe, evaluate, load_benchmark, load_model
from hide_utils.analyses import when_to_look as gating
from hide_utils.evaluation import gates


def cases(direct, hide, margin, entropy=None):
    """A `case_table` in which the direct answer costs 10, HiDe 20, and both on one prefill 22."""
    n = len(direct)
    known = {"sample_id": [f"s{i}" for i in range(n)], "image_id": [f"p{i}" for i in range(n)]}
    known |= {"kind": ["color", "place"] * (n // 2), "direct": direct, "hide": hide, "margin": np.array(margin, float)}
    known["entropy"] = -known["margin"] if entropy is None else np.array(entropy, float)
    return pd.DataFrame(known).assign(flops_direct=10.0, flops_hide=20.0, flops_look=22.0)


UNSURE = cases([True, True, False, False], [False, True, True, True], [9, 8, 2, 1])


def test_the_threshold_looks_least_among_those_that_are_accurate_enough():
    gate = gates.choose("margin", UNSURE, 0.0)
    assert gate.looks(UNSURE).tolist() == [False, False, True, True]
    found = gates.applied(gate, UNSURE)
    assert found["correct"].tolist() == [True] * 4 and found["flops"].tolist() == [10, 10, 22, 22]
    assert gates.choose("margin", UNSURE, 0.25).looks(UNSURE).tolist() == [False, False, False, True]
    same = gates.choose("entropy", cases([True] * 4, [True] * 4, [1, 2, 3, 4]), 0.0)
    assert not same.looks(UNSURE).any(), "where looking changes nothing it is not done"


def test_the_curve_runs_from_never_to_always_and_pays_for_both_answers():
    found = gates.curve("margin", UNSURE)
    assert found["looked"].tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert found["accuracy"].tolist() == [0.5, 0.75, 1.0, 1.0, 0.75]
    assert found["times_direct"].iloc[[0, -1]].tolist() == [1.0, 2.2]


def test_the_signals_pull_the_way_they_should():
    two = cases([True] * 2, [True] * 2, [3, 1], [0.1, 0.9])
    assert gates.doubt("margin", two).argmax() == gates.doubt("entropy", two).argmax() == 1


def test_a_random_share_costs_what_the_gate_does():
    gate = gates.choose("margin", UNSURE, 0.0)  # costs 16 on average, for which 60 % can be looked at without a gate
    assert gates.random_share(gate, UNSURE).tolist() == pytest.approx([0.4, 1.0, 0.6, 0.6])
    always = gates.Gate("margin", -100.0)  # costs more than looking at all, which is then what it is compared with
    assert gates.random_share(always, UNSURE).tolist() == UNSURE["hide"].tolist()


def test_cards_compare_the_ways_that_they_name():
    found = {"margin gate": gates.choose("margin", UNSURE, 0.0), "entropy gate": gates.Gate("entropy", 100.0)}
    found |= gating.halves(UNSURE) | {"conformal gate": gates.Gate("margin", -5.0)}
    assert found["margin half"].looks(UNSURE).tolist() == [False, False, True, True]
    claims = list(gating.CLAIMS[gating.DEFAULT])
    cards = {card.claim: card for card in gating.cards_of(claims, found, {gating.DEFAULT: UNSURE})}
    assert list(cards) == claims and {card.unit for card in cards.values()} == {"points"}
    estimates = {name: card.estimate for name, card in cards.items()}
    assert estimates["margin gate against always"] == pytest.approx(25)
    assert estimates["margin gate against direct"] == pytest.approx(50)
    assert estimates["entropy against margin"] == pytest.approx(-50)  # that of entropy never looks
    assert estimates["margin gate against a random share"] == pytest.approx(35)
    assert (cards["losses avoided"].n, estimates["losses avoided"]) == (2, pytest.approx(50))
    assert (cards["gains kept"].n, estimates["gains kept"]) == (2, pytest.approx(0))
    easy = gating.CLAIMS[gating.EASY]
    assert easy and gating.cards_of([*easy], found, {gating.DEFAULT: UNSURE}, gating.EASY) == []
    fig = gating.by_kind(cards["entropy against margin"], found, {gating.DEFAULT: UNSURE})
    assert [label.get_text().strip() for label in fig.axes[0].get_yticklabels()] == [
        *("entropy against margin", "color", "place")
    ]


def test_the_promise_is_held_against_answers_that_looking_mends():
    mended, spoilt = [False] * 20 + [True] * 4, [True] * 24
    calibration = cases(mended, spoilt, range(24))  # margins 0 to 19 of answers that looking mends
    gate = gating.promised_gate(calibration, 0.25)
    assert gate["conformal gate"].least == -15.0, "(4 + 1) / (20 + 1) <= 0.25 < (5 + 1) / (20 + 1): 16 to 19 are left"
    test = cases([False] * 6 + [True] * 2, [True] * 5 + [False] * 3, [1, 2, 30, 40, 3, 50, 60, 70])
    (card,) = gating.promise_card(gate, test, 0.25)
    assert card.n == 5 and card.estimate == pytest.approx(100 * (2 / 5 - 0.25)) and card.expected == "no gain"
    kept = gating.promises(calibration, test, [0.01, 0.25]).set_index("level")
    assert kept["estimate"].tolist() == [0.0, 0.4] and kept["looked"].tolist() == [1.0, 3 / 8]
    assert kept["margin"].tolist() == [np.inf, 15.0] and kept["n"].tolist() == [5, 5]
    assert kept.loc[0.25, "accuracy"] == (3 + 2) / 8, "three mended, two right as they were"
    nothing = cases([True] * 4, [True] * 4, [1, 2, 3, 4])
    assert gating.promise_card(gate, nothing, 0.25) == []
    for table in (test, nothing):
        fig = gating.promise_figure(gating.promises(calibration, table), 0.25)
        assert [ax.get_ylabel() for ax in fig.axes] == ["share left alone", "share looked at"]


def test_what_a_gate_saves_keeps_and_avoids():
    found = {"margin gate": gates.choose("margin", UNSURE, 0.0)}
    table = gating.summary(found, {"default": UNSURE}).set_index("method")
    assert table.loc["margin gate", ["accuracy", "looked", "times_direct"]].tolist() == [1.0, 0.5, 1.6]
    assert table.loc["hide", ["accuracy", "looked", "times_direct"]].tolist() == [0.75, 1.0, 2.0]
    shares = gating.kept_shares(found, {"default": UNSURE}).set_index("what")
    assert shares["estimate"].to_dict() == {"stayed": 0.5, "gains": 1.0, "saved": 1.0}
    assert shares["n"].to_dict() == {"stayed": 4, "gains": 2, "saved": 1}
    counts = gates.outcome_counts(UNSURE, "margin", 2)
    assert list(counts) == list(gating.OUTCOMES) == gates.OUTCOMES
    assert counts["spoilt"].tolist() == [1, 0] and counts["gained"].tolist() == [0, 2]
    never = {"margin gate": gates.Gate("margin", 100.0)}  # nothing is gained or spoilt where HiDe is right as often
    for fig in (
        gating.kept_figure(found, {"default": UNSURE}),
        gating.kept_figure(never, {"default": cases([True] * 4, [True] * 4, [1, 2, 3, 4])}),
        gating.cost_figure(found, {"default": UNSURE}, gating.summary(found, {"default": UNSURE})),
        gating.outcome_figure(UNSURE),
    ):
        assert fig.axes[0].get_title()


def test_the_table_holds_both_answers_and_what_each_way_costs():
    hide = HiDe(load_model("mini", device="cpu", dtype="float32"))
    samples = load_benchmark("scenes", split="calibration", n=4, resolution=256, seed=2)
    answers = evaluate(hide.model, samples, ["direct", "hide"], hide=hide, progress=False)
    measured = [gates.sureness(hide, hide.open(s.image), s) for s in samples]
    names = {"sample_id": [s.id for s in samples], "image_id": [s.image_id for s in samples], "kind": "any"}
    table = gates.case_table(answers, pd.DataFrame(measured).assign(**names)).set_index("sample_id")
    of = answers.pivot(index="sample_id", columns="method").loc[table.index]
    for method in ("direct", "hide"):
        assert table[method].tolist() == of["correct"][method].tolist()
        assert table[f"flops_{method}"].tolist() == of["flops"][method].tolist()
    assert table["margin"].tolist() == pytest.approx(of["margin"]["direct"].tolist(), abs=1e-4)
    options = np.array([len(s.options) for s in samples])
    assert ((table["entropy"] >= 0) & (table["entropy"] <= np.log2(options) + 1e-6)).all()
    shared = table["flops_direct"] + table["flops_hide"] - table["flops_look"]  # the prefill is paid for once
    assert (shared == table["flops_prefill"]).all() and (shared > 0).all() and (shared < table["flops_direct"]).all()
