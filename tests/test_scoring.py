"""Reply -> letter: what is stated is read, what is not is never guessed."""

import math
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replies import COLORS, MORE_STATED, MORE_UNREAD, NOT_STATED, STATED, UNDER_EACH

from hide_utils.scoring import PROTOCOLS, letter_from_logits, parse_letter


@pytest.mark.parametrize(("reply", "strict", "last", "first"), UNDER_EACH)
def test_the_same_reply_under_each_protocol(reply, strict, last, first):
    found = [parse_letter(reply, COLORS, protocol) for protocol in ("strict", "last-char", "first-letter")]
    assert found == [strict, last, first]


def test_unread_replies_are_counted_not_guessed():
    assert len(MORE_STATED) + len(MORE_UNREAD) >= 50
    letters = [parse_letter(reply, COLORS) for reply in [*MORE_UNREAD, *NOT_STATED]]
    assert sum(letter is None for letter in letters) == len(letters)


@pytest.mark.parametrize(("reply", "letter"), STATED + MORE_STATED)
def test_stated(reply, letter):
    assert parse_letter(reply, COLORS) == letter


@pytest.mark.parametrize("reply", NOT_STATED + MORE_UNREAD)
def test_not_stated(reply):
    assert parse_letter(reply, COLORS) is None


def test_an_option_printed_whole_is_that_option_even_if_its_text_names_letters():
    gates = ["Gate C", "Gate A", "a plan by B", "D"]
    assert [parse_letter(f"({letter}) {gate}", gates) for letter, gate in zip("ABCD", gates, strict=True)] == list(
        "ABCD"
    )
    assert parse_letter("(A) Gate B", gates) is None


def test_more_than_five_options():
    nine = list("pqrstuvwx")
    assert parse_letter("The answer is (H)", nine) == "H"
    assert parse_letter("I", nine) == "I"
    assert parse_letter("G or H", nine) is None
    assert parse_letter("I think so", nine) is None


def test_one_option_is_still_not_guessed():
    assert parse_letter("A", ["red"]) == "A"
    assert parse_letter("red", ["red"]) is None


@given(st.text(max_size=60), st.sampled_from([p for p in PROTOCOLS if p != "logits"]))
def test_any_text_gives_a_letter_on_offer_or_none(reply, protocol):
    assert parse_letter(reply, COLORS, protocol) in {*"ABCD", None}


@settings(max_examples=200)
@given(st.lists(st.sampled_from(["the", "car", "is", "red", "a", "I", "see", "not", "left", "of", "it"]), max_size=12))
def test_words_without_a_letter_give_none(words):
    reply = " ".join(words).replace(" a ", " one ")
    if reply.strip().lower() != "a" and not reply.endswith(" a"):
        assert parse_letter(reply, COLORS) is None


@given(st.permutations("ABCD"), st.sampled_from(["{} or {}", "({}), ({})", "{} / {}", "{}\n{}", "It is {}, or {}."]))
def test_two_different_letters_are_ambiguous(letters, form):
    assert parse_letter(form.format(*letters), COLORS) is None


def test_last_char():
    assert parse_letter("Answer: C ", COLORS, "last-char") == "C"
    assert parse_letter("C.", COLORS, "last-char") is None
    assert parse_letter("The color is red", COLORS, "last-char") is None
    assert parse_letter("", COLORS, "last-char") is None
    assert parse_letter("E", COLORS, "last-char") is None


def test_first_letter():
    assert parse_letter("The best answer is: (C)", COLORS, "first-letter") == "C"
    assert parse_letter("Color is red, (D)", COLORS, "first-letter") == "C"  # how it is fooled
    assert parse_letter("red", COLORS, "first-letter") is None


def test_logits():
    assert letter_from_logits({"A": -1.0, "B": 2.5, "C": 2.4}) == "B"
    assert letter_from_logits({"A": 1.0, "B": 1.0}) is None
    for bad in ({}, {"A": math.nan, "B": 1.0}):
        with pytest.raises(ValueError, match="logits"):
            letter_from_logits(bad)


def test_refusals():
    with pytest.raises(ValueError, match="letter_from_logits"):
        parse_letter("A", COLORS, "logits")
    with pytest.raises(ValueError, match="unknown protocol 'exact'.*strict, last-char"):
        parse_letter("A", COLORS, "exact")
    for options in ([], list(string.ascii_letters)):
        with pytest.raises(ValueError, match="1 to 26"):
            parse_letter("A", options)
    with pytest.raises(TypeError):
        parse_letter(None, COLORS)
