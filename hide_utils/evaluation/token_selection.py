"""Token selection: which tokens' attention is concentrated enough to be read, told without knowing the entities.

A token that seeks nothing looks everywhere, as the instruction's tokens do. Whether a token's map is used is decided by
how much more concentrated its attention is than theirs. That drops the diffuse words of listed entities ("with",
"color"). It also lets the question itself be searched for: its own tokens stand in for the entities, without a call
that lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from hide_utils.baselines import Method, of_regions
from hide_utils.evaluation import localisation
from hide_utils.method import Entities, Found, HiDe, Localisation, SearchAttention, Session, lpd
from hide_utils.samples import Sample

ALPHAS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

Maps = Float[np.ndarray, "tokens h w"]
Scores = Float[np.ndarray, " tokens"]


def entropy_score(maps: Maps) -> Scores:
    """1 - entropy / log(cells) of each map as a distribution over the grid. 0 for a flat map, 1 for a single cell."""
    flat = np.asarray(maps, np.float64).reshape(len(maps), -1)
    share = flat / np.maximum(flat.sum(1, keepdims=True), 1e-12)
    entropy = -(share * np.log(np.maximum(share, 1e-12))).sum(1)
    return np.where(flat.sum(1) > 0, 1 - entropy / np.log(flat.shape[1]), 0.0)


def peak_score(maps: Maps) -> Scores:
    """Log of each map's largest cell over its mean. 0 for a flat map."""
    flat = np.asarray(maps, np.float64).reshape(len(maps), -1)
    return np.log(np.maximum(flat.max(1), 1e-12) / np.maximum(flat.mean(1), 1e-12))


def token_scores(found: SearchAttention, layer: int, sigma: float) -> dict[str, Scores]:
    """How concentrated every token of a search is, at a layer (counted from 0).

    Returns:
        ``entropy``: by how much the row's entropy lies below that of the instruction's rows (share of the highest).
        ``peak``: log of the row's peak over its mean, above that of the instruction's rows.
        ``purified entropy``: as ``entropy``, of the purified map against a flat one.
    """
    number = found.layers.index(layer)
    noise, semantic = found.noise[number], found.semantic[number]
    return {
        "entropy": entropy_score(semantic) - entropy_score(noise).mean(),
        "peak": peak_score(semantic) - peak_score(noise).mean(),
        "purified entropy": entropy_score(found.maps(layer, sigma)),
    }


@dataclass(frozen=True)
class Rule:
    """Which tokens are read, and the threshold on their maps.

    Attributes:
        measure: a name of `token_scores`. None keeps every token.
        least: score that a token needs. The best token is kept whatever its score.
        alpha: threshold on the purified maps, in (0, 1].
    """

    measure: str | None
    least: float
    alpha: float

    def kept(self, scores: Mapping[str, Scores]) -> Bool[np.ndarray, " tokens"]:
        """Which tokens are read, by their `token_scores`. The most concentrated one always is."""
        if self.measure is None:
            return np.ones(len(next(iter(scores.values()))), bool)
        own = scores[self.measure]
        return (own >= self.least) | (own == own.max())

    def __str__(self) -> str:
        chosen = "all tokens" if self.measure is None else f"{self.measure} ≥ {self.least:.3g}"
        return f"{chosen}, α {self.alpha:g}"


LEAST = {
    "entropy": (-0.04, -0.02, 0.0, 0.02, 0.04, 0.08, 0.12, 0.16),
    "peak": (-0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0),
    "purified entropy": (0.2, 0.3, 0.35, 0.4, 0.45, 0.5),
}  # measure -> thresholds to choose from
RULES = tuple(
    Rule(measure, least, alpha)
    for measure, thresholds in [(None, (0.0,)), *LEAST.items()]
    for least, alpha in product(thresholds, ALPHAS)
)


def rule_quality(hide: HiDe, session: Session, sample: Sample) -> dict[str, list[float]]:
    """Box quality of every one of `RULES` where the question itself is searched for, for `stored_measures`."""
    layer, sigma, size = hide.settings.layer, hide.settings.sigma, session.image.size
    found = session.search(question_itself(hide, session, sample), [layer])
    scores = token_scores(found, layer, sigma)
    grid = dict(zip(ALPHAS, lpd.boxes_grid(found.maps(layer, sigma), ALPHAS), strict=True))
    rows = []
    for rule in RULES:
        kept = rule.kept(scores)
        chosen = [box for of_token, keep in zip(grid[rule.alpha], kept, strict=True) if keep for box in of_token]
        rows.append(localisation.box_quality(lpd.merge_boxes(chosen, size), sample.boxes_xyxy, size))
    return {name: [round(row[name], 5) for row in rows] for name in ("recall50", "iou", "area")}


def choose_rules(measured: pd.DataFrame) -> dict[str, Rule]:
    """The best of `RULES` that read all tokens, and the best of the others, which read "tokens that point".

    The best has the highest mean recall minus area, which is how sigma and alpha are chosen too.

    Args:
        measured: rows of `rule_quality`, of the calibration split.
    """
    recall, area = (np.mean(measured[name].tolist(), axis=0) for name in ("recall50", "area"))
    best_first = [RULES[i] for i in np.argsort(area - recall, kind="stable")]
    groups = {"all tokens": True, "tokens that point": False}
    return {name: next(r for r in best_first if (r.measure is None) == every) for name, every in groups.items()}


def question_itself(hide: HiDe, session: Session, sample: Sample) -> Entities:
    """The whole question as the search text."""
    return Entities((sample.question.strip(),), "question")


def locate_selected(hide: HiDe, session: Session, question: str, entities: Entities, rule: Rule) -> Localisation:
    """`HiDe.locate` with the tokens and the threshold of a rule. Layer and sigma are those of `hide`."""

    def run(alone: Session) -> Localisation:
        found = alone.search(entities, [hide.settings.layer])
        with alone.timed("decouple"):
            rows = found.of_tokens(rule.kept(token_scores(found, hide.settings.layer, hide.settings.sigma)))
            maps = rows.maps(hide.settings.layer, hide.settings.sigma)
            regions = lpd.regions_of(maps, rule.alpha, alone.image.size)
        return Localisation(entities, [Found(rows, maps, regions)])

    return session.located((question, hide.settings, entities.text, rule), run)


def reading(rule: Rule, entities: Callable[[HiDe, Session, Sample], Entities], steps: Sequence[str] = ()) -> Method:
    """HiDe that reads the tokens of a rule.

    Args:
        rule: which tokens are read.
        entities: gives what is searched for.
        steps: what that is charged for, "extract" where the model lists it, besides prefill, search and answer.
    """

    def find(hide: HiDe, session: Session, sample: Sample) -> list[lpd.Region]:
        return locate_selected(hide, session, sample.question, entities(hide, session, sample), rule).regions

    return of_regions(find, steps=("prefill", *steps, "search", "decouple", "compact"))
