"""The pictures of the lessons: scenes, parts of them as second pictures, and first pictures that are no help.

Second pictures are close-ups of one thing, cut-outs on white, or windows. They are what a method that zooms in shows.
First pictures may mislead (the same things at other places and in other colors), be blurred, or alone hold what is
asked. So the model learns which of two pictures to believe.

Throughout, pictures are uint8 arrays ``(height, width, 3)``, and ``grid_hw`` counts visual tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from hide_utils.mini.checkpoint import CELL
from hide_utils.mini.curriculum import LARGE, Lesson
from hide_utils.scenes.drawing import add_strokes, draw_ground, draw_thing, place_thing, scatter
from hide_utils.scenes.world import COLORS, NOUNS, Thing

Pairs = list[tuple[str, str]]  # (noun, color)
Box = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels, half-open
CLOSE_UP, CUT_OUT = 0.3, 0.85  # shares of the second pictures, cumulated; windows are the rest


@dataclass(frozen=True)
class Shown:
    """What a conversation is about: a picture with its things, and maybe a second one with what may be asked."""

    image: np.ndarray
    things: list[Thing]
    second: np.ndarray | None = None
    asked: list[Thing] | None = None


def drawn_pairs(rng: np.random.Generator, n: int) -> Pairs:
    """At most ``n`` nouns with colors. Some repeat an earlier noun or color, so that both attributes are needed."""
    names, often = list(COLORS), rng.uniform(0.2, 0.9)
    pairs: Pairs = []
    for _ in range(n):
        noun, color = NOUNS[rng.integers(0, len(NOUNS))], names[rng.integers(0, len(names))]
        if pairs and rng.random() < often:
            other = pairs[rng.integers(0, len(pairs))]
            noun, color = (other[0], color) if rng.random() < 0.7 else (noun, other[1])
        if (noun, color) not in pairs:
            pairs.append((noun, color))
    if rng.random() < 0.5 and len(pairs) > 2:  # the first is unlike all others
        first = pairs[0]
        pairs = [first, *[(n, c) for n, c in pairs[1:] if n != first[0] and c != first[1]]]
    return pairs


def draw(
    rng: np.random.Generator, side: int, pairs: Pairs, object_size: tuple[int, int], strokes: float, unnamed: float
) -> tuple[np.ndarray, list[Thing]]:
    """A square training scene, and its things in the order of ``pairs``. Those that found no room are left out.

    strokes, unnamed: how many strokes, in units of 12, and unnamed objects are expected for each 256 x 256 pixels.
    """
    wh, area = (side, side), (side / 256) ** 2
    image = draw_ground(rng, "photographs", "train", wh)
    add_strokes(rng, image, int(rng.poisson(12 * strokes * area)))
    things: list[Thing] = []
    for pair in pairs:
        thing = place_thing(rng, things, pair, object_size, wh)
        things += [thing] if thing else []
    strangers = scatter(rng, int(rng.poisson(unnamed * area)), things, object_size, wh)
    for thing in [*strangers, *things]:
        draw_thing(image, thing)
    return np.array(image), things


def shown(rng: np.random.Generator, lesson: Lesson, side: int, grid_hw: tuple[int, int] | None) -> Shown:
    """Draw what one conversation of a lesson is about.

    Args:
        rng: of the batch.
        lesson: says how many things and how hard.
        side: of the first picture, in pixels.
        grid_hw: of the second picture; None for none.
    """
    least = 2 if grid_hw is None else 4
    most = min(max(3, round(lesson.density * (side / 128) ** 2)), lesson.things)
    n = int(rng.integers(least, max(least, most) + 1))
    unnamed = rng.uniform(0, lesson.unnamed_large if side > LARGE or grid_hw else lesson.unnamed)
    pairs, strokes = drawn_pairs(rng, n), float(rng.uniform(0, 1))
    image, things = draw(rng, side, pairs, lesson.object_size, strokes, unnamed if rng.random() < 0.7 else 0.0)
    if not things:
        image, things = draw(rng, side, drawn_pairs(rng, 2), (30, 44), 0.2, 0.0)
    if grid_hw is None:
        return Shown(image, things)
    second, inside = second_picture(rng, image, things, grid_hw)
    if not inside:
        second, inside = second_picture(rng, image, things[:1], grid_hw)
    return _first_picture(rng, lesson, Shown(image, things, second, inside or None), unnamed)


def _first_picture(rng: np.random.Generator, lesson: Lesson, pair: Shown, unnamed: float) -> Shown:
    """The pair, with a first picture that may mislead or be blurred, or with what only the first one holds asked."""
    luck, inside, side = rng.random(), pair.asked or [], pair.image.shape[0]
    if luck < lesson.misled:
        colors = [pair.things[i].color for i in rng.permutation(len(pair.things))]
        told = [(t.noun, color) for t, color in zip(pair.things, colors, strict=True)]
        image, _ = draw(rng, side, told, lesson.object_size, float(rng.uniform(0, 1)), unnamed)
        return replace(pair, image=image)
    if luck < lesson.misled + lesson.lacking and side <= LARGE:
        values = {t.noun for t in inside} | {t.color for t in inside}
        only_first = [t for t in pair.things if values.isdisjoint((t.noun, t.color))]
        return replace(pair, asked=only_first or pair.asked)
    return replace(pair, image=blurred(rng, pair.image)) if rng.random() < lesson.blur else pair


def second_picture(
    rng: np.random.Generator, image: np.ndarray, things: list[Thing], grid_hw: tuple[int, int]
) -> tuple[np.ndarray, list[Thing]]:
    """A part of a scene, and the things that it shows whole."""
    wh = grid_hw[1] * CELL, grid_hw[0] * CELL
    form = rng.random()
    focus = things[0 if rng.random() < 0.5 else rng.integers(0, len(things))]
    window = _window(rng, focus, (image.shape[1], image.shape[0]), wh, close=form < CLOSE_UP)
    x0, y0, x1, y1 = window
    part = image[y0:y1, x0:x1]
    inside = [t for t in things if _contains(window, t.box_xyxy)]
    if CLOSE_UP <= form < CUT_OUT and inside:
        inside = [inside[i] for i in rng.permutation(len(inside))[: int(rng.integers(1, len(inside) + 1))]]
        part = _cut_out(rng, image, window, inside)
    return np.asarray(Image.fromarray(part).resize(wh, Image.Resampling.BILINEAR)), inside


def _contains(outer: Box, inner: Box) -> bool:
    return outer[0] <= inner[0] and outer[1] <= inner[1] and inner[2] <= outer[2] and inner[3] <= outer[3]


def _window(
    rng: np.random.Generator, focus: Thing, image_size_wh: tuple[int, int], wh: tuple[int, int], close: bool
) -> Box:
    """The part of a picture that is scaled to ``wh`` pixels: around one thing, or somewhere with it."""
    x0, y0, x1, y1 = focus.box_xyxy
    if close:
        margin = int(rng.integers(0, 6 if rng.random() < 0.5 else 30))
        zoom = 1 / max((x1 - x0 + 2 * margin) / wh[0], (y1 - y0 + 2 * margin) / wh[1])
    else:
        zoom = float(np.exp(rng.uniform(np.log(0.7), np.log(2.6))))
    within = (0.5, 0.5) if close else tuple(rng.uniform(0.15, 0.85, 2))
    sizes = [min(whole, max(int(part / zoom), 16)) for whole, part in zip(image_size_wh, wh, strict=True)]
    left, top = (
        int(np.clip(centre - share * size, 0, whole - size))
        for centre, share, size, whole in zip(focus.centre, within, sizes, image_size_wh, strict=True)
    )
    return left, top, left + sizes[0], top + sizes[1]


def _cut_out(rng: np.random.Generator, image: np.ndarray, window: Box, kept: list[Thing]) -> np.ndarray:
    """The window on white: only boxes around the kept things are copied, with margins that are often tight."""
    x0, y0, x1, y1 = window
    canvas = np.full_like(image[y0:y1, x0:x1], 255)
    for thing in kept:
        left, top, right, bottom = rng.integers(0, 5 if rng.random() < 0.5 else 40, 4)
        a, b = max(x0, thing.box_xyxy[0] - left), max(y0, thing.box_xyxy[1] - top)
        c, d = min(x1, thing.box_xyxy[2] + right), min(y1, thing.box_xyxy[3] + bottom)
        canvas[b - y0 : d - y0, a - x0 : c - x0] = image[b:d, a:c]
    return canvas


def blurred(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """The picture made 2 to 7 times smaller and enlarged again."""
    h, w = image.shape[:2]
    factor = rng.uniform(2, 7)
    small = Image.fromarray(image).resize(
        (max(16, round(w / factor)), max(16, round(h / factor))), Image.Resampling.BOX
    )
    return np.asarray(small.resize((w, h), Image.Resampling.BILINEAR))
