"""Intervals, paired tests and power for accuracies measured on the same samples; scipy inside."""

import math
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

# One entry a sample, True or 1 where the method was right: a list, an array or a column of a table.
Outcomes = Collection


class Interval(NamedTuple):
    """An estimate with its confidence interval, in the estimate's units, and the number of samples behind it."""

    estimate: float
    low: float
    high: float
    n: int


class McNemar(NamedTuple):
    """Exact McNemar test: samples only the first got right, samples only the second did, two-sided p."""

    only_a: int
    only_b: int
    p: float


def wilson(k: int | np.integer, n: int | np.integer, level: float = 0.95) -> Interval:
    """Wilson score interval of the accuracy k / n. With n = 0 the estimate is NaN, the interval [0, 1].

    Raises ValueError unless 0 <= k <= n and 0 < level < 1.
    """
    _check_level(level)
    if not 0 <= k <= n:
        raise ValueError(f"k={k} right of n={n}: need 0 <= k <= n")
    if n == 0:
        return Interval(math.nan, 0.0, 1.0, 0)
    low, high = stats.binomtest(int(k), int(n)).proportion_ci(level, method="wilson")
    return Interval(k / n, float(low), float(high), int(n))


def mcnemar_exact(a: Outcomes, b: Outcomes) -> McNemar:
    """Exact two-sided McNemar test of two methods' right/wrong outcomes on the same samples, in the same order.

    p is 1 where they never differ. Raises ValueError for outcomes of unequal number or other than right/wrong.
    """
    a, b = _paired(a, b)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    p = stats.binomtest(only_a, only_a + only_b, 0.5).pvalue if only_a + only_b else 1.0
    return McNemar(only_a, only_b, float(p))


def paired_difference(a: Outcomes, b: Outcomes, level: float = 0.95) -> Interval:
    """accuracy(a) - accuracy(b) on the same samples, with Newcombe's score interval (Newcombe 1998, method 10).

    Unlike the usual Wald interval it keeps its coverage near 0 and 1 and for few samples, and stays within [-1, 1].
    Raises ValueError as `mcnemar_exact` does, and without samples.
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


def holm(p_values: Collection) -> list[float]:
    """Holm-adjusted p values, in the given order: compare each with the level. ValueError outside [0, 1].

    statsmodels' `multipletests` gives the same numbers, but collects garbage at every call.
    """
    p = np.asarray(p_values, float)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p_values={list(p_values)}: every p must lie in [0, 1]")
    order = np.argsort(p)
    scaled = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))  # the k-th smallest of m, times m - k + 1
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(scaled, 1)
    return adjusted.tolist()


def minimum_detectable_difference(
    n: int | np.integer, discordant: float, power: float = 0.8, level: float = 0.95
) -> float:
    """Smallest difference of two accuracies that McNemar's test would find with `power`, n samples being paired.

    discordant: share of samples on which exactly one method is right, (only_a + only_b) / n of a `McNemar` result.
    Normal approximation (Connor 1987): d sqrt(n) = z_level sqrt(discordant) + z_power sqrt(discordant - d^2).
    Infinite where not even a difference as large as `discordant` would be found. ValueError for values out of range.
    """
    _check_level(level)
    if n < 1 or not 0 < discordant <= 1 or not 0 < power < 1:
        raise ValueError(
            f"n={n}, discordant={discordant}, power={power}: need n >= 1, 0 < discordant <= 1, 0 < power < 1"
        )
    z_level, z_power = stats.norm.isf((1 - level) / 2), stats.norm.isf(1 - power)
    # Squared, the equation is a quadratic in d; its larger root is the solution where power >= 0.5.
    a = n + z_power**2
    b = -2 * math.sqrt(n * discordant) * z_level
    c = discordant * (z_level**2 - z_power**2)
    if b * b < 4 * a * c:  # three samples, say: no difference would be found
        return math.inf
    sign = 1 if z_power >= 0 else -1
    d = (-b + sign * math.sqrt(b * b - 4 * a * c)) / (2 * a)
    return float(d) if d**2 <= discordant and d <= discordant else math.inf


def cluster_bootstrap(
    values: Collection,
    clusters: Collection,
    n_resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Mean of `values` with a percentile interval, resampling whole clusters (pictures that carry several questions).

    values: one number a sample: right or wrong, or the difference of two methods' outcomes. clusters: its picture's id.
    Questions on one picture are not independent, so intervals that resample questions are too short.
    The interval's n counts samples; with a single cluster its ends are NaN.
    Raises ValueError without values, or if the two differ in length.
    """
    _check_level(level)
    values = np.asarray(values, float)
    if not len(values) or len(values) != len(clusters) or not np.isfinite(values).all():
        raise ValueError(f"{len(values)} values and {len(clusters)} clusters: need as many, finite, and at least one")
    codes = np.unique(np.asarray(clusters).astype(str), return_inverse=True)[1]
    sums, counts = np.bincount(codes, values), np.bincount(codes).astype(float)
    if len(sums) == 1:
        return Interval(float(values.mean()), math.nan, math.nan, len(values))  # spread unknown
    result = stats.bootstrap(
        (sums, counts),
        lambda s, c, axis: s.sum(axis) / c.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=n_resamples,
        batch=max(1, 2_000_000 // len(sums)),
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    low, high = result.confidence_interval
    return Interval(float(values.mean()), float(low), float(high), len(values))


def clustered_mcnemar(a: Outcomes, b: Outcomes, clusters: Collection) -> McNemar:
    """McNemar's exact test where samples come in clusters (pictures that carry several questions).

    The two methods are exchanged for whole clusters at once, over all ways to do so: with one sample a cluster this is
    the exact test itself. Raises ValueError as `mcnemar_exact` does, and for another number of clusters.
    """
    a, b = _paired(a, b)
    if len(clusters) != len(a):
        raise ValueError(f"{len(a)} outcomes and {len(clusters)} clusters: need one for each")
    codes = np.unique(np.asarray(clusters).astype(str), return_inverse=True)[1]
    sums = np.bincount(codes, a.astype(float) - b).astype(int) if len(a) else np.zeros(0, int)
    chance = np.ones(1)  # of each total from -reach to reach
    for size in np.abs(sums[sums != 0]):
        chance = np.pad(chance, (2 * size, 0)) / 2 + np.pad(chance, (0, 2 * size)) / 2
    totals = np.arange(len(chance)) - len(chance) // 2
    p = chance[np.abs(totals) >= abs(sums.sum())].sum()
    return McNemar(int((a & ~b).sum()), int((b & ~a).sum()), float(min(p, 1.0)))


def mean_over_cycles(results: pd.DataFrame) -> pd.Series:
    """HR-Bench's score of each method: the accuracy within each cycle, averaged over the cycles.

    results: rows with columns method, cycle and correct. Not the share of pictures that are right in all cycles.
    Raises ValueError for rows without a cycle.
    """
    if not results["cycle"].astype(bool).all():
        raise ValueError("some rows have no cycle: this score is for benchmarks that rotate their options")
    by_cycle = results.groupby(["method", "cycle"], sort=False)["correct"].mean()
    return by_cycle.groupby("method", sort=False).mean()


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


def comparison_table(
    results: pd.DataFrame, baseline: str = "direct", by: str = "kind", level: float = 0.95
) -> pd.DataFrame:
    """Every method against a baseline on the same samples, in each group and over all ("all").

    results: one row a sample and method, with columns sample_id, method, correct and `by`; with letter and image_id too
    where unread replies are to be counted and pictures may carry several questions.

    Returns one row a group and method: n, pictures, accuracy with its interval (low, high), unread (replies that state
    no letter); against the baseline the difference with its interval, gained and lost (samples only one of the two got
    right), the exact p, and p_holm, corrected over all comparisons of the table. The baseline's own comparison is empty
    (NaN). Intervals are Wilson's and Newcombe's, p is McNemar's; where pictures carry several questions, intervals are
    of the bootstrap by picture and p of `clustered_mcnemar`.
    Raises ValueError where the baseline is missing or a method lacks some of the samples.
    """
    wide = results.pivot(index=["sample_id", by], columns="method", values="correct")
    if baseline not in wide:
        raise ValueError(f"no rows of the baseline {baseline!r}: run it too, or name another")
    if wide.isna().any(axis=None):
        raise ValueError("methods were run on different samples: a paired comparison needs all of them on each")
    of_sample = results.drop_duplicates("sample_id").set_index("sample_id")
    rows = []
    for group in [*dict.fromkeys(results[by]), "all"]:
        part = wide if group == "all" else wide[wide.index.get_level_values(by) == group]
        ids = part.index.get_level_values("sample_id")
        pictures = of_sample.loc[ids, "image_id"] if "image_id" in results else pd.Series(ids)
        for method in dict.fromkeys(results["method"]):
            row = {by: group, "method": method} | _accuracy(part[method], pictures, level)
            if "letter" in results:
                own = results[(results["method"] == method) & results["sample_id"].isin(ids)]
                row["unread"] = int(own["letter"].isna().sum())
            if method != baseline:
                row |= _against(part[method], part[baseline], pictures, level)
            rows.append(row)
    table = pd.DataFrame(rows)
    compared = table["method"] != baseline
    if compared.any():
        table.loc[compared, "p_holm"] = holm(table.loc[compared, "p"].tolist())
    return table


def _accuracy(right: Outcomes, pictures: pd.Series, level: float) -> dict[str, float]:
    n, clusters = len(right), pictures.nunique()
    if clusters == n:
        interval = wilson(int(sum(right)), n, level)
    else:
        interval = cluster_bootstrap(right, pictures, level=level)
    known = {"n": n, "pictures": clusters, "accuracy": interval.estimate}
    return known | {"low": interval.low, "high": interval.high}


def _against(right: Outcomes, base: Outcomes, pictures: pd.Series, level: float) -> dict[str, float]:
    if pictures.nunique() == len(right):
        difference, test = paired_difference(right, base, level), mcnemar_exact(right, base)
    else:
        gain = np.asarray(right, float) - np.asarray(base, float)
        difference = cluster_bootstrap(gain, pictures, level=level)
        test = clustered_mcnemar(right, base, pictures)
    row = {"difference": difference.estimate, "difference_low": difference.low, "difference_high": difference.high}
    return row | {"gained": test.only_a, "lost": test.only_b, "p": test.p}
