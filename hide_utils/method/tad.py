"""Token-wise attention decoupling (TAD): attention rows -> one purified map per semantic token; localisation measures.

The instruction's own tokens ("Search the following entities in the images:") look at the picture too, and at the same
places whatever is searched. Their mean map is the *noise prior*; what a semantic token's map has above it is signal.
Maps are `(tokens, h, w)` arrays over the grid of visual tokens; boxes are normalised xyxy in [0, 1], half-open.
"""

from collections.abc import Collection, Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy import ndimage

BoxesXYXY = Sequence[Sequence[float]] | Float[np.ndarray, "_ 4"]

# Differences below a few units in the last place are rounding, not attention: min-max must not blow them up to [0, 1].
_ROUNDING = 4 * float(np.finfo(np.float32).eps)


def purify(
    attention: Float[np.ndarray, "rows h w"],
    n_noise: int = 8,
    sigma: float = 3.0,
    prior: Float[np.ndarray, "h w"] | None = None,
) -> Float[np.ndarray, "tokens h w"]:
    """Purified map of every semantic token (the method's section on TAD; exact against the authors' code).

    attention: `(n_noise + tokens, h, w)` attention of text tokens to the image grid, instruction rows first.
    n_noise: how many rows belong to the instruction; 0 subtracts nothing.
    sigma: standard deviation of the Gaussian in grid cells; 0 smooths nothing.
    prior: `(h, w)` map in [0, 1] subtracted in place of the mean of the noise rows.

    Returns float32 in [0, 1]. A token with nothing above the prior is all zero.
    Raises ValueError for rows that are not finite, a wrong number of dimensions, `n_noise` out of range or `sigma` < 0.
    """
    rows = _checked(attention)
    if not 0 <= n_noise <= len(rows):
        raise ValueError(f"n_noise={n_noise}, but there are {len(rows)} attention rows: give 0 to {len(rows)}")
    if prior is None:
        prior = noise_prior(rows[:n_noise], sigma) if n_noise else np.zeros(rows.shape[1:], np.float32)
    return subtract_prior(minmax(smooth(rows[n_noise:], sigma)), prior)


def purify_grid(
    attention: Float[np.ndarray, "rows h w"], n_noise: int, sigmas: Collection[float]
) -> Float[np.ndarray, "sigmas tokens h w"]:
    """`purify` for several `sigmas` (grid cells): `(len(sigmas), tokens, h, w)`. Errors as for `purify`."""
    if not len(sigmas):
        raise ValueError("sigmas is empty: give at least one standard deviation in grid cells")
    return np.stack([purify(attention, n_noise, float(sigma)) for sigma in sigmas])


def smooth(maps: Float[np.ndarray, "*lead h w"], sigma: float) -> Float[np.ndarray, "*lead h w"]:
    """Gaussian smoothing over the grid (`sigma` in cells, edges reflected); float32. ValueError if `sigma` < 0."""
    if not (np.isfinite(sigma) and sigma >= 0):
        raise ValueError(f"sigma={sigma}: the Gaussian's standard deviation in grid cells must be a number >= 0")
    maps = np.asarray(maps, np.float32)
    return ndimage.gaussian_filter(maps, sigma, axes=(-2, -1), mode="reflect") if sigma else maps


def minmax(maps: Float[np.ndarray, "*lead h w"]) -> Float[np.ndarray, "*lead h w"]:
    """Each map scaled to [0, 1] on its own; a flat map (which prefers no place) becomes zero. float32."""
    low, high = maps.min((-2, -1), keepdims=True), maps.max((-2, -1), keepdims=True)
    span = high - low
    flat = span <= _ROUNDING * np.abs(high)
    return np.where(flat, np.float32(0), (maps - low) / np.where(flat, np.float32(1), span)).astype(np.float32)


def noise_prior(noise: Float[np.ndarray, "rows h w"], sigma: float) -> Float[np.ndarray, "h w"]:
    """Mean of the smoothed, scaled maps of the instruction's tokens, in [0, 1]: what `purify` subtracts."""
    if not len(noise):
        raise ValueError("no noise rows: a prior needs at least one row of the instruction's tokens")
    return minmax(smooth(_checked(noise), sigma)).mean(0)


def average_prior(priors: Sequence[Float[np.ndarray, "_ _"]], grid_hw: Sequence[int]) -> Float[np.ndarray, "h w"]:
    """Mean of priors from other pictures, each resized (bilinear) to `grid_hw`: learned once, used everywhere."""
    if not len(priors):
        raise ValueError("no priors to average: give at least one (h, w) map")
    zooms = [tuple(new / old for new, old in zip(grid_hw, prior.shape, strict=True)) for prior in priors]
    resized = [ndimage.zoom(p, z, order=1, mode="nearest", grid_mode=True) for p, z in zip(priors, zooms, strict=True)]
    return np.stack(resized).mean(0, dtype=np.float32)


def subtract_prior(
    scaled: Float[np.ndarray, "tokens h w"], prior: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "tokens h w"]:
    """What each scaled map has above `prior`, scaled to [0, 1]; all zero if nothing is left. Grids must be equal."""
    if prior.shape != scaled.shape[1:]:
        raise ValueError(f"prior has grid {prior.shape}, the maps {scaled.shape[1:]}: resize it first (average_prior)")
    left = np.maximum(scaled - prior.astype(np.float32), 0)
    left[left.max((1, 2), initial=0) <= _ROUNDING] = 0
    return minmax(left)


def relative_attention(
    attention: Float[np.ndarray, "tokens h w"], reference: Float[np.ndarray, "h w"], sigma: float
) -> Float[np.ndarray, "tokens h w"]:
    """Attention divided by that of a content-free prompt, scaled to [0, 1] (ViCrop's relative attention).

    Cells where the reference has less than a thousandth of its mean are held at that, so that no ratio explodes.
    """
    base = smooth(_checked(reference[None]), sigma)[0]
    return minmax(smooth(_checked(attention), sigma) / np.maximum(base, max(1e-3 * base.mean(), 1e-12)))


def assign_images(maps: Sequence[Float[np.ndarray, "tokens _ _"]]) -> Int[np.ndarray, " tokens"]:
    """With several images, the index of the image each token belongs to: where its raw map has the largest maximum.

    maps: one `(tokens, h_i, w_i)` array of raw attention per image. Ties go to the earlier image.
    """
    if not len(maps):
        raise ValueError("no maps: give one (tokens, h, w) array per image")
    return np.argmax([_checked(m).max((1, 2)) for m in maps], axis=0)


def as_boxes(boxes_xyxy: BoxesXYXY) -> Float[np.ndarray, "boxes 4"]:
    """Boxes as a float64 array `(n, 4)`; ValueError unless every box has x0 < x1 and y0 < y1."""
    boxes = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
    if not (np.isfinite(boxes).all() and (boxes[:, 2:] > boxes[:, :2]).all()):
        raise ValueError("every box must be (x0, y0, x1, y1) with x0 < x1 and y0 < y1")
    return boxes


def box_coverage(boxes_xyxy: BoxesXYXY, grid_hw: Sequence[int]) -> Float[np.ndarray, "h w"]:
    """Share of each grid cell that lies inside the union of the (normalised) boxes, exact for overlapping boxes."""
    boxes = as_boxes(boxes_xyxy)
    height, width = grid_hw
    xs, ys, inside = _strips(boxes)
    return _overlap(ys, height) @ inside @ _overlap(xs, width).T * (height * width)


def energy_in_boxes(maps: Float[np.ndarray, "*lead h w"], boxes_xyxy: BoxesXYXY) -> Float[np.ndarray, "*lead"]:
    """Share of each map's mass that lies inside the boxes, in [0, 1]; NaN for a map that is all zero."""
    mass = np.asarray(maps, np.float64)
    inside = (mass * box_coverage(boxes_xyxy, maps.shape[-2:])).sum((-2, -1))
    total = mass.sum((-2, -1))
    return np.divide(inside, total, out=np.full_like(total, np.nan), where=total > 0)


def concentration(maps: Float[np.ndarray, "*lead h w"], boxes_xyxy: BoxesXYXY) -> Float[np.ndarray, "*lead"]:
    """Energy in the boxes over the boxes' share of the area: 1 is what a flat map has, 5 is five times as much."""
    area = union_area(boxes_xyxy)
    return energy_in_boxes(maps, boxes_xyxy) / area if area else np.full(maps.shape[:-2], np.nan)


def pointing(maps: Float[np.ndarray, "*lead h w"], boxes_xyxy: BoxesXYXY) -> Float[np.ndarray, "*lead"]:
    """Pointing game: 1.0 where the map's largest cell overlaps a box, else 0.0; NaN for a map that is all zero."""
    flat = maps.reshape(*maps.shape[:-2], -1)
    hit = box_coverage(boxes_xyxy, maps.shape[-2:]).ravel()[flat.argmax(-1)] > 1e-9
    return np.where(flat.max(-1) > 0, hit.astype(np.float64), np.nan)


def map_iou(
    maps: Float[np.ndarray, "*lead h w"], boxes_xyxy: BoxesXYXY, alphas: Collection[float]
) -> Float[np.ndarray, " alphas *lead"]:
    """IoU of {map >= alpha} with the union of the boxes, for every alpha (partly covered cells count in part).

    The best-alpha IoU of a map is `map_iou(...).max(0)`.
    """
    inside = box_coverage(boxes_xyxy, maps.shape[-2:])
    mask = np.asarray(maps)[None] >= np.asarray(list(alphas), np.float32).reshape(-1, *[1] * maps.ndim)
    both = (mask * inside).sum((-2, -1))
    return both / np.maximum(mask.sum((-2, -1)) + inside.sum() - both, 1e-12)


def union_area(boxes_xyxy: BoxesXYXY) -> float:
    """Area of the union of boxes, in squared units of the coordinates (normalised boxes: share of the picture)."""
    xs, ys, inside = _strips(as_boxes(boxes_xyxy))
    return float(np.diff(ys) @ inside @ np.diff(xs))


def iou(boxes_xyxy: BoxesXYXY, truth_xyxy: BoxesXYXY) -> float:
    """IoU of two unions of boxes in the same units; 0.0 when both are empty."""
    boxes, truth = as_boxes(boxes_xyxy), as_boxes(truth_xyxy)
    either = union_area(np.concatenate([boxes, truth]))
    return (union_area(boxes) + union_area(truth) - either) / either if either else 0.0


def coverage_recall(boxes_xyxy: BoxesXYXY, truth_xyxy: BoxesXYXY, least: float = 0.5) -> float:
    """Share of the true boxes of which at least `least` (by area) is covered by the boxes; NaN without true boxes."""
    boxes, truth = as_boxes(boxes_xyxy), as_boxes(truth_xyxy)
    both = [np.concatenate([np.maximum(boxes[:, :2], t[:2]), np.minimum(boxes[:, 2:], t[2:])], axis=1) for t in truth]
    real = [b[(b[:, 2:] > b[:, :2]).all(1)] for b in both]
    covered = [union_area(b) / union_area(t[None]) for b, t in zip(real, truth, strict=True)]
    return float(np.mean(np.array(covered) >= least - 1e-9)) if covered else float("nan")


def box_quality(regions_xyxy: BoxesXYXY, truth_xyxy: BoxesXYXY, image_size_wh: Sequence[int]) -> dict[str, float]:
    """What found regions are worth, all in pixels: `recall50`, `iou` with the true boxes, and `area`, their share.

    Without regions all three are 0. Without true boxes recall50 is NaN and iou 0.
    """
    regions, (width, height) = as_boxes(regions_xyxy), image_size_wh
    if not len(regions):
        return {"recall50": 0.0, "iou": 0.0, "area": 0.0}
    area = union_area(regions) / (width * height)
    return {"recall50": coverage_recall(regions, truth_xyxy), "iou": iou(regions, truth_xyxy), "area": area}


def _checked(attention: np.ndarray) -> np.ndarray:
    """float32 rows, refused with the row's number if they are not finite or not three-dimensional."""
    rows = np.asarray(attention, np.float32)
    if rows.ndim != 3 or 0 in rows.shape[1:]:
        raise ValueError(f"attention has shape {rows.shape}: expected (rows, h, w) with h and w at least 1")
    finite = np.isfinite(rows).all((1, 2))
    if not finite.all():
        bad = np.flatnonzero(~finite).tolist()
        raise ValueError(
            f"attention rows {bad} hold NaN or infinity: the model's numbers overflowed; run it in float32 or bfloat16"
        )
    return rows


def _strips(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sorted x edges, y edges, and the 0/1 grid of the rectangles between them that some box covers."""
    xs, ys = np.unique(boxes[:, ::2]), np.unique(boxes[:, 1::2])
    across = (boxes[:, :1] <= xs[:-1]) & (boxes[:, 2:3] >= xs[1:])
    down = (boxes[:, 1:2] <= ys[:-1]) & (boxes[:, 3:] >= ys[1:])
    return xs, ys, (down.T.astype(np.float64) @ across > 0).astype(np.float64)


def _overlap(edges: np.ndarray, cells: int) -> np.ndarray:
    """(cells, strips): length that each of `cells` equal parts of [0, 1] shares with each strip between `edges`."""
    lines = np.arange(cells + 1) / cells
    return np.clip(np.minimum(lines[1:, None], edges[1:]) - np.maximum(lines[:-1, None], edges[:-1]), 0, None)
