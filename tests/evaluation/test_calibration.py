"""Choosing settings: a sweep over captured rows agrees with the method itself, and the stated rule is followed."""

import numpy as np
import pandas as pd
import pytest
from checkpoints import tiny_model
from model_helpers import picture, search_rows

from hide_utils import HiDe
from hide_utils.evaluation import localisation
from hide_utils.evaluation.calibration import by_setting, settings_grid, sweep_settings
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
    found = search_rows(model, drawn)
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


def test_settings_are_ranked_by_recall_minus_area():
    rows = [(0, 0.5, 0.5, 1.0, 0.1, 0.9), (1, 0.5, 0.5, 0.9, 0.2, 0.1), (2, 0.5, 0.5, 0.3, 0.6, 0.0)]
    table = pd.DataFrame(rows, columns=["layer", "sigma", "alpha", "recall50", "iou", "area"])
    ranked = by_setting(pd.concat([table, table.assign(recall50=table["recall50"] - 0.1)]))
    assert ranked["layer"].tolist() == [1, 2, 0]
    assert ranked["worth"].tolist() == pytest.approx([0.75, 0.25, 0.05])


@pytest.mark.parametrize(
    ("best", "sigmas", "alphas"),
    [
        ((1.0, 0.5), [0.5, 1.0, 2.0], [0.3, 0.5, 0.7]),  # inside: the grid stays
        ((4.0, 0.5), [0.5, 1.0, 2.0, 3.0, 4.5, 6.75], [0.3, 0.5, 0.7]),
        ((1.0, 0.12), [0.5, 1.0, 2.0], [0.075, 0.15, 0.3, 0.5, 0.7]),
        ((0.0, 1.0), [0.03125, 0.0625, 0.125, 0.25, 0.5, 1.0, 2.0], None),  # natural ends are approached and no more
    ],
)
def test_the_grid_is_extended_until_the_best_is_inside(best, sigmas, alphas):
    def sweep(sigmas, alphas):
        grid = [(0, s, a) for s in sigmas for a in alphas]
        table = pd.DataFrame(grid, columns=["layer", "sigma", "alpha"]).assign(iou=0.0, area=0.0)
        return table.assign(recall50=-abs(table["sigma"] - best[0]) - abs(table["alpha"] - best[1]))

    means = settings_grid(sweep, [0.5, 1.0, 2.0], [0.3, 0.5, 0.7])
    assert sorted(means["sigma"].unique()) == sigmas
    assert alphas is None or sorted(means["alpha"].unique()) == alphas
    assert means["alpha"].max() < 1 and means.loc[0, "recall50"] == means["recall50"].max()


def test_questions_of_one_picture_keep_its_name():
    model, drawn = tiny_model("qwen3_vl"), samples(4)
    for number, one in enumerate(drawn):
        one.image_id = f"p{number // 2}"
    found = search_rows(model, drawn)
    assert set(sweep_settings(found, drawn, [(256, 224)] * 4)["image_id"]) == {"p0", "p1"}
