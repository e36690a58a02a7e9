"""The document as a list of blocks in reading order: the one source of what notebook 09, the HTML and the PDF show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from PIL import Image

from hide_utils import paths
from hide_utils.evaluation.tables import COSTS
from hide_utils.report.captions import caption, measured_on, printed_table, table_in_words
from hide_utils.report.items import Chapter, Item, provenance_table, state_table, stored_answers_table

DPI = 220  # of the saved PNGs
HEADLINE = ("05_benchmarks", "main")  # in the README too
CLAIMS = {"claim", "finding", "target"}  # a table with such a column says what came out, and is printed


@dataclass(frozen=True)
class Block:
    """A piece of the document.

    Attributes:
        kind: "title", "contents", "chapter", "section", "text", "figure", "table", "data" or "gap". Both "table" and
            "data" are tables; "data" are rows of numbers, which the PDF leaves to their file.
        text: the words, or the caption. Of the contents: the chapters' titles, a line each.
        path: PNG of a figure, CSV of a table. The empty path where a table is saved nowhere.
        frame: all rows of a table, as text.
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


def document(chapters: Sequence[Chapter], results: Path | None = None) -> list[Block]:
    """The whole report as blocks, in reading order.

    Args:
        chapters: what `items.collect` found.
        results: folder of the stored answers; None: the project's.
    """
    state = state_table(list(chapters))
    body = [block for chapter in chapters for block in _chapter_blocks(chapter)]
    body += _about_the_results(chapters, state, stored_answers_table(results or paths.RESULTS))
    blocks = [Block("title", "HiDe notebooks: report"), Block("text", summary(chapters, state))]
    blocks += [_headline(item) for c in chapters if (item := c.item(HEADLINE[1])) and c.notebook == HEADLINE[0]]
    titles = [block.text for block in body if block.kind == "chapter"]
    return [*blocks, Block("contents", "\n".join(titles)), *body]


def _about_the_results(chapters: Sequence[Chapter], state: pd.DataFrame, stored: pd.DataFrame) -> Iterator[Block]:
    yield Block("chapter", "Provenance")
    yield Block("text", "What made the figures and tables; hashes are shortened.")
    yield Block("table", "Origins.", frame=printed_table(provenance_table(list(chapters))))
    yield Block("chapter", "Missing and stale")
    said = "Everything that the notebooks save is there, and made by this code and these settings."
    yield Block("data", "What to run again.", frame=state) if len(state) else Block("text", said)
    if len(stored):
        yield Block("chapter", "Stored answers")
        yield Block("data", "Answers kept on disk.", frame=printed_table(stored))


def summary(chapters: Sequence[Chapter], state: pd.DataFrame) -> str:
    """How much there is, and how much of it is missing or stale."""
    items = [item for chapter in chapters for item in chapter.items]
    there = {kind: sum(item.kind == kind and not item.missing for item in items) for kind in ("figure", "table")}
    missing, stale = (state.loc[state["state"] == what, "items"].sum() for what in ("missing", "stale"))
    return (
        f"{there['figure']} figures and {there['table']} tables of {len(chapters)} notebooks. Missing: {missing}. "
        f"Older than the code or the settings that made them: {stale}. Every number in a caption is computed from the "
        "saved tables; intervals are 95 %. Values of the embedded miniature say how the method behaves on a small "
        "transformer and are no estimates for a 7B model; published values are reference marks, not measured here."
    )


def _chapter_blocks(chapter: Chapter) -> Iterator[Block]:
    yield Block("chapter", chapter.title)
    if chapter.question:
        yield Block("text", chapter.question)
    if all(item.missing for item in chapter.items):
        yield Block("gap", f"{chapter.notebook} has no results here. Run it: hide run {chapter.notebook}")
        return
    section = ""
    for item in chapter.items:
        if item.section != section:
            section = item.section
            yield Block("section", section or "More")
            if text := chapter.texts.get(section):
                yield Block("text", text)
        yield _item_block(item, chapter)


def _headline(item: Item) -> Block:
    if item.missing:
        return Block("gap", f"The headline table is missing. Run {item.notebook}.")
    table = item.table.drop(columns=[name for name in COSTS if name in item.table])
    said = " ".join(["Headline: accuracy over all questions.", measured_on(item.entry), table_in_words(table)])
    return Block("table", said, item.path, printed_table(table), "; ".join(item.stale))


def _item_block(item: Item, chapter: Chapter) -> Block:
    said, stale = caption(item, chapter), "; ".join(item.stale)
    if item.missing:
        return Block("gap", said)
    if item.kind == "figure":
        return Block("figure", said, item.path, stale=stale)
    return Block("table" if CLAIMS & set(item.table) else "data", said, item.path, printed_table(item.table), stale)
