"""Intervals and tests against published values, statsmodels, and simulation."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from hide_utils.stats import (
    cluster_bootstrap,
    clustered_mcnemar,
    comparison_table,
    holm,
    mcnemar_exact,
    mean_over_cycles,
    paired_difference,
    ratio_interval,
    unpaired_test,
    wilson,
)

OUTCOMES = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


def paired(both, only_a, only_b, neither):
    """Outcomes with the given 2x2 table."""
    a = [1] * (both + only_a) + [0] * (only_b + neither)
    return a, [1] * both + [0] * only_a + [1] * only_b + [0] * neither


def test_wilson_of_the_published_result():
    interval = wilson(176, 191)
    assert (round(interval.low, 3), round(interval.high, 3), interval.n) == (0.874, 0.952, 191)


@settings(max_examples=40)
@given(st.integers(1, 500), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_equals_statsmodels(n, share, level):
    k = round(share * n)
    interval = wilson(k, n, level)
    assert interval[1:3] == pytest.approx(proportion_confint(k, n, 1 - level, method="wilson"), abs=1e-9)
    assert 0 <= interval.low <= interval.estimate + 1e-12 and interval.estimate - 1e-12 <= interval.high <= 1


def test_wilson_without_samples_and_bad_counts():
    empty = wilson(0, 0)
    assert math.isnan(empty.estimate) and empty[1:] == (0, 1, 0)
    for k, n in ((3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="0 <= k <= n"):
            wilson(k, n)
    with pytest.raises(ValueError, match="level=95"):
        wilson(1, 2, 95)


@given(OUTCOMES)
@settings(max_examples=30)
def test_mcnemar_equals_statsmodels(outcomes):
    a, b = np.array(outcomes).T
    result = mcnemar_exact(a, b)
    table = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
    assert (result.only_a, result.only_b) == (table[0][1], table[1][0])
    assert result.p == pytest.approx(mcnemar(table, exact=True).pvalue)


def test_mcnemar_by_hand():
    assert mcnemar_exact(*paired(5, 9, 1, 5)).p == pytest.approx(2 * 11 / 2**10)
    assert mcnemar_exact(*paired(5, 0, 0, 5)).p == 1


@pytest.mark.parametrize(
    ("table", "wanted"),  # Newcombe 1998 (paired data), method 10: negative, corrected positive, and one empty cell
    [
        ((36, 12, 2, 0), (0.2, 0.0569, 0.3404)),
        ((20, 12, 2, 16), (0.2, 0.0562, 0.3292)),
        ((18, 14, 0, 18), (0.28, 0.1441, 0.3963)),
    ],
)
def test_paired_difference_of_newcombes_examples(table, wanted):
    assert paired_difference(*paired(*table))[:3] == pytest.approx(wanted, abs=1e-4)


@given(OUTCOMES)
@settings(max_examples=30)
def test_paired_difference_is_ordered_and_antisymmetric(outcomes):
    a, b = np.array(outcomes).T
    there, back = paired_difference(a, b), paired_difference(b, a)
    assert -1 - 1e-9 <= there.low <= there.estimate + 1e-12 <= there.high + 2e-12 <= 1 + 1e-9
    assert there[:3] == pytest.approx((-back.estimate, -back.high, -back.low))


@pytest.mark.parametrize(
    ("one", "other", "wanted"),  # Newcombe 1998 (independent proportions), method 10
    [
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((5, 56), (0, 29), (-0.0381, 0.1926)),
        ((10, 10), (0, 10), (0.6075, 1.0)),
    ],
)
def test_unpaired_difference_of_newcombes_examples(one, other, wanted):
    groups = [[True] * k + [False] * (n - k) for k, n in (one, other)]
    found, _ = unpaired_test(*groups)
    assert (found.low, found.high) == pytest.approx(wanted, abs=1e-4) and found.n == one[1] + other[1]
    assert found.estimate == pytest.approx(one[0] / one[1] - other[0] / other[1])


def test_fisher_of_the_lady_tasting_tea():
    """Three of four cups in each group: p is 34 of 70 tables."""
    assert unpaired_test([1, 1, 1, 0], [0, 0, 0, 1])[1] == pytest.approx(34 / 70)
    assert unpaired_test([True, False], [True, False])[1] == 1
    with pytest.raises(ValueError, match="groups of 2 and 0 samples"):
        unpaired_test([1, 0], [])


def test_paired_difference_covers():
    rng = np.random.default_rng(0)
    u = rng.random((250, 60))
    a, b = (u < 0.25) | (u > 0.5), (u >= 0.25) & (u < 0.3) | (u > 0.5)  # true difference 0.2
    covered = [low <= 0.2 <= high for _, low, high, _ in map(paired_difference, a, b)]
    assert 0.92 <= np.mean(covered) <= 0.99


def test_columns_of_a_table_are_accepted():
    table = pd.DataFrame({"a": [True, True, False], "b": [True, False, False], "image": ["x", "x", "y"]})
    assert mcnemar_exact(table.a, table.b).only_a == 1
    assert paired_difference(table.a, table.b).n == wilson(table.a.sum(), len(table)).n == 3
    assert cluster_bootstrap(table.a, table.image, 200).estimate == pytest.approx(2 / 3)
    assert holm(pd.Series([0.01])) == [0.01]


@pytest.mark.parametrize("test", [mcnemar_exact, paired_difference])
def test_unpaired_or_missing_outcomes_are_refused(test):
    with pytest.raises(ValueError, match="same samples"):
        test([True], [True, False])
    with pytest.raises(ValueError, match="right or wrong"):
        test([1.0, math.nan], [1, 0])
    with pytest.raises(ValueError, match="no samples"):
        paired_difference([], [])


def test_holm():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    draw = np.random.default_rng(0)
    for size in (1, 5, 19):
        p_values = draw.choice([0.001, 0.01, 0.02, 0.3, 1.0], size)  # ties among them
        assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist())
    with pytest.raises(ValueError, match="0, 1"):
        holm([0.5, math.nan])


def test_cluster_bootstrap_is_wider_than_ignoring_clusters():
    right = np.repeat(np.random.default_rng(0).random(100) < 0.7, 4)  # four questions a picture, all right or all wrong
    clustered = cluster_bootstrap(right, np.repeat(np.arange(100), 4), 2000)
    single = cluster_bootstrap(right, np.arange(400), 2000)
    assert clustered.estimate == single.estimate == right.mean()
    assert 1.6 < (clustered.high - clustered.low) / (single.high - single.low) < 2.4  # 2 in theory
    assert clustered == cluster_bootstrap(right, np.repeat(np.arange(100), 4), 2000)


def test_cluster_bootstrap_edges():
    assert cluster_bootstrap([1, 1, 1], ["a", "b", "b"], 100)[:3] == (1, 1, 1)
    one = cluster_bootstrap([1, 0], ["a", "a"])
    assert one.estimate == 0.5 and math.isnan(one.low) and math.isnan(one.high)
    for values, clusters in (([], []), ([1], ["a", "b"]), ([math.nan], ["a"])):
        with pytest.raises(ValueError, match="values and"):
            cluster_bootstrap(values, clusters)


# pictures that carry several questions --------------------------------------------------------------------------------


@given(OUTCOMES)
@settings(max_examples=30)
def test_clustered_test_with_one_sample_a_cluster_is_mcnemars(outcomes):
    a, b = np.array(outcomes).T
    clustered, exact = clustered_mcnemar(a, b, range(len(a))), mcnemar_exact(a, b)
    assert clustered[:2] == exact[:2] and clustered.p == pytest.approx(exact.p)


def test_clustered_test_by_hand():
    # differences of the clusters: +2, +1, -1; of the 8 ways to exchange them, six reach 2: 2+1-1, 2-1+1,
    # 2+1+1 and their negatives
    a, b = [1, 1, 1, 0], [0, 0, 0, 1]
    assert clustered_mcnemar(a, b, ["x", "x", "y", "z"]) == (3, 1, pytest.approx(6 / 8))
    assert clustered_mcnemar(a, a, ["x", "x", "y", "z"]).p == 1
    with pytest.raises(ValueError, match="one for each"):
        clustered_mcnemar(a, b, ["x"])


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 4)), min_size=1, max_size=25))
@settings(max_examples=25)
def test_clustered_test_equals_trying_every_exchange(outcomes):
    a, b, clusters = np.array(outcomes).T
    sums = np.bincount(clusters, a - b.astype(float), minlength=5)
    signs = np.array(np.meshgrid(*[[1, -1]] * 5)).reshape(5, -1)
    expected = (np.abs(sums @ signs) >= abs(sums.sum()) - 1e-9).mean()
    assert clustered_mcnemar(a.astype(bool), b.astype(bool), clusters).p == pytest.approx(expected)


def test_four_copies_of_each_question_are_no_four_times_the_evidence():
    a, b = paired(30, 12, 3, 15)
    once = clustered_mcnemar(a, b, range(60))
    four = clustered_mcnemar(np.repeat(a, 4), np.repeat(b, 4), np.repeat(range(60), 4))
    assert four.p == pytest.approx(once.p) and four.only_a == 4 * once.only_a
    assert mcnemar_exact(np.repeat(a, 4), np.repeat(b, 4)).p < once.p / 100  # what ignoring it would have claimed


def cycles():
    """Two pictures in four cycles: the first right in all, the second in one; another method right in half."""
    right = {"hide": [1, 1, 1, 1, 1, 0, 0, 0], "direct": [1, 1, 0, 0, 1, 1, 0, 0]}
    rows = [
        {"sample_id": f"s{i}", "image_id": f"p{i // 4}", "cycle": f"cycle_{i % 4}", "method": method, "kind": "single",
         "correct": bool(outcome), "letter": "A" if i else None}
        for method, outcomes in right.items() for i, outcome in enumerate(outcomes)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_score_of_hrbench_is_the_mean_over_cycles():
    scores = mean_over_cycles(cycles())
    assert scores["hide"] == (1 + 0.5 + 0.5 + 0.5) / 4 and scores["direct"] == 0.5
    unbalanced = cycles().drop(index=[0])  # the first cycle of "hide" has one question left, and counts as much
    assert mean_over_cycles(unbalanced)["hide"] == (1 + 0.5 + 0.5 + 0.5) / 4
    with pytest.raises(ValueError, match="no cycle"):
        mean_over_cycles(cycles().assign(cycle=""))


def test_comparison_resamples_pictures_where_they_carry_several_questions():
    several = pd.concat([cycles().assign(sample_id=lambda t, i=i: t["sample_id"] + f"-{i}") for i in range(5)])
    several["image_id"] = several["image_id"] + several["sample_id"].str[-2:]
    table = comparison_table(several).set_index(["kind", "method"])
    row = table.loc[("all", "hide")]
    assert (row["n"], row["pictures"], row["unread"]) == (40, 10, 5)
    wide = several.pivot(index="sample_id", columns="method", values="correct")
    pictures = several.drop_duplicates("sample_id").set_index("sample_id").loc[wide.index, "image_id"]
    interval = cluster_bootstrap(wide["hide"], pictures)
    assert (row["accuracy"], row["low"], row["high"]) == pytest.approx(interval[:3])
    assert row["p"] == pytest.approx(clustered_mcnemar(wide["hide"], wide["direct"], pictures).p)
    single = comparison_table(several.assign(image_id=several["sample_id"])).set_index(["kind", "method"])
    assert single.loc[("all", "hide"), "low"] == pytest.approx(wilson(25, 40).low)
    assert single.loc[("all", "hide"), "p"] == pytest.approx(mcnemar_exact(wide["hide"], wide["direct"]).p)


def test_ratio_interval_covers_the_true_ratio():
    rng, hits = np.random.default_rng(0), 0
    for seed in range(100):
        below = rng.integers(1, 4, 60)
        interval = ratio_interval(rng.binomial(below, 0.3), below, 500, seed=seed)
        hits += interval.low <= 0.3 <= interval.high
    assert 85 <= hits <= 100
    assert np.isnan(ratio_interval([0, 0], [0, 0]).estimate)
    assert ratio_interval([0, 3], [0, 4])[:3] == (0.75, 0.75, 0.75), "a resample of the first alone has no ratio"
    assert np.isnan(ratio_interval([1], [2]).low), "of one pair the spread is unknown"
