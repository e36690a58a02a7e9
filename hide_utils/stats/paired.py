"""Intervals and paired tests for chosen pairs of variants or methods measured on the same samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from scipy.stats import permutation_test

from hide_utils.stats.intervals import Interval, cluster_bootstrap, holm, mcnemar_exact, paired_difference, wilson

RIGHT_OR_WRONG = ("pointing",)  # measures that are 0 or 1 for each sample


def summary(table: pd.DataFrame, name: str, seed: int = 0) -> pd.DataFrame:
    """Mean of a measure for each variant with a 95 % interval: columns variant, n, estimate, low, high.

    Pointing is right or wrong for each sample and has a Wilson interval; the others are bootstrapped over pictures.
    """
    rows = []
    for variant, part in table.groupby("variant", sort=False):
        if name in RIGHT_OR_WRONG:
            interval = wilson(int(part[name].sum()), len(part))
        else:
            interval = cluster_bootstrap(part[name].to_numpy(), part["image_id"].tolist(), seed=seed)
        rows.append((variant, interval.n, interval.estimate, interval.low, interval.high))
    return pd.DataFrame(rows, columns=["variant", "n", "estimate", "low", "high"])


def compare(table: pd.DataFrame, pairs: Sequence[tuple], names: Iterable[str], seed: int = 0) -> pd.DataFrame:
    """Paired tests of variants on the same samples: each pair is (variant, what it is compared with).

    Returns a row a measure and pair: measure, variant, against, n, difference with 95 % interval (low, high), p and
    p_holm, corrected over the pairs of the measure. Pointing has Newcombe's interval and McNemar's exact test; the
    others a bootstrap over pictures and a sign-flip permutation test of the mean difference (questions of one picture
    averaged), so that interval and p are about the same number.
    """
    rows = []
    for name in names:
        wide = table.pivot(index=["image_id", "sample_id"], columns="variant", values=name)
        tests = [(_right_or_wrong if name in RIGHT_OR_WRONG else _numbers)(wide[a], wide[b], seed) for a, b in pairs]
        adjusted = holm([p for _, p in tests])
        for (a, b), (interval, p), p_holm in zip(pairs, tests, adjusted, strict=True):
            rows.append((name, a, b, interval.n, interval.estimate, interval.low, interval.high, p, p_holm))
    columns = ["measure", "variant", "against", "n", "difference", "low", "high", "p", "p_holm"]
    return pd.DataFrame(rows, columns=columns)


def _numbers(a: pd.Series, b: pd.Series, seed: int) -> tuple[Interval, float]:
    difference = (a - b).groupby("image_id").mean().to_numpy()
    interval = cluster_bootstrap(difference, list(range(len(difference))), seed=seed)
    if len(difference) < 2 or np.allclose(difference, 0, atol=1e-9):
        return interval, 1.0
    flips = {"permutation_type": "samples", "n_resamples": 4999, "batch": 1000, "vectorized": True}
    return interval, float(permutation_test((difference,), np.mean, rng=np.random.default_rng(seed), **flips).pvalue)


def _right_or_wrong(a: pd.Series, b: pd.Series, seed: int) -> tuple[Interval, float]:
    return paired_difference(a, b), mcnemar_exact(a, b).p


def compare_answers(answers: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Paired tests of methods' answers on the same samples: each pair is (method, what it is compared with).

    Returns a row a pair: method, against, n, accuracy of both, difference with Newcombe's interval (low, high), gained
    and lost (samples only one of the two got right), McNemar's exact p, and p_holm, corrected over the pairs.
    """
    wide = answers.pivot(index="sample_id", columns="method", values="correct")
    rows = []
    for a, b in pairs:
        test, interval = mcnemar_exact(wide[a], wide[b]), paired_difference(wide[a], wide[b])
        accuracy = (wide[a].mean(), wide[b].mean())
        rows.append((a, b, interval.n, *accuracy, *interval[:3], test.only_a, test.only_b, test.p))
    columns = ["method", "against", "n", "accuracy", "accuracy_against", "difference", "low", "high"]
    table = pd.DataFrame(rows, columns=[*columns, "gained", "lost", "p"])
    return table.assign(p_holm=holm(table["p"].tolist()))


def verdict(row: pd.Series, level: float = 0.05) -> str:
    """What a row of either table shows after correction: "higher", "lower" or "not shown to differ"."""
    if row["p_holm"] >= level or row["low"] <= 0 <= row["high"]:
        return "not shown to differ"
    return "higher" if row["difference"] > 0 else "lower"


def in_words(row: pd.Series, form: str = "+.3f") -> str:
    """Difference, interval, corrected p and verdict of a row of either table, for a sentence."""
    numbers = f"{row['difference']:{form}} ({row['low']:{form}} to {row['high']:{form}})"
    return f"{numbers}, p = {row['p_holm']:.2g}: {verdict(row)}"
