"""Choosing settings: a sweep over captured rows agrees with the method itself, and the stated rules are followed."""

import numpy as np
import pandas as pd
import pytest
from checkpoints import tiny_model
from model_helpers import picture

from hide_utils import HiDe
from hide_utils.evaluation import calibration, localisation
from hide_utils.evaluation.calibration import (
    candidates,
    choose_settings,
    first_within_one_error,
    search_rows,
    sweep_settings,
)
from hide_utils.models import Settings
from hide_utils.samples import Sample


def samples(n=2, **changes):
    fixed = {
        "question": "What is the color of the dog?",
        "options": ["red", "blue"],
        "label": "A",
        "kind": "direct_attributes",
        "boxes_xyxy": [(40, 40, 120, 120)],
        "entities": ["dog"],
    }
    return [Sample(f"s{i}", render=lambda i=i: picture(256, 224, i), **fixed | changes) for i in range(n)]


def test_sweep_is_what_the_method_would_find():
    model, drawn = tiny_model("qwen3_vl"), samples()
    found = search_rows(model, drawn, progress=False)
    assert found[0].layers == tuple(range(model.n_layers))
    table = sweep_settings(found, drawn, [(256, 224)] * 2, sigmas=(0.0, 1.0), alphas=(0.5, 0.9))
    assert len(table) == 2 * model.n_layers * 2 * 2
    for setting in ((1, 1.0, 0.9), (3, 0.0, 0.5)):
        for sample in drawn:
            hide = HiDe(model, *setting)
            regions = hide.locate(hide.open(sample.image), sample.question, sample.entities).regions
            row = table.set_index(["sample_id", "layer", "sigma", "alpha"]).loc[(sample.id, *setting)]
            assert row["iou"] == pytest.approx(localisation.iou(regions, sample.boxes_xyxy), abs=1e-9)
            assert row["area"] == pytest.approx(localisation.union_area(np.array(regions, float)) / (256 * 224))


def test_candidates_are_the_best_by_either_rule_in_turn():
    rows = [(0, 0.5, 0.5, 1.0, 0.1, 0.9), (1, 0.5, 0.5, 0.9, 0.2, 0.1), (2, 0.5, 0.5, 0.3, 0.6, 0.0)]
    table = pd.DataFrame(rows, columns=["layer", "sigma", "alpha", "recall50", "iou", "area"])
    assert [s.layer for s in candidates(table, most=2)] == [1, 2]
    assert [s.layer for s in candidates(table)] == [1, 2, 0]


def test_the_choice_follows_from_the_accuracies():
    model, drawn = tiny_model("qwen3_vl"), samples(4)
    found = search_rows(model, drawn, progress=False)
    options = [Settings(0, 1.0, 0.9), Settings(2, 0.0, 0.5)]
    settings, table = choose_settings(model, drawn, found, options, progress=False)
    assert settings == options[first_within_one_error(table["accuracy"].tolist(), 4)]
    for s, accuracy in zip(options, table["accuracy"], strict=True):
        hide = HiDe(model, s.layer, s.sigma, s.alpha)
        letters = [hide(d.image, d.question, d.options, d.entities, compare=False).letter for d in drawn]
        assert accuracy == np.mean([letter == "A" for letter in letters])


def test_samples_without_entities_are_refused():
    with pytest.raises(ValueError, match="no reference entities"):
        search_rows(tiny_model("qwen3_vl"), samples(1, entities=[]), progress=False)


def test_one_standard_error():
    assert first_within_one_error([0.40, 0.46, 0.50], 100) == 1  # the error of 0.5 is 0.05
    assert first_within_one_error([0.40, 0.46, 0.50], 10) == 0
    assert first_within_one_error([0.40, 1.0], 10) == 1


def test_questions_of_one_picture_are_one_picture_to_the_choice():
    model, drawn = tiny_model("qwen3_vl"), samples(4)
    for number, one in enumerate(drawn):
        one.image_id = f"p{number // 2}"
    found = search_rows(model, drawn, progress=False)
    assert set(sweep_settings(found, drawn, [(256, 224)] * 4)["image_id"]) == {"p0", "p1"}
    seen = []

    def first(accuracies, n):
        seen.append(n)
        return 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "first_within_one_error", first)
        choose_settings(model, drawn, found, [Settings(0, 1.0, 0.9)], progress=False)
    assert seen == [2]
