"""Run a notebook at every combination of values: `hide sweep 05 -p layer 5 8 10 -p sigma 1 3`, and compare the runs."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from hide_utils import paths
from hide_utils.cli.compare import METHOD_HELP, compared, show
from hide_utils.cli.execution import kernel_environment
from hide_utils.cli.records import Run, read
from hide_utils.cli.run import place, plan, ran, select_notebooks, status_of
from hide_utils.evaluation.comparing import FIXED
from hide_utils.evaluation.provenance import hash_code
from hide_utils.evaluation.stored import SWEPT
from hide_utils.files import crc, write_json
from hide_utils.notebooks import discover

STATE = "sweep.json"  # beside the comparison
OTHER_SAMPLES = {"n", "resolution", *FIXED}  # parameters whose values make runs that cannot be compared


def grid(given: Sequence[Sequence[str]]) -> tuple[list[str], list[dict[str, str]]]:
    """What is swept, and the values of every run.

    Args:
        given: a name and its values, for each -p. A name with one value has it in all runs.

    Raises:
        ValueError: a name stands twice or has no value or the same twice, nothing is swept, or runs would differ in
            what they ask.
    """
    names = [name for name, *_ in given]
    for name, *values in given:
        if not values or len(set(values)) < len(values) or names.count(name) > 1:
            raise ValueError(f"-p {name}: give each name once, with values that differ")
    swept = [name for name, *values in given if len(values) > 1]
    if not swept:
        raise ValueError("nothing to sweep: give a parameter several values, for example -p layer 5 8 10")
    if bad := sorted(OTHER_SAMPLES & set(swept)):
        raise ValueError(
            f"runs with other values of {', '.join(bad)} answer other questions, or read answers otherwise, and cannot "
            "be compared sample by sample: run them with `hide run`"
        )
    return swept, [dict(zip(names, values, strict=True)) for values in product(*(values for _, *values in given))]


def planned_runs(args: argparse.Namespace, found: dict[str, Path], runs: Path) -> tuple[list[Run], list[str]]:
    """The runs of the sweep, each with a folder of its own, and what is swept.

    Raises:
        ValueError, FileNotFoundError: as `hide run` refuses.
    """
    swept, values = grid(args.parameters)
    (notebook, *more) = select_notebooks([args.notebook], found)
    if more:
        raise ValueError("a sweep is of one notebook")
    planned = []
    for own in values:
        (run,) = plan(found, [notebook], args.preset, own, inplace=False)
        if strange := [name for name in own if name not in run.parameters]:
            raise ValueError(f"{notebook} has no parameter {strange[0]!r}")
        label = "_".join(f"{name}-{own[name]}" for name in swept)
        place([run], args.preset, re.sub(r"[^\w.-]+", "-", label)[:48].strip("-."), runs)
        planned.append(run)
    return planned, swept


def shared_values(planned: Sequence[Run], swept: Sequence[str]) -> str:
    """The settings of all runs for which one prefill serves, as `evaluation.stored.of_sweep` takes them."""
    names = [name for name in SWEPT if name in swept]
    every = [{name: run.parameters[name] for name in names} for run in planned]
    return json.dumps([one for number, one in enumerate(every) if one not in every[:number]] if names else [])


def goes_on(planned: Sequence[Run], state: Path, code: str) -> list[Run]:
    """The runs that are left to do: all, but where the same sweep was interrupted and the code is what it was.

    Returns:
        The runs that are not done. Those that are have their records read.
    """
    try:
        before: dict[str, Any] = json.loads(state.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        before = {}
    if before.get("status") != "running" or before.get("code") != code:
        return list(planned)
    left = []
    for run in planned:
        there = read(run.record)
        done = isinstance(there, Run) and there.status == "ok" and there.code == run.code and there.rows.is_dir()
        if done and run.record.parent.name in before["done"] and isinstance(there, Run):
            run.status, run.started, run.output = there.status, there.started, there.output
        else:
            left.append(run)
    return left


def run_through(planned: Sequence[Run], swept: Sequence[str], folder: Path, command: str) -> int:
    """Execute what is left to do of a sweep, whose record in `folder` says how far it came.

    Returns:
        0, 1 where a run failed, 130 when interrupted.
    """
    state, code = folder / STATE, hash_code(planned[0].notebook.stem)
    left = goes_on(planned, state, code)
    record: dict[str, Any] = {"status": "running", "code": code, "command": command}
    for run in planned:
        print(f"{run.record.parent.name}: {'to do' if run in left else 'done'}")
    for number, run in enumerate(left, 1):
        print(f"\nrun {number} of {len(left)}, {run.record.parent.name}:", flush=True)
        write_json(state, record | {"done": [one.record.parent.name for one in planned if one.status == "ok"]})
        with kernel_environment(run.figures, 1):
            os.environ.update({"HIDE_COMMAND": command, paths.SWEEP: shared_values(planned, swept)})
            ran([run])
        if run.status == "interrupted":
            break
    status = status_of(list(planned))
    if status:
        print("the same command goes on with what is missing")
    names = [one.record.parent.name for one in planned if one.status == "ok"]
    write_json(state, record | {"done": names, "status": "running" if status else "ok"})
    return status


def main(argv: list[str] | None = None, *, notebooks: Path = paths.NOTEBOOKS, runs: Path = paths.RUNS) -> int:
    """The command `hide sweep`. `--help` says what it takes.

    Returns:
        0, 1 where a run failed or the runs cannot be compared, 130 when interrupted.
    """
    parser = argparse.ArgumentParser(prog="hide sweep", description="Run a notebook at several settings, and compare.")
    parser.add_argument("notebook", help="name or number of the notebook")
    pair: dict[str, Any] = {"nargs": "+", "metavar": ("NAME", "VALUE"), "action": "append", "default": []}
    parser.add_argument("-p", dest="parameters", help="a parameter and its values; one value holds in all runs", **pair)
    parser.add_argument("--preset", default=paths.DEFAULT_PRESET, help="name in notebooks/presets, or a YAML file")
    parser.add_argument("--method", action="append", help=METHOD_HELP)
    args = parser.parse_args(argv)
    try:
        planned, swept = planned_runs(args, discover(notebooks), runs)
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    names = [run.record.parent.name for run in planned]
    name = f"sweep-{planned[0].notebook.stem[:2]}-{'-'.join(swept)}-{crc(names):08x}"
    command = shlex.join(["hide", "sweep", *(sys.argv[1:] if argv is None else argv)])
    if status := run_through(planned, swept, paths.RESULTS / "comparisons" / name, command):
        return status
    usual = [run.record.parent.name for run in planned if not set(swept) & set(run.differs)]
    against = (usual or names)[0]
    try:
        table, folder = compared(planned, args.method or ["hide"], against, name)
    except ValueError as error:
        print(f"not compared: {error}")
        return 1
    show(table, against, folder)
    return 0
