"""A benchmark that is edited between two runs, and two benchmarks of one name: rows are never another content's."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from model_helpers import picture

from faults import Outcome
from faults.forks import Forks
from faults.work import METHODS, added, answer, compared, samples, stored
from hide_utils import load_benchmark
from hide_utils.evaluation.store import ResultStore
from hide_utils.samples import Sample

# What is edited -> the edit of a sample, and the numbers of those that it is done to: two questions have one picture.
EDITS: dict[str, tuple[Callable[[Sample], Sample], tuple[int, ...]]] = {
    "label": (lambda s: replace(s, label="A" if s.label == "C" else "C"), (1,)),
    "question": (lambda s: replace(s, question=s.question + " Look closely."), (2,)),
    "options": (lambda s: replace(s, options=s.options[::-1]), (0,)),
    "picture": (lambda s: replace(s, render=partial(picture, 112, 84, 77)), (2, 3)),
    "boxes": (lambda s: replace(s, boxes_xyxy=[(50, 30, 90, 70)]), (5,)),
}


def _asked(n: int, edit: str | None) -> list[Sample]:
    some = samples(n)
    change, numbers = EDITS[edit] if edit else (None, ())
    return [change(sample) if i in numbers else sample for i, sample in enumerate(some)]


def run(checkpoint: str, out: str | None, n: int, edit: str | None = None, bench: str | None = None) -> dict:
    """Evaluate an edited benchmark, or one that is read from a folder.

    Returns:
        The rows, the keys of those that were stored anew as "anew", and the text of all warnings as "said".
    """
    anew, append = [], ResultStore.append

    def spy(store, rows, *rest):
        anew.extend([row["sample_id"], row["method"]] for row in rows)
        return append(store, rows, *rest)

    ResultStore.append = spy
    asked = load_benchmark(bench) if bench else _asked(n, edit)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        rows = answer(checkpoint, out, n, METHODS if asked[0].boxes_xyxy else ("direct", "random"), asked)
    return {"rows": rows, "anew": sorted(anew), "said": "; ".join(str(one.message) for one in warned)}


def edited(forks: Forks, folder: Path, checkpoint: Path, n: int, edits: Sequence[str] = tuple(EDITS)) -> Outcome:
    """Do each edit between two runs of one file, and take it back: both times its samples alone are answered anew."""
    do, given, ok, bad, said = "faults.edits:run", {"checkpoint": str(checkpoint), "n": n}, 0, [], []
    out = folder / "rows.parquet"
    unedited = forks.call(do, out=str(out), **given).value["rows"]
    for edit in edits:
        wanted = sorted([f"s{i}", method] for i in EDITS[edit][1] for method in METHODS)
        right = True
        for now in (edit, None):
            whole = forks.call(do, out=None, edit=now, **given).value["rows"] if now else unedited
            ended = forks.call(do, out=str(out), edit=now, **given)
            found = ended.value or {"rows": [], "anew": [], "said": ended.error}
            bad += [compared(found["rows"], whole), compared(stored(out), whole)]
            right &= found["anew"] == wanted and f"{len(wanted)} of {n * len(METHODS)} rows are" in found["said"]
        ok += right
        said.append(f"{edit}: {found['said']}")
    expected = "its samples alone are answered anew, and it is said"
    return Outcome(len(edits), ok, expected=expected, happened="; ".join(said)[:300], **added(*bad))


def two_of_one_name(forks: Forks, folder: Path, checkpoint: Path) -> Outcome:
    """Evaluate two benchmarks of one name into one file, and the first again. No table has rows of the other."""
    for number, place in enumerate("ab"):
        bench = folder / place / "vstar"
        bench.mkdir(parents=True)
        picture(64, 64, number).save(bench / "p.png")
        rows = [
            {"id": i, "question": f"{question}\n(A) red\n(B) blue", "labels": "AB"[(i + number) % 2],
             "image_path": "p.png", "category": "c"}
            for i, question in enumerate(("What is the color of the dog?", "Where is the truck?"))
        ]  # fmt: skip
        (bench / "signs.json").write_text(json.dumps(rows))
    out, ok, bad, said, whole = folder / "rows.parquet", True, [], [], {}
    for place in "aba":
        given = {"checkpoint": str(checkpoint), "n": 0, "bench": str(folder / place / "vstar" / "signs.json")}
        if place not in whole:
            whole[place] = forks.call("faults.edits:run", out=None, **given).value["rows"]
        ended = forks.call("faults.edits:run", out=str(out), **given)
        found = ended.value or {"rows": [], "said": ended.error}
        bad += [compared(found["rows"], whole[place]), compared(stored(out), whole[place])]
        ok &= not said or "answered anew" in found["said"]
        said.append(found["said"])
    expected = "rows of the first are replaced, and it is said"
    return Outcome(1, int(ok), expected=expected, happened="; ".join(filter(None, said))[:300], **added(*bad))
