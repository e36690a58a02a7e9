"""The document as Markdown, HTML and LaTeX tables, and the command."""

import re

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_output
from report_parts import book, write_item

from hide_utils import paths, report
from hide_utils.report import __main__ as command
from hide_utils.report import latex, pages
from hide_utils.report.items import collect


def test_document_has_everything_and_marks_the_gaps(project):
    blocks = report.document(project(), project.folder)
    assert [b.text for b in blocks if b.kind == "chapter"] == [
        "05 · Benchmarks", "06 · Memory", "Provenance", "Missing and stale",
    ]  # fmt: skip
    gaps = [b.text for b in blocks if b.kind == "gap"]
    assert gaps == [
        "Missing: Never made (figure). Run 05_benchmarks.",
        "06_memory has no results here: python -m hide_utils.cli.run 06_memory",
    ]
    assert "1 figures and 1 tables of 2 notebooks. Missing: 2." in blocks[1].text
    headline = blocks[2]
    assert headline.text.startswith("Headline:") and headline.frame["n"].tolist() == ["4", "4"]
    assert [b.path.name for b in blocks if b.kind == "figure"] == ["accuracy.png"]


def test_document_of_a_project_without_any_result_is_all_gaps(project):
    chapters = collect(project.folder / "nothing", project.notebooks)
    blocks = report.document(chapters, project.folder)
    assert sum(b.kind == "gap" for b in blocks) == 3 and not any(b.kind == "figure" for b in blocks)
    assert latex.write_tables(chapters, project.folder / "nothing") == []
    assert pages.write_pdf(blocks, project.folder / "empty.pdf", "x").read_bytes().startswith(b"%PDF")


def test_notebook_that_saved_nothing_yet_is_a_gap(project):
    nbformat.write(book("07 · New"), project.notebooks / "07_new.ipynb")
    gaps = [b.text for b in report.document(project(), project.folder) if b.kind == "gap"]
    assert "07_new has no results here: python -m hide_utils.cli.run 07_new" in gaps


def test_markdown_links_figures_escapes_text_and_says_what_is_stale(project):
    write_item(project.figures / "05_benchmarks", "accuracy.png", project.now, code="older")
    figure = next(b for b in report.document(project(), project.folder) if b.kind == "figure")
    text = report.markdown(figure, project.notebooks)
    assert '<img src="../figures/05_benchmarks/accuracy.png" width="240"' in text
    assert "<b>Stale:</b> hide_utils changed since." in text
    odd = report.Block("text", "a <b> & c")
    assert report.markdown(odd) == "a &lt;b&gt; &amp; c"
    long = report.Block("table", "T.", frame=pd.DataFrame({"x": range(40)}))
    assert report.markdown(long).count("<tr") == 17 and "The first 16 of 40 rows." in report.markdown(long)


def test_html_holds_its_pictures_and_needs_nothing_from_elsewhere(project, monkeypatch):
    monkeypatch.setattr(paths, "NOTEBOOKS", project.notebooks)
    body = "\n\n".join(
        report.markdown(block, project.notebooks) for block in report.document(project(), project.folder)
    )
    shown = new_code_cell("show()", metadata={"tags": ["report"]}, execution_count=1)
    shown.outputs = [new_output("display_data", data={"text/markdown": body, "text/plain": "x"})]
    hidden = new_code_cell("secret()", outputs=[new_output("stream", text="hidden")])
    path = project.notebooks / "09_report.ipynb"
    nbformat.write(book("09 · Report", hidden, shown), path)
    text = report.write_html(path, project.folder / "out" / "report.html").read_text()
    assert text.count("data:image/png;base64,") == 1
    assert not re.search(r'(?:src|href)="(?!data:|#)', text) and "<script" not in text and "@import" not in text
    assert "show()" not in text and "hidden" not in text
    links = re.findall(r'href="#([^"]+)"', text[: text.index("</ul>")])
    assert len(links) == 5 and set(links) <= set(re.findall(r'<h[12] id="([^"]+)"', text))
    assert "05 · Benchmarks" in text and "GAP" in text and "<table" in text
    nbformat.write(book("09 · Report"), path)
    with pytest.raises(ValueError, match="09_report.ipynb has no outputs: run it first"):
        report.write_html(path, project.folder / "report.html")


def test_tables_for_a_paper_are_ascii_latex_and_the_numbers_unrounded(project):
    folder = project.figures / "tables"
    folder.mkdir()
    (folder / "05_benchmarks_gone.tex").write_text("stale")
    written = latex.write_tables(project(), project.figures)
    assert [path.name for path in written] == ["05_benchmarks_main.csv", "05_benchmarks_main.tex"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in written)
    assert written[0].read_bytes() == (project.figures / "05_benchmarks" / "main.csv").read_bytes()
    text = written[1].read_text()
    assert text.isascii()
    rows = re.search(r"\\midrule\n(.*)\\bottomrule", text, re.DOTALL)[1].strip().splitlines()
    columns = re.search(r"\\begin\{tabular\}\{(\w+)\}", text)[1]
    assert len(rows) == 2 and all(row.count(" & ") == len(columns) - 1 and row.endswith(r" \\") for row in rows)
    assert (columns[:2], set(columns[2:])) == ("lr", {"r"})
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")
    before = [path.stat().st_mtime_ns for path in written], [path.read_bytes() for path in written]
    assert [path.read_bytes() for path in latex.write_tables(project(), project.figures)] == before[1]


@pytest.mark.parametrize(
    ("text", "tex"),
    [("50 % & a_b #1 $x {y}", r"50 \% \& a\_b \#1 \$x \{y\}"),
     (r"a\b~c^", r"a\textbackslash{}b\textasciitilde{}c\textasciicircum{}"),
     ("σ ≥ 0.5 – “x” → ☃", r"$\sigma$ $\geq$ 0.5 -- ``x'' $\rightarrow$ ?")],
)  # fmt: skip
def test_latex_is_escaped(text, tex):
    assert latex._tex(text) == tex


def test_report_folder_is_beside_the_figures_of_a_run():
    assert report.report_folder(paths.FIGURES) == paths.RESULTS / "report"
    assert report.report_folder(paths.RUNS / "x" / "figures") == paths.RUNS / "x" / "report"


def test_command_runs_the_notebook_and_writes_the_html(project, monkeypatch, capsys):
    asked, written = [], []
    monkeypatch.setattr(command, "run_notebooks", lambda words: asked.append(words) or 0)
    monkeypatch.setattr(command, "write_html", lambda notebook, target: written.append((notebook, target)) or target)
    assert command.main([]) == 0
    assert command.main(["--preset", "tiny"]) == 0
    assert asked == [["09_report", "--preset", "mini", "--inplace"], ["09_report", "--preset", "tiny"]]
    assert written[0] == (paths.NOTEBOOKS / "09_report.ipynb", paths.RESULTS / "report" / "report.html")
    assert written[1] == (paths.RUNS / "tiny" / "09_report.ipynb", paths.RUNS / "tiny" / "report" / "report.html")
    assert "data/results/report/report.pdf" in capsys.readouterr().out
    monkeypatch.setattr(command, "run_notebooks", lambda words: 1)
    assert command.main([]) == 1
