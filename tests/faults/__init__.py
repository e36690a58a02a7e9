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
        lost: rows or files that were stored and are gone, or that differ.
        expected: what should happen, in words.
        happened: what did happen, in words.
    """

    runs: int
    survived: int
    lost: int
    expected: str
    happened: str

    @property
    def ok(self) -> bool:
        return self.survived == self.runs > 0 and self.lost == 0
