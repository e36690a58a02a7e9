"""What there is to report: every figure and table that the notebooks save, what is missing and what is stale.

It is read from figures, tables, their sidecars and the notebooks' text. A result is stale where it is older than the
code or the settings that made it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd

from hide_utils import paths
from hide_utils.analyses import config_of
from hide_utils.config import RunConfig
from hide_utils.evaluation import provenance_entry
from hide_utils.evaluation.saving import read_table
from hide_utils.files import to_json
from hide_utils.findings import VERDICTS
from hide_utils.notebooks import discover, inspect
from hide_utils.report.notebook_text import head_of, saved_by

OWN = "09_report"  # reports on the others
MOST_NAMED = 6  # files of one state that are named one by one
ENDINGS = {"figure": ".png", "table": ".csv"}


@dataclass(frozen=True)
class Item:
    """A figure or table of a notebook, there or missing.

    Attributes:
        notebook: the notebook's name, without its ending.
        name: of the file, without its ending.
        kind: "figure" or "table".
        path: PNG of a figure, CSV of a table.
        section: heading under which the notebook saves it.
        entry: its sidecar; None where that is missing.
        stale: why it is older than what made it; empty where it is not.
    """

    notebook: str
    name: str
    kind: str
    path: Path
    section: str = ""
    entry: dict[str, Any] | None = None
    stale: tuple[str, ...] = ()

    @property
    def missing(self) -> bool:
        """Whether there is no such file, though the notebook saves it."""
        return not self.path.is_file()

    @cached_property
    def table(self) -> pd.DataFrame:
        """The rows of a table; empty for a figure and for a table that is missing or empty."""
        if self.kind == "figure" or self.missing or not self.path.stat().st_size:
            return pd.DataFrame()
        return read_table(self.path)

    @property
    def cards(self) -> bool:
        """Whether these are a notebook's finding cards."""
        return self.name == "findings" and {"claim", "verdict"} <= set(self.table)


@dataclass(frozen=True)
class Chapter:
    """A notebook in the report: its name, title and question, and what it saves."""

    notebook: str
    title: str
    question: str
    items: tuple[Item, ...]

    def item(self, name: str, kind: str = "table") -> Item | None:
        """The figure or table of that name; None where the notebook has none."""
        return next((item for item in self.items if (item.name, item.kind) == (name, kind)), None)


def collect(figures: Path | None = None, notebooks: Path = paths.NOTEBOOKS) -> list[Chapter]:
    """A chapter for each notebook: what it saves, there or missing, and whatever else lies in its folder.

    Args:
        figures: folder with one folder for each notebook; None: the one that runs write to now.
        notebooks: folder of the notebooks.
    """
    figures = figures or paths.figures_folder()
    chapters = []
    for name, path in discover(notebooks).items():
        if name == OWN:
            continue
        book = nbformat.read(path, as_version=4)
        title, question = head_of(book)
        now, there = _now(name, path), _there(figures / name)
        parameters = inspect(path) if figures == paths.FIGURES else {}
        wanted = {name: entry["default"] for name, entry in parameters.items()}
        if wanted and (config := config_of(name)):
            resolved = config(**wanted).parameters()  # as a sidecar has them, without stand-ins such as "auto"
            wanted = {name: resolved[name] for name in wanted}
        items = tuple(_item(figures / name, *one, now, wanted) for one in saved_by(book, there))
        chapters.append(Chapter(name, title, question, items))
    return chapters


def _there(folder: Path) -> list[tuple[str, str]]:
    """(name, kind) of what lies in a notebook's folder."""
    return [
        (path.name.removesuffix(ending), kind)
        for kind, ending in ENDINGS.items()
        for path in sorted(folder.glob(f"*{ending}"))
    ]


def _now(name: str, path: Path) -> dict[str, Any]:
    """What a sidecar of this notebook would say if it were written now."""
    # no preset laid over: only the hashes count here
    config = RunConfig.model_construct(notebook=name) if path.parent == paths.NOTEBOOKS else None
    return provenance_entry(config=config)


def _item(folder: Path, name: str, kind: str, section: str, now: dict[str, Any], wanted: dict[str, Any]) -> Item:
    path = folder / f"{name}{ENDINGS[kind]}"
    sidecar = folder / (f"{name}.json" if kind == "figure" else f"{path.name}.json")
    if not path.is_file():
        return Item(folder.name, name, kind, path, section)
    try:
        entry = json.loads(sidecar.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return Item(folder.name, name, kind, path, section, None, ("no sidecar says what made it",))
    return Item(folder.name, name, kind, path, section, entry, tuple(_stale(folder, entry, now, wanted)))


def _stale(folder: Path, entry: dict[str, Any], now: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Every way in which a result is older than what would make it now."""
    reasons = []
    for name, digest in entry.get("files", {}).items():
        file = folder / name
        if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            reasons.append(f"{name} is not the file that was made")
    parts = [("notebook's code", ("notebook", "hash")), ("model's weights", ("model", "hash"))]
    if entry.get("model", {}).get("name") != now.get("model", {}).get("name"):
        parts.pop()  # another model's weights cannot be compared
    for what, (part, key) in parts:
        then = entry.get(part, {}).get(key)
        if part in now and then != now[part][key]:
            reasons.append(f"the {what} changed since")
    if entry.get("code") != now["code"]:
        reasons.append("hide_utils changed since")
    for package, version in now["versions"].items():
        then = entry.get("versions", {}).get(package)
        if then != version:
            reasons.append(f"made with {package} {then}, here is {version}")
    used = entry.get("parameters", {})
    for name, value in wanted.items():
        if name in used and used[name] != to_json(value):
            reasons.append(f"made with {name} {used[name]!r}, the notebook has {to_json(value)!r}")
    return reasons


def provenance_table(chapters: list[Chapter]) -> pd.DataFrame:
    """What made the results: a row for each distinct origin, with the numbers of the notebooks that have it."""
    found: dict[tuple, list[str]] = {}
    for item in (item for chapter in chapters for item in chapter.items if item.entry):
        found.setdefault(_origin(item.entry or {}), []).append(item.notebook.split("_")[0])
    rows = [(", ".join(dict.fromkeys(notebooks)), *origin, len(notebooks)) for origin, notebooks in found.items()]
    return pd.DataFrame(rows, columns=["notebooks", "model", "weights", "commit", "code", "torch", "made", "items"])


def _origin(entry: dict[str, Any]) -> tuple:
    model, commit = entry.get("model", {}), (entry.get("commit") or "none")[:8]
    return (
        model.get("name"),
        (model.get("hash") or "–")[:8],
        f"{commit}{' + changes' if entry.get('dirty') else ''}",
        entry.get("code", "–")[:8],
        entry.get("versions", {}).get("torch"),
        entry.get("utc", "–")[:10],
    )


def verdicts_table(chapters: list[Chapter]) -> pd.DataFrame:
    """How many cards have which verdict: a row for each notebook that has cards, and one of all."""
    found = {c.title.split(":")[0]: item.table["verdict"] for c in chapters for item in c.items if item.cards}
    rows = [{"notebook": name} | {one: (cards == one).sum() for one in VERDICTS} for name, cards in found.items()]
    table = pd.DataFrame(rows, columns=["notebook", *VERDICTS]).assign(cards=[len(cards) for cards in found.values()])
    return pd.concat([table, table.drop(columns="notebook").sum().to_frame().T.assign(notebook="all")])[[*table]]


def state_table(chapters: list[Chapter]) -> pd.DataFrame:
    """What is missing or stale, and why: a row for each state and reason.

    Returns:
        Columns state, why, notebooks (their numbers), items (how many) and names, of which some are left out where
        they are many. Empty where nothing is missing or stale.
    """
    found: dict[tuple[str, str], list[Item]] = {}
    for item in (item for chapter in chapters for item in chapter.items if item.missing or item.stale):
        why = ("missing", "not made here") if item.missing else ("stale", "; ".join(item.stale))
        found.setdefault(why, []).append(item)
    rows = [
        (
            *why,
            ", ".join(dict.fromkeys(item.notebook.split("_")[0] for item in items)),
            len(items),
            ", ".join([item.path.name for item in items[:MOST_NAMED]] + ["…"] * (len(items) > MOST_NAMED)),
        )
        for why, items in found.items()
    ]
    return pd.DataFrame(rows, columns=["state", "why", "notebooks", "items", "names"])
