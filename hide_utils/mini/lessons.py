"""The lessons of the miniature: conversations about a drawn scene, as pieces ``(text, learn)`` and a reply.

``learn`` says whether the loss covers a piece. It covers words that only the picture determines wherever they stand, in
questions too: places, colors, and nouns that follow a color. A token attends to where the *next* word is determined,
so this makes a middle layer's attention point at objects. Words that a user picks at will, such as the object to ask
about, are not learned, since nothing in the picture could tell them.

Throughout, ``rng`` is the batch's generator, ``things`` what stands in the picture, and ``side`` the picture's side in
pixels. ``asked`` are the things that may be asked about; None allows all.
"""

from __future__ import annotations

from string import ascii_uppercase

import numpy as np

from hide_utils.files import data_of
from hide_utils.prompts import ANSWER_INSTRUCTION, EXTRACTION_PROMPT, SEARCH_INSTRUCTION, multiple_choice
from hide_utils.scenes.world import COLORS, NOUNS, Thing

BINS = 8
COLUMNS = [f"x{letter}" for letter in "abcdefgh"]
ROWS = [f"y{letter}" for letter in "abcdefgh"]
COLOR_NAMES = list(COLORS)
LIST_OBJECTS = "List the objects in the image."
WHERE = "Where is the"
_TEXTS = data_of(__file__)
Pieces = list[tuple[str, bool]]
Turn = tuple[Pieces, str]


def place_words(thing: Thing, side: int) -> str:
    """Column and row of a thing's centre in an 8 x 8 division of the picture, for example ``" xc yf"``."""
    x, y = (min(BINS - 1, int(v / side * BINS)) for v in thing.centre)
    return f" {COLUMNS[x]} {ROWS[y]}"


def unique(things: list[Thing], *attributes: str) -> list[Thing]:
    """Things that share the named attributes with no other thing."""
    keys = [tuple(getattr(t, a) for a in attributes) for t in things]
    return [t for t, key in zip(things, keys, strict=True) if keys.count(key) == 1]


def _able(things: list[Thing], asked: list[Thing] | None, *attributes: str) -> list[Thing]:
    """Things that the attributes name without ambiguity, of those that may be asked about."""
    return [t for t in unique(things, *attributes) if asked is None or t in asked]


def caption(rng: np.random.Generator, things: list[Thing], side: int, most: int = 6) -> Turn:
    """A caption that lists objects, at most ``most``, in random order and mixed forms."""
    parts = []
    for i in rng.permutation(len(things))[:most]:
        t, form = things[i], _TEXTS["captions"][rng.integers(0, len(_TEXTS["captions"]))]
        parts.append(form.format(noun=t.noun, color=t.color, where=place_words(t, side)))
    return [(LIST_OBJECTS, False)], ",".join(parts)


def locate(rng: np.random.Generator, things: list[Thing], side: int, most: int = 4) -> Turn:
    """The question where named entities are, at most ``most``, with the places in the reply."""
    chosen = [things[i] for i in rng.permutation(len(things))[: int(rng.integers(1, most + 1))]]
    forms = _TEXTS["names"]
    names = [forms[rng.integers(0, len(forms))].format(noun=t.noun, color=t.color) for t in chosen]
    ask = SEARCH_INSTRUCTION if rng.random() < 0.6 else WHERE
    return [(f"{ask} {', '.join(names)}", False)], ",".join(place_words(t, side) for t in chosen)


def search(rng: np.random.Generator, things: list[Thing], side: int, most: int = 4) -> Turn:
    """The search instruction with what is looked up right behind each name. Now and then an entity is absent."""
    pieces: Pieces = [(SEARCH_INSTRUCTION, False)]
    present = {t.noun for t in things}
    for k in range(int(rng.integers(1, most + 1))):
        if k:
            pieces.append((",", False))
        if rng.random() < 0.1:
            noun = NOUNS[rng.integers(0, len(NOUNS))]
            if noun not in present:
                pieces += [(f" {noun}", False), (" none", True)]
                continue
        pieces += _named(rng, things[rng.integers(0, len(things))], things, side)
    return pieces, " done"


def _named(rng: np.random.Generator, thing: Thing, things: list[Thing], side: int) -> Pieces:
    """A thing that is named and then looked up: free words, which are not learned, then what the picture determines."""
    noun, color, place = thing.noun, thing.color, (place_words(thing, side), True)
    full: Pieces = [(f" {noun} with {color} color", False), place]
    alone = sum(other.noun == noun for other in things) == 1
    forms: tuple[Pieces, ...] = (
        [(f" {noun}", False), place] if alone else full,
        [(f" {noun}", False), (f" with {color} color", True), place],
        [(f" {color}", False), (f" {noun}", True), place],
        [(f" object with {color} color", False), place],
        [(f" {noun} with", False), (f" {color}", True), (" color", False), place],
        [(f" {noun} {color}", False), place],
        [(f" {color} {noun}", False), place],
        full,
        full,
    )
    return forms[rng.integers(0, len(forms))]


def attribute(
    rng: np.random.Generator, things: list[Thing], choice: bool, asked: list[Thing] | None = None
) -> Turn | None:
    """The color of the only thing of a noun, or the noun of the only thing of a color; None where there is none.

    choice: whether the answer is a letter among four options.
    """
    by_noun = bool(rng.random() < 0.6)
    able = _able(things, asked, "noun" if by_noun else "color")
    if not able:
        by_noun = not by_noun
        able = _able(things, asked, "noun" if by_noun else "color")
    if not able:
        return None
    t = able[rng.integers(0, len(able))]
    question = f"What is the color of the {t.noun}?" if by_noun else f"What is the {t.color} object?"
    answer = t.color if by_noun else t.noun
    if not choice:
        return [(question, False)], f" {answer}"
    in_view = [other.color if by_noun else other.noun for other in things]
    wrong = _wrong_options(rng, answer, in_view, COLOR_NAMES if by_noun else list(NOUNS))
    return _choice(rng, question, answer, wrong[:3])


def _wrong_options(rng: np.random.Generator, answer: str, in_view: list[str], pool: list[str]) -> list[str]:
    """Other values than the answer. In half of the cases those that stand in the picture come first, else last."""
    seen = [value for value in dict.fromkeys(in_view) if value != answer]
    rest = [pool[i] for i in rng.permutation(len(pool))[:8] if pool[i] != answer and pool[i] not in seen]
    if rng.random() < 0.5:
        rng.shuffle(seen)
        return [*seen, *rest]
    return [*rest, *seen]


def _choice(rng: np.random.Generator, question: str, answer: str, wrong: list[str]) -> Turn:
    """The question with its options shuffled, and the letter of the right one."""
    options = [answer, *wrong]
    order = rng.permutation(len(options))
    text = multiple_choice(question, [options[i] for i in order])
    return [(text, False)], ascii_uppercase[int(np.argmin(order))]


def relation(
    rng: np.random.Generator,
    things: list[Thing],
    side: int,
    choice: bool,
    apart: float = 0.2,
    asked: list[Thing] | None = None,
    natural: float = 0.3,
) -> Turn | None:
    """On which side of one thing another stands, both named without ambiguity; None where no such pair was found.

    Args:
        rng, things, side, asked: as everywhere in this file.
        choice: whether the answer is a letter of two options.
        apart: least distance along the axis that is asked about, as a share of the picture.
        natural: share of choices whose options keep their usual order, left or above first.
    """
    pair = _pair(rng, _able(things, asked, "noun", "color"), side, apart)
    if pair is None:
        return None
    a, b, axis = pair
    nouns = [t.noun for t in things]
    first, second = (
        t.noun if nouns.count(t.noun) == 1 and rng.random() < 0.5 else f"{t.color} {t.noun}" for t in (a, b)
    )
    options = ["above", "below"] if axis else ["left", "right"]
    words = "above or below" if axis else "on the left or right side of"
    question = f"Is the {first} {words} the {second}?"
    answer = options[0] if a.centre[axis] < b.centre[axis] else options[1]
    if not choice:
        return [(question, False)], f" {answer}"
    if rng.random() < natural:
        return [(multiple_choice(question, options), False)], ascii_uppercase[options.index(answer)]
    return _choice(rng, question, answer, [option for option in options if option != answer])


def _pair(rng: np.random.Generator, able: list[Thing], side: int, apart: float) -> tuple[Thing, Thing, int] | None:
    """Two things that stand apart, and along which axis (0: x, 1: y); None where eight tries found none."""
    if len(able) < 2:
        return None
    axis = int(rng.integers(0, 2))
    for _ in range(8):
        i, j = rng.permutation(len(able))[:2]
        a, b = able[i], able[j]
        if abs(a.centre[axis] - b.centre[axis]) >= apart * side:
            return a, b, axis
    return None


def extraction(rng: np.random.Generator) -> Turn:
    """The entities of a question, without a picture, in the form that `hide_utils.method.entities` asks for."""

    def drawn() -> tuple[str, str]:
        return NOUNS[rng.integers(0, len(NOUNS))], COLOR_NAMES[rng.integers(0, len(COLOR_NAMES))]

    def called(noun: str, color: str, bare: bool) -> tuple[str, str]:
        return (noun, noun) if bare else (f"{color} {noun}", f"{noun} with {color} color")

    (noun, color), other = drawn(), drawn()
    said = {"noun": noun, "color": color}
    said["words"] = "on the left or right side of" if rng.random() < 0.5 else "above or below"
    bare, other_bare = rng.random() < 0.5, rng.random() < 0.5
    said["first"], said["first_entity"] = called(noun, color, bare)
    said["second"], said["second_entity"] = called(*other, other_bare)
    forms = _TEXTS["extraction"]
    question, entities, _ = forms[int(rng.choice(len(forms), p=[share for *_, share in forms]))]
    reply = f"<FINAL_OUTPUT> {entities.format(**said)} </FINAL_OUTPUT>"
    return [(f"{EXTRACTION_PROMPT} {question.format(**said)}", False)], reply


def corpus() -> list[str]:
    """Texts that hold every word of the lessons, for the tokenizer; the same ones at every call."""
    words = [*COLOR_NAMES, *NOUNS, *COLUMNS, *ROWS, *_TEXTS["words"].split()]
    texts = [f" {word}" for word in words] * 3
    texts += [EXTRACTION_PROMPT, SEARCH_INSTRUCTION, ANSWER_INSTRUCTION, LIST_OBJECTS, WHERE, *_TEXTS["texts"]]
    rng = np.random.default_rng(0)
    for _ in range(80):
        pieces, reply = extraction(rng)
        texts.append("".join(text for text, _ in pieces) + "\n" + reply)
    return texts
