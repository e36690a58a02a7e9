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
from hide_utils.method import Entities, HiDe, Localisation, SearchAttention, Session, lpd
from hide_utils.samples import Sample

ALPHAS = (0.5, 0.7, 0.8, 0.9)
SHARES = (0.2, 0.4, 0.5, 0.6, 0.7, 0.8)  # shares of the calibration tokens that a threshold drops
TOKEN_SCORES = {
    "entropy": "by how much the row's entropy lies below that of the instruction's rows (share of the highest)",
    "peak": "log of the row's peak over its mean, above that of the instruction's rows",
    "purified entropy": "by how much the purified map's entropy lies below that of a flat map (share of the highest)",
}

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
    """Each of the `TOKEN_SCORES` for every token of a search, at a layer (counted from 0)."""
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
        measure: a name of `TOKEN_SCORES`. None keeps every token.
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


def sweep_rules(
    found: Sequence[SearchAttention],
    samples: Sequence[Sample],
    sizes_wh: Sequence[tuple[int, int]],
    layer: int,
    sigma: float,
    alphas: Sequence[float] = ALPHAS,
    shares: Sequence[float] = SHARES,
) -> pd.DataFrame:
    """Mean box quality of every rule: all tokens, and each measure with a threshold that drops a share of the tokens.

    Args:
        found: searches of every sample, with rows at the layer.
        samples: those of the searches, with true boxes.
        sizes_wh: width and height in pixels of the samples' pictures as the session has them.
        layer: counted from 0.
        sigma: standard deviation of the Gaussian in grid cells.
        alphas: thresholds on the maps.
        shares: of all tokens that a threshold on a measure drops.

    Returns:
        Columns measure (None for all tokens), share, least, alpha, and the three of `localisation.box_quality`.
    """
    scores = [token_scores(one, layer, sigma) for one in found]
    pooled = {name: np.concatenate([one[name] for one in scores]) for name in TOKEN_SCORES}
    limits: list[tuple[str | None, float, float]] = [(None, 0.0, -np.inf)]
    limits += [(name, share, float(np.quantile(pooled[name], share))) for name in TOKEN_SCORES for share in shares]
    rows = []
    for one, score, sample, size in zip(found, scores, samples, sizes_wh, strict=True):
        grid = lpd.boxes_grid(one.maps(layer, sigma), alphas)
        for (measure, share, least), (alpha, boxes) in product(limits, zip(alphas, grid, strict=True)):
            kept = Rule(measure, least, alpha).kept(score)
            chosen = [box for of_token, keep in zip(boxes, kept, strict=True) if keep for box in of_token]
            quality = localisation.box_quality(lpd.merge_boxes(chosen, size), sample.boxes_xyxy, size)
            rows.append({"measure": measure, "share": share, "least": least, "alpha": alpha, **quality})
    keys = ["measure", "share", "least", "alpha"]
    return pd.DataFrame(rows).groupby(keys, sort=False, dropna=False).mean().reset_index()


def choose_rule(table: pd.DataFrame) -> Rule:
    """The rule with the highest mean IoU, as for the other variants of TAD. Of equals the one that drops fewest counts.

    Args:
        table: from `sweep_rules`, of the calibration split.
    """
    best = table.sort_values(["share", "alpha"], kind="stable")
    best = best.loc[best["iou"].idxmax()]
    return Rule(
        best["measure"] if isinstance(best["measure"], str) else None, float(best["least"]), float(best["alpha"])
    )


def question_itself(hide: HiDe, session: Session, sample: Sample) -> Entities:
    """The whole question as the search text."""
    return Entities((sample.question.strip(),), "question")


def listed_by_model(hide: HiDe, session: Session, sample: Sample) -> Entities:
    """The entities that the model lists for the question, as HiDe has them."""
    return hide.locate(session, sample.question).entities


def locate_selected(hide: HiDe, session: Session, question: str, entities: Entities, rule: Rule) -> Localisation:
    """`HiDe.locate` with the tokens and the threshold of a rule. Layer and sigma are those of `hide`."""

    def run(alone: Session) -> Localisation:
        found = alone.search(entities, [hide.settings.layer])
        with alone.timed("decouple"):
            kept = rule.kept(token_scores(found, hide.settings.layer, hide.settings.sigma))
            maps = found.maps(hide.settings.layer, hide.settings.sigma)[kept]
            regions = lpd.regions_of(maps, rule.alpha, alone.image.size)
        tokens = tuple(token for token, keep in zip(found.tokens, kept, strict=True) if keep)
        return Localisation(entities, tokens, maps, regions)

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


def token_table(found: Sequence[SearchAttention], layer: int, sigma: float, rule: Rule, least: int = 3) -> pd.DataFrame:
    """How often each token is read.

    Args:
        found: searches, with rows at the layer.
        layer: counted from 0.
        sigma: standard deviation of the Gaussian in grid cells.
        rule: which tokens are read.
        least: tokens that occur less often are put together as "(rare)".

    Returns:
        Columns token, n, score (mean of the rule's measure) and kept (share), the most concentrated token first.
    """
    rows: list[tuple[str, float, bool]] = []
    for one in found:
        scores = token_scores(one, layer, sigma)
        own = scores[rule.measure or "entropy"]
        rows += zip(one.tokens, own, rule.kept(scores), strict=True)
    table = pd.DataFrame(rows, columns=["token", "score", "kept"])
    count = table["token"].map(table["token"].value_counts())
    table["token"] = table["token"].where(count >= least, "(rare)")
    means = table.groupby("token").agg(n=("kept", "size"), score=("score", "mean"), kept=("kept", "mean"))
    return means.sort_values("score", ascending=False).reset_index()


def strongest_score(found: Sequence[SearchAttention], layer: int, sigma: float) -> list[float]:
    """For each search, the entropy score of its most concentrated token. It is a signal for whether to look."""
    return [float(token_scores(one, layer, sigma)["entropy"].max()) for one in found]
