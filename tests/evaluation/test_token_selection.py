"""Concentrated tokens: measures on maps whose answer is known, the rule's choice, and the method that uses it."""

import numpy as np
import pytest

from hide_utils import HiDe, evaluate, load_benchmark, load_model
from hide_utils.baselines import METHODS
from hide_utils.evaluation import token_selection
from hide_utils.evaluation.token_selection import (
    TOKEN_SCORES,
    Rule,
    choose_rule,
    entropy_score,
    peak_score,
    sweep_rules,
    token_scores,
    token_table,
)
from hide_utils.method.entities import given_entities
from hide_utils.method.session import SearchAttention
from hide_utils.samples import Sample

SIDE = 8


def spot(y, x, height=1.0):
    rows = np.full((SIDE, SIDE), 0.01, np.float32)
    rows[y, x] += height
    return rows


def flat():
    return np.random.default_rng(0).uniform(0.9, 1.1, (SIDE, SIDE)).astype(np.float32) / SIDE**2


def found(*semantic, tokens=("star", "with")):
    noise = np.stack([flat() + 1e-4 * i for i in range(3)])
    return SearchAttention((0,), tokens, noise[None], np.stack(semantic)[None])


def test_measures_of_known_maps():
    one_cell = np.zeros((2, SIDE, SIDE), np.float32)
    one_cell[:, 3, 4] = 2.0
    assert entropy_score(one_cell) == pytest.approx(1.0) and peak_score(one_cell) == pytest.approx(np.log(SIDE**2))
    even = np.full((1, SIDE, SIDE), 0.3, np.float32)
    assert entropy_score(even) == pytest.approx(0.0, abs=1e-6) and peak_score(even) == pytest.approx(0.0, abs=1e-6)
    assert entropy_score(np.zeros((1, SIDE, SIDE), np.float32)).tolist() == [0.0]  # nothing was left of the token


@pytest.mark.parametrize("measure", TOKEN_SCORES)
def test_a_spot_is_more_concentrated_than_what_looks_everywhere(measure):
    scores = token_scores(found(spot(2, 2), flat()[::-1]), 0, 0.0)[measure]
    assert scores[0] > scores[1]


def test_a_rule_keeps_what_is_above_it_and_always_the_best():
    scores = {"entropy": np.array([0.1, 0.4, 0.2])}
    assert Rule("entropy", 0.2, 0.5).kept(scores).tolist() == [False, True, True]
    assert Rule("entropy", 9.0, 0.5).kept(scores).tolist() == [False, True, False]
    assert Rule(None, 9.0, 0.5).kept(scores).all()
    assert str(Rule(None, 0, 0.5)) == "all tokens, α 0.5" and "entropy ≥ 0.2" in str(Rule("entropy", 0.2, 0.5))


def test_the_choice_drops_the_token_that_points_elsewhere():
    """The first token is on the object; the second, diffuse one has its peak on background."""
    size = (SIDE * 10, SIDE * 10)
    cases = []
    for i in range(6):
        diffuse = flat()
        diffuse[7, i] += 0.02
        cases.append(found(spot(2, i), diffuse))
    samples = [
        Sample(f"s{i}", "?", ["a", "b"], "A", "k", lambda: None, [(10 * i, 20, 10 * i + 10, 30)]) for i in range(6)
    ]
    table = sweep_rules(cases, samples, [size] * 6, 0, 0.0)
    rule = choose_rule(table)
    assert rule.measure in TOKEN_SCORES
    kept = [rule.kept(token_scores(one, 0, 0.0)).tolist() for one in cases]
    assert kept == [[True, False]] * 6
    by = table.set_index(["measure", "share", "alpha"])["iou"]
    assert by.max() == pytest.approx(1.0) and table[table["measure"].isna()]["iou"].max() < 1
    words = token_table(cases, 0, 0.0, rule).set_index("token")
    assert words["kept"].to_dict() == {"star": 1.0, "with": 0.0} and words["n"].tolist() == [6, 6]


def test_reading_all_tokens_is_hide_and_the_question_needs_no_extraction():
    hide = HiDe(load_model("mini", device="cpu", dtype="float32"))
    samples = load_benchmark("scenes", split="calibration", n=2, resolution=256, seed=0)
    everything = Rule(None, -np.inf, hide.settings.alpha)
    methods = {
        "hide": METHODS["hide"],
        "all": token_selection.reading(everything, token_selection.listed_by_model, ("extract",)),
        "question": token_selection.reading(Rule("entropy", 0.05, 0.7), token_selection.question_itself),
    }
    table = evaluate(hide.model, samples, methods, hide=hide, progress=False).set_index(["sample_id", "method"])
    for s in samples:
        ours, all_tokens, question = (table.loc[(s.id, name)] for name in methods)
        assert list(all_tokens["regions"]) == list(ours["regions"]) and all_tokens["flops"] == ours["flops"]
        assert question["decoded"] < ours["decoded"] and question["entities"] == s.question
        session = hide.open(s.image)
        located = token_selection.locate_selected(
            hide, session, s.question, given_entities(s.entities), Rule("peak", 9.0, 0.5)
        )
        assert len(located.tokens) == len(located.maps) == 1  # only the best is above
