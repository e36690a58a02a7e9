"""Grids over two settings show every value, on scales that can be compared."""

import numpy as np
import pandas as pd

from hide_utils import plots


def test_setting_maps_outline_the_choice_and_cross_what_is_published():
    grid = [(s, a) for s in (0.0, 1.0) for a in (0.3, 0.5, 0.7)]
    means = pd.DataFrame(grid, columns=["sigma", "alpha"]).assign(iou=np.linspace(0, 1, 6), other=np.linspace(2, 1, 6))
    fig = plots.setting_maps(means, {"iou": "IoU", "other": "other"}, (1.0, 0.5), (0.0, 0.7))
    shown = [ax for ax in fig.axes if ax.images]
    assert [ax.images[0].get_clim() for ax in shown] == [(0.0, 1.0), (1.0, 2.0)]
    for ax in shown:
        assert ax.patches[-1].get_xy() == (0.5, 0.5)  # the second α and the second σ
        assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines] == [(2, 0)] * 2
    fig = plots.setting_maps(means, {"iou": "IoU"}, (1.0, 0.5), (3.0, 0.7))  # which is not on the grid
    assert not fig.axes[0].lines


def test_the_matrix_says_every_cell_but_those_of_a_domains_own_setting():
    rows = [(a, b, -0.1 * (a != b), -0.2, 0.0) for a in "xy" for b in "xy"]
    fig = plots.difference_matrix(pd.DataFrame(rows, columns=["chosen_on", "used_on", "difference", "low", "high"]))
    said = [text.get_text() for text in fig.axes[0].texts]
    assert said.count("its own") == 2 and sum(text.startswith("−0.100") for text in said) == 2
    assert all(text.get_fontsize() >= 7 for text in fig.axes[0].texts)


def test_the_scatter_marks_the_best_setting_and_what_each_measure_chooses():
    means = pd.DataFrame(
        {"layer": [0, 1, 2], "worth": [0.1, 0.9, 0.4], "good": [1.0, 3.0, 2.0], "bad": [5.0, 1.0, 2.0]}
    )
    fig = plots.choice_scatter(means, {"good": "good", "bad": "bad"}, "worth", "worth")
    marked = [[dots.get_offsets().tolist() for dots in ax.collections[1:3]] for ax in fig.axes[:2]]
    assert marked == [[[[3.0, 0.9]], [[3.0, 0.9]]], [[[1.0, 0.9]], [[5.0, 0.1]]]]
    assert fig.axes[0].collections[0].get_array().tolist() == [1, 2, 3]  # layers are counted from 1
