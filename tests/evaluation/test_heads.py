"""Heads by spatial entropy: what it is on maps that can be worked out by hand, and which heads are taken."""

import numpy as np
import pandas as pd
import pytest
from checkpoints import FULL_ATTENTION, tiny_model
from made_rows import sample
from model_helpers import eager_rows

from hide_utils import HiDe
from hide_utils.baselines.heads import elbow, spatial_entropy
from hide_utils.evaluation import heads
from hide_utils.method import given_entities
from hide_utils.method.entities import SEARCH_INSTRUCTION


def spots(*cells, side=10):
    map_hw = np.full((side, side), 1e-4)
    for y, x, value in cells:
        map_hw[y, x] = value
    return map_hw


def test_entropy_counts_places_by_their_mass():
    assert spatial_entropy(spots((1, 1, 1.0))) == 0
    assert spatial_entropy(spots((1, 1, 1.0), (2, 2, 0.5))) == 0, "cells that touch at a corner are one place"
    assert spatial_entropy(spots((1, 1, 1.0), (7, 7, 1.0))) == pytest.approx(np.log(2), abs=1e-3)
    uneven = spatial_entropy(spots((1, 1, 1.0), (7, 7, 0.2)))
    assert 0 < uneven < np.log(2)
    assert spatial_entropy(np.ones((10, 10))) == pytest.approx(np.log(100)), "a flat map looks nowhere"


@pytest.mark.parametrize("family", FULL_ATTENTION)
def test_measures_of_heads_are_those_of_eager_attention(family):
    model, one = tiny_model(family), sample(entities=("dog",))
    hide = HiDe(model, 1)
    session = hide.open(one.image)
    measured = heads.measure_heads(hide, session, one)
    prompt = model.prompt(session.image, f"{SEARCH_INSTRUCTION} dog")
    (image,), (text,) = prompt.images, prompt.texts
    queries = text.positions(len(SEARCH_INSTRUCTION) + 1, len(SEARCH_INSTRUCTION) + 4)
    attentions = eager_rows(model, prompt)
    rows = np.stack([attentions[layer][:, queries][..., image.positions].numpy() for layer in model.row_layers])
    np.testing.assert_allclose(measured["attention"], rows.sum((-2, -1)).mean(2), atol=2e-4)
    entropy = [[np.mean([spatial_entropy(row) for row in head]) for head in layer] for layer in rows]
    np.testing.assert_allclose(measured["entropy"], entropy, atol=2e-3)
    many = model.model.config.get_text_config().num_attention_heads
    assert np.shape(measured["concentration"]) == (len(model.row_layers), many)


def test_entities_are_the_samples_own_or_those_that_the_model_lists():
    hide, one = HiDe(tiny_model("qwen3_vl")), sample(entities=())
    session = hide.open(one.image)
    assert heads.sought(hide, session, sample(entities=("dog",))) == given_entities(["dog"])
    assert heads.sought(hide, session, one).text == hide.extractor(one.question).text


def measured(n=4):
    """Two layers of twelve heads: head 0 looks away from the picture, later heads have the higher entropy."""
    attention = np.r_[0.1, np.full(23, 0.9)].reshape(2, 12)
    entropy = np.arange(24.0).reshape(2, 12)
    concentration = np.r_[np.ones(20), 9.0, np.ones(3)].reshape(2, 12)
    row = {"attention": attention.tolist(), "entropy": entropy.tolist(), "concentration": concentration.tolist()}
    return pd.DataFrame([{"sample_id": str(i)} | row for i in range(n)])


def test_heads_of_lowest_entropy_are_taken_among_those_that_look_at_the_picture():
    table = heads.head_table(measured(), (0, 1))
    assert not table.loc[0, "candidate"] and table["candidate"].sum() == 23
    assert table["chosen"].tolist() == [0.0] + [1.0] * heads.N_LOWEST + [0.0] * (23 - heads.N_LOWEST)
    assert heads.ranked_heads(table)[:3] == ((0, 1), (0, 2), (0, 3)), "of equals the lower entropy first"
    assert heads.ranked_heads(table, "concentration")[0] == (1, 8)
    assert len(heads.ranked_heads(table)) == 24


def test_heads_that_are_low_more_often_come_first():
    seen = measured(3)
    often = np.arange(24.0).reshape(2, 12)
    often[1, 11] = 0.5
    seen["entropy"] = [often.tolist(), often.tolist(), measured(1)["entropy"][0]]
    table = heads.head_table(seen, (0, 2))
    assert table.iloc[-1]["chosen"] == pytest.approx(2 / 3) and table.iloc[heads.N_LOWEST]["chosen"] == pytest.approx(
        1 / 3
    )
    assert heads.ranked_heads(table)[heads.N_LOWEST - 1] == (2, 11), "a layer is named by its number"


def test_elbow_is_where_sorted_values_bend():
    assert elbow([0, 0.01, 0.02, 0.03, 1.0]) == 0.03
    assert elbow([0.5, 0.5]) == 0.5
