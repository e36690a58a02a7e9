"""Single comparisons in words, from the rows of a table, and what the paper reports.

A row has a `difference`, the ends of its 95 % interval, and `p_holm`, the corrected p. The ends are called
`difference_low` and `difference_high` where the row has other intervals too, else `low` and `high`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import pandas as pd

from hide_utils import paths
from hide_utils.findings.card import LEVEL

Row: TypeAlias = Mapping | pd.Series


def _interval(row: Row) -> tuple[float, float, float]:
    prefix = "difference_" if "difference_low" in row else ""
    return row["difference"], row[f"{prefix}low"], row[f"{prefix}high"]


def verdict(row: Row) -> str:
    """What a row shows: "higher", "lower" or "not shown to differ".

    A difference is shown where the corrected p is below `LEVEL` and the interval excludes 0. One that is missing,
    because no sample was answered by both, is not shown.
    """
    difference, low, high = _interval(row)
    if row["p_holm"] < LEVEL and (low > 0 or high < 0):
        return "higher" if difference > 0 else "lower"
    return "not shown to differ"


def agrees(row: Row, expected: float = 1) -> str:
    """Whether a row bears out a claim: "yes", "no" (the opposite is shown) or "not shown".

    Args:
        row: a comparison.
        expected: the claimed change. Only its sign counts, and it is not 0.
    """
    claimed = "higher" if expected > 0 else "lower"
    return {"not shown to differ": "not shown", claimed: "yes"}.get(verdict(row), "no")


def in_points(estimate: float, low: float, high: float) -> str:
    """A difference of shares and its interval, in points of a hundred."""
    return f"{100 * estimate:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})"


def difference_in_points(row: Row) -> str:
    """Difference and interval of a row, in points of a hundred."""
    return in_points(*_interval(row))


def difference_in_words(row: Row, form: str = "+.3f") -> str:
    """Difference, interval, corrected p and verdict of a row, for a sentence. `form` is that of the numbers."""
    difference, low, high = _interval(row)
    return f"{difference:{form}} ({low:{form}} to {high:{form}}), p = {row['p_holm']:.2g}: {verdict(row)}"


def paper_numbers(experiment: str) -> pd.DataFrame:
    """The numbers that the paper reports for one experiment, from ``data/paper/hide_paper_numbers.csv``.

    Args:
        experiment: a value of the file's first column.

    Returns:
        Columns experiment, model, setting, metric, value and note. Accuracies are in percent.
    """
    numbers = pd.read_csv(paths.PAPER / "hide_paper_numbers.csv")
    return numbers[numbers["experiment"] == experiment].reset_index(drop=True)
