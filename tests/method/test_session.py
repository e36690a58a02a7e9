"""Sessions: texts about the same pictures are answered together, as if each had been asked alone."""

import pytest
from checkpoints import FAMILIES, KINDS_OF_FAMILY, tiny_model
from model_helpers import picture

from hide_utils import HiDe
from hide_utils.method import Session
from hide_utils.prompts import multiple_choice

QUESTION, OPTIONS = "What is the color of the dog?", ["red", "blue", "green", "white"]
ROTATIONS = [OPTIONS[i:] + OPTIONS[:i] for i in range(4)]


def asked(session, second, step="answer"):
    """Replies to all rotations, each charged alone, and the counts that each is charged with."""
    found = []
    for options in ROTATIONS:
        alone = session.alone()
        found.append((alone.answer(QUESTION, options, second, step), alone.counts[step]))
    return found


@pytest.mark.parametrize("family", KINDS_OF_FAMILY)
@pytest.mark.parametrize("second", [None, picture(120, 80, 1)], ids=["one picture", "two pictures"])
def test_rotations_are_answered_in_one_batch_and_charged_alone(family, second):
    model = tiny_model(family)
    one_by_one = asked(Session(model, picture(200, 130)), second)
    session = Session(model, picture(200, 130))
    session.expect(multiple_choice(QUESTION, options) for options in ROTATIONS)
    session.prefill()
    model.counts.clear()
    together = asked(session, second)
    assert [reply.ids for reply, _ in together] == [reply.ids for reply, _ in one_by_one]
    assert [counts for _, counts in together] == [counts for _, counts in one_by_one]
    letters = [[model.letter_logits(reply, 4) for reply, _ in found] for found in (together, one_by_one)]
    for ours, theirs in zip(*letters, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)
    assert model.counts["images"] == (second is not None) and len(session.batches) == 1
    assert model.counts["decoded"] == sum(len(reply.ids) for reply, _ in together)
    assert session.batches[0].replies[multiple_choice(QUESTION, OPTIONS)][1].seconds > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_counting_makes_no_patches(family, monkeypatch):
    """What a reply would have cost alone is counted from the pictures' shapes."""
    model = tiny_model(family)
    prompt = model.prompt(model.prepare(picture(200, 130)), model.prepare(picture(90, 60, 1)), QUESTION)
    model.counts.clear()
    reply = model.generate(prompt, 3)
    ran = model.counts.copy()
    monkeypatch.setattr(model, "inputs_of", None)
    assert model.counts_alone(prompt, None, len(reply.ids), reply.passes - 1) == ran


def test_other_pictures_limits_and_texts_are_no_part_of_a_batch():
    session = Session(tiny_model("qwen3_vl"), picture(100, 100))
    session.expect(multiple_choice(QUESTION, options) for options in ROTATIONS[:2])
    first = session.answer(QUESTION, ROTATIONS[0], picture(60, 60, 1))
    session.answer(QUESTION, ROTATIONS[1], picture(60, 60, 1))
    assert len(session.batches) == 1
    other = session.answer(QUESTION, ROTATIONS[0], picture(60, 60, 2))
    assert len(session.batches) == 2 and (first.first_logits - other.first_logits).abs().max() > 1e-3
    session.answer(QUESTION, ROTATIONS[0], picture(60, 60, 2), limit=3)
    assert len(session.batches) == 3
    session.answer(QUESTION, ROTATIONS[2])
    assert len(session.batches) == 3


def test_a_single_text_is_no_batch():
    session = Session(tiny_model("qwen3_vl"), picture(100, 100))
    session.expect([multiple_choice(QUESTION, OPTIONS)] * 2)
    session.answer(QUESTION, OPTIONS)
    assert session.batches == []


def test_full_passes_are_made_one_by_one():
    session = Session(tiny_model("qwen3_vl"), picture(100, 100), reuse_prefix=False)
    session.expect(multiple_choice(QUESTION, options) for options in ROTATIONS)
    assert len(asked(session, None)) == 4 and session.batches == []


@pytest.mark.parametrize("first_runs", [True, False])
def test_sessions_of_one_picture_share_a_prefill_and_are_each_charged_for_it(first_runs):
    hide = HiDe(tiny_model("qwen3_vl"))
    one = hide.open(picture(160, 96))
    if first_runs:
        one.answer("Where is the dog?")
    other, before = one.beside(), hide.model.counts["prefills"]
    for session in (other, one):
        session.answer("Where is the cat?")
    assert hide.model.counts["prefills"] - before == (0 if first_runs else 1)
    assert one.shared is other.shared and one.cost(["prefill"]) == other.cost(["prefill"])
    assert one.counts["prefill"]["images"] == 1 and not other.localisations
