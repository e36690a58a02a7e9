"""Tables on the report's pages: as text, as wide as the page, and folded where a page is too narrow for them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.lines import Line2D

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
    text_width,
    wrapped,
)

SMALLEST, LEGIBLE = 4.5, 6.0  # points: of a table that is squeezed into the page; below which it is folded instead
SHORT = 22  # characters of a cell that is not broken
KEYS = 2  # leading columns at most that a folded table repeats

Cells = list[list[str]]  # of a row: the lines of each cell


def draw_table(pages: Pages, frame: pd.DataFrame, said: str, stale: str) -> None:
    """A table below its caption: whole on one page where it fits on one, else with its head repeated on each."""
    above, parts = _caption_height(said, stale), [_laid_out(part) for part in folded(frame)]
    whole = above + sum(map(_part_height, parts))
    pages.room(whole if whole < HEIGHT - 2 * MARGIN else above + 0.9)
    caption(pages, said, stale)
    for size, widths, head, rows in parts:
        pages.y += 0.05
        _head(pages, head, widths, size)
        for cells in rows:
            if pages.room(_row_height(cells, size)):
                _head(pages, head, widths, size)
            _row(pages, cells, widths, size)
        _rule(pages)
    pages.y += 1.5 * GAP


def table_height(frame: pd.DataFrame, said: str, stale: str) -> float:
    """How high a table with its caption is, in inches; of one that is higher than a page, its beginning."""
    above = _caption_height(said, stale)
    whole = above + sum(_part_height(_laid_out(part)) for part in folded(frame))
    return whole if whole < HEIGHT - 2 * MARGIN else above + 0.9


def folded(frame: pd.DataFrame) -> list[pd.DataFrame]:
    """The table, or its columns in parts that are legible; each begins with the leading columns of text."""
    if column_widths(frame)[0] >= LEGIBLE:
        return [frame]
    texts = [not frame[name].map(lambda cell: cell[:1].isdigit() or cell[:1] in "-–").all() for name in frame]
    n_keys = max(texts.index(False) if False in texts[: KEYS + 1] else KEYS, 1)
    rest = len(frame.columns) - n_keys
    if rest < 2:
        return [frame]
    keys, half = list(range(n_keys)), n_keys + (rest + 1) // 2
    parts = [[*keys, *range(n_keys, half)], [*keys, *range(half, len(frame.columns))]]
    return [part for columns in parts for part in folded(frame.iloc[:, columns])]


def _caption_height(said: str, stale: str) -> float:
    lines = len(wrapped(said, TEXT_WIDTH, SIZES["caption"])) + bool(stale)
    return lines * SIZES["caption"] * LEADING / 72


def _laid_out(frame: pd.DataFrame) -> tuple[float, list[float], Cells, list[Cells]]:
    """Font size, column widths, head and rows."""
    size, widths = column_widths(frame)
    head = _cells(list(map(str, frame.columns)), widths, size, bold=True)
    return size, widths, head, [_cells(list(map(str, row)), widths, size) for row in frame.to_numpy().tolist()]


def _part_height(part: tuple[float, list[float], Cells, list[Cells]]) -> float:
    size, _, head, rows = part
    return sum(_row_height(cells, size) for cells in [head, *rows]) + 0.16


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


def _cells(texts: Sequence[str], widths: Sequence[float], size: float, bold: bool = False) -> Cells:
    return [wrapped(text, width - 0.08, size, bold) for text, width in zip(texts, widths, strict=True)]


def _row_height(cells: Cells, size: float) -> float:
    return max(len(lines) for lines in cells) * size * LEADING / 72 + 0.03


def _head(pages: Pages, cells: Cells, widths: Sequence[float], size: float) -> None:
    _rule(pages)
    _row(pages, cells, widths, size, bold=True)
    _rule(pages)


def _row(pages: Pages, cells: Cells, widths: Sequence[float], size: float, bold: bool = False):
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
