"""What a notebook's cells tell the report: title, question, and what its code saves under which heading."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from typing import Any

import nbformat

MAKERS = {"save_figure": "figure", "save_table": "table"}


def head_of(book: nbformat.NotebookNode) -> tuple[str, str]:
    """Title and question in the first text: its heading, and the paragraph that begins with **Question.**."""
    text = next((cell.source for cell in book.cells if cell.cell_type == "markdown"), "")
    title = next((line.lstrip("# ") for line in text.splitlines() if line.startswith("# ")), "untitled")
    asked = [part for part in text.split("\n\n") if part.startswith("**Question.**")]
    return title, _unmarked(asked[0].removeprefix("**Question.**")) if asked else ""


def saved_by(book: nbformat.NotebookNode, there: Collection[tuple[str, str]] = ()) -> list[tuple[str, str, str]]:
    """What a notebook's code saves, in its order.

    Calls are found that give the name as a literal. Of the files that are there, others are found too: those whose name
    stands in a cell in any way. The rest of the files comes last, without a heading.

    Args:
        book: the notebook.
        there: (name, kind) of the files in the notebook's folder.

    Returns:
        (name, kind, heading above) of each.
    """
    cells = list(_code_cells(book))
    found = {one: at for at, (_, literal, _) in reversed(list(enumerate(cells))) for one in literal}
    for one in (one for one in there if one not in found):
        found[one] = next((at for at, (_, _, words) in enumerate(cells) if one[0] in words), len(cells))
    ordered = sorted(found, key=lambda one: found[one])  # stable: calls of one cell stay in their order
    return [(*one, cells[found[one]][0] if found[one] < len(cells) else "") for one in ordered]


def _code_cells(book: nbformat.NotebookNode) -> Iterator[tuple[str, list[tuple[str, str]], set[Any]]]:
    """For each code cell: the heading above it, (name, kind) of its calls that save, and all constants in it.

    Of the calls those count that give the name as a literal.
    """
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
    """A notebook's own functions that save under a name they are given: name -> (kind, position of that argument)."""
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
