import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from test_decoupling import made_case
from test_sinks import sunk

from hide_utils.analyses import sinks
from hide_utils.analyses.tokens import DECOUPLED, FIRST, PURIFIED
from hide_utils.plots import style as plots
from hide_utils.plots import tokens as plots_tokens

PICTURE = Image.new("RGB", (160, 160))


@pytest.fixture(autouse=True)
def style():
    plots.set_style()
    yield
    plt.close("all")


def rows_table(*variants):
    return pd.DataFrame([(v, 0.5, 0.4, 0.7) for v in variants], columns=["variant", "estimate", "low", "high"])


def test_every_map_is_shown_on_one_scale_with_its_title():
    case = made_case()
    maps = np.random.default_rng(0).random((5, 20, 20), dtype=np.float32) / 2
    sections = {"one map": (["x$y", "prior"], maps[:2]), "entity": (list("abcde"), maps)}
    fig = plots_tokens.token_maps(case, PICTURE, sections, per_row=3)
    panels = np.array(fig.axes[:-1]).reshape(3, 3)
    titles = [[ax.get_title() for ax in line] for line in panels]
    assert titles == [["picture", r"x\$y", "prior"], ["a", "b", "c"], ["d", "e", ""]]
    assert [line[0].get_ylabel() for line in panels] == ["one map", "entity", ""]
    drawn = [ax for ax in panels.flat if ax.images and ax.get_title() != "picture"]
    assert len(drawn) == 7 and {ax.images[0].get_clim() for ax in drawn} == {(0.0, 1.0)}
    np.testing.assert_array_equal(panels[2, 1].images[0].get_array(), maps[4])
    assert all(len(ax.patches) == 1 for ax in drawn), "the true box is outlined in each"
    assert drawn[0].patches[0].get_width() > 32, "a little outside the box, so that its cells stay visible"


def test_rows_stand_in_order_with_intervals_and_hide_in_its_color():
    fig, ax = plots.new_figure()
    plots_tokens.dot_rows(ax, rows_table(FIRST, PURIFIED), xlabel="x", labels={PURIFIED: "instruction"}, flat=0.1)
    assert [label.get_text() for label in ax.get_yticklabels()] == [FIRST, "instruction"]
    low, high = ax.get_ylim()
    assert low > high, "the first row is on top"
    points = [container.lines[0] for container in ax.containers]
    assert [p.get_color() for p in points] == [plots_tokens.OTHER_COLOR, plots.METHOD_COLORS["hide"]]
    (bar,) = ax.containers[0].lines[2]
    np.testing.assert_allclose(bar.get_segments()[0][:, 0], [0.4, 0.7])


def test_measures_share_the_names_of_the_variants():
    summaries = {"iou": rows_table(FIRST, DECOUPLED), "energy": rows_table(FIRST, DECOUPLED)}
    summaries["iou"].loc[0, ["estimate", "low"]] = [-0.1, -0.2]
    fig = plots_tokens.measure_rows(summaries, {"iou": "IoU", "energy": "energy"}, flat={"energy": 0.9})
    first, energy = fig.axes
    assert (first.get_xlabel(), energy.get_xlabel()) == ("IoU", "energy")
    assert first.get_xlim()[0] < -0.2 and energy.get_xlim()[1] > 0.9, "neither interval nor the flat map is cut off"
    assert set(energy.lines[-1].get_xdata()) == {0.9}


def test_answers_lie_between_their_references():
    references = pd.DataFrame({"method": ["direct", "oracle", "x"], "accuracy": [0.4, 0.9, 0.5]})
    references = references.assign(low=references["accuracy"] - 0.1, high=references["accuracy"] + 0.1)
    sections = {"components": rows_table(FIRST, PURIFIED), "priors": rows_table(PURIFIED)}
    labels = {"priors": {PURIFIED: "instruction"}}
    fig = plots_tokens.answer_rows(sections, references, labels=labels, chance=0.3, width=4)
    names = [[label.get_text() for label in ax.get_yticklabels()] for ax in fig.axes]
    assert names == [[FIRST, PURIFIED], ["instruction"]]
    (legend,) = fig.legends
    assert [text.get_text() for text in legend.get_texts()] == ["direct", "oracle boxes", "chance"]


def test_sigma_with_and_without_prior_beside_both_settings():
    table = pd.DataFrame({"sigma": [0.0, 1.0] * 2, "prior": [True, True, False, False]})
    table = table.assign(estimate=0.5, low=-0.1, high=0.7)
    fig, ax = plots.new_figure()
    plots_tokens.sigma_curves(ax, table, ylabel="IoU")
    plots_tokens.sigma_marks(ax, 0.5, 3.0)
    labels = ax.get_legend_handles_labels()[1]
    assert labels == [PURIFIED, "no prior", "the model's own: σ 0.5", "published: σ 3 (Qwen2.5-VL-7B)"]
    assert ax.lines[0].get_color() == plots.METHOD_COLORS["hide"] and ax.get_ylim()[0] <= -0.1


def test_sinks_are_outlined_and_maps_share_a_scale():
    case, other = sunk(), sunk(name="s1")
    fig = plots_tokens.sink_maps(case, PICTURE, sinks.sinks(case), sinks.mean_maps([case, other]), 2)
    picture, *maps = fig.axes[:5]
    assert len(picture.patches) == 4 + 1, "four sinks and the true box"
    assert picture.patches[0].get_width() == pytest.approx(8)
    assert [ax.get_title() for ax in maps] == list(sinks.GROUPS.values())
    assert len({ax.images[0].get_clim() for ax in maps}) == 1


def test_curves_of_concentration_and_mass_on_the_sinks():
    curve = sinks.mass_curve([sunk(), sunk()], shares=(0.01, 0.1, 1.0))
    on_sinks = pd.DataFrame({"variant": list(sinks.GROUPS), "estimate": 0.2, "low": 0.1, "high": 0.3})
    fig, axes = plots.new_figure(2, 1)
    plots_tokens.sink_curves(axes, curve, on_sinks, 0.01)
    assert axes[0].get_legend_handles_labels()[1] == [*sinks.GROUPS.values(), "flat map"]
    colors = [container.lines[0].get_color() for container in axes[1].containers]
    assert colors == list(plots_tokens.GROUP_COLORS.values()), "a group has one color in both"
    assert plots_tokens.PERCENT(0.001, 0) == "0.1 %" and plots_tokens.PERCENT(0.025, 0) == "2.5 %"
