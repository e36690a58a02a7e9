"""Finding cards: the rule of the verdict, Holm over all cards, the n that would decide, and how they look."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact

from hide_utils import findings
from hide_utils.findings import Finding, as_latex, as_table, corrected
from hide_utils.findings.card import COLUMNS


def finding(estimate, low, high, p=0.001, **more):
    given = {"claim": "c", "statement": "It helps.", "unit": "points", "n": 400, "test": "exact McNemar"}
    return Finding(estimate=estimate, low=low, high=high, p=p, **(given | {"paper": "it does"} | more))


def decided(*given, **more):
    (one,) = corrected([finding(*given, **more)])
    return one


@pytest.mark.parametrize(
    ("given", "expected", "verdict"),
    [
        ((8, 4, 12, 0.001), 1, "as in the paper"),
        ((8, 4, 12, 0.20), 1, "undecided"),  # the test alone does not show it
        ((2, 0.5, 3.5, 0.01), 1, "as in the paper"),  # small, but shown
        ((1, -2, 4, 0.5), 1, "not as in the paper"),  # no room for five points
        ((3, -2, 8, 0.2), 1, "undecided"),
        ((-8, -12, -4, 0.001), 1, "not as in the paper"),
        ((-8, -12, -4, 0.001), -1, "as in the paper"),
        ((-1, -4, 2, 0.5), -1, "not as in the paper"),
        ((1, -3, 4, 0.5), 0, "as in the paper"),
        ((1, -3, 6, 0.5), 0, "undecided"),
        ((8, 4, 12, 0.001), 0, "not as in the paper"),
        ((2, 0.5, 3.5, 0.01), 0, "as in the paper"),  # shown, and too small to matter
        ((-8, -12, -4, 0.001), "no gain", "as in the paper"),
        ((8, 4, 12, 0.001), "no gain", "not as in the paper"),
        ((3, -2, 8, 0.2), "no gain", "undecided"),
        ((8, 4, 12, 0.001), "no harm", "as in the paper"),
        ((-8, -12, -4, 0.001), "no harm", "not as in the paper"),
        ((-3, -8, 2, 0.2), "no harm", "undecided"),
    ],
)
def test_the_rule(given, expected, verdict):
    assert decided(*given, expected=expected).verdict == verdict


def test_a_verdict_says_what_the_model_was_taught_and_where_the_paper_is_silent():
    shown, refuted, open_ = (8, 4, 12, 0.001), (0, -3, 3, 1.0), (3, -2, 8, 0.2)
    taught = {"taught": "it was shown close-ups"}
    assert decided(*shown, **taught).verdict == "holds here, as taught"
    assert decided(*refuted, **taught).verdict == "does not hold here"
    assert decided(*open_, **taught).verdict == "undecided"
    silent = decided(*shown, paper="")
    assert silent.verdict == "no claim in the paper" and silent.decision.endswith("holds here")
    assert decided(*shown, refuted=True).verdict == "not as in the paper"


def test_a_finding_has_no_verdict_before_the_correction():
    one = finding(8, 4, 12)
    with pytest.raises(ValueError, match="corrected"):
        one.verdict  # noqa: B018
    assert "at the end" in one.decision and "at the end" in one._repr_html_()


def test_holm_goes_over_all_cards():
    cards = [finding(8, 4, 12, p, claim=str(p)) for p in (0.02, 0.03, 0.04)]
    assert [round(one.p_corrected, 3) for one in corrected(cards)] == [0.06, 0.06, 0.06]
    assert {one.verdict for one in corrected(cards)} == {"undecided"}
    with pytest.raises(ValueError, match="twice"):
        corrected([cards[0], cards[0]])


def test_the_n_that_would_decide_has_the_power_it_says():
    """At that n a true difference of the margin is found in four of five draws."""
    card = decided(3, -2, 8, 0.2)
    error = 10 / (2 * 1.96) * math.sqrt(card.n / card.n_to_decide)
    draws = np.random.default_rng(0).normal(card.margin, error, 20_000)
    assert (draws - 1.96 * error > 0).mean() == pytest.approx(0.8, abs=0.01)
    assert decided(8, 4, 12).n_to_decide is None
    assert card.n_to_decide > card.n and f"n = {card.n_to_decide} would decide" in card.decision
    enough = decided(-3, -5.5, -0.5, 0.2, expected="no harm")
    assert enough.n_to_decide < enough.n and "decides four cases of five" in enough.decision


@pytest.mark.parametrize("change", [{"unit": "apples"}, {"low": 9.0}])
def test_numbers_that_cannot_be_are_refused(change):
    given = dataclasses.asdict(finding(8, 4, 12)) | change
    with pytest.raises(ValueError, match="finding 'c'"):
        Finding(**given)


def test_cards_are_shown_as_html_markdown_latex_and_rows():
    card = decided(8, 4, 12, statement="A < B & 5 % more.", source="table 2")
    assert "A &lt; B &amp; 5 % more." in card._repr_html_() and "table 2" in card._repr_html_()
    assert card.markdown().startswith("- **A < B & 5 % more.** *as in the paper*") and "+8.0 points" in card.markdown()
    assert r"A < B \& 5 \% more." in as_latex([card]) or r"\& 5 \%" in as_latex([card])
    table = as_table([card, decided(3, -2, 8, 0.2)])
    assert list(table) == list(COLUMNS) and table["n_to_decide"].isna().tolist() == [True, False]
    assert table["verdict"].tolist() == ["as in the paper", "undecided"]


def answers():
    rng = np.random.default_rng(0)
    right = {"direct": rng.random(200) < 0.5, "hide": rng.random(200) < 0.8}
    rows = [(f"s{i}", f"s{i}", name, bool(value)) for name, values in right.items() for i, value in enumerate(values)]
    return pd.DataFrame(rows, columns=["sample_id", "image_id", "method", "correct"]).astype({"correct": "boolean"})


def test_findings_are_made_of_answers_and_of_measures():
    table = answers()
    one = findings.of_answers(table, "hide", "direct", claim="hide", statement="HiDe helps.", paper="it does")
    right = table.pivot(index="sample_id", columns="method", values="correct")
    assert one.estimate == pytest.approx(100 * (right["hide"].mean() - right["direct"].mean())) and one.n == 200
    assert one.low < one.estimate < one.high and one.p < 0.001
    measured = table.assign(recall=table["correct"].astype(float), variant=table["method"])
    other = findings.of_measure(
        measured, "recall", "hide", "direct", "recall", claim="recall", statement="HiDe looks better."
    )
    assert other.estimate == pytest.approx(one.estimate / 100) and other.unit == "recall"
    assert [card.verdict for card in corrected([one, other])] == ["as in the paper", "no claim in the paper"]


def test_times_are_judged_in_plain_answers():
    assert decided(0.02, -0.03, 0.07, 0.5, unit="× plain", expected=0).verdict == "as in the paper"
    assert decided(0.02, -0.13, 0.17, 0.5, unit="× plain", expected=0).verdict == "undecided"
    assert "+0.350 × plain" in finding(0.35, 0.2, 0.5, unit="× plain").evidence


def test_paired_differences_make_a_finding():
    """The questions of one picture are averaged: n counts pictures."""
    one = findings.of_differences(
        [0.1, 0.3, 0.2, 0.2], list("aabc"), "AUC", claim="c", statement="It looks better.", paper=""
    )
    assert (one.estimate, one.n) == (pytest.approx(0.2), 3) and one.low <= one.estimate <= one.high


def test_two_groups_of_samples_make_a_finding():
    """The shares count, not how many there are: 20 of 80 against 1 of 20."""
    words = {"claim": "c", "statement": "It fails more often.", "paper": ""}
    one = findings.of_groups([True] * 20 + [False] * 60, [True] + [False] * 19, **words)
    assert (one.estimate, one.n, one.unit) == (pytest.approx(20), 100, "points") and one.low < 20 < one.high
    assert one.p == pytest.approx(fisher_exact([[20, 60], [1, 19]]).pvalue) and "two groups" in one.evidence
