"""The document as pages of a PDF."""

import re

import pandas as pd
import pytest

from hide_utils import report
from hide_utils.report import pages


def test_lines_fit_their_width_and_no_word_is_lost():
    text = "The quick brown fox jumps over the lazy dog and " + "x" * 300 + " ends $a_b$."
    lines = pages.wrapped(text, 2.0, 9.0)
    assert all(pages.text_width(line, 9.0) <= 2.0 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert pages.wrapped("", 2.0, 9.0) == []
    assert pages.text_width("mm", 18.0) == pytest.approx(2 * pages.text_width("mm", 9.0))


def test_wide_tables_are_squeezed_into_the_page():
    frame = pd.DataFrame({f"column number {i}": ["a few words that can wrap " * 3, "x"] for i in range(9)})
    size, widths = pages.column_widths(frame)
    assert sum(widths) <= pages.TEXT_WIDTH + 1e-6 and size >= pages.SMALLEST
    small = pages.column_widths(pd.DataFrame({"a": ["1"]}))
    assert small[0] == pages.SIZES["table"] and sum(small[1]) < 1


def test_pdf_has_the_pages_it_needs_and_is_the_same_every_time(project, tmp_path):
    blocks = report.document(project(), project.folder)
    blocks += [report.Block("text", "many words " * 200)] * 8
    first = pages.write_pdf(blocks, tmp_path / "a.pdf", "HiDe").read_bytes()
    second = pages.write_pdf(blocks, tmp_path / "b.pdf", "HiDe").read_bytes()
    assert first == second
    assert len(re.findall(rb"/Type /Page\b", first)) >= 2
    assert b"DejaVuSans" in first, "text stays text"
