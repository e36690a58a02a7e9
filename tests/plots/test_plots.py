import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgb
from PIL import Image

from hide_utils import plots
from hide_utils.baselines import LOOKS, METHODS
from hide_utils.stats import accuracy_table, wilson


@pytest.fixture
def ax():
    plots.set_style()
    fig, ax = plots.new_figure()
    yield ax
    plt.close(fig)


@pytest.fixture
def results():
    rows = [("a", "direct", i < 3) for i in range(10)] + [("b", "direct", False) for _ in range(5)]
    rows += [("a", "hide", i < 8) for i in range(10)] + [("b", "hide", True) for _ in range(5)]
    return pd.DataFrame(rows, columns=["kind", "method", "correct"])


def test_every_method_has_a_color_of_its_own_and_a_label():
    assert list(LOOKS) == list(METHODS)
    assert len({look.color for look in LOOKS.values()}) == len({look.label for look in LOOKS.values()}) == len(METHODS)


def test_names_without_a_look_label_themselves_and_take_a_free_color():
    looks = {"a": plots.Look("first", plots.PALETTE[0])}
    assert plots.look_of(looks, "a").label == "first"
    assert plots.look_of(looks, "b") == plots.Look("b", plots.NEUTRAL)
    several = plots.looks_of(looks, ["b", "a", "b", "c"])
    assert list(several) == ["b", "a", "c"] and several["a"] is looks["a"]
    assert (several["b"].color, several["c"].color) == plots.PALETTE[1:3]


def test_style_gives_printed_widths_and_text_that_stays_text(ax):
    assert ax.figure.get_size_inches()[0] == pytest.approx(8.5 / 2.54)
    assert plt.rcParams["pdf.fonttype"] == 42
    wide, _ = plots.new_figure(2, 3, width=plots.PAGE_WIDTH)
    assert wide.get_size_inches() == pytest.approx([17.5 / 2.54, 2 * 0.62 * 17.5 / 2.54 / 3])
    plt.close(wide)


def test_overlay_covers_the_picture_on_a_shared_scale(ax):
    map_hw = np.array([[0.0, 0.2, 0.4], [0.1, 0.3, 0.5]])
    plots.overlay(ax, Image.new("RGB", (60, 40)), map_hw, vmax=0.5)
    picture, heat = ax.images
    assert picture.get_array().shape == (40, 60, 3)
    assert heat.get_extent() == picture.get_extent()
    assert heat.get_clim() == (0, 0.5)
    assert heat.get_alpha()[1, 2] > heat.get_alpha()[0, 0] > 0
    with pytest.raises(ValueError, match="vmax"):
        plots.overlay(ax, Image.new("RGB", (6, 4)), map_hw, vmax=0.0)


def test_boxes_outline_whole_pixels_with_one_legend_entry(ax):
    plots.overlay(ax, Image.new("RGB", (60, 40)))
    plots.draw_boxes(ax, [(0, 0, 60, 40), (10, 5, 20, 15)], label="regions")
    outer, inner = (patch.get_bbox().bounds for patch in ax.patches)
    assert outer == (-0.5, -0.5, 60, 40), "the edges of the shown picture itself"
    assert inner == (9.5, 4.5, 10, 10)
    assert ax.get_legend_handles_labels()[1] == ["regions"]


def test_accuracy_table_counts_each_group_and_all(results):
    table = accuracy_table(results).set_index(["kind", "method"])
    assert table.loc[("a", "direct"), ["n", "accuracy"]].tolist() == [10, 0.3]
    assert table.loc[("all", "hide"), ["n", "accuracy"]].tolist() == pytest.approx([15, 13 / 15])
    interval = wilson(13, 15)
    assert table.loc[("all", "hide"), ["low", "high"]].tolist() == [interval.low, interval.high]
    assert list(table.index) == [(group, method) for group in ("a", "b", "all") for method in ("direct", "hide")]


def test_accuracy_bars_draw_the_table_in_the_methods_colors(ax, results):
    table = plots.accuracy_bars(ax, results, chance=0.25, looks=LOOKS)
    bars = {c.get_label(): c for c in ax.containers if c.get_label() in ("direct", "HiDe")}
    for method, label in (("direct", "direct"), ("hide", "HiDe")):
        part = table[table["method"] == method]
        assert [bar.get_height() for bar in bars[label]] == pytest.approx(part["accuracy"].tolist())
        assert to_hex(bars[label][0].get_facecolor()) == to_hex(to_rgb(LOOKS[method].color))
        ends = [segment[:, 1] for segment in bars[label].errorbar.lines[2][0].get_segments()]
        assert np.array(ends) == pytest.approx(part[["low", "high"]].to_numpy(), abs=1e-12)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["a\nn = 10", "b\nn = 5", "all\nn = 15"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["direct", "HiDe", "chance"]


def test_accuracy_of_nothing_is_refused(results):
    with pytest.raises(ValueError, match="lack the column"):
        accuracy_table(results.drop(columns="kind"))
    with pytest.raises(ValueError, match="no results"):
        accuracy_table(results.head(0))


def test_source_line_says_what_was_measured(ax):
    plots.source_line(ax.figure, model="mini", benchmark="scenes", n=12, more="95 % Wilson")
    assert ax.figure.get_supxlabel() == "mini · scenes · n = 12 · 95 % Wilson"
