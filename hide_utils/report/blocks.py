"""The document as a list of blocks in reading order: the one source of what notebook 09, the HTML and the PDF show.

Cards come first, then the figures. Tables of at most `MOST_ROWS` and `MOST_COLUMNS` are shown; of others the file is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from PIL import Image

from hide_utils.files import data_of
from hide_utils.findings import in_words
from hide_utils.report.captions import caption, measured_on, printed_table
from hide_utils.report.items import Chapter, Item, provenance_table, state_table, verdicts_table
from hide_utils.stats.rows import left_out_in_words

DPI = 220  # of the saved PNGs
HEADLINE = ("05_benchmarks", "main")  # in the README too
HEADLINE_COLUMNS = (
    *("method", "accuracy", "low", "high", "difference", "difference_low", "difference_high", "p_holm"),
    *("recall50", "area", "tokens", "times_direct"),
)
MOST_ROWS, MOST_COLUMNS = 12, 8  # of a table that is shown
SAID: dict[str, str] = data_of(__file__)


@dataclass(frozen=True)
class Block:
    """A piece of the document.

    Attributes:
        kind: "title", "contents", "chapter", "section", "text", "cards", "figure", "table", "data" or "gap". Both
            "table" and "data" are tables; "data" are those of the notebooks, which the PDF leaves to their files.
        text: the words, or the caption. Of the contents: the chapters' titles, a line each.
        path: PNG of a figure, CSV of a table. The empty path where a table is saved nowhere.
        frame: all rows of a table, as text; of cards their words, as `findings.in_words` has them.
        stale: why it is older than what made it; empty where it is not.
    """

    kind: str
    text: str
    path: Path = Path()
    frame: pd.DataFrame = field(default_factory=pd.DataFrame)
    stale: str = ""

    @property
    def width(self) -> float:
        """Printed width of a figure in inches."""
        with Image.open(self.path) as picture:
            return picture.width / DPI

    @property
    def fits(self) -> bool:
        """Whether a table is short enough to be shown."""
        return len(self.frame) <= MOST_ROWS and len(self.frame.columns) <= MOST_COLUMNS


def document(chapters: Sequence[Chapter]) -> list[Block]:
    """The whole report as blocks, in reading order, from what `items.collect` found."""
    chapters = list(chapters)
    body = [*_findings(chapters), *(block for chapter in chapters for block in _figures(chapter)), *_state(chapters)]
    contents = "\n".join(block.text for block in body if block.kind == "chapter")
    headline = [_headline(item) for c in chapters if (item := c.item(HEADLINE[1])) and c.notebook == HEADLINE[0]]
    return [
        Block("title", "HiDe notebooks: report"),
        Block("text", SAID["about"]),
        *headline,
        Block("contents", contents),
        *body,
    ]


def by_chapter(blocks: Sequence[Block]) -> dict[str, list[Block]]:
    """The blocks below each chapter's heading, with it. What stands before the first chapter is left out."""
    parts: dict[str, list[Block]] = {}
    for block in blocks:
        if block.kind == "chapter":
            parts[block.text] = []
        if parts:
            parts[next(reversed(parts))].append(block)
    return parts


def _findings(chapters: list[Chapter]) -> Iterator[Block]:
    yield Block("chapter", "Findings")
    yield Block("text", SAID["rules"])
    yield Block("table", "Verdicts of all cards.", frame=verdicts_table(chapters).map(str))
    for chapter in chapters:
        for item in (item for item in chapter.items if item.cards):
            yield Block("section", chapter.title)
            yield Block("text", chapter.question)
            yield Block("cards", "", item.path, in_words(item.table), _stale(item))


def _figures(chapter: Chapter) -> Iterator[Block]:
    """Figures and tables of a notebook below the headings of their sections. Its cards stand elsewhere."""
    yield Block("chapter", chapter.title)
    if all(item.missing for item in chapter.items):
        yield Block("gap", f"{chapter.notebook} has no results here. Run it: hide run {chapter.notebook}")
        return
    section = ""
    for item in (item for item in chapter.items if not item.cards):
        if item.section != section:
            section = item.section
            yield Block("section", section or "More")
        yield _item_block(item)


def _stale(item: Item) -> str:
    """The first reason why an item is stale. All stand in the table at the end."""
    return item.stale[0] + " …" * (len(item.stale) > 1) if item.stale else ""


def _item_block(item: Item) -> Block:
    if item.missing:
        return Block("gap", caption(item))
    frame = printed_table(item.table)
    return Block({"table": "data"}.get(item.kind, item.kind), caption(item), item.path, frame, _stale(item))


def _headline(item: Item) -> Block:
    if item.missing:
        return Block("gap", f"The headline table is missing. Run {item.notebook}.")
    table = item.table[[name for name in HEADLINE_COLUMNS if name in item.table]]
    said = ["Headline: accuracy over all questions.", measured_on(item.entry), left_out_in_words(item.table)]
    return Block("table", " ".join(filter(None, said)), item.path, printed_table(table), _stale(item))


def _state(chapters: list[Chapter]) -> Iterator[Block]:
    yield Block("chapter", "Provenance")
    yield Block("text", SAID["origins"])
    yield Block("table", "Origins.", frame=printed_table(provenance_table(chapters)))
    yield Block("chapter", "Missing and stale")
    state, nothing = state_table(chapters), Block("text", SAID["nothing_to_run"])
    yield Block("table", "What to run again.", frame=state.map(str)) if len(state) else nothing
