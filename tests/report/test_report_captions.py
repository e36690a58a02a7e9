"""Captions and printed tables, with numbers worked by hand."""

import json

import pandas as pd
import pytest

from hide_utils.evaluation.saving import read_table
from hide_utils.report import readme, tables
from hide_utils.report.captions import (
    alignment,
    caption,
    interval_columns,
    measured_on,
    number_text,
    printed_table,
)


def test_captions_say_what_was_measured_on_what(project):
    accuracy, main, missing = project()[0].items
    assert caption(accuracy) == "Accuracy. Embedded miniature, scenes 448 px, test split, n = 40."
    assert caption(main) == "Main. Embedded miniature, scenes 448 px, test split, n = 40."
    assert caption(missing) == "Missing: Never made (figure). Run 05_benchmarks."
    assert measured_on(None) == ""


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
    assert interval_columns(pd.DataFrame(columns=before_after)) == {
        "accuracy_before": ("before_low", "before_high"),
        "difference": ("difference_low", "difference_high"),
    }
    tested = pd.DataFrame(
        [["x", 0.75, 0.25, 0.5, 0.1, 0.9]],
        columns=["method", "accuracy", "accuracy_against", "difference", "low", "high"],
    )
    shown = printed_table(tested)
    assert list(shown.columns) == ["method", "accuracy %", "accuracy against %", "difference % [95 % interval]"]
    assert shown.iloc[0].tolist() == ["x", "75", "25", "50.0 [10.0, 90.0]"]
    assert interval_columns(pd.DataFrame(columns=["low", "x_low"])) == {}
    assert interval_columns(pd.DataFrame({"verdict": ["met"], "low": [1.0], "high": [2.0]})) == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"), (float("nan"), "–"), (0.123456, "0.123"), (985.875, "986"), (2.0, "2"), (7, "7"), (True, "yes"),
        ("a", "a"), (1e-5, "1e-05"), (float("inf"), "∞"), (float("-inf"), "−∞"),
    ],
)  # fmt: skip
def test_numbers_are_printed_short(value, text):
    assert number_text(value) == text


def test_columns_of_numbers_stand_on_the_right():
    columns = {
        "interval": ["70.5 [63.8, 76.4]", "–"],
        "p": ["< 0.0001", "0.2"],
        "signed": ["−∞", "+1e-05"],
        "verdict": ["-2.7% (-10.0 to +4.3): not shown", "1"],
        "notebook": ["00_quickstart", "01_x"],
    }
    assert alignment(pd.DataFrame(columns)) == ["right"] * 3 + ["left"] * 2


def test_a_model_s_name_stays_as_it_is():
    entry = {"model": {"name": "Qwen/Qwen2.5-VL-7B-Instruct"}, "parameters": {"split": "test"}}
    assert measured_on(entry) == "Qwen/Qwen2.5-VL-7B-Instruct, test split."


def test_captions_say_what_is_left_out_once(project):
    folder = project.figures / "05_benchmarks"
    table = read_table(folder / "main.csv").assign(left_out=[0, 1])
    said = "Left out for errors: up to 1 of 5 samples (20.0%)."
    table.to_csv(folder / "main.csv", index=False)
    for name in ("accuracy.json", "main.csv.json"):
        entry = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(entry | {"caption": f"What there is. {said}"}))
    accuracy, main, _ = project()[0].items
    assert caption(accuracy).count(said) == caption(main).count(said) == 1
    assert r"\caption{Main. Left out for errors: up to 1 of 5 samples (20.0\%).}" in tables.latex(main)


def test_the_headline_says_how_it_was_tested_and_what_it_leaves_out(project):
    folder = project.figures / "05_benchmarks"
    table = read_table(folder / "main.csv").assign(times_direct=1.0, recall50=[None, 0.8], area=0.1, tokens=9)
    entry = json.loads((folder / "main.csv.json").read_text())
    entry["parameters"]["protocol"] = "strict"
    (folder / "main.csv.json").write_text(json.dumps(entry))
    table.to_csv(folder / "main.csv", index=False)
    said = readme.headline(project.figures)
    assert "Wilson" in said and "Left out" not in said and "| 0.80, 10.0 % | 9 | 1.00 × |" in said
    table.assign(left_out=[0, 1], pictures=2).to_csv(folder / "main.csv", index=False)
    said = readme.headline(project.figures)
    assert "by picture" in said and "Wilson" not in said and said.endswith("up to 1 of 5 samples (20.0%).")
