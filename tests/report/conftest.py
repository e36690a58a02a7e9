"""A small project to report on."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell
from report_parts import CODE, book, write_item

from hide_utils.evaluation.provenance import provenance_entry
from hide_utils.report import items
from hide_utils.report.items import collect


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Notebooks 05 (a figure and a table made, a figure not) and 06 (never run), and the report's own."""
    notebooks, figures = tmp_path / "notebooks", tmp_path / "figures"
    notebooks.mkdir()
    heading = new_markdown_cell("## 1 · How *often* is it right?\n\nBars are **intervals**.\n\n| x |\n|---|")
    nbformat.write(book("05 · Benchmarks", heading, new_code_cell(CODE)), notebooks / "05_benchmarks.ipynb")
    never = new_code_cell('save_table(df, "cost", cfg.notebook, entry)')
    nbformat.write(book("06 · Memory", never), notebooks / "06_memory.ipynb")
    nbformat.write(book("09 · Report"), notebooks / "09_report.ipynb")
    now = provenance_entry(model="mini")
    monkeypatch.setattr(items, "_now", lambda name, path: now | {"notebook": {"name": name, "hash": "today"}})
    write_item(figures / "05_benchmarks", "accuracy.png", now)
    write_item(figures / "05_benchmarks", "main.csv", now)

    def chapters():
        return collect(figures, notebooks)

    chapters.figures, chapters.notebooks, chapters.now, chapters.folder = figures, notebooks, now, tmp_path
    return chapters
