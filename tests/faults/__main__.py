"""Do every fault and print the table: `make faults`, or `PYTHONPATH=tests python -m faults`.

With the argument `quick` every fault is done only a few times. The exit code is 1 where a fault left anything but what
was expected.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from checkpoints import checkpoint

from faults import Outcome, damage, disks, edits, errors, kills, runs
from faults.forks import ROOT, Forks
from faults.kills import killed_runs, killed_workers

FULL, CLOSED = "no space left", "cannot be written"
HIDE = ("direct", "hide", "oracle", "random")
COUNTS = ("runs", "survived", "lost", "doubled", "wrong")


def pictures(folder: Path, heavy: bool) -> Outcome:
    """The corpus of hostile pictures in a process of its own."""
    command = [sys.executable, "-m", "faults.read_pictures", str(folder), *(["heavy"] if heavy else [])]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    found = json.loads(done.stdout) if done.returncode == 0 else []
    bad = [f"{one['name']}: {one['said']} ({one['seconds']} s)" for one in found if not one["ok"]]
    read = sum(one["said"].startswith("read") for one in found)
    slowest = max((one["seconds"] for one in found), default=0)
    happened = "; ".join(bad)[:300] or f"{read} read, {len(found) - read} refused, the slowest after {slowest:.1f} s"
    return Outcome(len(found), len(found) - len(bad), 0, "read right or refused, within 2 s and 1 GB", happened)


# Name of the fault -> what does it, given the forks, an empty folder, and whether to take its time.
Fault = Callable[[Forks, Path, bool], Outcome]
MODEL = checkpoint("qwen3_vl")
FAULTS: dict[str, Fault] = {
    "kill -9 of an evaluation": lambda f, d, heavy: (
        killed_runs(f, d, MODEL, 30, 20, methods=HIDE) if heavy else killed_runs(f, d, MODEL, 3, 4)
    ),
    "kill -9 of an evaluation by two workers": lambda f, d, heavy: (
        killed_runs(f, d, MODEL, 30 if heavy else 1, 6, engine="processes", workers=2)
    ),
    "kill -9 of one of two workers": lambda f, d, heavy: killed_workers(f, d, MODEL, 3 if heavy else 1, 6),
    "disk full: results": lambda f, d, heavy: disks.outcome(
        f, "results", FULL, "said; rows before are whole; goes on when there is room", d, checkpoint=MODEL, n=8
    ),
    "disk full: figures and tables": lambda f, d, heavy: disks.outcome(
        f, "figures", FULL, "said; the files before stay as they were", d
    ),
    "disk full: cache": lambda f, d, heavy: disks.outcome(
        f, "cache", "not kept", "said; the rows are captured all the same", d, checkpoint=MODEL, n=4
    ),
    "read-only: figures and tables": lambda f, d, heavy: disks.outcome(
        f, "figures", CLOSED, "said; the files before stay as they were", d, read_only=True
    ),
    "read-only: cache": lambda f, d, heavy: disks.outcome(
        f, "cache", "not kept", "said; what it holds is read", d, checkpoint=MODEL, n=4, read_only=True
    ),
    "read-only: results": lambda f, d, heavy: disks.outcome(
        f, "read_only", CLOSED, "read; writing is refused before anything is run", d, checkpoint=MODEL, n=4
    ),
    "damaged or older cache files": lambda f, d, heavy: damage.many(
        f, "cached_rows", "seen, said, captured anew", checkpoint=MODEL, folder=d, times=50 if heavy else 5
    ),
    "damaged results": lambda f, d, heavy: damage.many(
        f, "stored_rows", "made anew, or an error names the file", checkpoint=MODEL, folder=d,
        times=48 if heavy else 4, n=2,
    ),
    "damaged record of runs": lambda f, d, heavy: damage.once(f, "history", "said; the notebooks run", folder=d),
    "clock going backwards": lambda f, d, heavy: damage.once(
        f, "clock", "the table is the same", checkpoint=MODEL, folder=d, n=4
    ),
    "disk of the results unmounted and mounted again": lambda f, d, heavy: disks.unmounted(f, d, MODEL, 8),
    "out of memory at every third picture, then not": lambda f, d, heavy: errors.out_of_memory(f, d, MODEL, 12),
    "CUDA error (simulated)": lambda f, d, heavy: errors.cuda(f, d, MODEL, 8),
    "benchmark edited between runs": lambda f, d, heavy: edits.edited(
        f, d, MODEL, 6, tuple(edits.EDITS) if heavy else ("question", "picture")  # evaluation/test_keys does all
    ),
    "two benchmarks of one name in one file": lambda f, d, heavy: edits.two_of_one_name(f, d, MODEL),
    "worker killed: local": lambda f, d, heavy: kills.dying(f, d, MODEL, "local", heavy),
    "worker killed: processes": lambda f, d, heavy: kills.dying(f, d, MODEL, "processes", heavy),
    "worker killed: ray": lambda f, d, heavy: kills.dying(f, d, MODEL, "ray", heavy),
    "two evaluations of one file at once": lambda f, d, heavy: runs.two_at_once(f, d, MODEL, 6),
    "three runs on one small cache at once": lambda f, d, heavy: runs.share_cache(f, d, MODEL, 8 if heavy else 2),
    "out of memory on one picture": lambda f, d, heavy: runs.out_of_memory(f, d, MODEL, 4),
    "a notebook fails in the middle": lambda f, d, heavy: runs.failing_notebook(f, d),
    "hostile pictures": lambda f, d, heavy: pictures(d, heavy),
}  # fmt: skip


def do(name: str, forks: Forks, heavy: bool) -> Outcome:
    """One fault in a folder of its own; an error of the attempt itself counts as not survived."""
    with tempfile.TemporaryDirectory(prefix="hide-faults-") as folder:
        try:
            found = FAULTS[name](forks, Path(folder), heavy)
        except Exception as error:  # the table has to be printed whatever one fault does
            found = Outcome(1, 0, 1, "", f"{type(error).__name__}: {error}")
        return replace(found, happened=found.happened.replace(folder, "..."))


def line(*cells: object) -> str:
    """A row of the table."""
    return "{:<48} {:>5} {:>9} {:>5} {:>8} {:>6} {:>8}".format(*("-" if cell is None else cell for cell in cells))


def main(heavy: bool) -> int:
    """Print the table; 1 where not everything survived."""
    print(line("fault", *COUNTS, "seconds"), flush=True)
    every = []
    with Forks(MODEL) as forks:
        for name in FAULTS:
            began = time.perf_counter()
            found = do(name, forks, heavy)
            every.append(found)
            counts = [getattr(found, count) for count in COUNTS]
            print(line(name, *counts, f"{time.perf_counter() - began:.0f}"))
            said = f"{'' if found.ok else 'NOT '}as expected ({found.expected}): {' '.join(found.happened.split())}"
            print(textwrap.fill(said, 110, initial_indent="    ", subsequent_indent="    "), flush=True)
    total = [sum(getattr(found, count) or 0 for found in every) for count in COUNTS]
    print(line("all", *total, ""))
    return int(not all(found.ok for found in every))


if __name__ == "__main__":
    sys.exit(main("quick" not in sys.argv[1:]))
