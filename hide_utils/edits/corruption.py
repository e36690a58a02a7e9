"""True boxes made worse at known rates: moved away, joined by others, dropped, or enlarged until they overlap.

What the model has to answer depends only on how many of a sample's boxes are spoilt, so those few states are answered
once (`states`), and any rate is put together from them afterwards (`at_rates`) without running the model again.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
import pandas as pd

from hide_utils.analyses.layouts import Finder, name_of
from hide_utils.edits.layouts import scatter
from hide_utils.method import lpd
from hide_utils.method.hide import HiDe
from hide_utils.method.session import Session
from hide_utils.samples import Sample

CORRUPTIONS = {
    "wrong": "moved to a random place off all true boxes",
    "extra": "joined by a box of its size at a random place off all true boxes",
    "missing": "dropped",
}


def corrupted(kind: str, spoilt: int, sample: Sample, image_size_wh: Sequence[int]) -> list[lpd.Region]:
    """Merged pixel regions after the first `spoilt` of a sample's true boxes, in an order of its own, were spoilt.

    Order and random places are drawn once a sample (by its id), so that one more spoilt box changes that box alone and
    "wrong" and "extra" use the same places. Raises ValueError for a kind that is not among `CORRUPTIONS`, or for more
    boxes than there are.
    """
    if kind not in CORRUPTIONS:
        raise ValueError(f"unknown corruption {kind!r}; known: {', '.join(CORRUPTIONS)}")
    boxes = [(round(x0), round(y0), round(x1), round(y1)) for x0, y0, x1, y1 in sample.boxes_xyxy]
    if not 0 <= spoilt <= len(boxes):
        raise ValueError(f"sample {sample.id} has {len(boxes)} true box(es): cannot spoil {spoilt}")
    rng = _rng(sample)
    boxes = [boxes[i] for i in rng.permutation(len(boxes))]
    places: list[lpd.Region] = []
    if kind != "missing":
        sizes = [(x1 - x0, y1 - y0) for x0, y0, x1, y1 in boxes]
        places = scatter(sizes, image_size_wh, rng, boxes, gap=1) or scatter(sizes, image_size_wh, rng) or boxes
    left = boxes if kind == "extra" else boxes[spoilt:]
    return _merged([*left, *places[:spoilt]], image_size_wh)


def grown(factor: float, sample: Sample, image_size_wh: Sequence[int]) -> list[lpd.Region]:
    """The true boxes with sides `factor` times as long around their centres, cut at the edges, merged where they meet.

    Raises ValueError for a factor below 1.
    """
    if not factor >= 1:
        raise ValueError(f"factor {factor}: boxes are enlarged, so give at least 1")
    boxes = np.array(sample.boxes_xyxy, float).reshape(-1, 4)
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2 * factor
    edges = np.rint(np.concatenate([centre - half, centre + half], axis=1))
    return _merged(edges, image_size_wh)


def _merged(boxes: Sequence[Sequence[float]] | np.ndarray, image_size_wh: Sequence[int]) -> list[lpd.Region]:
    """`lpd.merge_boxes` of whole pixels; a hair is added, or dividing by the size and truncating could lose one."""
    if not len(boxes):
        return []
    return lpd.merge_boxes((np.array(boxes, float) + 1e-6) / (*image_size_wh, *image_size_wh), image_size_wh)


def states(most: int) -> dict[str, Finder]:
    """Boxes by name for `variants.methods_of`: every corruption with 1 to `most` boxes spoilt, "wrong 2" for instance.

    A sample with fewer boxes has all of them spoilt.
    """
    return {_state(kind, k): partial(_spoil, kind, k) for kind in CORRUPTIONS for k in range(1, most + 1)}


def enlarged(factors: Sequence[float]) -> dict[str, Finder]:
    """Boxes by name for `variants.methods_of`: the true ones, sides `factor` times as long ("true x 2")."""
    return {enlarged_name(factor): partial(_enlarge, factor) for factor in factors}


def enlarged_name(factor: float) -> str:
    """Name of the true boxes with sides `factor` times as long; of the true ones for 1."""
    return "true" if factor == 1 else f"true x {factor:g}"


def _state(kind: str, spoilt: int) -> str:
    return f"{kind} {spoilt}" if spoilt else "true"


def _spoil(kind: str, spoilt: int, hide: HiDe, session: Session, sample: Sample) -> list[lpd.Region]:
    return corrupted(kind, min(spoilt, len(sample.boxes_xyxy)), sample, session.image.size)


def _enlarge(factor: float, hide: HiDe, session: Session, sample: Sample) -> list[lpd.Region]:
    return grown(factor, sample, session.image.size)


def _boxes(sample: Sample) -> int:
    return len(sample.boxes_xyxy)


def corrupted_counts(
    samples: Sequence[Sample], rates: Sequence[float], count: Callable[[Sample], int] = _boxes
) -> pd.DataFrame:
    """How many boxes of each sample are spoilt at each rate: columns sample_id, rate, boxes, spoilt.

    All boxes of all samples are put in one random order (each sample's own draws decide it) and the first of them are
    spoilt, so that the rate holds exactly, up to whole boxes, and a higher rate spoils the same ones and more.

    count: how many a sample has; of entities, say, where those are spoilt instead.
    Raises ValueError for a rate outside [0, 1].
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
    return pd.DataFrame(rows, columns=["sample_id", "rate", "boxes", "spoilt"])


def at_rates(
    answers: pd.DataFrame,
    samples: Sequence[Sample],
    rates: Sequence[float],
    kinds: Iterable[str] = CORRUPTIONS,
    method: Callable[[str, int], str] | None = None,
    count: Callable[[Sample], int] = _boxes,
) -> pd.DataFrame:
    """The answers at each rate, put together from those to the states: one row a sample, corruption and rate.

    answers: one row a sample and method, among them those to every state up to each sample's `count`. The columns are
    theirs, with `corruption` and `rate` added and `method` named "<corruption> <rate>".

    method: name of the method with so many spoilt by a kind; None: LPD's on `states` of the true boxes.
    """
    by_state = answers.set_index(["sample_id", "method"])
    method = method or (lambda kind, spoilt: name_of(_state(kind, spoilt)))
    table, rows = corrupted_counts(samples, rates, count), []
    for kind in kinds:
        keys = [(row.sample_id, method(kind, row.spoilt)) for row in table.itertuples()]
        part = by_state.loc[keys].reset_index()
        names = [f"{kind} {rate:.0%}" for rate in table["rate"]]
        rows.append(part.assign(method=names, corruption=kind, rate=table["rate"].to_numpy()))
    return pd.concat(rows, ignore_index=True)


def _rng(sample: Sample) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(sample.id.encode()))
