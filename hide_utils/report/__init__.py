"""The report: every figure and table of the project in one document, with captions computed from the results.

One list of blocks is shown by notebook 09, printed as PDF (`pages`) and written as self-contained HTML; `latex` writes
the tables for a paper. No model is loaded. `python -m hide_utils.report` (`make report`) makes all of it.
"""

from __future__ import annotations

import base64
import html
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import nbformat
import pandas as pd
from nbconvert import HTMLExporter
from PIL import Image

from hide_utils import paths
from hide_utils.evaluation.tables import COSTS
from hide_utils.files import replace_file
from hide_utils.report.captions import caption, measured_on, numbers, printed
from hide_utils.report.items import Chapter, Item, provenance_table, state_table, stored_answers_table

MOST_ROWS = 16  # of a table in the document; the file has all
DPI = 220  # of the saved PNGs, so that figures are shown at their printed size
SHOWN = 1.25  # times the printed size, on a screen
HEADLINE = ("05_benchmarks", "main")  # in the README too
IN_IDS = "?/:@!$&'()*+,;="  # what nbconvert and JupyterLab leave as it is in a heading's address
LAST = ("Provenance", "Missing and stale")  # chapters about the results themselves


@dataclass(frozen=True)
class Block:
    """A piece of the document: "title", "contents", "chapter", "section", "text", "figure", "table" or "gap".

    text: the words, or the caption; of the contents the chapters' titles, a line each. path: of a figure. frame: of a
    table, as text, all rows. stale: why it is older than what made it; empty where it is not.
    """

    kind: str
    text: str
    path: Path = Path()
    frame: pd.DataFrame = field(default_factory=pd.DataFrame)
    stale: str = ""


def document(chapters: Sequence[Chapter], results: Path | None = None) -> list[Block]:
    """The whole report as blocks, in reading order.

    results: folder of the stored answers; None: the project's.
    """
    state = state_table(list(chapters))
    blocks = [Block("title", "HiDe notebooks: report"), Block("text", summary(chapters, state))]
    blocks += [_headline(item) for c in chapters if (item := c.item(HEADLINE[1])) and c.notebook == HEADLINE[0]]
    blocks.append(Block("contents", "\n".join([*(c.title for c in chapters), *LAST])))
    for chapter in chapters:
        blocks += _chapter_blocks(chapter)
    blocks += [Block("chapter", LAST[0]), Block("text", "What made the figures and tables; hashes are shortened.")]
    blocks.append(Block("table", "Origins.", frame=printed(provenance_table(list(chapters)))))
    blocks.append(Block("chapter", LAST[1]))
    said = "Everything that the notebooks save is there, and made by this code and these settings."
    blocks.append(Block("table", "What to run again.", frame=state) if len(state) else Block("text", said))
    stored = stored_answers_table(results or paths.RESULTS)
    if len(stored):
        blocks += [Block("chapter", "Stored answers"), Block("table", "Answers kept on disk.", frame=printed(stored))]
    return blocks


def summary(chapters: Sequence[Chapter], state: pd.DataFrame) -> str:
    """How much there is, and how much of it is missing or stale."""
    items = [item for chapter in chapters for item in chapter.items]
    there = {kind: sum(item.kind == kind and not item.missing for item in items) for kind in ("figure", "table")}
    missing, stale = (state.loc[state["state"] == what, "items"].sum() for what in ("missing", "stale"))
    return (
        f"{there['figure']} figures and {there['table']} tables of {len(chapters)} notebooks. Missing: {missing}. "
        f"Older than the code or the settings that made them: {stale}. Every number in a caption is computed from the "
        "saved tables; intervals are 95 %. Values of the embedded miniature say how the method behaves on a small "
        "transformer and are no estimates for a 7B model; published values are reference marks, not measured_on here."
    )


def _chapter_blocks(chapter: Chapter) -> Iterator[Block]:
    yield Block("chapter", chapter.title)
    if chapter.question:
        yield Block("text", chapter.question)
    if all(item.missing for item in chapter.items):
        yield Block("gap", f"{chapter.notebook} has no results here: python -m hide_utils.cli.run {chapter.notebook}")
        return
    section = ""
    for item in chapter.items:
        if item.section != section:
            section = item.section
            yield Block("section", section or "More")
            if text := chapter.texts.get(section):
                yield Block("text", text)
        yield from _item_blocks(item, chapter)


def _headline(item: Item) -> Block:
    if item.missing:
        return Block("gap", f"The headline table is missing. Run {item.notebook}.")
    table = item.table.drop(columns=[name for name in COSTS if name in item.table])
    said = " ".join(["Headline: accuracy over all questions.", measured_on(item.entry), numbers(table)])
    return Block("table", said, frame=printed(table), stale="; ".join(item.stale))


def _item_blocks(item: Item, chapter: Chapter) -> list[Block]:
    said, stale = caption(item, chapter), "; ".join(item.stale)
    if item.missing:
        return [Block("gap", said)]
    if item.kind == "figure":
        return [Block("figure", said, item.path, stale=stale)]
    return [Block("table", said, frame=printed(item.table), stale=stale)]


# --- as Markdown and HTML -------------------------------------------------------------------------------------------


def markdown(block: Block, base: Path = paths.NOTEBOOKS) -> str:
    """A block for a notebook that lies in the folder `base`; figures are linked, not copied in."""
    said = html.escape(block.text, quote=False)
    stale = f" <b>Stale:</b> {html.escape(block.stale, quote=False)}." if block.stale else ""
    if block.kind in ("title", "chapter", "section"):
        return {"title": "# ", "chapter": "## ", "section": "### "}[block.kind] + said
    if block.kind == "contents":
        return "\n".join(f"- [{line}](#{quote(line.replace(' ', '-'), safe=IN_IDS)})" for line in said.splitlines())
    if block.kind == "gap":
        return f'<p style="border:1px dashed;padding:4px 8px"><b>GAP</b> {said}</p>'
    if block.kind == "figure":
        link = html.escape(Path(os.path.relpath(block.path, base)).as_posix())
        alt = html.escape(block.text)
        return f'<img src="{link}" width="{_shown_width(block.path)}" alt="{alt}">\n\n<i>{said}</i>{stale}'
    if block.kind == "table":
        shown = block.frame.head(MOST_ROWS).to_html(index=False, border=0).replace("&lt; ", "&lt;&nbsp;")
        return f"<i>{said}{rest_of(block.frame)}</i>{stale}\n\n{shown}"
    return said


def rest_of(frame: pd.DataFrame) -> str:
    """Says how many rows of a table are left out; empty where none are."""
    return f" The first {MOST_ROWS} of {len(frame)} rows." if len(frame) > MOST_ROWS else ""


def _shown_width(path: Path) -> int:
    """Width in CSS pixels at which a figure has its printed size, somewhat enlarged."""
    with Image.open(path) as picture:
        return round(picture.width / DPI * 96 * SHOWN)


PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>HiDe notebooks: report</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
img {{ max-width: 100%; height: auto; background: white; }}
table {{ border-collapse: collapse; font-size: .85rem; display: block; overflow-x: auto; }}
th, td {{ padding: .2rem .6rem; text-align: left; border-bottom: 1px solid #8884; }}
pre {{ white-space: pre-wrap; }}
.anchor-link {{ display: none; }}
</style></head><body>
{body}
</body></html>
"""


def write_html(notebook: Path, target: Path) -> Path:
    """The executed report notebook as one HTML file that needs no other: pictures inside, no code, no scripts.

    Raises ValueError for a notebook that has not been run.
    """
    book = nbformat.read(notebook, as_version=4)
    if not any(cell.get("outputs") for cell in book.cells):
        raise ValueError(f"{notebook.name} has no outputs: run it first (python -m hide_utils.cli.run {notebook.stem})")
    book.cells = [cell for cell in book.cells if cell.cell_type == "code" and "report" in cell.metadata.get("tags", [])]
    exporter = HTMLExporter(template_name="basic", exclude_input=True, exclude_output_prompt=True)
    body, _ = exporter.from_notebook_node(book)
    text = PAGE.format(body=re.sub(r'(<img [^>]*?src=")([^"]+)', lambda found: found[1] + _embedded(found[2]), body))
    replace_file(target, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return target


def _embedded(link: str) -> str:
    """A linked PNG as a data address (nbconvert itself embeds nothing from above a notebook's folder)."""
    if link.startswith("data:"):
        return link
    content = (paths.NOTEBOOKS / html.unescape(link)).read_bytes()
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def report_folder(figures: Path) -> Path:
    """Where HTML and PDF go: `data/results/report` for the committed figures, else beside the run's own."""
    return (paths.RESULTS if figures == paths.FIGURES else figures.parent) / "report"
