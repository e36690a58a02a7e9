"""Run notebooks: `hide run all --preset mini`, `hide run 05_benchmarks -p n 40`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hide_utils import paths
from hide_utils.analyses import config_of
from hide_utils.cli.check import check
from hide_utils.cli.execution import Run, executed, kernel_environment
from hide_utils.cli.inputs import checked, from_here, typed
from hide_utils.config import load_preset, nearest, preset_values
from hide_utils.evaluation import hash_notebook
from hide_utils.evaluation.notebooks import discover, inspect, show
from hide_utils.files import write_json


def select_notebooks(names: list[str], found: dict[str, Path]) -> list[str]:
    """Full names of the notebooks asked for, in reading order.

    Args:
        names: `all`, or names of notebooks, their numbers or their paths.
        found: notebooks by name, in reading order.

    Raises:
        ValueError: there is no such notebook. The message names the nearest.
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
    found: dict[str, Path], names: list[str], preset: str, given: dict[str, str], output: Path, *, inplace: bool
) -> list[Run]:
    """What each chosen notebook is run with: the preset's values for it, then those given by hand.

    A value given by hand must name a parameter of at least one of the notebooks. The others are run without it. All
    values are checked here as the notebook itself would check them, before a kernel starts.

    Raises:
        ValueError: an unknown name (with the nearest), or a value of the wrong type or out of bounds. In place also a
            value that differs from the notebook's own: a committed notebook shows what its parameters cell says.
        FileNotFoundError: a file or folder that is not there.
    """
    cells = {name: inspect(path) for name, path in found.items()}
    content = load_preset(preset, known={parameter for cell in cells.values() for parameter in cell})
    if strangers := [name for name, value in content.items() if isinstance(value, dict) and name not in found]:
        raise ValueError(f"preset {preset}: no notebook {strangers[0]!r}; {nearest(strangers[0], found)}")
    everywhere = sorted({parameter for name in names for parameter in cells[name]})
    for name in given:
        if name not in everywhere:
            raise ValueError(f"no parameter {name!r} in {', '.join(names)}; {nearest(name, everywhere)}")
    runs = []
    for name in names:
        kind = config_of(name)
        own = {key: typed(kind, key, text) for key, text in given.items() if key in cells[name]}
        values = preset_values(content, name, cells[name]) | own
        values = {key: from_here(key, value) for key, value in values.items()}
        defaults = {key: entry["default"] for key, entry in cells[name].items()}
        if inplace and (other := [key for key in values if values[key] != defaults[key]]):
            shown = f"{other[0]} = {defaults[other[0]]!r} in its parameters cell, not {values[other[0]]!r}"
            raise ValueError(f"--inplace: {name} has {shown}; change the cell, or run without --inplace")
        notes = [f"has no parameter {key!r}: run without it" for key in given if key not in own]
        said = f"; preset {preset} says so, where text in quotes stays text"
        sources = dict.fromkeys(values.keys() - own.keys(), said)
        config = checked(kind, values, defaults, sources) if kind else None
        runs.append(Run(found[name], {} if inplace else values, output / f"{name}.ipynb", notes, config))
    return runs


def main(argv: list[str] | None = None, *, notebooks: Path = paths.NOTEBOOKS, runs: Path = paths.RUNS) -> int:
    """The command `hide run`. `--help` says what it takes.

    Returns:
        0, 1 where a notebook or its check failed, 130 when interrupted.
    """
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
        output = runs / paths.run_name(args.preset)
        given = dict(args.parameters)
        if len(given) < len(args.parameters):
            raise ValueError("a parameter is given twice; give each -p once")
        planned = plan(found, select_notebooks(args.notebooks, found), args.preset, given, output, inplace=args.inplace)
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    if args.check:
        return check(planned)
    start = time.perf_counter()
    with kernel_environment(None if args.inplace else output / "figures", args.jobs):
        for number, run in enumerate(executed(planned, args.jobs, inplace=args.inplace), 1):
            entry = {"state": run.state, "seconds": round(run.seconds, 1), "preset": args.preset, "given": given}
            now = datetime.now(UTC).isoformat(timespec="seconds")
            history[run.notebook.stem] = entry | {"code": hash_notebook(run.notebook), "utc": now}
            write_json(history_path, history)
            ended = f"[{number}/{len(planned)}] {run.notebook.stem} {run.state} after {run.seconds:.1f} s"
            print(ended, *run.error.splitlines(), sep="\n    ", flush=True)
    _closing_table(planned, time.perf_counter() - start)
    states = {run.state for run in planned}
    return 130 if "interrupted" in states else int("failed" in states)


def _history(path: Path) -> dict[str, dict[str, Any]]:
    """What earlier runs left for `hide list`. A damaged file keeps nobody from running notebooks."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
    except (ValueError, TypeError) as error:
        print(f"{os.path.relpath(path)} is damaged ({error}) and begun anew", file=sys.stderr)
        return {}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hide run", description="Run the notebooks in order.")
    parser.add_argument("notebooks", nargs="*", help="`all`, or names or numbers of notebooks")
    parser.add_argument("--preset", default=paths.DEFAULT_PRESET, help="name in notebooks/presets, or a YAML file")
    pair: dict[str, Any] = {"nargs": 2, "metavar": ("NAME", "VALUE"), "action": "append", "default": []}
    parser.add_argument("-p", dest="parameters", help="a parameter's value as Python writes it, or plain text", **pair)
    parser.add_argument("--list", action="store_true", help="show the notebooks, their parameters and last runs")
    parser.add_argument("--check", action="store_true", help="check the parameters, time two samples, and run nothing")
    parser.add_argument("--jobs", type=_positive, default=1, help="notebooks at a time, which share the cores (1)")
    parser.add_argument("--inplace", action="store_true", help="write the executed notebooks back to notebooks/")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"want a whole number from 1, not {text!r}")
    return int(text)


def _closing_table(runs: list[Run], elapsed: float) -> None:
    width = max(len("notebook"), *(len(run.notebook.stem) for run in runs))
    print(f"\n{'notebook':<{width}}  {'state':<11}  seconds  written to")
    for run in runs:
        where = os.path.relpath(run.output) if run.output.exists() else "-"
        print(f"{run.notebook.stem:<{width}}  {run.state:<11}  {run.seconds:7.1f}  {where}")
    print(f"{'total':<{width}}  {'':<11}  {sum(run.seconds for run in runs):7.1f}  in {elapsed:.1f} s by the clock")
