"""How well maps and boxes find what is asked: measures against true boxes, in array work alone.

Boxes are half-open xyxy. Where maps and boxes meet, boxes are normalised to [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from hide_utils.method import BoxesXYXY, as_boxes, lpd, tad


def average_prior(priors: Sequence[Float[np.ndarray, "_ _"]], grid_hw: Sequence[int]) -> Float[np.ndarray, "h w"]:
    """A noise prior learned from other pictures: the mean of theirs, each resized bilinearly to a grid.

    Args:
        priors: `(h_i, w_i)` maps in [0, 1], as from `tad.noise_prior`.
        grid_hw: rows and columns of the grid.

    Raises:
        ValueError: there is no prior.
    """
    if not len(priors):
        raise ValueError("no priors to average: give at least one (h, w) map")
    zooms = [tuple(new / old for new, old in zip(grid_hw, prior.shape, strict=True)) for prior in priors]
    resized = [ndimage.zoom(p, z, order=1, mode="nearest", grid_mode=True) for p, z in zip(priors, zooms, strict=True)]
    return np.stack(resized).mean(0, dtype=np.float32)


def top_cells(map_hw: Float[np.ndarray, "h w"], share: float) -> Bool[np.ndarray, "h w"]:
    """The cells with the highest values, the first of equals.

    Args:
        map_hw: any map.
        share: of all cells, in (0, 1], rounded up to whole cells.

    Raises:
        ValueError: the share is out of its range.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share={share}: a share of the cells lies in (0, 1]")
    mask = np.zeros(map_hw.size, bool)
    mask[np.argsort(-map_hw.ravel(), kind="stable")[: int(np.ceil(share * map_hw.size - 1e-9))]] = True
    return mask.reshape(map_hw.shape)


def box_coverage(boxes_xyxy: BoxesXYXY, grid_hw: Sequence[int]) -> Float[np.ndarray, "h w"]:
    """Share in [0, 1] of each grid cell that lies inside the union of normalised boxes, exact where these overlap."""
    boxes = as_boxes(boxes_xyxy)
    height, width = grid_hw
    xs, ys, inside = _strips(boxes)
    return _overlap(ys, height) @ inside @ _overlap(xs, width).T * (height * width)


def energy_in_boxes(maps: Float[np.ndarray, "*lead h w"], boxes_xyxy: BoxesXYXY) -> Float[np.ndarray, "*lead"]:
    """Share in [0, 1] of each map's mass that lies inside the normalised boxes. NaN for a map that is all zero."""
    mass = np.asarray(maps, np.float64)
    inside = (mass * box_coverage(boxes_xyxy, maps.shape[-2:])).sum((-2, -1))
    total = mass.sum((-2, -1))
    return np.divide(inside, total, out=np.full_like(total, np.nan), where=total > 0)


def concentration(maps: Float[np.ndarray, "*lead h w"], boxes_xyxy: BoxesXYXY) -> Float[np.ndarray, "*lead"]:
    """Energy in the normalised boxes over their share of the area. A flat map has 1; 5 is five times as much."""
    area = union_area(boxes_xyxy)
    return energy_in_boxes(maps, boxes_xyxy) / area if area else np.full(maps.shape[:-2], np.nan)


def pointing(maps: Float[np.ndarray, "*lead h w"], boxes_xyxy: BoxesXYXY) -> Float[np.ndarray, "*lead"]:
    """Pointing game: 1.0 where a map's largest cell overlaps a normalised box, else 0.0. NaN for a map of zeros."""
    flat = maps.reshape(*maps.shape[:-2], -1)
    hit = box_coverage(boxes_xyxy, maps.shape[-2:]).ravel()[flat.argmax(-1)] > 1e-9
    return np.where(flat.max(-1) > 0, hit.astype(np.float64), np.nan)


def auc(maps: Float[np.ndarray, "*lead h w"], boxes_xyxy: BoxesXYXY) -> Float[np.ndarray, "*lead"]:
    """Probability that a cell inside the union of normalised boxes has more than one outside: the area under the ROC.

    A flat map has 0.5. Equal cells count half. A cell that a box covers in part is inside and outside in these parts.
    """
    inside = box_coverage(boxes_xyxy, maps.shape[-2:]).ravel()
    found = []
    for flat in np.reshape(maps, (-1, inside.size)):
        _, rank = np.unique(flat, return_inverse=True)
        within, without = np.bincount(rank, inside), np.bincount(rank, 1 - inside)
        found.append(within @ (np.cumsum(without) - without / 2))
    return np.reshape(found, maps.shape[:-2]) / (inside.sum() * (1 - inside).sum())


def union_area(boxes_xyxy: BoxesXYXY) -> float:
    """Area of the union of boxes in squared units of their coordinates: of normalised boxes, a share of the picture."""
    xs, ys, inside = _strips(as_boxes(boxes_xyxy))
    return float(np.diff(ys) @ inside @ np.diff(xs))


def iou(boxes_xyxy: BoxesXYXY, truth_xyxy: BoxesXYXY) -> float:
    """IoU of two unions of boxes in the same units. 0.0 when both are empty."""
    boxes, truth = as_boxes(boxes_xyxy), as_boxes(truth_xyxy)
    either = union_area(np.concatenate([boxes, truth]))
    return (union_area(boxes) + union_area(truth) - either) / either if either else 0.0


def mean_best_iou(boxes_xyxy: BoxesXYXY, truth_xyxy: BoxesXYXY) -> float:
    """IoU of each true box with the box that fits it best, averaged over the true boxes, as TreeBench measures it.

    0.0 without boxes or true boxes.
    """
    boxes, truth = as_boxes(boxes_xyxy), as_boxes(truth_xyxy)
    best = [max((iou(box[None], one[None]) for box in boxes), default=0.0) for one in truth]
    return float(np.mean(best)) if best else 0.0


def coverage_recall(boxes_xyxy: BoxesXYXY, truth_xyxy: BoxesXYXY, least: float = 0.5) -> float:
    """Share of the true boxes of whose area at least `least` is covered, in the same units. NaN without true boxes."""
    boxes, truth = as_boxes(boxes_xyxy), as_boxes(truth_xyxy)
    both = [np.concatenate([np.maximum(boxes[:, :2], t[:2]), np.minimum(boxes[:, 2:], t[2:])], axis=1) for t in truth]
    real = [b[(b[:, 2:] > b[:, :2]).all(1)] for b in both]
    covered = [union_area(b) / union_area(t[None]) for b, t in zip(real, truth, strict=True)]
    return float(np.mean(np.array(covered) >= least - 1e-9)) if covered else float("nan")


def box_quality(regions_xyxy: BoxesXYXY, truth_xyxy: BoxesXYXY, image_size_wh: Sequence[int]) -> dict[str, float]:
    """What found regions are worth.

    Args:
        regions_xyxy: the regions in pixels.
        truth_xyxy: the true boxes in pixels.
        image_size_wh: width and height of the picture in pixels. Their product alone counts.

    Returns:
        recall50, the share of true boxes of which half is covered; iou with the true boxes; and area, the regions'
        share of the picture. Without regions all three are 0. Without true boxes recall50 is NaN and iou 0.
    """
    regions, (width, height) = as_boxes(regions_xyxy), image_size_wh
    if not len(regions):
        return {"recall50": 0.0, "iou": 0.0, "area": 0.0}
    area = union_area(regions) / (width * height)
    return {"recall50": coverage_recall(regions, truth_xyxy), "iou": iou(regions, truth_xyxy), "area": area}


def quality_at(
    maps: Float[np.ndarray, "tokens h w"],
    alphas: Sequence[float],
    truth_xyxy: BoxesXYXY,
    image_size_wh: tuple[int, int],
) -> list[dict[str, float]]:
    """`box_quality` of the merged regions of all maps, at each of some thresholds."""
    grid = [[box for of_token in boxes for box in of_token] for boxes in lpd.boxes_grid(maps, alphas)]
    return [box_quality(lpd.merge_boxes(boxes, image_size_wh), truth_xyxy, image_size_wh) for boxes in grid]


def _strips(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sorted x edges and y edges, and the grid of the rectangles between them: 1 where some box covers one, else 0."""
    xs, ys = np.unique(boxes[:, ::2]), np.unique(boxes[:, 1::2])
    across = (boxes[:, :1] <= xs[:-1]) & (boxes[:, 2:3] >= xs[1:])
    down = (boxes[:, 1:2] <= ys[:-1]) & (boxes[:, 3:] >= ys[1:])
    return xs, ys, (down.T.astype(np.float64) @ across > 0).astype(np.float64)


def _overlap(edges: np.ndarray, cells: int) -> np.ndarray:
    """`(cells, strips)` lengths that each of `cells` equal parts of [0, 1] shares with each strip between `edges`."""
    lines = np.arange(cells + 1) / cells
    return np.clip(np.minimum(lines[1:, None], edges[1:]) - np.maximum(lines[:-1, None], edges[:-1]), 0, None)


def held_out_maps(noise: Float[np.ndarray, "rows h w"], sigma: float) -> Float[np.ndarray, "rows h w"]:
    """Each instruction token purified with the prior of the others: what TAD makes of a token that seeks nothing.

    Args:
        noise: `(rows, h, w)` raw attention of the instruction's tokens.
        sigma: standard deviation of the Gaussian in grid cells.

    Returns:
        `(rows, h, w)` maps in [0, 1].

    Raises:
        ValueError: there are fewer than two rows.
    """
    if len(noise) < 2:
        raise ValueError(f"{len(noise)} instruction row(s): holding one out needs at least two")
    scaled = tad.minmax(tad.smooth(noise, sigma))
    others = (scaled.sum(0) - scaled) / np.float32(len(scaled) - 1)
    return np.concatenate([tad.subtract_prior(one[None], prior) for one, prior in zip(scaled, others, strict=True)])
