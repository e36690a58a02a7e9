"""Replies as models write them, good and bad -> entities."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hide_utils import load_model
from hide_utils.method.entities import (
    MAX_ENTITIES,
    Entities,
    Extractor,
    clean,
    entities_from_reply,
    given_entities,
    parse_entities,
)


@pytest.mark.parametrize(
    ("reply", "names"),
    [
        ("<FINAL_OUTPUT> dog, scooter </FINAL_OUTPUT>", ("dog", "scooter")),
        (
            "<FINAL_OUTPUT>truck with large size with blue color</FINAL_OUTPUT>",
            ("truck with large size with blue color",),
        ),
        ("I think so.\n<FINAL_OUTPUT>\nbag of woman\n</FINAL_OUTPUT>\nDone.", ("bag of woman",)),
        ("<FINAL_OUTPUT> Dog ,  SCOOTER,dog. </FINAL_OUTPUT>", ("dog", "scooter")),
        ("<FINAL_OUTPUT> dog, scoo", ("dog", "scoo")),  # the reply was cut
        ("<FINAL_OUTPUT> dog\nQuestion: What next?", ("dog",)),  # and ran on
        ("The tags are <FINAL_OUTPUT> and </FINAL_OUTPUT>.\n<FINAL_OUTPUT>dog</FINAL_OUTPUT>", ("dog",)),
        ("<FINAL_OUTPUT> dog, scooter </FINAL_OUTPUT>\nnow: <FINAL_OUTPUT>cup</FINAL_OUTPUT>", ("cup",)),
        ("<FINAL_OUTPUT>dog</FINAL_OUTPUT> <FINAL_OUTPUT> , </FINAL_OUTPUT>", ("dog",)),
        ("After the <FINAL_OUTPUT> tag I write: <FINAL_OUTPUT>dog</FINAL_OUTPUT>", ("dog",)),  # quoted, never closed
    ],
)
def test_names_between_the_tags(reply, names):
    assert parse_entities(reply) == (names, "")


@pytest.mark.parametrize(
    ("reply", "note"),
    [
        ("", "no <FINAL_OUTPUT> tags"),
        ("dog, scooter", "no <FINAL_OUTPUT> tags"),
        ("dog</FINAL_OUTPUT>", "no <FINAL_OUTPUT> tags"),
        ("<FINAL_OUTPUT></FINAL_OUTPUT>", "nothing between"),
        ("<FINAL_OUTPUT> \n\t </FINAL_OUTPUT>", "nothing between"),
        ("<FINAL_OUTPUT> , , </FINAL_OUTPUT>", "nothing between"),
        ("<FINAL_OUTPUT> . </FINAL_OUTPUT>", "nothing between"),
        ("<FINAL_OUTPUT>", "nothing between"),
    ],
)
def test_nothing_to_read_falls_back_to_the_question(reply, note):
    names, why = parse_entities(reply)
    assert names == () and note in why
    found = entities_from_reply("  What color is the cup? ", reply)
    assert found.names == ("What color is the cup?",) and found.source == "question"
    assert found.reply == reply and note in found.note and "question itself" in found.note


def test_five_hundred_entities():
    reply = f"<FINAL_OUTPUT>{', '.join(f'thing {i}' for i in range(500))}</FINAL_OUTPUT>"
    found = entities_from_reply("Which?", reply)
    assert found.names == tuple(f"thing {i}" for i in range(MAX_ENTITIES)) and found.source == "model"
    assert "500 entities" in found.note and str(MAX_ENTITIES) in found.note
    same = parse_entities("<FINAL_OUTPUT>" + "dog, " * 500 + "</FINAL_OUTPUT>")
    assert same == (("dog",), "")  # repeated, not many


def test_clean():
    assert clean(["  Red   Cup. ", "'bowl'", "", "red cup", "a; "]) == ("red cup", "bowl", "a")
    assert clean(("dog, scooter", "dog")) == ("dog", "scooter")
    assert clean([]) == ()


@given(st.lists(st.text(max_size=12), max_size=6))
def test_clean_twice_is_clean_once(names):
    once = clean(names)
    assert len(set(once)) == len(once) and all(name and "," not in name for name in once)
    assert clean(once) == once


@given(st.text(max_size=60))
def test_any_reply_is_read_without_an_error(reply):
    found = entities_from_reply("Which?", reply)
    assert 1 <= len(found.names) <= MAX_ENTITIES and found.reply == reply


def test_given_by_hand():
    assert given_entities("Dog, Scooter ") == Entities(("dog", "scooter"), "given")
    assert given_entities(["Dog", "dog"]).text == "dog"
    assert given_entities(("red cup", "bowl")).text == "red cup, bowl"
    for nothing in ("", " , ", [], ["", "."]):
        with pytest.raises(ValueError, match="entities is empty"):
            given_entities(nothing)
    many = given_entities([f"thing {i}" for i in range(500)])
    assert len(many.names) == MAX_ENTITIES and "500 entities given" in many.note


@pytest.mark.parametrize("reuse_prefix", [True, False])
def test_many_questions_at_once_give_what_each_gives_alone(reuse_prefix):
    model = load_model("mini", device="cpu", dtype="float32")
    questions = ["What is the color of the star?", "Is the red ring above or below the blue heart?", "Where?", "Where?"]
    extractor = Extractor(model, reuse_prefix=reuse_prefix)
    together = [listed.entities for listed in extractor.many(questions)]
    assert together == [Extractor(model, reuse_prefix=False)(question) for question in questions]
    assert extractor.many([]) == []


def test_expected_questions_are_listed_in_batches_and_charged_their_share():
    model = load_model("mini", device="cpu", dtype="float32")
    questions = [f"What is the color of the {shape}?" for shape in ("star", "ring", "heart", "cross", "star")]
    extractor = Extractor(model, batch=3)
    alone = [extractor.extract(question) for question in questions]
    extractor.expect(questions)
    model.counts.clear()
    listed = [extractor.extract(question) for question in questions]
    assert [one.entities for one in listed] == [one.entities for one in alone]
    assert [one.counts for one in listed] == [one.counts for one in alone]
    assert model.counts["suffixes"] == 2 and all(one.seconds > 0 for one in listed)  # four questions, three a batch
    assert model.counts["decoded"] == sum(one.counts["decoded"] for one in listed[:4])
    extractor.extract("Where is the star?")  # not expected: on its own
    assert model.counts["suffixes"] == 3
