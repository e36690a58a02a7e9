import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from model_helpers import picture

from hide_utils.analyses import layouts as variants
from hide_utils.edits import layouts
from hide_utils.models import Settings
from hide_utils.plots import layouts as plots_layouts
from hide_utils.plots import style as plots
from hide_utils.samples import Sample


@pytest.fixture
def ax():
    plots.set_style()
    _, ax = plots.new_figure()
    yield ax
    plt.close("all")


def labels(ax):
    return ax.get_legend_handles_labels()[1]


def scored(*rows, columns=("boxes", "layout", "seen")):
    table = pd.DataFrame(rows, columns=list(columns))
    return table.assign(accuracy=0.5, low=0.4, high=0.7)


def test_dots_stand_on_their_line_and_tell_boxes_and_company_apart(ax):
    rows = {"a": "first", "b": "second"}
    table = scored(
        ("true", "a", "original"), ("true", "b", "original"), ("true", "a", "alone"), ("tad", "b", "original")
    )
    plots_layouts.dots(ax, table, rows)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["first", "second"]
    assert ax.get_ylim() == (1.5, -0.5)  # the first on top
    lines = [container.lines[0] for container in ax.containers]
    assert [np.round(line.get_ydata()).tolist() for line in lines] == [[0, 1]] * 3
    assert np.isnan(lines[2].get_xdata()[0]) and lines[2].get_xdata()[1] == 0.5
    assert lines[0].get_color() == lines[1].get_color() == plots.METHOD_COLORS["oracle"] != lines[2].get_color()
    assert lines[0].get_markerfacecolor() == lines[0].get_color() and lines[1].get_markerfacecolor() == "white"
    assert len(set(labels(ax))) == 3


def test_company_stays_out_of_the_legend_where_there_is_one_only(ax):
    plots_layouts.dots(ax, scored(("true", "a", "original"), ("tad", "a", "original")), {"a": "a"})
    assert labels(ax) == ["true boxes", "HiDe's boxes"]


def test_published_marks_stand_on_the_line_of_their_layout(ax):
    rows = {"x": "x", "y": "y"}
    table = pd.DataFrame({"model": ["M", "M", "N"], "layout": ["x", "y", "y"], "accuracy": [0.7, 0.9, 0.8]})
    plots_layouts.published_dots(ax, table, rows)
    first, second = ax.lines
    assert np.floor(first.get_ydata()).tolist() == [0, 1] and np.floor(second.get_ydata()).tolist() == [1]
    assert labels(ax) == ["published: M, V* spatial", "published: N, V* spatial"]


@pytest.mark.parametrize("n_layers", [1, 3, 8])
def test_setting_maps_share_a_scale_and_mark_the_setting(ax, n_layers):
    grid = [(layer, s, a) for layer in range(n_layers) for s in (0.0, 1.0) for a in (0.3, 0.5, 0.7)]
    means = pd.DataFrame(grid, columns=["layer", "sigma", "alpha"]).assign(iou=np.linspace(0, 1, len(grid)))
    means["other"] = 2 - means["iou"]
    shipped = Settings(0, 1.0, 0.5)
    fig, axes = plots_layouts.setting_maps(means, {"iou": "IoU", "other": "other"}, shipped)
    shown = [ax for ax in axes if ax.images]
    assert len(shown) == 2 * n_layers
    assert {ax.images[0].get_clim() for ax in shown[:n_layers]} == {(0.0, 1.0)}
    assert {ax.images[0].get_clim() for ax in shown[n_layers:]} == {(1.0, 2.0)}
    outlined = [ax for ax in shown if ax.patches]
    assert outlined == [shown[0], shown[n_layers]]
    assert outlined[0].patches[-1].get_xy() == (0.5, 0.5)  # the second α and the second σ
    (cross,) = shown[n_layers - 1].lines
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (2, 1)  # the last is the best
    assert shown[n_layers].lines[0].get_xdata()[0] == 0


def test_curves_have_a_band_each(ax):
    table = scored(("wrong", 0.0, ""), ("wrong", 1.0, ""), ("extra", 0.0, ""), columns=("kind", "rate", "none"))
    plots_layouts.curves(ax, table, "rate", "kind", plots_layouts.CORRUPTION_COLORS, {"wrong": "w", "extra": "e"})
    assert labels(ax) == ["w", "e"] and len(ax.collections) == 2
    assert ax.lines[0].get_color() == plots_layouts.CORRUPTION_COLORS["wrong"]


def test_differences_and_their_margin(ax):
    table = pd.DataFrame({"method": ["hide", "random", "hide"], "scenes": ["simple", "simple", "main"]})
    table = table.assign(difference=[0.0, 0.1, 0.2], low=-0.1, high=0.3)
    plots_layouts.difference_dots(ax, table, 0.05)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["HiDe", "random boxes"]
    assert labels(ax) == ["simple", "main", "margin of non-inferiority, -5%"]
    assert [line.get_xdata()[0] for line in ax.lines if len(set(line.get_xdata())) == 1][-1] == -0.05


def sample(name):
    box = (10.0, 10.0, 30.0, 30.0)
    return Sample(name, "What is red?", ["star", "dog"], "A", "drawn", lambda: picture(900, 600), [box])


def test_every_layout_is_shown_small_and_with_its_size(ax):
    regions = [(100, 50, 150, 90), (400, 300, 480, 350)]
    fig = plots_layouts.layout_examples(picture(900, 600), {"true": regions, "tad": regions[:1]})
    panels = np.array(fig.axes).reshape(2, len(layouts.ARRANGEMENTS) + 1)
    titles = [panel.get_title() for panel in panels[0]]
    assert titles[0] == "true boxes" and "spatial aggregate\n130 × 90 px" in titles and len(panels[0, 0].patches) == 2
    assert all(max(panel.images[0].get_array().shape) <= plots_layouts.PANEL_PIXELS for panel in panels.flat)
    x0, y0 = panels[0, 0].patches[0].get_xy()
    scale = plots_layouts.PANEL_PIXELS / 900
    assert (x0 + 0.5, y0 + 0.5) == pytest.approx((100 * scale, 50 * scale))


def test_failures_are_shown_by_cause(ax):
    samples = [sample(name) for name in "abcd"]
    regions = [(5, 5, 40, 40)]
    found = pd.DataFrame(
        {
            "sample_id": list("abcd"),
            "cause": ["missed", "none", "missed", "none"],
            "correct": [False, False, False, True],
            "regions": [[], regions, regions, regions],
        }
    )
    answers = pd.DataFrame({"sample_id": list("abcd"), "method": "hide", "letter": ["B", None, "B", "A"]})
    titles = {"missed": "missed", "background": "background", "none": "well localised"}
    fig = plots_layouts.failure_gallery(found, samples, answers, titles, most=2)
    panels = np.array(fig.axes).reshape(2, 4)
    assert [bool(panel.images) for panel in panels[0]] == [True, False, True, True]
    assert [bool(panel.images) for panel in panels[1]] == [True, True, False, False]
    assert panels[0, 0].get_title(loc="left").startswith("missed\n")
    assert panels[1, 1].get_title() == "said no letter, right: A\n(star)"
    none = plots_layouts.failure_gallery(found.assign(correct=True), samples, answers, titles)
    assert none.axes[0].get_title() == "no sample was answered wrong"


def test_every_company_has_a_marker():
    assert set(plots_layouts.MARKERS) == set(variants.SEEN)
    assert set(plots_layouts.BOX_COLORS) == set(variants.FINDERS)
