"""Intervals and paired tests for measures of the same samples, by scipy where it has them."""

import math
from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

# One entry a sample, True or 1 where the method was right: a list, an array or a column of a table.
Outcomes = Collection


class Interval(NamedTuple):
    """An estimate with its confidence interval, in the estimate's units, and the number of samples behind it."""

    estimate: float
    low: float
    high: float
    n: int

    def columns(self, name: str) -> dict[str, float]:
        """Estimate and ends as columns of a table: `name`, `<name>_low` and `<name>_high`."""
        return {name: self.estimate, f"{name}_low": self.low, f"{name}_high": self.high}


class McNemar(NamedTuple):
    """Exact McNemar test: samples only the first got right, samples only the second did, two-sided p."""

    only_a: int
    only_b: int
    p: float


def wilson(k: int | np.integer, n: int | np.integer, level: float = 0.95) -> Interval:
    """Wilson score interval of the accuracy k / n. With n = 0 the estimate is NaN and the interval [0, 1].

    Args:
        k: number of right answers.
        n: number of answers.
        level: of confidence, between 0 and 1.

    Raises:
        ValueError: `k` is not in [0, n], or `level` not in (0, 1).
    """
    _check_level(level)
    if not 0 <= k <= n:
        raise ValueError(f"k={k} right of n={n}: need 0 <= k <= n")
    if n == 0:
        return Interval(math.nan, 0.0, 1.0, 0)
    low, high = stats.binomtest(int(k), int(n)).proportion_ci(level, method="wilson")
    return Interval(k / n, float(low), float(high), int(n))


def mcnemar_exact(a: Outcomes, b: Outcomes) -> McNemar:
    """Exact two-sided McNemar test of two methods' outcomes on the same samples. p is 1 where they never differ.

    Args:
        a: right or wrong, one a sample.
        b: the same of the other method, in the same order.

    Raises:
        ValueError: the numbers of outcomes differ, or an outcome is neither right nor wrong.
    """
    a, b = _paired(a, b)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    p = stats.binomtest(only_a, only_a + only_b, 0.5).pvalue if only_a + only_b else 1.0
    return McNemar(only_a, only_b, float(p))


def paired_difference(a: Outcomes, b: Outcomes, level: float = 0.95) -> Interval:
    """accuracy(a) - accuracy(b) on the same samples, with Newcombe's score interval (Newcombe 1998, method 10).

    Unlike the usual Wald interval it keeps its coverage near 0 and 1 and for few samples. It stays within [-1, 1].

    Raises:
        ValueError: as for `mcnemar_exact`, and without samples.
    """
    a, b = _paired(a, b)
    n = len(a)
    if not n:
        raise ValueError("no samples: a difference needs at least one")
    one, two = wilson(int(a.sum()), n, level), wilson(int(b.sum()), n, level)
    both, neither = int((a & b).sum()), int((~a & ~b).sum())
    cross: float = both * neither - int((a & ~b).sum()) * int((b & ~a).sum())
    if cross > 0:  # continuity correction of the correlation, in the conservative direction
        cross = max(cross - n / 2, 0)
    margins = math.sqrt(float(a.sum()) * float((~a).sum()) * float(b.sum()) * float((~b).sum()))
    phi = cross / margins if margins else 0.0

    def reach(up: float, down: float) -> float:
        return math.sqrt(max(up**2 - 2 * phi * up * down + down**2, 0))

    difference = one.estimate - two.estimate
    low = difference - reach(one.estimate - one.low, two.high - two.estimate)
    high = difference + reach(one.high - one.estimate, two.estimate - two.low)
    return Interval(difference, low, high, n)


def unpaired_test(a: Outcomes, b: Outcomes, level: float = 0.95) -> tuple[Interval, float]:
    """share(a) - share(b) of two groups of different samples, with Newcombe's score interval and Fisher's exact p.

    The interval is made of two of Wilson's (Newcombe 1998 on independent proportions, method 10). n counts both groups.

    Raises:
        ValueError: a group is empty.
    """
    if not len(a) or not len(b):
        raise ValueError(f"groups of {len(a)} and {len(b)} samples: a difference needs at least one in each")
    k, m = (int(np.asarray(group, bool).sum()) for group in (a, b))
    one, two = wilson(k, len(a), level), wilson(m, len(b), level)
    difference = one.estimate - two.estimate
    low = difference - math.hypot(one.estimate - one.low, two.high - two.estimate)
    high = difference + math.hypot(one.high - one.estimate, two.estimate - two.low)
    p = float(stats.fisher_exact([[k, len(a) - k], [m, len(b) - m]]).pvalue)
    return Interval(difference, low, high, one.n + two.n), p


def sign_flip_p(differences: Collection, seed: int = 0) -> float:
    """Two-sided p of the mean difference, by a permutation test that flips signs 4999 times.

    Args:
        differences: one number a pair.
        seed: of the flips.

    Returns:
        p in (0, 1]. It is 1 for fewer than two pairs and where all differences are 0.
    """
    values = np.asarray(differences, float)
    if len(values) < 2 or np.allclose(values, 0, atol=1e-9):
        return 1.0
    flips: dict[str, Any] = {"permutation_type": "samples", "n_resamples": 4999, "batch": 1000, "vectorized": True}
    return float(stats.permutation_test((values,), np.mean, rng=np.random.default_rng(seed), **flips).pvalue)


def holm(p_values: Collection) -> list[float]:
    """Holm-adjusted p values, in the given order. Each is compared with the level as it stands.

    statsmodels' `multipletests` gives the same numbers, but collects garbage at every call.

    Raises:
        ValueError: a p lies outside [0, 1].
    """
    p = np.asarray(p_values, float)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p_values={list(p_values)}: every p must lie in [0, 1]")
    order = np.argsort(p)
    scaled = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))  # the k-th smallest of m, times m - k + 1
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(scaled, 1)
    return adjusted.tolist()


def ratio_interval(
    numerator: Collection, denominator: Collection, n_resamples: int = 4000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Sum over sum, with a percentile interval that resamples the pairs behind both.

    Args:
        numerator: one number a pair, such as a question, a picture or a cluster.
        denominator: as many. Resamples in which they sum to 0 are left out of the interval.
        n_resamples: number of resamples.
        level: of confidence, in (0, 1).
        seed: of the resampling.

    Returns:
        n counts pairs. All is NaN where the denominators sum to 0. The ends are NaN for a single pair, whose spread is
        unknown.
    """
    top, below = np.asarray(numerator, float), np.asarray(denominator, float)
    if not below.sum():
        return Interval(math.nan, math.nan, math.nan, len(top))
    estimate = float(top.sum() / below.sum())
    if len(top) == 1:
        return Interval(estimate, math.nan, math.nan, 1)

    # scipy's bootstrap would give the same numbers, but cannot leave a resample out
    pairs, rng, batch = np.stack([top, below]), np.random.default_rng(seed), max(1, 2_000_000 // len(top))
    sizes = [min(batch, n_resamples - done) for done in range(0, n_resamples, batch)]  # which bound the memory
    sums = [pairs[:, rng.integers(0, len(top), (size, len(top)))].sum(-1) for size in sizes]
    tops, belows = np.concatenate(sums, axis=1)
    some = belows != 0
    low, high = np.quantile(tops[some] / belows[some], [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high), len(top))


def cluster_bootstrap(
    values: Collection,
    clusters: Collection,
    n_resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Mean with a percentile interval that resamples whole clusters, such as pictures that carry several questions.

    Questions on one picture are not independent, so intervals that resample questions are too short.

    Args:
        values: one finite number a sample: right or wrong, or the difference of two methods' outcomes.
        clusters: id of each sample's cluster.
        n_resamples: number of resamples.
        level: of confidence, in (0, 1).
        seed: of the resampling.

    Returns:
        n counts samples. The ends are NaN with a single cluster.

    Raises:
        ValueError: there are no values, one is not finite, or there is another number of clusters.
    """
    _check_level(level)
    values = np.asarray(values, float)
    if not len(values) or len(values) != len(clusters) or not np.isfinite(values).all():
        raise ValueError(f"{len(values)} values and {len(clusters)} clusters: need as many, finite, and at least one")
    codes = _codes(clusters)
    interval = ratio_interval(np.bincount(codes, values), np.bincount(codes), n_resamples, level, seed)
    return interval._replace(estimate=float(values.mean()), n=len(values))


def clustered_mcnemar(a: Outcomes, b: Outcomes, clusters: Collection) -> McNemar:
    """McNemar's exact test where samples come in clusters, such as pictures that carry several questions.

    The two methods are exchanged for whole clusters at once, over all ways to do so. With one sample a cluster this is
    the exact test itself.

    Raises:
        ValueError: as for `mcnemar_exact`, and for another number of clusters.
    """
    a, b = _paired(a, b)
    if len(clusters) != len(a):
        raise ValueError(f"{len(a)} outcomes and {len(clusters)} clusters: need one for each")
    sums = np.bincount(_codes(clusters), a.astype(float) - b).astype(int) if len(a) else np.zeros(0, int)
    chance = np.ones(1)  # of each total from -reach to reach
    for size in np.abs(sums[sums != 0]):
        chance = np.pad(chance, (2 * size, 0)) / 2 + np.pad(chance, (0, 2 * size)) / 2
    totals = np.arange(len(chance)) - len(chance) // 2
    p = chance[np.abs(totals) >= abs(sums.sum())].sum()
    return McNemar(int((a & ~b).sum()), int((b & ~a).sum()), float(min(p, 1.0)))


def _codes(clusters: Collection) -> np.ndarray:
    return np.unique(np.asarray(clusters).astype(str), return_inverse=True)[1]


def _paired(a: Outcomes, b: Outcomes) -> tuple[np.ndarray, np.ndarray]:
    arrays = [np.asarray(outcomes) for outcomes in (a, b)]
    if len(arrays[0]) != len(arrays[1]):
        raise ValueError(
            f"{len(arrays[0])} and {len(arrays[1])} outcomes: a paired test needs the same samples for both"
        )
    if not all(np.isin(x, (0, 1)).all() for x in arrays):
        raise ValueError("outcomes must be right or wrong (True/False or 1/0): fill missing ones before comparing")
    return arrays[0].astype(bool), arrays[1].astype(bool)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level={level}: a confidence level lies between 0 and 1, usually 0.95")
