"""Run notebooks: `hide run all --preset mini`, `hide run 05_benchmarks -p n 40`."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from hide_utils import paths
from hide_utils.analyses import config_of
from hide_utils.cli.execution import executed, kernel_environment
from hide_utils.cli.records import Run, folder_name, show
from hide_utils.config import load_preset, nearest, preset_values
from hide_utils.files import to_json
from hide_utils.notebooks import discover, hash_notebook, inspect


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


def plan(found: dict[str, Path], names: list[str], preset: str, given: dict[str, str], *, inplace: bool) -> list[Run]:
    """What each chosen notebook is run with: the preset's values for it, then those given by hand.

    A value given by hand must name a parameter of at least one of the notebooks. The others are run without it. All
    values are checked here as the notebook itself would check them, before a kernel starts.

    Raises:
        ValueError: an unknown name (with the nearest), or a value of the wrong type or out of bounds. In place also a
            value that differs from the notebook's own: a committed notebook shows what its parameters cell says.
        FileNotFoundError: a file or folder that is not there.
    """
    from hide_utils.cli.inputs import checked, from_here, typed  # here and in `main`: models take long to load

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
        usual = defaults | preset_values(content, name, cells[name])
        if inplace and (other := [key for key in values if values[key] != defaults[key]]):
            shown = f"{other[0]} = {defaults[other[0]]!r} in its parameters cell, not {values[other[0]]!r}"
            raise ValueError(f"--inplace: {name} has {shown}; change the cell, or run without --inplace")
        said = f"; preset {preset} says so, where text in quotes stays text"
        config = checked(kind, values, defaults, dict.fromkeys(values.keys() - own.keys(), said)) if kind else None
        as_read = to_json(config.model_dump(mode="json") if config else values)  # 3 and 3.0 are one value of sigma
        differs = {key: as_read[key] for key in own if as_read[key] != usual[key]}
        run = Run(notebook=found[name], code=hash_notebook(found[name]), preset=preset, differs=differs, config=config)
        run.parameters = {} if inplace else values
        run.notes = [f"has no parameter {key!r}: run without it" for key in given if key not in own]
        runs.append(run)
    return runs


def main(argv: list[str] | None = None, *, notebooks: Path = paths.NOTEBOOKS, runs: Path = paths.RUNS) -> int:
    """The command `hide run`. `--help` says what it takes.

    Returns:
        0, 1 where a notebook or its check failed, 130 when interrupted.
    """
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        found = discover(notebooks)
        if args.list:
            show(found, runs)
            return 0
        if not args.notebooks:
            raise ValueError("name the notebooks to run, or `all`; `--list` shows them")
        given = dict(args.parameters)
        if len(given) < len(args.parameters):
            raise ValueError("a parameter is given twice; give each -p once")
        planned = plan(found, select_notebooks(args.notebooks, found), args.preset, given, inplace=args.inplace)
        place(planned, args.preset, args.name, runs, inplace=args.inplace)
        if args.shard:
            from hide_utils.cli.shares import answer_share, config_of_share

            shared = config_of_share(planned, *args.shard)
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    if args.check:
        from hide_utils.cli.check import check

        return check(planned)
    if args.shard:
        return answer_share(shared, *args.shard)
    start = time.perf_counter()
    with kernel_environment(planned[0].figures, args.jobs):
        # Named by warnings about rows with errors, since to give it again tries them again.
        os.environ["HIDE_COMMAND"] = shlex.join(["hide", "run", *(sys.argv[1:] if argv is None else argv)])
        ran(planned, args.jobs, inplace=args.inplace)
    closing_table(planned, time.perf_counter() - start)
    return status_of(planned)


def ran(planned: list[Run], jobs: int = 1, *, inplace: bool = False) -> None:
    """Execute runs, and record and print how each went."""
    for number, run in enumerate(executed(planned, jobs, inplace=inplace), 1):
        run.keep()
        ended = f"[{number}/{len(planned)}] {run.notebook.stem} {run.status} after {run.seconds:.1f} s"
        print(ended, *run.error.splitlines(), sep="\n    ", flush=True)


def status_of(planned: list[Run]) -> int:
    """Exit status: 0, 1 where a notebook failed, 130 where one was interrupted."""
    statuses = {run.status for run in planned}
    return 130 if "interrupted" in statuses else int("failed" in statuses)


def place(planned: list[Run], preset: str, name: str | None, runs: Path, *, inplace: bool = False) -> None:
    """Give planned runs the folder that is theirs alone, for notebooks and figures.

    Raises:
        ValueError: the name is none that a run may have.
    """
    if inplace:
        paths.to_write(paths.NOTEBOOKS)
    if inplace and name is not None:
        raise ValueError("--inplace writes to notebooks/ and figures/, so that the run takes no --name")
    differs = {key: value for run in planned for key, value in run.differs.items()}
    folder = runs / (paths.IN_PLACE if inplace else folder_name(preset, name, differs))
    for run in planned:
        run.output, run.record = (folder / f"{run.notebook.stem}.{ending}" for ending in ("ipynb", "json"))
        run.figures = paths.FIGURES if inplace else folder / "figures"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hide run", description="Run the notebooks in order.")
    parser.add_argument("notebooks", nargs="*", help="`all`, or names or numbers of notebooks")
    parser.add_argument("--preset", default=paths.DEFAULT_PRESET, help="name in notebooks/presets, or a YAML file")
    parser.add_argument("--name", help="of the run's folder below data/results/runs, in place of the preset's")
    pair: dict[str, Any] = {"nargs": 2, "metavar": ("NAME", "VALUE"), "action": "append", "default": []}
    parser.add_argument("-p", dest="parameters", help="a parameter's value as Python writes it, or plain text", **pair)
    parser.add_argument("--list", action="store_true", help="show the notebooks, their parameters and last runs")
    parser.add_argument("--check", action="store_true", help="check the parameters, time two samples, and run nothing")
    share = "answer share I (from 0) of N of the questions and run no notebook; a later run takes all shares in"
    parser.add_argument("--shard", nargs=2, type=int, metavar=("I", "N"), help=share)
    parser.add_argument("--jobs", type=_positive, default=1, help="notebooks at a time, which share the cores (1)")
    parser.add_argument("--inplace", action="store_true", help="write the executed notebooks back to notebooks/")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"want a whole number from 1, not {text!r}")
    return int(text)


def closing_table(runs: list[Run], elapsed: float) -> None:
    """Print how each run went, how long it took, and where its notebook lies."""
    width = max(len("notebook"), *(len(run.notebook.stem) for run in runs))
    print(f"\n{'notebook':<{width}}  {'state':<11}  seconds  written to")
    for run in runs:
        where = os.path.relpath(run.output) if run.output.exists() else "-"
        print(f"{run.notebook.stem:<{width}}  {run.status:<11}  {run.seconds:7.1f}  {where}")
    print(f"{'total':<{width}}  {'':<11}  {sum(run.seconds for run in runs):7.1f}  in {elapsed:.1f} s by the clock")
    kept = "" if all(run.status == "ok" for run in runs) else " (a notebook that failed left the earlier ones)"
    print(f"figures and tables: {os.path.relpath(runs[0].figures)}{kept}")
