import numpy as np
import pandas as pd
import pytest

from hide_utils.analyses import background
from hide_utils.analyses import interference as changes
from hide_utils.analyses.interference import interference_index

# --- comparisons ------------------------------------------------------------------------------------------------------


def answered(**right):
    """Answers of methods to ten samples, five of each kind; right[m]: numbers of the samples that m got right."""
    rows = [
        (f"s{i}", method, "direct_attributes" if i < 5 else "relative_position", i in numbers)
        for method, numbers in right.items()
        for i in range(10)
    ]
    return pd.DataFrame(rows, columns=["sample_id", "method", "kind", "correct"])


def test_comparison_goes_from_before_to_after_and_is_corrected_over_all_rows():
    answers = answered(a={0, 5}, b=set(range(10)), c={0})
    table = changes.comparisons(answers, [("a", "b"), ("b", "c")])
    assert len(table) == 6 and table["kind"].tolist()[:3] == ["direct_attributes", "relative_position", "all"]
    first, last = table.iloc[2], table.iloc[5]
    assert (first["accuracy_before"], first["accuracy_after"], first["n"]) == (0.2, 1.0, 10)
    assert (first["difference"], first["gained"], first["lost"]) == (pytest.approx(0.8), 8, 0)
    assert first["p"] == pytest.approx(2 / 2**8) and last["p"] == pytest.approx(2 / 2**9)
    assert last["p_holm"] == pytest.approx(6 * 2 / 2**9) and first["p_holm"] == pytest.approx(5 * 2 / 2**8)
    assert first["difference_low"] < 0.8 < first["difference_high"] and first["before_low"] < 0.2 < first["before_high"]
    over_all = changes.comparisons(answers, [("a", "b"), ("b", "c")], by_kind=False)
    assert over_all["kind"].tolist() == ["all", "all"]
    assert over_all["p_holm"].tolist() == [pytest.approx(2 / 2**8), pytest.approx(2 * 2 / 2**9)]
    with pytest.raises(ValueError, match="two different settings"):
        changes.comparisons(answers, [("a", "a")])


def test_only_samples_that_both_answered_are_compared():
    answers = answered(a={0, 5}, b=set(range(10)))
    fewer = answers[(answers["method"] == "a") | answers["sample_id"].isin(["s0", "s1", "s5"])]
    row = changes.comparisons(fewer, [("a", "b")]).iloc[2]
    assert (row["n"], row["accuracy_before"], row["gained"]) == (3, pytest.approx(2 / 3), 1)
    with pytest.raises(ValueError, match="no sample was answered by both 'a' and 'c'"):
        changes.comparisons(answers, [("a", "c")])


def test_published_values_are_read_with_their_kinds():
    table = changes.published("upscale")
    assert len(table) == 20 and set(table["model"]) == {"Qwen2.5-VL-7B", "InternVL3-8B"}
    one = table.query("model == 'Qwen2.5-VL-7B' and kind == 'direct_attributes' and value == 2.0")
    assert one["accuracy"].tolist() == [0.913]
    assert changes.published("expand_crop_ratio")["value"].min() == -1


def test_published_changes_stand_beside_ours_with_the_same_sign():
    settings = background.conditions([1.0, 2.0], [0.0, 1.0], [], [])
    every, none = set(range(10)), set()
    answers = answered(**{"direct": none, "upscale 2": every, "mask 1 white": every})
    answers = pd.concat([answers.assign(sample_id=answers["sample_id"] + part) for part in "ab"])  # ten of each kind
    marks = {name: changes.published(paper) for name, paper in (("upscale", "upscale"), ("mask", "mask_ratio"))}
    marks["canvas"] = changes.published("expand_crop_ratio")
    table = changes.beside_paper(answers, settings, marks)
    assert set(table["experiment"]) == {"upscale", "mask"}, "settings that were not run are left out"
    agrees = table.set_index(["experiment", "kind", "model"])["agrees"]
    assert agrees["upscale", "direct_attributes", "Qwen2.5-VL-7B"] == "yes"
    assert agrees["upscale", "relative_position", "Qwen2.5-VL-7B"] == "no", "the paper's fell, ours rose"
    assert agrees["upscale", "direct_attributes", "InternVL3-8B"] == "–", "81.7 to 80.9 has no direction"
    assert agrees["mask", "relative_position", "not stated"] == "yes"
    one = table.query("experiment == 'mask' and kind == 'direct_attributes'").iloc[0]
    assert one["paper"] == "not stated: 80.4% → 93.4%" and one["ours"].startswith("0.0% → 100.0%, +100.0 points")
    assert one["ours"].endswith(f"p = {4 * 2 / 2**10:.2g}"), "Holm over four: two edits, two kinds"
    assert (changes.beside_paper(answers.assign(kind="other"), settings, marks)).empty


# --- index ------------------------------------------------------------------------------------------------------------


def test_index_worked_by_hand():
    # one unit: right at 1 and 2 pixels, wrong at 4 and 8; slope of 1, 1, 0, 0 on 0, 1, 2, 3 is -0.4
    area, correct = [1, 2, 4, 8] * 2, [1, 1, 0, 0] * 2
    index = interference_index(area, correct, list("aaaabbbb"), list("aaaabbbb"))
    assert index == (pytest.approx(0.4), pytest.approx(0.4), pytest.approx(0.4), 8)


def test_index_compares_within_units_only():
    # between the units accuracy falls with area; within each it does not change
    area, correct = [1, 2, 64, 128], [1, 1, 0, 0]
    assert interference_index(area, correct, list("aabb"), list("aabb")).estimate == pytest.approx(0)
    assert interference_index(area, correct, list("aaaa"), list("aaaa")).estimate > 0.1


def test_index_without_anything_to_compare():
    alone = interference_index([4, 8], [1, 0], ["a", "b"], ["a", "b"])
    assert np.isnan(alone.estimate) and alone.n == 0
    single = interference_index([4, 8], [1, 0], ["a", "a"], ["a", "a"])
    assert single.estimate == pytest.approx(1) and np.isnan(single.low)


@pytest.mark.parametrize(("area", "correct"), [([0, 1], [1, 1]), ([1, 2], [1])])
def test_bad_input_of_the_index_is_refused(area, correct):
    with pytest.raises(ValueError, match="positive area"):
        interference_index(area, correct, ["a", "a"], ["a", "a"])
