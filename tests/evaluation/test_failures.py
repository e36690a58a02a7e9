"""Causes of failure: each definition by hand, the order in which they are asked, and counts that add up."""

import pandas as pd
import pytest
from checkpoints import tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st
from model_helpers import picture

from hide_utils.evaluation import failures
from hide_utils.evaluation.failures import CAUSES, cause_of
from hide_utils.method import lpd
from hide_utils.samples import Sample

TRUTH = [(20, 20, 40, 40), (70, 60, 90, 80)]
TOKEN = 8.0


def cause(regions, truth=TRUTH, places=None):
    return cause_of(regions, places or (lpd.mapping(regions) if regions else []), truth, TOKEN)


def test_definitions_by_hand():
    assert cause(TRUTH) == "none"
    assert cause([]) == cause(TRUTH[:1]) == "missed"
    assert cause([(20, 20, 29, 40), TRUTH[1]]) == "missed", "9 of 20 columns are less than half"
    assert cause([(20, 20, 30, 40), TRUTH[1]]) == "none", "half is enough"
    # the boxes and a token around them are 36 x 36 each; 2 x 1296 + 2592 elsewhere is still half
    near = [(12, 12, 48, 48), (62, 52, 98, 88)]
    assert cause([*near, (0, 100, 72, 136)]) == "none"
    assert cause([*near, (0, 100, 73, 136)]) == "background"
    assert cause([(20, 20, 29, 40), (31, 20, 40, 40), TRUTH[1]]) == "fragmented"
    swapped = [(30, 30, 50, 50), (0, 0, 20, 20)]
    assert cause(TRUTH, places=swapped) == "layout"


def test_the_first_cause_that_applies_counts():
    far = (0, 100, 100, 200)
    pieces = [(20, 20, 29, 40), (31, 20, 40, 40)]
    assert cause([*pieces, far]) == "missed"  # also background, also fragmented
    assert cause([*pieces, TRUTH[1], far]) == "background"
    with pytest.raises(ValueError, match="no true boxes"):
        cause(TRUTH, truth=[])


@given(st.lists(st.tuples(*[st.integers(0, 90)] * 2, *[st.integers(1, 60)] * 2), max_size=6))
@settings(max_examples=100)
def test_everything_has_one_of_the_causes_and_lpd_never_loses_the_order(boxes):
    size = (160, 160)
    regions = lpd.merge_boxes([(x / 160, y / 160, (x + w) / 160, (y + h) / 160) for x, y, w, h in boxes], size)
    assert cause(regions) in set(CAUSES) - {"layout"}


def sample(name):
    boxes = [tuple(float(v) for v in box) for box in TRUTH]
    return Sample(name, "?", ["a", "b"], "A", "drawn", lambda: picture(160, 160), boxes)


@pytest.fixture
def answers():
    regions = {"a": TRUTH, "b": [], "c": TRUTH, "d": TRUTH[:1]}
    hide = [
        {
            "sample_id": name,
            "method": "hide",
            "correct": name == "a",
            "regions": [float(v) for box in found for v in box] or None,
        }
        for name, found in regions.items()
    ]
    others = [
        {"sample_id": n, "method": method, "correct": n != wrong, "regions": None}
        for method, wrong in (("oracle", "b"), ("direct", "d"))
        for n in regions
    ]
    return pd.DataFrame(hide + others)


def test_table_counts_every_sample_once(answers):
    samples = [sample(name) for name in "abcd"]
    found = failures.causes(answers, samples, tiny_model("qwen3_vl"))
    assert found["cause"].tolist() == ["none", "missed", "none", "missed"]
    assert found["correct"].tolist() == [True, False, False, False]
    assert found["regions"][0] == TRUTH and found["regions"][1] == []
    table = failures.wrong_shares(found, answers)
    assert table["cause"].unique().tolist() == ["none", "any fault", "missed"], "in order, those of no sample left out"
    shares = table.set_index(["cause", "method"])["wrong"].unstack()[["hide", "both", "direct"]]
    assert shares.loc["none"].tolist() == [0.5, 0, 0]
    assert shares.loc["missed"].tolist() == shares.loc["any fault"].tolist() == [1, 0.5, 0.5]
    assert set(table["n"]) == {2} and (table["low"] <= table["wrong"]).all() and (table["wrong"] <= table["high"]).all()


def test_any_fault_counts_the_samples_of_all_faults(answers):
    found = pd.DataFrame({"sample_id": list("abcd"), "cause": ["none", "missed", "fragmented", "background"]})
    table = failures.wrong_shares(found, answers).set_index(["cause", "method"])
    assert table.loc[("any fault", "hide"), ["n", "wrong"]].tolist() == [3, 1]
    assert list(dict.fromkeys(table.index.get_level_values(0))) == [
        *("none", "any fault", "missed", "background", "fragmented")
    ]


def test_an_error_has_no_cause(answers):
    samples = [sample(name) for name in "abcd"]
    answers = answers.assign(error=None, correct=answers["correct"].astype("boolean"))
    answers.loc[answers["sample_id"] == "b", ["correct", "error"]] = [pd.NA, "OutOfMemoryError: no memory"]
    with pytest.warns(UserWarning, match="failures: 1 of 4 rows left out"):
        found = failures.causes(answers, samples, tiny_model("qwen3_vl"))
    assert found["sample_id"].tolist() == ["a", "c", "d"]
    shares = failures.wrong_shares(found, answers).set_index(["cause", "method"])
    assert shares.loc[("missed", "hide"), "n"] == 1 and shares.loc[("none", "both"), "n"] == 2
    assert failures.panels(found, samples, answers.assign(letter="B"), {"missed": "missed"})
    with pytest.raises(KeyError):  # nobody ran it: 0 hopeless ones would be a guess
        failures.wrong_shares(found, answers.query("method != 'oracle'"))
