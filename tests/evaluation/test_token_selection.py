"""Concentrated tokens: measures on maps whose answer is known, the rule's choice, and the method that uses it."""

import numpy as np
import pandas as pd
import pytest

from hide_utils import HiDe, evaluate, load_benchmark, load_model
from hide_utils.baselines import METHODS
from hide_utils.evaluation import token_selection
from hide_utils.evaluation.localisation import box_quality
from hide_utils.evaluation.token_selection import (
    RULES,
    Rule,
    choose_rules,
    entropy_score,
    peak_score,
    token_scores,
)
from hide_utils.method.entities import given_entities
from hide_utils.method.session import SearchAttention

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


@pytest.mark.parametrize("measure", token_selection.LEAST)
def test_a_spot_is_more_concentrated_than_what_looks_everywhere(measure):
    scores = token_scores(found(spot(2, 2), flat()[::-1]), 0, 0.0)[measure]
    assert scores[0] > scores[1]


def test_a_rule_keeps_what_is_above_it_and_always_the_best():
    scores = {"entropy": np.array([0.1, 0.4, 0.2])}
    assert Rule("entropy", 0.2, 0.5).kept(scores).tolist() == [False, True, True]
    assert Rule("entropy", 9.0, 0.5).kept(scores).tolist() == [False, True, False]
    assert Rule(None, 9.0, 0.5).kept(scores).all()
    assert str(Rule(None, 0, 0.5)) == "all tokens, α 0.5" and "entropy ≥ 0.2" in str(Rule("entropy", 0.2, 0.5))


def test_the_choice_drops_tokens_that_keep_background(monkeypatch):
    """Reading all tokens finds as much as reading the best, and keeps more of the picture."""
    every, best = Rule(None, 0.0, 0.5), Rule("peak", 0.5, 0.5)
    monkeypatch.setattr(token_selection, "RULES", (Rule(None, 0.0, 0.9), every, Rule("entropy", 0.1, 0.5), best))
    measured = pd.DataFrame({"recall50": [[0.5, 1.0, 0.5, 1.0]] * 2, "area": [[0.1, 0.4, 0.1, 0.2]] * 2})
    assert choose_rules(measured) == {"all tokens": every, "tokens that point": best}


def test_every_rule_is_judged_by_the_boxes_of_the_question():
    hide = HiDe(load_model("mini", device="cpu", dtype="float32"))
    (sample,) = load_benchmark("scenes", split="calibration", n=1, resolution=256, seed=0)
    session = hide.open(sample.image)
    measured = token_selection.rule_quality(hide, session, sample)
    assert {len(values) for values in measured.values()} == {len(RULES)}
    rule = RULES[-3]
    located = token_selection.locate_selected(
        hide, session, sample.question, token_selection.question_itself(hide, session, sample), rule
    )
    quality = box_quality(located.regions, sample.boxes_xyxy, session.image.size)
    assert {name: values[-3] for name, values in measured.items()} == pytest.approx(quality, abs=1e-5)


def test_reading_all_tokens_is_hide_and_the_question_needs_no_extraction():
    hide = HiDe(load_model("mini", device="cpu", dtype="float32"))
    samples = load_benchmark("scenes", split="calibration", n=2, resolution=256, seed=0)
    everything = Rule(None, -np.inf, hide.settings.alpha)

    def listed(hide, session, sample):
        return hide.locate(session, sample.question).entities

    methods = {
        "hide": METHODS["hide"],
        "all": token_selection.reading(
            everything, lambda hide, session, sample: hide.locate(session, sample.question).entities, ("extract",)
        ),
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
