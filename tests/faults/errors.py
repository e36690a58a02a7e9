"""Errors while pictures are answered: no memory for some of them, and a GPU that can be used no more."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from faults import Outcome
from faults.forks import Forks
from faults.work import METHODS, added, answer, compared, same, stored
from hide_utils.method.hide import HiDe

ANSWER = "faults.work:answer"
CUDA = "CUDA error: device-side assert triggered"


def _open_fails(error: Exception, at) -> list[int]:
    """Let the opening of pictures fail in this process. Gives the list of the numbers of pictures that are opened.

    Args:
        error: what is raised.
        at: number of a picture, counted from 0 -> whether it fails.
    """
    seen: dict[bytes, int] = {}
    opened: list[int] = []
    real = HiDe.open

    def fails(hide, images):
        opened.append(seen.setdefault(images[0].tobytes(), len(seen)))
        if at(opened[-1]):
            raise error
        return real(hide, images)

    HiDe.open = fails
    return opened


def without_memory(checkpoint: str, out: str, n: int) -> dict:
    """Evaluate with no memory for every third picture."""
    _open_fails(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), lambda i: i % 3 == 2)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        rows = answer(checkpoint, out, n)
    return {"rows": rows, "said": "; ".join(str(one.message) for one in warned)}


def with_memory(checkpoint: str, out: str, n: int) -> dict:
    """Evaluate with memory for all. Gives the number of pictures that were opened for it."""
    opened = _open_fails(ValueError(), lambda i: False)
    return {"rows": answer(checkpoint, out, n), "opened": len(opened)}


def out_of_memory(forks: Forks, folder: Path, checkpoint: Path, n: int) -> Outcome:
    """Rows of every third picture have an error and no verdict. With memory again these alone are answered."""
    given = {"checkpoint": str(checkpoint), "n": n}
    out = folder / "rows.parquet"
    whole = forks.call(ANSWER, out=None, **given).value
    first = forks.call("faults.errors:without_memory", out=str(out), **given)
    failed = [row for row in (first.value or {"rows": []})["rows"] if row["error"]]
    kept = stored(out)
    again = forks.call("faults.errors:with_memory", out=str(out), **given)
    found = again.value or {"rows": [], "opened": 0}
    said = first.value["said"] if first.value else first.error
    bad = added(compared(kept, whole), compared(found["rows"], whole), compared(stored(out), whole))
    ok = (
        {row["sample_id"] for row in failed} == {f"s{i}" for i in range(n) if i // 2 % 3 == 2}
        and f"{len(failed)} of {n * len(METHODS)} rows have errors" in said
        and same(found["rows"], whole)
        and found["opened"] == n // 6
    )
    expected = "rows say so and have no verdict; with memory these alone are answered, and the table is whole"
    return Outcome(1, int(ok), expected=expected, happened=(said or again.error)[:300], **bad)


def with_cuda_error(checkpoint: str, out: str, n: int) -> dict:
    """Evaluate on a GPU that can be used no more from the third picture on. Gives what the run said as it ended."""
    opened = _open_fails(RuntimeError(CUDA), lambda i: i >= 2)
    try:
        answer(checkpoint, out, n)
    except RuntimeError as error:
        return {"said": str(error), "tried": opened.count(2) + opened.count(3)}
    return {"said": "it did not end", "tried": -1}


def cuda(forks: Forks, folder: Path, checkpoint: Path, n: int) -> Outcome:
    """The run ends at the first such error and says what to do. Its rows stay, and a new process does the rest."""
    given = {"checkpoint": str(checkpoint), "n": n}
    out = folder / "rows.parquet"
    whole = forks.call(ANSWER, out=None, **given).value
    first = forks.call("faults.errors:with_cuda_error", out=str(out), **given)
    found = first.value or {"said": first.error, "tried": -1}
    kept = stored(out)
    answered = [row for row in kept if not row["error"]]
    again = forks.call(ANSWER, out=str(out), **given)
    bad = added(compared(again.value or [], whole), compared(kept, whole, partly=True), compared(stored(out), whole))
    ok = (
        found["tried"] == 1
        and CUDA in found["said"]
        and "run again in a new process" in found["said"]
        and len(answered) == 4 * len(METHODS)
        and same(again.value, whole)
    )
    expected = "ends at once and says what to do; rows before stay; a new process completes them"
    return Outcome(1, int(ok), expected=expected, happened=(found["said"] + again.error)[:300], **bad)
