"""Rows with errors are no answers, of whatever dtype they are; pictures are the units of every interval and test."""

import numpy as np
import pandas as pd
import pytest

from hide_utils import plots
from hide_utils.analyses import decoupled_training, extraction, factorial, interference, settings_without_labels
from hide_utils.analyses import when_to_look as gating
from hide_utils.evaluation import failures, save_figure, save_table
from hide_utils.evaluation.tables import cost_table, main_table, readable
from hide_utils.evaluation.tuning import choose_margin
from hide_utils.explorer.sample_list import SampleList
from hide_utils.findings import agrees, verdict
from hide_utils.stats import (
    accuracies,
    accuracy_table,
    compare,
    compare_answers,
    comparison_table,
    mean_over_cycles,
    means,
)
from hide_utils.stats.rows import answered, left_out_in_words, mean_interval, outcomes, paired_test

COSTS = ("calls", "image_tokens", "text_tokens", "decoded", "flops", "seconds", "peak_bytes")


def answers(n=40, methods=("direct", "hide", "oracle"), seed=0):
    """Rows as `evaluate` has them, every picture with one question."""
    rng = np.random.default_rng(seed)
    rows = [
        {"sample_id": f"s{i}", "image_id": f"p{i}", "method": method, "kind": "ab"[i % 2], "cycle": "01"[i // 2 % 2],
         "n_options": 4, "letter": "A", "correct": bool(rng.random() < 0.4 + 0.15 * number), "error": None,
         "margin": rng.random(), "recall50": rng.random(), "iou": rng.random(), "regions": None}
        | dict.fromkeys(COSTS, 1.0 + number)
        for number, method in enumerate(methods)
        for i in range(n)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def with_errors(table, samples=("s0", "s5"), method="hide", dtype="boolean"):
    """The table with errors of a method on some samples; as bool, errors are wrong answers as old files have them."""
    table, failed = table.copy(), table["sample_id"].isin(samples) & (table["method"] == method)
    table["error"] = table["error"].astype(object).mask(failed, "OutOfMemoryError: no memory")
    table["letter"] = table["letter"].mask(failed)
    table[["recall50", "iou", *COSTS]] = table[["recall50", "iou", *COSTS]].mask(failed)
    table["correct"] = table["correct"].astype(object).mask(failed, False if dtype is bool else None).astype(dtype)
    return table


def copied(table, times=4):
    """Every question asked several times of the same picture."""
    parts = [table.assign(sample_id=table["sample_id"] + f"-{i}") for i in range(times)]
    return pd.concat(parts, ignore_index=True)


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
    change = interference.comparisons(table, [("direct", "hide")], by_kind=False).iloc[0]
    assert (change["n"], change["left_out"], change["difference"]) == (37, 3, row["difference"])
    assert change["accuracy_after"] - change["accuracy_before"] == pytest.approx(change["difference"])
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
    assert verdict(row) == "not shown to differ" and agrees(row) == "not shown"
    assert accuracy_table(table).query("method == 'hide'")["accuracy"].isna().all()
    change = interference.comparisons(table, [("direct", "hide")]).iloc[0]
    assert change["n"] == 0 and verdict(change) == "not shown to differ"
    main = main_table(table).set_index("method")
    assert list(main.index) == ["direct", "hide", "oracle"] and np.isnan(main.loc["hide", "flops"])
    said = readable(main_table(table)).set_index("method").loc["HiDe"]
    assert said["accuracy (95 % interval)"] == "no answer" and said["n"] == "0 (40 left out for errors)"
    assert cost_table(table).set_index("method")["n"].tolist() == [40, 0, 40]
    fig, ax = plots.new_figure()
    plots.accuracy_bars(ax, table)
    assert "40 of 40" in fig.get_supxlabel() or "20 of 20" in fig.get_supxlabel()


def test_measures_of_regions_leave_out_errors_but_count_answers_without_regions():
    table = with_errors(answers())
    table.loc[table["sample_id"] == "s9", ["recall50", "iou"]] = np.nan
    found = extraction.accuracy_and_boxes(table, ["method"]).set_index(["method", "measure"])
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
    parts = answers(methods=tuple(gating.PARTS))
    pointing = {name: float(i) for i, name in enumerate(parts["sample_id"].unique())}
    kept = parts.query("sample_id not in ['s0', 's5']")
    with pytest.warns(UserWarning, match="when to look: 2 of 40"):
        found = gating.gate_table(with_errors(parts, dtype=dtype), pointing)
    assert found.equals(gating.gate_table(kept, pointing)) and len(found) == 38
    with pytest.raises(ValueError, match="lack the row of a method"):
        gating.gate_table(parts.drop(index=3), pointing)


def test_an_error_is_neither_a_failure_nor_a_choice():
    table = with_errors(answers(), ["s0"])
    right = SampleList.right
    with pytest.warns(UserWarning, match="oracle: 1 of 40 rows"):
        found = pd.DataFrame({"sample_id": ["s1", "s2"], "cause": "none", "correct": [False, False], "regions": None})
        counted = failures.cause_table(found, with_errors(answers(), ["s1"], "oracle")).set_index("cause")
    hopeless = int(not answers().query("method == 'oracle' and sample_id == 's2'")["correct"].iloc[0])
    assert counted.loc["none", "wrong_with_oracle_too"] == hopeless
    listed = SampleList.__new__(SampleList)
    listed._tables = {str(method): part.set_index("sample_id") for method, part in table.groupby("method")}
    assert set(right(listed, "s0")) == {"direct", "oracle"} and set(right(listed, "s1")) == {"direct", "hide", "oracle"}


def test_slopes_and_regressions_leave_out_errors():
    rng = np.random.default_rng(1)
    area, unit = 2.0 ** np.tile(np.arange(4), 20), np.repeat(np.arange(20), 4)
    right = pd.Series(rng.random(80) < 0.6, dtype="boolean")
    right[[3, 17]] = pd.NA
    known = right.notna().to_numpy()
    with pytest.warns(UserWarning, match="interference index: 2 of 80"):
        found = interference.interference_index(area, right, unit, unit)
    assert found == interference.interference_index(area[known], right[known], unit[known], unit[known])
    wrong = {"hide": 0, "direct": 1}
    with pytest.warns(UserWarning, match="cost of errors: 2 of 80"):
        found = extraction.cost_of_errors(with_errors(answers()), wrong)
    kept = answers().query("method != 'hide' or sample_id not in ['s0', 's5']")
    assert found == extraction.cost_of_errors(kept, wrong)
    cells = pd.DataFrame({"index": unit, "kind": "a", "correct": right, "picture": np.tile([0.0, 1, 2, 3], 20)})
    cells = cells.assign(**dict.fromkeys(("object", "clutter", "distractors"), 0.0))
    with pytest.warns(UserWarning, match="regression: 2 of 80"):
        model = factorial.InteractionModel(cells)
    of_answered = factorial.InteractionModel(cells[known])
    assert model.coefficients.tolist() == of_answered.coefficients.tolist() and len(model.fitted()) == 80


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


# --- pictures as the units ------------------------------------------------------------------------------------------


def widths(table, low="low", high="high"):
    return (table[high] - table[low]).to_numpy(float)


@pytest.mark.parametrize(
    "tabulate",
    [
        lambda t: accuracy_table(t),
        lambda t: accuracies(t, ["method", "kind"]),
        lambda t: means(t.assign(accuracy=outcomes(t)), ["method"], ["accuracy", "iou"]),
        lambda t: extraction.accuracy_and_boxes(t, ["method"]),
        lambda t: compare_answers(t, [("hide", "direct"), ("oracle", "direct")]),
        lambda t: compare(
            t.assign(variant=t["method"], pointing=outcomes(t)), [("hide", "direct")], ["pointing", "iou"]
        ),
        lambda t: interference.comparisons(t, [("direct", "hide")]).rename(
            columns={"difference_low": "low", "difference_high": "high"}
        ),
        lambda t: comparison_table(t),
        lambda t: plots.accuracy_bars(plots.new_figure()[1], t),
        lambda t: plots.accuracy_curve(plots.new_figure()[1], t.assign(size=1), "size", xlabel="size"),
    ],
)
def test_copies_of_questions_are_no_further_evidence(tabulate):
    """Of 200 pictures the bootstrap's interval is Wilson's or Newcombe's to a few per cent. Half as wide is wrong."""
    once, often = tabulate(answers(200)), tabulate(copied(answers(200)))
    assert widths(often) == pytest.approx(widths(once), rel=0.12)
    for p in {"p", "p_holm"} & set(once):
        assert often[p].dropna().tolist() == pytest.approx(once[p].dropna().tolist(), rel=0.01)


def test_gates_and_failures_are_judged_by_picture():
    parts = answers(200, methods=tuple(gating.PARTS))
    tables = []
    for table in (parts, copied(parts)):
        pointing = dict.fromkeys(table["sample_id"], 1.0)
        gated = gating.gate_table(table, pointing)
        tables.append(gating.summary({"margin": gating.fitted("margin", gated)}, gated))
    once, often = tables
    for name in ("", "difference_", "saved_", "gains_"):
        kept = widths(once, f"{name}low", f"{name}high")
        inside = once["method"].eq("margin")
        found = widths(often, f"{name}low", f"{name}high")
        assert found[inside] == pytest.approx(kept[inside], rel=0.15)
    assert often["p"].tolist() == pytest.approx(once["p"].tolist())
    results = answers(200)
    own = results.query("method == 'hide'")[["sample_id", "correct"]].assign(cause="none", regions=None)
    once, often = failures.cause_table(own, results), failures.cause_table(copied(own), copied(results))
    assert widths(often)[-1] == pytest.approx(widths(once)[-1], rel=0.12)
    assert often["n"].iloc[-1] == 4 * once["n"].iloc[-1]


def test_slopes_regrets_and_studies_are_judged_by_picture():
    wrong = {"hide": 0, "direct": 1}
    once, often = (extraction.cost_of_errors(t, wrong) for t in (answers(), copied(answers())))
    assert often[:3] == pytest.approx(once[:3]) and often.n == 4 * once.n
    rng = np.random.default_rng(0)
    quality = pd.DataFrame(
        [
            {"sample_id": f"s{i}", "image_id": f"p{i}", "layer": layer, "sigma": 1.0, "alpha": 0.5, "iou": rng.random()}
            for i in range(30)
            for layer in (0, 1)
        ]
    )
    best, other = (0, 1.0, 0.5), (1, 1.0, 0.5)
    once, often = (
        settings_without_labels.transfer({"a": q, "b": q}, {"a": best, "b": other}) for q in (quality, copied(quality))
    )
    assert often[["regret", "low", "high"]].to_numpy() == pytest.approx(once[["regret", "low", "high"]].to_numpy())
    assert often["p"].dropna().tolist() == once["p"].dropna().tolist()


def study(n=12):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        [
            {"set": of_set, "method": method, "arm": arm, "seed": seed, "sample_id": f"s{i}", "image_id": f"p{i}",
             "correct": int(rng.random() < 0.5), "recall50": rng.random()}
            for of_set, method in decoupled_training.OUTCOMES
            for arm in decoupled_training.ARMS
            for seed in ((0,) if arm == decoupled_training.START else (0, 1))
            for i in range(n)
        ]
    )  # fmt: skip


def test_the_study_takes_pictures_as_units_and_leaves_out_what_a_run_did_not_answer():
    for tabulate in (decoupled_training.accuracies, decoupled_training.differences, decoupled_training.localisation):
        once, often = tabulate(study()), tabulate(copied(study()))
        assert widths(often) == pytest.approx(widths(once))
        table = study().astype({"correct": "Int64"})
        table.loc[(table["sample_id"] == "s3") & (table["arm"] == "mixed") & (table["seed"] == 1), "correct"] = pd.NA
        with pytest.warns(UserWarning, match="1 of 12 pictures left out"):
            found = tabulate(table)
        assert found["n"].eq(11).all() and found.notna().all(axis=None)


def test_single_functions_take_what_tables_have():
    right = pd.Series([True, None, False, True], dtype="boolean")
    assert mean_interval(right, "abcd").n == 3 and mean_interval([True, None], ["a", "b"]).estimate == 1
    gap, test = paired_test(right, pd.Series([False, True, None, False], dtype=object), "abcd")
    assert (gap.estimate, gap.n, test.only_a) == (1, 2, 2)
    assert np.isnan(paired_test([None], [True], ["a"])[1].p)
    with pytest.warns(UserWarning, match="x: 1 of 4 rows"):
        assert answered(pd.DataFrame({"correct": right}), "x")["correct"].tolist() == [1, 0, 1]
