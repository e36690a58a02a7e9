"""Layout-preserving decoupling (LPD): purified maps -> boxes -> merged regions -> compact image.

Boxes are half-open xyxy: normalised floats for tokens (`token_boxes`), whole pixels for regions (`merge_boxes`).
"""

from collections.abc import Collection, Sequence

import numpy as np
from jaxtyping import Float
from PIL import Image
from scipy import ndimage

BoxesXYXY = Sequence[Sequence[float]] | Float[np.ndarray, "_ 4"]

Box = tuple[float, float, float, float]
Region = tuple[int, int, int, int]

# 8-connected within one map, never from one token's map to the next: all maps are labelled in one call.
_WITHIN_MAP = np.zeros((3, 3, 3), bool)
_WITHIN_MAP[1] = True
# Pillow refuses to crop more than 179 megapixels at once; large regions are copied in bands of this many pixels.
_BAND_PIXELS = 2**24


def token_boxes(map_hw: Float[np.ndarray, "h w"], alpha: float = 0.7) -> list[Box]:
    """Boxes of one token's map: bounding boxes of the 8-connected parts of {map >= alpha}, the heaviest part first.

    map_hw: `(h, w)` purified map in [0, 1]. alpha: threshold in (0, 1].
    Returns normalised xyxy tuples in [0, 1], half-open; an all-zero map has none. Weight is the sum of the map over the
    part, which is the order of the authors' code. Raises ValueError for alpha outside (0, 1] and for NaN in the map.
    """
    return boxes_grid(np.asarray(map_hw)[None], [alpha])[0][0]


def boxes_grid(maps: Float[np.ndarray, "tokens h w"], alphas: Collection[float]) -> list[list[list[Box]]]:
    """`token_boxes` of many maps at many thresholds: `boxes_grid(maps, alphas)[a][t]` is a list of boxes."""
    if maps.ndim != 3 or 0 in maps.shape[1:]:
        raise ValueError(f"maps have shape {maps.shape}: expected (tokens, h, w) with h and w at least 1")
    if not np.isfinite(maps).all():
        raise ValueError("maps hold NaN or infinity: purify refuses such rows, so pass its output")
    return [_boxes_at(maps, float(alpha)) for alpha in alphas]


def _boxes_at(maps: np.ndarray, alpha: float) -> list[list[Box]]:
    if not 0 < alpha <= 1:
        raise ValueError(f"alpha={alpha}: the threshold on maps scaled to [0, 1] must lie in (0, 1]")
    labels, n = ndimage.label(maps >= alpha, _WITHIN_MAP)
    weight = np.bincount(labels.ravel(), maps.ravel(), n + 1)[1:]
    parts = ndimage.find_objects(labels) if n else []
    height, width = maps.shape[1:]
    boxes: list[list[Box]] = [[] for _ in maps]
    for i in np.argsort(-weight, kind="stable"):
        token, rows, columns = parts[i]
        boxes[token.start].append(
            (columns.start / width, rows.start / height, columns.stop / width, rows.stop / height)
        )
    return boxes


def merge_boxes(boxes: BoxesXYXY, image_size_wh: Sequence[int]) -> list[Region]:
    """Normalised boxes -> pixel regions, merged until no two overlap or touch (corners count); sorted.

    boxes: xyxy in [0, 1] (what lies outside is cut off). image_size_wh: width and height in pixels.
    Corners are truncated to whole pixels, as in the authors' code; a box that then holds no pixel is dropped.
    Raises ValueError for boxes that are not finite or have x0 >= x1, and for an image without pixels.
    """
    width, height = image_size_wh
    if width < 1 or height < 1:
        raise ValueError(f"image_size_wh={tuple(image_size_wh)}: the picture has no pixels")
    scale = np.array([width, height, width, height])
    pixels = (np.clip(as_boxes(boxes), 0, 1) * scale).astype(np.int64)
    pixels = pixels[(pixels[:, 2:] > pixels[:, :2]).all(1)]
    merged = np.empty((0, 4), np.int64)
    for start in range(0, len(pixels), 1024):  # in chunks: the table of pairs stays small for thousands of boxes
        merged = _merge(np.concatenate([merged, pixels[start : start + 1024]]))
    return sorted((x0, y0, x1, y1) for x0, y0, x1, y1 in merged.tolist())


def regions_of(maps: Float[np.ndarray, "tokens h w"], alpha: float, image_size_wh: Sequence[int]) -> list[Region]:
    """Merged pixel regions of all tokens' maps together: `boxes_grid`, then `merge_boxes`. Errors as theirs."""
    boxes = [box for of_token in boxes_grid(maps, [alpha])[0] for box in of_token]
    return merge_boxes(boxes, image_size_wh)


def _merge(boxes: np.ndarray) -> np.ndarray:
    """Bounding boxes of groups of touching boxes, repeated until nothing changes (the order has no influence)."""
    while len(boxes) > 1:
        (x0, y0), (x1, y1) = boxes[:, :2].T, boxes[:, 2:].T
        reach = (x0[:, None] <= x1) & (y0[:, None] <= y1)
        group = (reach & reach.T).argmax(1)  # the first box that each touches, itself at the latest
        group = group[group[group]]  # and the first that this one touches, and so on
        first, group = np.unique(group, return_inverse=True)
        if len(first) == len(boxes):
            break
        joined = np.empty((len(first), 4), boxes.dtype)
        joined[:, :2], joined[:, 2:] = np.iinfo(boxes.dtype).max, 0
        np.minimum.at(joined[:, :2], group, boxes[:, :2])
        np.maximum.at(joined[:, 2:], group, boxes[:, 2:])
        boxes = joined
    return boxes


def mapping(regions: Sequence[Sequence[int]]) -> list[Region]:
    """Where each region lies in the compact image (pixel xyxy, same order as `regions`).

    The picture is cut along every edge of every region; column and row strips that no region crosses are dropped and
    the rest moves together. The compact image's size is the largest x1 and y1. Raises ValueError without regions.
    """
    if not len(regions):
        raise ValueError("no regions: there is nothing to lay out; answer from the original picture instead")
    boxes = as_boxes(regions).astype(np.int64)
    corners = []
    for low, high in ((boxes[:, 0], boxes[:, 2]), (boxes[:, 1], boxes[:, 3])):
        edges = np.unique([low, high])
        crossed = ((low[:, None] <= edges[:-1]) & (high[:, None] >= edges[1:])).any(0)
        moved = np.concatenate([[0], np.cumsum(np.diff(edges) * crossed)])
        corners.append(moved[np.searchsorted(edges, low)])
    corner = np.stack(corners, axis=1)
    places = np.concatenate([corner, corner + boxes[:, 2:] - boxes[:, :2]], axis=1)
    return [tuple(place) for place in places.tolist()]


def compact_image(image: Image.Image, regions: Sequence[Sequence[int]]) -> Image.Image:
    """The regions moved together with order and relative position kept (the method's section on LPD).

    image: a picture as `images.read_image` returns it. regions: pixel xyxy inside it, as from `merge_boxes`.
    Returns RGBA, transparent where nothing was pasted; use `images.composite_on_white` where a model needs RGB.
    Raises ValueError without regions, or if one leaves the picture.
    """
    return paste(image, regions, mapping(regions))


def paste(
    image: Image.Image,
    regions: Sequence[Sequence[int]],
    places: Sequence[Sequence[int]],
    size_wh: Sequence[int] | None = None,
) -> Image.Image:
    """Copy each region of `image` to the corner of its place on a transparent RGBA canvas.

    size_wh: the canvas; by default it just holds all places. With `places=regions, size_wh=image.size` the picture is
    masked in place. Raises ValueError if a region leaves the picture.
    """
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"the picture has mode {image.mode}: read it with hide_utils.images.read_image first")
    canvas = Image.new("RGBA", tuple(size_wh or np.max(places, axis=0)[2:].tolist()))
    for (x0, y0, x1, y1), (x, y, *_) in zip(regions, places, strict=True):
        if not (0 <= x0 < x1 <= image.width and 0 <= y0 < y1 <= image.height):
            raise ValueError(f"region {(x0, y0, x1, y1)} leaves the picture of {image.width}x{image.height} pixels")
        band = max(1, _BAND_PIXELS // (x1 - x0))
        for top in range(y0, y1, band):
            crop = image.crop((x0, top, x1, min(top + band, y1)))
            canvas.paste(crop.convert("RGBA"), (x, y + top - y0))
    return canvas


def as_boxes(boxes_xyxy: BoxesXYXY) -> Float[np.ndarray, "boxes 4"]:
    """Boxes as a float64 array `(n, 4)`; ValueError unless every box has x0 < x1 and y0 < y1."""
    boxes = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
    if not (np.isfinite(boxes).all() and (boxes[:, 2:] > boxes[:, :2]).all()):
        raise ValueError("every box must be (x0, y0, x1, y1) with x0 < x1 and y0 < y1")
    return boxes
