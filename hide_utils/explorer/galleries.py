"""What stands beside a view, in array work alone: the steps of its maps, its layers, its heads, its tokens' words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from hide_utils.baselines.heads import spatial_entropy
from hide_utils.evaluation import localisation
from hide_utils.explorer.case import Answer, Case, Knobs, TokenRows, View, counted, mean_energy, purified, truth_of
from hide_utils.method import tad

Maps = Float[np.ndarray, "maps h w"]
Box = Sequence[float]


def _scaled(view: View, sigma: float) -> Maps:
    return tad.minmax(tad.smooth(view.raw, sigma))


def _prior(view: View, sigma: float) -> Maps:
    return np.repeat(tad.noise_prior(view.noise, sigma)[None], len(view.raw), 0)


# The steps of TAD from attention to a purified map, by name. Each gives the maps of all tokens.
STEPS: dict[str, Callable[[View, float], Maps]] = {
    "purified": lambda view, sigma: view.maps,
    "raw attention": lambda view, sigma: view.raw,
    "smoothed, scaled": _scaled,
    "noise prior": _prior,
    "above the prior": lambda view, sigma: np.maximum(_scaled(view, sigma) - _prior(view, sigma), 0),
    "product of the steps": lambda view, sigma: tad.minmax(view.raw) * _scaled(view, sigma) * view.maps,
}


def step_map(view: View, sigma: float, step: str, token: int | None = None) -> Float[np.ndarray, "h w"]:
    """The map of a step.

    Args:
        view: what the rows give.
        sigma: of the smoothing.
        step: a name in `STEPS`.
        token: whose map, counted from 0. None is the largest value over the tokens that count.
    """
    maps = STEPS[step](view, sigma)
    return maps[view.on].max(0, initial=0.0) if token is None else maps[token]


@dataclass(frozen=True)
class Gallery:
    """Maps side by side with a number under each.

    Attributes:
        maps: in [0, 1].
        values: measures of each, by name.
    """

    maps: Maps
    values: dict[str, Float[np.ndarray, " maps"]]


def layer_strip(case: Case, knobs: Knobs) -> Gallery:
    """The map of all tokens that count at every captured layer, under the other settings, mean over heads.

    The value under it is the share of the maps' mass in the true boxes. Where these are not known, it is the spatial
    entropy, which is low where one place is looked at.
    """
    on, rows = counted(case, knobs), zip(case.attention.noise, case.attention.semantic, strict=True)
    found = [purified(noise, raw, knobs)[on] for noise, raw in rows]
    maps = np.stack([one.max(0, initial=0.0) for one in found])
    if len(truth := truth_of(case)):
        values = np.nan_to_num([mean_energy(one, truth) for one in found])  # NaN where no token counts
        return Gallery(maps, {"mass in the true boxes": values})
    return Gallery(maps, {"spatial entropy": np.array([spatial_entropy(one) for one in maps])})


def head_gallery(case: Case, knobs: Knobs, view: View) -> Gallery:
    """The raw map of every head of the layer, mean over the tokens that count, each scaled to [0, 1].

    Under each stand its spatial entropy and the share of its mass in the true boxes; in the view's regions where the
    true boxes are not known.
    """
    rows = case.heads_at(knobs.layer).semantic_heads
    assert rows is not None  # heads=True
    maps = rows[0][:, view.on].mean(1) if view.on.any() else np.zeros((rows.shape[1], *rows.shape[-2:]), np.float32)
    boxes = truth_of(case)
    if not len(boxes):
        boxes = np.reshape(view.regions, (-1, 4)) / [*case.image.size, *case.image.size]
    inside = np.nan_to_num(localisation.energy_in_boxes(maps, boxes))
    entropy = np.array([spatial_entropy(one) for one in maps])
    return Gallery(tad.minmax(maps), {"spatial entropy": entropy, "mass in the boxes": inside})


def words_of(case: Case, layer: int, answer: Answer | None) -> dict[str, TokenRows]:
    """Texts whose tokens can be looked at, each with the rows of one layer: what was searched for, asked and replied.

    Args:
        case: that is shown.
        layer: counted from 0.
        answer: with the second picture; None where the model was not asked.
    """
    row, direct = case.row_of(layer), case.answers.get(None)
    found = {"searched for": TokenRows(tuple(f"{one} " for one in case.attention.tokens), case.attention.semantic)}
    if direct:
        found |= {"asked directly": direct.asked, "direct reply": direct.said}
    if answer and answer is not direct:
        found |= {"reply with the second picture": answer.said}
    return {name: replace(one, rows=one.rows[row : row + 1]) for name, one in found.items()}


def token_shares(rows: Maps, place: Box | None) -> Float[np.ndarray, " maps"]:
    """How much tokens look at the picture, or at a place in it.

    Args:
        rows: attention of each token to the picture.
        place: box in parts of the picture's sides. None is the whole picture.

    Returns:
        The share of all of a token's attention that goes to the picture; with a place, how many times as much of it
        lies there as of a flat map.
    """
    if place is None:
        return rows.sum((1, 2))
    return np.nan_to_num(localisation.concentration(rows, [place]))


def only_here(view: View, other: View, alphas: tuple[float, float]) -> Bool[np.ndarray, "h w"]:
    """Cells that one view keeps and another does not, at each one's alpha; none where the grids differ."""
    if view.union.shape != other.union.shape:
        return np.zeros(view.union.shape, bool)
    return (view.union >= alphas[0]) & (other.union < alphas[1])
