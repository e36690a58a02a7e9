"""A few heads in place of the mean of all: which heads look at one place, told without knowing what is there.

After LocalizationHeads (Kang et al., CVPR 2025, arXiv 2503.06287). A head is a candidate where its tokens give the
picture much of their attention. Of the candidates those count whose attention lies in few places: the *spatial entropy*
of their maps is low.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import ndimage

from hide_utils.evaluation import localisation
from hide_utils.method import HiDe, Session, given_entities
from hide_utils.method.entities import Entities
from hide_utils.samples import Sample

Head: TypeAlias = tuple[int, int]  # decoder layer and head, both counted from 0
N_LOWEST = 10  # heads of lowest entropy that count in one sample, as published
BRIGHT = 2.0  # times a map's mean: what lies above belongs to a place that is looked at


def sought(hide: HiDe, session: Session, sample: Sample) -> Entities:
    """A sample's reference entities. Where it has none, those that the model lists for its question."""
    if sample.entities:
        return given_entities(sample.entities)
    return hide.locate(session, sample.question).entities


def spatial_entropy(map_hw: Float[np.ndarray, "h w"]) -> float:
    """Entropy in nats of how a map's bright mass is spread over places. 0 where it lies in one place.

    Bright is what a cell has above `BRIGHT` times the mean. A place is a group of such cells that touch, corners
    included. A map without bright cells looks nowhere and has the entropy of a flat one, which is the highest there is.
    """
    bright = np.maximum(np.asarray(map_hw, np.float64) - BRIGHT * map_hw.mean(), 0)
    groups, n = ndimage.label(bright > 0, np.ones((3, 3)))
    if not n:
        return float(np.log(map_hw.size))
    shares = ndimage.sum_labels(bright, groups, range(1, n + 1)) / bright.sum()
    return float(-(shares * np.log(shares)).sum())


def measure_heads(hide: HiDe, session: Session, sample: Sample) -> dict[str, Any]:
    """For every layer and head the mean over the entity tokens of three measures, from one pass (`stored_measures`).

    These are attention, the share of a token's attention that goes to the picture; entropy, its spatial entropy; and
    concentration, how many times as much of it lies in the true boxes as of a flat map. Without true boxes that is 0.
    """
    found = session.search(sought(hide, session, sample), range(hide.model.n_layers), heads=True)
    rows = found.semantic_heads
    assert rows is not None  # heads=True
    truth = np.reshape(sample.boxes_xyxy, (-1, 4)) / [*session.image.size, *session.image.size]
    entropy = np.array([spatial_entropy(one) for one in rows.reshape(-1, *rows.shape[-2:])])
    measures = {
        "attention": rows.sum((-2, -1)),
        "entropy": entropy.reshape(rows.shape[:3]),
        "concentration": np.nan_to_num(localisation.concentration(rows, truth)),
    }
    return {name: values.mean(2).round(4).tolist() for name, values in measures.items()}


def head_table(measured: pd.DataFrame) -> pd.DataFrame:
    """Every head with its means over samples, and how often it is chosen by `N_LOWEST`.

    Args:
        measured: rows of `measure_heads`.

    Returns:
        Columns layer, head, attention, entropy, concentration; candidate, whether its attention to the picture lies
        above the elbow of that of all heads; and chosen, the share of samples in which it is one of the `N_LOWEST`
        candidates of lowest entropy.
    """
    values = {name: np.array(measured[name].tolist()) for name in ("attention", "entropy", "concentration")}
    n_layers, n_heads = values["entropy"].shape[1:]
    places = {"layer": np.repeat(np.arange(n_layers), n_heads), "head": np.tile(np.arange(n_heads), n_layers)}
    table = pd.DataFrame(places | {name: of.mean(0).ravel() for name, of in values.items()})
    table["candidate"] = table["attention"] >= elbow(table["attention"].tolist())
    entropy = np.where(table["candidate"], values["entropy"].reshape(len(measured), -1), np.inf)
    among = np.argsort(np.argsort(entropy, axis=1, kind="stable"), axis=1) < N_LOWEST
    table["chosen"] = (among & np.isfinite(entropy)).mean(0)
    return table


def elbow(values: Sequence[float]) -> float:
    """The value at which the sorted values bend most: the one farthest from the line between both ends."""
    ordered = np.sort(np.asarray(values, float))
    x, y = np.linspace(0, 1, len(ordered)), (ordered - ordered[0]) / max(np.ptp(ordered), 1e-12)
    return float(ordered[np.abs(y - x).argmax()])


def ranked_heads(table: pd.DataFrame, by: str = "chosen") -> tuple[Head, ...]:
    """All heads, the one with most of a column first; of equals that of lower entropy.

    Args:
        table: from `head_table`, of the calibration split.
        by: "chosen" ranks without labels, "concentration" by the true boxes.
    """
    best = table.sort_values([by, "entropy"], ascending=[False, True], kind="stable")
    return tuple((int(layer), int(head)) for layer, head in zip(best["layer"], best["head"], strict=True))
