"""HiDe with a few heads in place of the mean of all: which ones look at one place, told without knowing what is there.

After LocalizationHeads (Kang et al., CVPR 2025, arXiv 2503.06287). A head is a candidate where its tokens give the
picture much of their attention. Of the candidates those count whose attention lies in few places: the *spatial entropy*
of their maps is low. Which heads are among these most often is measured on the calibration split
(`hide_utils.evaluation.heads`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from hide_utils.baselines.outcome import Outcome, with_found
from hide_utils.baselines.published import tuned
from hide_utils.method import HIDE_STEPS, HiDe, Session
from hide_utils.samples import Sample

Head: TypeAlias = tuple[int, int]  # decoder layer and head, both counted from 0
BRIGHT = 2.0  # times a map's mean: what lies above belongs to a place that is looked at
N_READ = 3  # heads that the paper reads


def hide_heads(hide: HiDe, session: Session, sample: Sample) -> Outcome:
    """HiDe whose maps are those of a few heads of any layers, with their own prior and threshold.

    Heads and alpha are those of hide.json. Where it names no heads, those count that look at the fewest places of the
    picture itself, which takes a search through all layers, and the outcome says so.
    """
    chosen = tuned(hide.model, "hide_heads", {"heads": (), "alpha": hide.settings.alpha})
    heads, said = tuple((layer, head) for layer, head in chosen["heads"]), None
    steps: tuple[str, ...] = HIDE_STEPS
    if not heads:
        heads, said = _heads_of_picture(hide, session, sample), "heads of this picture: hide.json names none"
        steps = (*HIDE_STEPS, "pick")
    settings = replace(hide.settings, alpha=chosen["alpha"])
    located = hide.locate(session, sample.question, settings=settings, of_heads=heads)
    outcome = with_found(session, sample, located, "answer", steps)
    return replace(outcome, fallback="; ".join(filter(None, [said, outcome.fallback])) or None)


def _heads_of_picture(hide: HiDe, session: Session, sample: Sample) -> tuple[Head, ...]:
    """The `N_READ` heads of lowest entropy in one picture. Their search is charged as the step "pick"."""
    entities = hide.locate(session, sample.question).entities
    found = session.search(entities, hide.model.row_layers, heads=True)
    session.costs["pick"] = session.costs.pop("search")
    assert found.semantic_heads is not None  # heads=True
    attention, entropy = looks(found.semantic_heads)
    candidates = np.argwhere(attention >= elbow(attention.ravel().tolist()))
    lowest = sorted(candidates.tolist(), key=lambda place: entropy[tuple(place)])[:N_READ]
    return tuple((found.layers[layer], head) for layer, head in lowest)


def looks(
    rows: Float[np.ndarray, "layers heads tokens h w"],
) -> tuple[Float[np.ndarray, "layers heads"], Float[np.ndarray, "layers heads"]]:
    """How much of its tokens' attention every head gives to the picture, and its spatial entropy, means over tokens."""
    entropy = np.array([spatial_entropy(one) for one in rows.reshape(-1, *rows.shape[-2:])])
    return rows.sum((-2, -1)).mean(2), entropy.reshape(rows.shape[:3]).mean(2)


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


def elbow(values: Sequence[float]) -> float:
    """The value at which the sorted values bend most: the one farthest from the line between both ends."""
    ordered = np.sort(np.asarray(values, float))
    x, y = np.linspace(0, 1, len(ordered)), (ordered - ordered[0]) / max(np.ptp(ordered), 1e-12)
    return float(ordered[np.abs(y - x).argmax()])
