"""Notebook 12. Layer, sigma and alpha chosen without labels: by statistics of the maps alone.

The instruction's tokens seek nothing. What smoothing and a threshold make of *their* maps is what chance makes of any,
so a statistic that stands above theirs is about the entities. Settings are chosen on the calibration split and judged
on the test split, by the *worth* of their regions: recall of the true boxes less the area kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from matplotlib.figure import Figure

from hide_utils import findings, plots
from hide_utils.baselines import Method, named, with_hide
from hide_utils.config import Alpha, Count, Pixels, RunConfig, Sigma
from hide_utils.evaluation import held_out_maps, stored_measures
from hide_utils.evaluation.calibration import sweep_settings
from hide_utils.findings import Finding, claims_beside
from hide_utils.method import HiDe, SearchAttention, Session, given_entities
from hide_utils.samples import Sample


class SettingsConfig(RunConfig):
    """Parameters of notebook 12.

    Attributes:
        n_calibration: samples of each calibration split. None takes all.
        resolutions: sides of the scenes between which settings are transferred, besides `resolution`.
        sigmas, alphas: grid from which settings are chosen, beside the published ones.
    """

    notebook: str = "12_settings_without_labels"
    n_calibration: Count | None = None
    resolutions: tuple[Pixels, ...] = ()
    sigmas: tuple[Sigma, ...] = (0.0, 0.75, 1.5)
    alphas: tuple[Alpha, ...] = (0.3, 0.4, 0.5, 0.8)


SETTING = ["layer", "sigma", "alpha"]
PUBLISHED = (15 / 28, 3.0, 0.7)  # depth, sigma and alpha, for Qwen2.5-VL-7B
STATISTICS = {
    "above instruction": "contrast of the best entity token's map minus that of the best instruction token's",
    "contrast": "share of a map's mass above the threshold minus that part's share of the area, mean over the tokens",
    "tokens agree": "Cohen's kappa of the masks of two tokens of one entity, mean over the pairs",
    "layers agree": "Cohen's kappa of the layer's mask and its neighbours' (all tokens together), mean over the two",
}
RULE, COMBINED = "above instruction", "all by rank"  # the statistic that is proposed, and the mean of all ranks
RULES = (*STATISTICS, COMBINED)

Chosen = tuple[int, float, float]  # layer (counted from 0), sigma and alpha

CLAIMS = claims_beside(__file__)["claims"]


def kappa(a: Bool[np.ndarray, "... cells"], b: Bool[np.ndarray, "... cells"]) -> Float[np.ndarray, "..."]:
    """Cohen's kappa of two masks over the cells: 1 where they are equal, 0 by chance or where both are flat."""
    observed = (a == b).mean(-1)
    p, q = a.mean(-1), b.mean(-1)
    expected = p * q + (1 - p) * (1 - q)
    return np.where(expected < 1, (observed - expected) / np.where(expected < 1, 1 - expected, 1), 0.0)


def token_owners(tokens: Sequence[str], names: Sequence[str]) -> list[int]:
    """Which entity each token belongs to, by its place in the search text, or the first where texts do not fit.

    Args:
        tokens: texts of the entity tokens.
        names: the entities, in the order of the search text.

    Returns:
        A position in `names` for each token.
    """
    owners, rest, current = [], [len(name.replace(" ", "")) for name in names] or [0], 0
    for token in tokens:
        while current < len(rest) - 1 and rest[current] <= 0:
            current += 1
        owners.append(current)
        rest[current] -= len(token.replace(" ", ""))
    return owners if not any(rest) else [0] * len(tokens)


def contrast(flat: Float[np.ndarray, "layers tokens cells"], alpha: float) -> Float[np.ndarray, "layers tokens"]:
    """Share of each map's mass above the threshold minus that part's share of the area. It is 0 for an empty map."""
    masks = flat >= alpha
    mass = (flat * masks).sum(-1) / np.maximum(flat.sum(-1), 1e-12)
    return np.where(masks.any(-1), mass - masks.mean(-1), 0.0)


def statistics(
    found: SearchAttention, entities: Sequence[str], sigmas: Sequence[float], alphas: Sequence[float]
) -> dict[str, Float[np.ndarray, "layers sigmas alphas"]]:
    """The `STATISTICS` of one picture at every setting, from captured rows. No box, answer or label is read.

    Args:
        found: attention rows.
        entities: what was searched for.
        sigmas: of the Gaussian, in grid cells.
        alphas: thresholds in (0, 1].
    """
    owners = token_owners(found.tokens, entities)
    values = np.empty((len(STATISTICS), len(found.layers), len(sigmas), len(alphas)))
    for s, sigma in enumerate(sigmas):
        maps = np.stack([found.maps(layer, sigma) for layer in found.layers])
        nothing = np.stack([held_out_maps(noise, sigma) for noise in found.noise])
        flat, chance = (m.reshape(*m.shape[:2], -1) for m in (maps, nothing))
        for a, alpha in enumerate(alphas):
            above = contrast(flat, alpha).max(1) - contrast(chance, alpha).max(1)
            values[:, :, s, a] = above, *_at(flat, alpha, owners)
    return dict(zip(STATISTICS, values, strict=True))


def _at(flat: Float[np.ndarray, "layers tokens cells"], alpha: float, owners: Sequence[int]) -> tuple[np.ndarray, ...]:
    """The other statistics of every layer at one sigma and alpha."""
    masks = flat >= alpha
    pairs = [(i, j) for i in range(len(owners)) for j in range(i) if owners[i] == owners[j]]
    one, two = (np.array(side) for side in zip(*pairs, strict=True)) if pairs else (np.zeros(0, int),) * 2
    tokens = kappa(masks[:, one], masks[:, two]).mean(1) if pairs else np.zeros(len(flat))
    either = np.any(masks, axis=1)
    steps = kappa(either[1:], either[:-1])
    neighbours = np.concatenate([[np.nan], steps]), np.concatenate([steps, [np.nan]])
    layers = np.nanmean(np.stack(neighbours), axis=0) if len(steps) else np.zeros(1)
    return contrast(flat, alpha).mean(1), tokens, layers


def grid_measures(
    sigmas: Sequence[float], alphas: Sequence[float], unlabelled: bool, hide: HiDe, session: Session, sample: Sample
) -> dict[str, list[float]]:
    """For `stored_measures`: worth and IoU of one picture's regions at every layer, sigma and alpha, in this order.

    Args:
        sigmas, alphas: of the grid.
        unlabelled: also take the `STATISTICS`.
        hide: the method. Its settings play no part.
        session: of the sample's picture.
        sample: with true boxes.
    """
    sought = given_entities(sample.entities) if sample.entities else hide.extractor(sample.question)
    found = session.search(sought, range(hide.model.n_layers))
    quality = sweep_settings([found], [sample], [session.image.size], sigmas, alphas)
    values = {"worth": quality["recall50"] - quality["area"], "iou": quality["iou"]}
    if unlabelled:
        values |= {name: pd.Series(v.ravel()) for name, v in statistics(found, sought.names, sigmas, alphas).items()}
    return {name: column.round(3).tolist() for name, column in values.items()}


def grid_of(hide: HiDe, config: SettingsConfig) -> list[Chosen]:
    """Every setting, in the order of `grid_measures`. The published sigma and alpha are among them."""
    sigmas, alphas = sorted({*config.sigmas, PUBLISHED[1]}), sorted({*config.alphas, PUBLISHED[2]})
    return list(product(range(hide.model.n_layers), sigmas, alphas))


def measured(hide: HiDe, samples: Sequence[Sample], config: SettingsConfig, split: str) -> pd.DataFrame:
    """What `grid_measures` gives for each sample, read from disk or measured; statistics on the calibration split."""
    _, sigmas, alphas = (sorted(set(values)) for values in zip(*grid_of(hide, config), strict=True))
    return stored_measures(hide, samples, partial(grid_measures, sigmas, alphas, split == "calibration"), config, split)


def setting_means(rows: pd.DataFrame, grid: Sequence[Chosen]) -> pd.DataFrame:
    """Mean of every measure at each setting: columns of `SETTING`, and those that the rows have."""
    names = [name for name in ("worth", "iou", *STATISTICS) if name in rows]
    means = {name: np.array(rows[name].tolist()).mean(0) for name in names}
    table = pd.DataFrame(grid, columns=SETTING).assign(**means)
    if set(STATISTICS) <= set(names):
        table[COMBINED] = table[list(STATISTICS)].rank(pct=True).mean(axis=1)
    return table


def choices(means: pd.DataFrame, n_layers: int) -> dict[str, Chosen]:
    """The settings that are compared: those of "calibrated" (true boxes), of "published", and of each of the `RULES`.

    Args:
        means: from `setting_means`, of the calibration split.
        n_layers: of the model. The published layer is taken at the same depth.
    """
    settings = list(means[SETTING].itertuples(index=False, name=None))
    chosen = {"calibrated": settings[means["worth"].argmax()]}
    chosen["published"] = (round(PUBLISHED[0] * n_layers) - 1, *PUBLISHED[1:])
    return chosen | {rule: settings[means[rule].argmax()] for rule in RULES}


def said(setting: Chosen) -> str:
    """A setting in words, its layer counted from 1."""
    return "layer {}, σ {:g}, α {:g}".format(setting[0] + 1, *setting[1:])


def labels(cards: Iterable[Finding], chosen: Mapping[str, Chosen]) -> dict[str, str]:
    """For a forest of `map_cards` or `answer_cards`: whose setting it is, which, and against what."""
    parts = {card.claim: card.claim.split(",")[0].split(" against ") for card in cards}
    return {claim: f"{rule} ({said(chosen[rule])}) against {against}" for claim, (rule, against) in parts.items()}


def at_settings(rows: pd.DataFrame, grid: Sequence[Chosen], chosen: Mapping[str, Chosen]) -> pd.DataFrame:
    """Worth and IoU of each sample at some settings, by name, from what was `measured` on a grid.

    Returns:
        Columns sample_id, image_id, variant (the name), worth and iou. The mean over the grid is "any setting".
    """
    values = {name: np.array(rows[name].tolist()) for name in ("worth", "iou")}
    at = {name: [grid.index(setting)] for name, setting in chosen.items()} | {"any setting": slice(None)}
    parts = [
        rows[["sample_id", "image_id"]].assign(variant=name, **{k: v[:, where].mean(1) for k, v in values.items()})
        for name, where in at.items()
    ]
    return pd.concat(parts, ignore_index=True)


def map_cards(table: pd.DataFrame, against: str, rules: Iterable[str] = RULES) -> list[Finding]:
    """A card for each rule's setting against another one, in worth, and for the `RULE` in IoU too."""
    cards, words = [], CLAIMS[against]
    for rule, (measure, unit) in product(rules, {"worth": "recall", "iou": "IoU"}.items()):
        if measure == "worth" or rule == RULE:
            name = f"{rule} against {against}" + (", IoU" if measure == "iou" else "")
            text = words["statement"].format(rule) + (" Measured by IoU." if measure == "iou" else "")
            about = words | {"claim": name, "statement": text}
            cards.append(findings.of_measure(table, measure, rule, against, unit, **about))
    return cards


def setting_methods(hide: HiDe, chosen: Mapping[str, Chosen]) -> dict[str, Method]:
    """The direct answer, and HiDe at each setting under a name that states it, its layer counted from 0."""
    at = {
        _method(one): replace(hide.settings, layer=one[0], sigma=one[1], alpha=one[2], source="given")
        for one in chosen.values()
    }
    of = {name: partial(with_hide, settings=settings) for name, settings in at.items()}
    return named(["direct"]) | of


def _method(setting: Chosen) -> str:
    return "layer {} sigma {:g} alpha {:g}".format(*setting)


def answer_cards(answers: pd.DataFrame, chosen: Mapping[str, Chosen]) -> list[Finding]:
    """Cards about answers: each rule's setting against the calibrated one, and that of the `RULE` against published."""
    parts = [answers[answers["method"] == _method(setting)].assign(method=name) for name, setting in chosen.items()]
    table, cards = pd.concat(parts, ignore_index=True), []
    for rule, against in [*product(RULES, ["calibrated"]), (RULE, "published")]:
        words = CLAIMS[claim := f"{against}, answers"]
        about = words | {"claim": f"{rule} against {claim}", "statement": words["statement"].format(rule)}
        cards.append(findings.of_answers(table, rule, against, **about))
    return cards


def transfer_cards(
    tests: Mapping[int, pd.DataFrame], grid: Sequence[Chosen], best: Mapping[int, Chosen]
) -> list[Finding]:
    """A card for each pair of resolutions: settings chosen at the one against those chosen at the other, used there.

    Args:
        tests: side in pixels -> `measured` of its test split.
        grid: from `grid_of`.
        best: side -> the choice by true boxes on its calibration split.
    """
    cards, words = [], CLAIMS["transfer"]
    for used_on, chosen_on in product(tests, best):
        if used_on != chosen_on:
            table = at_settings(tests[used_on], grid, {"other": best[chosen_on], "own": best[used_on]})
            text = words | {
                "claim": f"{chosen_on} px to {used_on} px",
                "statement": words["statement"].format(chosen_on, used_on),
            }
            cards.append(findings.of_measure(table, "worth", "other", "own", "recall", **text))
    return cards


def transfer_figure(cards: Sequence[Finding]) -> Figure:
    """The cards of `transfer_cards` as a matrix."""
    rows = []
    for card in cards:
        chosen_on, used_on = card.claim.split(" to ")
        rows.append((chosen_on, used_on, card.estimate, card.low, card.high))
    rows += [(name, name, 0.0, 0.0, 0.0) for name in dict.fromkeys(row[0] for row in rows)]
    table = pd.DataFrame(rows, columns=["chosen_on", "used_on", "difference", "low", "high"])
    return plots.difference_matrix(table)
