"""Notebook 03. Attention sinks: cells of the picture that every text token looks at, whatever is asked.

They are taken from the instruction's tokens, which name nothing in the picture. Then they are looked for in the rows of
other tokens, for a cell that only the instruction looks at is no sink.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float

from hide_utils.evaluation import localisation
from hide_utils.evaluation.heads import sought
from hide_utils.looks import PALETTE, Look
from hide_utils.method import HiDe, Session
from hide_utils.prompts import CONTENT_FREE
from hide_utils.samples import Sample
from hide_utils.scenes import drawn_things

SHARE = 0.01  # of the cells of a picture that count as its sinks
SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
GROUPS = {
    "instruction": Look("instruction tokens", PALETTE[1], "s"),
    "content_free": Look("content-free prompt", PALETTE[9], "d"),
    "entity": Look("entity tokens", PALETTE[0], "o"),
}


Map: TypeAlias = Float[np.ndarray, "h w"]


def measure_sinks(hide: HiDe, session: Session, sample: Sample) -> dict[str, Any]:
    """What each group of tokens gives to a picture's sinks, and what stands there, for `stored_measures`.

    An instruction token is held against the sinks of the other instruction tokens, so that none defines its own.

    Returns:
        For each of `GROUPS`: mass, the share of its attention to the picture that falls on the sinks, mean over its
        rows; and curve, the share on a row's own top cells for each of `SHARES`. Then the share of the sinks' area, and
        of the whole picture's, that lies in the boxes asked about (asked, asked_flat) and, in a drawn scene, in those
        of all things (drawn, drawn_flat), else None.
    """
    layer = hide.settings.layer
    found = session.search(sought(hide, session, sample), [layer])
    rows = (found.noise[0], session.rows_of_last(CONTENT_FREE, [layer]), found.semantic[0])
    groups = {name: of / np.maximum(of.sum((1, 2), keepdims=True), 1e-12) for name, of in zip(GROUPS, rows, strict=True)}
    instruction = groups["instruction"]
    sinks = localisation.top_cells(instruction.mean(0), SHARE)
    mass = {name: float(of[:, sinks].sum(1).mean()) for name, of in groups.items()}
    if len(instruction) > 1:
        others = [localisation.top_cells(np.delete(instruction, i, 0).mean(0), SHARE) for i in range(len(instruction))]
        mass["instruction"] = float(np.mean([row[of].sum() for row, of in zip(instruction, others, strict=True)]))
    measures: dict[str, Any] = {f"mass_{name}": value for name, value in mass.items()}
    measures |= {f"curve_{name}": mass_curve(of) for name, of in groups.items()}
    things = drawn_things(sample)
    boxes = {"asked": sample.boxes_xyxy, "drawn": None if things is None else [thing.box_xyxy for thing in things]}
    for name, known in boxes.items():
        inside = None if known is None else coverage(known, session.image.size, sinks.shape)
        measures[name] = None if inside is None else float(inside[sinks].mean())
        measures[f"{name}_flat"] = None if inside is None else float(inside.mean())
    return measures


def mass_curve(rows: Float[np.ndarray, "_rows h w"]) -> list[float]:
    """Mean share of rows' mass (each sums to 1) that lies on their own top cells, for each of `SHARES` of the cells."""
    ordered = -np.sort(-rows.reshape(len(rows), -1), axis=1)
    ends = np.ceil(np.array(SHARES) * ordered.shape[1] - 1e-9).astype(int) - 1
    return ordered.cumsum(1)[:, ends].mean(0).round(5).tolist()


def coverage(boxes: Sequence[Sequence[float]], size_wh: tuple[int, int], grid_hw: Sequence[int]) -> Map:
    """Share of each cell that lies in boxes of a picture's pixels."""
    return localisation.box_coverage(np.reshape(boxes, (-1, 4)) / [*size_wh, *size_wh], grid_hw)
