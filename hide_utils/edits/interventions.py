"""The analysis' picture edits with ground-truth boxes: zooming in, taken apart one step at a time (paper, analysis).

    zoom in = enlarge (`upscaled`) + crop
    crop    = less background content at the same number of tokens (`masked`) + fewer background tokens (`on_canvas`)

Each edit makes one picture, which the model answers from alone. `masked` and `on_canvas` never change an object's
pixels. `enlargement` says where an image processor does so behind their back. `hide_utils.analyses.background` has the
settings and the methods made of these edits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageFilter

from hide_utils.edits.placement import bounding_box
from hide_utils.method import lpd
from hide_utils.models import VLM

FILLS = ("white", "black", "mean", "blur")
BLUR = 0.05  # standard deviation of the blur, as a share of the picture's longer side
TOLERANCE = 0.1  # a picture's scale counts as unchanged within this share: processors round sides to whole tokens


def window(box_xyxy: Sequence[float], image_size_wh: Sequence[int], ratio: float) -> lpd.Region:
    """The picture's frame moved to the box: each edge is (1 - ratio) * picture's + ratio * box's, in pixels.

    Edges are rounded outwards, so that windows of growing ratios are nested and hold the box.

    Args:
        box_xyxy: in pixels.
        image_size_wh: width and height of the picture in pixels.
        ratio: 0 is the whole picture, 1 the box. Below 0 each edge moves out by as much as it would move in. At -1 the
            window is twice the picture less the box, in width and in height.

    Raises:
        ValueError: the ratio is outside [-1, 1].
    """
    if not -1 <= ratio <= 1:
        raise ValueError(f"ratio {ratio}: it runs from 0 (the whole picture) to 1 (the box), or out to -1")
    frame = (0, 0, *image_size_wh)
    x0, y0, x1, y1 = (round((1 - ratio) * f + ratio * b, 6) for f, b in zip(frame, box_xyxy, strict=True))
    return math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1)


def upscaled(image: Image.Image, factor: float) -> Image.Image:
    """The whole picture enlarged (bicubic): object and background grow alike, none is removed.

    What a processor's pixel budget then takes back, the model does not see.

    Args:
        image: the picture.
        factor: by which the sides grow, at least 1.

    Raises:
        ValueError: the factor is below 1.
    """
    if not factor >= 1:
        raise ValueError(f"factor {factor}: upscaling starts at 1, the picture as it is")
    if factor == 1:
        return image
    return image.resize([round(side * factor) for side in image.size], Image.Resampling.BICUBIC)


def ground(image: Image.Image, fill: str = "white") -> Image.Image:
    """What stands where the picture is hidden: white, black, its mean color, or itself blurred beyond recognition.

    Args:
        image: the picture, RGB.
        fill: one of `FILLS`. The blur is Gaussian with a standard deviation of `BLUR` times the longer side.

    Raises:
        ValueError: the fill is unknown.
    """
    if fill == "blur":
        return image.filter(ImageFilter.GaussianBlur(BLUR * max(image.size)))
    colors = {"white": (255,) * 3, "black": (0,) * 3}
    if fill == "mean":
        colors[fill] = tuple(round(c) for c in np.asarray(image.convert("RGB")).mean((0, 1)).tolist())
    if fill not in colors:
        raise ValueError(f"unknown fill {fill!r}; known: {', '.join(FILLS)}")
    return Image.new("RGB", image.size, colors[fill])


def masked(image: Image.Image, regions: Sequence[lpd.Region], ratio: float, fill: str = "white") -> Image.Image:
    """Semantic background: everything outside a window that shrinks from the picture (0) to the boxes (1) is hidden.

    Every box has a `window` of its own, and what lies in any of them stays. So at 1 only the boxes are left, however
    far apart. The picture keeps size and layout, and so its number of tokens. Only content goes.

    Args:
        image: the picture, RGB.
        regions: true boxes, pixel xyxy.
        ratio: mask ratio in [0, 1]. 0 gives the picture itself.
        fill: one of `FILLS`.

    Raises:
        ValueError: the ratio is out of its range, the fill is unknown, or there is no region.
    """
    if not len(regions) or not 0 <= ratio <= 1:
        raise ValueError(f"{len(regions)} regions at mask ratio {ratio}: need a region, and a ratio in [0, 1]")
    if ratio == 0:
        return image
    hidden = ground(image, fill)
    for kept in (window(region, image.size, ratio) for region in regions):
        hidden.paste(image.crop(kept), kept[:2])
    return hidden


def canvas_window(regions: Sequence[lpd.Region], image_size_wh: Sequence[int], ratio: float) -> lpd.Region:
    """The canvas of `on_canvas` in the picture's coordinates: the `window` of the boxes' common bounding box.

    Raises:
        ValueError: the ratio is outside [-1, 1], or there is no region.
    """
    if not len(regions):
        raise ValueError("no regions: a canvas is drawn around boxes")
    return window(bounding_box(regions), image_size_wh, ratio)


def on_canvas(image: Image.Image, regions: Sequence[lpd.Region], ratio: float) -> Image.Image:
    """Token background: the boxes alone, in their layout, on a white canvas of varying size.

    Tokens come and go, but none of them ever holds background content.

    Args:
        image: the picture, RGB.
        regions: true boxes, pixel xyxy.
        ratio: expand/crop ratio in [-1, 1]. At 0 the canvas has the picture's size, as at mask ratio 1. Positive ratios
            crop it towards the boxes' common bounding box, reached at 1. Negative ones expand it beyond the picture,
            along the same straight lines (see `window`).

    Raises:
        ValueError: the ratio is out of its range, or there is no region.
    """
    x, y, x1, y1 = canvas_window(regions, image.size, ratio)
    canvas = Image.new("RGB", (x1 - x, y1 - y), (255, 255, 255))
    for region in regions:
        canvas.paste(image.crop(region), (region[0] - x, region[1] - y))
    return canvas


def enlargement(model: VLM, image_size_wh: tuple[int, int], reference_wh: tuple[int, int]) -> float:
    """How much larger the model sees things in a picture of one size than in the reference: a ratio of lengths.

    It follows from the tokens that a pixel gets in each, so that it holds for every processor. It is above 1 where a
    small picture is enlarged to the least pixel budget, which is a hidden zoom, and below 1 where a large one is
    reduced to the greatest.
    """
    tokens = [model.n_image_tokens(size) / math.prod(size) for size in (image_size_wh, reference_wh)]
    return math.sqrt(tokens[0] / tokens[1])


def unenlarged_ratio(model: VLM, regions: Sequence[lpd.Region], image_size_wh: tuple[int, int]) -> float:
    """Largest expand/crop ratio, in steps of 0.01 from 1 down to 0, whose canvas is not enlarged (`TOLERANCE`)."""
    for ratio in np.linspace(1, 0, 101).round(2).tolist():
        x0, y0, x1, y1 = canvas_window(regions, image_size_wh, ratio)
        if enlargement(model, (x1 - x0, y1 - y0), image_size_wh) <= 1 + TOLERANCE:
            return ratio
    return 0.0
