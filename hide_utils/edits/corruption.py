"""True boxes made worse at known rates: moved away, joined by others, dropped, or enlarged until they overlap.

What the model has to answer depends only on how many of a sample's boxes are corrupted. Those few states are answered
once. `answers_at_rates` puts any rate together from them, without running the model again.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd

from hide_utils.edits.placement import scatter
from hide_utils.method import lpd
from hide_utils.samples import Sample

CORRUPTIONS = {
    "wrong": "moved to a random place off all true boxes",
    "extra": "joined by a box of its size at a random place off all true boxes",
    "missing": "dropped",
}


def corrupted_boxes(kind: str, n_corrupted: int, sample: Sample, image_size_wh: Sequence[int]) -> list[lpd.Region]:
    """Regions after some of a sample's true boxes were corrupted.

    Order and random places are drawn once a sample, by its id. One more corrupted box changes that box alone, and
    "wrong" and "extra" use the same places.

    Args:
        kind: a key of `CORRUPTIONS`.
        n_corrupted: how many boxes, the first in the sample's own order.
        sample: with true boxes in pixels.
        image_size_wh: width and height of the picture in pixels.

    Returns:
        Merged regions, pixel xyxy.

    Raises:
        ValueError: an unknown kind, or more boxes than there are.
    """
    if kind not in CORRUPTIONS:
        raise ValueError(f"unknown corruption {kind!r}; known: {', '.join(CORRUPTIONS)}")
    boxes = [(x0, y0, x1, y1) for x0, y0, x1, y1 in lpd.whole_pixels(sample.boxes_xyxy).astype(int).tolist()]
    if not 0 <= n_corrupted <= len(boxes):
        raise ValueError(f"sample {sample.id} has {len(boxes)} true box(es): cannot corrupt {n_corrupted}")
    rng = _rng(sample)
    boxes = [boxes[i] for i in rng.permutation(len(boxes))]
    places: list[lpd.Region] = []
    if kind != "missing":
        sizes = [(x1 - x0, y1 - y0) for x0, y0, x1, y1 in boxes]
        places = scatter(sizes, image_size_wh, rng, boxes, gap=1) or scatter(sizes, image_size_wh, rng) or boxes
    left = boxes if kind == "extra" else boxes[n_corrupted:]
    return lpd.pixel_regions([*left, *places[:n_corrupted]], image_size_wh)


def enlarged_boxes(factor: float, sample: Sample, image_size_wh: Sequence[int]) -> list[lpd.Region]:
    """The true boxes with longer sides around their centres, cut at the picture's edges, merged where they meet.

    Args:
        factor: by which the sides are longer, at least 1.
        sample: with true boxes in pixels.
        image_size_wh: width and height of the picture in pixels.

    Raises:
        ValueError: the factor is below 1.
    """
    if not factor >= 1:
        raise ValueError(f"factor {factor}: boxes are enlarged, so give at least 1")
    boxes = lpd.whole_pixels(sample.boxes_xyxy)
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2 * factor
    edges = np.rint(np.concatenate([centre - half, centre + half], axis=1))
    return lpd.pixel_regions(edges, image_size_wh)


def _boxes(sample: Sample) -> int:
    return len(sample.boxes_xyxy)


def corrupted_counts(
    samples: Sequence[Sample], rates: Sequence[float], count: Callable[[Sample], int] = _boxes
) -> pd.DataFrame:
    """How many boxes of each sample are corrupted at each rate.

    All boxes of all samples are put in one random order, which each sample's own draws decide, and the first of them
    are corrupted. The rate holds exactly, up to whole boxes, and a higher rate corrupts the same ones and more.

    Args:
        samples: with unique ids.
        rates: shares of all boxes, in [0, 1].
        count: how many a sample has. Entities can be counted in place of boxes.

    Returns:
        Columns sample_id, rate, boxes, n_corrupted.

    Raises:
        ValueError: a rate outside [0, 1].
    """
    if not all(0 <= rate <= 1 for rate in rates):
        raise ValueError(f"rates={list(rates)}: a rate is a share of the boxes, 0 to 1")
    owner = np.repeat(np.arange(len(samples)), [count(s) for s in samples])
    draws = [np.random.default_rng([1, zlib.crc32(s.id.encode())]).random(count(s)) for s in samples]
    order = owner[np.argsort(np.concatenate(draws), kind="stable")] if len(samples) else owner
    rows = []
    for rate in rates:
        counts = np.bincount(order[: round(rate * len(order))], minlength=len(samples))
        rows += [(s.id, rate, count(s), int(k)) for s, k in zip(samples, counts, strict=True)]
    return pd.DataFrame(rows, columns=["sample_id", "rate", "boxes", "n_corrupted"])


def answers_at_rates(
    answers: pd.DataFrame,
    samples: Sequence[Sample],
    rates: Sequence[float],
    kinds: Iterable[str],
    method: Callable[[str, int], str],
    count: Callable[[Sample], int] = _boxes,
) -> pd.DataFrame:
    """The answers at each rate, put together from the answers to the states.

    Args:
        answers: one row a sample and method, among them every state up to each sample's `count`.
        samples: those that were answered.
        rates: shares of all boxes, in [0, 1].
        kinds: of corruption.
        method: name of the method with so many corrupted by a kind.
        count: as in `corrupted_counts`.

    Returns:
        One row a sample, corruption and rate, with the columns of `answers`. Columns `corruption` and `rate` are added,
        and `method` is "<corruption> <rate>".
    """
    by_state = answers.set_index(["sample_id", "method"])
    table, rows = corrupted_counts(samples, rates, count), []
    for kind in kinds:
        keys = [(row.sample_id, method(kind, row.n_corrupted)) for row in table.itertuples()]
        part = by_state.loc[keys].reset_index()
        names = [f"{kind} {rate:.0%}" for rate in table["rate"]]
        rows.append(part.assign(method=names, corruption=kind, rate=table["rate"].to_numpy()))
    return pd.concat(rows, ignore_index=True)


def _rng(sample: Sample) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(sample.id.encode()))
