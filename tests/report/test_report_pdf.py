"""The document as a PDF for print."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hide_utils import paths
from hide_utils.report import collect, document, pdf
from hide_utils.report.blocks import MOST_ROWS, Block
from hide_utils.report.pdf import MOST_PAGES, for_template, in_print, write_pdf

TITLE = Block("title", "T")


def n_pages(content):
    return len(re.findall(rb"/Type */Page\b", content))


@pytest.fixture
def figure(tmp_path):
    Image.fromarray(np.full((440, 880, 3), 200, np.uint8)).save(tmp_path / "a.png")
    return Block("figure", "Caption.", tmp_path / "a.png")


def test_same_blocks_give_the_same_bytes(project, tmp_path):
    blocks = document(project())
    first, second = (write_pdf(blocks, tmp_path / name, project.figures).read_bytes() for name in ("a.pdf", "b.pdf"))
    assert first.startswith(b"%PDF") and first == second
    assert b"Libertinus" in first, "text stays text"


def test_report_of_the_committed_figures_is_short_enough_to_print(tmp_path):
    blocks = document(collect(paths.FIGURES))
    content = write_pdf(blocks, tmp_path / "a.pdf", paths.FIGURES).read_bytes()
    assert 5 < n_pages(content) <= MOST_PAGES == 25
    shown = [block.path for block in in_print(blocks) if block.kind == "figure"]
    assert shown == [block.path for block in blocks if block.kind == "figure"]


def test_figures_shrink_where_there_would_be_too_many_pages(tmp_path, monkeypatch):
    """Two of them fill a page at full size."""
    Image.fromarray(np.full((1000, 1500, 3), 200, np.uint8)).save(tmp_path / "wide.png")
    blocks = [TITLE, *[Block("figure", "Caption.", tmp_path / "wide.png")] * 56]
    assert n_pages(write_pdf(blocks, tmp_path / "small.pdf", tmp_path).read_bytes()) <= MOST_PAGES
    monkeypatch.setattr(pdf, "SCALES", (1.0,))
    assert n_pages(write_pdf(blocks, tmp_path / "large.pdf", tmp_path).read_bytes()) > MOST_PAGES


def test_no_word_is_taken_for_a_mark(figure, tmp_path):
    odd = '#panic("no") *a* $b$ <c> @d [e] \\f `g` // h /* = "i" σ ≥ α é 标'
    table = Block("table", odd, frame=pd.DataFrame({odd: [odd]}), stale=odd)
    kinds = [Block(kind, odd) for kind in ("title", "text", "contents", "chapter", "section", "gap")]
    path = write_pdf([*kinds, replace(figure, text=odd, stale=odd), table], tmp_path / "out.pdf", tmp_path)
    assert n_pages(path.read_bytes()) == 1


def test_a_figure_is_its_vector_file_where_there_is_one(figure, tmp_path):
    without = write_pdf([TITLE, figure], tmp_path / "1.pdf", tmp_path).read_bytes()
    write_pdf([Block("title", "drawn")], tmp_path / "a.pdf", tmp_path)
    assert write_pdf([TITLE, figure], tmp_path / "2.pdf", tmp_path).read_bytes() != without


def test_long_tables_and_tables_of_numbers_are_named_with_their_files(tmp_path):
    long = pd.DataFrame({"finding": ["words"] * (MOST_ROWS + 1)})
    blocks = [
        TITLE,
        Block("chapter", "C"),
        Block("section", "bare"),
        Block("text", "of a section without figure"),
        Block("data", "Numbers.", tmp_path / "05_x" / "numbers.csv", long),
        Block("section", "kept"),
        Block("table", "Findings.", tmp_path / "05_x" / "findings.csv", long),
        Block("chapter", "D"),
        Block("data", "What to run again.", frame=long),
    ]
    printed = list(in_print(blocks))
    assert [block.text for block in printed] == [
        "T",
        "C",
        "kept",
        "Findings.",
        "Tables of numbers in 05_x: numbers.csv (13 rows).",
        "D",
        "Tables of numbers in report.html: What to run again (13 rows).",
    ]
    assert n_pages(write_pdf(blocks, tmp_path / "a.pdf", tmp_path).read_bytes()) == 1


@pytest.mark.parametrize("n", [MOST_ROWS, MOST_ROWS + 1])
def test_table_is_printed_up_to_twelve_rows(n, tmp_path):
    table = Block("table", "Findings.", tmp_path / "findings.csv", pd.DataFrame({"a": ["x"] * n, "b": ["1"] * n}))
    data = for_template(table, tmp_path)
    if n > MOST_ROWS:
        assert "rows" not in data and data["text"] == "Findings. 13 rows and 2 columns: findings.csv."
    else:
        assert len(data["rows"]) == 12 and data["sides"] == ["left", "right"] and data["text"] == "Findings."
