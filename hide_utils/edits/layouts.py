"""What else could be shown of the regions: other layouts than LPD's, other fills, other sizes.

Regions are merged pixel boxes as from `lpd.merge_boxes`. An arrangement of `ARRANGEMENTS` says where each comes to lie.
A layout of `LAYOUTS` makes the picture of them.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from PIL import Image

from hide_utils.edits.interventions import FILLS, ground
from hide_utils.edits.placement import bounding_box, scatter
from hide_utils.images import composite_on_white
from hide_utils.method import lpd
from hide_utils.models import VLM

Places = list[lpd.Region]
Layout = Callable[[Image.Image, Sequence[lpd.Region]], Image.Image]


def sequential_tiling(regions: Sequence[lpd.Region]) -> Places:
    """Side by side in reading order, by upper edge and then by left edge, with tops aligned."""
    return _row(regions, sorted(range(len(regions)), key=lambda i: (regions[i][1], regions[i][0])))


def random_tiling(regions: Sequence[lpd.Region]) -> Places:
    """Side by side in random order. The regions decide it, so it is the same at every run."""
    return _row(regions, _rng(regions).permutation(len(regions)).tolist())


def _row(regions: Sequence[lpd.Region], order: Sequence[int]) -> Places:
    widths = np.array([regions[i][2] - regions[i][0] for i in order])
    left = dict(zip(order, (np.cumsum(widths) - widths).tolist(), strict=True))
    return [(left[i], 0, left[i] + x1 - x0, y1 - y0) for i, (x0, y0, x1, y1) in enumerate(regions)]


def random_aggregate(regions: Sequence[lpd.Region]) -> Places:
    """Random places, none overlapping, on a canvas as large as the compact image, the same at every run.

    Where no such places are found the canvas grows by a tenth until they are.
    """
    sizes = [(x1 - x0, y1 - y0) for x0, y0, x1, y1 in regions]
    canvas, rng = np.max(lpd.mapping(regions), axis=0)[2:], _rng(regions)
    while (places := scatter(sizes, canvas.tolist(), rng)) is None:
        canvas = np.ceil(canvas * 1.1).astype(np.int64)
    return places


def masked_in_place(regions: Sequence[lpd.Region]) -> Places:
    """Where they are. Everything else is left out."""
    return [(x0, y0, x1, y1) for x0, y0, x1, y1 in regions]


def bounding_crop(regions: Sequence[lpd.Region]) -> Places:
    """Where they are in the bounding box of them all, which is shown whole, with what lies between."""
    x, y, *_ = bounding_box(regions)
    return [(x0 - x, y0 - y, x1 - x, y1 - y) for x0, y0, x1, y1 in regions]


ARRANGEMENTS: dict[str, Callable[[Sequence[lpd.Region]], Places]] = {
    "sequential_tiling": sequential_tiling,
    "random_tiling": random_tiling,
    "random_aggregate": random_aggregate,
    "spatial_aggregate": lpd.mapping,
    "bounding_crop": bounding_crop,
    "masked_in_place": masked_in_place,
}


def order_kept(regions: Sequence[lpd.Region], places: Sequence[lpd.Region]) -> bool:
    """Whether every region that lies wholly left of (or above) another one still does."""
    before, after = np.asarray(regions), np.asarray(places)
    apart = before[:, None, 2:] <= before[None, :, :2]
    return bool((after[:, None, 2:] <= after[None, :, :2])[apart].all())


def lay_out(name: str, image: Image.Image, regions: Sequence[lpd.Region]) -> Image.Image:
    """The picture of an arrangement of `ARRANGEMENTS`: RGBA, transparent where nothing was pasted.

    A bounding crop shows all of the crop, in the mode of the picture.
    """
    if name == "bounding_crop":
        return image.crop(bounding_box(regions))
    places = ARRANGEMENTS[name](regions)
    return lpd.paste(image, regions, places, image.size if name == "masked_in_place" else None)


def filled(fill: str, image: Image.Image, regions: Sequence[lpd.Region]) -> Image.Image:
    """The compact image (RGB) with another fill where no region lies.

    A cell that no region covers still is a cell of the picture, for LPD keeps the columns and rows that regions cross.
    So "blur" shows what stands there, blurred beyond recognition.

    Args:
        fill: one of `interventions.FILLS`.
        image: the picture, RGB.
        regions: merged, pixel xyxy.

    Raises:
        ValueError: the fill is unknown.
    """
    rows, columns = (_crossed(regions, axis, image.size[axis]) for axis in (1, 0))
    shown = Image.fromarray(np.asarray(ground(image, fill))[rows][:, columns])
    compact = lpd.compact_image(image, regions)
    shown.paste(compact, mask=compact.getchannel("A"))
    return shown


def _crossed(regions: Sequence[lpd.Region], axis: int, length: int) -> np.ndarray:
    """Which pixel columns (axis 0) or rows (1) some region crosses."""
    kept = np.zeros(length, bool)
    for region in regions:
        kept[region[axis] : region[axis + 2]] = True
    return kept


def model_budget(model: VLM) -> tuple[int, int] | None:
    """Smallest number of pixels to which the model's processor enlarges a picture, and the multiple it rounds sides to.

    It is None for a family without a pixel budget, such as InternVL, which scales every picture to whole tiles.
    """
    if not hasattr(model, "budget"):
        return None
    return model.budget()["shortest_edge"], model.image_processor.patch_size * model.image_processor.merge_size


def budget_size(size_wh: Sequence[int], smallest: int, multiple: int) -> tuple[int, int]:
    """Width and height in pixels to which Qwen's processors enlarge a picture below the budget.

    Args:
        size_wh: of the picture, in pixels.
        smallest: number of pixels of the budget.
        multiple: sides are rounded to multiples of it, and are long enough for the picture at its own size.

    Returns:
        The enlarged size. A picture above the budget keeps its own.
    """
    rounded = [max(round(side / multiple), 1) * multiple for side in size_wh]
    width, height = size_wh
    if math.prod(rounded) >= smallest:
        return width, height
    scale = max(math.sqrt(smallest / math.prod(size_wh)), 1)
    return math.ceil(width * scale / multiple) * multiple, math.ceil(height * scale / multiple) * multiple


def enlargement(regions: Sequence[lpd.Region], budget: tuple[int, int]) -> float:
    """By how much the processor enlarges the sides of the regions' compact image. It is 1 where it does not.

    Args:
        regions: merged, pixel xyxy.
        budget: from `model_budget`.
    """
    size = np.max(lpd.mapping(regions), axis=0)[2:].tolist()
    return math.sqrt(math.prod(budget_size(size, *budget)) / math.prod(size))


def native_size(budget: tuple[int, int], image: Image.Image, regions: Sequence[lpd.Region]) -> Image.Image:
    """The compact image (RGB) in the middle of white, so that the processor has no reason to enlarge it.

    Objects keep their pixels, and the model spends as many tokens as on the enlarged image.

    Args:
        budget: from `model_budget`.
        image: the picture, RGB.
        regions: merged, pixel xyxy.
    """
    compact = composite_on_white(lpd.compact_image(image, regions))
    size = budget_size(compact.size, *budget)
    padded = Image.new("RGB", size, "white")
    padded.paste(compact, ((size[0] - compact.width) // 2, (size[1] - compact.height) // 2))
    return padded


def _rng(regions: Sequence[lpd.Region]) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(np.asarray(regions, np.int64).tobytes()))


LAYOUTS: dict[str, Layout] = {name: partial(lay_out, name) for name in ARRANGEMENTS}
LAYOUTS |= {f"{fill}_fill": partial(filled, fill) for fill in FILLS}
