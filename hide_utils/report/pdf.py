"""The document as a PDF for print: findings and figures, set by Typst, without the tables that only hold numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import typst

from hide_utils import paths
from hide_utils.files import replace_file
from hide_utils.findings import color_of
from hide_utils.report.blocks import Block
from hide_utils.report.captions import alignment
from hide_utils.report.web import in_file

TEMPLATE = Path(__file__).with_name("report.typ")
MOST_PAGES = 25
# Of figures, tried until the pages are few enough.
SCALES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.72, 0.7, 0.67, 0.65, 0.6, 0.55, 0.5)


def write_pdf(blocks: Sequence[Block], target: Path, figures: Path) -> Path:
    """Write the document on A4 pages; returns the path. The same blocks give the same bytes.

    All words reach the template as data, so that none is taken for a mark.

    Args:
        blocks: what `blocks.document` made, title first.
        target: the PDF.
        figures: folder in or below which every figure lies.
    """
    template = TEMPLATE.read_bytes()
    root = figures if figures.is_dir() else None  # a report of gaps needs none
    content = json.dumps([for_template(block, figures) for block in in_print(blocks)])
    for scale in SCALES:
        settings: dict[str, Any] = {"root": root, "sys_inputs": {"blocks": content, "scale": str(scale)}}
        if int(typst.query(template, "<pages>", field="value", one=True, **settings)) <= MOST_PAGES:
            break
    replace_file(target, partial(Path.write_bytes, data=typst.compile(template, **settings)))
    return target


def in_print(blocks: Sequence[Block]) -> Iterator[Block]:
    """The blocks that are printed.

    Left out are tables of numbers, which a note at the end of each chapter names, and sections that have nothing else.
    """
    for chapter in _split(blocks, "chapter"):
        for section in _split([block for block in chapter if block.kind != "data"], "section"):
            if section[0].kind != "section" or any(block.kind not in ("section", "text") for block in section):
                yield from section
        if data := [block for block in chapter if block.kind == "data"]:
            where = paths.portable(data[0].path.parent) if data[0].path.name else "report.html"
            names = [f"{table.path.name or table.text.rstrip('.')} ({len(table.frame)} rows)" for table in data]
            yield Block("note", f"Tables of numbers in {where}: {', '.join(names)}.")


def _split(blocks: Sequence[Block], kind: str) -> list[Sequence[Block]]:
    """The blocks in parts, each but the first beginning with one of that kind."""
    starts = [at for at, block in enumerate(blocks) if at == 0 or block.kind == kind]
    return [blocks[start:end] for start, end in pairwise([*starts, len(blocks)])]


def for_template(block: Block, figures: Path) -> dict[str, Any]:
    """What the template needs of a block, in JSON's types.

    A figure is the PDF beside its PNG, where there is one. Of a table that is too large its caption names the file.
    """
    said = block.text + ("" if block.fits or block.kind == "cards" else in_file(block))
    data: dict[str, Any] = {"kind": block.kind, "text": said, "stale": block.stale}
    if block.kind == "figure":
        vector = block.path.with_suffix(".pdf")
        path = vector if vector.is_file() else block.path
        data |= {"path": path.relative_to(figures).as_posix(), "width": block.width}
    if block.kind == "cards":
        data["cards"] = [card | {"color": color_of(card["verdict"])} for card in block.frame.to_dict("records")]
    elif len(block.frame) and block.fits:
        data |= {"head": list(block.frame), "rows": block.frame.to_numpy().tolist(), "sides": alignment(block.frame)}
    return data
