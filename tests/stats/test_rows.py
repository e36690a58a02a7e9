"""Rows with errors are no answers: they count in no accuracy, comparison or choice, and their number is told."""

import numpy as np
import pandas as pd
import pytest
from answer_rows import answers, with_errors

from hide_utils import plots
from hide_utils.evaluation import entity_variants, failures, save_figure, save_table
from hide_utils.evaluation.gates import case_table
from hide_utils.evaluation.tables import cost_table, main_table, readable
from hide_utils.evaluation.tuning import choose_margin
from hide_utils.explorer.sample_list import SampleList
from hide_utils.stats import (
    accuracies,
    accuracy_table,
    compare,
    compare_answers,
    comparison_table,
    mean_over_cycles,
)
from hide_utils.stats.rows import left_out_in_words

DTYPES = pytest.mark.parametrize("dtype", ["boolean", object, bool])


@DTYPES
def test_accuracy_is_over_answered_rows_and_says_what_it_leaves_out(dtype):
    table = with_errors(answers(), dtype=dtype)
    kept = answers().query("method != 'hide' or sample_id not in ['s0', 's5']")
    for found, expected in (
        (accuracy_table(table), accuracy_table(kept)),
        (accuracies(table, ["method", "kind"]), accuracies(kept, ["method", "kind"])),
        (comparison_table(table), comparison_table(kept.query("method == 'direct'"))),
    ):
        both = expected.merge(found, on=["method", "kind"], suffixes=("", "_found"))
        for name in ("n", "accuracy", "low", "high"):
            assert both[f"{name}_found"].tolist() == both[name].tolist()
    by = accuracy_table(table).set_index(["method", "kind"])["left_out"]
    assert (by[("hide", "all")], by[("hide", "a")], by[("direct", "all")]) == (2, 1, 0)
    assert "left_out" not in accuracy_table(answers()), "without errors a table looks as it did"


@DTYPES
def test_methods_are_compared_on_samples_that_both_answered(dtype):
    table = with_errors(with_errors(answers(), dtype=dtype), ["s7"], "direct", dtype)
    both = answers().query("sample_id not in ['s0', 's5', 's7']")
    expected = compare_answers(both, [("hide", "direct")])
    found = compare_answers(table, [("hide", "direct")])
    assert found[expected.columns].equals(expected) and found["left_out"].tolist() == [3]
    row = comparison_table(table).query("kind == 'all' and method == 'hide'").iloc[0]
    assert (row["n"], row["left_out"], row["compared"]) == (38, 2, 37)
    assert row[["difference", "p", "gained"]].tolist() == expected[["difference", "p", "gained"]].iloc[0].tolist()
    assert comparison_table(table)["unread"].sum() == 0, "an error is no unread reply either"


def test_a_sample_that_was_never_run_is_refused_still():
    table = answers().drop(index=3)
    for compared in (lambda: compare_answers(table, [("hide", "direct")]), lambda: comparison_table(table)):
        with pytest.raises(ValueError, match="different samples"):
            compared()


@DTYPES
def test_a_method_without_any_answer_has_no_number_and_breaks_nothing(dtype):
    table = with_errors(answers(), [f"s{i}" for i in range(40)], dtype=dtype)
    row = comparison_table(table).query("kind == 'all' and method == 'hide'").iloc[0]
    assert (row["n"], row["left_out"]) == (0, 40) and row[["accuracy", "difference", "p", "p_holm"]].isna().all()
    assert accuracy_table(table).query("method == 'hide'")["accuracy"].isna().all()
    main = main_table(table).set_index("method")
    assert list(main.index) == ["direct", "hide", "oracle"] and np.isnan(main.loc["hide", "flops"])
    said = readable(main_table(table)).set_index("method").loc["HiDe"]
    assert said["accuracy (95 % interval)"] == "no answer" and said["n"] == "0 (40 left out for errors)"
    assert cost_table(table).set_index("method")["n"].tolist() == [40, 0, 40]
    fig, ax = plots.new_figure()
    plots.accuracy_curve(ax, table.assign(size=1), "size", xlabel="size")
    assert "40 of 40" in fig.get_supxlabel()


def test_measures_of_regions_leave_out_errors_but_count_answers_without_regions():
    table = with_errors(answers())
    table.loc[table["sample_id"] == "s9", ["recall50", "iou"]] = np.nan
    found = entity_variants.accuracy_and_boxes(table, ["method"]).set_index(["method", "measure"])
    of_hide = answers().query("method == 'hide' and sample_id not in ['s0', 's5']").set_index("sample_id")
    of_hide.loc["s9", ["recall50", "iou"]] = 0
    for measure in ("recall50", "iou"):
        assert found.loc[("hide", measure), "estimate"] == pytest.approx(of_hide[measure].mean())
        assert found.loc[("hide", measure), ["n", "left_out"]].tolist() == [38, 2]
    compared = compare(table.assign(variant=table["method"]), [("hide", "direct")], ["iou"])
    assert compared.loc[0, ["n", "left_out"]].tolist() == [37, 3]


def test_the_mean_over_cycles_has_no_number_where_a_cycle_was_never_answered():
    table, kept = with_errors(answers()), answers().query("method != 'hide' or sample_id not in ['s0', 's5']")
    with pytest.warns(UserWarning, match="mean over cycles: 2 of 120 rows left out for errors"):
        found = mean_over_cycles(table)
    assert found.to_dict() == pytest.approx(mean_over_cycles(kept).to_dict())
    second = table.query("cycle == '1'")["sample_id"].unique()
    with pytest.warns(UserWarning):
        assert np.isnan(mean_over_cycles(with_errors(answers(), second))["hide"])


@DTYPES
def test_choices_are_made_on_samples_that_all_methods_answered(dtype):
    table = answers(methods=("direct", "hide"))
    kept = table.query("sample_id not in ['s0', 's5']")
    with pytest.warns(UserWarning, match="2 of 40 sample_ids left out"):
        assert choose_margin(with_errors(table, dtype=dtype)) == choose_margin(kept)
    measures = table.drop_duplicates("sample_id")[["sample_id"]].assign(margin=1.0, entropy=0.5, flops_prefill=1.0)
    with pytest.warns(UserWarning, match="when to look: 2 of 40"):
        found = case_table(with_errors(table.assign(flops=9.0), dtype=dtype), measures)
    assert found.equals(case_table(kept.assign(flops=9.0), measures)) and len(found) == 38


def test_an_error_is_neither_a_failure_nor_a_choice():
    table = with_errors(answers(), ["s0"])
    right = SampleList.right
    found = pd.DataFrame({"sample_id": ["s1", "s2"], "cause": "none"})
    shares = failures.wrong_shares(found, with_errors(answers(), ["s1"], "oracle")).set_index("method")
    assert shares[["n", "left_out"]].to_numpy().tolist() == [[2, 0], [1, 1], [2, 0]], "hide, both, direct"
    listed = SampleList.__new__(SampleList)
    listed._tables = {str(method): part.set_index("sample_id") for method, part in table.groupby("method")}
    assert set(right(listed, "s0")) == {"direct", "oracle"} and set(right(listed, "s1")) == {"direct", "hide", "oracle"}


def test_the_number_left_out_stands_in_note_and_caption(tmp_path, monkeypatch):
    monkeypatch.setenv("HIDE_FIGURES", str(tmp_path))
    table = with_errors(answers())
    fig, ax = plots.new_figure()
    plots.accuracy_curve(ax, table.assign(size=1), "size", xlabel="size")
    plots.source_line(fig, model="mini", benchmark="scenes", n=40)
    said = "Left out for errors: 2 of 40 samples (5.0%)."
    assert fig.get_supxlabel() == f"mini · scenes · n = 40 · {said}"
    *_, sidecar = save_figure(fig, "sizes", "05_benchmarks", {"n": 40})
    assert f'"Sizes. {said}"' in sidecar.read_text()
    saved = accuracy_table(table)
    csv, sidecar = save_table(saved, "all", "05_benchmarks", {"caption": "All."})
    assert said.split(":")[0] in sidecar.read_text() and "left_out" in csv.read_text()
    whole = accuracy_table(answers())
    assert (
        left_out_in_words(whole) == "" and "caption" not in save_table(whole, "w", "05_benchmarks", {})[1].read_text()
    )
