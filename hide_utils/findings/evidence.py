"""Findings from measured tables: paired tests of two variants on the same samples, and of two groups of samples."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd

from hide_utils.findings.card import Finding
from hide_utils.stats import compare, compare_answers, unpaired_test
from hide_utils.stats.rows import paired_test

MCNEMAR, BOOTSTRAP, FISHER = "exact McNemar", "sign flips by picture", "Fisher's exact, two groups"


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


def of_differences(differences: Collection[float], pictures: Collection, unit: str, **words: Any) -> Finding:
    """What paired differences come to, tested as `of_measure` tests them.

    Args:
        differences: one a sample, in the unit.
        pictures: the picture of each sample. The questions of one picture are averaged.
        unit: a key of `card.MARGINS`.
        **words: as in `of_answers`.
    """
    interval, test = paired_test(list(differences), np.zeros(len(differences)), pictures, shares=False)
    numbers: dict[str, Any] = dict(zip(("estimate", "low", "high", "n"), interval, strict=True))
    middle = numbers["estimate"]  # of equal differences, rounding can put an end on the wrong side
    numbers |= {"low": min(numbers["low"], middle), "high": max(numbers["high"], middle)}
    return Finding(**numbers, unit=unit, p=test.p, test=BOOTSTRAP, **words)


def of_groups(one: Collection[bool], other: Collection[bool], **words: Any) -> Finding:
    """What a share is more in one group of samples than in another, in points. The test is unpaired.

    Args:
        one: whether it is so, one a sample. No two samples of both groups have one picture.
        other: the same of the group whose share is subtracted.
        **words: as in `of_answers`.
    """
    interval, p = unpaired_test(one, other)
    estimate, low, high = (100 * value for value in interval[:3])
    numbers: dict[str, Any] = {"estimate": estimate, "low": low, "high": high, "unit": "points", "n": interval.n}
    return Finding(**numbers, p=p, test=FISHER, **words)
