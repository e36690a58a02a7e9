"""Files that are damaged or of an older format, and clocks that go backwards."""

from __future__ import annotations

import json
import os
import random
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

from faults import Outcome
from faults.forks import Forks
from faults.work import PARAMETERS, added, answer, compared, differences, load, samples, stored
from hide_utils.evaluation.store import ResultStore

DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "cut": lambda content, rng: content[: rng.randrange(len(content))],
    "bit flipped": lambda content, rng: _flipped(content, rng),
    "emptied": lambda content, rng: b"",
    "zeros at the end": lambda content, rng: content[: len(content) // 2] + bytes(len(content) - len(content) // 2),
}


def _flipped(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    changed[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cached_rows(checkpoint: str, folder: str, times: int) -> list[dict]:
    """Damage a file of the cache again and again, or rename it to an older format. Each time it is seen and mended."""
    from hide_utils.evaluation import captured as rowcache

    rng, found = random.Random(0), []
    one, model = samples(1), load(checkpoint)
    one[0].entities = ["dog", "scooter"]
    right, _ = rowcache.RowCache(folder).load(model, one, [1], progress=False)
    for number in range(times):
        kind = [*DAMAGES, "older format"][number % (len(DAMAGES) + 1)]
        (path,) = Path(folder).glob("*.npz")
        if kind == "older format":
            path.rename(path.with_name(path.name.replace(f"-v{rowcache.FORMAT}-", f"-v{rowcache.FORMAT - 1}-")))
        else:
            path.write_bytes(DAMAGES[kind](path.read_bytes(), rng))
        cache = rowcache.RowCache(folder)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            rows, _ = cache.load(model, one, [1], progress=False)
        same = (rows[0].semantic == right[0].semantic).all() and (rows[0].noise == right[0].noise).all()
        said = "; ".join(str(one.message) for one in warned)
        mended = cache.captured == cache.damaged == 1 and len(list(Path(folder).glob("*.npz"))) == 1
        found.append({"kind": kind, "ok": bool(same and mended and "captured anew" in said), "said": said})
    return found


def stored_rows(checkpoint: str, folder: str, times: int, n: int) -> list[dict]:
    """Damage the journal or the Parquet file of an evaluation. The table comes back, or an error names the file."""
    rng, found = random.Random(1), []
    expected = answer(checkpoint, None, n)
    for number in range(times):
        out = Path(folder) / f"{number}.parquet"
        answer(checkpoint, str(out), n)
        kind = list(DAMAGES)[number % len(DAMAGES)]
        target, in_journal = out, number // len(DAMAGES) % 2
        if in_journal:  # a journal, as a killed run leaves it
            target = out.with_suffix(".journal.jsonl")
            table = pq.read_table(out)
            out.unlink()
            store = ResultStore(out, json.loads(table.schema.metadata[b"hide_settings"]))
            store.append(table.to_pylist())
        target.write_bytes(DAMAGES[kind](target.read_bytes(), rng))
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                said, table = "", answer(checkpoint, str(out), n)
            except ValueError as error:
                said, table = str(error), None
        said += "; ".join(str(one.message) for one in warned)
        named = target.name in said or "settings" in said
        ok = named if table is None else differences(table, expected) == 0 and len(table) == len(expected)
        found.append({"kind": f"{kind} {'journal' if in_journal else 'Parquet'}", "ok": bool(ok), "said": said})
    return found


def clock(checkpoint: str, folder: str, n: int) -> dict:
    """The clock of the machine jumps back between runs and within them, and files come from the future."""
    from hide_utils.evaluation.captured import RowCache

    expected, out = answer(checkpoint, None, n), Path(folder) / "rows.parquet"
    real, jumps = time.time, iter(range(10**6))
    backwards = lambda: real() - 86_400 * next(jumps)  # noqa: E731
    time.time, time.time_ns = backwards, lambda: int(backwards() * 1e9)
    answer(checkpoint, str(out), n // 2)
    for path in Path(folder).iterdir():
        os.utime(path, (real() + 10**6, real() + 10**6))
    table = answer(checkpoint, str(out), n)
    some, model = samples(4), load(checkpoint)
    for sample in some:
        sample.entities = ["dog"]
    cache = RowCache(Path(folder) / "rows", 10**6)
    cache.load(model, some, [1], progress=False)  # the two questions about a picture share a search
    for number, path in enumerate(cache.folder.iterdir()):
        os.utime(path, (real() + 10**6 - number, 0))
    cache.load(model, some, [1], progress=False)
    counts = added(compared(stored(out), expected), compared(table, expected))
    return {**counts, "ok": not any(counts.values()) and (cache.captured, cache.hits) == (2, 6)}


def history(folder: str) -> dict:
    """Damage the runner's record of an earlier run. `hide list` says so, and the notebooks run."""
    import contextlib
    import io

    import nbformat
    from nbformat.v4 import new_code_cell, new_notebook

    from hide_utils.cli.run import main

    notebooks, runs = Path(folder) / "notebooks", Path(folder) / "runs"
    notebooks.mkdir()
    record = runs / "mini" / "00_any.json"
    record.parent.mkdir(parents=True)
    record.write_text('{"notebook": "00_any", "status": "o')
    cell = new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    book = new_notebook(
        cells=[cell], metadata={"kernelspec": {"name": "python3", "display_name": "x", "language": "python"}}
    )
    nbformat.write(book, notebooks / "00_any.ipynb")
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
        main(["--list"], notebooks=notebooks, runs=runs)
        status = main(["all"], notebooks=notebooks, runs=runs)
    whole = json.loads(record.read_text())["status"] == "ok"
    return {"ok": status == 0 and whole and "record damaged" in out.getvalue(), "said": out.getvalue(), "lost": 0}


def many(forks: Forks, do: str, expected: str, **given) -> Outcome:
    """Call a function above that tries many damages, and make an outcome of what it returns."""
    ended = forks.call(f"faults.damage:{do}", **given)
    tried = ended.value or [{"ok": False, "kind": ended.state, "said": ended.error}]
    bad = [f"{one['kind']}: {one['said']}" for one in tried if not one["ok"]]
    kinds = ", ".join(sorted({one["kind"] for one in tried}))
    return Outcome(len(tried), len(tried) - len(bad), len(bad), expected, "; ".join(bad)[:300] or f"so for {kinds}")


def once(forks: Forks, do: str, expected: str, **given) -> Outcome:
    """Call a function above that does one thing, and make an outcome of what it returns."""
    ended = forks.call(f"faults.damage:{do}", **given)
    found = ended.value or {"ok": False, "lost": 1, "said": ended.error}
    happened = "so it was" if found["ok"] else str(found.get("said", "not as expected"))[:300]
    counts = {name: found.get(name) for name in ("lost", "doubled", "wrong")}
    return Outcome(1, int(found["ok"]), expected=expected, happened=happened, **counts)
