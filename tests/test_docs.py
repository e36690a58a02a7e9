"""What the documents say is so: tables equal the measured ones, links and commands lead somewhere, examples run."""

import ast
import csv
import importlib
import re
import shlex
import tomllib
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml
from checkpoints import make_checkpoint
from model_helpers import counted_flops

import hide_utils
from hide_utils import load_benchmark, models, paths
from hide_utils.cli.main import COMMANDS
from hide_utils.config import load_preset
from hide_utils.evaluation.model_checks import CHECKS
from hide_utils.notebooks import discover, inspect
from hide_utils.report import readme
from hide_utils.samples import SCORERS

PAGES = ("docs/real_models.md", "docs/own_benchmarks.md", "docs/families.md")
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "data/mini/README.md", *PAGES)
PROJECT = tomllib.loads((paths.ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def read(name):
    return (paths.ROOT / name).read_text(encoding="utf-8")


def blocks(name, language):
    """Fenced blocks of a language, by the heading they stand under."""
    found, heading = [], ""
    for part in re.finditer(r"^(?:#+ ([^\n]+)|```(\w+)\n(.*?)^```)", read(name), re.MULTILINE | re.DOTALL):
        heading = part[1] or heading
        if part[2] == language:
            found.append((heading, part[3]))
    return found


# --- the README's numbers -------------------------------------------------------------------------------------------


def test_readme_is_what_the_committed_tables_say():
    assert readme.filled(read("README.md")) == read("README.md"), "run `hide report`, and commit what it wrote"


def test_headline_has_the_numbers_of_the_table_row_by_row():
    """Worked out anew from the CSV, not by the writer's own functions."""
    rows = [line for line in read("README.md").splitlines() if line.endswith(" × |")]
    with (paths.FIGURES / "05_benchmarks" / "main.csv").open() as file:
        table = list(csv.DictReader(file))
    assert len(rows) == len(table) > 1
    for line, row in zip(rows, table, strict=True):
        numbers = [float(number) for number in re.findall(r"[-+]?\d+\.\d", line)]
        wanted = [100 * float(row[name]) for name in ("accuracy", "low", "high")]
        wanted += [100 * float(row[f"difference{end}"]) for end in ("", "_low", "_high") if row[f"difference{end}"]]
        np.testing.assert_allclose(numbers[: len(wanted)], wanted, atol=0.0501)
        if row["recall50"]:
            assert f"| {float(row['recall50']):.2f}, {100 * float(row['area']):.1f} % |" in line
        assert f"| {float(row['tokens']):.0f} | {float(row['times_direct']):.2f} × |" in line
    assert f"n = {table[0]['n']}" in read("README.md")


def unanswered(figures=paths.FIGURES):
    """Questions whose notebook lacks the section or the finding that they name."""
    there = [question for question in readme.QUESTIONS if question.notebook in discover(paths.NOTEBOOKS)]
    return [q.text for q in there if not (readme.section_heading(q) and readme.quoted_finding(q, figures))]


def test_every_question_of_the_readme_has_its_section_and_its_finding():
    assert unanswered() == []
    named = [question for question in readme.QUESTIONS if question.notebook in discover(paths.NOTEBOOKS)]
    assert all(f"| {question.text} | [" in read("README.md") for question in named) and len(named) >= 7


def test_readme_without_marks_is_refused_and_questions_without_answers_are_said(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="want the marks of 'headline' once"):
        readme.filled("# no marks")
    question = vars(readme.QUESTIONS[0])
    for changes, said in (({"section": "nothing"}, "[01, whole]"), ({"finding": "nothing"}, "| see there | – |")):
        monkeypatch.setattr(readme, "QUESTIONS", (readme.Question(**question | changes),))
        assert said in readme.questions() and unanswered() == [question["text"]]
    monkeypatch.setattr(readme, "QUESTIONS", (readme.Question(**question),))
    assert "not measured yet" in readme.questions(tmp_path) and unanswered() == []
    monkeypatch.setattr(readme, "QUESTIONS", (readme.Question(**question | {"notebook": "77_not_here"}),))
    assert readme.questions().count("\n") == 1


def test_readme_that_is_in_step_is_not_written_again(tmp_path):
    copy = tmp_path / "README.md"
    copy.write_text(re.sub(r"^\| HiDe .*$", "| HiDe | 99.9 % |", read("README.md"), flags=re.MULTILINE))
    assert readme.write_readme(readme=copy).read_text(encoding="utf-8") == read("README.md")
    before = copy.stat().st_mtime_ns
    readme.write_readme(readme=copy)
    assert copy.stat().st_mtime_ns == before


# --- what is named is there -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name):
    folder = (paths.ROOT / name).parent
    for link in re.findall(r"\]\(([^)]+)\)", read(name)):
        target, _, anchor = link.partition("#")
        target = target or Path(name).name
        if "://" in target:
            continue
        assert (folder / target).exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", (folder / target).read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [heading.lower().replace(" ", "-") for heading in headings], link


def test_readme_is_short_and_its_tree_names_every_room_and_no_other():
    text = read("README.md")
    assert len(text.splitlines()) <= 150
    tree = text[text.index("## What is where") :].split("```")[1]
    rooms = re.search(r"^hide_utils/.*?\n(.*?)^\S", tree, re.DOTALL | re.MULTILINE)[1]
    names = [re.split(r"\s{2,}", line.strip())[0].split() for line in rooms.splitlines()]
    assert [name.rstrip("/") for line in names for name in line] == list(hide_utils.ROOMS)
    for name in re.findall(r"^(\w+)/", tree, re.MULTILINE):
        assert (paths.ROOT / name).is_dir(), name


def test_readme_links_to_every_page_of_docs():
    pages = {f"docs/{path.name}" for path in (paths.ROOT / "docs").glob("*.md")}
    assert pages == set(PAGES) and all(f"({page})" in read("README.md") for page in pages)


def test_commands_name_targets_modules_presets_and_parameters_that_exist():
    lines = [line for name in DOCUMENTS for _, code in blocks(name, "bash") for line in code.splitlines()]
    found = discover(paths.NOTEBOOKS)
    targets = re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE)
    ran = 0
    for line in lines:
        words = shlex.split(line, comments=True)
        words = [word for word in words if "=" not in word.split("/")[0]]
        if words[:1] == ["make"]:
            assert words[1] in targets, line
        hide = bool(words) and Path(words[0]).name == "hide"
        assert not hide or words[1] in COMMANDS, line
        if (hide and words[1] == "run") or any(word.endswith("papermill") for word in words):
            names = [word for word in words if any(n == Path(word).stem or n.split("_")[0] == word for n in found)]
            parameters = {p for n in found for p in inspect(found[n]) if any(n.startswith(Path(m).stem) for m in names)}
            assert {words[i + 1] for i, word in enumerate(words) if word == "-p"} <= parameters, line
            ran += bool(names)
        if "--preset" in words:
            assert load_preset(words[words.index("--preset") + 1]), line
    assert ran >= 5
    for name in DOCUMENTS:
        for module in re.findall(r"python -m (hide_utils[\w.]*)", read(name)):
            assert importlib.util.find_spec(module), module
        for target in re.findall(r"`make ([a-z-]+)`", read(name)):
            assert target in targets, target


def test_messages_that_the_documents_explain_are_those_of_the_code():
    text = read("docs/real_models.md")
    said = re.findall(r"^\| `([^`]+)` \|", text[text.index("## When something goes wrong") :], re.MULTILINE)
    code = "".join(path.read_text(encoding="utf-8") for path in (paths.ROOT / "hide_utils").rglob("*.py"))
    assert len(said) >= 3
    for message in said:
        parts = [part for part in re.split(r"'[^']*'|…|config.json", message) if part]
        assert all(part.strip() in code for part in parts), message


# --- what a repository needs ----------------------------------------------------------------------------------------


def test_citation_has_what_its_format_requires_and_agrees_with_the_project():
    cited = yaml.safe_load(read("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors"} <= set(cited) and cited["cff-version"] == "1.2.0"
    assert cited["type"] in ("software", "dataset")
    assert cited["license"] == PROJECT["project"]["license"] == "Apache-2.0"
    assert str(cited["version"]) == PROJECT["project"]["version"]
    paper = cited["preferred-citation"]
    assert {"type", "title", "authors"} <= set(paper)
    assert [author["family-names"] for author in paper["authors"]] == ["Liu", "Hu", "Zou", "Wu", "Xu", "Zheng"]
    assert "2510.00054" in paper["url"]
    for person in [*cited["authors"], *paper["authors"]]:
        assert set(person) <= {"name", "family-names", "given-names", "affiliation", "orcid"} and person


def test_licence_and_changelog_are_those_of_this_version():
    assert re.match(r"\s*Apache License\s+Version 2.0, January 2004", read("LICENSE"))
    assert "END OF TERMS AND CONDITIONS" in read("LICENSE")
    newest = re.search(r"^## \[([\d.]+)\]", read("CHANGELOG.md"), re.MULTILINE)[1]
    assert newest == PROJECT["project"]["version"]


def test_quarantine_lists_the_tests_that_are_marked():
    listed = re.search(r"<!-- quarantine -->\n(.*?)<!-- end of quarantine -->", read("CONTRIBUTING.md"), re.DOTALL)[1]
    marked = []
    for path in (paths.ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                marked += [node.name for mark in node.decorator_list if "mark.quarantine" in ast.unparse(mark)]
    assert set(re.findall(r"`(test_\w+)`", listed)) == set(marked)
    assert ("None at present" in listed) == (not marked)


@pytest.mark.parametrize("name", sorted(discover(paths.NOTEBOOKS)))
def test_notebooks_are_committed_executed_and_without_metadata_of_a_run(name):
    book = nbformat.read(discover(paths.NOTEBOOKS)[name], as_version=4)
    assert set(book.metadata) <= {"kernelspec", "language_info"} and book.metadata.language_info == {"name": "python"}
    for cell in book.cells:
        assert set(cell.metadata) <= {"tags"}
        assert cell.cell_type == "markdown" or cell.execution_count, f"{cell.source[:60]} was not run"


# --- examples -------------------------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with what the examples name: a picture of a sign, and nothing of it is the project's."""
    monkeypatch.chdir(tmp_path)
    load_benchmark("scenes", n=1, resolution=256)[0].image.save(tmp_path / "street.jpg")
    return tmp_path


def ran(name, heading):
    (code,) = [code for under, code in blocks(name, "python") if under == heading and "shard=" not in code]
    names = {}
    exec(compile(code, f"{name}: {heading}", "exec"), names)
    return names


def test_example_of_use_runs(place):
    names = ran("README.md", "Use it")
    assert names["result"].letter in ("A", "B", "C", "D") and len(names["result"].maps)


def test_examples_of_own_benchmarks_run(place):
    table = ran("docs/own_benchmarks.md", "Your own benchmark")["table"].set_index("method")
    assert table.loc["oracle", "recall50"] == 1
    assert pd.read_parquet(place / "answers.parquet")["method"].tolist() == ["direct", "hide", "oracle"]
    with pytest.warns(UserWarning, match="4 of 6 rows are of another scorer: their replies are scored anew"):
        table = ran("docs/own_benchmarks.md", "Answers without letters")["table"]
    assert table["error"].isna().all() and table["n_options"].tolist() == [2, 2, 0, 0, 0, 0]
    for row in table[2:].itertuples():
        assert row.correct == row.reply.lower().startswith(row.answers[0])
    assert re.findall(r"^\| `(\w+)`", read("docs/own_benchmarks.md"), re.MULTILINE)[1:] == list(SCORERS)


def test_example_of_prompts_runs(place):
    hide = ran("docs/real_models.md", "Prompts in another language")["hide"]
    assert set(hide.prompts.own) == {"search", "answer"} and hide("street.jpg", "Was?", None, ["sign"]).answer


def test_example_of_a_new_layout_runs(monkeypatch, place):
    from hide_utils.edits.layouts import LAYOUTS

    monkeypatch.setitem(LAYOUTS, "stacked", None)  # goes again when the test ends
    names = ran("CONTRIBUTING.md", "A new layout")
    assert set(names["table"]["method"]) == {"direct", "spatial_aggregate", "stacked"}
    picture = names["samples"][0].image
    regions = [(200, 50, 240, 90), (10, 20, 60, 40)]
    shown = np.asarray(LAYOUTS["stacked"](picture, regions).convert("RGB"))
    assert shown.shape == (60, 50, 3)
    np.testing.assert_array_equal(shown[:20], np.asarray(picture)[20:40, 10:60])
    np.testing.assert_array_equal(shown[20:, :40], np.asarray(picture)[50:90, 200:240])


def test_example_of_a_new_benchmark_runs_and_names_the_field_that_is_wrong(place):
    header = "id,picture,question,a,b,answer,x0,y0,x1,y1\n"
    file = place / "signs.csv"
    file.write_text(header + "1,street.jpg,What is the color of the sign?,red,blue,B,40,30,64,54\n")
    names = ran("CONTRIBUTING.md", "A new benchmark")
    table = names["table"].set_index("method")
    assert table.loc["oracle", "recall50"] == 1 and names["samples"][0].boxes_xyxy == [(40, 30, 64, 54)]
    assert names["samples"][0].render.split in ("calibration", "test")
    file.write_text(header + "1,street.jpg,What?,red,blue,C,40,30,64,54\n")
    with pytest.raises(ValueError, match=r"signs\.csv, row 1, field 'answer'"):
        names["read_signs"](file)


def test_example_of_a_new_family_runs_and_counts_what_torch_counts(monkeypatch, place, capsys):
    from hide_utils.models import flops as costs

    monkeypatch.setitem(models.FAMILIES, "qwen2_vl", None)
    monkeypatch.setitem(costs.VISION, "qwen2_vl", None)
    make_checkpoint("qwen2_vl", place / "Qwen2-VL-7B-Instruct")
    names = ran("CONTRIBUTING.md", "A new model family")
    model = names["model"]
    assert (type(model).__name__, model.family, model.defaults.layer) == ("Qwen2VL", "qwen2_vl", 1)
    assert names["result"].answer and "guess" in names["result"].notes[-1]
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(CHECKS) and not [line for line in printed if " fails " in line]
    prompt = model.prompt(load_benchmark("scenes", n=1, resolution=256)[0].image, "Where is the dog?")
    counted, ours, _ = counted_flops(model, lambda: model.prefill(prompt))
    assert ours == pytest.approx(counted, rel=0.02)
