"""Spoilt entities: each kind as described, nested, at exact rates; and HiDe with entities given to it."""

import pandas as pd
import pytest

from hide_utils import HiDe, evaluate, load_benchmark, load_model
from hide_utils.edits import entity_corruption as entity_errors
from hide_utils.edits.entity_corruption import ERRORS, corrupted_names, reworded
from hide_utils.evaluation import entity_variants
from hide_utils.evaluation.entity_variants import corrupted_method, entities_or_question
from hide_utils.scenes.world import COLORS


@pytest.fixture(scope="module")
def samples():
    return load_benchmark("scenes", split="calibration", n=12, resolution=256, seed=1)


def test_every_kind_is_what_it_says(samples):
    for s in samples:
        for kind in ERRORS:
            assert corrupted_names(kind, 0, s) == tuple(s.entities)
        every = {kind: corrupted_names(kind, len(s.entities), s) for kind in ERRORS}
        assert every["dropped"] == ()
        assert set(every["distractor"]) <= set(entity_errors.other_names(s)) and every["distractor"]
        assert not set(every["absent"]) & {*entity_errors.other_names(s), *s.entities}
        assert len(every["duplicate"]) == 2 * len(s.entities) and set(s.entities) <= set(every["duplicate"])
        assert all(len(name) > len(s.question) for name in every["over-long"])
        for old, new in zip(s.entities, every["attribute"], strict=True):
            assert new.split(" with ")[0] == old.split(" with ")[0] and new != old
            color = new.split(" with ")[1].removesuffix(" color")
            assert color in COLORS and color != s.answer, "a bare noun never gets the color that is its own"


def test_one_more_spoilt_entity_changes_that_one_alone(samples):
    for s in (s for s in samples if len(s.entities) == 2):
        for kind in ("distractor", "absent", "attribute"):
            kept = set(corrupted_names(kind, 1, s)) & set(s.entities)
            assert len(kept) == 1
            assert set(corrupted_names(kind, 1, s)) - kept <= set(corrupted_names(kind, 2, s))


def test_what_cannot_be_corrupted_is_refused(samples):
    with pytest.raises(ValueError, match="unknown kind 'typo'"):
        corrupted_names("typo", 1, samples[0])
    with pytest.raises(ValueError, match="cannot corrupt 3"):
        corrupted_names("dropped", 3, samples[0])
    alone = load_benchmark("scenes", split="calibration", n=1, resolution=256, seed=1)[0]
    alone.things = None
    with pytest.raises(ValueError, match="no distractor"):
        corrupted_names("distractor", 1, alone)
    assert "distractor" not in entity_variants.possible_errors([alone])
    assert entity_variants.possible_errors(samples) == tuple(ERRORS)


def test_reworded_questions_keep_their_entities(samples):
    for s in samples:
        text = reworded(s)
        assert text != s.question and all(entity_errors.spoken(name) in text for name in s.entities)
    assert len({reworded(samples[0], i) for i in range(4)}) == 4
    samples[0].question, old = "Where is it?", samples[0].question
    with pytest.raises(ValueError, match="only questions of the drawn scenes"):
        reworded(samples[0])
    samples[0].question = old


def test_spoken_names():
    assert entity_errors.spoken("star with red color") == "red star"
    assert entity_errors.spoken("truck with large size with blue color") == "large blue truck"
    assert entity_errors.spoken("star") == "star"


def test_states_are_answered_and_rates_put_together(samples):
    hide = HiDe(load_model("mini", device="cpu", dtype="float32"))
    part = [s for s in samples if len(s.entities) == 2][:2]
    kinds = ("dropped", "absent")
    reference = {entity_variants.REFERENCE: entity_variants.hide_with(entity_variants.reference_entities)}
    methods = reference | entity_variants.corrupted_methods(kinds, 2)
    table = evaluate(hide.model, part, methods, hide=hide, progress=False)
    assert set(table["method"]) == {corrupted_method(kind, k) for kind in kinds for k in range(3)}
    by = table.set_index(["sample_id", "method"])["entities"]
    for s in part:
        assert by[s.id, corrupted_method("", 0)] == ", ".join(s.entities)
        assert by[s.id, corrupted_method("absent", 2)] == ", ".join(corrupted_names("absent", 2, s))
        assert by[s.id, corrupted_method("dropped", 2)] == s.question  # nothing left: the question is searched for
    rates = entity_variants.answers_at_entity_rates(table, part, [0, 0.5, 1], kinds)
    assert (rates.groupby(["corruption", "rate"]).size() == 2).all()
    half = rates[(rates["rate"] == 0.5) & (rates["corruption"] == "absent")]
    found = sum(name in row.split(", ") for row, s in zip(half["entities"], part, strict=True) for name in s.entities)
    assert found == 2, "half of the four entities are still there"
    means = entity_variants.accuracy_and_boxes(rates, ["corruption", "rate"])
    assert len(means) == 2 * 3 * 3 and means[["low", "high"]].stack().between(0, 1).all()
    pd.testing.assert_series_equal(
        means.query("measure == 'accuracy' and rate == 0")["estimate"].reset_index(drop=True),
        pd.Series([table.query("method == 'entities: reference'")["correct"].mean()] * 2, name="estimate"),
    )


def test_without_names_the_question_is_searched_for():
    instead = entities_or_question((), " Which? ")
    assert (instead.text, instead.source) == ("Which?", "question")
    assert entities_or_question(("dog", "cat"), "Which?").text == "dog, cat"
