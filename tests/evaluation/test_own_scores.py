"""The scores that benchmarks publish for themselves, worked by hand."""

import numpy as np
import pandas as pd
import pytest

from hide_utils.evaluation.localisation import mean_best_iou
from hide_utils.evaluation.own_scores import own_scores
from hide_utils.samples import Sample


def rows(method, kinds, correct, **columns):
    given = {"sample_id": [f"s{i}" for i in range(len(kinds))], "kind": kinds, "correct": correct} | columns
    return pd.DataFrame({"method": method, "cycle": "", "error": None, "reply": "", "regions": None} | given)


def asked(i, **rest):
    options = {} if "answers" in rest else {"options": ["x", "y"], "label": "A"}
    return Sample(f"s{i}", "?", **({"options": [], "label": ""} | options), kind="k", render=lambda: None, **rest)


def test_a_plain_share_needs_no_score_of_its_own():
    answers = rows("direct", ["a", "b"], [True, False])
    assert own_scores("vstar", answers, [asked(0), asked(1)]) is None
    assert own_scores("signs.json", answers, [asked(0), asked(1)]) is None


def test_cv_bench_is_the_mean_of_2d_and_3d():
    kinds = ["2D/ADE20K/Count"] * 4 + ["2D/COCO/Relation"] * 2 + ["3D/Omni3D/Depth"] * 5
    right = [True, True, True, False, True, False, True, False, False, False, False]
    answers = pd.concat([rows("direct", kinds, right), rows("hide", kinds, [True] * 11)], ignore_index=True)
    scores = own_scores("cv_bench", answers, [asked(i) for i in range(11)]).set_index("method")
    assert scores.loc["direct"].tolist() == pytest.approx([(0.75 + 0.5) / 2, 0.2, (0.625 + 0.2) / 2])
    assert scores.loc["hide"].tolist() == [1, 1, 1]
    assert np.isnan(own_scores("cv_bench", answers[answers["kind"].str[0] == "2"], [])["combined"]).all()


def test_treebench_has_the_mean_iou_of_the_regions():
    truth = [[(0, 0, 10, 10), (20, 0, 30, 10)], [(0, 0, 4, 4)]]
    samples = [asked(i, boxes_xyxy=boxes) for i, boxes in enumerate(truth)]
    regions = [[0.0, 0.0, 10.0, 5.0, 20.0, 0.0, 30.0, 10.0], None]
    answers = pd.concat(
        [rows("hide", ["a"] * 2, [True, False], regions=regions), rows("direct", ["a"] * 2, [True] * 2)]
    )
    scores = own_scores("treebench", answers, samples).set_index("method")
    assert scores.loc["hide"].tolist() == pytest.approx([0.5, (0.75 + 0) / 2])  # (1/2 + 1) / 2, and none
    assert scores.loc["direct", "accuracy"] == 1 and np.isnan(scores.loc["direct", "mIoU"])


def test_a_true_box_counts_with_the_box_that_fits_it_best():
    truth = [(0, 0, 10, 10)]
    assert mean_best_iou([(0, 0, 5, 10), (0, 0, 10, 8)], truth) == pytest.approx(0.8)
    assert mean_best_iou([], truth) == 0 and mean_best_iou([(0, 0, 1, 1)], []) == 0


def test_hr_bench_is_scored_by_its_cycles_even_from_a_file():
    answers = rows("direct", ["a"] * 4, [True, False, True, True], cycle=["c0", "c1", "c1", "c1"])
    for name in ("hrbench4k", "data/hr_bench_4k.tsv"):
        assert own_scores(name, answers, []).to_dict("list") == {
            "method": ["direct"],
            "mean over cycles": [pytest.approx((1 + 2 / 3) / 2)],
        }


def test_white_background_is_scored_by_grid_and_without_errors():
    samples = [asked(i, answers=["no"] * 2 + ["yes"] * 8) for i in range(3)]
    answers = rows("direct", ["1x1", "3x3", "3x3"], [True, False, None], reply=["yes", "No.", ""])
    answers["error"] = [None, None, "cut"]
    with pytest.warns(UserWarning, match="1 of 3 rows left out for errors"):
        scores = own_scores("hrscene_white_background", answers, samples)
    assert scores.to_dict("list") == {"method": ["direct"], "1x1": [1.0], "3x3": [pytest.approx(2 / 3)]}
