"""The report's blocks on A4 pages, as a PDF drawn by matplotlib: text and tables stay text, figures are their PNGs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import FT2Font, LoadFlags
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from PIL import Image

from hide_utils.files import replace_file
from hide_utils.plots import BOX_COLOUR, INCH
from hide_utils.report import DPI, MOST_ROWS, Block, rest_of

WIDTH, HEIGHT, MARGIN = 21 / INCH, 29.7 / INCH, 2 / INCH
TEXT_WIDTH = WIDTH - 2 * MARGIN
SIZES = {"title": 18.0, "chapter": 13.0, "section": 10.0, "text": 9.0, "caption": 8.0, "table": 7.0, "gap": 9.0}
LEADING, GAP = 1.35, 0.11  # lines of the font's size; inches between blocks
SMALLEST = 4.5  # points of a table that is squeezed into the page
SHORT = 22  # characters of a cell that is not broken


class Pages:
    """Pages that fill from top to bottom; `room` makes a new one where a block no longer fits.

    Lengths are inches; `y` is measured from the page's top.
    """

    def __init__(self, pdf: PdfPages, footer: str) -> None:
        self.pdf, self.footer, self.number = pdf, footer, 0
        self.figure, self.begun, self.y = Figure(), False, HEIGHT

    def room(self, height: float) -> bool:
        """Make room for `height`; whether that took a new page. What is higher than a page begins one."""
        if self.begun and self.y + height <= HEIGHT - MARGIN:
            return False
        self.finish()
        self.number += 1
        self.figure, self.begun, self.y = Figure(figsize=(WIDTH, HEIGHT)), True, MARGIN
        self.write(f"{self.footer} · page {self.number}", MARGIN, HEIGHT - MARGIN / 2, 7.0, color="0.4")
        return True

    def write(self, text: str, x: float, y: float, size: float, **style) -> None:
        """One line of text with its top at `y`; a dollar sign is a dollar sign."""
        self.figure.text(
            x / WIDTH, 1 - y / HEIGHT, text, fontsize=size, va="top", parse_math=False, **{"color": "black"} | style
        )

    def finish(self) -> None:
        """Write the page that is being filled."""
        if self.begun:
            self.pdf.savefig(self.figure)
            self.begun = False


@cache
def _font(bold: bool) -> FT2Font:
    return get_font(findfont(FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")))


@lru_cache(maxsize=50_000)
def _advance(word: str, bold: bool) -> float:
    """Width of a word at 100 points, in inches."""
    font = _font(bold)
    font.set_size(100, 72)
    font.set_text(word, 0, flags=LoadFlags.NO_HINTING)
    return font.get_width_height()[0] / 64 / 72


def text_width(text: str, size: float, bold: bool = False) -> float:
    """Width of a line at `size` points in inches, from its words."""
    words = text.split(" ")
    space = 0.318 * (len(words) - 1) * 100 / 72
    return (sum(_advance(word, bold) for word in words if word) + space) * size / 100


def wrapped(text: str, width: float, size: float, bold: bool = False) -> list[str]:
    """Lines of at most `width` inches, broken between words, and within a word that is longer than a line."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        while text_width(word, size, bold) > width and len(word) > 1:
            cut = max(next((i for i in range(len(word), 1, -1) if text_width(word[:i], size, bold) <= width), 1), 1)
            lines, line, word = [*lines, *([line] if line else []), word[:cut]], "", word[cut:]
        longer = f"{line} {word}" if line else word
        if line and text_width(longer, size, bold) > width:
            lines, line = [*lines, line], word
        else:
            line = longer
    return [*lines, line] if line else lines


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


def _paragraph(pages: Pages, text: str, size: float, bold: bool = False, **style) -> None:
    for line in wrapped(text, TEXT_WIDTH, size, bold):
        pages.room(size * LEADING / 72)
        pages.write(line, MARGIN, pages.y, size, weight="bold" if bold else "normal", **style)
        pages.y += size * LEADING / 72


def _caption(pages: Pages, text: str, stale: str) -> None:
    _paragraph(pages, text, SIZES["caption"], color="0.2")
    if stale:
        _paragraph(pages, f"Stale: {stale}.", SIZES["caption"], color=BOX_COLOUR)


def _heading(pages: Pages, block: Block, following: Sequence[Block]) -> None:
    """A heading keeps together with the beginning of what follows it."""
    size = SIZES[block.kind]
    pages.room(_height(block) + sum(_height(after) for after in _kept_with(following)) + 0.4)
    if pages.y > MARGIN:
        pages.y += 2 * GAP
    _paragraph(pages, block.text, size, bold=True)
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
        return 1.2
    size = SIZES[block.kind]
    return len(wrapped(block.text, TEXT_WIDTH, size)) * size * LEADING / 72 + GAP


def _text(pages: Pages, block: Block, following: Sequence[Block]) -> None:
    _paragraph(pages, block.text, SIZES["text"])
    pages.y += GAP


def _gap(pages: Pages, block: Block, following: Sequence[Block]) -> None:
    height = _height(block) + 0.1
    pages.room(height)
    box = Rectangle(
        (MARGIN / WIDTH, 1 - (pages.y + height) / HEIGHT), TEXT_WIDTH / WIDTH, height / HEIGHT,
        fill=False, linestyle="--", edgecolor=BOX_COLOUR, transform=pages.figure.transFigure,
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
    _caption(pages, block.text, block.stale)
    pages.y += 1.5 * GAP


def _table(pages: Pages, block: Block, following: Sequence[Block]) -> None:
    """A table stays on one page where it fits on one; a longer one repeats its head on each."""
    frame = block.frame.head(MOST_ROWS)
    said = block.text + rest_of(block.frame)
    size, widths = column_widths(frame)
    head, *rows = [
        _cells(list(map(str, row)), widths, size, bold=number == 0)
        for number, row in enumerate([frame.columns, *frame.to_numpy().tolist()])
    ]
    lines = len(wrapped(said, TEXT_WIDTH, SIZES["caption"])) + bool(block.stale)
    above = lines * SIZES["caption"] * LEADING / 72
    whole = above + sum(_row_height(cells, size) for cells in [head, *rows]) + 0.2
    pages.room(whole if whole < HEIGHT - 2 * MARGIN else above + 0.9)
    _caption(pages, said, block.stale)
    pages.y += 0.05
    _head(pages, head, widths, size)
    for cells in rows:
        if pages.room(_row_height(cells, size)):
            _head(pages, head, widths, size)
        _row(pages, cells, widths, size)
    _rule(pages)
    pages.y += 1.5 * GAP


def column_widths(frame: pd.DataFrame) -> tuple[float, list[float]]:
    """Font size and column widths in inches with which a table fits the page.

    Heads and long cells wrap before letters shrink, letters shrink before short cells wrap.
    """
    size, pad = SIZES["table"], 0.1
    while True:
        cells = [[str(name), *map(str, frame[name])] for name in frame.columns]
        natural = [max(text_width(cell, size, i == 0) for i, cell in enumerate(column)) + pad for column in cells]
        least = [
            min(width, max(_unbroken(column, size, size <= SMALLEST), 0.45) + pad)
            for width, column in zip(natural, cells, strict=True)
        ]
        if sum(natural) <= TEXT_WIDTH:
            return size, natural
        if sum(least) <= TEXT_WIDTH or size <= SMALLEST:
            spare = max(TEXT_WIDTH - sum(least), 0)
            wish = [width - small for width, small in zip(natural, least, strict=True)]
            scale = min(1, TEXT_WIDTH / sum(least))
            return size, [
                (small + spare * w / max(sum(wish), 1e-9)) * scale for small, w in zip(least, wish, strict=True)
            ]
        size -= 0.25


def _unbroken(cells: Sequence[str], size: float, by_word: bool) -> float:
    """Width of what must not be broken in a column: a word, and of the cells below the head each that is short."""
    parts = [
        (part, row == 0)
        for row, cell in enumerate(cells)
        for part in ([cell] if row and len(cell) <= SHORT and not by_word else cell.split())
    ]
    return max((text_width(part, size, bold) for part, bold in parts), default=0.0)


def _cells(texts: Sequence[str], widths: Sequence[float], size: float, bold: bool = False) -> list[list[str]]:
    return [wrapped(text, width - 0.08, size, bold) for text, width in zip(texts, widths, strict=True)]


def _row_height(cells: Sequence[Sequence[str]], size: float) -> float:
    return max(len(lines) for lines in cells) * size * LEADING / 72 + 0.03


def _head(pages: Pages, cells: Sequence[Sequence[str]], widths: Sequence[float], size: float) -> None:
    _rule(pages)
    _row(pages, cells, widths, size, bold=True)
    _rule(pages)


def _row(pages: Pages, cells: Sequence[Sequence[str]], widths: Sequence[float], size: float, bold: bool = False):
    x = MARGIN
    for lines, width in zip(cells, widths, strict=True):
        for number, line in enumerate(lines):
            y = pages.y + number * size * LEADING / 72
            pages.write(line, x, y, size, weight="bold" if bold else "normal")
        x += width
    pages.y += _row_height(cells, size)


def _rule(pages: Pages) -> None:
    y = 1 - (pages.y + 0.005) / HEIGHT
    pages.figure.add_artist(Line2D([MARGIN / WIDTH, 1 - MARGIN / WIDTH], [y, y], color="0.3", linewidth=0.6))
    pages.y += 0.035


_DRAW: dict[str, Callable[[Pages, Block, Sequence[Block]], None]] = {
    "title": _heading,
    "chapter": _heading,
    "section": _heading,
    "text": _text,
    "figure": _figure,
    "table": _table,
    "gap": _gap,
}
