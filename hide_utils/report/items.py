"""What there is to report: every figure and table that the notebooks save, what is missing and what is stale.

Read from figures, tables, their sidecars and the notebooks' text; no model is loaded. A result is stale where it is
older than the code or the settings that made it.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pyarrow.parquet as pq

from hide_utils import paths
from hide_utils.config import RunConfig
from hide_utils.evaluation.notebooks import discover, inspect
from hide_utils.evaluation.provenance import provenance
from hide_utils.files import to_json

OWN = "09_report"  # reports on the others
MAKERS = {"save_figure": "figure", "save_table": "table"}
ENDINGS = {"figure": ".png", "table": ".csv"}


@dataclass(frozen=True)
class Item:
    """A figure or table of a notebook, there or missing.

    path: PNG of a figure, CSV of a table. section: heading under which the notebook saves it. entry: its sidecar; None
    where that is missing. stale: why it is older than what made it; empty where it is not.
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
        """Whether the notebook saves it and the file is not there."""
        return not self.path.is_file()

    @cached_property
    def table(self) -> pd.DataFrame:
        """The rows of a table; empty for a figure and for a table that is missing or empty."""
        if self.kind == "figure" or self.missing or not self.path.stat().st_size:
            return pd.DataFrame()
        return pd.read_csv(self.path)


@dataclass(frozen=True)
class Chapter:
    """A notebook in the report: its name, title and question, what it says under its headings, and what it saves."""

    notebook: str
    title: str
    question: str
    texts: dict[str, str]
    items: tuple[Item, ...]

    def item(self, name: str, kind: str = "table") -> Item | None:
        """One of its figures or tables; None where the notebook has no such."""
        return next((item for item in self.items if (item.name, item.kind) == (name, kind)), None)


def saved_by(book: nbformat.NotebookNode, there: Collection[tuple[str, str]] = ()) -> list[tuple[str, str, str]]:
    """(name, kind, heading above) of what a notebook's code saves, in its order.

    Found are the calls that give a literal name, and of what is `there`, as (name, kind), that whose name stands in a
    cell in any other way. The rest of it comes last, without a heading.
    """
    cells = list(_code_cells(book))
    found = {one: at for at, (_, literal, _) in reversed(list(enumerate(cells))) for one in literal}
    for one in (one for one in there if one not in found):
        found[one] = next((at for at, (_, _, words) in enumerate(cells) if one[0] in words), len(cells))
    ordered = sorted(found, key=lambda one: found[one])  # stable: calls of one cell stay in their order
    return [(*one, cells[found[one]][0] if found[one] < len(cells) else "") for one in ordered]


def _code_cells(book: nbformat.NotebookNode) -> Iterator[tuple[str, list[tuple[str, str]], set[Any]]]:
    """Heading above, (name, kind) of the calls that save under a literal name, and all constants, of each code cell."""
    section, makers = "", {name: (kind, 1) for name, kind in MAKERS.items()}
    for cell in book.cells:
        if cell.cell_type == "markdown":
            section = next((_unmarked(line) for line in cell.source.splitlines() if line.startswith("#")), section)
            continue
        try:
            tree = ast.parse(cell.source)
        except SyntaxError:  # a magic command
            continue
        makers |= _wrappers(tree)
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        made = [(call, *makers.get(getattr(call.func, "id", ""), ("", 0))) for call in sorted(calls, key=_place)]
        named = [(call.args[at], kind) for call, kind, at in made if kind and len(call.args) > at]
        literal = [(str(name.value), kind) for name, kind in named if isinstance(name, ast.Constant)]
        yield section, literal, {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}


def _wrappers(tree: ast.Module) -> dict[str, tuple[str, int]]:
    """A notebook's own functions that save under a name they are given: kind, and which argument the name is."""
    found = {}
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        given = [argument.arg for argument in function.args.args]
        for call in (node for node in ast.walk(function) if isinstance(node, ast.Call) and len(node.args) > 1):
            kind, name = MAKERS.get(getattr(call.func, "id", "")), getattr(call.args[1], "id", None)
            if kind and name in given:
                found[function.name] = kind, given.index(name)
    return found


def _place(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _unmarked(text: str) -> str:
    """Markdown's text without its marks."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text.lstrip("# "))
    return " ".join(re.sub(r"[*`]", "", text).split())


def _texts(book: nbformat.NotebookNode) -> dict[str, str]:
    """What stands under each heading, tables and code left out."""
    found = {}
    for cell in book.cells:
        lines = cell.source.splitlines()
        if cell.cell_type == "markdown" and lines and lines[0].startswith("##"):
            code = any(line.startswith("```") for line in lines)  # what introduces code says nothing without it
            kept = [] if code else [line for line in lines[1:] if not line.lstrip().startswith(("|", "#"))]
            found[_unmarked(lines[0])] = _unmarked(" ".join(kept))
    return found


def collect(figures: Path | None = None, notebooks: Path = paths.NOTEBOOKS) -> list[Chapter]:
    """A chapter for each notebook: what it saves, found or missing, and whatever else lies in its folder.

    figures: folder with one folder a notebook; None: the one that runs write to now.
    """
    figures = figures or paths.figures_folder()
    chapters = []
    for name, path in discover(notebooks).items():
        if name == OWN:
            continue
        book = nbformat.read(path, as_version=4)
        title, question = _head(book)
        now, there = _now(name, path), _there(figures / name)
        parameters = inspect(path) if figures == paths.FIGURES else {}
        wanted = {name: entry["default"] for name, entry in parameters.items()}
        items = tuple(_item(figures / name, *one, now, wanted) for one in saved_by(book, there))
        chapters.append(Chapter(name, title, question, _texts(book), items))
    return chapters


def _head(book: nbformat.NotebookNode) -> tuple[str, str]:
    """Title and question of the first cell: its heading, and the paragraph that **Question.** begins."""
    text = next((cell.source for cell in book.cells if cell.cell_type == "markdown"), "")
    title = next((line.lstrip("# ") for line in text.splitlines() if line.startswith("# ")), "untitled")
    asked = [part for part in text.split("\n\n") if part.startswith("**Question.**")]
    return title, _unmarked(asked[0].removeprefix("**Question.**")) if asked else ""


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
    return provenance(config=config)


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
    """What made the results: a row for each notebook and distinct origin of what it saved."""
    rows: dict[tuple, int] = {}
    for chapter in chapters:
        for item in chapter.items:
            if item.entry:
                row = (chapter.notebook, *_origin(item.entry))
                rows[row] = rows.get(row, 0) + 1
    columns = ["notebook", "model", "weights", "samples", "draw", "commit", "code", "torch", "device", "made"]
    return pd.DataFrame(list(rows), columns=columns).assign(items=list(rows.values()))


def _origin(entry: dict[str, Any]) -> tuple:
    model, benchmark = entry.get("model", {}), entry.get("benchmark", {})
    commit = f"{(entry.get('commit') or 'none')[:8]}{' + changes' if entry.get('dirty') else ''}"
    return (
        model.get("name"),
        (model.get("hash") or "–")[:8],
        benchmark.get("n"),
        (benchmark.get("hash") or "–")[:8],
        commit,
        entry.get("code", "–")[:8],
        entry.get("versions", {}).get("torch"),
        entry.get("device"),
        entry.get("utc", "–")[:10],
    )


def state_table(chapters: list[Chapter]) -> pd.DataFrame:
    """What is missing or stale, and why: a row for each notebook, state and reason; empty where all is as it should be.

    Columns notebook, state, why, items (how many), names.
    """
    found: dict[tuple[str, str, str], list[str]] = {}
    for item in (item for chapter in chapters for item in chapter.items):
        if item.missing or item.stale:
            state, why = ("missing", "not made here") if item.missing else ("stale", "; ".join(item.stale))
            found.setdefault((item.notebook, state, why), []).append(item.path.name)
    rows = [(*key, len(names), ", ".join(names)) for key, names in found.items()]
    return pd.DataFrame(rows, columns=["notebook", "state", "why", "items", "names"])


def stored_answers_table(results: Path = paths.RESULTS) -> pd.DataFrame:
    """Answers that are kept on disk: notebook, file, rows, model, protocol, and whether the weights are today's."""
    weights = provenance(model="mini")["model"]["hash"]
    rows = []
    for path in sorted(results.glob("[0-9]*/*.parquet")):
        metadata = pq.read_metadata(path)
        settings = json.loads((metadata.metadata or {}).get(b"hide_settings", b"null")) or {}
        current = "–" if settings.get("model") != "mini" else "yes" if settings.get("weights") == weights else "no"
        what = (settings.get("model"), settings.get("protocol"), current)
        rows.append((path.parent.name, path.stem, metadata.num_rows, *what))
    columns = ["notebook", "file", "rows", "model", "protocol", "current weights"]
    return pd.DataFrame(rows, columns=columns)
