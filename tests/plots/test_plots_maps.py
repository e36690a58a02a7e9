import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from made_rows import BOX
from PIL import Image

from hide_utils import plots

PICTURE = Image.new("RGB", (160, 160))


@pytest.fixture(autouse=True)
def style():
    plots.set_style()
    yield
    plt.close("all")


def test_every_map_is_shown_on_one_scale_with_its_title():
    maps = np.random.default_rng(0).random((5, 20, 20), dtype=np.float32) / 2
    sections = {"one map": (["x$y", "prior"], maps[:2]), "entity": (list("abcde"), maps)}
    fig = plots.token_maps(PICTURE, [BOX], sections, per_row=3)
    panels = np.array(fig.axes[:-1]).reshape(3, 3)
    titles = [[ax.get_title() for ax in line] for line in panels]
    assert titles == [["picture", r"x\$y", "prior"], ["a", "b", "c"], ["d", "e", ""]]
    assert [line[0].get_ylabel() for line in panels] == ["one map", "entity", ""]
    drawn = [ax for ax in panels.flat if ax.images and ax.get_title() != "picture"]
    assert len(drawn) == 7 and {ax.images[0].get_clim() for ax in drawn} == {(0.0, 1.0)}
    np.testing.assert_array_equal(panels[2, 1].images[0].get_array(), maps[4])
    assert all(len(ax.patches) == 1 for ax in drawn), "the true box is outlined in each"
    assert drawn[0].patches[0].get_width() > 32, "a little outside the box, so that its cells stay visible"


def test_sinks_are_outlined_beside_what_they_take_and_where_they_lie():
    cells = np.zeros((20, 20), bool)
    cells[0, :4] = True
    masses = pd.DataFrame({"group": ["a", "b"], "estimate": 0.5})
    places = pd.DataFrame({"place": ["things"] * 2, "cells": ["sinks", "all cells"], "estimate": [0.6, 0.3]})
    masses, places = (table.assign(low=0.2, high=0.7) for table in (masses, places))
    looks = {"a": plots.Look("entity tokens", "C0"), "sinks": plots.Look("sinks", "C3")}
    fig = plots.sink_panels(PICTURE, [BOX], cells, masses, places, 0.01, looks=looks)
    picture, taken, shares = fig.axes
    assert len(picture.patches) == 4 + 1, "four sinks and the true box"
    assert picture.patches[0].get_width() == pytest.approx(8)
    assert [text.get_text() for text in taken.get_yticklabels()] == ["entity\ntokens", "b"]
    assert taken.get_legend_handles_labels()[1] == ["flat map"] and taken.lines[-1].get_xdata()[0] == 0.01
    assert shares.get_legend_handles_labels()[1] == ["sinks", "all cells"]
    assert shares.containers[0].lines[0].get_color() == "C3" and shares.get_xlim()[0] == 0
    assert plots.PERCENT(0.001, 0) == "0.1 %" and plots.PERCENT(0.025, 0) == "2.5 %"


def test_heads_are_dots_and_the_chosen_ones_have_rings():
    table = pd.DataFrame({"layer": [0, 0, 1, 1], "head": [0, 1, 0, 1], "entropy": [0.5, 1.0, 1.5, 2.0]})
    table = table.assign(concentration=[30.0, 2.0, 1.0, 0.5], candidate=[True, False, True, True])
    fig = plots.head_dots(table, {"low": [(0, 0), (1, 1)], "boxes": [(0, 0)]}, 1)
    (ax,) = fig.axes
    own, others, text, low, boxes = (ax.collections[i].get_offsets().tolist() for i in range(5))
    assert (own, others, text) == ([[1.5, 1.0], [2.0, 0.5]], [[0.5, 30.0]], [[1.0, 2.0]])
    assert (low, boxes) == ([[0.5, 30.0], [2.0, 0.5]], [[0.5, 30.0]])
    names = [t.get_text() for t in fig.legends[0].get_texts()]
    assert names == ["layer 2", "other layers", "no candidate", "low", "boxes", "flat map"]
