"""Draws a scene: a ground, strokes without names, objects with exact boxes and masks; finds where there is room.

Everything random comes from the generator that is passed in, as whole numbers in a fixed order, and pixels are mixed in
whole numbers. So the same generator gives the same pixels on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from hide_utils.scenes.world import COLORS, PHOTOGRAPHS, Thing, icon, photograph, unnamed_icons

GROUNDS = ("photographs", "procedural", "plain")
DARK = (24, 24, 24)  # color of outlines
RIM = 3  # width of the outline in half pixels
MARGIN = 2 * RIM  # room that is left for it on each side, in half pixels
COVERED = 64  # of 255: an outline that covers less of a pixel does not belong to the object
LAYOUTS = 500  # so often is a layout begun anew before it is given up

Pair = tuple[str, str]  # noun, color


def pick(rng: np.random.Generator, values: Sequence) -> Any:
    """Any one of some values."""
    return values[int(rng.integers(0, len(values)))]


@lru_cache(maxsize=8192)
def masks(name: str, size: int) -> tuple[Image.Image, Image.Image]:
    """Masks of an object: its fill, and its fill with the outline of 1.5 pixels.

    Args:
        name: a noun, or an unnamed icon.
        size: longer side of the fill in pixels.

    Returns:
        Two pictures of 8 bits and equal size, cut where less than a quarter of a pixel is outline.
    """
    large = icon(name)
    width, height = (max(1, round(side * size / max(large.size))) for side in large.size)
    twice = np.zeros((2 * height + 2 * MARGIN, 2 * width + 2 * MARGIN), np.uint8)
    twice[MARGIN:-MARGIN, MARGIN:-MARGIN] = np.asarray(large.resize((2 * width, 2 * height), Image.Resampling.BOX))
    outline = Image.fromarray(_grown(twice)).reduce(2)
    inside = np.asarray(outline) >= COVERED
    (x0, *_, x1), (y0, *_, y1) = (np.flatnonzero(inside.any(axis)) for axis in (0, 1))
    box = (int(x0), int(y0), int(x1) + 1, int(y1) + 1)
    return Image.fromarray(twice).reduce(2).crop(box), outline.crop(box)


def _grown(mask: np.ndarray) -> np.ndarray:
    """The largest value within `RIM` of each pixel along both axes, for a mask with a margin of `MARGIN`."""
    for _ in range(2):
        wide, grown = mask, np.zeros_like(mask)
        for reach in (1, 2, 3):  # windows of 2, 4 and 7 pixels
            wide = np.maximum(wide[:, :-reach], wide[:, reach:])
        grown[:, RIM:-RIM] = wide
        mask = grown.T
    return mask


def _mirrored(image: Image.Image) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def thing_mask(thing: Thing) -> np.ndarray:
    """Which pixels of its box an object covers, by at least a quarter; bool (height, width)."""
    outline = masks(thing.noun, thing.size)[1]
    return np.asarray(_mirrored(outline) if thing.mirrored else outline) >= COVERED


def draw_thing(image: Image.Image, thing: Thing) -> None:
    """Draw one object into an RGB picture, in place. Nothing outside its box changes."""
    fill, outline = masks(thing.noun, thing.size)
    if thing.mirrored:
        fill, outline = _mirrored(fill), _mirrored(outline)
    color = tuple(min(max(value + thing.shade, 0), 255) for value in COLORS[thing.color])
    image.paste(DARK, thing.box_xyxy[:2], outline)
    image.paste(color, thing.box_xyxy[:2], fill)


# --- places -----------------------------------------------------------------------------------------------------------


def place(
    rng: np.random.Generator,
    taken: Sequence[tuple[int, int, int, int]],
    size_wh: tuple[int, int],
    wanted_wh: tuple[int, int],
    gap: int = 6,
    tries: int = 40,
) -> tuple[int, int] | None:
    """Find room for an object.

    Args:
        rng: of the places that are tried.
        taken: boxes of the objects that stand already, in pixels.
        size_wh: of the picture in pixels.
        wanted_wh: of the object's box in pixels.
        gap: least distance to the other objects along one of the axes, in pixels.
        tries: places that are tried.

    Returns:
        Left and upper edge of the first place that is free. None where none of them is.
    """
    (width, height), (w, h) = size_wh, wanted_wh
    if w + 2 > width or h + 2 > height:
        return None
    x, y = rng.integers(1, width - w, tries), rng.integers(1, height - h, tries)
    x0, y0, x1, y1 = np.array(taken, int).reshape(-1, 4).T
    beside = (x[:, None] + w + gap <= x0) | (x1 + gap <= x[:, None])
    free = np.flatnonzero((beside | (y[:, None] + h + gap <= y0) | (y1 + gap <= y[:, None])).all(1))
    return (int(x[free[0]]), int(y[free[0]])) if len(free) else None


def place_thing(
    rng: np.random.Generator,
    taken: Sequence[Thing],
    pair: Pair,
    object_size: tuple[int, int],
    size_wh: tuple[int, int],
    gap: int = 6,
    tries: int = 40,
) -> Thing | None:
    """An object of random size and shade, mirrored or not, at a free place; None where none was found.

    Args:
        rng: of everything random.
        taken: the objects that stand already.
        pair: its noun, or the name of an unnamed icon, and its color.
        object_size: smallest and largest longer side of its icon in pixels.
        size_wh: of the picture in pixels.
        gap: see `place`.
        tries: see `place`.
    """
    noun, color = pair
    size = int(rng.integers(object_size[0], object_size[1] + 1))
    mirrored, shade = bool(rng.integers(0, 2)), int(rng.integers(-16, 17))
    width, height = masks(noun, size)[0].size
    corner = place(rng, [thing.box_xyxy for thing in taken], size_wh, (width, height), gap, tries)
    if corner is None:
        return None
    x, y = corner
    return Thing(noun, color, (x, y, x + width, y + height), size, mirrored, shade)


def lay_out(
    rng: np.random.Generator,
    pairs: Sequence[Pair],
    object_size: tuple[int, int],
    size_wh: tuple[int, int],
    fits: Callable[[Thing, Thing], bool] | None = None,
) -> list[Thing]:
    """Find room for all objects of a scene, none of which touch.

    Args:
        rng: of everything random.
        pairs: noun and color of each.
        object_size: smallest and largest longer side of an icon in pixels.
        size_wh: of the picture in pixels.
        fits: whether the first two stand as they should.

    Raises:
        ValueError: where no layout was found.
    """
    for _ in range(LAYOUTS):
        things: list[Thing] = []
        for pair in pairs:
            thing = place_thing(rng, things, pair, object_size, size_wh)
            if thing is None or (fits and len(things) == 1 and not fits(things[0], thing)):
                break
            things.append(thing)
        else:
            return things
    low, high = object_size
    raise ValueError(
        f"no layout found for {len(pairs)} objects of {low} to {high} px in a picture of {size_wh[0]} x {size_wh[1]} "
        "px: take fewer or smaller objects, a smaller separation or a larger picture"
    )


def scatter(
    rng: np.random.Generator,
    n: int,
    things: Sequence[Thing],
    object_size: tuple[int, int],
    size_wh: tuple[int, int],
    colors: Sequence[str] = tuple(COLORS),
) -> list[Thing]:
    """Unnamed objects in what room the named ones leave.

    Args:
        rng: of everything random.
        n: how many are tried. In a full picture some find no room and are left out.
        things: that stand already.
        object_size: smallest and largest longer side of an icon in pixels.
        size_wh: of the picture in pixels.
        colors: that they may have.
    """
    names, unnamed = unnamed_icons(), list[Thing]()
    for _ in range(n):
        pair = pick(rng, names), pick(rng, colors)
        thing = place_thing(rng, [*things, *unnamed], pair, object_size, size_wh, gap=2, tries=12)
        unnamed += [thing] if thing else []
    return unnamed


# --- grounds ----------------------------------------------------------------------------------------------------------


def draw_ground(rng: np.random.Generator, kind: str, split: str, size_wh: tuple[int, int]) -> Image.Image:
    """The picture behind the objects, RGB.

    Args:
        rng: of everything random.
        kind: one of `GROUNDS`.
        split: whose photographs are taken. Other grounds differ with the generator alone.
        size_wh: of the picture in pixels.
    """
    if kind == "plain":
        return Image.new("RGB", size_wh, tuple(rng.integers(0, 256, 3).tolist()))
    return _photograph(rng, split, size_wh) if kind == "photographs" else _procedural(rng, size_wh)


def _photograph(rng: np.random.Generator, split: str, size_wh: tuple[int, int]) -> Image.Image:
    """A part of a photograph, drawn 0.8 to 2 times as large, mirrored at random, and continued by its mirror image."""
    source = photograph(pick(rng, PHOTOGRAPHS[split]))
    percent = int(rng.integers(80, 201))
    part = [min(full, max(16, side * 100 // percent)) for full, side in zip(source.size, size_wh, strict=True)]
    left, top = (int(rng.integers(0, full - side + 1)) for full, side in zip(source.size, part, strict=True))
    to = [min(full, (side * percent + 50) // 100) for full, side in zip(size_wh, part, strict=True)]
    patch = source.resize(to, Image.Resampling.BILINEAR, (left, top, left + part[0], top + part[1]))
    if rng.integers(0, 2):
        patch = _mirrored(patch)
    rest = [full - side for full, side in zip(size_wh, to, strict=True)]
    return Image.fromarray(np.pad(np.asarray(patch), ((0, rest[1]), (0, rest[0]), (0, 0)), mode="symmetric"))


def _procedural(rng: np.random.Generator, size_wh: tuple[int, int]) -> Image.Image:
    """A gradient between four colors, a texture over it, and grain."""
    texture = pick(rng, (_clouds, _stripes, _tiles))(rng, size_wh)
    ground = Image.blend(_noise(rng, 2, size_wh), texture, int(rng.integers(1, 8)) / 8)
    grain = Image.fromarray(rng.integers(0, 256, size_wh[::-1], dtype=np.uint8))
    return Image.blend(ground, grain.convert("RGB"), int(rng.integers(0, 5)) / 16)


def _noise(rng: np.random.Generator, cells: int, size_wh: tuple[int, int]) -> Image.Image:
    """Random colors at a grid of `cells` by `cells` points, with smooth transitions."""
    colors = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
    return Image.fromarray(colors).resize(size_wh, Image.Resampling.BILINEAR)


def _clouds(rng: np.random.Generator, size_wh: tuple[int, int]) -> Image.Image:
    """Soft patches of many sizes."""
    clouds = _noise(rng, 4, (256, 256))
    for cells in (8, 16, 32, 64):
        clouds = Image.blend(clouds, _noise(rng, cells, (256, 256)), int(rng.integers(1, 5)) / 8)
    return clouds.resize(size_wh, Image.Resampling.BILINEAR)


def _stripes(rng: np.random.Generator, size_wh: tuple[int, int]) -> Image.Image:
    """Stripes of two colors in any direction, or with a second set across them."""
    columns, rows = np.arange(size_wh[0], dtype=np.int32)[None], np.arange(size_wh[1], dtype=np.int32)[:, None]
    a, b, width = int(rng.integers(1, 5)), int(rng.integers(-4, 5)), 4 * int(rng.integers(6, 80))
    odd = (columns * a + rows * b) // width % 2
    if rng.integers(0, 2):
        odd ^= (rows * a - columns * b) // width % 2
    one, other = (tuple(color) for color in rng.integers(0, 256, (2, 3)).tolist())
    image = Image.new("RGB", size_wh, one)
    image.paste(other, (0, 0), Image.fromarray(odd.astype(np.uint8) * 255))
    return image


def _tiles(rng: np.random.Generator, size_wh: tuple[int, int]) -> Image.Image:
    """One small random picture, again and again."""
    side = int(rng.integers(12, 97))
    tile = np.asarray(_noise(rng, int(rng.integers(3, 9)), (side, side)))
    repeats = (-(-size_wh[1] // side), -(-size_wh[0] // side), 1)
    return Image.fromarray(np.tile(tile, repeats)[: size_wh[1], : size_wh[0]])


def add_strokes(rng: np.random.Generator, image: Image.Image, n: int) -> None:
    """Draw lines and discs without names into a picture, in place, each in a color picked from it."""
    width, height = image.size
    draws = rng.integers(0, [width, height, width, height, 61, 61, 2, 5], (n, 8)).tolist()
    colors = [image.getpixel((column, row)) for _, _, column, row, *_ in draws]
    draw = ImageDraw.Draw(image)
    for (x, y, _, _, dx, dy, straight, thick), color in zip(draws, colors, strict=True):
        if straight:
            draw.line((x, y, x + dx - 30, y + dy - 30), fill=color, width=max(1, thick))
        else:
            draw.ellipse((x, y, x + abs(dx - 30) // 2 + 3, y + abs(dy - 30) // 2 + 3), fill=color)
