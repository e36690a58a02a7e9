"""Notebook 07: which samples a card stands on, and what its lists and figures are made of."""

import numpy as np
import pytest

from hide_utils import HiDe, load_benchmark, load_model
from hide_utils.analyses import extraction
from hide_utils.analyses.extraction import ANSWERS, CLAIMS, ExtractionConfig
from hide_utils.evaluation.entity_lists import load_questions
from hide_utils.evaluation.token_selection import Rule


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two scenes and their answers by every method, kept in a folder of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HIDE_RESULTS", str(tmp_path_factory.mktemp("results")))
        hide = HiDe(load_model("mini", device="cpu", dtype="float32"))
        samples = load_benchmark("scenes", split="test", n=2, seed=0, resolution=256)
        rules = {"all tokens": Rule(None, 0.0, 0.5), "tokens that point": Rule("peak", 0.5, 0.5)}
        answers = extraction.answer_all(hide, samples, rules, ExtractionConfig(n=2), resolution=256)
    return hide, samples, answers


def test_every_claim_has_a_card_on_the_samples_that_it_is_about(made):
    _, samples, answers = made
    spoilt = extraction.at_rates(answers, samples, [0.5])
    assert sorted(set(spoilt["rate"])) == [0, 0.5, 1] and (spoilt.groupby("method").size() == len(samples)).all()
    cards = {card.claim: card for card in extraction.cards_of(extraction.with_rates(answers, spoilt), ANSWERS)}
    assert set(cards) == set(ANSWERS)
    of_two = sum(len(sample.entities) == 2 for sample in samples)
    assert 0 < of_two < len(samples)
    for claim, card in cards.items():
        assert card.n == (of_two if "of two" in claim else len(samples)), claim
    assert not extraction.cards_of(answers[answers["method"] == "hide"], ["rules"])


def test_boxes_that_are_not_found_have_no_recall(made):
    _, _, answers = made
    answers = answers.copy()
    of_hide = answers["method"] == "hide"
    answers.loc[of_hide, "recall50"] = np.nan
    answers.loc[~of_hide, "recall50"] = 1.0
    (card,) = extraction.recall_cards(answers, ["own entities"])
    assert (card.estimate, card.unit, card.claim) == (-1.0, "recall", "own entities: recall")


def test_lists_are_those_that_were_searched_for(made, monkeypatch):
    """Of the hand-written questions a few are listed: each takes the model its time."""
    hide, samples, answers = made
    few = load_questions()[:6]
    monkeypatch.setattr(extraction.entity_lists, "load_questions", lambda: few)
    answers = answers.copy()
    first = (answers["method"] == "hide") & (answers["sample_id"] == samples[0].id)
    answers.loc[first, "entities"] = samples[0].question  # what is searched for where the reply cannot be read
    listed = extraction.listed(hide, samples, answers)
    of = listed[(listed["extractor"] == "model's prompt") & (listed["match"] == "canonical")]
    counts = of.groupby("questions")["id"].nunique()
    assert counts[["scenes", "scenes, reworded"]].tolist() == [2, 2] and counts["hand-written"] == 6
    own = of[of["questions"] == "scenes"].set_index("id")
    assert own.loc[samples[0].id, "found"] == 0 and (own["found"].drop(samples[0].id) > 0).all()
    cards = extraction.listing_cards(listed)
    assert [(card.claim, card.n) for card in cards] == list(zip(CLAIMS["lists"], (6, 2, 2), strict=True))


def test_chance_is_that_of_the_answers_that_are_drawn(made):
    _, samples, answers = made
    spoilt = extraction.at_rates(answers, samples, [])
    fig = extraction.cost_curves(answers, spoilt)
    levels = {line.get_label(): line.get_ydata()[0] for line in fig.axes[1].lines}
    assert levels["chance"] == pytest.approx(np.mean([1 / len(sample.options) for sample in samples]))
    asked = {" ".join(sample.question.split()) for sample in samples if len(sample.entities) == 2}
    shown = [" ".join(ax.get_title().split()) for ax in extraction.searched_for(answers, samples).axes]
    assert shown[1].removeprefix("whole question ") in asked
