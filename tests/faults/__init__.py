"""Faults done to evaluations, files and runs, and what is left of them: `PYTHONPATH=tests python -m faults`.

Every fault is a function (forks, folder, heavy) -> `Outcome`, listed in `faults.__main__.FAULTS`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """What came of a fault that was done `runs` times.

    survived: times after which everything was as it should be; lost: rows or files that were stored and are gone, or
    that differ; expected, happened: in words.
    """

    runs: int
    survived: int
    lost: int
    expected: str
    happened: str

    @property
    def ok(self) -> bool:
        return self.survived == self.runs > 0 and self.lost == 0
