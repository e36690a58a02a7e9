"""Notebook 03. Attention sinks: cells of the picture that every text token looks at, whatever is asked.

They are taken from the instruction's tokens, which name nothing in the picture. Then they are looked for in the rows of
other tokens, for a cell that only the instruction looks at is no sink.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from hide_utils.config import RunConfig
from hide_utils.evaluation import localisation, stored_measures
from hide_utils.evaluation.heads import sought
from hide_utils.findings import Finding, claims_beside, of_differences
from hide_utils.looks import PALETTE, Look
from hide_utils.method import HiDe, Session
from hide_utils.prompts import CONTENT_FREE
from hide_utils.samples import Sample
from hide_utils.scenes import drawn_things
from hide_utils.stats import means

SHARE = 0.01  # of the cells of a picture that count as its sinks
GROUPS = {
    "instruction": Look("instruction tokens", PALETTE[1], "s"),
    "content_free": Look("content-free prompt", PALETTE[9], "d"),
    "entity": Look("entity tokens", PALETTE[0], "o"),
}

CLAIMS = claims_beside(__file__)["claims"]
CELLS = {"sinks": Look("sinks", PALETTE[1], "s"), "all cells": Look("all cells", PALETTE[7], "o")}
Map: TypeAlias = Float[np.ndarray, "h w"]


def measure_sinks(hide: HiDe, session: Session, sample: Sample) -> dict[str, Any]:
    """What each group of tokens gives to a picture's sinks, and what stands there, for `stored_measures`.

    An instruction token is held against the sinks of the other instruction tokens, so that none defines its own.

    Returns:
        For each of `GROUPS` mass_<group>, the share of its attention to the picture that falls on the sinks, mean over
        its rows. flat, what a flat map has there. Then the share of the sinks' area, and of the whole picture's, that
        lies in the boxes asked about (asked, asked_flat) and, in a drawn scene, in those of all things (drawn,
        drawn_flat), else None.
    """
    layer = hide.settings.layer
    found = session.search(sought(hide, session, sample), [layer])
    rows = (found.noise[0], session.rows_of_last(CONTENT_FREE, [layer]), found.semantic[0])
    groups = {
        name: of / np.maximum(of.sum((1, 2), keepdims=True), 1e-12) for name, of in zip(GROUPS, rows, strict=True)
    }
    instruction = groups["instruction"]
    sinks = localisation.top_cells(instruction.mean(0), SHARE)
    mass = {name: float(of[:, sinks].sum(1).mean()) for name, of in groups.items()}
    if len(instruction) > 1:
        others = [localisation.top_cells(np.delete(instruction, i, 0).mean(0), SHARE) for i in range(len(instruction))]
        mass["instruction"] = float(np.mean([row[of].sum() for row, of in zip(instruction, others, strict=True)]))
    measures: dict[str, Any] = {"flat": float(sinks.mean())} | {f"mass_{name}": of for name, of in mass.items()}
    things = drawn_things(sample)
    boxes = {"asked": sample.boxes_xyxy, "drawn": None if things is None else [thing.box_xyxy for thing in things]}
    for name, known in boxes.items():
        inside = None if known is None else coverage(known, session.image.size, sinks.shape)
        measures[name] = None if inside is None else float(inside[sinks].mean())
        measures[f"{name}_flat"] = None if inside is None else float(inside.mean())
    return measures


def coverage(boxes: Sequence[Sequence[float]], size_wh: tuple[int, int], grid_hw: Sequence[int]) -> Map:
    """Share of each cell that lies in boxes of a picture's pixels."""
    return localisation.box_coverage(np.reshape(boxes, (-1, 4)) / [*size_wh, *size_wh], grid_hw)


def measured_sinks(hide: HiDe, samples: Sequence[Sample], cfg: RunConfig) -> pd.DataFrame:
    """`measure_sinks` of every sample, read from disk or measured."""
    return stored_measures(hide, samples, measure_sinks, cfg, "sinks")


def sinks_of(hide: HiDe, session: Session, sample: Sample) -> Bool[np.ndarray, "h w"]:
    """The sinks of a sample's picture: the top `SHARE` of cells of the mean row of the instruction's tokens."""
    found = session.search(sought(hide, session, sample), [hide.settings.layer])
    noise = found.noise[0]
    return localisation.top_cells((noise / np.maximum(noise.sum((1, 2), keepdims=True), 1e-12)).mean(0), SHARE)


def sink_cards(measured: pd.DataFrame) -> list[Finding]:
    """What the sinks take and where they lie, in points of a hundred.

    Args:
        measured: rows of `measure_sinks`. Without drawn scenes the card of drawn objects is left out.
    """
    pictures, flat = measured["image_id"].tolist(), measured["flat"]
    differences = [measured["mass_entity"] - flat, measured["asked"] - measured["asked_flat"]]
    if measured["drawn"].notna().all():
        differences.append(measured["drawn"] - measured["drawn_flat"])
    values = [(100 * of.astype(float)).tolist() for of in differences]
    claims = zip(CLAIMS.items(), values, strict=False)
    return [of_differences(of, pictures, "points", claim=claim, **words) for (claim, words), of in claims]


def masses(measured: pd.DataFrame) -> pd.DataFrame:
    """Mean share of each group's attention that falls on the sinks: columns group, n, estimate, low, high."""
    rows = [
        (group, picture, mass)
        for group in GROUPS
        for picture, mass in zip(measured["image_id"], measured[f"mass_{group}"], strict=True)
    ]
    table = pd.DataFrame(rows, columns=["group", "image_id", "mass"])
    return means(table, ["group"], ["mass"]).drop(columns="measure")


def places(measured: pd.DataFrame) -> pd.DataFrame:
    """What stands where the sinks are and in the whole picture: columns place, cells, n, estimate, low, high."""
    known = {"asked": "objects asked about", "drawn": "all drawn objects"}
    rows = [
        (place, cells, picture, value)
        for name, place in known.items()
        if measured[name].notna().all()
        for cells, column in {"sinks": name, "all cells": f"{name}_flat"}.items()
        for picture, value in zip(measured["image_id"], measured[column].astype(float), strict=True)
    ]
    table = pd.DataFrame(rows, columns=["place", "cells", "image_id", "share"])
    return means(table, ["place", "cells"], ["share"]).drop(columns="measure")
