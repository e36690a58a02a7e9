"""Notebook 03. Token-wise decoupling (TAD) taken apart: TAD as it is, and variants that change one thing in it each.

A *variant* turns the attention rows of one picture into maps. Its regions are those of all its maps together, as in
LPD. The threshold of every variant, and the one number that some have of their own, is chosen on the calibration split
by one rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Float

from hide_utils.baselines import Method, of_regions, published
from hide_utils.config import Alpha, Count, RunConfig, Share
from hide_utils.evaluation import localisation
from hide_utils.evaluation.heads import Head, sought
from hide_utils.evaluation.keys import hash_samples
from hide_utils.method import HiDe, Session, lpd, tad
from hide_utils.prompts import CONTENT_FREE
from hide_utils.samples import Sample
from hide_utils.stats import median_label


class TokensConfig(RunConfig):
    """Parameters of notebook 03.

    Attributes:
        n_calibration: samples of the calibration split. None takes all.
        n_prior: of them, those whose priors are averaged.
        alphas: thresholds from which that of every variant is chosen.
        weights: of the prior, from which one is chosen.
        shares: of the cells that count as sinks, from which that of the masked ones is chosen.
        n_heads: numbers of heads from which one is chosen.
    """

    notebook: str = "03_token_decoupling"
    n_calibration: Count | None = None
    n_prior: Count = 20
    alphas: tuple[Alpha, ...] = ()
    weights: tuple[float, ...] = ()
    shares: tuple[Share, ...] = ()
    n_heads: tuple[Count, ...] = ()


TAD = "TAD"
MEAN, UNSMOOTHED, NO_PRIOR = "one map for all tokens", "no smoothing", "no prior"
WEIGHTED, AVERAGED = "weighted prior", "prior of other pictures"
SUBTRACTED, RATIO = "content-free, subtracted", "content-free, ratio"
MASKED = "sinks masked"
HEADS, BOXED = "heads of low entropy", "heads that see the boxes"

Map: TypeAlias = Float[np.ndarray, "h w"]
Maps: TypeAlias = Float[np.ndarray, "_maps h w"]


@dataclass
class Rows:
    """Attention rows over one picture.

    Attributes:
        tokens: texts of the entity tokens.
        noise: `(n_noise, h, w)` rows of the instruction's tokens.
        semantic: `(tokens, h, w)` rows of the entity tokens.
        reference: runs the content-free prompt and gives the row of its last position.
    """

    tokens: tuple[str, ...]
    noise: Maps = field(repr=False)
    semantic: Maps = field(repr=False)
    reference: Callable[[], Map] = field(repr=False)

    @cached_property
    def content_free(self) -> Map:
        """Row of the content-free prompt, which is run when it is first asked for."""
        return self.reference()


@dataclass(frozen=True)
class Variant:
    """How rows become maps.

    Attributes:
        maps: rows -> maps in [0, 1].
        heads: the heads whose rows are read. Without any, the mean of all heads at HiDe's layer.
    """

    maps: Callable[[Rows], Maps]
    heads: tuple[Head, ...] = ()


def read_rows(hide: HiDe, session: Session, sample: Sample, heads: Sequence[Head] = ()) -> Rows:
    """Rows of the search for a sample's entities: at HiDe's layer, or the mean of the heads that are named."""
    entities, layer = sought(hide, session, sample), hide.settings.layer
    found = session.search(entities, {of for of, _ in heads} or {layer}, heads=bool(heads))
    found = found.of_heads(heads) if heads else found
    return Rows(found.tokens, found.noise[0], found.semantic[0], partial(_content_free, session, layer))


def _content_free(session: Session, layer: int) -> Map:
    return session.rows_of_last(CONTENT_FREE, [layer])[0]


class LearnedPrior:
    """The mean prior of other pictures, which are run when it is first asked for.

    It is known by its pictures, so that answers made with it are found again on another machine.

    Args:
        hide: the method's settings, with its model.
        samples: whose priors are averaged.
    """

    __slots__ = ("_hide", "_priors", "_samples")

    def __init__(self, hide: HiDe, samples: Sequence[Sample]) -> None:
        self._hide, self._samples = hide, samples
        self._priors: list[Map] | None = None

    def __repr__(self) -> str:
        return f"LearnedPrior({len(self._samples)} pictures, {hash_samples(self._samples)})"

    def on(self, grid_hw: Sequence[int]) -> Map:
        """The prior on a grid."""
        if self._priors is None:
            rows = (read_rows(self._hide, self._hide.open(sample.image), sample) for sample in self._samples)
            self._priors = [tad.noise_prior(one.noise, self._hide.settings.sigma) for one in rows]
        return localisation.average_prior(self._priors, grid_hw)


def scaled(rows: Maps, sigma: float) -> Maps:
    """Rows smoothed (Gaussian of `sigma` cells) and each scaled to [0, 1] by min-max."""
    return tad.minmax(tad.smooth(rows, sigma))


def tad_maps(rows: Rows, sigma: float, weight: float = 1.0) -> Maps:
    """TAD with `weight` times the instruction's prior. A weight of 1 is HiDe's."""
    prior = np.float32(weight) * tad.noise_prior(rows.noise, sigma)
    return tad.subtract_prior(scaled(rows.semantic, sigma), prior)


def mean_map(rows: Rows, sigma: float) -> Maps:
    """One map: TAD of the mean of the entity tokens' rows."""
    prior = tad.noise_prior(rows.noise, sigma)
    return tad.subtract_prior(scaled(rows.semantic.mean(0, keepdims=True), sigma), prior)


def unpurified(rows: Rows, sigma: float) -> Maps:
    """A map a token, smoothed and scaled, from which nothing is subtracted."""
    return scaled(rows.semantic, sigma)


def learned(rows: Rows, sigma: float, prior: LearnedPrior) -> Maps:
    """TAD with the mean prior of other pictures."""
    return tad.subtract_prior(scaled(rows.semantic, sigma), prior.on(rows.semantic.shape[1:]))


def content_free_subtracted(rows: Rows, sigma: float) -> Maps:
    """TAD with the map of a content-free prompt as the prior."""
    return tad.subtract_prior(scaled(rows.semantic, sigma), scaled(rows.content_free[None], sigma)[0])


def content_free_ratio(rows: Rows, sigma: float) -> Maps:
    """Rows divided by that of a content-free prompt, as in ViCrop's relative attention."""
    return published.relative_attention(rows.semantic, rows.content_free, sigma)


def sinks_masked(rows: Rows, sigma: float, share: float) -> Maps:
    """No prior: instead the cells that the instruction's tokens look at most are given each row's lowest value."""
    sinks = localisation.top_cells(rows.noise.mean(0), share)
    return scaled(np.where(sinks, rows.semantic.min((1, 2), keepdims=True), rows.semantic), sigma)


def variants(
    sigma: float, cfg: TokensConfig, prior: LearnedPrior, heads: Mapping[str, Sequence[Head]]
) -> dict[str, dict[str, Variant]]:
    """TAD and what it is compared with: name -> the values of its own number, in words -> `Variant`.

    Args:
        sigma: of the Gaussian, in grid cells.
        cfg: the numbers that are tried.
        prior: that of other pictures.
        heads: `HEADS` and `BOXED` -> heads in the order in which they are taken.
    """
    fixed = {
        TAD: partial(tad_maps, sigma=sigma),
        MEAN: partial(mean_map, sigma=sigma),
        UNSMOOTHED: partial(tad_maps, sigma=0.0),
        NO_PRIOR: partial(unpurified, sigma=sigma),
        AVERAGED: partial(learned, sigma=sigma, prior=prior),
        SUBTRACTED: partial(content_free_subtracted, sigma=sigma),
        RATIO: partial(content_free_ratio, sigma=sigma),
    }
    return {name: {"": Variant(maps)} for name, maps in fixed.items()} | {
        WEIGHTED: {f"weight {w:g}": Variant(partial(tad_maps, sigma=sigma, weight=w)) for w in cfg.weights},
        MASKED: {f"{s:.1%} of the cells": Variant(partial(sinks_masked, sigma=sigma, share=s)) for s in cfg.shares},
    } | {
        name: {f"{n} heads": Variant(partial(tad_maps, sigma=sigma), tuple(order[:n])) for n in cfg.n_heads}
        for name, order in heads.items()
    }


def measure_settings(
    candidates: Mapping[str, Mapping[str, Variant]], alphas: Sequence[float], hide: HiDe, session: Session, sample: Sample
) -> dict[str, Any]:
    """Box quality of every candidate at every threshold, for `stored_measures`.

    Returns:
        recall50, iou and area, each a list of candidates (in the order of `variants`) of lists of thresholds.
    """
    read: dict[tuple[Head, ...], Rows] = {}
    quality: dict[str, list[list[float]]] = {"recall50": [], "iou": [], "area": []}
    for variant in (one for of_name in candidates.values() for one in of_name.values()):
        if variant.heads not in read:
            read[variant.heads] = read_rows(hide, session, sample, variant.heads)
        found = []
        for boxes in lpd.boxes_grid(variant.maps(read[variant.heads]), alphas):
            regions = lpd.merge_boxes([box for of_map in boxes for box in of_map], session.image.size)
            found.append(localisation.box_quality(regions, sample.boxes_xyxy, session.image.size))
        for name, of_name in quality.items():
            of_name.append([round(float(one[name]), 5) for one in found])
    return quality


def choose_settings(measured: pd.DataFrame, candidates: Mapping[str, Mapping], alphas: Sequence[float]) -> pd.DataFrame:
    """The rule for every variant: the most recall minus area on the calibration split, the smallest alpha of equals.

    That is the rule of the models' own settings (`evaluation.calibration`): objects kept minus background kept.

    Args:
        measured: rows of `measure_settings`.
        candidates: from `variants`.
        alphas: thresholds, those of the rows.

    Returns:
        One row a variant: variant, own (its own number, in words), alpha, recall50, iou, area and worth.
    """
    labels = [(name, own) for name, of_name in candidates.items() for own in of_name]
    means = {name: np.array(measured[name].tolist()).mean(0).ravel() for name in ("recall50", "iou", "area")}
    places = [(*label, alpha) for label in labels for alpha in alphas]
    table = pd.DataFrame(places, columns=["variant", "own", "alpha"]).assign(**means)
    table["worth"] = table["recall50"] - table["area"]
    best = table.sort_values("alpha", kind="stable").groupby("variant", sort=False)["worth"].idxmax()
    return table.loc[best[list(candidates)]].reset_index(drop=True)


def methods_of(chosen: pd.DataFrame, candidates: Mapping[str, Mapping[str, Variant]]) -> dict[str, Method]:
    """LPD on each variant's regions at its chosen settings, as methods for `evaluate`."""
    settings = chosen[["variant", "own", "alpha"]].itertuples(index=False)
    steps = ("prefill", "search", "compact")
    return {
        name: of_regions(partial(find_regions, candidates[name][own], float(alpha)), steps=steps)
        for name, own, alpha in settings
    }


def find_regions(variant: Variant, alpha: float, hide: HiDe, session: Session, sample: Sample) -> list[lpd.Region]:
    """Regions of a variant's maps, merged, in pixels of the session's picture."""
    return lpd.regions_of(variant.maps(read_rows(hide, session, sample, variant.heads)), alpha, session.image.size)
