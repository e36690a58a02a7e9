import numpy as np
import pandas as pd
import pytest

from hide_utils.stats import (
    accuracy_table,
    cluster_bootstrap,
    compare,
    compare_answers,
    comparison_table,
    mcnemar_exact,
    means,
    median_label,
    paired_difference,
    wilson,
)


def table(**variants):
    """One row a sample and variant; the values are both the measure `x` and, where 0 or 1, `pointing`."""
    rows = [
        {"sample_id": f"s{i}", "image_id": f"s{i}", "variant": name, "x": value, "pointing": float(value > 0.5)}
        for name, values in variants.items()
        for i, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def test_difference_is_tested_as_the_interval_shows_it():
    rng = np.random.default_rng(0)
    base = rng.normal(0, 1, 40)
    compared = compare(table(a=base, b=base + 0.3 + rng.normal(0, 0.1, 40), c=base), [("b", "a"), ("c", "a")], ["x"])
    up, same = (row for _, row in compared.iterrows())
    assert up["difference"] == pytest.approx(0.3, abs=0.05) and 0 < up["low"] < up["difference"] < up["high"]
    assert up["p"] == pytest.approx(2 / 5000, rel=0.01), "no flip of the signs gives as much"
    assert up["p_holm"] == pytest.approx(2 * up["p"]) and (same["difference"], same["p"]) == (0, 1)
    assert up["p_holm"] < 0.05 < same["p_holm"]
    (down,) = (row for _, row in compare(table(a=base, b=base - 0.5), [("b", "a")], ["x"]).iterrows())
    assert down["p_holm"] < 0.05 and down["high"] < 0


def test_few_large_differences_against_many_small_ones_decide_nothing():
    """A rank test would call this higher although the mean falls."""
    difference = np.r_[np.full(20, 0.01), np.full(2, -0.6)]
    (row,) = (row for _, row in compare(table(a=0 * difference, b=difference), [("b", "a")], ["x"]).iterrows())
    assert row["difference"] < 0 and row["p_holm"] > 0.05


def test_questions_of_one_picture_are_averaged():
    one = table(a=[0.0, 0.0, 0.0, 0.0], b=[1.0, 3.0, 2.0, 4.0])
    one["image_id"] = one["sample_id"].map({"s0": "p", "s1": "p", "s2": "q", "s3": "q"})
    (row,) = (row for _, row in compare(one, [("b", "a")], ["x"]).iterrows())
    assert (row["n"], row["difference"]) == (2, 2.5)


def test_pointing_is_right_or_wrong():
    values = {"a": [0, 0, 1, 1, 0, 0, 1, 0], "b": [1, 1, 1, 1, 1, 1, 0, 0]}
    one = table(**values)
    (row,) = (row for _, row in compare(one, [("b", "a")], ["pointing"]).iterrows())
    assert row["p"] == mcnemar_exact(values["b"], values["a"]).p
    assert (row["low"], row["high"]) == paired_difference(values["b"], values["a"])[1:3]
    summary = means(one, ["variant"], ["pointing", "x"]).set_index(["variant", "measure"])
    assert tuple(summary.loc[("b", "pointing"), ["estimate", "low", "high"]]) == pytest.approx(wilson(6, 8)[:3])
    assert tuple(summary.loc[("a", "x"), ["estimate", "low", "high"]]) == pytest.approx(
        cluster_bootstrap(values["a"], [f"s{i}" for i in range(8)])[:3]
    )


def test_answers_are_compared_pair_by_pair_with_holm():
    outcomes = {"direct": [0] * 10, "hide": [1] * 9 + [0], "other": [1, 0] * 5}
    answers = pd.DataFrame(
        [
            {"sample_id": f"s{i}", "method": method, "correct": bool(right)}
            for method, of in outcomes.items()
            for i, right in enumerate(of)
        ]
    )
    compared = compare_answers(answers, [("hide", "direct"), ("hide", "other")])
    first, second = (row for _, row in compared.iterrows())
    assert (first["gained"], first["lost"], first["accuracy"], first["accuracy_against"]) == (9, 0, 0.9, 0)
    assert first["p"] == pytest.approx(2 / 2**9) and first["p_holm"] == pytest.approx(4 / 2**9)
    assert (second["gained"], second["lost"], second["n"]) == (4, 0, 10)
    assert first["p_holm"] < 0.05 < second["p_holm"]


def test_the_typical_one_is_the_lower_median():
    values = pd.Series([0.9, 0.1, 0.5, 0.4], index=["a", "b", "c", "d"])
    assert median_label(values) == median_label(values.drop("a")) == "d"


@pytest.mark.parametrize("tabulate", [accuracy_table, comparison_table])
@pytest.mark.parametrize(
    ("others", "called"), [(["color"] * 3, "all (category)"), (["all (category)", "x", "x"], "all (category)*")]
)
def test_a_category_called_all_stands_beside_the_one_over_everything(tabulate, others, called):
    kinds = ["all", "all", *others]
    answers = pd.DataFrame(
        [
            {"sample_id": f"s{i}", "kind": kind, "method": method, "correct": kind != "all"}
            for i, kind in enumerate(kinds)
            for method in ("direct", "hide")
        ]
    )
    found = tabulate(answers).query("method == 'hide'").set_index("kind")
    assert (found.loc[called, "n"], found.loc[called, "accuracy"]) == (2, 0)
    assert (found.loc["all", "n"], found.loc["all", "accuracy"]) == (5, 0.6)
    assert found["n"].sum() == 10 and answers["kind"].eq("all").sum() == 4
