"""Notebooks as files: which there are, their parameters and code, and what a committed one carries."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hide_utils.config import literal
from hide_utils.files import hash_json

if TYPE_CHECKING:  # slow to load, and provenance needs none of it
    import nbformat

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
TABLE_ID = re.compile(r"\bT_[0-9a-f]{5}(?=\W|_)")  # drawn at random by pandas for every table that it styles
ADDRESS = re.compile(r" at 0x[0-9a-f]+(?=>)")


def discover(folder: Path) -> dict[str, Path]:
    """Notebooks of a folder whose names begin with a number: name without ending -> path, in reading order.

    Raises:
        FileNotFoundError: there is none.
    """
    found = {path.stem: path for path in sorted(folder.glob("[0-9]*.ipynb"))}
    if not found:
        raise FileNotFoundError(f"{folder}: no notebook there whose name begins with a number")
    return found


def inspect(notebook: Path) -> dict[str, dict[str, Any]]:
    """A notebook's parameters by name, each with `default` (a Python value) and `help` (the comment behind it)."""
    from papermill.inspection import inspect_notebook

    found = inspect_notebook(str(notebook)).items()
    return {name: {"default": literal(entry["default"]), "help": entry["help"]} for name, entry in found}


def code_cells(notebook: Path) -> list[str]:
    """Sources of a notebook's code cells, in order."""
    return _sources(notebook, "code")


def hash_notebook(notebook: Path) -> str | None:
    """Hash of a notebook's code cells, which tells whether it changed since a run; None where there is no such file."""
    return hash_json(code_cells(notebook)) if notebook.is_file() else None


def _sources(notebook: Path, kind: str) -> list[str]:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == kind]


def strip(book: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook, changed in place, without what papermill, timing and widgets left in it.

    A rerun then differs only in its results.
    """
    from nbformat import from_dict

    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    book.metadata = from_dict({"kernelspec": kernel, "language_info": {"name": "python"}})
    book.cells = [cell for cell in book.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    for cell in book.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if not cell.metadata.get("tags"):
            cell.metadata.pop("tags", None)
    return steady(without_widgets(book))


def steady(book: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook, changed in place, without what differs between two runs of the same code.

    The random ids of styled tables become numbers, and addresses of objects in memory go.
    """
    ids: dict[str, str] = {}
    for output in (output for cell in book.cells for output in cell.get("outputs", [])):
        data = output.get("data", {})
        for kind in (kind for kind in ("text/html", "text/plain") if kind in data):
            numbered = TABLE_ID.sub(lambda found: ids.setdefault(found[0], f"T_{len(ids):05x}"), data[kind])
            data[kind] = ADDRESS.sub("", numbered)
    return book


def without_widgets(book: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook, changed in place, with every widget replaced by the picture or text that it carries.

    A widget that carries none, such as a progress bar, is removed: without a kernel it would show only its first state.
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
    """The notebook's first heading, without its #; empty where there is none."""
    lines = "\n".join(_sources(notebook, "markdown")).splitlines()
    return next((line.lstrip("# ") for line in lines if line.startswith("#")), "")
