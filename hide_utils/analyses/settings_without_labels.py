"""Notebook 07. Layer, sigma and alpha chosen without labels: by statistics of the maps alone.

The instruction's tokens seek nothing. What smoothing and a threshold make of *their* maps is what chance makes of any,
so a statistic that stands above theirs is about the entities. Settings are chosen on one set of pictures and judged by
the true boxes of others. What is lost against the choice by true boxes is the *regret*.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from hide_utils.evaluation.localisation import held_out_maps
from hide_utils.method.session import SearchAttention
from hide_utils.samples import Sample
from hide_utils.stats import Interval, cluster_bootstrap, sign_flip_p
from hide_utils.stats.rows import pictures_of, with_holm

SETTING = ["layer", "sigma", "alpha"]
SIGMAS = (0.0, 0.5, 1.0, 2.0)
ALPHAS = (0.3, 0.5, 0.7, 0.8, 0.9)
STATISTICS = {
    "above instruction": "contrast of the best entity token's map minus that of the best instruction token's",
    "contrast": "share of a map's mass above the threshold minus that part's share of the area, mean over the tokens",
    "tokens agree": "Cohen's kappa of the masks of two tokens of one entity, mean over the pairs",
    "layers agree": "Cohen's kappa of the layer's mask and its neighbours' (all tokens together), mean over the two",
}
RULE = "above instruction"  # the one that is proposed
COMBINED = "all, by rank"

Chosen = tuple[int, float, float]


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


def statistics(
    found: Sequence[SearchAttention],
    samples: Sequence[Sample],
    sigmas: Sequence[float] = SIGMAS,
    alphas: Sequence[float] = ALPHAS,
) -> pd.DataFrame:
    """The `STATISTICS` of every picture at every setting, from captured rows. No box, answer or label is read.

    Args:
        found: attention rows of each sample.
        samples: of which id and entities are read.
        sigmas: of the Gaussian, in grid cells.
        alphas: thresholds in (0, 1].

    Returns:
        One row a sample and setting: sample_id, layer (counted from 0), sigma, alpha and the statistics.
    """
    rows = []
    for one, sample in zip(found, samples, strict=True):
        owners = token_owners(one.tokens, sample.entities)
        for sigma in sigmas:
            maps = np.stack([one.maps(layer, sigma) for layer in one.layers])
            nothing = np.stack([held_out_maps(noise, sigma) for noise in one.noise])
            flat, chance = (m.reshape(*m.shape[:2], -1) for m in (maps, nothing))
            for alpha in alphas:
                above = contrast(flat, alpha).max(1) - contrast(chance, alpha).max(1)
                values = zip(above, *_at(flat, alpha, owners), strict=True)
                rows += [(sample.id, n, sigma, alpha, *v) for n, v in zip(one.layers, values, strict=True)]
    return pd.DataFrame(rows, columns=["sample_id", *SETTING, *STATISTICS])


def contrast(flat: Float[np.ndarray, "layers tokens cells"], alpha: float) -> Float[np.ndarray, "layers tokens"]:
    """Share of each map's mass above the threshold minus that part's share of the area. It is 0 for an empty map."""
    masks = flat >= alpha
    mass = (flat * masks).sum(-1) / np.maximum(flat.sum(-1), 1e-12)
    return np.where(masks.any(-1), mass - masks.mean(-1), 0.0)


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


def label_free(table: pd.DataFrame) -> dict[str, Chosen]:
    """The setting that each statistic chooses: the highest mean, the first of equals.

    Args:
        table: from `statistics`.

    Returns:
        Statistic -> setting. `COMBINED` has the highest mean of the statistics' ranks.
    """
    means = table.groupby(SETTING)[list(STATISTICS)].mean()
    chosen = {name: means[name].idxmax() for name in STATISTICS}
    chosen[COMBINED] = means.rank(pct=True).mean(axis=1).idxmax()
    return {name: _setting(value) for name, value in chosen.items()}


def labelled(quality: pd.DataFrame, measure: str = "iou") -> Chosen:
    """The setting with the highest mean of a measure of box quality. `quality` is from `calibration.sweep_settings`."""
    return _setting(quality.groupby(SETTING)[measure].mean().idxmax())


def _setting(value: Iterable) -> Chosen:
    layer, sigma, alpha = value
    return int(layer), float(sigma), float(alpha)


def nearest(wanted: Chosen, table: pd.DataFrame) -> Chosen:
    """The setting of a sweep's grid that is nearest to a given one in each of the three."""
    known = [np.sort(table[name].unique()) for name in SETTING]
    return _setting(values[np.abs(values - want).argmin()] for want, values in zip(wanted, known, strict=True))


def regret(quality: pd.DataFrame, chosen: Chosen | None, best: Chosen, measure: str = "iou", seed: int = 0) -> Interval:
    """How much lower a measure is at a setting than at the best one, on the same pictures (bootstrapped).

    The questions of one picture are averaged, and n counts pictures.

    Args:
        quality: from `calibration.sweep_settings`.
        chosen: the setting. None is one drawn at random from the grid: the mean over all of them.
        best: the setting it is compared with.
        measure: name of a column.
        seed: of the bootstrap.
    """
    lost = _lost(quality, chosen, best, measure)
    return cluster_bootstrap(lost, range(len(lost)), seed=seed)


def _lost(quality: pd.DataFrame, chosen: Chosen | None, best: Chosen, measure: str) -> np.ndarray:
    wide = quality.assign(picture=pictures_of).pivot_table(measure, "picture", SETTING)
    return (wide[best] - (wide.mean(axis=1) if chosen is None else wide[chosen])).to_numpy()


def regrets(
    test: Mapping[str, pd.DataFrame], best: Mapping[str, Chosen], choices: Mapping[str, dict[str, Chosen]]
) -> pd.DataFrame:
    """Regret of every rule's choice on every domain's test pictures.

    Args:
        test: domain -> `calibration.sweep_settings` of its test pictures.
        best: domain -> the choice by true boxes on its own calibration pictures.
        choices: domain -> rule -> setting.

    Returns:
        Columns domain, rule, layer, sigma, alpha, n, regret, low, high. The last row of a domain is any setting of the
        grid.
    """
    rows: list[tuple] = []
    for domain, quality in test.items():
        for rule, chosen in (choices[domain] | {"any setting of the grid": None}).items():
            interval = regret(quality, chosen, best[domain])
            rows.append((domain, rule, *(chosen or (None,) * 3), interval.n, *interval[:3]))
    return pd.DataFrame(rows, columns=["domain", "rule", *SETTING, "n", "regret", "low", "high"])


def transfer(test: Mapping[str, pd.DataFrame], best: Mapping[str, Chosen], measure: str = "iou") -> pd.DataFrame:
    """Regret on each domain of the setting that another domain's true boxes chose, and whether it is shown.

    Args:
        test: domain -> `calibration.sweep_settings` of its test pictures.
        best: domain -> the choice by true boxes on its own calibration pictures.
        measure: name of a column.

    Returns:
        Columns chosen_on, used_on, layer, sigma, alpha, n, regret, low, high, p of the sign-flip test, and p_holm,
        corrected over all transfers. Neither p is there where the setting is the domain's own.
    """
    rows = []
    for used_on, quality in test.items():
        for chosen_on, chosen in best.items():
            interval = regret(quality, chosen, best[used_on], measure)
            p = sign_flip_p(_lost(quality, chosen, best[used_on], measure)) if chosen_on != used_on else np.nan
            rows.append((chosen_on, used_on, *chosen, interval.n, *interval[:3], p))
    columns = ["chosen_on", "used_on", *SETTING, "n", "regret", "low", "high", "p"]
    return with_holm(pd.DataFrame(rows, columns=columns))
