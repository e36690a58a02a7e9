"""Draws on a picture: objects with names and exact boxes, and clutter without; finds where there is room.

Everything random comes from the generator that is passed in, in a fixed order. So the same generator gives the same
pixels.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from hide_utils.scenes.world import COLORS, SHAPES, Thing


def _polygon(points: list[tuple[float, float]], side: int) -> list[tuple[float, float]]:
    return [(x * side, y * side) for x, y in points]


def _star() -> list[tuple[float, float]]:
    radii = [0.5 if i % 2 == 0 else 0.2 for i in range(10)]
    angles = [np.pi * (i / 5 - 0.5) for i in range(10)]
    return [(0.5 + r * np.cos(a), 0.5 + r * np.sin(a)) for r, a in zip(radii, angles, strict=True)]


_OUTLINES = {
    "triangle": [(0.5, 0.0), (1.0, 1.0), (0.0, 1.0)],
    "diamond": [(0.5, 0.0), (0.85, 0.5), (0.5, 1.0), (0.15, 0.5)],
    "star": _star(),
    "cross": [
        (x / 3, y / 3)
        for x, y in ((1, 0), (2, 0), (2, 1), (3, 1), (3, 2), (2, 2), (2, 3), (1, 3), (1, 2), (0, 2), (0, 1), (1, 1))
    ],
}


@lru_cache(maxsize=4096)
def _masks(shape: str, size: int) -> tuple[Image.Image, Image.Image]:
    """Anti-aliased masks of a shape of ``size`` pixels: its fill, and its fill with the outline.

    Both are ``size + 4`` pixels wide and high, which leaves room for the outline.
    """
    side, margin = 4 * size, 8
    canvas = Image.new("L", (side + 2 * margin, side + 2 * margin))
    fill = Image.new("L", (side, side))
    draw = ImageDraw.Draw(fill)
    if shape in _OUTLINES:
        draw.polygon(_polygon(_OUTLINES[shape], side - 1), fill=255)
    elif shape == "square":
        draw.rectangle((side * 0.06, side * 0.06, side * 0.94, side * 0.94), fill=255)
    elif shape in ("circle", "ring"):
        draw.ellipse((0, 0, side - 1, side - 1), fill=255)
        if shape == "ring":
            draw.ellipse((side * 0.27, side * 0.27, side * 0.73, side * 0.73), fill=0)
    elif shape == "heart":
        draw.ellipse((0, 0, side * 0.54, side * 0.54), fill=255)
        draw.ellipse((side * 0.46, 0, side - 1, side * 0.54), fill=255)
        draw.polygon(_polygon([(0.045, 0.38), (0.955, 0.38), (0.5, 1.0)], side - 1), fill=255)
    else:
        raise ValueError(f"unknown shape {shape!r}; known: {', '.join(SHAPES)}")
    canvas.paste(fill, (margin, margin))
    small = (size + 4, size + 4)
    outlined = canvas.filter(ImageFilter.MaxFilter(9)).resize(small, Image.Resampling.BOX)
    return canvas.resize(small, Image.Resampling.BOX), outlined


def draw_thing(
    image: Image.Image, rng: np.random.Generator, shape: str, color: str, xy: tuple[int, int], size: int
) -> Thing:
    """Draw one object into a picture.

    Args:
        image: RGB, drawn on in place.
        rng: of the object's shade.
        shape: one of `SHAPES`.
        color: one of `COLORS`.
        xy: near the object's top left corner, in pixels. The box that is returned is exact.
        size: of the object, in pixels.

    Returns:
        The object, with the box measured on its mask.

    Raises:
        ValueError: for an unknown shape.
    """
    fill, outlined = _masks(shape, size)
    shade = tuple(int(np.clip(c + rng.integers(-14, 15), 0, 255)) for c in COLORS[color])
    image.paste((24, 24, 24), xy, ImageChops.subtract(outlined, fill))
    image.paste(shade, xy, fill)
    left, top, right, bottom = outlined.point(lambda v: 255 if v >= 64 else 0).getbbox()  # type: ignore[misc]  # no shape is empty
    return Thing(shape, color, (xy[0] + left, xy[1] + top, xy[0] + right, xy[1] + bottom))


def add_clutter(image: Image.Image, rng: np.random.Generator, clutter: float) -> None:
    """Draw strokes and blobs without names into a picture, in place and in colors picked from it.

    clutter: how many, in units of 12 for each 256 x 256 pixels.
    """
    side, draw = image.width, ImageDraw.Draw(image)
    for _ in range(int(rng.poisson(12 * clutter * (side / 256) ** 2))):
        x, y = (int(v) for v in rng.integers(0, side, 2))
        color = image.getpixel([int(v) for v in rng.integers(0, side, 2)])
        dx, dy = (int(v) for v in rng.integers(-30, 31, 2))
        if rng.random() < 0.5:
            draw.line((x, y, x + dx, y + dy), fill=color, width=int(rng.integers(1, 5)))
        else:
            draw.ellipse((x, y, x + abs(dx) // 2 + 3, y + abs(dy) // 2 + 3), fill=color)


def place(
    rng: np.random.Generator, boxes: list[tuple[int, int, int]], resolution: int, size: int, gap: int = 6
) -> tuple[int, int] | None:
    """Find room for an object.

    Args:
        rng: of the places that are tried.
        boxes: (x, y, size) of the objects that stand already, in pixels.
        resolution: side of the square picture, in pixels.
        size: of the object, in pixels.
        gap: least distance to the other objects, in pixels.

    Returns:
        The corner (x, y) for the object, in pixels; None where 60 tries found no room.
    """
    for _ in range(60):
        x, y = (int(v) for v in rng.integers(1, resolution - size - 5, 2))
        if all(
            x + size + 4 + gap < bx or bx + bs + 4 + gap < x or y + size + 4 + gap < by or by + bs + 4 + gap < y
            for bx, by, bs in boxes
        ):
            return x, y
    return None
