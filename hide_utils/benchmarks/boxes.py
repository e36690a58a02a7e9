"""True boxes in pixels of their pictures: scaled from a declared format, cut at the edge, refused where empty."""

from __future__ import annotations

import ast
import contextlib
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from hide_utils.config import nearest
from hide_utils.images import ImageError
from hide_utils.samples import Sample

BOX_FORMATS = {"pixels": 0, "0 to 1": 1, "0 to 1000": 1000}  # name -> number that stands for a whole side
_DECLARE = f"declare their box_format ({', '.join(BOX_FORMATS)})"


def read_boxes(value: Any, size_wh: Callable[[], tuple[int, int]], box_format: str | None = None) -> dict[str, Any]:
    """V*Bench's boxes, a list of ``[x, y, w, h]`` or one such box alone, as fields of `Sample`.

    Where the picture's size cannot be read, boxes in pixels stay as they are: reading the picture says why.

    Args:
        value: as it stands in the file; None for no boxes.
        size_wh: tells the picture's width and height in pixels.
        box_format: a name in `BOX_FORMATS`; None stands for pixels.

    Returns:
        ``boxes_xyxy`` and ``boxes_cut``.

    Raises:
        ValueError: for anything else, for a box that holds no pixel of the picture, and for an unknown format.
    """
    if value is None or value == []:
        return {"boxes_xyxy": []}
    try:
        boxes = np.atleast_2d(np.array(value, float))
    except (TypeError, ValueError):
        boxes = np.empty(0)
    if boxes.shape[1:] != (4,) or not np.isfinite(boxes).all() or boxes[:, 2:].min() <= 0:
        raise ValueError(f"{value!r:.80} is no list of x, y, w, h with w, h > 0")
    if box_format not in (None, *BOX_FORMATS):
        raise ValueError(f"unknown box_format {box_format!r}; {nearest(str(box_format), BOX_FORMATS)}")
    whole = BOX_FORMATS[box_format or "pixels"]
    try:
        ends = np.tile(size_wh(), 2)
    except (ImageError, OSError):
        if whole:
            raise
        ends = np.full(4, np.inf)
    pixels = np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]) * (ends / whole if whole else 1)
    within = np.clip(pixels, 0, ends)
    empty = (within[:, 2:] - within[:, :2]).min(1) < 0.99  # a little less than a pixel, since shares are rounded
    if empty.any() or (box_format is None and pixels.max() <= 1 < ends.min()):
        box, size = boxes[empty.argmax()].tolist(), "x".join(f"{end:g}" for end in ends[:2])
        raise ValueError(f"x, y, w, h = {box} holds no pixel of its picture of {size}: correct it, or {_DECLARE}")
    cut = np.abs(within - pixels).max(1) > 0.5
    return {"boxes_xyxy": list(map(tuple, within.tolist())), "boxes_cut": int(cut.sum())}


def read_corners(value: Any, size_wh: Callable[[], tuple[int, int]]) -> dict[str, Any]:
    """Boxes by two corners each, ``[x0, y0, x1, y1]`` in pixels, as fields of `Sample`.

    Args:
        value: a list of boxes, one box alone, or a text of either; None or an empty text for no boxes.
        size_wh: tells the picture's width and height in pixels.

    Raises:
        ValueError: for anything else, and for a box that holds no pixel of the picture.
    """
    try:
        given = ast.literal_eval(value.strip() or "[]") if isinstance(value, str) else value
        corners = np.array([] if given is None else given, float, ndmin=1)
    except (TypeError, ValueError, SyntaxError):
        corners = np.full(1, np.nan)
    if not corners.size:
        return {"boxes_xyxy": []}
    if corners.shape[-1] != 4 or corners.ndim > 2 or not np.isfinite(corners).all():
        raise ValueError(f"{value!r:.80} is no list of x0, y0, x1, y1")
    x0, y0, x1, y1 = corners.T
    return read_boxes(np.stack([x0, y0, x1 - x0, y1 - y0], axis=-1).tolist(), size_wh)


def ask_for_format(file: Path, samples: Sequence[Sample]) -> None:
    """Warn where all boxes of an undeclared format lie in the first 1000 pixels of much larger pictures."""
    boxed = [sample for sample in samples if sample.boxes_xyxy]
    with contextlib.suppress(ImageError, OSError):  # the picture says so when it is read
        if boxed and max(max(box) for sample in boxed for box in sample.boxes_xyxy) <= 1000:
            if min(max(cast(Any, render).size_wh()) for sample in boxed for render in sample.renders) >= 2000:
                warnings.warn(f"{file}: all true boxes end below 1000, in larger pictures: {_DECLARE}", stacklevel=2)
