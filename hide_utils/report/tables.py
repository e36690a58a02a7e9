"""Every table of the report as a file for a paper: LaTeX in booktabs style and CSV."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from hide_utils.files import replace_file, write_text
from hide_utils.findings import in_words
from hide_utils.report.captions import alignment, file_in_words, printed_table
from hide_utils.report.items import Chapter, Item
from hide_utils.stats.rows import left_out_in_words

# Marks of LaTeX, and characters that pdfLaTeX has in mathematics alone. Any other stays itself, in UTF-8: accents are
# letters to every LaTeX, and other scripts to XeLaTeX and LuaLaTeX with a font that has them.
LATEX = str.maketrans({
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    **{mark: rf"\text{name}{{}}" for mark, name in (("\\", "backslash"), ("~", "asciitilde"), ("^", "asciicircum"))},
    "<": r"\textless{}", ">": r"\textgreater{}", "–": "--", "…": r"\dots{}", "“": "``", "”": "''", "’": "'",
    "σ": r"$\sigma$", "α": r"$\alpha$", "ρ": r"$\rho$", "≥": r"$\geq$", "≤": r"$\leq$", "×": r"$\times$",
    "·": r"$\cdot$", "−": "$-$", "→": r"$\rightarrow$", "±": r"$\pm$", "∞": r"$\infty$",
})  # fmt: skip


def write_tables(chapters: Sequence[Chapter], figures: Path) -> list[Path]:
    """Write `<figures>/tables/<notebook>_<name>.tex` and `.csv` for every table that is there; returns their paths.

    Other such files in the folder are deleted. The CSV is the saved table, byte for byte.
    """
    folder = figures / "tables"
    written = []
    for chapter in chapters:
        for item in chapter.items:
            if item.kind == "table" and not item.table.empty:
                csv, tex = (folder / f"{item.notebook}_{item.name}{ending}" for ending in (".csv", ".tex"))
                replace_file(csv, partial(Path.write_bytes, data=item.path.read_bytes()))
                write_text(tex, latex(item))
                written += [csv, tex]
    for old in set(folder.glob("*.*")) - set(written):
        if old.suffix in (".csv", ".tex"):
            old.unlink(missing_ok=True)
    return written


def latex(item: Item) -> str:
    """A table as a LaTeX float in booktabs style, with its caption and where its numbers come from."""
    frame = in_words(item.table) if item.cards else printed_table(item.table)
    digest = hashlib.sha256(item.path.read_bytes()).hexdigest()[:16]
    styled = frame.style.hide(axis="index").format(in_latex).format_index(in_latex, axis="columns")
    return f"% {item.notebook}/{item.path.name}, SHA-256 {digest}; needs \\usepackage{{booktabs}}\n" + styled.to_latex(
        column_format="".join(side[0] for side in alignment(frame)),
        caption=in_latex(f"{file_in_words(item.name)}. {left_out_in_words(item.table)}".rstrip()),
        label=f"tab:{item.notebook}-{item.name}",
        position_float="centering",
        hrules=True,
    )


def in_latex(text: object) -> str:
    """A text that stands for itself in LaTeX, at the beginning of a row too, where a bracket would be an option."""
    return ("{}" if str(text).startswith(("[", "*")) else "") + str(text).translate(LATEX)
