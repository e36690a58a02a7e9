"""Questions about one picture are no independent evidence: every interval and test takes pictures as its units."""

import numpy as np
import pandas as pd
import pytest
from answer_rows import answers, copied

from hide_utils import plots
from hide_utils.evaluation import entity_variants, failures
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
        lambda t: entity_variants.accuracy_and_boxes(t, ["method"]),
        lambda t: compare_answers(t, [("hide", "direct"), ("oracle", "direct")]),
        lambda t: compare(
            t.assign(variant=t["method"], pointing=outcomes(t)), [("hide", "direct")], ["pointing", "iou"]
        ),
        lambda t: comparison_table(t),
        lambda t: plots.accuracy_curve(plots.new_figure()[1], t.assign(size=1), "size", xlabel="size"),
    ],
)
def test_copies_of_questions_are_no_further_evidence(tabulate):
    """Of 200 pictures the bootstrap's interval is Wilson's or Newcombe's to a few per cent. Half as wide is wrong."""
    once, often = tabulate(answers(200)), tabulate(copied(answers(200)))
    assert widths(often) == pytest.approx(widths(once), rel=0.12)
    for p in {"p", "p_holm"} & set(once):
        assert often[p].dropna().tolist() == pytest.approx(once[p].dropna().tolist(), rel=0.01)


def test_failures_are_judged_by_picture():
    results = answers(200)
    own = results.query("method == 'hide'")[["sample_id"]].assign(cause="none")
    results = pd.concat([results, results.query("method == 'hide'").assign(method="oracle")])
    once, often = failures.wrong_shares(own, results), failures.wrong_shares(copied(own), copied(results))
    assert widths(often) == pytest.approx(widths(once), rel=0.12)
    assert often["n"].tolist() == (4 * once["n"]).tolist()


def test_single_functions_take_what_tables_have():
    right = pd.Series([True, None, False, True], dtype="boolean")
    assert mean_interval(right, "abcd").n == 3 and mean_interval([True, None], ["a", "b"]).estimate == 1
    gap, test = paired_test(right, pd.Series([False, True, None, False], dtype=object), "abcd")
    assert (gap.estimate, gap.n, test.only_a) == (1, 2, 2)
    assert np.isnan(paired_test([None], [True], ["a"])[1].p)
    with pytest.warns(UserWarning, match="x: 1 of 4 rows"):
        assert answered(pd.DataFrame({"correct": right}), "x")["correct"].tolist() == [1, 0, 1]
