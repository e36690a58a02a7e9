"""Spoilt and enlarged boxes: exact small cases, nesting, and rates that hold exactly."""

import itertools

import numpy as np
import pandas as pd
import pytest
from checkpoints import tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st
from model_helpers import picture

from hide_utils.analyses import robustness
from hide_utils.edits import corruption
from hide_utils.method.hide import HiDe
from hide_utils.samples import Sample

SIZE = (90, 70)
TWO = [(10, 40, 20, 45), (50, 5, 70, 25)]


def overlapping(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def sample(name="s0", boxes=TWO, kind="drawn"):
    boxes = [tuple(float(v) for v in box) for box in boxes]
    return Sample(name, "What is red?", ["star", "dog"], "A", kind, lambda: picture(*SIZE), boxes)


THREE = [(10, 10, 20, 20), (60, 10, 70, 30), (30, 50, 45, 60)]


@pytest.mark.parametrize("name", [f"s{i}" for i in range(6)])
def test_spoilt_boxes_by_kind_and_number(name):
    one = sample(name, THREE)
    sizes = sorted((x1 - x0, y1 - y0) for x0, y0, x1, y1 in THREE)
    for kind, k in itertools.product(corruption.CORRUPTIONS, range(4)):
        found = corruption.corrupted_boxes(kind, k, one, SIZE)
        true, other = [b for b in found if b in THREE], [b for b in found if b not in THREE]
        assert len(true) == (3 if kind == "extra" else 3 - k)
        assert len(other) == (0 if kind == "missing" else k)
        assert all(not overlapping(box, known) for box in other for known in THREE)
        if kind != "missing" and k == 3:
            assert sorted((x1 - x0, y1 - y0) for x0, y0, x1, y1 in other) == sizes
        if k:
            before = set(corruption.corrupted_boxes(kind, k - 1, one, SIZE))
            assert len(before ^ set(found)) == (2 if kind == "wrong" else 1), "one more box, and no other, is spoilt"
    wrong, extra = (set(corruption.corrupted_boxes(kind, 3, one, SIZE)) for kind in ("wrong", "extra"))
    assert extra == wrong | set(THREE)
    assert corruption.corrupted_boxes("missing", 3, one, SIZE) == []


def test_spoiling_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match="unknown corruption 'bad'"):
        corruption.corrupted_boxes("bad", 1, sample(), SIZE)
    with pytest.raises(ValueError, match="has 2 true box"):
        corruption.corrupted_boxes("wrong", 3, sample(), SIZE)
    with pytest.raises(ValueError, match="at least 1"):
        corruption.enlarged_boxes(0.5, sample(), SIZE)


@given(st.integers(0, 80), st.integers(0, 60), st.integers(100, 1500))
@settings(max_examples=80)
def test_whole_pixels_survive_merging(x, y, side):
    box = (x, y, x + 7, y + 9)
    assert corruption.enlarged_boxes(1, sample(boxes=[box]), (side, side)) == [box]


def test_enlarged_boxes_are_cut_at_the_edge_and_merge():
    far = sample(boxes=[(2, 30, 12, 40), (60, 30, 70, 40)])
    assert corruption.enlarged_boxes(2, far, SIZE) == [(0, 25, 17, 45), (55, 25, 75, 45)]
    assert corruption.enlarged_boxes(6, far, SIZE) == [(0, 5, 90, 65)]  # 30 either side of 7 and 65 meet at 36
    assert list(robustness.box_methods(0, [2, 4.5])) == ["true x 2", "true x 4.5"]


def test_rates_hold_exactly_over_all_boxes_and_are_nested():
    samples = [sample(f"s{i}", THREE[: 1 + i % 3]) for i in range(20)]
    rates = [0, 0.25, 0.5, 0.75, 1]
    table = corruption.corrupted_counts(samples, rates)
    boxes = sum(len(s.boxes_xyxy) for s in samples)
    assert table.groupby("rate")["n_corrupted"].sum().tolist() == [round(rate * boxes) for rate in rates]
    wide = table.pivot(index="sample_id", columns="rate", values="n_corrupted")
    assert (np.diff(wide.to_numpy(), axis=1) >= 0).all()
    assert (wide[1] == table.set_index("sample_id")["boxes"].groupby("sample_id").first()).all()
    with pytest.raises(ValueError, match="a share of the boxes"):
        corruption.corrupted_counts(samples, [1.2])


def test_rates_are_put_together_from_states():
    samples = [sample(f"s{i}", THREE[:2]) for i in range(8)]
    states = ["oracle", *robustness.box_methods(2, [])]
    right = {"oracle": True, **{name: name.startswith("extra") for name in states[1:]}}
    answers = pd.DataFrame(
        [{"sample_id": s.id, "method": name, "correct": right[name]} for s in samples for name in states]
    )
    table = robustness.at_rates(answers, samples, [0.5])
    means = table.groupby(["corruption", "rate"])["correct"].mean().unstack()
    assert means.loc["extra"].tolist() == [1, 1, 1]
    assert means.loc["wrong"].tolist() == means.loc["missing"].tolist()
    counts = corruption.corrupted_counts(samples, [0.5])
    assert means.loc["wrong", 0.5] == (counts["n_corrupted"] == 0).mean() and means.loc["wrong", 1] == 0
    assert table["method"].tolist()[:1] == ["wrong 0%"] and len(table) == 3 * 3 * 8


def test_rates_hold_within_each_kind_of_question():
    """Kinds differ in their number of boxes, so that a rate over all would not be that of a kind."""
    samples = [sample(f"s{i}", THREE[: 1 + i % 2], kind=("one", "two")[i % 2]) for i in range(20)]
    rows = [
        {"sample_id": s.id, "method": name, "kind": s.kind, "correct": name == "oracle"}
        for s in samples
        for name in ("oracle", *robustness.box_methods(len(s.boxes_xyxy), []))
    ]
    table = robustness.at_rates(pd.DataFrame(rows), samples, [0.3])
    assert sorted(table["rate"].unique()) == [0, 0.3, 1], "none and all are always there"
    right = table[table["rate"] == 0.3].groupby(["kind", "corruption"])["correct"].mean()
    assert (right["one"] == 0.7).all() and (right["two"] < 0.7).all()


def test_states_of_a_sample_with_fewer_boxes_are_its_last():
    methods = robustness.box_methods(2, [])
    assert list(methods) == ["wrong 1", "wrong 2", "extra 1", "extra 2", "missing 1", "missing 2"]
    model = tiny_model("qwen3_vl")
    hide, one = HiDe(model), sample(boxes=[TWO[0]])
    session = hide.open(one.image)
    outcomes = {name: methods[name](hide, session, one) for name in ("extra 1", "extra 2", "missing 2")}
    assert outcomes["extra 2"].regions == outcomes["extra 1"].regions and len(outcomes["extra 1"].regions) == 2
    assert len(outcomes["missing 2"].regions) == 0 and outcomes["missing 2"].fallback == "no box survived"


def test_whoever_edits_by_true_boxes_keeps_all_their_pixels():
    """Oracle, interventions and corrupted boxes, whole and with fractions."""
    from hide_utils.baselines import true_regions

    side = 1344
    image = picture(side, side)
    session = HiDe(tiny_model("qwen3_vl")).open(image)
    for whole in ((51, 59, 97, 1007), (102, 5, 1005, 118)):  # edges that normalised floats lose
        for box in (whole, (whole[0] + 0.7, whole[1] + 0.3, whole[2] - 0.6, whole[3] - 0.2)):
            one = sample(boxes=[box])
            assert true_regions(session, one) == [whole]
            assert corruption.corrupted_boxes("wrong", 0, one, image.size) == [whole]
            assert corruption.enlarged_boxes(1, one, image.size) == [whole]
