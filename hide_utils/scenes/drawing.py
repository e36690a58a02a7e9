"""Drawing on a picture: the named objects and their exact boxes, nameless clutter, and where there is room.

Everything random comes from the generator that is passed in, in a fixed order: the same generator, the same pixels.
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
    """Anti-aliased masks (fill, fill with outline) of a shape of ``size`` pixels, cropped to the outline."""
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
    """Draw one object with its top left corner near ``xy`` (pixels) into ``image``; the box is measured on its mask.

    Raises ValueError for a shape that is not among ``SHAPES``.
    """
    fill, outlined = _masks(shape, size)
    shade = tuple(int(np.clip(c + rng.integers(-14, 15), 0, 255)) for c in COLORS[color])
    image.paste((24, 24, 24), xy, ImageChops.subtract(outlined, fill))
    image.paste(shade, xy, fill)
    left, top, right, bottom = outlined.point(lambda v: 255 if v >= 64 else 0).getbbox()  # type: ignore[misc]  # no shape is empty
    return Thing(shape, color, (xy[0] + left, xy[1] + top, xy[0] + right, xy[1] + bottom))


def add_clutter(image: Image.Image, rng: np.random.Generator, clutter: float) -> None:
    """Strokes and blobs in colors picked from the picture itself, drawn in place; nothing of it has a name."""
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
    """A free corner ``(x, y)`` for an object of ``size`` pixels, ``gap`` off every ``(x, y, size)`` in ``boxes``.

    None where 60 tries found no room.
    """
    for _ in range(60):
        x, y = (int(v) for v in rng.integers(1, resolution - size - 5, 2))
        if all(
            x + size + 4 + gap < bx or bx + bs + 4 + gap < x or y + size + 4 + gap < by or by + bs + 4 + gap < y
            for bx, by, bs in boxes
        ):
            return x, y
    return None
