"""The lessons' texts against worked examples, and that what they say of a scene is true."""

import re

import numpy as np
import pytest

from hide_utils.method.entities import EXTRACTION_PROMPT, SEARCH_INSTRUCTION, parse_entities
from hide_utils.mini import lessons
from hide_utils.scenes.world import COLORS, NOUNS, Thing

SIDE = 256
DOG = Thing("dog", "red", (8, 8, 40, 40))  # column xa, row ya
CAT = Thing("cat", "blue", (200, 20, 240, 60))  # xg yb
STAR = Thing("star", "green", (100, 200, 140, 240))  # xd yg
OTHER_DOG = Thing("dog", "pink", (200, 200, 240, 240))  # xg yg
THINGS = [DOG, CAT, STAR, OTHER_DOG]
PLACES = {t: place for t, place in zip(THINGS, ("xa ya", "xg yb", "xd yg", "xg yg"), strict=True)}


def many(lesson, *args, n=300, **kwargs):
    return [lesson(np.random.default_rng(seed), *args, **kwargs) for seed in range(n)]


def text_of(turn):
    return "".join(text for text, _ in turn[0])


def test_places_are_words_for_an_eighth_of_the_side():
    assert [lessons.place_words(t, SIDE) for t in THINGS] == [f" {place}" for place in PLACES.values()]
    assert lessons.place_words(Thing("cow", "red", (250, 250, 262, 262)), SIDE) == " xh yh"  # the centre on the edge


def test_a_caption_names_things_and_their_places():
    turns = many(lessons.caption, [CAT], SIDE)
    assert {turn[0][0] for turn in turns} == {("List the objects in the image.", False)}
    assert {turn[1] for turn in turns} == {
        " cat with blue color xg yb", " cat xg yb", " blue cat xg yb", " xg yb cat with blue color",
        " xg yb blue cat", " object with blue color xg yb",
    }  # fmt: skip
    assert {turn[1].count(",") for turn in many(lessons.caption, THINGS, SIDE, most=2)} == {1}


def test_locate_asks_for_names_and_learns_their_places():
    turns = many(lessons.locate, [CAT], SIDE)
    asked = {f"{ask} {name}" for ask in (SEARCH_INSTRUCTION, "Where is the")
             for name in ("cat", "cat with blue color", "object with blue color")}  # fmt: skip
    assert {text_of(turn) for turn in turns} == asked
    assert {turn[1] for turn in turns} == {" xg yb"}
    assert not any(learn for turn in turns for _, learn in turn[0])


def test_search_learns_only_what_the_picture_determines():
    forms = {tuple(turn[0][1:]) for turn in many(lessons.search, [CAT], SIDE, most=1) if turn[0][-1][0] != " none"}
    place = (" xg yb", True)
    assert forms == {
        ((" cat", False), place),
        ((" cat", False), (" with blue color", True), place),
        ((" blue", False), (" cat", True), place),
        ((" object with blue color", False), place),
        ((" cat with", False), (" blue", True), (" color", False), place),
        ((" cat blue", False), place),
        ((" blue cat", False), place),
        ((" cat with blue color", False), place),
    }
    for turn in many(lessons.search, THINGS, SIDE):
        assert turn[0][0] == (SEARCH_INSTRUCTION, False) and turn[1] == " done"
        for (name, learned), (after, learned_after) in zip(turn[0][1:-1], turn[0][2:], strict=True):
            if after == " none":
                assert (learned, learned_after) == (False, True)
                assert name.strip() in NOUNS and name.strip() not in {t.noun for t in THINGS}


def test_a_noun_that_stands_there_twice_is_never_looked_up_alone():
    looked_up = {part for turn in many(lessons.search, THINGS, SIDE) for part in text_of(turn).split(":")[1].split(",")}
    assert " cat xg yb" in looked_up and " dog with red color xa ya" in looked_up
    assert not {" dog xa ya", " dog xg yg"} & looked_up


def truth(question):
    """The answers that a question about `THINGS` has."""
    if color := re.fullmatch(r"What is the (\w+) object\?", question):
        return [t.noun for t in THINGS if t.color == color[1]]
    if noun := re.fullmatch(r"What is the color of the (\w+)\?", question):
        return [t.color for t in THINGS if t.noun == noun[1]]
    first, second = (
        [t for t in THINGS if name.split()[-1] == t.noun and name.split()[0] in (t.noun, t.color)]
        for name in re.fullmatch(r"Is the ([\w ]+?) (?:on the|above) .*?the ([\w]+(?: \w+)?)\?", question).groups()
    )
    assert len(first) == len(second) == 1, f"ambiguous: {question}"
    axis = int("above" in question)
    return [("left", "right"), ("above", "below")][axis][first[0].centre[axis] > second[0].centre[axis] :][:1]


@pytest.mark.parametrize("choice", [False, True])
@pytest.mark.parametrize("kind", ["attribute", "relation"])
def test_answers_are_true_and_questions_have_one(kind, choice):
    args = (THINGS, choice) if kind == "attribute" else (THINGS, SIDE, choice)
    turns = [turn for turn in many(getattr(lessons, kind), *args) if turn]
    assert len(turns) > 200
    letters = set()
    for turn in turns:
        question, *lines = text_of(turn).split("\n")
        answers = truth(question)
        assert len(answers) == 1, f"ambiguous: {question}"
        if not choice:
            assert turn[1] == f" {answers[0]}" and not lines
            continue
        assert lines[-1] == "Answer with the option's letter from the given choices directly."
        options = dict(line.split(". ") for line in lines[:-1])
        assert len(set(options.values())) == len(options) == (4 if kind == "attribute" else 2)
        assert options[turn[1]] == answers[0]
        letters.add(turn[1])
    assert letters == (set() if not choice else set("ABCD") if kind == "attribute" else set("AB"))


def test_only_what_may_be_asked_is_asked_and_nothing_where_nothing_can_be():
    for turn in many(lessons.attribute, THINGS, False, asked=[CAT]):
        assert text_of(turn) in ("What is the color of the cat?", "What is the blue object?")
    assert many(lessons.attribute, [DOG, DOG], False, n=20) == [None] * 20
    assert many(lessons.relation, THINGS, SIDE, False, asked=[CAT], n=20) == [None] * 20
    assert many(lessons.relation, [DOG, CAT], SIDE, False, apart=0.9, n=20) == [None] * 20


def test_relations_stand_apart_and_keep_their_order_as_often_as_wanted():
    for turn in many(lessons.relation, [STAR, OTHER_DOG], SIDE, False, apart=0.2):
        assert turn is None or "left or right" in text_of(turn)  # they stand at one height
    natural = [text_of(t) for t in many(lessons.relation, [DOG, CAT], SIDE, True, natural=1.0) if t]
    assert natural and all("A. left" in t or "A. above" in t for t in natural)


def test_extraction_writes_entities_in_canonical_form():
    known = {}
    for turn in many(lessons.extraction, n=1500):
        question = text_of(turn).removeprefix(EXTRACTION_PROMPT + " ")
        names, note = parse_entities(turn[1])
        assert names and note == ""
        known[re.sub("|".join(COLORS), "C", re.sub(rf"\b({'|'.join(NOUNS)})\b", "N", question))] = tuple(
            re.sub("|".join(COLORS), "C", re.sub(rf"\b({'|'.join(NOUNS)})\b", "N", name)) for name in names
        )
    full = "N with C color"
    assert known["What is the color of the N?"] == ("N",)
    assert known["What is the C object?"] == ("object with C color",)
    assert known["Is there a C N in the image?"] == (full,)
    assert known["Where is the N?"] == ("N",)
    for words in ("on the left or right side of", "above or below"):
        assert known[f"Is the C N {words} the N?"] == (full, "N")
        assert known[f"Is the N {words} the C N?"] == ("N", full)
        assert known[f"Is the C N {words} the C N?"] == (full, full)
