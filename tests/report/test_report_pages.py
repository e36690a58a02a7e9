"""The document as pages of a PDF."""

import re

import pandas as pd
import pytest

from hide_utils import report
from hide_utils.report import page_tables, pages, paper


def test_lines_fit_their_width_and_no_word_is_lost():
    text = "The quick brown fox jumps over the lazy dog and " + "x" * 300 + " ends $a_b$."
    lines = paper.wrapped(text, 2.0, 9.0)
    assert all(paper.text_width(line, 9.0) <= 2.0 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert paper.wrapped("", 2.0, 9.0) == []
    assert paper.text_width("mm", 18.0) == pytest.approx(2 * paper.text_width("mm", 9.0))


def test_wide_tables_are_squeezed_into_the_page():
    frame = pd.DataFrame({f"column number {i}": ["a few words that can wrap " * 3, "x"] for i in range(9)})
    size, widths = page_tables.column_widths(frame)
    assert sum(widths) <= paper.TEXT_WIDTH + 1e-6 and size >= page_tables.SMALLEST
    small = page_tables.column_widths(pd.DataFrame({"a": ["1"]}))
    assert small[0] == paper.SIZES["table"] and sum(small[1]) < 1


def test_pdf_has_the_pages_it_needs_and_is_the_same_every_time(project, tmp_path):
    blocks = report.document(project(), project.folder)
    blocks += [report.Block("text", "many words " * 200)] * 8
    first = pages.write_pdf(blocks, tmp_path / "a.pdf", "HiDe").read_bytes()
    second = pages.write_pdf(blocks, tmp_path / "b.pdf", "HiDe").read_bytes()
    assert first == second
    assert len(re.findall(rb"/Type /Page\b", first)) >= 2
    assert b"DejaVuSans" in first, "text stays text"


def test_short_cells_are_not_broken_while_letters_can_shrink():
    frame = pd.DataFrame({f"a head of many words {i}": ["70.5 [63.8, 76.4]", "oracle boxes"] for i in range(9)})
    size, widths = page_tables.column_widths(frame)
    assert sum(widths) <= paper.TEXT_WIDTH + 1e-6 and page_tables.SMALLEST < size < paper.SIZES["table"]
    assert all(len(paper.wrapped("70.5 [63.8, 76.4]", width - 0.08, size)) == 1 for width in widths)


def test_table_moves_to_the_next_page_whole_and_a_long_one_repeats_its_head(monkeypatch, tmp_path):
    written = []

    def write(self, text, x, y, size, **style):
        written.append((self.number, text))

    monkeypatch.setattr(paper.Pages, "write", write)
    title = report.Block("title", "T")
    texts = [report.Block("text", f"line {i}") for i in range(30)]  # they leave room for a few rows
    short = report.Block("table", "Short.", frame=pd.DataFrame({"head": [f"row{i}" for i in range(12)]}))
    pages.write_pdf([title, *texts, short], tmp_path / "a.pdf", "x")
    on = {word: page for page, word in written}
    assert on["line 29"] == 1 and {on[word] for word in ("Short.", "head", "row0", "row11")} == {2}
    written.clear()
    cells = [f"row{i} " + "words that wrap " * 120 for i in range(12)]
    pages.write_pdf(
        [title, report.Block("table", "Long.", frame=pd.DataFrame({"head": cells}))], tmp_path / "b.pdf", "x"
    )
    heads = [page for page, word in written if word == "head"]
    assert heads == sorted(set(heads)) and len(heads) == max(page for page, _ in written) > 1


def test_table_too_wide_to_read_is_folded_and_every_part_says_of_what():
    names = ["kind", "method", *(f"measure {i} [95 % interval]" for i in range(16))]
    frame = pd.DataFrame([["color", "oracle boxes", *["70.5 [63.8, 76.4]"] * 16]] * 3, columns=names)
    parts = page_tables.folded(frame)
    assert len(parts) > 1 and all(list(part.columns[:2]) == names[:2] for part in parts)
    assert [name for part in parts for name in part.columns[2:]] == names[2:]
    assert all(page_tables.column_widths(part)[0] >= page_tables.LEGIBLE for part in parts)
    assert page_tables.folded(frame.iloc[:, :4])[0].equals(frame.iloc[:, :4])
