"""Which rows are answers, on which picture they stand, and intervals and tests that take pictures as the units.

A row with an error is no answer. It is left out and counted, in the column `left_out` of a table or in a warning.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pandas as pd

from hide_utils.stats import tests_and_intervals as tests
from hide_utils.stats.tests_and_intervals import Interval, McNemar, Outcomes


def outcomes(table: pd.DataFrame, measure: str = "correct") -> pd.Series:
    """A measure of each row as floats, of `correct` 1 and 0. It is NaN where it is missing or the row has an error.

    Args:
        table: rows of `evaluate`, of any dtype that `correct` ever had, with or without the column `error`.
        measure: name of a column.
    """
    answered = table[measure].notna() & (table["error"].isna() if "error" in table else True)
    return table[measure].astype(object).where(answered, np.nan).astype(float)


def answered(table: pd.DataFrame, used_for: str, unit: str | None = None) -> pd.DataFrame:
    """The rows that are answers, with `correct` as floats. A warning says how many are left out.

    Args:
        table: rows of `evaluate`.
        used_for: what the warning names.
        unit: a column, such as ``"sample_id"``, of which a value with an error is left out with all its rows.
    """
    right = outcomes(table)
    known = right.notna() if unit is None else right.notna().groupby(table[unit]).transform("all")
    if not known.all():
        gone, every = (part[unit].nunique() if unit else len(part) for part in (table[~known], table))
        warnings.warn(f"{used_for}: {gone} of {every} {unit or 'row'}s left out for errors", stacklevel=3)
    return table.assign(correct=right)[known]


def pictures_of(table: pd.DataFrame) -> pd.Series:
    """The picture of each row: `image_id` where the table knows it, else `sample_id`, else the row's own."""
    own = table["sample_id"] if "sample_id" in table else pd.Series(range(len(table)), table.index)
    return table["image_id"].where(table["image_id"].notna(), own) if "image_id" in table else own


def chance(table: pd.DataFrame) -> float:
    """Share that guessed letters would get right: one over the number of options, and 0 for a question without any.

    Args:
        table: rows of `evaluate`, with the column n_options.
    """
    options = table["n_options"].astype(float).dropna()
    return float((1 / options.where(options > 0)).fillna(0).mean())


def mean_interval(
    values: Outcomes, pictures: Outcomes, *, shares: bool = True, level: float = 0.95, **bootstrap: Any
) -> Interval:
    """Mean of the values that are not missing, with its interval. Of right and wrong it is the accuracy.

    Args:
        values: one a sample.
        pictures: the picture of each sample.
        shares: the values are right or wrong.
        level: of confidence, in (0, 1).
        bootstrap: n_resamples and seed of `cluster_bootstrap`.

    Returns:
        The interval of the bootstrap by picture. Of right and wrong it is Wilson's where each picture carries one
        sample. n counts the values. Without any the estimate is NaN.
    """
    (known,), units, alone = _known(pictures, values)
    if not len(known) or (shares and alone):
        return tests.wilson(int(known.sum()), len(known), level)
    return tests.cluster_bootstrap(known, units, level=level, **bootstrap)


def paired_test(
    a: Outcomes, b: Outcomes, pictures: Outcomes, *, shares: bool = True, level: float = 0.95, seed: int = 0
) -> tuple[Interval, McNemar]:
    """Mean of a - b with its interval, and a test, over the samples that both have.

    Args:
        a: one value a sample.
        b: the same of the other method, in the same order.
        pictures: the picture of each sample.
        shares: the values are right or wrong.
        level: of confidence, in (0, 1).
        seed: of bootstrap and permutations.

    Returns:
        Of right and wrong, Newcombe's interval and McNemar's exact test. Where a picture carries several samples, the
        interval is that of the bootstrap by picture, and the test `clustered_mcnemar`. Of other values, the bootstrap
        of the pictures' means and `sign_flip_p`, with n and counts of pictures. Without samples all is NaN.
    """
    (one, two), units, alone = _known(pictures, a, b)
    if not len(one):
        return Interval(math.nan, math.nan, math.nan, 0), McNemar(0, 0, math.nan)
    if not shares:
        gain = pd.Series(one - two).groupby(units).mean().to_numpy()
        interval = tests.cluster_bootstrap(gain, range(len(gain)), level=level, seed=seed)
        return interval, McNemar(int((gain > 0).sum()), int((gain < 0).sum()), tests.sign_flip_p(gain, seed))
    if alone:
        return tests.paired_difference(one, two, level), tests.mcnemar_exact(one, two)
    interval = tests.cluster_bootstrap(one - two, units, level=level, seed=seed)
    return interval, tests.clustered_mcnemar(one, two, units)


def _known(pictures: Outcomes, *sides: Outcomes) -> tuple[np.ndarray, np.ndarray, bool]:
    """The samples that no side lacks, their pictures, and whether each is the only one of its picture."""
    values = np.stack([outcomes(pd.DataFrame({"correct": list(side)})) for side in sides])
    some = ~np.isnan(values).any(axis=0)
    units = np.asarray(list(pictures), object)[some]
    return values[:, some], units, len(set(units)) == len(units)


def with_holm(table: pd.DataFrame) -> pd.DataFrame:
    """The table with `p_holm`, corrected over its rows. A row whose p is missing has none and does not count."""
    if "p" not in table:  # of a single method
        return table
    compared, adjusted = table["p"].notna().to_numpy(), np.full(len(table), np.nan)
    adjusted[compared] = tests.holm(table.loc[compared, "p"])
    return table.assign(p_holm=adjusted)


def if_any_left_out(table: pd.DataFrame) -> pd.DataFrame:
    """The table without the columns `left_out` and `compared` where nothing is left out."""
    return table if table["left_out"].any() else table.drop(columns=["left_out", "compared"], errors="ignore")


def left_out_in_words(table: pd.DataFrame) -> str:
    """A sentence on the row that leaves out the largest share; empty where none is left out or the table cannot say."""
    if not {"n", "left_out"} <= set(table) or not table["left_out"].any():
        return ""
    share = table["left_out"] / (table["n"] + table["left_out"])
    n, gone = table[["n", "left_out"]].fillna(0).astype(int).to_numpy()[share.argmax()]
    return f"Left out for errors: {'up to ' * (len(table) > 1)}{gone} of {n + gone} samples ({share.max():.1%})."
