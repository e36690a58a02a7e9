"""What there is to report: found, missing and stale."""

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell
from report_parts import book, write_cards, write_item

from hide_utils import paths, report
from hide_utils.report.items import Item, provenance_table, state_table, verdicts_table
from hide_utils.report.notebook_text import saved_by


def test_collects_what_notebooks_save_in_their_order_with_titles_and_questions(project):
    first, second = project()
    assert (first.title, first.question) == ("05 · Benchmarks", "Does it work?")
    found = [(item.name, item.kind, item.missing, item.section) for item in first.items]
    section = "1 · How often is it right?"
    assert found == [
        ("accuracy", "figure", False, section),
        ("main", "table", False, section),
        ("never_made", "figure", True, section),
    ]
    assert [(item.name, item.missing) for item in second.items] == [("cost", True)]
    assert not any(item.stale for item in first.items)


def test_collects_what_lies_there_besides_and_nothing_of_half_written_files(project):
    folder = project.figures / "05_benchmarks"
    write_item(folder, "view.png", project.now)
    (folder / "notes.txt").write_text("x")
    (folder / "odd.csv").write_text("")
    (folder / "odd.csv.json").write_text("{torn")
    items = {item.name: item for item in project()[0].items}
    assert set(items) == {"accuracy", "main", "never_made", "view", "odd"}
    assert items["odd"].stale == ("no sidecar says what made it",)
    assert items["odd"].table.empty
    assert report.document(project())


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
    assert (
        stale["names"].tolist() == ["accuracy.png"]
        and stale["notebooks"].tolist() == ["05"]
        and reason in stale["why"].item()
    )


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
    (row,) = state_table(project()).to_dict("records")
    assert (row["state"], row["why"], row["items"]) == ("missing", "not made here", 2)
    assert (row["notebooks"], row["names"]) == ("05, 06", "never_made.png, cost.csv")
    assert state_table([]).empty


def test_of_many_files_of_one_state_some_are_named(project):
    for i in range(9):
        write_item(project.figures / "05_benchmarks", f"more{i}.png", project.now, code="older")
    row = state_table(project()).query("state == 'stale'").iloc[0]
    assert row["items"] == 9 and row["names"].split(", ")[-2:] == ["more5.png", "…"]


def test_provenance_has_one_row_for_what_was_made_alike(project):
    table = provenance_table(project())
    assert table[["notebooks", "model", "items"]].to_numpy().tolist() == [["05", "mini", 2]]
    write_item(project.figures / "05_benchmarks", "accuracy.png", project.now, commit="f" * 40)
    assert provenance_table(project())["items"].tolist() == [1, 1]
    assert provenance_table([]).empty


def test_verdicts_are_counted_by_notebook_and_over_all(project):
    write_cards(project.figures / "05_benchmarks", project.now)
    table = verdicts_table(project()).set_index("notebook")
    assert list(table.index) == ["05 · Benchmarks", "all"] and len(table.columns) == 7
    assert table.loc["all", ["undecided", "no claim in the paper", "as in the paper", "cards"]].tolist() == [1, 1, 0, 2]
    assert verdicts_table([])["cards"].tolist() == [0]


def test_what_a_function_of_the_notebook_saves_is_known_by_the_name_it_is_given():
    shown = "def shown(table, name):\n    files.extend(save_table(table, name, cfg.notebook, entry))\n    return table"
    cells = [new_code_cell(shown), new_markdown_cell("## Ends"), new_code_cell('x = shown(frame, "curve")\nshown(1)')]
    assert saved_by(book("x", *cells)) == [("curve", "table", "Ends")]


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


def test_item_without_a_file_is_missing_and_has_no_rows(tmp_path):
    item = Item("05_x", "a", "table", tmp_path / "a.csv")
    assert item.missing and item.table.empty
