"""Which heads `hide_utils.baselines.heads` reads: every head measured on many samples, and put in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from hide_utils.baselines.heads import Head, elbow, looks
from hide_utils.evaluation import localisation
from hide_utils.method import HiDe, Session, given_entities
from hide_utils.method.entities import Entities
from hide_utils.samples import Sample

N_LOWEST = 10  # heads of lowest entropy that count in one sample, as published


def sought(hide: HiDe, session: Session, sample: Sample) -> Entities:
    """A sample's reference entities. Where it has none, those that the model lists for its question."""
    if sample.entities:
        return given_entities(sample.entities)
    return hide.locate(session, sample.question).entities


def measure_heads(hide: HiDe, session: Session, sample: Sample) -> dict[str, Any]:
    """For every layer and head the mean over the entity tokens of three measures, from one pass (`stored_measures`).

    These are attention, the share of a token's attention that goes to the picture; entropy, its spatial entropy; and
    concentration, how many times as much of it lies in the true boxes as of a flat map. Without true boxes that is 0.
    """
    found = session.search(sought(hide, session, sample), hide.model.row_layers, heads=True)
    rows = found.semantic_heads
    assert rows is not None  # heads=True
    truth = np.reshape(sample.boxes_xyxy, (-1, 4)) / [*session.image.size, *session.image.size]
    attention, entropy = looks(rows)
    concentration = np.nan_to_num(localisation.concentration(rows, truth)).mean(2)
    measures = {"attention": attention, "entropy": entropy, "concentration": concentration}
    return {name: values.round(4).tolist() for name, values in measures.items()}


def head_table(measured: pd.DataFrame, layers: Sequence[int]) -> pd.DataFrame:
    """Every head with its means over samples, and how often it is chosen by `N_LOWEST`.

    Args:
        measured: rows of `measure_heads`.
        layers: those that were measured, counted from 0.

    Returns:
        Columns layer, head, attention, entropy, concentration; candidate, whether its attention to the picture lies
        above the elbow of that of all heads; and chosen, the share of samples in which it is one of the `N_LOWEST`
        candidates of lowest entropy.
    """
    values = {name: np.array(measured[name].tolist()) for name in ("attention", "entropy", "concentration")}
    n_heads = values["entropy"].shape[-1]
    places = {"layer": np.repeat(layers, n_heads), "head": np.tile(np.arange(n_heads), len(layers))}
    table = pd.DataFrame(places | {name: of.mean(0).ravel() for name, of in values.items()})
    table["candidate"] = table["attention"] >= elbow(table["attention"].tolist())
    entropy = np.where(table["candidate"], values["entropy"].reshape(len(measured), -1), np.inf)
    among = np.argsort(np.argsort(entropy, axis=1, kind="stable"), axis=1) < N_LOWEST
    table["chosen"] = (among & np.isfinite(entropy)).mean(0)
    return table


def ranked_heads(table: pd.DataFrame, by: str = "chosen") -> tuple[Head, ...]:
    """All heads, the one with most of a column first; of equals that of lower entropy.

    Args:
        table: from `head_table`, of the calibration split.
        by: "chosen" ranks without labels, "concentration" by the true boxes.
    """
    best = table.sort_values([by, "entropy"], ascending=[False, True], kind="stable")
    return tuple((int(layer), int(head)) for layer, head in zip(best["layer"], best["head"], strict=True))
