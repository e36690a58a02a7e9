import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hide_utils import plots
from hide_utils.analyses.layers import LOOKS, maps_by_layer
from hide_utils.baselines import LOOKS as METHOD_LOOKS
from hide_utils.method.session import SearchAttention


def summary(layers):
    rows = [(i, tokens, 9, 0.5, 0.4, 0.6) for i in layers for tokens in ("entity", "instruction")]
    return pd.DataFrame(rows, columns=["layer", "tokens", "n", "estimate", "low", "high"])


def labels(ax):
    return ax.get_legend_handles_labels()[1]


def test_curves_count_layers_from_one_and_share_colors(ax):
    plots.layer_curves(ax, summary(range(6)), "tokens", "energy", looks=LOOKS, flat=0.05)
    entity, instruction, flat = ax.lines
    assert list(entity.get_xdata()) == [1, 2, 3, 4, 5, 6]
    assert entity.get_color() != instruction.get_color()
    assert set(flat.get_ydata()) == {0.05}
    assert ax.get_ylim()[0] == 0
    assert len(ax.collections) == 2, "a band each"


def test_published_peaks_stand_at_their_relative_depth(ax):
    peaks = pd.DataFrame({"model": ["M"], "layer": [14], "n_layers": [28], "depth": [0.5]})
    plots.published_layers(ax, peaks, 6)
    line, mark = ax.lines
    assert set(line.get_xdata()) == {3.0} and list(mark.get_xdata()) == [3.0]
    assert labels(ax) == ["published: M, 14 of 28"]


def test_shared_legend_names_each_thing_once(ax):
    fig, axes = plots.new_figure(2, 1)
    for panel in axes:
        plots.layer_curves(panel, summary(range(3)), "tokens", "x", flat=1)
    plots.shared_legend(fig, axes)
    (legend,) = fig.legends
    assert len(legend.get_texts()) == 3


@pytest.mark.parametrize(("n_layers", "rows", "columns"), [(3, 3, 3), (6, 3, 6), (9, 6, 7)])
def test_grid_shows_every_layer_on_shared_scales(ax, n_layers, rows, columns):
    rng = np.random.default_rng(0)
    maps = rng.random((2, n_layers, 4, 5, 5), dtype=np.float32)
    found = SearchAttention(tuple(range(n_layers)), ("a",) * 4, maps[0], maps[1])
    boxes = [(5.0, 5.0, 20.0, 20.0)]
    shown = maps_by_layer(found, 0.5)
    in_flats = maps / maps.mean((3, 4), keepdims=True)
    for raw, of in zip(shown[0].values(), in_flats[::-1], strict=True):  # the entities' stand first
        np.testing.assert_allclose(raw, of.max(1), rtol=1e-5)
    (purified,) = shown[1].values()
    np.testing.assert_allclose(purified, [found.maps(i, 0.5).max(0) for i in range(n_layers)])
    fig = plots.layer_maps(Image.new("RGB", (50, 50)), boxes, found.layers, *shown, chosen=1)
    bars = 2  # color bars, which come last
    panels = np.array(fig.axes[:-bars]).reshape(rows, columns + 1)
    picture, maps = panels[0, 0], panels[:, 1:]
    assert picture.get_title() == "picture" and len(picture.patches) == 1
    scales = [[panel.images[0].get_clim() for panel in line if panel.images] for line in maps[:3]]
    assert len({*scales[0], *scales[1]}) == 1 and set(scales[2]) == {(0.0, 1.0)}
    titles = [panel.get_title() for panel in maps[::3].flat if panel.images]
    assert titles == [f"layer {i + 1}" + ("\n(chosen)" if i == 1 else "") for i in range(n_layers)]


def test_answers_stand_below_the_maps_of_their_layers(ax):
    table = pd.DataFrame(
        {"method": ["direct", "layer 0", "layer 2"], "layer": [np.nan, 0, 2], "accuracy": [0.4, 0.5, 0.7], "n": 7}
    )
    table = table.assign(low=table["accuracy"] - 0.1, high=table["accuracy"] + 0.1)
    worth = summary([0, 2]).query("tokens == 'entity'")
    fig = plots.maps_and_answers(worth, table, chosen=2, other=0, chance=0.3, looks=METHOD_LOOKS | LOOKS)
    upper, lower = fig.axes
    assert list(upper.lines[0].get_xdata()) == list(lower.lines[0].get_xdata()) == [1, 3]
    assert {"HiDe at each layer, n = 7", "direct", "chance"} <= set(labels(lower))
    assert labels(upper) == ["maps, n = 9", "best for maps: layer 3", "compared with it: layer 1"]


def test_lines_of_words_end_at_the_lowest_and_show_the_chosen_layer(ax):
    table = summary(range(3)).assign(low=0.3)
    plots.chosen_curves(ax, table, "tokens", 1, looks=LOOKS)
    assert ax.get_ylim()[0] == pytest.approx(0.26)
    assert labels(ax) == ["entity tokens", "instruction tokens", "flat map", "chosen on calibration: layer 2"]


def test_each_kind_of_tokens_has_a_line_at_its_own_layer(ax):
    table = summary(range(4)).replace({"instruction": "first"})
    plots.own_choices(ax, table, {"entity": 1, "first": 3}, "worth", looks=LOOKS)
    upright = {line.get_color(): line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"}
    assert upright == {LOOKS["entity"].color: 2, LOOKS["first"].color: 4}


@pytest.mark.parametrize(("n_layers", "edges"), [(12, (4.5, 8.5)), (6, (2.5, 4.5))])
def test_the_middle_third_is_shaded_between_layers(ax, n_layers, edges):
    plots.middle_third(ax, n_layers)
    box = ax.patches[0].get_extents().transformed(ax.transData.inverted())
    assert (box.x0, box.x1) == pytest.approx(edges)


def test_splits_are_told_apart_and_say_their_n(ax):
    table = summary(range(3)).query("tokens == 'entity'")
    plots.split_curves(ax, {"calibration": table, "test": table.assign(n=4)}, 1, "energy", looks=LOOKS)
    assert labels(ax) == ["calibration split (n = 9)", "test split (n = 4)", "chosen on calibration: layer 2"]
    assert [line.get_color() for line in ax.lines[:2]] == [LOOKS["calibration"].color, LOOKS["test"].color]


def test_sizes_of_the_calibration_split(ax):
    fig, axes = plots.new_figure(2, 1)
    by_size = pd.DataFrame({"n": [1, 10], "same": [0.4, 1.0], "estimate": 0.5, "low": 0.4, "high": 0.6})
    plots.size_curves(axes, by_size, 0.7, "energy", looks=LOOKS)
    assert axes[0].lines[0].get_ydata().tolist() == [0.4, 1.0]
    assert labels(axes[1]) == ["chosen: mean, 95 % of draws", "best layer in hindsight"]
    assert [tick.get_text() for tick in axes[1].get_xticklabels()] == ["1", "10"]
