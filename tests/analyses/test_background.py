"""Notebook 01: its edits as methods, its scenes drawn again, and its claims."""

import pickle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from benchmark_files import write_hrscene
from checkpoints import tiny_model
from model_helpers import picture

from hide_utils import HiDe, load_benchmark, plots
from hide_utils.analyses import background
from hide_utils.analyses.background import BackgroundConfig
from hide_utils.benchmarks import loading
from hide_utils.evaluation import evaluate, loop
from hide_utils.evaluation.answers import empty_row
from hide_utils.findings import cards_of, corrected
from hide_utils.samples import Sample

SIZES = {"object_sizes": (20, 28), "picture_sizes": (160, 224)}
GROUPS = ("edits", "larger pictures", "parts", "parts on other grounds", "sizes")


def sample(name="s0", boxes=((8.0, 8.0, 30.0, 30.0),)):
    return Sample(name, "What is red?", ["star", "dog"], "A", "direct_attributes", lambda: picture(84, 84), list(boxes))


def test_methods_can_be_sent_to_other_processes():
    assert pickle.loads(pickle.dumps(background.EDITS)) == background.EDITS


def test_every_method_answers_from_its_own_picture(monkeypatch):
    model, seen = tiny_model("qwen2_5_vl"), []
    prepare = type(model).prepare
    monkeypatch.setattr(
        type(model), "prepare", lambda self, image, *_: (seen.append(image.size), prepare(self, image))[1]
    )
    answers = evaluate(model, [sample()], background.ANSWERED | background.LARGER, progress=False)
    assert not answers["error"].notna().any()
    regions = [(8, 8, 30, 30)]
    made = [edit.picture(model, picture(84, 84), regions).size for edit in background.EDITS.values()]
    assert sorted(seen) == sorted([(84, 84), *made]) and background.EDITS["close-up"].picture(
        model, picture(84, 84), regions
    ).size == (22, 22)
    with pytest.raises(ValueError, match="s1 has no ground-truth boxes"):
        evaluate(model, [sample("s1", ())], background.ANSWERED, progress=False)


def test_the_example_shows_every_edit_at_its_place():
    edits = background.example_edits(tiny_model("qwen2_5_vl"), sample())
    fig = plots.edit_gallery({"": edits}, [(8, 8, 30, 30)])
    assert [ax.get_title() for ax in fig.axes] == ["as it is", "masked", "more white", "less white", "close-up"]
    assert fig.axes[-1].images[0].get_extent() == [7.5, 29.5, 29.5, 7.5]
    plt.close(fig)


@pytest.fixture
def config(monkeypatch, tmp_path):
    monkeypatch.setenv("HIDE_RESULTS", str(tmp_path))
    return BackgroundConfig(n=4, n_curve=2, resolution=224, **SIZES)


def test_scenes_are_drawn_again_with_the_same_questions_things_and_places(config):
    scenes = background.example_scenes(config)
    asked = {(one.question, one.label, str(one.boxes_xyxy), str(one.things)) for one in scenes.values()}
    assert len(asked) == 1 and len({one.image.tobytes() for one in scenes.values()}) == len(scenes) == 5


def test_variants_are_compared_scene_by_scene(config):
    hide = HiDe(tiny_model("qwen2_5_vl"))
    drawn = background.redrawn(hide, config, {"as drawn": {}} | background.PARTS)
    assert drawn.groupby("method")["sample_id"].apply(list).tolist() == [["00000", "00001", "00002", "00003"]] * 4
    cards = cards_of(drawn, background.CLAIMS["parts"])
    assert [card.n for card in cards] == [4] * 4 and all(card.verdict for card in corrected(cards))
    sizes = background.by_size(background.redrawn(hide, config, background.factorial(config)), config)
    assert {(row.object, row.picture) for row in sizes.itertuples()} == {
        (size, side) for size in ("small", "large") for side in (160, 224)
    }


def test_a_curve_tests_its_ends(config):
    rows = background.curve(HiDe(tiny_model("qwen2_5_vl")), config, "unnamed", [8, 0, 4])
    assert rows.groupby("value")["sample_id"].nunique().to_dict() == {0: 2, 4: 2, 8: 2}
    rows["correct"] = (rows["value"] == 0).astype("boolean")
    card = background.card_of_ends(rows, "unnamed")
    assert card.estimate == -100 and card.claim == "unnamed"


def test_the_photograph_behind_a_scene_is_the_one_that_was_drawn(config, monkeypatch):
    from hide_utils.scenes import drawing

    drawn = []
    opened = drawing.photograph
    monkeypatch.setattr(drawing, "photograph", lambda name: (drawn.append(name), opened(name))[1])
    one = background.example_scenes(config)["as drawn"]
    assert one.image.size == (224, 224)
    rows = background.by_photograph(pd.DataFrame({"sample_id": [one.id]}), [one])
    assert rows["photograph"].tolist() == drawn


@pytest.mark.parametrize("group", GROUPS)
def test_claims_name_methods_that_are_answered(group, config):
    answered = {
        "edits": background.ANSWERED, "larger pictures": background.LARGER,
        "parts": {"as drawn", *background.PARTS}, "parts on other grounds": {"masked", *background.ON_GROUNDS},
        "sizes": background.factorial(config),
    }  # fmt: skip
    for words in background.CLAIMS[group].values():
        assert {words["method"], words["against"]} <= set(answered[group])


def test_half_the_area_means_half_the_area():
    """The two factors of the default design halve an object's share of the picture alike."""
    areas = np.array([[37, 52], [704, 992]]) ** 2.0
    assert np.ptp(areas[:, 1] / areas[:, 0]) < 0.02 and areas[0, 1] / areas[0, 0] == pytest.approx(2, abs=0.03)


def grid_rows(n):
    """Direct is right in the small grid alone, HiDe at half of the places of the large one too."""
    return pd.DataFrame(
        {"sample_id": f"b-{grid}x{grid}-{needle}_{place}", "image_id": f"n{needle}", "needle": str(needle),
         "grid": grid, "steps": place, "method": method, "error": None,
         "correct": grid == 1 or (method == "hide" and place % 2 == 0)}
        for needle in range(n) for grid in (1, 2) for place in range(grid * grid) for method in ("direct", "hide")
    ).astype({"correct": "boolean"})  # fmt: skip


def test_cards_of_grids_are_by_needle_and_take_enough_of_them():
    rows = grid_rows(background.LEAST)
    more, looked = background.grid_cards(rows)
    assert (more.claim, more.estimate, more.n) == ("more background", -100, background.LEAST)
    assert (looked.claim, looked.estimate, looked.n) == ("HiDe in much background", 50, background.LEAST)
    assert background.grid_cards(grid_rows(background.LEAST - 1)) == []
    assert background.grid_cards(rows[rows["grid"] == 2]) == []
    assert background.grid_cards(rows.assign(correct=False)) == []  # who cannot answer has nothing to lose
    fig = background.grid_figure(rows)
    assert fig.axes[0].lines[0].get_ydata().tolist() == [1, 0] and fig.axes[0].lines[1].get_ydata().tolist() == [1, 0.5]
    plt.close(fig)


def test_hrscene_is_answered_over_its_grids(config, tmp_path, monkeypatch):
    """Pictures of one needle count as one in statistics, and are answered each on their own."""
    monkeypatch.setattr(loading, "FOLDER", tmp_path)
    write_hrscene(tmp_path / "hrscene_complex_grid", "complexgrid", (1, 2))
    samples = load_benchmark("hrscene_complex_grid")
    assert [len(task) for task in loop._tasks(samples, ["direct"], set(), ())] == [1] * 5
    rows = pd.DataFrame([empty_row(one, method) for one in samples for method in background.ON_GRIDS])
    monkeypatch.setattr(background, "stored_answers", lambda *_: rows)
    hide = HiDe(tiny_model("qwen2_5_vl"))
    found = background.on_grids(hide, samples, config)
    assert found["image_id"].nunique() == 1 and found["needle"].tolist() == ["0"] * 10
    assert found.groupby("grid")["steps"].apply(sorted).to_dict() == {1: [0, 0], 2: [0, 0, 1, 1, 1, 1, 2, 2]}
    assert set(background.edits_of(samples, background.ANSWERED)) == {"direct", "masked"}
    assert set(background.edits_of([sample()], background.ANSWERED)) == set(background.ANSWERED)
    assert background.on_grids(hide, [sample()], config) is None
