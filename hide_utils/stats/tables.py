"""Tables of accuracies, means, and paired tests, from one row a sample and method.

A question is the sample, but several questions may share a picture. Where a table knows the pictures (`image_id`), they
are the units of every interval and test. Rows with an error are left out, and a column `left_out` says how many of each
group or pair; the column is there only where there are some.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from hide_utils.stats.rows import (
    answered,
    if_any_left_out,
    mean_interval,
    outcomes,
    paired_test,
    pictures_of,
    with_holm,
)

RIGHT_OR_WRONG = ("accuracy", "pointing")  # measures that are 0 or 1 for each sample


def means(
    table: pd.DataFrame, by: Sequence[str], measures: Iterable[str], n_resamples: int = 10_000, seed: int = 0
) -> pd.DataFrame:
    """Mean of each measure in each group with its 95 % interval.

    Measures of `RIGHT_OR_WRONG` have the interval of `mean_interval`. The others are bootstrapped over pictures.

    Args:
        table: one row a sample and group, with the columns `by`, `measures` and, for pictures, ``image_id``.
        by: columns that tell the groups apart.
        measures: names of columns.
        n_resamples: number of resamples of the bootstrap.
        seed: of the bootstrap.

    Returns:
        Columns `by`, measure, n, estimate, low, high, left_out. Groups stand in order of first appearance.
    """
    rows = []
    for group, part in table.groupby(list(by), sort=False):
        for measure in measures:
            values, shares = outcomes(part, measure), measure in RIGHT_OR_WRONG
            interval = mean_interval(values, pictures_of(part), shares=shares, n_resamples=n_resamples, seed=seed)
            rows.append((*group, measure, interval.n, *interval[:3], len(part) - interval.n))
    return if_any_left_out(pd.DataFrame(rows, columns=[*by, "measure", "n", "estimate", "low", "high", "left_out"]))


def accuracies(results: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Accuracy of each group of answers with its 95 % interval, that of `mean_interval`.

    Args:
        results: one row an answer, with the columns `by` and `correct`, and `image_id` and `error` where there are any.
        by: columns that tell the groups apart.

    Returns:
        Columns `by`, n, accuracy, low, high, left_out. Groups stand in order of first appearance.
    """
    table = means(results.assign(accuracy=outcomes(results)), by, ["accuracy"]).drop(columns="measure")
    return table.rename(columns={"estimate": "accuracy"})


def accuracy_table(results: pd.DataFrame, by: str = "kind") -> pd.DataFrame:
    """Accuracy of each method in each group and over all, with n and the 95 % interval of `mean_interval`.

    Args:
        results: one row a sample and method, with columns `method`, `correct` and `by`.
        by: the column of groups.

    Returns:
        Columns `by` (each group, then ``"all"``), method, n, accuracy, low, high, left_out, in order of first
        appearance. A group that is itself called "all" goes by the name "all (category)".

    Raises:
        ValueError: a column is missing, or there is no row.
    """
    if missing := {"method", "correct", by} - set(results.columns):
        raise ValueError(f"results lack the column(s) {', '.join(sorted(missing))}")
    if results.empty:
        raise ValueError("no results to show: run the methods first")
    results = _told_apart(results, by)
    groups = [results[results[by] == group] for group in results[by].unique()] + [results.assign(**{by: "all"})]
    table = pd.concat([accuracies(group, [by, "method"]) for group in groups], ignore_index=True)
    return table.fillna({"left_out": 0})


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
        results: rows with columns method, cycle and correct. A warning says how many are left out for errors. A method
            without any answer in a cycle has NaN.

    Raises:
        ValueError: a row has no cycle.
    """
    if not results["cycle"].astype(bool).all():
        raise ValueError("some rows have no cycle: this score is for benchmarks that rotate their options")
    known = answered(results, "mean over cycles")
    by_cycle = known.pivot_table("correct", "method", "cycle", sort=False)
    by_cycle = by_cycle.reindex(results["method"].unique(), columns=results["cycle"].unique())
    return by_cycle.mean(axis=1, skipna=False)


def median_label(values: pd.Series) -> str:
    """Index of the (lower) median of some values, the first of equals: which of them is the typical one."""
    return str(values.sort_values(kind="stable").index[(len(values) - 1) // 2])


def compare(table: pd.DataFrame, pairs: Sequence[tuple], measures: Iterable[str], seed: int = 0) -> pd.DataFrame:
    """Paired tests of variants on the same samples.

    They are those of `paired_test`. Measures of `RIGHT_OR_WRONG` are tested as shares. Of the others the questions of
    one picture are averaged, so that interval and p are about the same number.

    Args:
        table: one row a sample and variant, with columns sample_id, image_id, variant and the measures.
        pairs: (variant, what it is compared with).
        measures: names of columns.
        seed: of bootstrap and permutations.

    Returns:
        A row a measure and pair: measure, variant, against, n, difference with its 95 % interval (low, high), p, and
        p_holm, corrected over the pairs of the measure. left_out counts the samples that one of the two lacks.
    """
    columns = ["measure", "variant", "against", "n", "difference", "low", "high", "p", "p_holm", "left_out"]
    table = table.assign(method=table["variant"])
    parts = [_compared(table, pairs, measure, seed).assign(measure=measure) for measure in measures]
    return if_any_left_out(pd.concat(parts, ignore_index=True).rename(columns={"method": "variant"})[columns])


def compare_answers(answers: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Paired tests of methods' answers on the samples that both answered.

    Args:
        answers: one row a sample and method, with columns sample_id, method and correct.
        pairs: (method, what it is compared with).

    Returns:
        A row a pair: method, against, n, accuracy of both, difference with its interval (low, high), gained and lost
        (samples only one of the two got right) and p, all as `paired_test` has them, and p_holm, corrected over the
        pairs. left_out counts the samples that one of the two did not answer.

    Raises:
        ValueError: a sample has no row of one of the two methods.
    """
    return if_any_left_out(_compared(answers, pairs, "correct"))


def _compared(table: pd.DataFrame, pairs: Sequence[tuple], measure: str, seed: int = 0) -> pd.DataFrame:
    rows, shares = [], measure in ("correct", *RIGHT_OR_WRONG)
    for a, b in pairs:
        wide, pictures = _side_by_side(table[table["method"].isin([a, b])], measure, "sample_id")
        interval, test = paired_test(wide[a], wide[b], pictures, shares=shares, seed=seed)
        both = wide.dropna()
        gone = len(wide) - len(both)
        rows.append((a, b, interval.n, both[a].mean(), both[b].mean(), *interval[:3], *test, gone))
    columns = ["method", "against", "n", "accuracy", "accuracy_against", "difference", "low", "high"]
    return with_holm(pd.DataFrame(rows, columns=[*columns, "gained", "lost", "p", "left_out"]))


def _side_by_side(table: pd.DataFrame, measure: str, *index: str) -> tuple[pd.DataFrame, np.ndarray]:
    """A measure with a row a sample and a column a method, NaN for an error, and the picture of each sample."""
    known = table.assign(value=outcomes(table, measure), picture=pictures_of(table))
    wide = known.pivot(index=list(index), columns="method", values="value")
    if len(table) < wide.size:
        raise ValueError("methods were run on different samples: a paired comparison needs all of them on each")
    picture = known.drop_duplicates("sample_id").set_index("sample_id")["picture"]
    return wide, picture.loc[wide.index.get_level_values("sample_id")].to_numpy()


def comparison_table(
    results: pd.DataFrame, baseline: str = "direct", by: str = "kind", level: float = 0.95
) -> pd.DataFrame:
    """Every method against a baseline on the samples that both answered, in each group and over all ("all").

    Intervals and tests are those of `mean_interval` and `paired_test`: Wilson's, Newcombe's and McNemar's, or by
    picture where pictures carry several questions.

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
        Groups go by the names that `accuracy_table` gives them. n counts the samples that the method answered. Where
        some were not, left_out counts them, and compared those that the baseline answered too.

    Raises:
        ValueError: the baseline is missing, or a method lacks some of the samples.
    """
    results = _told_apart(results, by)
    if baseline not in set(results["method"]):
        raise ValueError(f"no rows of the baseline {baseline!r}: run it too, or name another")
    wide, pictures = _side_by_side(results, "correct", "sample_id", by)
    if "letter" in results:
        unread = results["letter"].isna() & outcomes(results).notna()
        with_letters = results["n_options"] > 0 if "n_options" in results else True
        results = results.assign(unread=unread & with_letters)
    rows = []
    for group in [*dict.fromkeys(results[by]), "all"]:
        own_group = np.ones(len(wide), bool) if group == "all" else wide.index.get_level_values(by) == group
        part, units = wide[own_group], pictures[own_group]
        for method in dict.fromkeys(results["method"]):
            own = mean_interval(part[method], units, level=level)
            row = {by: group, "method": method, "n": own.n, "pictures": len(set(units[part[method].notna()]))}
            row |= {"accuracy": own.estimate, "low": own.low, "high": own.high, "left_out": len(part) - own.n}
            if "unread" in results:
                inside = results["method"].eq(method) & results[by].isin(part.index.get_level_values(by))
                row["unread"] = int(results.loc[inside, "unread"].sum())
            if method != baseline:
                difference, test = paired_test(part[method], part[baseline], units, level=level)
                row |= difference.columns("difference") | {"gained": test.only_a, "lost": test.only_b, "p": test.p}
                row["compared"] = difference.n
            rows.append(row)
    table = pd.DataFrame(rows)
    return if_any_left_out(with_holm(table))
