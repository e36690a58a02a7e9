"""The document as blocks, Markdown, HTML and LaTeX tables, and all of it written at once."""

import html
import re

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from report_parts import book, write_cards, write_item

from hide_utils import paths, report
from hide_utils.evaluation.saving import save_table
from hide_utils.report import tables
from hide_utils.report.blocks import Block
from hide_utils.report.items import Item, collect
from hide_utils.report.pdf import write_pdf
from hide_utils.report.web import write_html
from hide_utils.stats import comparison_table


def test_document_has_everything_and_marks_the_gaps(project):
    blocks = report.document(project())
    assert [b.text for b in blocks if b.kind == "chapter"] == [
        "Findings", "05 · Benchmarks", "06 · Memory", "Provenance", "Missing and stale",
    ]  # fmt: skip
    gaps = [b.text for b in blocks if b.kind == "gap"]
    assert gaps == [
        "Missing: Never made (figure). Run 05_benchmarks.",
        "06_memory has no results here. Run it: hide run 06_memory",
    ]
    headline = blocks[2]
    assert headline.text.startswith("Headline:") and headline.frame["method"].tolist() == ["direct", "HiDe"]
    assert [b.path.name for b in blocks if b.kind == "figure"] == ["accuracy.png"]


def test_cards_come_before_every_figure_as_cards(project, tmp_path):
    write_cards(project.figures / "05_benchmarks", project.now)
    blocks = report.document(project())
    kinds = [block.kind for block in blocks]
    assert kinds.index("cards") < kinds.index("figure") and kinds.count("cards") == 1
    counts = next(block for block in blocks if block.text == "Verdicts of all cards.")
    assert counts.frame["notebook"].tolist() == ["05 · Benchmarks", "all"] and counts.fits
    assert not any(block.kind in ("data", "table") and block.path.name == "findings.csv" for block in blocks)
    soup = BeautifulSoup(write_html(blocks, tmp_path / "a.html").read_text(encoding="utf-8"), "html.parser")
    said = [tag.text for tag in soup.select("div > b")]
    assert said == ["It <helps>.", "It is | short."]
    text = soup.get_text(" ")
    assert (
        "would decide" in text and "no claim in the paper; holds here" in text and "Paper: it helps (table 1)" in text
    )
    assert write_pdf(blocks, tmp_path / "a.pdf", project.figures).read_bytes().startswith(b"%PDF")


def test_document_of_a_project_without_any_result_is_all_gaps(project):
    chapters = collect(project.folder / "nothing", project.notebooks)
    blocks = report.document(chapters)
    assert sum(b.kind == "gap" for b in blocks) == 3 and not any(b.kind == "figure" for b in blocks)
    assert tables.write_tables(chapters, project.folder / "nothing") == []
    assert write_pdf(blocks, project.folder / "empty.pdf", project.folder / "nothing").read_bytes().startswith(b"%PDF")


def test_notebook_that_saved_nothing_yet_is_a_gap(project):
    nbformat.write(book("07 · New"), project.notebooks / "07_new.ipynb")
    gaps = [b.text for b in report.document(project()) if b.kind == "gap"]
    assert "07_new has no results here. Run it: hide run 07_new" in gaps


def test_markdown_links_figures_escapes_text_and_says_what_is_stale(project):
    write_item(project.figures / "05_benchmarks", "accuracy.png", project.now, code="older")
    figure = next(b for b in report.document(project()) if b.kind == "figure")
    text = report.markdown(figure, project.notebooks)
    assert '<img src="../figures/05_benchmarks/accuracy.png" width="240"' in text
    assert "<b>Stale:</b> hide_utils changed since." in html.unescape(text)


@pytest.mark.parametrize(("rows", "columns", "shown"), [(12, 8, True), (13, 8, False), (12, 9, False)])
def test_a_table_is_shown_up_to_twelve_rows_and_eight_columns(rows, columns, shown):
    frame = pd.DataFrame([["x"] * columns] * rows, columns=[f"c{i}" for i in range(columns)])
    said = report.markdown(Block("data", "T.", paths.FIGURES / "05_x" / "main.csv", frame))
    assert said.count("<tr") == (rows + 1 if shown else 0)
    assert (f"T. {rows} rows and {columns} columns: figures/05_x/main.csv." in html.unescape(said)) != shown


ODD = '<b>a</b> & *b* _c_ [d](e) `f` $g$ $h$ | "i"\n\n# j'


def test_no_word_of_the_document_is_a_mark_in_its_html(project, tmp_path):
    figure = next(b for b in report.document(project()) if b.kind == "figure")
    frame = pd.DataFrame({ODD: [ODD, "< 0.1"]})
    kinds = [Block(kind, " ".join(ODD.split())) for kind in ("title", "contents", "chapter", "section", "text", "gap")]
    cards = Block("cards", "", frame=pd.DataFrame([[ODD] * 5]), stale=ODD)
    blocks = [*kinds, cards, Block("figure", ODD, figure.path, stale=ODD), Block("table", ODD, frame=frame, stale=ODD)]
    soup = BeautifulSoup(write_html(blocks, tmp_path / "report.html").read_text(encoding="utf-8"), "html.parser")
    assert not soup.find_all(["em", "strong", "code"]) and len(soup.find_all("h1")) == 1
    said = " ".join(ODD.split())
    assert [tag.text for tag in soup.find_all("b")] == ["GAP", said, "Stale:", "Stale:", "Stale:"]
    assert [tag.text for tag in soup.select("div div")] == [said, f"Paper: {said}", f"Taught: {said}"]
    assert soup.img["alt"] == said and soup.title.text == said
    assert [tag.text.removesuffix("¶") for tag in soup.find_all(["h1", "h2", "h3", "th"])] == [said] * 4
    assert [tag.text for tag in soup.find_all(["i", "td"])] == [said, said, said, "<\xa00.1"]
    assert {tag["href"].removeprefix("#") for tag in soup.ul.find_all("a")} <= {
        tag["id"] for tag in soup.find_all("h1")
    }


def test_html_holds_its_pictures_and_needs_nothing_from_elsewhere(project):
    blocks = report.document(project())
    text = write_html(blocks, project.folder / "out" / "report.html").read_text(encoding="utf-8")
    assert text.count("data:image/png;base64,") == 1
    assert not re.search(r'(?:src|href)="(?!data:|#)', text) and "<script" not in text and "@import" not in text
    links = re.findall(r'<li><a href="#([^"]+)"', text)
    assert len(links) == 5 and set(links) <= set(re.findall(r'<h[12] id="([^"]+)"', text))
    assert "05 · Benchmarks" in html.unescape(text) and "GAP" in text and "<table" in text


def test_tables_for_a_paper_are_latex_and_the_saved_csv(project):
    folder = project.figures / "tables"
    folder.mkdir()
    (folder / "05_benchmarks_gone.tex").write_text("stale")
    written = tables.write_tables(project(), project.figures)
    assert [path.name for path in written] == ["05_benchmarks_main.csv", "05_benchmarks_main.tex"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in written)
    assert written[0].read_bytes() == (project.figures / "05_benchmarks" / "main.csv").read_bytes()
    text = written[1].read_text(encoding="utf-8")
    assert r"\caption{Main.}" in text and r"\label{tab:05_benchmarks-main}" in text
    rows = re.search(r"\\midrule\n(.*)\\bottomrule", text, re.DOTALL)[1].strip().splitlines()
    columns = re.search(r"\\begin\{tabular\}\{(\w+)\}", text)[1]
    assert len(rows) == 2 and all(row.count(" & ") == len(columns) - 1 and row.endswith(r" \\") for row in rows)
    assert (columns[:2], set(columns[2:])) == ("lr", {"r"})
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")
    before = [path.stat().st_mtime_ns for path in written], [path.read_bytes() for path in written]
    assert [path.read_bytes() for path in tables.write_tables(project(), project.figures)] == before[1]


@pytest.mark.parametrize(
    ("text", "tex"),
    [("50 % & a_b #1 $x {y}", r"50 \% \& a\_b \#1 \$x \{y\}"),
     (r"a\b~c^", r"a\textbackslash{}b\textasciitilde{}c\textasciicircum{}"),
     ("σ ≥ 0.5 – “x” → <y>", r"$\sigma$ $\geq$ 0.5 -- ``x'' $\rightarrow$ \textless{}y\textgreater{}"),
     ("[0.1, 0.2]", "{}[0.1, 0.2]"), ("Straße, café, 标志", "Straße, café, 标志")],
)  # fmt: skip
def test_latex_is_escaped_and_letters_survive(text, tex, tmp_path):
    assert tables.in_latex(text) == tex
    path = tmp_path / "a.csv"
    pd.DataFrame({text: [text], "n": [1]}).to_csv(path, index=False)
    written = tables.latex(Item("05_x", "a", "table", path))
    assert f"{tex} & 1 " in written


def test_report_folder_is_beside_the_figures_of_a_run():
    assert report.report_folder(paths.FIGURES) == paths.RESULTS / "report"
    assert report.report_folder(paths.RUNS / "x" / "figures") == paths.RUNS / "x" / "report"


def test_everything_is_written_and_the_readme_for_the_committed_figures_alone(project, monkeypatch):
    monkeypatch.setattr(report, "collect", lambda figures: project())
    monkeypatch.setattr(report, "write_readme", lambda figures, target: target)
    written = report.write_report(project.figures)
    names = ["report.html", "report.pdf", "05_benchmarks_main.csv", "05_benchmarks_main.tex"]
    assert [path.name for path in written] == names and all(path.is_file() for path in written)
    assert written[0].parent == project.folder / "report"
    monkeypatch.setattr(paths, "FIGURES", project.figures)
    again = report.write_report(project.figures, project.folder / "elsewhere", into=project.figures)
    assert [path.name for path in again] == [*names, "README.md"] and again[-1] == report.README
    assert again[1] == project.folder / "elsewhere" / "report.pdf"
    assert [path.read_bytes() for path in again[:4]] == [path.read_bytes() for path in written]


def test_categories_keep_the_names_that_the_benchmark_gave_them(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "figures_folder", lambda: tmp_path)
    kinds = ["NA", "None", "null", "nan", "007", "1.10", "Straße", "标志"]
    answers = [
        {"sample_id": f"s{i}", "kind": kind, "method": method, "correct": True}
        for i, kind in enumerate(kinds)
        for method in ("direct", "hide")
    ]
    path, _ = save_table(comparison_table(pd.DataFrame(answers)), "a", "05_x", {})
    item = Item("05_x", "a", "table", path)
    assert item.table.loc[item.table["method"] == "hide", "kind"].tolist() == [*kinds, "all"]
    assert item.table.loc[item.table["method"] == "direct", "p"].isna().all(), "what is empty is missing"
    written = tables.latex(item)
    assert [kind for kind in kinds if f"\n{kind} & HiDe & " not in written] == []


@pytest.mark.parametrize("kinds", [["True", "False"], ["1", "2"]])
def test_categories_that_look_like_other_values_are_names(kinds, tmp_path):
    path = tmp_path / "a.csv"
    pd.DataFrame({"kind": kinds, "n": [1, 2]}).to_csv(path, index=False)
    assert Item("05_x", "a", "table", path).table["kind"].tolist() == kinds
