"""Places of boxes: random ones, for the control that looks anywhere and for corrupted boxes, and their bounding box."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hide_utils.method.lpd import Region


def bounding_box(regions: Sequence[Sequence[float]]) -> Region:
    """The smallest box that holds all regions (pixel xyxy)."""
    boxes = np.asarray(regions)
    return (*boxes[:, :2].min(0).tolist(), *boxes[:, 2:].max(0).tolist())


def random_boxes(
    regions: Sequence[Sequence[int]], image_size_wh: Sequence[int], seed: int, tries: int = 256
) -> list[Region]:
    """Regions of the same sizes at uniformly random places: what a localiser that knows nothing would find.

    They neither overlap nor touch where `tries` draws for a region find such a place. Their total area then equals the
    regions'. Otherwise the draw with the least overlap is kept. The same seed gives the same boxes.

    Args:
        regions: pixel xyxy, half-open.
        image_size_wh: width and height of the picture in pixels.
        seed: of the draws.
        tries: draws for each region.

    Returns:
        As many regions, sorted.

    Raises:
        ValueError: a region is larger than the picture.
    """
    rng, placed = np.random.default_rng(seed), list[Region]()
    sizes = np.array([(x1 - x0, y1 - y0) for x0, y0, x1, y1 in regions]).reshape(-1, 2)
    for i in _largest_first(sizes, image_size_wh):
        box, _ = _draw(sizes[i], image_size_wh, placed, rng, 1, tries)
        placed.append(box)
    return sorted(placed)


def scatter(
    sizes_wh: Sequence[Sequence[int]],
    room_wh: Sequence[int],
    rng: np.random.Generator,
    avoid: Sequence[Region] = (),
    gap: int = 0,
    tries: int = 64,
    rounds: int = 20,
) -> list[Region] | None:
    """Uniformly random places of boxes of these sizes, none of which overlap.

    Args:
        sizes_wh: width and height of each box in pixels.
        room_wh: width and height of the room in pixels.
        rng: of the draws.
        avoid: regions to keep off, pixel xyxy.
        gap: pixels between two boxes, and between a box and what is avoided.
        tries: draws for each box.
        rounds: how often all boxes are placed anew where one found no place.

    Returns:
        A region for each size, in the order of the sizes. None where no round found places for all.

    Raises:
        ValueError: a box is larger than the room.
    """
    sizes = np.array(sizes_wh).reshape(-1, 2)
    order = _largest_first(sizes, room_wh)
    for _ in range(rounds):
        placed: dict[int, Region] = {}
        for i in order:
            box, overlap = _draw(sizes[i], room_wh, [*avoid, *placed.values()], rng, gap, tries)
            if overlap:
                break
            placed[i] = box
        else:
            return [placed[i] for i in range(len(sizes))]
    return None


def _largest_first(sizes: np.ndarray, room_wh: Sequence[int]) -> list[int]:
    """Numbers of the boxes by area, since large ones need room most.

    Raises:
        ValueError: a box does not fit.
    """
    if (sizes > np.array(room_wh)).any():
        raise ValueError(f"boxes of up to {sizes.max(0).tolist()} pixels do not fit into {list(room_wh)}")
    return np.argsort(-sizes.prod(1), kind="stable").tolist()


def _draw(
    size: np.ndarray, room_wh: Sequence[int], taken: Sequence[Region], rng: np.random.Generator, gap: int, tries: int
) -> tuple[Region, int]:
    """The draw with the least overlap with what is taken, the first of equals, and that overlap in pixels.

    Boxes closer than `gap` pixels count as overlapping.
    """
    low = rng.integers(0, np.array(room_wh) - size, (tries, 2), endpoint=True)
    drawn, others = np.concatenate([low, low + size], axis=1), np.array(taken, np.int64).reshape(-1, 4)
    side = np.minimum(drawn[:, None, 2:], others[:, 2:]) - np.maximum(drawn[:, None, :2], others[:, :2]) + gap
    shared = np.clip(side, 0, None).prod(2).sum(1)
    x0, y0, x1, y1 = drawn[best := int(shared.argmin())].tolist()
    return (x0, y0, x1, y1), int(shared[best])
