"""The benchmark of drawn scenes: small objects on a ground full of others, questions about them, and exact boxes.

It exists because V*Bench and its kin cannot be shipped, and because their object sizes, clutter and resolution cannot
be set one at a time. Here each of these is a setting. Training, calibration and test scenes share neither random
streams nor photographs.

A scene is made in three steps. `ask` says what is asked, and which things the scene holds. `lay_out` says where they
stand. `draw` gives the picture. Each part has a random stream of its own: scenes that differ in their ground alone hold
the same things at the same places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from hide_utils.images import WORLD
from hide_utils.samples import Sample
from hide_utils.scenes.drawing import Pair, add_strokes, draw_ground, draw_thing, lay_out, pick, scatter
from hide_utils.scenes.settings import SceneConfig, scene_config
from hide_utils.scenes.world import COLORS, NOUNS, PHOTOGRAPHS, RECORD, SPLITS, Thing

KINDS = ("direct_attributes", "relative_position")
PARTS = ("question", "layout", "unnamed", "ground", "strokes")  # of a scene, each with a random stream of its own


@dataclass(frozen=True)
class Question:
    """What is asked about a scene, and which things it holds: all that there is before a place or pixel is known.

    Attributes:
        kind: one of `KINDS`.
        text: of the question, without the options.
        options: in the order in which they are shown.
        label: letter of the right one.
        entities: in canonical form, one for each thing asked about.
        pairs: noun and color of all named things, those asked about first.
        axis: 0 or 1 where a relation is asked for along x or y.
        first_is_less: whether the first thing stands left of or above the second.
        colors: that unnamed objects may have.
    """

    kind: str
    text: str
    options: tuple[str, ...]
    label: str
    entities: tuple[str, ...]
    pairs: tuple[Pair, ...]
    axis: int | None = None
    first_is_less: bool = True
    colors: tuple[str, ...] = tuple(COLORS)


@dataclass(frozen=True)
class Scene:
    """A scene before it is drawn: where its random streams begin, its settings, its things and their places."""

    split: str
    seed: int
    index: int
    config: SceneConfig
    things: tuple[Thing, ...]
    colors: tuple[str, ...] = tuple(COLORS)


def stream(split: str, seed: int, index: int, part: str) -> np.random.Generator:
    """The generator of one part of one scene. No two parts, scenes or splits share a random stream."""
    return np.random.default_rng([SPLITS.index(split), seed, index, PARTS.index(part)])


def ask(rng: np.random.Generator, kind: str, config: SceneConfig) -> Question:
    """Ask a question, and choose the things that a scene has to hold for it.

    Args:
        rng: of everything random.
        kind: of question, one of `KINDS`.
        config: says how many named things there are, and how many are similar.
    """
    n = config.count("named")
    return _ask_attribute(rng, n) if kind == KINDS[0] else _ask_relation(rng, n, min(config.count("similar"), n - 2))


def _shuffled(rng: np.random.Generator, values: list) -> list:
    return [values[i] for i in rng.permutation(len(values))]


def _lettered(rng: np.random.Generator, options: list[str]) -> tuple[tuple[str, ...], str]:
    """The options in random order, and the letter of the one that was first."""
    order = rng.permutation(len(options)).tolist()
    return tuple(options[i] for i in order), chr(ord("A") + order.index(0))


def _ask_attribute(rng: np.random.Generator, n: int) -> Question:
    """The color of a noun, or the noun of a color, among `n` things.

    The values of all four options stand in the scene equally often, so that counting them does not tell the answer.
    """
    noun, color = pick(rng, NOUNS), pick(rng, list(COLORS))
    by_noun = rng.random() < 0.6
    given, answer = (noun, color) if by_noun else (color, noun)
    givens, answers = (NOUNS, tuple(COLORS)) if by_noun else (tuple(COLORS), NOUNS)
    pool = _shuffled(rng, [value for value in answers if value != answer])
    options, rest = [answer, *pool[:3]], pool[3:]
    each = max(1, n // (8 if by_noun else 12))
    values = (options * each)[1:]
    values += [pick(rng, rest) for _ in range(n - 1 - len(values))]
    others = [(pick(rng, [v for v in givens if v != given]), value) for value in _shuffled(rng, values)]
    pairs = [(given, answer), *others]
    return Question(
        KINDS[0],
        f"What is the color of the {noun}?" if by_noun else f"What is the {color} object?",
        *_lettered(rng, options),
        entities=(noun if by_noun else f"object with {color} color",),
        pairs=tuple(pairs if by_noun else [pair[::-1] for pair in pairs]),
        colors=tuple(c for c in COLORS if by_noun or c != color),
    )


def _ask_relation(rng: np.random.Generator, n: int, n_similar: int) -> Question:
    """On which side of one thing another stands, among `n` things; each is named with its color or by its noun alone.

    `n_similar` of the things share an attribute with one asked about, and none fits a name in the question.
    """
    first = second = (pick(rng, NOUNS), pick(rng, list(COLORS)))
    while second[0] == first[0] or second[1] == first[1]:
        second = (pick(rng, NOUNS), pick(rng, list(COLORS)))
    asked, bare = (first, second), [bool(v) for v in rng.integers(0, 2, 2)]
    alone = {noun for (noun, _), is_bare in zip(asked, bare, strict=True) if is_bare}
    others: list[Pair] = []
    while len(others) < n - 2:
        noun, color = pick(rng, NOUNS), pick(rng, list(COLORS))
        if len(others) < n_similar:
            like = pick(rng, asked)
            noun, color = (like[0], color) if rng.random() < 0.7 else (noun, like[1])
        if noun not in alone and (noun, color) not in asked:
            others.append((noun, color))
    axis, first_is_less = int(rng.integers(0, 2)), bool(rng.integers(0, 2))
    said, entities = [], []
    for (noun, color), is_bare in zip(asked, bare, strict=True):
        said.append(noun if is_bare else f"{color} {noun}")
        entities.append(noun if is_bare else f"{noun} with {color} color")
    words = ("left", "right") if axis == 0 else ("above", "below")
    form = "Is the {} on the left or right side of the {}?" if axis == 0 else "Is the {} above or below the {}?"
    return Question(
        KINDS[1],
        form.format(*said),
        *_lettered(rng, list(words if first_is_less else words[::-1])),
        entities=tuple(entities),
        pairs=(*asked, *_shuffled(rng, others)),
        axis=axis,
        first_is_less=first_is_less,
    )


def place_things(rng: np.random.Generator, question: Question, config: SceneConfig) -> list[Thing]:
    """Places for all named things of a question, those asked about first, as it says where they stand.

    Raises:
        ValueError: where no layout was found.
    """
    axis, least = question.axis, config.separation * config.resolution

    def fits(first: Thing, second: Thing) -> bool:
        distance = second.centre[axis] - first.centre[axis] if axis is not None else 0
        return axis is None or (distance if question.first_is_less else -distance) >= max(least, 1)

    return lay_out(rng, question.pairs, config.object_size, config.size_wh, fits)


def draw(scene: Scene) -> Image.Image:
    """The picture of a scene, RGB. Its `info` carries the benchmark's name, by which a model trained on it knows it."""
    config = scene.config
    rngs = {part: stream(scene.split, scene.seed, scene.index, part) for part in PARTS}
    image = draw_ground(rngs["ground"], config.ground, scene.split, config.size_wh)
    add_strokes(rngs["strokes"], image, config.count("strokes"))
    for thing in (*unnamed_things(scene), *scene.things):
        draw_thing(image, thing)
    image.info[WORLD] = RECORD["name"]
    return image


def photograph_of(scene: Scene) -> str:
    """Name of the photograph behind a scene whose ground is one."""
    return pick(stream(scene.split, scene.seed, scene.index, "ground"), PHOTOGRAPHS[scene.split])


def unnamed_things(scene: Scene) -> list[Thing]:
    """The unnamed objects of a scene, each with the name of its icon for a noun."""
    rng, config = stream(scene.split, scene.seed, scene.index, "unnamed"), scene.config
    return scatter(rng, config.count("unnamed"), scene.things, config.object_size, config.size_wh, scene.colors)


def drawn_things(sample: Sample) -> list[Thing] | None:
    """Everything that stands in a drawn scene, unnamed objects too; None for a sample that is no drawn scene."""
    render = sample.render
    if not (isinstance(render, partial) and render.func is draw):
        return None
    (scene,) = render.args
    return [*unnamed_things(scene), *scene.things]


def scene_samples(
    split: str = "test",
    n: int = 400,
    seed: int = 0,
    kinds: Sequence[str] = KINDS,
    difficulty: str = "default",
    **knobs: Any,
) -> list[Sample]:
    """Samples of the drawn scenes. Their pictures are drawn when they are looked at.

    Args:
        split: ``"train"``, ``"calibration"`` or ``"test"``. They share neither random streams nor photographs.
        n: number of samples, at least 1. The first samples of a seed are the same whatever ``n`` is.
        seed: of the draw, at least 0.
        kinds: of questions, which are taken in turn.
        difficulty: the settings that a name in `DIFFICULTIES` stands for.
        **knobs: fields of `SceneConfig`, which come before those of the difficulty.

    Raises:
        ValueError: for an unknown split, kind, difficulty or setting, and for a value out of range.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; the scenes have {', '.join(SPLITS)}")
    if not kinds or any(kind not in KINDS for kind in kinds):
        raise ValueError(f"unknown kinds {kinds!r}; the scenes have {', '.join(KINDS)}")
    if n < 1 or seed < 0:
        raise ValueError(f"n must be at least 1 and seed at least 0, not n={n}, seed={seed}")
    config = scene_config(difficulty, knobs)
    return [_sample(split, seed, index, kinds[index % len(kinds)], config) for index in range(n)]


def _sample(split: str, seed: int, index: int, kind: str, config: SceneConfig) -> Sample:
    question = ask(stream(split, seed, index, "question"), kind, config)
    things = place_things(stream(split, seed, index, "layout"), question, config)
    scene = Scene(split, seed, index, config, tuple(things), question.colors)
    boxes = [tuple(map(float, thing.box_xyxy)) for thing in things[: len(question.entities)]]
    return Sample(
        f"scenes-{split}-{config.resolution}-s{seed}-{index:05d}",
        question.text,
        list(question.options),
        question.label,
        kind,
        render=partial(draw, scene),
        boxes_xyxy=boxes,  # type: ignore[arg-type]  # four each
        entities=list(question.entities),
        things=things,
    )
