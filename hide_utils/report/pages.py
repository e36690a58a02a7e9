"""The report's blocks on A4 pages, as a PDF drawn by matplotlib: text and tables stay text, figures are their PNGs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.patches import Rectangle
from PIL import Image

from hide_utils.files import replace_file
from hide_utils.plots.style import BOX_COLOR
from hide_utils.report import DPI, MOST_ROWS, Block, rest_of
from hide_utils.report.page_tables import draw_table, table_height
from hide_utils.report.paper import (
    GAP,
    HEIGHT,
    LEADING,
    MARGIN,
    SIZES,
    TEXT_WIDTH,
    WIDTH,
    Pages,
    caption,
    paragraph,
    wrapped,
)


def write_pdf(blocks: Sequence[Block], target: Path, footer: str) -> Path:
    """The blocks on A4 pages; the same blocks give the same bytes."""

    def write(temporary: Path) -> None:
        with plt.rc_context({"pdf.fonttype": 42, "figure.constrained_layout.use": False, "font.family": "DejaVu Sans"}):
            with PdfPages(temporary, metadata={"Title": blocks[0].text, "CreationDate": None}) as pdf:
                pages = Pages(pdf, footer)
                for number, block in enumerate(blocks):
                    _DRAW[block.kind](pages, block, blocks[number + 1 :])
                pages.finish()

    replace_file(target, write)
    return target


def _heading(pages: Pages, block: Block, following: Sequence[Block]) -> None:
    """A heading keeps together with the beginning of what follows it."""
    size = SIZES[block.kind]
    pages.room(_height(block) + sum(_height(after) for after in _kept_with(following)) + 0.4)
    if pages.y > MARGIN:
        pages.y += 2 * GAP
    paragraph(pages, block.text, size, bold=True)
    pages.y += GAP


def _kept_with(following: Sequence[Block]) -> list[Block]:
    kept = []
    for block in following[:3]:
        kept.append(block)
        if block.kind not in ("section", "text"):
            break
    return kept


def _height(block: Block) -> float:
    """About how high a block's beginning is."""
    if block.kind == "figure":
        width, height = _fitted(block.path)
        return height + 0.6
    if block.kind == "table":
        return table_height(*_shown(block))
    size = SIZES[block.kind]
    return len(wrapped(block.text, TEXT_WIDTH, size)) * size * LEADING / 72 + GAP


def _text(pages: Pages, block: Block, following: Sequence[Block]) -> None:
    paragraph(pages, block.text, SIZES["text"])
    pages.y += GAP


def _gap(pages: Pages, block: Block, following: Sequence[Block]) -> None:
    height = _height(block) + 0.1
    pages.room(height)
    box = Rectangle(
        (MARGIN / WIDTH, 1 - (pages.y + height) / HEIGHT), TEXT_WIDTH / WIDTH, height / HEIGHT,
        fill=False, linestyle="--", edgecolor=BOX_COLOR, transform=pages.figure.transFigure,
    )  # fmt: skip
    pages.figure.add_artist(box)
    pages.y += 0.07
    for line in wrapped(f"GAP  {block.text}", TEXT_WIDTH - 0.2, SIZES["gap"]):
        pages.write(line, MARGIN + 0.1, pages.y, SIZES["gap"])
        pages.y += SIZES["gap"] * LEADING / 72
    pages.y += GAP + 0.05


def _fitted(path: Path) -> tuple[float, float]:
    """Width and height in inches: the printed size, smaller where the page is."""
    with Image.open(path) as picture:
        width, height = (side / DPI for side in picture.size)
    scale = min(1, TEXT_WIDTH / width, (HEIGHT - 2 * MARGIN - 1.2) / height)
    return width * scale, height * scale


def _figure(pages: Pages, block: Block, following: Sequence[Block]) -> None:
    width, height = _fitted(block.path)
    lines = len(wrapped(block.text, TEXT_WIDTH, SIZES["caption"]))
    pages.room(height + (lines + 1) * SIZES["caption"] * LEADING / 72 + 0.04)
    ax = pages.figure.add_axes((MARGIN / WIDTH, 1 - (pages.y + height) / HEIGHT, width / WIDTH, height / HEIGHT))
    with Image.open(block.path) as picture:
        ax.imshow(picture.convert("RGB"), aspect="auto", interpolation="none")
    ax.set_axis_off()
    pages.y += height + 0.04
    caption(pages, block.text, block.stale)
    pages.y += 1.5 * GAP


def _table(pages: Pages, block: Block, following: Sequence[Block]) -> None:
    draw_table(pages, *_shown(block))


def _shown(block: Block) -> tuple[pd.DataFrame, str, str]:
    """The rows of a table that are shown, what is said of it, and why it is stale."""
    return block.frame.head(MOST_ROWS), block.text + rest_of(block.frame), block.stale


_DRAW: dict[str, Callable[[Pages, Block, Sequence[Block]], None]] = {
    "title": _heading,
    "contents": lambda pages, block, following: None,  # pages have no links
    "chapter": _heading,
    "section": _heading,
    "text": _text,
    "figure": _figure,
    "table": _table,
    "gap": _gap,
}
