"""Notebook 03. Attention sinks: cells of the picture that every text token looks at, whatever is asked.

They are taken from the instruction's tokens, which name nothing in the picture. Then they are looked for in the rows of
other tokens, for a cell that only the instruction looks at is no sink.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from hide_utils.evaluation import TokenRows, localisation
from hide_utils.looks import PALETTE, Look
from hide_utils.stats import means

SHARE = 0.01  # of the cells of a picture that count as its sinks
SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
GROUPS = {
    "instruction": Look("instruction tokens", PALETTE[1], "s"),
    "content_free": Look("content-free prompt", PALETTE[9], "d"),
    "entity": Look("entity tokens", PALETTE[0], "o"),
    "answer": Look("first answer token", PALETTE[5], "^"),
}

Map = Float[np.ndarray, "h w"]


def rows_by_group(case: TokenRows) -> dict[str, Float[np.ndarray, "_rows h w"]]:
    """Rows of each of `GROUPS` at the case's layer, each scaled to sum 1 over the picture."""
    rows = (case.noise, case.content_free[None], case.semantic, case.answer[[case.layer]])
    return {name: of / np.maximum(of.sum((1, 2), keepdims=True), 1e-12) for name, of in zip(GROUPS, rows, strict=True)}


def top_cells(map_hw: Map, share: float = SHARE) -> Bool[np.ndarray, "h w"]:
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


def sinks(case: TokenRows, share: float = SHARE) -> Bool[np.ndarray, "h w"]:
    """The picture's sinks: the top cells of the mean row of the instruction's tokens."""
    return top_cells(rows_by_group(case)["instruction"].mean(0), share)


def sink_table(cases: Sequence[TokenRows], share: float = SHARE) -> pd.DataFrame:
    """What each group of tokens gives to the sinks, and whether these lie on the objects asked about.

    An instruction token is held against the sinks of the other instruction tokens, so that none defines its own.

    Returns:
        One row a sample and group: sample_id, image_id and group. mass, the share of the attention to the picture that
        falls on the sinks, mean over the rows. above, the share of the rows with more than a flat map has there.
        inside, the share of the picture's sinks that touch a true box, and touched, the same share of all cells.
    """
    rows = []
    for case in cases:
        groups, mask = rows_by_group(case), sinks(case, share)
        touched = localisation.box_coverage(case.truth, mask.shape) > 1e-9
        known: dict[str, Any] = {
            "sample_id": case.sample.id,
            "image_id": case.sample.image_id,
            "inside": float(touched[mask].mean()),
            "touched": float(touched.mean()),
        }
        for group, of in groups.items():
            masks = [
                top_cells(np.delete(of, i, 0).mean(0), share) if i is not None else mask for i in _left_out(group, of)
            ]
            mass = np.array([row[where].sum() for row, where in zip(of, masks, strict=True)])
            flat = mask.sum() / mask.size
            rows.append(known | {"group": group, "mass": float(mass.mean()), "above": float((mass > flat).mean())})
    return pd.DataFrame(rows)


def _left_out(group: str, rows: np.ndarray) -> list[int | None]:
    return [number if group == "instruction" and len(rows) > 1 else None for number in range(len(rows))]


def mass_curve(cases: Sequence[TokenRows], shares: Sequence[float] = SHARES, seed: int = 0) -> pd.DataFrame:
    """How concentrated rows are: the mass on a row's own top cells, for several shares of the cells.

    Returns:
        Columns group, share, and the mean over pictures with a bootstrapped 95 % interval: n, estimate, low, high.
    """
    rows = []
    for group in GROUPS:
        for case in cases:
            ordered = -np.sort(-rows_by_group(case)[group].reshape(-1, case.content_free.size), axis=1)
            ends = np.ceil(np.array(shares) * ordered.shape[1] - 1e-9).astype(int) - 1
            masses = ordered.cumsum(1)[:, ends].mean(0)
            rows += [(group, share, case.sample.image_id, mass) for share, mass in zip(shares, masses, strict=True)]
    table = pd.DataFrame(rows, columns=["group", "share", "image_id", "mass"])
    return means(table, ["group", "share"], ["mass"], 2000, seed).drop(columns="measure")


def mean_maps(cases: Sequence[TokenRows]) -> dict[str, Map]:
    """Mean over pictures of each group's mean row, in units of a flat map, resized to the most common grid."""
    (grid_hw, _), *_ = Counter(case.content_free.shape for case in cases).most_common(1)
    by_case = [rows_by_group(case) for case in cases]
    return {g: localisation.average_prior([of[g].mean(0) * of[g][0].size for of in by_case], grid_hw) for g in GROUPS}


def same_place(cases: Sequence[TokenRows], share: float = SHARE) -> float:
    """Share of one picture's sinks that are another's too, mean over all pairs of pictures of the most common grid.

    It is 1 where every picture has the same cells, and about `share` where they are no more alike than by chance. It is
    NaN for fewer than two pictures.
    """
    (grid_hw, n), *_ = Counter(case.content_free.shape for case in cases).most_common(1)
    count = np.sum([sinks(case, share) for case in cases if case.content_free.shape == grid_hw], axis=0)
    return float((count * (count - 1)).sum() / (count.sum() * (n - 1))) if n > 1 else float("nan")


def left_on_sinks(cases: Sequence[TokenRows], variant, share: float = SHARE) -> list[float]:
    """For each case the share of a variant's mass that lies on the sinks, mean over its maps. An empty map has 0."""
    shares = []
    for case in cases:
        maps = variant(case)
        total = maps.sum((1, 2))
        shares.append(float((maps[:, sinks(case, share)].sum(1) / np.where(total > 0, total, 1)).mean()))
    return shares
