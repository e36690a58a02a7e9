"""The rows of a run as they come: its accuracy so far, its errors, and when it has to end before it is done."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

from hide_utils.baselines import NeedsOptions
from hide_utils.evaluation.ahead import Ahead
from hide_utils.evaluation.store import ResultStore

FAILURES_IN_A_ROW = 5  # when so many samples fail one after another, it is no single sample's fault
POISONED = "CUDA error"  # in the message of an error after which a process can use its GPU no more


def _of_no_letters(row: dict[str, Any]) -> bool:
    """Whether a row is an error because its question has no letters, which says nothing about the next one."""
    return row["error"].startswith(NeedsOptions.__name__)


class Tally:
    """Counts rows of samples as they are answered.

    Args:
        store: where they are kept, which a message names. None: they are kept nowhere, and the run goes on to its end.
        ahead: what opens their pictures.

    Attributes:
        rows: all rows so far.
        unkept: why arrays of samples were not kept.
    """

    def __init__(self, store: ResultStore | None, ahead: Ahead) -> None:
        self.store, self.ahead = store, ahead
        self.rows: list[dict[str, Any]] = []
        self.unkept: list[str] = []
        # What failed in an earlier run comes together in this one, and does not count as failures in a row.
        self._tried = set() if store is None else {sample for sample, _ in store.failed}
        self._counts: dict[str, list[int]] = {}
        self._in_a_row = 0
        self._last: Sequence[dict[str, Any]] = ()

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Count all rows of one sample, or of several at the start of a run."""
        if not rows:  # of a sample that lacked its arrays alone
            return
        self.rows += rows
        for row in rows:
            of_method = self._counts.setdefault(row["method"], [0, 0, 0])
            answered = row["error"] is None
            for i, add in enumerate((bool(row["correct"]), answered, not answered)):
                of_method[i] += add
        self._last = [row for row in rows if row["sample_id"] == rows[-1]["sample_id"]]
        if any(row["error"] is None for row in self._last):
            self._in_a_row = 0
        elif self._last[0]["sample_id"] not in self._tried and not all(map(_of_no_letters, self._last)):
            self._in_a_row += 1

    def so_far(self) -> str:
        """Accuracy of the first methods over what they answered, errors, and the share of time that was waited."""
        said = [f"{method} {right / n:.0%}" for method, (right, n, _) in list(self._counts.items())[:4] if n]
        bad = sum(errors for _, _, errors in self._counts.values())
        said += [f"{bad} errors"] if bad else []
        share = self.ahead.share  # None where other processes open the pictures
        return ", ".join(said + ([] if share is None else [f"waited {share:.0%}"]))

    def stop_where_all_fails(self) -> None:
        """End a run that keeps its rows and goes on failing, before it fills the table with errors.

        Raises:
            RuntimeError: too many samples failed in a row, or an error of CUDA says that all later ones will.
        """
        errors = [row["error"] for row in self._last if row["error"]]
        poisoned = any(POISONED in error for error in errors)
        if self.store is not None and (self._in_a_row >= FAILURES_IN_A_ROW or poisoned):
            raise RuntimeError(
                f"{self._last[0]['sample_id']} failed ({errors[0]}), the last of {max(self._in_a_row, 1)} in a row. "
                f"Rows so far are in {self.store.path}: mend the cause and run again in a new process, which tries the "
                "failed ones again"
            )

    def warn_of_errors(self) -> None:
        """Say at the end of a run how many rows have errors, of which kinds, and what tries them again."""
        if self.unkept:
            said = f"arrays of {len(self.unkept)} samples were not kept; the same call tries them again"
            warnings.warn(f"{said}. The first: {self.unkept[0]}", stacklevel=4)
        bad = [row for row in self.rows if row["error"]]
        if not bad:
            return
        kinds = Counter(row["error"].split(":")[0] for row in bad)
        said = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common())
        call = "the same call" + ("" if self.store is None else f" with out='{self.store.path}'")
        again = os.environ.get("HIDE_COMMAND") or call
        warnings.warn(
            f"{len(bad)} of {len(self.rows)} rows have errors ({said}), which are no answers and count nowhere. To try "
            f"them again: {again}. The first: {bad[0]['sample_id']}: {bad[0]['error']}",
            stacklevel=4,
        )
