"""Sinks: what groups of tokens give to them, and what stands there."""

import numpy as np
import pandas as pd
import pytest
from checkpoints import tiny_model
from made_rows import SIDE, sample
from PIL import Image

from hide_utils import HiDe, load_benchmark
from hide_utils.analyses import sinks
from hide_utils.evaluation import localisation
from hide_utils.method import SearchAttention, Session, given_entities

SINK = np.s_[0, :4]  # 4 of 400 cells: 1 %
AWAY = np.s_[10, 10:14]
BOXED = np.s_[2, 2:6]  # cells in the true box


def rows(n, cells, share):
    """Rows that give `share` of their attention to four cells, the rest evenly to the others; they sum to 0.2."""
    row = np.full((20, 20), (1 - share) / 396, np.float32)
    row[cells] = share / 4
    return np.repeat(0.2 * row[None], n, axis=0)


class Fake(Session):
    """A session whose prompts have made-up rows."""

    def __init__(self, noise, entity, content_free):
        super().__init__(tiny_model("qwen3_vl"), Image.new("RGB", (SIDE, SIDE)))
        self.noise, self.entity, self.reference = noise, entity, content_free

    def search(self, entities, layers, heads=False):
        return SearchAttention((1,), ("a",) * len(self.entity), self.noise[None], self.entity[None])

    def rows_of_last(self, text, layers, step="last"):
        return self.reference


@pytest.fixture(scope="module")
def hide():
    return HiDe(tiny_model("qwen3_vl"), 1)


def sunk(cells=SINK, entity=0.3):
    return Fake(rows(2, cells, 0.5), rows(3, cells, entity), rows(1, cells, 0.4))


def test_mass_on_the_sinks_is_that_of_each_group(hide):
    measured = sinks.measure_sinks(hide, sunk(), sample())
    assert {name: measured[f"mass_{name}"] for name in sinks.GROUPS} == pytest.approx(
        {"instruction": 0.5, "content_free": 0.4, "entity": 0.3}, abs=1e-5
    )
    assert (measured["flat"], measured["asked"]) == (0.01, 0) and measured["asked_flat"] == pytest.approx(0.04)
    assert measured["drawn"] is measured["drawn_flat"] is None, "only a drawn scene says what stands in it"
    assert sinks.measure_sinks(hide, sunk(BOXED), sample())["asked"] == pytest.approx(1)


def test_instruction_token_does_not_define_its_own_sinks(hide):
    session = sunk()
    session.noise = np.concatenate([rows(1, SINK, 0.5), rows(1, AWAY, 0.5)])
    measured = sinks.measure_sinks(hide, session, sample())
    assert measured["mass_instruction"] == pytest.approx(4 * 0.5 / 396, rel=1e-3), "each looks past the other's"
    session.noise = session.noise[:1]
    assert sinks.measure_sinks(hide, session, sample())["mass_instruction"] == pytest.approx(0.5), "no other to ask"


def test_drawn_scene_says_what_stands_at_its_sinks(hide):
    (one,) = load_benchmark("scenes", split="calibration", n=1, resolution=224)
    session = hide.open(one.image)
    measured = sinks.measure_sinks(hide, session, one)
    assert measured["drawn_flat"] > measured["asked_flat"] > 0
    noise = session.search(given_entities(one.entities), [1]).noise[0]
    cells = sinks.sinks_of(hide, session, one)
    np.testing.assert_array_equal(
        cells, localisation.top_cells((noise / noise.sum((1, 2), keepdims=True)).mean(0), sinks.SHARE)
    )


def table(hide, drawn=None):
    kept = [sinks.measure_sinks(hide, session, sample()) for session in (sunk(), sunk(entity=0.25), sunk(AWAY))]
    known = {"drawn": drawn, "drawn_flat": drawn and drawn / 2}
    return pd.DataFrame([{"sample_id": str(i), "image_id": str(i)} | row | known for i, row in enumerate(kept)])


def test_cards_are_in_points(hide):
    cards = {card.claim: card for card in sinks.sink_cards(table(hide, 0.6))}
    assert cards["sinks draw entity tokens"].estimate == pytest.approx(100 * (0.85 / 3 - 0.01), abs=1e-2)
    assert cards["sinks beside the objects asked about"].estimate == pytest.approx(-4, abs=1e-3)
    assert cards["sinks on drawn objects"].estimate == pytest.approx(30)
    assert {card.n for card in cards.values()} == {3} and len(sinks.sink_cards(table(hide))) == 2


def test_figures_tables_have_a_row_for_each_point(hide):
    masses = sinks.masses(table(hide)).set_index("group")
    assert masses["estimate"].to_dict() == pytest.approx(
        {"instruction": 0.5, "content_free": 0.4, "entity": 0.85 / 3}, abs=1e-4
    )
    assert (masses["n"] == 3).all()
    places = sinks.places(table(hide, 0.6))
    assert places[["place", "cells"]].to_numpy().tolist() == [
        ["objects asked about", "sinks"], ["objects asked about", "all cells"],
        ["all drawn objects", "sinks"], ["all drawn objects", "all cells"],
    ]  # fmt: skip
    assert set(places["cells"]) == set(sinks.CELLS) and places["estimate"].tolist() == pytest.approx(
        [0, 0.04, 0.6, 0.3]
    )
    assert len(sinks.places(table(hide))) == 2
