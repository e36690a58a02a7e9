"""Notebooks as files: which there are, what their parameters mean, how they last ran, what a committed one carries."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import nbformat
from papermill.inspection import inspect_notebook

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
TABLE_ID = re.compile(r"\bT_[0-9a-f]{5}(?=\W|_)")  # pandas draws one for every table that it styles
ADDRESS = re.compile(r" at 0x[0-9a-f]+(?=>)")
LONGEST = 24  # characters of a default that `show` shows


def discover(folder: Path) -> dict[str, Path]:
    """Notebooks whose names begin with a number, by name in reading order. Raises FileNotFoundError for none."""
    found = {path.stem: path for path in sorted(folder.glob("[0-9]*.ipynb"))}
    if not found:
        raise FileNotFoundError(f"{folder}: no notebook there whose name begins with a number")
    return found


def inspect(notebook: Path) -> dict[str, dict[str, Any]]:
    """A notebook's parameters by name, each with `default` (a Python value) and `help` (the comment behind it)."""
    return {
        name: {"default": literal(entry["default"]), "help": entry["help"]}
        for name, entry in inspect_notebook(str(notebook)).items()
    }


def strip(book: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook without what papermill, timing and widgets left in it, so that a rerun differs only in results."""
    book.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    book.cells = [cell for cell in book.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    for cell in book.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if not cell.metadata.get("tags"):
            cell.metadata.pop("tags", None)
    return steady(without_widgets(book))


def steady(book: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with tables numbered and objects without addresses, which differ between runs that are the same."""
    ids: dict[str, str] = {}
    for output in (output for cell in book.cells for output in cell.get("outputs", [])):
        data = output.get("data", {})
        for kind in (kind for kind in ("text/html", "text/plain") if kind in data):
            numbered = TABLE_ID.sub(lambda found: ids.setdefault(found[0], f"T_{len(ids):05x}"), data[kind])
            data[kind] = ADDRESS.sub("", numbered)
    return book


def without_widgets(book: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with every widget replaced by the picture or text it carries for whoever cannot run it.

    A widget without one (progress bars are such) goes: without a kernel it is nothing but its stale first state.
    """
    book.metadata.pop("widgets", None)
    for cell in book.cells:
        kept = []
        for output in cell.get("outputs", []):
            widget = output.get("data", {}).pop(WIDGET_VIEW, None)
            if widget is None or set(output.data) - {"text/plain"}:
                kept.append(output)
        if "outputs" in cell:
            cell.outputs = kept
    return book


def title(notebook: Path) -> str:
    """The notebook's first heading."""
    cells = nbformat.read(notebook, as_version=4).cells
    lines = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown").splitlines()
    return next((line.lstrip("# ") for line in lines if line.startswith("#")), "")


def code_hash(notebook: Path) -> str:
    """Hash of a notebook's code cells, to tell whether it changed since a run."""
    sources = [cell.source for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()[:16]


def literal(text: str) -> Any:
    """A value given as text: a Python literal where it is one, else the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def show(found: dict[str, Path], history: dict[str, dict[str, Any]]) -> None:
    """Print every notebook with its title, its last run and its parameters: default and meaning."""
    for name, notebook in found.items():
        print(f"{name}: {_describe(history[name], notebook) if name in history else 'never run here'}")
        if about := title(notebook):
            print(f"    {about}")
        for parameter, entry in inspect(notebook).items():
            value = repr(entry["default"])
            shown = value if len(value) <= LONGEST else f"{value[: LONGEST - 1]}…"
            print("    {:<44} {}".format(f"{parameter} = {shown}", entry["help"]).rstrip())


def _describe(last: dict[str, Any], notebook: Path) -> str:
    given = "".join(f" -p {name} {value!r}" for name, value in last["given"].items())
    changed = "; its code has changed since" if last.get("code", code_hash(notebook)) != code_hash(notebook) else ""
    return f"{last['state']} {last['utc']} in {last['seconds']} s, preset {last['preset']}{given}{changed}"
