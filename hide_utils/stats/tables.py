"""Tables of accuracies, means, and paired tests, from one row a sample and method.

A question is the sample, but several questions may share a picture. Where a table knows the pictures (`image_id`),
`means`, `compare` and `comparison_table` take them as the units.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from hide_utils.stats.tests_and_intervals import (
    Interval,
    Outcomes,
    cluster_bootstrap,
    clustered_mcnemar,
    holm,
    mcnemar_exact,
    paired_difference,
    sign_flip_p,
    wilson,
)

RIGHT_OR_WRONG = ("accuracy", "pointing")  # measures that are 0 or 1 for each sample


def means(
    table: pd.DataFrame, by: Sequence[str], measures: Iterable[str], n_resamples: int = 10_000, seed: int = 0
) -> pd.DataFrame:
    """Mean of each measure in each group with its 95 % interval.

    Measures of `RIGHT_OR_WRONG` have a Wilson interval. The others are bootstrapped over pictures.

    Args:
        table: one row a sample and group, with the columns `by`, `measures` and ``image_id``.
        by: columns that tell the groups apart.
        measures: names of columns.
        n_resamples: number of resamples of the bootstrap.
        seed: of the bootstrap.

    Returns:
        Columns `by`, measure, n, estimate, low, high. Groups stand in order of first appearance.
    """
    rows = []
    for group, part in table.groupby(list(by), sort=False):
        for measure in measures:
            if measure in RIGHT_OR_WRONG:
                interval = wilson(int(part[measure].sum()), len(part))
            else:
                interval = cluster_bootstrap(part[measure], part["image_id"], n_resamples, seed=seed)
            rows.append((*group, measure, interval.n, *interval[:3]))
    return pd.DataFrame(rows, columns=[*by, "measure", "n", "estimate", "low", "high"])


def accuracies(results: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Accuracy of each group of answers with its 95 % Wilson interval.

    Args:
        results: one row an answer, with the columns `by` and `correct`.
        by: columns that tell the groups apart.

    Returns:
        Columns `by`, n, accuracy, low, high. Groups stand in order of first appearance.
    """
    table = means(results.rename(columns={"correct": "accuracy"}), by, ["accuracy"]).drop(columns="measure")
    return table.rename(columns={"estimate": "accuracy"})


def accuracy_table(results: pd.DataFrame, by: str = "kind") -> pd.DataFrame:
    """Accuracy of each method in each group and over all, with n and the 95 % Wilson interval.

    Args:
        results: one row a sample and method, with columns `method`, `correct` and `by`.
        by: the column of groups.

    Returns:
        Columns `by` (each group, then ``"all"``), method, n, accuracy, low, high, in order of first appearance. A group
        that is itself called "all" goes by the name "all (category)".

    Raises:
        ValueError: a column is missing, or there is no row.
    """
    if missing := {"method", "correct", by} - set(results.columns):
        raise ValueError(f"results lack the column(s) {', '.join(sorted(missing))}")
    if results.empty:
        raise ValueError("no results to show: run the methods first")
    results = _told_apart(results, by)
    groups = [results[results[by] == group] for group in results[by].unique()] + [results.assign(**{by: "all"})]
    return pd.concat([accuracies(group, [by, "method"]) for group in groups], ignore_index=True)


def _told_apart(results: pd.DataFrame, by: str) -> pd.DataFrame:
    """The results with another name for a group that is called as the rows over everything are."""
    name = "all (category)"
    while name in set(results[by]):
        name += "*"
    return results.assign(**{by: [name if group == "all" else group for group in results[by]]})


def mean_over_cycles(results: pd.DataFrame) -> pd.Series:
    """HR-Bench's score of each method: the accuracy within each cycle, averaged over the cycles.

    It is not the share of pictures that are right in all cycles.

    Args:
        results: rows with columns method, cycle and correct.

    Raises:
        ValueError: a row has no cycle.
    """
    if not results["cycle"].astype(bool).all():
        raise ValueError("some rows have no cycle: this score is for benchmarks that rotate their options")
    by_cycle = results.groupby(["method", "cycle"], sort=False)["correct"].mean()
    return by_cycle.groupby("method", sort=False).mean()


def median_label(values: pd.Series) -> str:
    """Index of the (lower) median of some values, the first of equals: which of them is the typical one."""
    return str(values.sort_values(kind="stable").index[(len(values) - 1) // 2])


def compare(table: pd.DataFrame, pairs: Sequence[tuple], measures: Iterable[str], seed: int = 0) -> pd.DataFrame:
    """Paired tests of variants on the same samples.

    Measures of `RIGHT_OR_WRONG` have Newcombe's interval and McNemar's exact test. The others have a bootstrap over
    pictures and a sign-flip permutation test of the mean difference, with the questions of one picture averaged. So
    interval and p are about the same number.

    Args:
        table: one row a sample and variant, with columns sample_id, image_id, variant and the measures.
        pairs: (variant, what it is compared with).
        measures: names of columns.
        seed: of bootstrap and permutations.

    Returns:
        A row a measure and pair: measure, variant, against, n, difference with its 95 % interval (low, high), p, and
        p_holm, corrected over the pairs of the measure.
    """
    rows = []
    for measure in measures:
        wide = table.pivot(index=["image_id", "sample_id"], columns="variant", values=measure)
        test = _right_or_wrong if measure in RIGHT_OR_WRONG else _numbers
        tests = [test(wide[a], wide[b], seed) for a, b in pairs]
        adjusted = holm([p for _, p in tests])
        for (a, b), (interval, p), p_holm in zip(pairs, tests, adjusted, strict=True):
            rows.append((measure, a, b, interval.n, *interval[:3], p, p_holm))
    columns = ["measure", "variant", "against", "n", "difference", "low", "high", "p", "p_holm"]
    return pd.DataFrame(rows, columns=columns)


def _numbers(a: pd.Series, b: pd.Series, seed: int) -> tuple[Interval, float]:
    difference = (a - b).groupby("image_id").mean().to_numpy()
    return cluster_bootstrap(difference, range(len(difference)), seed=seed), sign_flip_p(difference, seed)


def _right_or_wrong(a: pd.Series, b: pd.Series, seed: int) -> tuple[Interval, float]:
    return paired_difference(a, b), mcnemar_exact(a, b).p


def compare_answers(answers: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Paired tests of methods' answers on the same samples.

    Args:
        answers: one row a sample and method, with columns sample_id, method and correct.
        pairs: (method, what it is compared with).

    Returns:
        A row a pair: method, against, n, accuracy of both, difference with Newcombe's interval (low, high), gained and
        lost (samples only one of the two got right), McNemar's exact p, and p_holm, corrected over the pairs.
    """
    wide = answers.pivot(index="sample_id", columns="method", values="correct")
    rows = []
    for a, b in pairs:
        test, interval = mcnemar_exact(wide[a], wide[b]), paired_difference(wide[a], wide[b])
        rows.append((a, b, interval.n, wide[a].mean(), wide[b].mean(), *interval[:3], *test))
    columns = ["method", "against", "n", "accuracy", "accuracy_against", "difference", "low", "high"]
    table = pd.DataFrame(rows, columns=[*columns, "gained", "lost", "p"])
    return table.assign(p_holm=holm(table["p"]))


def comparison_table(
    results: pd.DataFrame, baseline: str = "direct", by: str = "kind", level: float = 0.95
) -> pd.DataFrame:
    """Every method against a baseline on the same samples, in each group and over all ("all").

    Intervals are Wilson's and Newcombe's, and p is McNemar's. Where pictures carry several questions, intervals are of
    the bootstrap by picture and p is of `clustered_mcnemar`.

    Args:
        results: one row a sample and method, with columns sample_id, method, correct and `by`. With `letter`, unread
            replies are counted. With `image_id`, pictures may carry several questions.
        baseline: the method that all are compared with.
        by: the column of groups.
        level: of confidence, in (0, 1).

    Returns:
        One row a group and method: n, pictures, accuracy with its interval (low, high), and unread, the replies that
        state no letter. Against the baseline: difference with its interval, gained and lost (samples only one of the
        two got right), p, and p_holm, corrected over all comparisons of the table. They are NaN for the baseline.
        Groups go by the names that `accuracy_table` gives them.

    Raises:
        ValueError: the baseline is missing, or a method lacks some of the samples.
    """
    results = _told_apart(results, by)
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
        table.loc[compared, "p_holm"] = holm(table.loc[compared, "p"])
    return table


def _accuracy(right: Outcomes, pictures: pd.Series, level: float) -> dict[str, float]:
    n, clusters = len(right), pictures.nunique()
    alone = clusters == n
    interval = wilson(int(sum(right)), n, level) if alone else cluster_bootstrap(right, pictures, level=level)
    return {"n": n, "pictures": clusters, "accuracy": interval.estimate, "low": interval.low, "high": interval.high}


def _against(right: Outcomes, base: Outcomes, pictures: pd.Series, level: float) -> dict[str, float]:
    if pictures.nunique() == len(right):
        difference, test = paired_difference(right, base, level), mcnemar_exact(right, base)
    else:
        gain = np.asarray(right, float) - np.asarray(base, float)
        difference = cluster_bootstrap(gain, pictures, level=level)
        test = clustered_mcnemar(right, base, pictures)
    return difference.columns("difference") | {"gained": test.only_a, "lost": test.only_b, "p": test.p}
