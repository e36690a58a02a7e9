"""The lessons of the miniature: conversations about drawn scenes, as pieces ``(text, learn)``.

``learn`` says whether the loss covers a piece. It covers words that only the picture determines wherever they stand, in
questions too: places, colors, and shapes that follow a name. A token attends to where the *next* word is determined, so
this makes a middle layer's attention point at objects. Words that a user picks at will, such as the object to ask
about, are not learned, since nothing in the picture could tell them.

Nothing here comes from HiDe. Second pictures are random crops of the first, as in ordinary multi-resolution training.

Throughout, ``rng`` is the step's generator, ``things`` what stands in the picture, and ``side`` the picture's side in
pixels.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from hide_utils.method.entities import EXTRACTION_PROMPT, SEARCH_INSTRUCTION
from hide_utils.prompts import multiple_choice
from hide_utils.scenes.questions import COLORS, SHAPES, SceneConfig, Thing, draw_scene

BINS = 8
COLUMNS = [f"x{letter}" for letter in "abcdefgh"]
ROWS = [f"y{letter}" for letter in "abcdefgh"]
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


def _named(rng: np.random.Generator, thing: Thing, things: list[Thing], side: int) -> list[tuple[str, bool]]:
    """A thing that is named and then looked up: free words, which are not learned, then what the picture determines."""
    where, form = place_words(thing, side), int(rng.integers(0, 6))
    if form == 0:
        return [(f" {thing.shape}", False), (where, True)]
    if form == 1:
        return [(f" {thing.shape}", False), (f" with {thing.color} color", True), (where, True)]
    if form == 2:
        return [(f" {thing.color}", False), (f" {thing.shape}", True), (where, True)]
    if form == 3:
        return [(" object with", False), (f" {thing.color} color", False), (where, True)]
    if form == 4:
        return [(f" {thing.shape}", False), (f" with {thing.color} color", True)]
    return [(f" {thing.shape} with {thing.color} color", False), (where, True)]


def caption(rng: np.random.Generator, things: list[Thing], side: int, most: int = 6) -> Turn:
    """A caption that lists objects, at most ``most``, in random order and mixed forms."""
    chosen = [things[i] for i in rng.permutation(len(things))[:most]]
    parts = []
    for t in chosen:
        where = place_words(t, side)
        forms = (
            f" {t.shape} with {t.color} color{where}",
            f" {t.shape}{where}",
            f" {t.color} {t.shape}{where}",
            f"{where} {t.shape} with {t.color} color",
            f"{where} {t.color} {t.shape}",
            f" object with {t.color} color{where}",
        )
        parts.append(forms[rng.integers(0, len(forms))])
    return [("List the objects in the image.", False)], ",".join(parts)


def locate(rng: np.random.Generator, things: list[Thing], side: int, most: int = 4) -> Turn:
    """The question where named entities are, with the places in the reply."""
    chosen = [things[i] for i in rng.permutation(len(things))[: int(rng.integers(1, most + 1))]]
    forms = ["{0}", "{0} with {1} color", "object with {1} color", "{0} with {1} color"]
    names = [forms[rng.integers(0, 4)].format(t.shape, t.color) for t in chosen]
    ask = SEARCH_INSTRUCTION if rng.random() < 0.6 else "Where is the"
    return [(f"{ask} {', '.join(names)}", False)], ",".join(place_words(t, side) for t in chosen)


def search(rng: np.random.Generator, things: list[Thing], side: int, most: int = 4) -> Turn:
    """The search instruction with what is looked up right behind each name. Now and then an entity is absent."""
    pieces: Pieces = [(SEARCH_INSTRUCTION, False)]
    for k in range(int(rng.integers(1, most + 1))):
        if k:
            pieces.append((",", False))
        if rng.random() < 0.12:
            absent = [s for s in SHAPES if s not in {t.shape for t in things}]
            if absent:
                pieces += [(f" {absent[rng.integers(0, len(absent))]}", False), (" none", True)]
                continue
        pieces += _named(rng, things[rng.integers(0, len(things))], things, side)
    return pieces, " done"


def letters(rng: np.random.Generator, question: str, answer: str, pool: list[str], n: int) -> tuple[str, str]:
    """The question with ``n`` shuffled options and the letter of the right one."""
    wrong = [pool[i] for i in rng.permutation(len(pool)) if pool[i] != answer][: n - 1]
    options = [answer, *wrong]
    order = rng.permutation(len(options))
    return multiple_choice(question, [options[i] for i in order]), chr(ord("A") + int(np.argmin(order)))


def attribute(
    rng: np.random.Generator, things: list[Thing], side: int, choice: bool, asked: list[Thing] | None = None
) -> Turn | None:
    """The color of the only thing of a shape, or the shape of the only thing of a color; None where there is none.

    choice: whether the answer is a letter among four options. asked: things that may be asked about; None allows all.
    """
    by_shape = rng.random() < 0.5
    able = [t for t in unique(things, "shape" if by_shape else "color") if asked is None or t in asked]
    if not able:
        return None
    t = able[rng.integers(0, len(able))]
    question = f"What is the color of the {t.shape}?" if by_shape else f"What is the shape of the {t.color} object?"
    answer, pool = (t.color, list(COLORS)) if by_shape else (t.shape, list(SHAPES))
    if not choice:
        return [(question, False)], f" {answer}"
    text, letter = letters(rng, question, answer, pool, 4)
    return [(text, False)], letter


def relation(
    rng: np.random.Generator,
    things: list[Thing],
    side: int,
    choice: bool,
    apart: float = 0.3,
    asked: list[Thing] | None = None,
    natural: float = 0.0,
) -> Turn | None:
    """On which side of one thing another stands, both named without ambiguity; None where there is no such pair.

    Args:
        rng, things, side: as everywhere in this file.
        choice: whether the answer is a letter of two options.
        apart: least distance along the axis that is asked about, as a share of the picture.
        asked: things that may be asked about; None allows all.
        natural: share of choices whose options keep their usual order, left or above first.
    """
    able = [t for t in unique(things, "shape", "color") if asked is None or t in asked]
    axis = int(rng.integers(0, 2))
    pairs = [(a, b) for a in able for b in able if a is not b and abs(a.centre[axis] - b.centre[axis]) >= apart * side]
    if not pairs:
        return None
    a, b = pairs[rng.integers(0, len(pairs))]
    first, second = f"{a.color} {a.shape}", f"{b.color} {b.shape}"
    options = ["left", "right"] if axis == 0 else ["above", "below"]
    question = (
        f"Is the {first} on the left or right side of the {second}?"
        if axis == 0
        else f"Is the {first} above or below the {second}?"
    )
    answer = options[0] if a.centre[axis] < b.centre[axis] else options[1]
    if not choice:
        return [(question, False)], f" {answer}"
    if rng.random() < natural:
        return [(multiple_choice(question, options), False)], chr(ord("A") + options.index(answer))
    text, letter = letters(rng, question, answer, options, 2)
    return [(text, False)], letter


def extraction(rng: np.random.Generator) -> Turn:
    """The entities of a question, without a picture, in the form that `hide_utils.method.entities` asks for."""

    def pick():
        return str(rng.choice(SHAPES)), str(rng.choice(list(COLORS)))

    (s, c), (s2, c2) = pick(), pick()
    side = "on the left or right side of" if rng.random() < 0.5 else "above or below"
    forms = [
        (f"What is the color of the {s}?", s),
        (f"What is the shape of the {c} object?", f"object with {c} color"),
        (f"Is the {c} {s} {side} the {c2} {s2}?", f"{s} with {c} color, {s2} with {c2} color"),
        (f"Is there a {c} {s} in the image?", f"{s} with {c} color"),
        (f"Where is the {s}?", s),
        (f"Is the {s} {side} the {s2}?", f"{s}, {s2}"),
    ]
    question, entities = forms[int(rng.choice(len(forms), p=[0.25, 0.25, 0.35, 0.05, 0.05, 0.05]))]
    return [(f"{EXTRACTION_PROMPT} {question}", False)], f"<FINAL_OUTPUT> {entities} </FINAL_OUTPUT>"


def random_scene(
    rng: np.random.Generator, resolution: int, n_things: int, object_size: tuple[int, int]
) -> tuple[Image.Image, list[Thing]]:
    """A training scene of random things. In half of them the first thing has its shape and its color alone."""
    config = SceneConfig(resolution=resolution, object_size=object_size, clutter=float(rng.uniform(0, 1)))
    pairs = [(str(rng.choice(SHAPES)), str(rng.choice(list(COLORS)))) for _ in range(n_things)]
    (shape, color), rest = pairs[0], pairs[1:]
    kept = [(s, c) for s, c in rest if s != shape and c != color] if rng.random() < 0.5 else rest
    return draw_scene(rng, "train", config, [(shape, color), *kept])
