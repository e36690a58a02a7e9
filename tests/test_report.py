"""The report from a small project of its own: what is found, missing and stale, captions, tables, HTML and PDF."""

import hashlib
import json
import re

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from hide_utils import paths, report, report_items, report_pages
from hide_utils.provenance import provenance
from hide_utils.report_captions import TABLE_OF, caption, intervals, measured, number, numbers, printed
from hide_utils.report_items import Item, collect, provenance_table, saved_by, state_table, stored_answers_table
from hide_utils.results import ResultStore
from hide_utils.stats import comparison_table

PARAMETERS = "n = 40  # samples\nmodel = 'mini'"
CODE = """fig = draw()
files = save_figure(fig, "accuracy", cfg.notebook, entry)
files += save_table(df, "comparison", cfg.notebook, entry)
files += save_figure(fig, "never_made", cfg.notebook, entry)"""


def book(title, *cells):
    first = new_markdown_cell(f"# {title}\n\n**Question.** Does *it*\nwork?\n\n| a |\n|---|\n| b |")
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    return new_notebook(
        metadata={"kernelspec": kernel},
        cells=[first, new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}), *cells],
    )


def write_item(folder, name, now, **changes):
    """A figure or table with a sidecar as a run would leave it today, but for the changes."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    if path.suffix == ".png":
        Image.fromarray(np.full((220, 440, 3), 200, np.uint8)).save(path)
    else:
        results().to_csv(path, index=False)
    entry = now | {
        "files": {name: hashlib.sha256(path.read_bytes()).hexdigest()},
        "notebook": {"name": folder.name, "hash": "today"},
        "parameters": {"n": 40, "model": "mini", "benchmark": "scenes", "resolution": 448, "split": "test"},
        "benchmark": {"n": 40, "hash": "0123456789"},
    }
    sidecar = path.with_suffix(".json") if path.suffix == ".png" else folder / f"{name}.json"
    sidecar.write_text(json.dumps(entry | changes))
    return path


def results():
    """Two methods on four samples of two kinds, as `comparison_table` reports them."""
    rows = [
        {"sample_id": str(i), "kind": "colour" if i < 2 else "place", "method": m, "correct": right}
        for m, outcomes in (("direct", (1, 0, 0, 0)), ("hide", (1, 1, 1, 0)))
        for i, right in enumerate(outcomes)
    ]
    return comparison_table(pd.DataFrame(rows))


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
    now = provenance(model="mini")
    monkeypatch.setattr(report_items, "_now", lambda name, path: now | {"notebook": {"name": name, "hash": "today"}})
    write_item(figures / "05_benchmarks", "accuracy.png", now)
    write_item(figures / "05_benchmarks", "comparison.csv", now)

    def chapters():
        return collect(figures, notebooks)

    chapters.figures, chapters.notebooks, chapters.now, chapters.folder = figures, notebooks, now, tmp_path
    return chapters


# --- what there is --------------------------------------------------------------------------------------------------


def test_collects_what_notebooks_save_in_their_order_with_titles_and_questions(project):
    first, second = project()
    assert (first.title, first.question) == ("05 · Benchmarks", "Does it work?")
    found = [(item.name, item.kind, item.missing, item.section) for item in first.items]
    section = "1 · How often is it right?"
    assert found == [
        ("accuracy", "figure", False, section),
        ("comparison", "table", False, section),
        ("never_made", "figure", True, section),
    ]
    assert first.texts == {section: "Bars are intervals."}
    assert [(item.name, item.missing) for item in second.items] == [("cost", True)]
    assert not any(item.stale for item in first.items)


def test_collects_what_lies_there_besides_and_nothing_of_half_written_files(project):
    folder = project.figures / "05_benchmarks"
    write_item(folder, "view.png", project.now)
    (folder / "notes.txt").write_text("x")
    (folder / "odd.csv").write_text("")
    (folder / "odd.csv.json").write_text("{torn")
    items = {item.name: item for item in project()[0].items}
    assert set(items) == {"accuracy", "comparison", "never_made", "view", "odd"}
    assert items["odd"].stale == ("no sidecar says what made it",)
    assert items["odd"].table.empty
    assert report.document(project(), project.folder)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"code": "older"}, "hide_utils changed since"),
        ({"notebook": {"hash": "older"}}, "the notebook's code changed since"),
        ({"model": {"name": "mini", "hash": "older"}}, "the model's weights changed since"),
        ({"versions": {"torch": "1.0"}}, "made with torch 1.0, here is"),
        ({"files": {"accuracy.png": "0" * 64}}, "accuracy.png is not the file that was made"),
        ({"files": {"accuracy.pdf": "0" * 64}}, "accuracy.pdf is not the file that was made"),
    ],
)
def test_older_than_code_settings_or_versions_is_stale(project, changes, reason):
    write_item(project.figures / "05_benchmarks", "accuracy.png", project.now, **changes)
    (item,) = (item for item in project()[0].items if item.name == "accuracy")
    assert any(said.startswith(reason) for said in item.stale)
    table = state_table(project())
    stale = table[table["state"] == "stale"]
    assert stale["names"].tolist() == ["accuracy.png"] and reason in stale["why"].item()


def test_other_parameters_than_the_notebook_s_are_stale_in_the_committed_figures_alone(project, monkeypatch):
    used = {"n": 7, "model": "mini"}
    write_item(project.figures / "05_benchmarks", "accuracy.png", project.now, parameters=used)
    assert not project()[0].items[0].stale
    monkeypatch.setattr(paths, "FIGURES", project.figures)
    assert project()[0].items[0].stale == ("made with n 7, the notebook has 40",)


def test_another_model_s_weights_are_not_compared(project):
    model = {"name": "Qwen/Qwen2.5-VL-7B-Instruct", "hash": None}
    write_item(project.figures / "05_benchmarks", "accuracy.png", project.now, model=model)
    assert not project()[0].items[0].stale


def test_state_lists_what_is_missing_and_is_empty_where_nothing_is(project):
    table = state_table(project())
    assert table[["notebook", "state", "items", "names"]].to_numpy().tolist() == [
        ["05_benchmarks", "missing", 1, "never_made.png"],
        ["06_memory", "missing", 1, "cost.csv"],
    ]
    assert state_table([]).empty


def test_provenance_has_one_row_for_what_was_made_alike(project):
    table = provenance_table(project())
    assert table[["notebook", "samples", "items"]].to_numpy().tolist() == [["05_benchmarks", 40, 2]]
    write_item(project.figures / "05_benchmarks", "accuracy.png", project.now, commit="f" * 40)
    assert provenance_table(project())["items"].tolist() == [1, 1]
    assert provenance_table([]).empty


def test_stored_answers_say_whether_the_weights_are_today_s(tmp_path, project):
    for name, weights in (("now", project.now["model"]["hash"]), ("old", "older")):
        with ResultStore(tmp_path / "05_x" / f"{name}.parquet", {"model": "mini", "weights": weights}) as store:
            store.append([{"sample_id": "a", "method": "direct"}])
    table = stored_answers_table(tmp_path).set_index("file")
    assert table["current weights"].to_dict() == {"now": "yes", "old": "no"}
    assert table["rows"].tolist() == [1, 1]


def test_notebooks_of_the_project_save_under_names_that_the_captions_know():
    for (notebook, figure), table in TABLE_OF.items():
        book = nbformat.read(paths.NOTEBOOKS / f"{notebook}.ipynb", as_version=4)
        wanted = [(figure, "figure"), (table, "table")]
        known = {one[:2] for one in saved_by(book, wanted) if one[2]}
        assert set(wanted) <= known, (notebook, figure, table)


def test_what_is_saved_under_a_name_from_a_variable_is_found_at_its_place(project):
    cells = [
        new_markdown_cell("## First"),
        new_code_cell(
            'kinds = ["last"]\nfor name in ["left", "right"]:\n    save_figure(fig, name, cfg.notebook, entry)'
        ),
        new_markdown_cell("## Second"),
        new_code_cell('%magic\nsave_figure(fig, "unseen", cfg.notebook, entry)'),
        new_code_cell('save_table(df, "last", cfg.notebook, entry)'),
    ]
    there = [("besides", "figure"), ("left", "figure"), ("last", "table")]
    assert saved_by(book("x", *cells), there) == [
        ("left", "figure", "First"),
        ("last", "table", "Second"),
        ("besides", "figure", ""),
    ]


# --- captions -------------------------------------------------------------------------------------------------------


def test_caption_of_a_comparison_has_its_numbers_worked_by_hand(project):
    chapter = project()[0]
    said = caption(chapter.items[0], chapter)
    assert said.startswith(
        "Accuracy. Embedded miniature, scenes 448 px, test split, n = 40. Accuracy: direct 25.0 % (4.6 to"
    )
    assert "HiDe 75.0 % (30.1 to 95.4, n = 4)" in said
    assert re.search(r"HiDe \+50\.0 points \(-?\+?[\d.]+ to \+[\d.]+; Holm-corrected p = 1, not significant\)", said)
    assert caption(chapter.items[1], chapter) == "Comparison. The numbers of figure “Accuracy”."
    assert caption(chapter.items[2], chapter) == "Missing: Never made (figure). Run 05_benchmarks."


def test_significance_is_said_by_the_corrected_p():
    row = {
        "method": ["a", "b"],
        "n": 9,
        "difference": [0.5, -0.1],
        "low": -0.2,
        "high": 0.8,
        "p_holm": [0.0499, 0.0501],
    }
    said = numbers(pd.DataFrame(row))
    assert "a +0.500" not in said and "a 0.5 (-0.2 to 0.8; Holm-corrected p = 0.05, significant)" in said
    assert "p = 0.05, not significant" in said
    many = pd.DataFrame(
        {"layer": range(9), "difference": [1.0] * 4 + [-1.0] * 5, "low": 0, "high": 1, "p_holm": [0.01, 0.9, 0.01] * 3}
    )
    assert numbers(many) == "Of 9 differences 3 are significantly above and 3 below zero (Holm-corrected, 5 %)."


def test_captions_of_other_tables_say_ranges_counts_and_verdicts():
    curve = pd.DataFrame(
        {"resolution": [448, 896] * 2, "method": ["direct"] * 2 + ["hide"] * 2, "n": [40, 400] * 2,
         "accuracy": [0.8, 0.5, 0.9, 0.7], "low": 0.1, "high": 0.95}
    )  # fmt: skip
    assert numbers(curve) == (
        "Accuracy from resolution 448 to 896: direct 80.0 % to 50.0 %; HiDe 90.0 % to 70.0 % (n = 40 to 400 a point)."
    )
    findings = pd.DataFrame({"finding": list("abc"), "agrees": ["yes", "no", "yes"]})
    assert numbers(findings) == "Of 3 findings of the paper, agreement here: 2 “yes”, 1 “no”."
    spread = pd.DataFrame(
        {"measure": ["iou", "iou", "area", "area"], "estimate": [0.1, 0.25, 2, 3], "low": 0, "high": 4, "n": 7}
    )
    assert numbers(spread) == "Estimate over 4 rows: IoU 0.1 to 0.25; area 2 to 3, n = 7."
    assert numbers(pd.DataFrame({"a_b": [1], "c": [2]})) == "1 rows: a b, c."
    assert numbers(pd.DataFrame()) == ""
    assert measured(None) == ""


def test_intervals_are_found_behind_their_estimate_whatever_it_is_called():
    before_after = [
        "kind",
        "accuracy_before",
        "before_low",
        "before_high",
        "difference",
        "difference_low",
        "difference_high",
    ]
    assert intervals(pd.DataFrame(columns=before_after)) == {
        "accuracy_before": ("before_low", "before_high"),
        "difference": ("difference_low", "difference_high"),
    }
    tested = pd.DataFrame(
        [["x", 0.75, 0.25, 0.5, 0.1, 0.9]],
        columns=["method", "accuracy", "accuracy_against", "difference", "low", "high"],
    )
    shown = printed(tested)
    assert list(shown.columns) == ["method", "accuracy %", "accuracy against %", "difference % [95 % interval]"]
    assert shown.iloc[0].tolist() == ["x", "75", "25", "50.0 [10.0, 90.0]"]
    assert intervals(pd.DataFrame(columns=["low", "x_low"])) == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"), (float("nan"), "–"), (0.123456, "0.123"), (985.875, "986"), (2.0, "2"), (7, "7"), (True, "yes"),
        ("a", "a"), (1e-5, "1e-05"),
    ],
)  # fmt: skip
def test_numbers_are_printed_short(value, text):
    assert number(value) == text


# --- the document ---------------------------------------------------------------------------------------------------


def test_document_has_everything_and_marks_the_gaps(project):
    blocks = report.document(project(), project.folder)
    assert [b.text for b in blocks if b.kind == "chapter"] == [
        "05 · Benchmarks", "06 · Memory", "Provenance", "Missing and stale",
    ]  # fmt: skip
    gaps = [b.text for b in blocks if b.kind == "gap"]
    assert gaps == [
        "Missing: Never made (figure). Run 05_benchmarks.",
        "06_memory has no results here: python -m hide_utils.run 06_memory",
    ]
    assert "1 figures and 1 tables of 2 notebooks. Missing: 2." in blocks[1].text
    headline = blocks[2]
    assert headline.text.startswith("Headline:") and headline.frame["n"].tolist() == ["4", "4"]
    assert [b.path.name for b in blocks if b.kind == "figure"] == ["accuracy.png"]


def test_document_of_a_project_without_any_result_is_all_gaps(project):
    chapters = collect(project.folder / "nothing", project.notebooks)
    blocks = report.document(chapters, project.folder)
    assert sum(b.kind == "gap" for b in blocks) == 3 and not any(b.kind == "figure" for b in blocks)
    assert report.write_tables(chapters, project.folder / "nothing") == []
    assert report_pages.write_pdf(blocks, project.folder / "empty.pdf", "x").read_bytes().startswith(b"%PDF")


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
    assert "05 · Benchmarks" in text and "GAP" in text and "<table" in text
    nbformat.write(book("09 · Report"), path)
    with pytest.raises(ValueError, match="09_report.ipynb has no outputs: run it first"):
        report.write_html(path, project.folder / "report.html")


def test_tables_for_a_paper_are_ascii_latex_and_the_numbers_unrounded(project):
    folder = project.figures / "tables"
    folder.mkdir()
    (folder / "05_benchmarks_gone.tex").write_text("stale")
    written = report.write_tables(project(), project.figures)
    assert [path.name for path in written] == ["05_benchmarks_comparison.csv", "05_benchmarks_comparison.tex"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in written)
    assert written[0].read_bytes() == (project.figures / "05_benchmarks" / "comparison.csv").read_bytes()
    text = written[1].read_text()
    assert text.isascii()
    rows = re.search(r"\\midrule\n(.*)\\bottomrule", text, re.DOTALL)[1].strip().splitlines()
    columns = re.search(r"\\begin\{tabular\}\{(\w+)\}", text)[1]
    assert len(rows) == 6 and all(row.count(" & ") == len(columns) - 1 and row.endswith(r" \\") for row in rows)
    assert (columns[:3], set(columns[3:])) == ("llr", {"r"})
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")
    before = [path.stat().st_mtime_ns for path in written], [path.read_bytes() for path in written]
    assert [path.read_bytes() for path in report.write_tables(project(), project.figures)] == before[1]


@pytest.mark.parametrize(
    ("text", "tex"),
    [("50 % & a_b #1 $x {y}", r"50 \% \& a\_b \#1 \$x \{y\}"),
     (r"a\b~c^", r"a\textbackslash{}b\textasciitilde{}c\textasciicircum{}"),
     ("σ ≥ 0.5 – “x” → ☃", r"$\sigma$ $\geq$ 0.5 -- ``x'' $\rightarrow$ ?")],
)  # fmt: skip
def test_latex_is_escaped(text, tex):
    assert report._tex(text) == tex


# --- pages ----------------------------------------------------------------------------------------------------------


def test_lines_fit_their_width_and_no_word_is_lost():
    text = "The quick brown fox jumps over the lazy dog and " + "x" * 300 + " ends $a_b$."
    lines = report_pages.wrapped(text, 2.0, 9.0)
    assert all(report_pages.text_width(line, 9.0) <= 2.0 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert report_pages.wrapped("", 2.0, 9.0) == []
    assert report_pages.text_width("mm", 18.0) == pytest.approx(2 * report_pages.text_width("mm", 9.0))


def test_wide_tables_are_squeezed_into_the_page():
    frame = pd.DataFrame({f"column number {i}": ["a few words that can wrap " * 3, "x"] for i in range(9)})
    size, widths = report_pages.column_widths(frame)
    assert sum(widths) <= report_pages.TEXT_WIDTH + 1e-6 and size >= report_pages.SMALLEST
    small = report_pages.column_widths(pd.DataFrame({"a": ["1"]}))
    assert small[0] == report_pages.SIZES["table"] and sum(small[1]) < 1


def test_pdf_has_the_pages_it_needs_and_is_the_same_every_time(project, tmp_path):
    blocks = report.document(project(), project.folder)
    blocks += [report.Block("text", "many words " * 200)] * 8
    first = report_pages.write_pdf(blocks, tmp_path / "a.pdf", "HiDe").read_bytes()
    second = report_pages.write_pdf(blocks, tmp_path / "b.pdf", "HiDe").read_bytes()
    assert first == second
    assert len(re.findall(rb"/Type /Page\b", first)) >= 2
    assert b"DejaVuSans" in first, "text stays text"


def test_report_folder_is_beside_the_figures_of_a_run():
    assert report.report_folder(paths.FIGURES) == paths.RESULTS / "report"
    assert report.report_folder(paths.RUNS / "x" / "figures") == paths.RUNS / "x" / "report"


def test_command_runs_the_notebook_and_writes_the_html(project, monkeypatch, capsys):
    asked, written = [], []
    monkeypatch.setattr(report, "run_notebooks", lambda words: asked.append(words) or 0)
    monkeypatch.setattr(report, "write_html", lambda notebook, target: written.append((notebook, target)) or target)
    assert report.main([]) == 0
    assert report.main(["--preset", "tiny"]) == 0
    assert asked == [["09_report", "--preset", "mini", "--inplace"], ["09_report", "--preset", "tiny"]]
    assert written[0] == (paths.NOTEBOOKS / "09_report.ipynb", paths.RESULTS / "report" / "report.html")
    assert written[1] == (paths.RUNS / "tiny" / "09_report.ipynb", paths.RUNS / "tiny" / "report" / "report.html")
    assert "data/results/report/report.pdf" in capsys.readouterr().out
    monkeypatch.setattr(report, "run_notebooks", lambda words: 1)
    assert report.main([]) == 1


def test_item_without_a_file_is_missing_and_has_no_rows(tmp_path):
    item = Item("05_x", "a", "table", tmp_path / "a.csv")
    assert item.missing and item.table.empty
