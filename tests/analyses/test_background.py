"""Notebook 01: its edits as methods, its scenes drawn again, and its claims."""

import pickle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from checkpoints import tiny_model
from model_helpers import picture

from hide_utils import HiDe, plots
from hide_utils.analyses import background
from hide_utils.analyses.background import BackgroundConfig
from hide_utils.evaluation import evaluate
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
