import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from made_rows import made_case, sunk
from PIL import Image

from hide_utils import plots
from hide_utils.analyses import sinks

PICTURE = Image.new("RGB", (160, 160))


@pytest.fixture(autouse=True)
def style():
    plots.set_style()
    yield
    plt.close("all")


def test_every_map_is_shown_on_one_scale_with_its_title():
    case = made_case()
    maps = np.random.default_rng(0).random((5, 20, 20), dtype=np.float32) / 2
    sections = {"one map": (["x$y", "prior"], maps[:2]), "entity": (list("abcde"), maps)}
    fig = plots.token_maps(PICTURE, case.sample.boxes_xyxy, sections, per_row=3)
    panels = np.array(fig.axes[:-1]).reshape(3, 3)
    titles = [[ax.get_title() for ax in line] for line in panels]
    assert titles == [["picture", r"x\$y", "prior"], ["a", "b", "c"], ["d", "e", ""]]
    assert [line[0].get_ylabel() for line in panels] == ["one map", "entity", ""]
    drawn = [ax for ax in panels.flat if ax.images and ax.get_title() != "picture"]
    assert len(drawn) == 7 and {ax.images[0].get_clim() for ax in drawn} == {(0.0, 1.0)}
    np.testing.assert_array_equal(panels[2, 1].images[0].get_array(), maps[4])
    assert all(len(ax.patches) == 1 for ax in drawn), "the true box is outlined in each"
    assert drawn[0].patches[0].get_width() > 32, "a little outside the box, so that its cells stay visible"


def test_sinks_are_outlined_and_maps_share_a_scale():
    case, other = sunk(), sunk(name="s1")
    means = sinks.mean_maps([case, other])
    fig = plots.sink_maps(PICTURE, case.sample.boxes_xyxy, sinks.sinks(case), means, 2, looks=sinks.GROUPS)
    picture, *maps = fig.axes[:5]
    assert len(picture.patches) == 4 + 1, "four sinks and the true box"
    assert picture.patches[0].get_width() == pytest.approx(8)
    assert [ax.get_title() for ax in maps] == [look.label for look in sinks.GROUPS.values()]
    assert len({ax.images[0].get_clim() for ax in maps}) == 1


def test_curves_of_concentration_and_mass_on_the_sinks():
    curve = sinks.mass_curve([sunk(), sunk()], shares=(0.01, 0.1, 1.0))
    on_sinks = pd.DataFrame({"group": list(sinks.GROUPS), "estimate": 0.2, "low": 0.1, "high": 0.3})
    fig, axes = plots.new_figure(2, 1)
    plots.mass_curves(axes, curve, on_sinks, 0.01, looks=sinks.GROUPS)
    assert axes[0].get_legend_handles_labels()[1] == [*(look.label for look in sinks.GROUPS.values()), "flat map"]
    colors = [container.lines[0].get_color() for container in axes[1].containers]
    assert colors == [look.color for look in sinks.GROUPS.values()], "a group has one color in both"
    assert plots.PERCENT(0.001, 0) == "0.1 %" and plots.PERCENT(0.025, 0) == "2.5 %"
