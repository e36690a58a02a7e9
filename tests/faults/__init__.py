"""Faults that are done to evaluations, files and runs on purpose, to see what is left: `make faults`.

Every fault is a function (forks, folder, heavy) -> `Outcome`, listed in `faults.__main__.FAULTS`. Read `__main__`, then
`work` (the evaluation that the faults are done to) and `forks` (the processes in which they are done).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """What came of a fault that was done `runs` times.

    Attributes:
        runs: how often the fault was done.
        survived: times after which everything was as it should be.
        lost: rows or files that were stored and are gone, or files that differ.
        expected: what should happen, in words.
        happened: what did happen, in words.
        doubled: rows that are there twice. None where the fault is not done to rows.
        wrong: rows that differ from those of a run without a fault, and rows with an error that pass for answers.
    """

    runs: int
    survived: int
    lost: int
    expected: str
    happened: str
    doubled: int | None = None
    wrong: int | None = None

    @property
    def ok(self) -> bool:
        return self.survived == self.runs > 0 and not (self.lost or self.doubled or self.wrong)
