"""Captions and printed tables, with numbers worked by hand."""

import json
import re

import pandas as pd
import pytest

from hide_utils.evaluation.saving import read_table
from hide_utils.findings import Finding, as_table, corrected
from hide_utils.report import captions, readme, tables
from hide_utils.report.captions import (
    alignment,
    caption,
    interval_columns,
    measured_on,
    number_text,
    printed_table,
    table_in_words,
)


def test_caption_of_a_comparison_has_its_numbers_worked_by_hand(project, monkeypatch):
    monkeypatch.setitem(captions.TABLE_OF, ("05_benchmarks", "accuracy"), "main")
    chapter = project()[0]
    said = caption(chapter.items[0], chapter)
    assert said.startswith(
        "Accuracy. Embedded miniature, scenes 448 px, test split, n = 40. Accuracy: direct 25.0 % (4.6 to"
    )
    assert "HiDe 75.0 % (30.1 to 95.4, n = 4)" in said
    assert re.search(r"HiDe \+50\.0 points \(-?\+?[\d.]+ to \+[\d.]+; Holm-corrected p = 0.5, not significant\)", said)
    assert caption(chapter.items[1], chapter) == "Main. The numbers of figure “Accuracy”."
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
    said = table_in_words(pd.DataFrame(row))
    assert "a +0.500" not in said and "a 0.5 (-0.2 to 0.8; Holm-corrected p = 0.05, significant)" in said
    assert "p = 0.05, not significant" in said
    many = pd.DataFrame(
        {"layer": range(9), "difference": [1.0] * 4 + [-1.0] * 5, "low": 0, "high": 1, "p_holm": [0.01, 0.9, 0.01] * 3}
    )
    assert table_in_words(many) == "Of 9 differences 3 are significantly above and 3 below zero (Holm-corrected, 5 %)."


def test_captions_of_other_tables_say_ranges_counts_and_verdicts():
    curve = pd.DataFrame(
        {"resolution": [448, 896] * 2, "method": ["direct"] * 2 + ["hide"] * 2, "n": [40, 400] * 2,
         "accuracy": [0.8, 0.5, 0.9, 0.7], "low": 0.1, "high": 0.95}
    )  # fmt: skip
    assert table_in_words(curve) == (
        "Accuracy from resolution 448 to 896: direct 80.0 % to 50.0 %; HiDe 90.0 % to 70.0 % (n = 40 to 400 a point)."
    )
    findings = pd.DataFrame({"finding": list("abc"), "agrees": ["yes", "no", "yes"]})
    assert table_in_words(findings) == "Of 3 findings of the paper, agreement here: 2 “yes”, 1 “no”."
    spread = pd.DataFrame(
        {"measure": ["iou", "iou", "area", "area"], "estimate": [0.1, 0.25, 2, 3], "low": 0, "high": 4, "n": 7}
    )
    assert table_in_words(spread) == "Estimate over 4 rows: IoU 0.1 to 0.25; area 2 to 3, n = 7."
    assert table_in_words(pd.DataFrame({"a_b": [1], "c": [2]})) == "1 rows: a b, c."
    assert table_in_words(pd.DataFrame()) == ""
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


def test_captions_say_what_is_left_out_once(project, monkeypatch):
    monkeypatch.setitem(captions.TABLE_OF, ("05_benchmarks", "accuracy"), "main")
    folder = project.figures / "05_benchmarks"
    table = read_table(folder / "main.csv").assign(left_out=[0, 1])
    said = "Left out for errors: up to 1 of 5 samples (20.0%)."
    table.to_csv(folder / "main.csv", index=False)
    for name in ("accuracy.json", "main.csv.json"):
        entry = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(entry | {"caption": f"What there is. {said}"}))
    chapter = project()[0]
    assert caption(chapter.items[0], chapter).count(said) == 1 and said in caption(chapter.items[1], chapter)
    assert r"Left out for errors: up to 1 of 5 samples (20.0\%)." in tables.latex(chapter.items[1])
    assert table_in_words(table.assign(left_out=0)).count("Left out") == 0


def test_the_headline_says_how_it_was_tested_and_what_it_leaves_out(project):
    folder = project.figures / "05_benchmarks"
    table = read_table(folder / "main.csv").assign(times_direct=1.0)
    entry = json.loads((folder / "main.csv.json").read_text())
    entry["parameters"]["protocol"] = "strict"
    (folder / "main.csv.json").write_text(json.dumps(entry))
    table.to_csv(folder / "main.csv", index=False)
    said = readme.headline(project.figures)
    assert "Wilson" in said and "Left out" not in said
    table.assign(left_out=[0, 1], pictures=2).to_csv(folder / "main.csv", index=False)
    said = readme.headline(project.figures)
    assert "by picture" in said and "Wilson" not in said and said.endswith("up to 1 of 5 samples (20.0%).")


def test_finding_cards_are_rows_of_words():
    words = {"claim": "c", "statement": "It helps.", "unit": "points", "n": 40, "test": "t", "p": 0.2}
    table = as_table(corrected([Finding(estimate=3.0, low=-4.0, high=10.0, **words)]))
    (row,) = printed_table(table).to_dict("records")
    assert row["claim"] == "It helps." and row["evidence"].startswith("+3.0 points (-4.0 to +10.0), n = 40")
    assert row["verdict"].startswith("undecided; n = ") and table_in_words(table) == "1 claims: 1 undecided."
