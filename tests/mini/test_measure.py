"""What the card says is what the files beside the weights say, and these hold what the rules choose."""

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from model_helpers import search_rows

from hide_utils import load_benchmark, load_model, paths
from hide_utils.method import SearchAttention
from hide_utils.method.entities import Extraction, entities_from_reply
from hide_utils.mini import measure
from hide_utils.mini.card import card, markdown
from hide_utils.mini.measure import CHANCE, GRID, LEAST_ABOVE_CHANCE, TARGETS, nearest
from hide_utils.samples import Sample
from hide_utils.scenes.questions import scene_samples
from hide_utils.scenes.settings import DIFFICULTIES


def table(name):
    return pd.read_csv(paths.MINI / f"{name}.csv")


@pytest.mark.parametrize("name", TARGETS)
def test_the_difficulties_are_the_grid_points_that_the_rule_chooses(name):
    chosen = nearest(table("difficulty"), name)
    assert {knob: DIFFICULTIES[name][knob] for knob in chosen} == chosen


def test_the_grid_was_measured_whole():
    measured = table("difficulty")
    assert list(zip(measured["resolution"], measured["unnamed"], strict=True)) == list(GRID)
    default = measured.set_index(["resolution", "unnamed"]).loc[tuple(nearest(measured, "default").values())]
    assert all(default[kind] >= chance + LEAST_ABOVE_CHANCE for kind, chance in CHANCE.items())


def test_a_default_at_which_one_kind_is_guessed_is_not_chosen():
    rows = [(512, 12, 0.9, 0.9, 0.9), (1024, 12, 0.67, 0.8, 0.54), (1120, 12, 0.6, 0.5, 0.7)]
    grid = pd.DataFrame(rows, columns=["resolution", "unnamed", "accuracy", *CHANCE])
    assert nearest(grid, "default") == {"resolution": 1120, "unnamed": 12}
    assert nearest(grid, "easy") == {"resolution": 512, "unnamed": 12}


def test_the_settings_are_those_with_the_highest_recall_minus_area():
    chosen, ranked = json.loads((paths.MINI / "hide.json").read_text()), table("calibration")
    best = ranked.loc[ranked["worth"].idxmax()]
    assert [chosen[name] for name in ("layer", "sigma", "alpha")] == [best["layer"], best["sigma"], best["alpha"]]
    assert chosen["split"] == "calibration" and load_model("mini").defaults.layer == chosen["layer"]


def test_attention_is_held_against_the_box_of_its_own_entity():
    sample = Sample(
        "s", "?", ["a", "b"], "A", "relative_position", render=lambda: scene_samples(n=1, resolution=128)[0].image,
        boxes_xyxy=[(0, 0, 64, 64), (64, 64, 128, 128)], entities=["dog", "cat with red color"],
    )  # fmt: skip
    corner = np.zeros((2, 5, 2, 2), np.float32)
    corner[:, 0, 0, 0] = corner[:, 1:, 1, 1] = 1  # each token looks at the box of its own entity
    corner[:, 2] = 1  # but "with" looks everywhere
    rows = SearchAttention((0, 1), ("dog", "cat", "with", "red", "color"), np.ones((2, 8, 2, 2), np.float32), corner)
    found = measure.attention_table([rows], [sample]).set_index(["layer", "part"])
    values = found.loc[1, "concentration"]
    assert values.to_dict() == {"instruction": 1.0, "noun": 4.0, "with": 1.0, "value": 4.0, "property": 4.0}
    assert found.loc[1, "n"].to_dict() == {"instruction": 8, "noun": 2, "with": 1, "value": 1, "property": 1}


def test_localisation_is_at_the_settings_of_each_layer():
    model, samples = load_model("mini"), load_benchmark("scenes", n=2, difficulty="easy")
    found = search_rows(model, samples, [3, 8])
    settings = pd.DataFrame({"layer": [3, 8], "sigma": [0.5, 1.0], "alpha": [0.9, 0.5]})
    fit = measure.localisation_table(found, samples, settings)
    assert fit[["layer", "sigma", "alpha"]].to_numpy().tolist() == settings.to_numpy().tolist()
    assert fit["n"].tolist() == [2, 2] and fit["recall50"].between(0, 1).all()


def test_an_extraction_counts_where_every_name_is_exact(monkeypatch):
    model, samples = load_model("mini"), scene_samples(n=4)
    said = [", ".join(samples[0].entities), "dog, dragon", ", ".join(samples[2].entities), ""]
    replies = dict(zip([sample.question for sample in samples], said, strict=True))

    def many(self, questions):
        tagged = [(question, f"<FINAL_OUTPUT>{replies[question]}</FINAL_OUTPUT>") for question in questions]
        return [Extraction(entities_from_reply(*one), 0.0, Counter()) for one in tagged]

    monkeypatch.setattr(measure.Extractor, "many", many)
    listed = measure.extraction_table(model, samples)
    assert listed["exact"].tolist() == [True, False, True, False]
    assert listed["fallback"].tolist() == [False, False, False, True]
    summary = measure.extraction_summary(listed).set_index("kind")
    assert summary.loc["all", ["n", "exact", "fallbacks"]].tolist() == [4, 0.5, 1]


def test_the_card_is_written_from_the_files_that_are_there():
    assert (paths.MINI / "README.md").read_text(encoding="utf-8") == card()


def test_tables_have_three_digits_and_say_nothing_of_what_is_missing():
    assert markdown(pd.DataFrame({"a": [0.12345, None], "b": [1, 2]})).splitlines()[2:] == ["| 0.123 | 1 |", "|  | 2 |"]
