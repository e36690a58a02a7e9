"""The document as Markdown, for a notebook, and as one HTML file that needs no other."""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Sequence
from pathlib import Path
from string import Template
from urllib.parse import quote

import pandas as pd
from nbconvert.filters import markdown2html
from PIL import Image

from hide_utils import paths
from hide_utils.files import write_text
from hide_utils.findings import as_html
from hide_utils.report.blocks import Block

ENLARGED = 1.25  # times the printed size, on a screen
HEADINGS = {"title": "# ", "chapter": "## ", "section": "### "}
IN_IDS = "?/:@!$&'()*+,;="  # what nbconvert and JupyterLab leave as it is in a heading's address
# What Markdown, HTML or MathJax would take for a mark, as an entity, which all three take for the character.
LITERAL = str.maketrans({mark: f"&#{ord(mark)};" for mark in '&<>"\\`*_[]$~|#'})

PAGE = Path(__file__).with_name("page.html")


def write_html(blocks: Sequence[Block], target: Path) -> Path:
    """Write the document as one HTML file with its figures inside and without scripts; returns its path."""
    body = "\n".join(markdown2html(markdown(block, base=None)) for block in blocks)
    page = Template(PAGE.read_text(encoding="utf-8"))
    write_text(target, page.substitute(title=_literal(blocks[0].text), body=body))
    return target


def markdown(block: Block, base: Path | None = paths.NOTEBOOKS) -> str:
    """A block as Markdown, in which its words are words and no marks.

    Args:
        block: what to show.
        base: folder of the notebook that shows it, from where figures are linked; None: figures are copied in.
    """
    said = _literal(block.text)
    stale = f" <b>Stale:</b> {_literal(block.stale)}." if block.stale else ""
    if block.kind in HEADINGS:
        return HEADINGS[block.kind] + said
    if block.kind == "contents":
        return "\n".join(f"- [{_literal(line)}](#{_anchor(line)})" for line in block.text.splitlines())
    if block.kind == "gap":
        return f'<p style="border:1px dashed;padding:4px 8px"><b>GAP</b> {said}</p>'
    if block.kind == "figure":
        source, width = _source(block.path, base), round(block.width * 96 * ENLARGED)
        return f'<p><img src="{source}" width="{width}" alt="{said}"></p>\n\n<p><i>{said}</i>{stale}</p>'
    if block.kind == "cards":
        cards = [as_html(*(_words(word) for word in card)) for card in block.frame.itertuples(index=False, name=None)]
        return "\n\n".join([*cards, *([f"<p>{stale}</p>"] if stale else [])])
    if block.kind in ("table", "data"):
        if not block.fits:
            return f"<p><i>{_literal(block.text + in_file(block))}</i>{stale}</p>"
        return f"<p><i>{said}</i>{stale}</p>\n\n{_rows(block.frame)}"
    return f"<p>{said}</p>"


def in_file(table: Block) -> str:
    """Says which file holds a table that is not shown."""
    where = f": {paths.portable(table.path)}" if table.path.name else ""
    return f" {len(table.frame)} rows and {len(table.frame.columns)} columns{where}."


def _rows(frame: pd.DataFrame) -> str:
    """A table in HTML; a sign stays on the line of its number."""
    texts = frame.map(_literal).rename(columns=_literal)
    return texts.to_html(index=False, border=0, escape=False).replace("&#60; ", "&#60;&nbsp;")


def _words(text: object) -> str:
    return " ".join(str(text).split())


def _literal(text: object) -> str:
    """A text on one line that stands for itself in Markdown and in HTML."""
    return _words(text).translate(LITERAL)


def _anchor(heading: str) -> str:
    return quote(heading.replace(" ", "-"), safe=IN_IDS)


def _source(picture: Path, base: Path | None) -> str:
    """A PNG's address: relative to a folder, or its content."""
    if base is None:
        content = io.BytesIO()
        with Image.open(picture) as file:  # 256 colors do for a drawing, in a third of the bytes
            file.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(content, "png")
        return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
    return html.escape(Path(os.path.relpath(picture, base)).as_posix())
