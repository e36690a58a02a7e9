"""Variants of TAD: what turns the attention rows of one picture into maps, one thing changed in each.

A variant's regions are those of all its maps together, as in LPD.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float

from hide_utils.baselines import published
from hide_utils.baselines.heads import Head
from hide_utils.evaluation import localisation
from hide_utils.evaluation.heads import sought
from hide_utils.evaluation.keys import hash_samples
from hide_utils.method import HiDe, Session, lpd, tad
from hide_utils.prompts import CONTENT_FREE
from hide_utils.samples import Sample

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
            rows = (read_rows(self._hide, self._hide.open(sample.images), sample) for sample in self._samples)
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


def content_free_ratio(rows: Rows, sigma: float) -> Maps:
    """Rows divided by that of a content-free prompt, as in ViCrop's relative attention."""
    return published.relative_attention(rows.semantic, rows.content_free, sigma)


def sinks_masked(rows: Rows, sigma: float, share: float) -> Maps:
    """No prior: instead the cells that the instruction's tokens look at most are given each row's lowest value."""
    sinks = localisation.top_cells(rows.noise.mean(0), share)
    return scaled(np.where(sinks, rows.semantic.min((1, 2), keepdims=True), rows.semantic), sigma)


def find_regions(variant: Variant, alpha: float, hide: HiDe, session: Session, sample: Sample) -> list[lpd.Region]:
    """Regions of a variant's maps, merged, in pixels of the session's picture."""
    return lpd.regions_of(variant.maps(read_rows(hide, session, sample, variant.heads)), alpha, session.image.size)


def measure_settings(
    candidates: Mapping[str, Mapping[str, Variant]],
    alphas: Sequence[float],
    hide: HiDe,
    session: Session,
    sample: Sample,
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
        maps = variant.maps(read[variant.heads])
        found = localisation.quality_at(maps, alphas, sample.boxes_xyxy, session.image.size)
        for name, of_name in quality.items():
            of_name.append([round(float(one[name]), 5) for one in found])
    return quality
