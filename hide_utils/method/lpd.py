"""Layout-preserving decoupling (LPD): purified maps -> boxes -> merged regions -> compact image.

All boxes are half-open xyxy. A token's boxes are normalised floats (`token_boxes`), regions are whole pixels
(`merge_boxes`). Boxes that are known in pixels, as true ones are, become regions by `pixel_regions`.
"""

from collections.abc import Collection, Sequence

import numpy as np
from jaxtyping import Float
from PIL import Image
from scipy import ndimage

BoxesXYXY = Sequence[Sequence[float]] | Float[np.ndarray, "_ 4"]

Box = tuple[float, float, float, float]
Region = tuple[int, int, int, int]

# All maps are labelled in one call: 8-connected within a map, never from one token's map to the next.
_WITHIN_MAP = np.zeros((3, 3, 3), bool)
_WITHIN_MAP[1] = True
# Pillow refuses to crop more than 179 megapixels at once, so large regions are copied in bands of this many pixels.
_BAND_PIXELS = 2**24
# Boxes are merged in chunks of this many, so that the table of pairs stays small for thousands of boxes.
_MERGED_AT_ONCE = 1024


def token_boxes(map_hw: Float[np.ndarray, "h w"], alpha: float = 0.7) -> list[Box]:
    """Boxes of one token's map: the bounding boxes of the 8-connected parts of {map >= alpha}.

    Args:
        map_hw: `(h, w)` purified map in [0, 1].
        alpha: threshold in (0, 1].

    Returns:
        Normalised half-open xyxy tuples in [0, 1]. The part with the largest sum of the map comes first, as in the
        authors' code. An all-zero map has no box.

    Raises:
        ValueError: alpha lies outside (0, 1], or the map holds NaN.
    """
    return boxes_grid(np.asarray(map_hw)[None], [alpha])[0][0]


def boxes_grid(maps: Float[np.ndarray, "tokens h w"], alphas: Collection[float]) -> list[list[list[Box]]]:
    """`token_boxes` of many maps at many thresholds.

    Args:
        maps: `(tokens, h, w)` purified maps in [0, 1].
        alphas: thresholds in (0, 1].

    Returns:
        `boxes_grid(maps, alphas)[a][t]` is the list of boxes of token t at threshold a.

    Raises:
        ValueError: the maps are not finite or not three-dimensional, or a threshold lies outside (0, 1].
    """
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
    """Normalised boxes -> pixel regions, merged until no two of them overlap or touch. Corners count as touching.

    Corners are truncated to whole pixels, as in the authors' code. A box that then holds no pixel is dropped.

    Args:
        boxes: xyxy in [0, 1]. What lies outside is cut off.
        image_size_wh: width and height of the picture in pixels.

    Returns:
        Half-open xyxy in pixels, sorted.

    Raises:
        ValueError: a box is not finite or has x0 >= x1 or y0 >= y1, or the picture has no pixels.
    """
    return _regions(np.clip(as_boxes(boxes), 0, 1) * (*image_size_wh, *image_size_wh), image_size_wh)


def pixel_regions(boxes_xyxy: BoxesXYXY, image_size_wh: Sequence[int]) -> list[Region]:
    """Boxes in pixels -> regions that hold all of them, merged until no two overlap or touch, as by `merge_boxes`.

    Args:
        boxes_xyxy: in pixels. What lies outside the picture is cut off, and a box without a pixel inside is dropped.
        image_size_wh: width and height of the picture in pixels.

    Returns:
        Half-open xyxy in pixels, sorted.

    Raises:
        ValueError: as by `merge_boxes`.
    """
    return _regions(whole_pixels(boxes_xyxy), image_size_wh)


def whole_pixels(boxes_xyxy: BoxesXYXY) -> Float[np.ndarray, "boxes 4"]:
    """Boxes in pixels with each edge moved outwards to the next whole pixel. Whole ones stay as they are."""
    boxes = as_boxes(boxes_xyxy)
    return np.concatenate([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])], axis=1)


def _regions(boxes: Float[np.ndarray, "boxes 4"], image_size_wh: Sequence[int]) -> list[Region]:
    """Boxes in pixels, truncated to whole ones, cut to the picture and merged."""
    if min(image_size_wh) < 1:
        raise ValueError(f"image_size_wh={tuple(image_size_wh)}: the picture has no pixels")
    pixels = np.clip(boxes, 0, (*image_size_wh, *image_size_wh)).astype(np.int64)
    pixels = pixels[(pixels[:, 2:] > pixels[:, :2]).all(1)]
    merged = np.empty((0, 4), np.int64)
    for start in range(0, len(pixels), _MERGED_AT_ONCE):
        merged = _merge(np.concatenate([merged, pixels[start : start + _MERGED_AT_ONCE]]))
    return sorted((x0, y0, x1, y1) for x0, y0, x1, y1 in merged.tolist())


def regions_of(maps: Float[np.ndarray, "tokens h w"], alpha: float, image_size_wh: Sequence[int]) -> list[Region]:
    """Merged pixel regions of all tokens' maps together: `boxes_grid`, then `merge_boxes`.

    Args:
        maps: `(tokens, h, w)` purified maps in [0, 1].
        alpha: threshold in (0, 1].
        image_size_wh: width and height of the picture in pixels.

    Raises:
        ValueError: as `boxes_grid` for maps and threshold, and as `merge_boxes` for the picture's size.
    """
    boxes = [box for of_token in boxes_grid(maps, [alpha])[0] for box in of_token]
    return merge_boxes(boxes, image_size_wh)


def _merge(boxes: np.ndarray) -> np.ndarray:
    """Bounding boxes of groups of touching boxes, repeated until nothing changes. Their order has no influence."""
    while len(boxes) > 1:
        (x0, y0), (x1, y1) = boxes[:, :2].T, boxes[:, 2:].T
        reach = (x0[:, None] <= x1) & (y0[:, None] <= y1)
        # A box joins the first box that it touches (at the latest itself), and that box's group in turn.
        group = (reach & reach.T).argmax(1)
        group = group[group[group]]
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
    """Where each region lies in the compact image.

    The picture is cut along every edge of every region. Column and row strips that no region crosses are dropped, and
    the rest moves together.

    Args:
        regions: half-open xyxy in pixels of the picture.

    Returns:
        Half-open xyxy in pixels of the compact image, in the order of `regions`. The compact image's width and height
        are the largest x1 and y1.

    Raises:
        ValueError: there is no region.
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
    """The regions moved together, with their order and relative position kept (paper, section on LPD).

    Args:
        image: a picture as `hide_utils.images.read_image` returns it.
        regions: half-open xyxy in pixels inside it, as from `merge_boxes`.

    Returns:
        RGBA, transparent where nothing was pasted. Use `hide_utils.images.composite_on_white` where a model needs RGB.

    Raises:
        ValueError: there is no region, or one leaves the picture.
    """
    return paste(image, regions, mapping(regions))


def paste(
    image: Image.Image,
    regions: Sequence[Sequence[int]],
    places: Sequence[Sequence[int]],
    size_wh: Sequence[int] | None = None,
) -> Image.Image:
    """Copy each region of a picture to the corner of its place on a transparent canvas.

    With `places=regions` and `size_wh=image.size` everything but the regions is masked.

    Args:
        image: a picture as `hide_utils.images.read_image` returns it.
        regions: half-open xyxy in pixels of the picture.
        places: for each region, where it goes: its first two numbers are the corner in pixels of the canvas.
        size_wh: width and height of the canvas. None takes the smallest that holds all places.

    Returns:
        RGBA canvas.

    Raises:
        ValueError: a region leaves the picture, or the picture is not of a mode that `read_image` returns.
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
    """Boxes as a `(boxes, 4)` float64 array.

    Raises:
        ValueError: a box is not finite, or has x0 >= x1 or y0 >= y1.
    """
    boxes = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
    if not (np.isfinite(boxes).all() and (boxes[:, 2:] > boxes[:, :2]).all()):
        raise ValueError("every box must be (x0, y0, x1, y1) with x0 < x1 and y0 < y1")
    return boxes
