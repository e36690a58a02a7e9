"""Questions about one picture are no independent evidence: every interval and test takes pictures as its units."""

import numpy as np
import pandas as pd
import pytest
from answer_rows import answers, copied

from hide_utils import plots
from hide_utils.analyses import extraction, settings_without_labels
from hide_utils.analyses import when_to_look as gating
from hide_utils.evaluation import failures
from hide_utils.stats import (
    accuracies,
    accuracy_table,
    compare,
    compare_answers,
    comparison_table,
    means,
)
from hide_utils.stats.rows import answered, mean_interval, outcomes, paired_test


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


def test_single_functions_take_what_tables_have():
    right = pd.Series([True, None, False, True], dtype="boolean")
    assert mean_interval(right, "abcd").n == 3 and mean_interval([True, None], ["a", "b"]).estimate == 1
    gap, test = paired_test(right, pd.Series([False, True, None, False], dtype=object), "abcd")
    assert (gap.estimate, gap.n, test.only_a) == (1, 2, 2)
    assert np.isnan(paired_test([None], [True], ["a"])[1].p)
    with pytest.warns(UserWarning, match="x: 1 of 4 rows"):
        assert answered(pd.DataFrame({"correct": right}), "x")["correct"].tolist() == [1, 0, 1]
