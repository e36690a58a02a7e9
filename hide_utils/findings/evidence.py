"""Findings from measured tables: paired tests of two variants on the same samples."""

from __future__ import annotations

from typing import Any

import pandas as pd

from hide_utils.findings.card import Finding
from hide_utils.stats import compare, compare_answers

MCNEMAR, BOOTSTRAP = "exact McNemar", "sign flips by picture"


def of_answers(answers: pd.DataFrame, method: str, against: str, **words: Any) -> Finding:
    """What a method's accuracy is more than another's, in points.

    Args:
        answers: rows of `evaluate`, both methods on the same samples.
        method: whose accuracy counts.
        against: from whose it is subtracted.
        **words: claim, statement and the other fields of `Finding` that are no numbers.
    """
    (row,) = compare_answers(answers, [(method, against)]).to_dict("records")
    estimate, low, high = (100 * row[name] for name in ("difference", "low", "high"))
    numbers = {"estimate": estimate, "low": low, "high": high, "unit": "points", "p": row["p"], "n": row["n"]}
    return Finding(**numbers, test=MCNEMAR, **words)


def of_measure(table: pd.DataFrame, measure: str, variant: str, against: str, unit: str, **words: Any) -> Finding:
    """What a measure is more for one variant than for another, on the same samples.

    Args:
        table: a row a sample and variant, with columns sample_id, image_id, variant and the measure.
        measure: the column.
        variant: whose measure counts.
        against: from whose it is subtracted.
        unit: of the measure, a key of `card.MARGINS`.
        **words: as in `of_answers`.
    """
    (row,) = compare(table, [(variant, against)], [measure]).to_dict("records")
    numbers = {"estimate": row["difference"], "unit": unit, **{name: row[name] for name in ("low", "high", "p", "n")}}
    return Finding(**numbers, test=BOOTSTRAP, **words)
