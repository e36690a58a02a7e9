"""The report: the cards, figures and tables of all notebooks in one document.

Read `notebook_text` and `items` (what there is), `captions` (what stands below it) and `blocks` (the document). `web`,
`pdf`, `tables` and `readme` write it down as Markdown and HTML, as PDF, as LaTeX and CSV, and into README.md.
No model is loaded and no notebook is run.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from hide_utils import paths
from hide_utils.evaluation.saving import output_folder
from hide_utils.report.blocks import by_chapter, document
from hide_utils.report.items import Chapter, collect, state_table
from hide_utils.report.pdf import write_pdf
from hide_utils.report.readme import README, write_page, write_readme
from hide_utils.report.tables import write_tables
from hide_utils.report.web import markdown, write_html


def write_report(
    figures: Path, target: Path | None = None, chapters: Sequence[Chapter] | None = None, into: Path | None = None
) -> list[Path]:
    """Write the report on a folder of figures: `report.html`, `report.pdf`, and `tables/`.

    Of the committed figures the tables in README.md are written anew too. No notebook is changed.

    Args:
        figures: folder with one folder for each notebook.
        target: folder for HTML and PDF; None: that of `report_folder`.
        chapters: what `collect` found in `figures`; None: it is collected here.
        into: folder for `tables/`; None: where this process writes figures, for figures of another run beside those.
            A README.md beside `tables/` takes the place of the project's own where `into` is not `figures`.

    Returns:
        What was written, HTML and PDF first.
    """
    chapters = collect(figures) if chapters is None else chapters
    blocks = document(chapters)
    target = target or report_folder(figures)
    written = [write_html(blocks, target / "report.html"), write_pdf(blocks, target / "report.pdf", figures)]
    into = into or (output_folder() if figures in (paths.FIGURES, paths.figures_folder()) else figures)
    written += write_tables(chapters, into)
    if figures == paths.FIGURES:
        written.append(write_readme(figures, target=README if into == figures else into / README.name))
    return written


def report_folder(figures: Path) -> Path:
    """Where HTML and PDF go: `data/results/report` for the committed figures, else beside the run's own."""
    return (paths.RESULTS if figures == paths.FIGURES else figures.parent) / "report"


def main(argv: list[str] | None = None) -> int:
    """The command `hide report`. Prints the files it wrote and returns 0. No notebook is run and none is changed."""
    parser = argparse.ArgumentParser(prog="hide report", description="Write the report on what is there.")
    parser.add_argument("--preset", default=paths.DEFAULT_PRESET, help="whose figures are reported, or a run's name")
    figures = paths.figures_folder(parser.parse_args(argv).preset)
    if not figures.is_dir():
        parser.error(f"{figures} is not there; `hide list` shows the runs")
    written = write_report(figures, into=figures)
    for path in [*written, write_page()] if figures == paths.FIGURES else written:
        print(paths.portable(path))
    return 0
