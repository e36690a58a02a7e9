"""Every table of the report as a file for a paper: LaTeX in booktabs style and CSV."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from hide_utils.files import replace_file
from hide_utils.report.captions import numbers, printed, words
from hide_utils.report.items import Chapter, Item

LATEX = {
    "σ": r"$\sigma$", "α": r"$\alpha$", "ρ": r"$\rho$", "≥": r"$\geq$", "≤": r"$\leq$", "×": r"$\times$", "–": "--",
    "…": r"\dots{}", "·": r"$\cdot$", "−": r"$-$", "→": r"$\rightarrow$", "“": "``", "”": "''", "’": "'", "±": r"$\pm$",
    "∞": r"$\infty$", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


def write_tables(chapters: Sequence[Chapter], figures: Path) -> list[Path]:
    """`<figures>/tables/<notebook>_<name>.tex` and `.csv` for every table that is there; others in the folder go.

    The LaTeX needs the package booktabs; the CSV has the same rows with unrounded numbers.
    """
    folder = figures / "tables"
    written = []
    for chapter in chapters:
        for item in chapter.items:
            if item.kind == "table" and not item.table.empty:
                stem = f"{item.notebook}_{item.name}"
                texts = {".csv": item.path.read_text(encoding="utf-8"), ".tex": latex(item)}
                for ending, text in texts.items():
                    replace_file(folder / f"{stem}{ending}", partial(Path.write_text, data=text, encoding="utf-8"))
                    written.append(folder / f"{stem}{ending}")
    for old in set(folder.glob("*.*")) - set(written):
        if old.suffix in (".csv", ".tex"):
            old.unlink(missing_ok=True)
    return written


def latex(item: Item) -> str:
    """A table as a LaTeX float in booktabs style, in ASCII, with its caption and where its numbers come from."""
    frame = printed(item.table)
    body = "\n".join(" & ".join(map(_tex, row)) + r" \\" for row in frame.to_numpy().tolist())
    columns = "".join("l" if _is_text(frame[column]) else "r" for column in frame.columns)
    digest = hashlib.sha256(item.path.read_bytes()).hexdigest()[:16]
    said = _tex(f"{words(item.name)}. {numbers(item.table)}")
    return (
        f"% {item.notebook}/{item.path.name}, SHA-256 {digest}; needs \\usepackage{{booktabs}}\n"
        f"\\begin{{table}}\n\\centering\n\\caption{{{said}}}\n\\label{{tab:{item.notebook}-{item.name}}}\n"
        f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{' & '.join(map(_tex, frame.columns))} \\\\\n\\midrule\n"
        f"{body}\n\\bottomrule\n\\end{{tabular}}\n\\end{{table}}\n"
    )


def _is_text(column: pd.Series) -> bool:
    return not column.map(lambda cell: cell in ("–", "") or cell.lstrip("+-<≥ ")[:1].isdigit()).all()


def _tex(text: object) -> str:
    escaped = "".join(
        {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}.get(c, c)
        if c in "\\~^"
        else f"\\{c}"
        if c in "&%$#_{}"
        else LATEX.get(c, c)
        for c in str(text)
    )
    return escaped.encode("ascii", "replace").decode()
