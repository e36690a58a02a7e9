"""Run the notebooks: `python -m hide_utils.cli.run all --preset mini`, `... 05_benchmarks -p n 40`, `... --list`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import nbformat
import papermill
import psutil
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from hide_utils import paths
from hide_utils.config import load_preset, nearest, preset_values
from hide_utils.evaluation.notebooks import code_hash, discover, inspect, literal, show, strip, without_widgets
from hide_utils.files import replace_file

PATHS = ("image", "out", "model", "benchmark")  # parameters that may name a file or folder
SOURCE_LINES = 8  # of a failing cell, to recognise it by
# Run after all others, one at a time: the first measures time, the second reads what every other one wrote.
ALONE = ("06_memory_and_latency", "09_report")
# Without it every kernel warns that its local connection is not encrypted.
KERNEL = Config({"KernelManager": {"transport_encryption": "auto"}})


@dataclass
class Run:
    """One notebook to be run: where it lies, what is injected, where the executed one goes, and how it went."""

    notebook: Path
    parameters: dict[str, Any]
    output: Path
    state: str = "not run"
    seconds: float = 0.0
    error: str = ""
    skipped: list[str] = field(default_factory=list)


def select_notebooks(names: list[str], found: dict[str, Path]) -> list[str]:
    """Full names of the notebooks asked for, in reading order: `all`, or names, their numbers or paths.

    Raises ValueError naming the nearest for one that is not there.
    """
    chosen = set()
    for name in names:
        stem = Path(name).name.removesuffix(".ipynb")
        matches = [full for full in found if stem in ("all", full) or full.split("_")[0] == stem]
        if not matches:
            raise ValueError(f"no notebook {name!r}; {nearest(stem, found)}")
        chosen.update(matches)
    return [name for name in found if name in chosen]


def plan(
    found: dict[str, Path], names: list[str], preset: str, given: dict[str, Any], output: Path, *, inplace: bool
) -> list[Run]:
    """What each chosen notebook is run with: the preset's values for it, then those given by hand.

    A value given by hand must name a parameter of at least one of the notebooks; the others are run without it.
    Raises ValueError for unknown names (with the nearest), and, in place, for values that differ from the notebook's
    own: a committed notebook shows what its parameters cell says.
    """
    content = load_preset(preset)
    if strangers := [name for name, value in content.items() if isinstance(value, dict) and name not in found]:
        raise ValueError(f"preset {preset}: no notebook {strangers[0]!r}; {nearest(strangers[0], found)}")
    known = {name: inspect(found[name]) for name in names}
    everywhere = sorted({parameter for parameters in known.values() for parameter in parameters})
    for name in given:
        if name not in everywhere:
            raise ValueError(f"no parameter {name!r} in {', '.join(names)}; {nearest(name, everywhere)}")
    runs = []
    for name in names:
        own = {key: value for key, value in given.items() if key in known[name]}
        values = preset_values(content, name, known[name]) | own
        if inplace:
            _refuse_other_values(name, values, known[name])
            values = {}
        run = Run(found[name], values, output / f"{name}.ipynb")
        run.skipped = [key for key in given if key not in own]
        runs.append(run)
    return runs


def execute(run: Run, *, inplace: bool) -> None:
    """Execute one notebook in its own folder and fill in state, seconds and, where it failed, the error.

    In place, a notebook that ran through replaces the committed one; one that failed stays at `run.output`.
    """
    run.output.parent.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    try:
        papermill.execute_notebook(
            run.notebook,
            run.output,
            run.parameters,
            kernel_name="python3",
            cwd=run.notebook.parent,
            progress_bar={"desc": run.notebook.stem, "disable": None},  # None: shown on a terminal only
            config=KERNEL,
        )
        book = nbformat.read(run.output, as_version=4)
        book, target = (strip(book), run.notebook) if inplace else (without_widgets(book), run.output)
        replace_file(target, lambda temporary: nbformat.write(book, temporary))
        if inplace:
            run.output.unlink()
            run.output = run.notebook
        run.state = "done"
    except PapermillExecutionError as error:
        run.state = "failed"
        lines = error.source.strip().splitlines()
        head = [f"    {line}" for line in lines[:SOURCE_LINES]] + ["    ..."] * (len(lines) > SOURCE_LINES)
        where = f"In [{error.exec_count}] of {os.path.relpath(run.output)}:"
        run.error = "\n".join([where, *head, f"  {error.ename}: {error.evalue}".rstrip(": ")])
    except Exception as error:  # a dead kernel, an unreadable notebook, a full disk: the other notebooks still run
        run.state = "failed"
        run.error = f"{type(error).__name__}: {error}"
    finally:
        run.seconds = time.perf_counter() - start


def main(argv: list[str] | None = None, *, notebooks: Path = paths.NOTEBOOKS, runs: Path = paths.RUNS) -> int:
    """The command line; `--help` says what it takes. Returns 0, 1 where a notebook failed, 130 when interrupted."""
    parser = _parser()
    args = parser.parse_args(argv)
    history_path = runs / "history.json"
    history = _history(history_path)
    try:
        found = discover(notebooks)
        if args.list:
            show(found, history)
            return 0
        if not args.notebooks:
            raise ValueError("name the notebooks to run, or `all`; `--list` shows them")
        output = runs / Path(args.preset).stem
        given = {name: _from_here(name, literal(value)) for name, value in args.parameters}
        planned = plan(found, select_notebooks(args.notebooks, found), args.preset, given, output, inplace=args.inplace)
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    start = time.perf_counter()
    with _environment(None if args.inplace else output / "figures", args.jobs):
        for number, run in enumerate(_executed(planned, args.jobs, inplace=args.inplace), 1):
            entry = {"state": run.state, "seconds": round(run.seconds, 1), "preset": args.preset, "given": given}
            entry["code"] = code_hash(run.notebook)
            history[run.notebook.stem] = entry | {"utc": datetime.now(UTC).isoformat(timespec="seconds")}
            text = json.dumps(history, indent=1)
            replace_file(history_path, partial(Path.write_text, data=text, encoding="utf-8"))
            ended = f"[{number}/{len(planned)}] {run.notebook.stem} {run.state} after {run.seconds:.1f} s"
            print(ended, *run.error.splitlines(), sep="\n    ", flush=True)
    _closing_table(planned, time.perf_counter() - start)
    if any(run.state == "interrupted" for run in planned):
        return 130
    return int(any(run.state == "failed" for run in planned))


def _executed(planned: Sequence[Run], jobs: int, *, inplace: bool) -> Iterator[Run]:
    """The runs as they end, `jobs` at a time, those of `ALONE` last; an interrupt ends what runs and begins no more."""

    def begin(run: Run) -> None:
        print(f"{run.notebook.stem} begins", *_skipped(run), sep="\n", flush=True)
        execute(run, inplace=inplace)

    together = [run for run in planned if run.notebook.stem not in ALONE]
    apart = [run for run in planned if run.notebook.stem in ALONE]
    for group in [together, *([run] for run in apart)]:
        pool = ThreadPoolExecutor(jobs)
        futures = {pool.submit(begin, run): run for run in group}
        try:
            for future in as_completed(futures):
                yield futures[future]
        except KeyboardInterrupt:
            begun = [run for future, run in futures.items() if future.running()]
            _stop(pool, futures)
            for run in begun:
                run.state, run.error = "interrupted", ""
            yield from begun
            return
        finally:
            _stop(pool, futures)


def _stop(pool: ThreadPoolExecutor, futures: Iterable[Future]) -> None:
    """Begin no more notebooks and end the kernels of those that run: their threads wait for nothing else."""
    pool.shutdown(wait=False, cancel_futures=True)
    while any(future.running() for future in futures):
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.Error):
                if any("ipykernel" in word for word in child.cmdline()):
                    child.kill()
        time.sleep(0.1)


def _history(path: Path) -> dict[str, dict[str, Any]]:
    """What earlier runs left for `--list`; a damaged file keeps nobody from running notebooks."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError) as error:
        print(f"{os.path.relpath(path)} is damaged ({error}) and begun anew", file=sys.stderr)
        return {}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hide_utils.cli.run", description="Run the notebooks in order.")
    parser.add_argument("notebooks", nargs="*", help="`all`, or names or numbers of notebooks")
    parser.add_argument("--preset", default=paths.DEFAULT_PRESET, help="name in notebooks/presets, or a YAML file")
    parser.add_argument(
        "-p",
        dest="parameters",
        nargs=2,
        metavar=("NAME", "VALUE"),
        action="append",
        default=[],
        help="a parameter's value as Python writes it, or plain text",
    )
    parser.add_argument("--list", action="store_true", help="show the notebooks, their parameters and last runs")
    parser.add_argument("--jobs", type=_positive, default=1, help="notebooks at a time, which share the cores (1)")
    parser.add_argument("--inplace", action="store_true", help="write the executed notebooks back to notebooks/")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"want a whole number from 1, not {text!r}")
    return int(text)


@contextlib.contextmanager
def _environment(figures: Path | None, jobs: int) -> Iterator[None]:
    """What kernels inherit: no preset over the injected values, the folder for figures, this Python, its cores."""
    before = dict(os.environ)
    if jobs > 1:  # more threads than cores make small models many times slower
        os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // jobs, 1)))
    os.environ.pop("HIDE_PRESET", None)
    os.environ.pop("HIDE_FIGURES", None)
    if figures:
        os.environ["HIDE_FIGURES"] = str(figures)
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _refuse_other_values(name: str, values: dict[str, Any], known: dict[str, dict[str, Any]]) -> None:
    for key, value in values.items():
        if value != known[key]["default"]:
            raise ValueError(
                f"--inplace: {name} has {key} = {known[key]['default']!r} in its parameters cell, not {value!r}; "
                "change the cell, or run without --inplace"
            )


def _from_here(name: str, value: Any) -> Any:
    """A path as the caller's folder has it: notebooks run in their own, where a relative one would lead elsewhere."""
    if name not in PATHS or not isinstance(value, str) or value == "mini":
        return value
    path = Path(value).expanduser()
    wanted = name in ("image", "out") or (path.exists() and (os.sep in value or path.suffix))
    return str(path.resolve()) if wanted else value


def _skipped(run: Run) -> list[str]:
    return [f"    has no parameter {key!r}: run without it" for key in run.skipped]


def _closing_table(runs: list[Run], elapsed: float) -> None:
    width = max(len("notebook"), *(len(run.notebook.stem) for run in runs))
    print(f"\n{'notebook':<{width}}  {'state':<11}  seconds  written to")
    for run in runs:
        where = os.path.relpath(run.output) if run.output.exists() else "-"
        print(f"{run.notebook.stem:<{width}}  {run.state:<11}  {run.seconds:7.1f}  {where}")
    print(f"{'total':<{width}}  {'':<11}  {sum(run.seconds for run in runs):7.1f}  in {elapsed:.1f} s by the clock")


if __name__ == "__main__":
    sys.exit(main())
