"""Runs of notebooks: the folder that each has, the record that it leaves there, and `hide list`, which shows them."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from hide_utils import paths
from hide_utils.config import RunConfig
from hide_utils.files import crc, write_json
from hide_utils.notebooks import discover, hash_notebook, inspect, title

LONGEST = 24  # most characters of a default that `show` prints
NAME = re.compile(r"(?!.*-[0-9a-f]{8}$)\w[\w.-]{0,63}")  # without a hash behind it, which `folder_name` adds


class Run(BaseModel):
    """One notebook to be run and how it went. As JSON beside the executed notebook it is the record of the run.

    Attributes:
        notebook: where it lies. code: hash of its code, from `code_hash`.
        parameters: what is injected. differs: those given by hand that are not the preset's or the notebook's anyway.
        notes: what the console says of its parameters.
        config: what the notebook makes of them, in memory alone; None for one that hide_utils does not know.
        output: where the executed notebook goes; of a failed run the notebook up to the failed cell.
        status: not run, running, ok, failed or interrupted.
    """

    notebook: Path
    code: str | None
    preset: str
    differs: dict[str, Any]
    parameters: dict[str, Any] = {}
    notes: list[str] = []
    config: RunConfig | None = Field(None, exclude=True)
    record: Path = Path()
    output: Path = Path()
    figures: Path = paths.FIGURES
    status: str = "not run"
    started: datetime | None = None
    seconds: float = 0.0
    error: str = ""

    @property
    def rows(self) -> Path:
        """Folder of the rows of answers that the notebook used, as they were then. A run in place keeps none."""
        return self.record.parent / "rows" / self.notebook.stem

    def keep(self) -> None:
        """Write the record."""
        write_json(self.record, self.model_dump(mode="json"))

    def __str__(self) -> str:
        texts = {name: json.dumps(v) if isinstance(v, list) else str(v) for name, v in self.differs.items()}
        given = "".join(f" -p {name} {shlex.quote(text)}" for name, text in texts.items())
        killed = ", or killed," if self.status == "running" else ""
        good = self.status != "ok" and self.record.with_suffix(".ipynb").exists()
        when = f"{self.started:%Y-%m-%d %H:%M} in {self.seconds:.1f} s" if self.started else ""
        return f"{self.status}{killed} {when}, preset {self.preset}{given}{'; an earlier good run is kept' * good}"


def folder_name(preset: str, name: str | None, differs: Mapping[str, Any]) -> str:
    """Name of the folder below `RUNS` for a run: the preset's or the one given, and a hash of what differs.

    Raises:
        ValueError: `name` is no plain name, or one that belongs to other runs.
    """
    label = own = paths.run_name(preset)
    if name is not None:
        if not NAME.fullmatch(name):
            raise ValueError(
                f"--name {name!r}: want at most 64 letters, digits, '-', '_' or '.', no folder and no hash"
            )
        label, differs = name, {**differs, **({} if preset == paths.DEFAULT_PRESET else {"preset": own})}
    others = {path.stem.casefold() for path in paths.PRESETS.glob("*.y*ml")} - {own.casefold()}
    if label.casefold() in others | {paths.BY_HAND, paths.IN_PLACE, "history.json"}:
        raise ValueError(f"the name {label!r} is kept for other runs; choose another --name")
    return f"{label}-{crc(dict(sorted(differs.items()))):08x}" if differs else label


def read(record: Path) -> Run | str:
    """The run in a record, or what is wrong with it."""
    try:
        return Run.model_validate_json(record.read_bytes()).model_copy(update={"record": record})
    except (OSError, ValidationError) as error:
        return f"record damaged or of an older version: {' '.join(str(error).split())[:100]}"


def show(found: dict[str, Path], runs: Path) -> None:
    """Print every notebook with its title, its last run and its parameters, then every run.

    Args:
        found: from `discover`.
        runs: folder of the runs.
    """
    records = {path: read(path) for path in sorted([*runs.glob("*/*.json"), *runs.glob("history.json")])}
    for book in sorted(runs.glob("*/*.ipynb")):
        if not book.stem.endswith(".failed"):
            records.setdefault(book.with_suffix(".json"), "run of an older version, without a record")
    whole = [run for run in records.values() if isinstance(run, Run) and run.started]
    last = {run.notebook.stem: run for run in sorted(whole, key=lambda run: f"{run.started:%Y%m%d%H%M%S}")}
    for name, notebook in found.items():
        changed = name in last and last[name].code != hash_notebook(notebook)
        print(f"{name}: {last.get(name, 'never run here')}{'; its code has changed since' * changed}")
        if about := title(notebook):
            print(f"    {about}")
        for parameter, entry in inspect(notebook).items():
            value = repr(entry["default"])
            shown = value if len(value) <= LONGEST else f"{value[: LONGEST - 1]}…"
            print("    {:<44} {}".format(f"{parameter} = {shown}", entry["help"]).rstrip())
    print(f"\nRuns in {paths.portable(runs)}:" if records else "\nNo runs yet.")
    width = max((len(path.parent.name) for path in records), default=0)
    for path, run in records.items():
        print(f"    {path.parent.name:<{width}}  {path.stem:<26}  {run}")


def main(argv: list[str] | None = None) -> int:
    """The command `hide list`. Prints and returns 0."""
    argparse.ArgumentParser(prog="hide list", description="Show the notebooks and their runs.").parse_args(argv)
    show(discover(paths.NOTEBOOKS), paths.RUNS)
    return 0
