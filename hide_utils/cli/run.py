"""Run notebooks: `hide run all --preset mini`, `hide run 05_benchmarks -p n 40`."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hide_utils import paths
from hide_utils.analyses import config_of
from hide_utils.benchmarks.loading import SOURCES
from hide_utils.cli.execution import executed, kernel_environment
from hide_utils.cli.records import Run, folder_name, show
from hide_utils.config import RunConfig, literal, load_preset, nearest, preset_values
from hide_utils.files import to_json
from hide_utils.notebooks import discover, hash_notebook, inspect

PATHS = ("image", "out", "model", "benchmark")  # parameters that may name a file or folder
BENCHMARKS = ["scenes", *SOURCES, *dict.fromkeys(source.repo for source in SOURCES.values())]
NAMES = {"model": ["mini"], "benchmark": BENCHMARKS}  # values of theirs that are no paths
EXAMPLES: dict[str, list] = {"integer": [5, 8], "number": [0.5, 0.7], "boolean": [True], "string": ["red", "blue"]}


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
        own = {key: _typed(kind, key, text) for key, text in given.items() if key in cells[name]}
        values = preset_values(content, name, cells[name]) | own
        values = {key: _from_here(key, value) for key, value in values.items()}
        defaults = {key: entry["default"] for key, entry in cells[name].items()}
        usual = defaults | preset_values(content, name, cells[name])
        if inplace and (other := [key for key in values if values[key] != defaults[key]]):
            shown = f"{other[0]} = {defaults[other[0]]!r} in its parameters cell, not {values[other[0]]!r}"
            raise ValueError(f"--inplace: {name} has {shown}; change the cell, or run without --inplace")
        if kind:
            hint = f"preset {preset} says so; quote it where it is meant as text"
            checked = _check(kind, values, defaults, dict.fromkeys(values.keys() - own.keys(), hint))
        as_read = to_json(checked.model_dump(mode="json") if kind else values)  # 3 and 3.0 are one value of sigma
        differs = {key: as_read[key] for key in own if as_read[key] != usual[key]}
        run = Run(notebook=found[name], code=hash_notebook(found[name]), preset=preset, differs=differs)
        run.parameters, run.skipped = {} if inplace else values, [key for key in given if key not in own]
        runs.append(run)
    return runs


def _typed(kind: type[RunConfig] | None, name: str, text: str) -> Any:
    """A value of the command line: as Python writes it, but for a parameter that is text the text itself."""
    value, field = literal(text), kind.model_fields.get(name) if kind else None
    is_text = name in PATHS or (field and field.annotation in (str, str | None))
    return text if is_text and not isinstance(value, str | None) else value


def _check(kind: type[RunConfig], values: dict[str, Any], defaults: dict[str, Any], hints: dict[str, str]) -> RunConfig:
    """The values as the notebook would read them; `hints` are for those that a preset gives.

    Raises:
        ValueError: the notebook would refuse them.
    """
    try:
        return kind.from_cell(defaults | values, preset="")
    except ValidationError as error:
        wrong = []
        for one in error.errors():
            said = one["msg"].removeprefix("Value error, ")
            if one["loc"]:
                name = str(one["loc"][0])
                how = hints.get(name) or f'for example -p {name} "{_example(kind, name, defaults[name])}"'
                said = f"{'.'.join(map(str, one['loc']))}: {said}, not {one['input']!r}; {how}"
            wrong.append(said)
        raise ValueError(f"{kind.model_fields['notebook'].default}: {'; '.join(wrong)}") from None


def _example(kind: type[RunConfig], name: str, default: Any) -> Any:
    """A value that a parameter takes: the notebook's own, else one of its type."""
    schema = kind.model_json_schema()["properties"][name]
    schema = schema.get("anyOf", [schema])[0]  # behind it comes None
    items = schema.get("items", schema)
    values = items.get("enum") or items.get("examples") or EXAMPLES[items["type"]]
    return default or (values if "items" in schema else values[0])


def main(argv: list[str] | None = None, *, notebooks: Path = paths.NOTEBOOKS, runs: Path = paths.RUNS) -> int:
    """The command `hide run`. `--help` says what it takes.

    Returns:
        0, 1 where a notebook failed, 130 when interrupted.
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
        _place(planned, args, runs)
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    start = time.perf_counter()
    with kernel_environment(planned[0].figures, args.jobs):
        for number, run in enumerate(executed(planned, args.jobs, inplace=args.inplace), 1):
            run.keep()
            ended = f"[{number}/{len(planned)}] {run.notebook.stem} {run.status} after {run.seconds:.1f} s"
            print(ended, *run.error.splitlines(), sep="\n    ", flush=True)
    _closing_table(planned, time.perf_counter() - start)
    statuses = {run.status for run in planned}
    return 130 if "interrupted" in statuses else int("failed" in statuses)


def _place(planned: list[Run], args: argparse.Namespace, runs: Path) -> None:
    """Give planned runs the folder that is theirs alone, for notebooks and figures.

    Raises:
        ValueError: the name is none that a run may have.
    """
    if args.inplace and args.name is not None:
        raise ValueError("--inplace writes to notebooks/ and figures/, so that the run takes no --name")
    differs = {key: value for run in planned for key, value in run.differs.items()}
    folder = runs / (paths.IN_PLACE if args.inplace else folder_name(args.preset, args.name, differs))
    for run in planned:
        run.output, run.record = (folder / f"{run.notebook.stem}.{ending}" for ending in ("ipynb", "json"))
        run.figures = paths.FIGURES if args.inplace else folder / "figures"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hide run", description="Run the notebooks in order.")
    parser.add_argument("notebooks", nargs="*", help="`all`, or names or numbers of notebooks")
    parser.add_argument("--preset", default=paths.DEFAULT_PRESET, help="name in notebooks/presets, or a YAML file")
    parser.add_argument("--name", help="of the run's folder below data/results/runs, in place of the preset's")
    pair: dict[str, Any] = {"nargs": 2, "metavar": ("NAME", "VALUE"), "action": "append", "default": []}
    parser.add_argument("-p", dest="parameters", help="a parameter's value as Python writes it, or plain text", **pair)
    parser.add_argument("--list", action="store_true", help="show the notebooks, their parameters and last runs")
    parser.add_argument("--jobs", type=_positive, default=1, help="notebooks at a time, which share the cores (1)")
    parser.add_argument("--inplace", action="store_true", help="write the executed notebooks back to notebooks/")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"want a whole number from 1, not {text!r}")
    return int(text)


def _from_here(name: str, value: Any) -> Any:
    """A path as the caller's folder has it. Notebooks run in their own, where a relative path would lead elsewhere.

    Raises:
        FileNotFoundError: there is no such file or folder, and the value is no other name.
    """
    if name not in PATHS or not isinstance(value, str) or value in ("", *NAMES.get(name, ())):
        return value
    path = Path(value).expanduser()
    if path.exists() or name == "out":
        return str(path.resolve())
    if name == "model" and value.count("/") == 1 and value[0] not in "./~":  # an id of the hub
        return value
    known = f"; {nearest(value, NAMES[name])}" if name in NAMES else ""
    raise FileNotFoundError(f"{name}: no file or folder {value!r} in {Path.cwd()}{known}")


def _closing_table(runs: list[Run], elapsed: float) -> None:
    width = max(len("notebook"), *(len(run.notebook.stem) for run in runs))
    print(f"\n{'notebook':<{width}}  {'state':<11}  seconds  written to")
    for run in runs:
        where = os.path.relpath(run.output) if run.output.exists() else "-"
        print(f"{run.notebook.stem:<{width}}  {run.status:<11}  {run.seconds:7.1f}  {where}")
    print(f"{'total':<{width}}  {'':<11}  {sum(run.seconds for run in runs):7.1f}  in {elapsed:.1f} s by the clock")
    kept = "" if all(run.status == "ok" for run in runs) else " (a notebook that failed left the earlier ones)"
    print(f"figures and tables: {os.path.relpath(runs[0].figures)}{kept}")
