"""Two runs at once, a notebook that fails in the middle, and a picture that does not fit into memory."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from functools import partial
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image

from faults import Outcome
from faults.forks import Forks
from faults.kills import ANSWER
from faults.work import METHODS, PARAMETERS, compared, load, same, samples, stored
from hide_utils import evaluate
from hide_utils.cli.run import main
from hide_utils.images import read_image
from hide_utils.samples import Sample

HUGE_WH = (9_900, 10_000)  # pixels: 12 kB as a file, 400 MB as RGB


def two_at_once(forks: Forks, folder: Path, checkpoint: Path, n: int) -> Outcome:
    """Run two evaluations of one file. The second is refused at once, and the table is that of one run alone."""
    given = {"checkpoint": str(checkpoint), "n": n}
    whole = forks.call(ANSWER, out=None, **given).value
    out = folder / "rows.parquet"
    call = {"do": ANSWER, "with": given | {"out": str(out)}}
    ended = forks.together([call, call])
    refused = [one for one in ended if one.state == "raised" and "another process is writing" in one.error]
    counts = compared(stored(out), whole)
    ok = len(refused) == 1 and [same(one.value, whole) for one in ended if one.state == "done"] == [True]
    happened = refused[0].error if refused else "; ".join(one.state + " " + one.error for one in ended)
    expected = "one runs, the other is told so at once; each row once"
    return Outcome(2, 2 * int(ok), expected=expected, happened=happened[:300], **counts)


def share_cache(forks: Forks, folder: Path, checkpoint: Path, n: int) -> Outcome:
    """Let three runs fill and empty one small cache at the same time."""
    call = {"do": "faults.runs:cached", "with": {"checkpoint": str(checkpoint), "folder": str(folder), "n": n}}
    ended = forks.together([call, call, call])
    ok = sum(one.state == "done" and one.value == 0 for one in ended)
    said = "; ".join(one.error or f"{one.value} rows differ" for one in ended if one.state != "done" or one.value)
    return Outcome(3, ok, sum(one.value or 0 for one in ended), "each has the right rows", said[:300] or "so it was")


def cached(checkpoint: str, folder: str, n: int) -> int:
    """How many rows from a shared cache, which holds only two or three files, differ from those captured."""
    from hide_utils.evaluation.captured import RowCache

    model, some, wrong = load(checkpoint), samples(n), 0
    for sample in some:
        sample.entities = ["dog", "scooter"]
    right, _ = RowCache(Path(folder) / str(os.getpid())).load(model, some, [1], progress=False)
    for _ in range(3):
        found, _ = RowCache(Path(folder) / "shared", 12_000).load(model, some, [1], progress=False)
        wrong += sum(bool((a.semantic != b.semantic).any()) for a, b in zip(found, right, strict=True))
    return wrong


def huge_picture(checkpoint: str, folder: str, n: int) -> dict:
    """Evaluate samples one of whose pictures does not fit into memory, which the caller limits."""
    path = Path(folder) / "huge.png"
    huge = Sample("huge", "Where?", ["a", "b"], "A", "any", partial(read_image, path), [(0, 0, 9, 9)])
    some = samples(n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = evaluate(
            load(checkpoint), [*some[:2], huge, *some[2:]], METHODS, Path(folder) / "rows.parquet", progress=False
        )
    errors = table[table["error"].notna()]
    return {"rows": len(table), "errors": sorted(set(errors["sample_id"])), "said": str(errors["error"].iloc[0])}


def out_of_memory(forks: Forks, folder: Path, checkpoint: Path, n: int) -> Outcome:
    """The sample of the huge picture gets a row that says so, and all others are answered."""
    Image.new("1", HUGE_WH).save(folder / "huge.png")
    given = {"checkpoint": str(checkpoint), "folder": str(folder), "n": n}
    ended = forks.call("faults.runs:huge_picture", limits={"RLIMIT_AS": 300_000_000}, **given)
    found = ended.value or {"rows": 0, "errors": [], "said": ended.error or ended.state}
    ok = found["errors"] == ["huge"] and found["rows"] == (n + 1) * len(METHODS) and "Memory" in found["said"]
    lost = (n + 1) * len(METHODS) - found["rows"]
    return Outcome(1, int(ok), lost, "its row says so, the run goes on", f"{found['errors']}: {found['said']}"[:300])


def notebooks(folder: str) -> dict:
    """Run three notebooks, the second of which fails in the middle.

    Returns:
        The exit code as `status`, name and state of each notebook as `states`, and what was printed as `said`.
    """
    book_folder, text = Path(folder) / "notebooks", {"00_first": "1", "01_broken": "1 / 0", "02_last": "2"}
    book_folder.mkdir()
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    for name, source in text.items():
        first = new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
        cells = [first, new_code_cell(source), new_code_cell("n")]
        nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), book_folder / f"{name}.ipynb")
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()):
        status = main(["all"], notebooks=book_folder, runs=Path(folder) / "runs")
    table = out.getvalue()[out.getvalue().index("notebook ") :]
    return {"status": status, "states": [line.split()[:2] for line in table.splitlines()[1:4]], "said": out.getvalue()}


def failing_notebook(forks: Forks, folder: Path) -> Outcome:
    """The other notebooks run, the exit code is 1, and the closing table tells which one failed."""
    ended = forks.call("faults.runs:notebooks", folder=str(folder))
    found = ended.value or {"status": None, "states": [], "said": ended.error}
    wanted = [["00_first", "ok"], ["01_broken", "failed"], ["02_last", "ok"]]
    ok = found["status"] == 1 and found["states"] == wanted and "ZeroDivisionError" in found["said"]
    happened = f"exit code {found['status']}; " + ", ".join(" ".join(state) for state in found["states"])
    return Outcome(1, int(ok), 0, "the others run, exit code and closing table tell", happened)
