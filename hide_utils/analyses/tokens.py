"""Notebook 03. Token-wise decoupling (TAD) taken apart: TAD as it is, and variants that change one thing in it each.

A *variant* turns the attention rows of one picture into maps. Its regions are those of all its maps together, as in
LPD. The threshold of every variant, and the one number that some have of their own, is chosen on the calibration split
by one rule.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd

from hide_utils.baselines import METHODS, Method, of_regions
from hide_utils.config import Alpha, Count, RunConfig, Share
from hide_utils.evaluation import heads, stored_measures
from hide_utils.evaluation import tad_variants as maps
from hide_utils.evaluation.tad_variants import Variant
from hide_utils.findings import Finding, claims_beside, of_measure
from hide_utils.method import HiDe, Session, tad
from hide_utils.samples import Sample
from hide_utils.stats import median_label


class TokensConfig(RunConfig):
    """Parameters of notebook 03.

    Attributes:
        n_calibration: samples of the calibration split. None takes all.
        n_prior: of them, those whose priors are averaged.
        n_priors: test samples on which priors are compared, which differ little. None takes all.
        alphas: thresholds from which that of every variant is chosen.
        weights: of the prior, from which one is chosen.
        shares: of the cells that count as sinks, from which that of the masked ones is chosen.
        n_heads: numbers of heads from which one is chosen.
    """

    notebook: str = "03_token_decoupling"
    n_calibration: Count | None = None
    n_prior: Count = 20
    n_priors: Count | None = None
    alphas: tuple[Alpha, ...] = ()
    weights: tuple[float, ...] = ()
    shares: tuple[Share, ...] = ()
    n_heads: tuple[Count, ...] = ()


TAD = "TAD"
MEAN, UNSMOOTHED, NO_PRIOR = "one map for all tokens", "no smoothing", "no prior"
WEIGHTED, AVERAGED = "weighted prior", "prior of other pictures"
RATIO, MASKED = "content-free ratio", "sinks masked"
HEADS, BOXED = "heads of low entropy", "heads that see the boxes"
HEADS_BY = {HEADS: "chosen", BOXED: "concentration"}  # the column of `head_table` by which they are put in order


CLAIMS = claims_beside(__file__)
SHORT = {f"{claim}: regions": claim for group in CLAIMS.values() for claim in group}


def head_table(hide: HiDe, calibration: Sequence[Sample], cfg: TokensConfig) -> pd.DataFrame:
    """Every head of the model on the calibration split, as `heads.head_table` has it, read from disk or measured."""
    return heads.head_table(
        stored_measures(hide, calibration, heads.measure_heads, cfg, "heads"), hide.model.row_layers
    )


def variants(
    hide: HiDe, calibration: Sequence[Sample], seen: pd.DataFrame, cfg: TokensConfig
) -> dict[str, dict[str, Variant]]:
    """TAD and what it is compared with: name -> the values of its own number, in words -> `Variant`.

    Args:
        hide: the method's settings, with its model.
        calibration: the calibration split.
        seen: from `head_table`.
        cfg: the numbers that are tried.
    """
    sigma, prior = hide.settings.sigma, maps.LearnedPrior(hide, calibration[: cfg.n_prior])
    fixed = {
        TAD: partial(maps.tad_maps, sigma=sigma),
        MEAN: partial(maps.mean_map, sigma=sigma),
        UNSMOOTHED: partial(maps.tad_maps, sigma=0.0),
        NO_PRIOR: partial(maps.unpurified, sigma=sigma),
        AVERAGED: partial(maps.learned, sigma=sigma, prior=prior),
        RATIO: partial(maps.content_free_ratio, sigma=sigma),
    }
    of_shares = {f"{s:.1%} of the cells": partial(maps.sinks_masked, sigma=sigma, share=s) for s in cfg.shares}
    of_weights = {f"weight {w:g}": partial(maps.tad_maps, sigma=sigma, weight=w) for w in cfg.weights}
    found = {name: {"": Variant(of)} for name, of in fixed.items()}
    for name, numbered in ((WEIGHTED, of_weights), (MASKED, of_shares)):
        found[name] = {own: Variant(of) for own, of in numbered.items()}
    for name, by in HEADS_BY.items():
        order = heads.ranked_heads(seen, by)
        found[name] = {f"{n} heads": Variant(fixed[TAD], order[:n]) for n in cfg.n_heads}
    return found


def choose_settings(
    hide: HiDe, calibration: Sequence[Sample], candidates: Mapping[str, Mapping[str, Variant]], cfg: TokensConfig
) -> pd.DataFrame:
    """`best_settings` of every variant on the calibration split, whose measures are read from disk or measured."""
    measure = partial(maps.measure_settings, candidates, cfg.alphas)
    return best_settings(stored_measures(hide, calibration, measure, cfg, "settings"), candidates, cfg.alphas)


def best_settings(measured: pd.DataFrame, candidates: Mapping[str, Mapping], alphas: Sequence[float]) -> pd.DataFrame:
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
    """Direct answering, and LPD on each variant's regions at its chosen settings, as methods for `evaluate`."""
    settings = chosen[["variant", "own", "alpha"]].itertuples(index=False)
    steps = ("prefill", "search", "compact")
    return {"direct": METHODS["direct"]} | {
        name: of_regions(partial(maps.find_regions, candidates[name][own], float(alpha)), steps=steps)
        for name, own, alpha in settings
    }


def with_results(chosen: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """Every method's settings, and what it does on the test split.

    Args:
        chosen: from `choose_settings`.
        answers: rows of `methods_of` these settings.

    Returns:
        One row a method: method, own (its own number, in words), alpha, n, recall50, iou, area and right, means over
        the samples. A sample without regions has 0 of the first three.
    """
    known = answers.assign(n=answers["correct"].notna(), right=answers["correct"].astype(float))
    measures = known[["recall50", "iou", "area"]].astype(float)
    known[measures.columns] = measures.where(known["method"] == "direct", measures.fillna(0.0))
    means = known.groupby("method", sort=False).agg(
        {"n": "sum", "recall50": "mean", "iou": "mean", "area": "mean", "right": "mean"}
    )
    settings = chosen.set_index("variant")[["own", "alpha"]]
    return settings.join(means, how="right").rename_axis("method").reset_index()


def example_maps(
    hide: HiDe, session: Session, sample: Sample, chosen: pd.DataFrame, candidates: Mapping, most: int = 8
) -> dict[str, tuple[list[str], list[np.ndarray]]]:
    """Maps of one sample for `plots.token_maps`: the prior and the one map for all tokens, then a row a variant.

    Args:
        hide: the method's settings, with its model.
        session: the sample's picture.
        sample: the sample.
        chosen: from `choose_settings`.
        candidates: from `variants`.
        most: tokens that are shown, the first ones.
    """
    own = dict(chosen[["variant", "own"]].to_numpy())
    rows = maps.read_rows(hide, session, sample)
    prior = tad.noise_prior(rows.noise, hide.settings.sigma)
    (mean,) = candidates[MEAN][""].maps(rows)
    sections = {"one map": (["prior", "all tokens"], [prior, mean])}
    for name in (TAD, UNSMOOTHED, NO_PRIOR, RATIO, HEADS, BOXED):
        variant = candidates[name][own[name]]
        read = maps.read_rows(hide, session, sample, variant.heads) if variant.heads else rows
        sections[textwrap.fill(name, 14)] = (list(rows.tokens[:most]), list(variant.maps(read)[:most]))
    return sections


def region_cards(answers: pd.DataFrame, group: str, words: str | None = None) -> list[Finding]:
    """A card for what each claim about answers compares, by the regions. No region is an IoU of 0.

    Args:
        answers: rows of `evaluate`.
        group: of the `CLAIMS`.
        words: the group that says it of regions. None takes the statements about answers.
    """
    fitted, cards = answers.rename(columns={"method": "variant"}).fillna({"iou": 0.0}), []
    for claim, own in CLAIMS[group].items():
        said = CLAIMS[words][claim] if words else {"statement": own["statement"]}
        pair = {"variant": own["method"], "against": own["against"], "unit": "IoU"}
        cards.append(of_measure(fitted, "iou", claim=f"{claim}: regions", **pair, **said))
    return cards


def typical_sample(answers: pd.DataFrame, samples: Sequence[Sample]) -> Sample:
    """The rule for an example: of the samples with most to look for, that of (lower) median IoU under `TAD`.

    Most to look for have those with most true boxes, and of these the ones with most words in their entities.

    Args:
        answers: rows of `TAD`.
        samples: those of the rows.
    """
    sought = {sample.id: (len(sample.boxes_xyxy), len(" ".join(sample.entities).split())) for sample in samples}
    by_id = {sample.id: sample for sample in samples if sought[sample.id] == max(sought.values())}
    quality = answers[(answers["method"] == TAD) & answers["sample_id"].isin(by_id)].set_index("sample_id")["iou"]
    return by_id[median_label(quality.astype(float).fillna(0.0))]
