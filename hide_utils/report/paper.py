"""A4 pages that fill from top to bottom, drawn by matplotlib, and text that is measured before it is written."""

from __future__ import annotations

from functools import cache, lru_cache

from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import FT2Font, LoadFlags

from hide_utils.plots.style import BOX_COLOR, INCH

WIDTH, HEIGHT, MARGIN = 21 / INCH, 29.7 / INCH, 2 / INCH
TEXT_WIDTH = WIDTH - 2 * MARGIN
SIZES = {"title": 18.0, "chapter": 13.0, "section": 10.0, "text": 9.0, "caption": 8.0, "table": 7.0, "gap": 9.0}
LEADING, GAP = 1.35, 0.11  # lines of the font's size; inches between blocks


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


def paragraph(pages: Pages, text: str, size: float, bold: bool = False, **style) -> None:
    """Write a text below what is there, over as many pages as it takes."""
    for line in wrapped(text, TEXT_WIDTH, size, bold):
        pages.room(size * LEADING / 72)
        pages.write(line, MARGIN, pages.y, size, weight="bold" if bold else "normal", **style)
        pages.y += size * LEADING / 72


def caption(pages: Pages, text: str, stale: str) -> None:
    """Write what a figure or table shows, and why it is stale."""
    paragraph(pages, text, SIZES["caption"], color="0.2")
    if stale:
        paragraph(pages, f"Stale: {stale}.", SIZES["caption"], color=BOX_COLOR)
