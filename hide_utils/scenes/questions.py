"""The benchmark of drawn scenes: small objects on real photographs, questions about them, and their exact boxes.

It exists because V*Bench and its kin cannot be shipped, and because their object sizes, clutter and resolution cannot
be set one at a time. Here each of these is a setting. Training, calibration and test scenes share neither seeds nor
photographs. All photographs ship with scikit-image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from PIL import Image

from hide_utils.samples import Box, Sample
from hide_utils.scenes.drawing import add_clutter, draw_thing, place
from hide_utils.scenes.world import COLORS, PHOTOGRAPHS, SHAPES, SPLITS, Thing, photograph

KINDS = ("direct_attributes", "relative_position")
LARGEST_ZOOM = 2.0  # a photograph is enlarged at most this much, and mirrored where it does not fill the picture


@dataclass(frozen=True)
class SceneConfig:
    """Settings of a scene.

    Attributes:
        resolution: side of the square picture in pixels.
        object_size: smallest and largest side of an object in pixels.
        n_distractors: named objects besides those asked about, at least 0. With None their number grows with the area:
            24 at 1344 pixels, and at least 3.
        n_similar: how many of the distractors certainly share one attribute, color or shape, with an object asked
            about. The others are drawn freely and may share one by chance.
        clutter: strokes and blobs without a name, in the photograph's own colors. The unit is 12 for each 256 x 256
            pixels; 0 to 20.
        separation: smallest distance between the two objects of a relation along the axis that is asked about, as a
            share of the picture; 0 to 0.6.

    Raises:
        ValueError: for a value out of range.
    """

    resolution: int = 1344
    object_size: tuple[int, int] = (28, 52)
    n_distractors: int | None = None
    n_similar: int = 3
    clutter: float = 0.5
    separation: float = 0.2

    def __post_init__(self) -> None:
        low, high = self.object_size
        if not 8 <= low <= high <= self.resolution // 2:
            raise ValueError(
                f"object_size {self.object_size} must satisfy 8 <= smallest <= largest <= resolution / 2 = "
                f"{self.resolution // 2}"
            )
        if min(self.n_distractors or 0, self.n_similar) < 0:
            raise ValueError(f"n_distractors {self.n_distractors} and n_similar {self.n_similar} must be at least 0")
        if not 0 <= self.clutter <= 20 or not 0 <= self.separation <= 0.6:
            raise ValueError(f"clutter {self.clutter} must lie in [0, 20] and separation {self.separation} in [0, 0.6]")

    @property
    def distractors(self) -> int:
        """Number of distractors, with the default for this resolution filled in."""
        return max(3, round(24 * (self.resolution / 1344) ** 2)) if self.n_distractors is None else self.n_distractors


def background(rng: np.random.Generator, split: str, resolution: int) -> Image.Image:
    """A random part of a random photograph of the split, enlarged at most `LARGEST_ZOOM` times and mirrored to fill.

    Returns:
        RGB picture of ``resolution`` x ``resolution`` pixels.
    """
    source = photograph(str(rng.choice(PHOTOGRAPHS[split])))
    zoom = rng.uniform(0.8, LARGEST_ZOOM)
    width, height = (min(side, max(16, round(resolution / zoom))) for side in source.size)
    left, top = (int(rng.integers(0, side - part + 1)) for side, part in zip(source.size, (width, height), strict=True))
    patch = source.crop((left, top, left + width, top + height))
    patch = patch.resize(
        (min(resolution, round(width * zoom)), min(resolution, round(height * zoom))), Image.Resampling.BILINEAR
    )
    if rng.random() < 0.5:
        patch = patch.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    array = np.asarray(patch)
    return Image.fromarray(
        np.pad(array, ((0, resolution - array.shape[0]), (0, resolution - array.shape[1]), (0, 0)), mode="symmetric")
    )


def draw_scene(
    rng: np.random.Generator,
    split: str,
    config: SceneConfig,
    wanted: list[tuple[str, str]],
    relation: str | None = None,
) -> tuple[Image.Image, list[Thing]]:
    """Draw objects on a cluttered photograph.

    Args:
        rng: of everything random.
        split: that the photograph is taken from.
        config: settings of the scene.
        wanted: (shape, color) of the objects, those asked about first.
        relation: axis ``"x"`` or ``"y"`` along which the first two stand at least ``config.separation`` apart; None
            for no such rule.

    Returns:
        The picture, and the objects in the order of `wanted`. Those for which there was no place are left out, from
        the end.

    Raises:
        ValueError: where the objects asked about are too large or too far apart for the picture.
    """
    image = background(rng, split, config.resolution)
    add_clutter(image, rng, config.clutter)
    axis = {"x": 0, "y": 1, None: None}[relation]
    for _ in range(500):
        taken: list[tuple[int, int, int]] = []
        for _ in wanted:
            size = int(rng.integers(config.object_size[0], config.object_size[1] + 1))
            corner = place(rng, taken, config.resolution, size)
            if corner is None:
                break
            taken.append((*corner, size))
        if len(taken) < min(len(wanted), 1 if axis is None else 2):
            continue
        if axis is None or abs(taken[0][axis] - taken[1][axis]) >= config.separation * config.resolution:
            break
    else:
        raise ValueError(
            f"no layout found for objects of {config.object_size} px, {config.separation:.0%} apart, in a picture of "
            f"{config.resolution} px: take smaller objects, a smaller separation or a larger picture"
        )
    things = [
        draw_thing(image, rng, *pair, xy=(x, y), size=size) for pair, (x, y, size) in zip(wanted, taken, strict=False)
    ]
    return image, things


def choose_pairs(
    rng: np.random.Generator, config: SceneConfig, asked: list[tuple[str, str]], avoid: Callable[[str, str], bool]
) -> list[tuple[str, str]]:
    """Choose the (shape, color) pairs of a scene: those asked about, then its distractors in random order.

    Args:
        rng: of the choice.
        config: says how many distractors there are, and how many of them share one attribute with a pair asked about.
        asked: the pairs asked about.
        avoid: whether a shape and a color would make the question ambiguous.
    """
    every = [(s, c) for s in SHAPES for c in COLORS if not avoid(s, c)]
    similar = [(s, c) for s, c in every if any((s == a) != (c == b) for a, b in asked)]
    n_similar = min(config.n_similar, config.distractors)
    chosen = [similar[i] for i in rng.integers(0, len(similar), n_similar)] if similar else []
    chosen += [every[i] for i in rng.integers(0, len(every), config.distractors - len(chosen))]
    order = rng.permutation(len(chosen))
    return asked + [chosen[i] for i in order]


def _attribute_question(rng: np.random.Generator, split: str, config: SceneConfig):
    shape, color = str(rng.choice(SHAPES)), str(rng.choice(list(COLORS)))
    by_shape = rng.random() < 0.5
    avoid = (lambda s, c: s == shape) if by_shape else (lambda s, c: c == color)
    image, things = draw_scene(rng, split, config, choose_pairs(rng, config, [(shape, color)], avoid))
    pool = list(COLORS) if by_shape else list(SHAPES)
    answer = color if by_shape else shape
    # Wrong options are attributes that other objects in view have, so that guessing from the colors seen does not help.
    in_view = list(dict.fromkeys(t.color if by_shape else t.shape for t in things[1:]))
    wrong = [o for o in in_view if o != answer] + [
        str(o) for o in rng.permutation([p for p in pool if p != answer and p not in in_view])
    ]
    options = [answer, *wrong[:3]]
    text = f"What is the color of the {shape}?" if by_shape else f"What is the shape of the {color} object?"
    entities = [shape] if by_shape else [f"object with {color} color"]
    return image, things, text, options, entities


def _relation_question(rng: np.random.Generator, split: str, config: SceneConfig):
    first = (str(rng.choice(SHAPES)), str(rng.choice(list(COLORS))))
    second = first
    while second[0] == first[0] or second[1] == first[1]:
        second = (str(rng.choice(SHAPES)), str(rng.choice(list(COLORS))))
    axis = "x" if rng.random() < 0.5 else "y"
    image, things = draw_scene(
        rng, split, config, choose_pairs(rng, config, [first, second], lambda s, c: (s, c) in (first, second)), axis
    )
    a, b = things[:2]
    names = [f"{t.color} {t.shape}" for t in (a, b)]
    if axis == "x":
        text, options = f"Is the {names[0]} on the left or right side of the {names[1]}?", ["left", "right"]
        options = options if a.centre[0] < b.centre[0] else options[::-1]
    else:
        text, options = f"Is the {names[0]} above or below the {names[1]}?", ["above", "below"]
        options = options if a.centre[1] < b.centre[1] else options[::-1]
    return image, things, text, options, [entity_name(t) for t in (a, b)]


def entity_name(thing: Thing) -> str:
    """A thing's entity in canonical form, with both of its attributes."""
    return f"{thing.shape} with {thing.color} color"


def make_question(rng: np.random.Generator, split: str, config: SceneConfig, kind: str):
    """Draw a scene and ask about it.

    Args:
        rng: of everything random, also of the order of the options.
        split: that the photograph is taken from.
        config: settings of the scene.
        kind: of question, one of `KINDS`.

    Returns:
        Picture, things, question, options, label and entities. Things are all that were drawn. Those asked about come
        first, and are as many as there are entities.
    """
    ask = {"direct_attributes": _attribute_question, "relative_position": _relation_question}[kind]
    image, things, question, options, entities = ask(rng, split, config)
    order = rng.permutation(len(options))
    label = chr(ord("A") + int(np.argmin(order)))  # the right answer was option 0
    return image, things, question, [options[i] for i in order], label, entities


def scene_rng(split: str, seed: int, index: int) -> np.random.Generator:
    """The generator of one scene. Splits never share a random stream, whatever the seed."""
    return np.random.default_rng([SPLITS.index(split), seed, index])


def scene_samples(
    split: str = "test", n: int = 400, seed: int = 0, kinds: tuple[str, ...] = KINDS, **knobs
) -> list[Sample]:
    """Samples of the drawn scenes.

    Args:
        split: ``"train"``, ``"calibration"`` or ``"test"``. They share neither random streams nor photographs.
        n: number of samples, at least 1. The first samples of a seed are the same whatever ``n`` is.
        seed: of the draw, at least 0.
        kinds: of questions, which are taken in turn.
        **knobs: fields of `SceneConfig`.

    Raises:
        ValueError: for an unknown split, kind or setting, and for a value out of range.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; the scenes have {', '.join(SPLITS)}")
    if not kinds or any(kind not in KINDS for kind in kinds):
        raise ValueError(f"unknown kinds {kinds!r}; the scenes have {', '.join(KINDS)}")
    if n < 1 or seed < 0:
        raise ValueError(f"n must be at least 1 and seed at least 0, not n={n}, seed={seed}")
    unknown = set(knobs) - set(SceneConfig.__dataclass_fields__)
    if unknown:
        raise ValueError(
            f"unknown scene settings {sorted(unknown)}; known: {', '.join(SceneConfig.__dataclass_fields__)}"
        )
    config = replace(SceneConfig(), **knobs)
    return [_sample(split, seed, index, kinds[index % len(kinds)], config) for index in range(n)]


def _render(split: str, seed: int, index: int, kind: str, config: SceneConfig) -> Image.Image:
    return make_question(scene_rng(split, seed, index), split, config, kind)[0]


def _sample(split: str, seed: int, index: int, kind: str, config: SceneConfig) -> Sample:
    _, things, question, options, label, entities = make_question(scene_rng(split, seed, index), split, config, kind)
    asked, others = things[: len(entities)], things[len(entities) :]
    boxes: list[Box] = [(float(x0), float(y0), float(x1), float(y1)) for x0, y0, x1, y1 in (t.box_xyxy for t in asked)]
    name = f"scenes-{split}-{config.resolution}-s{seed}-{index:05d}"
    return Sample(
        name,
        question,
        options,
        label,
        kind,
        render=partial(_render, split, seed, index, kind, config),
        boxes_xyxy=boxes,
        entities=entities,
        others=[entity_name(t) for t in others],
    )
