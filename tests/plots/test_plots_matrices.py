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


def test_the_matrix_says_every_cell(ax):
    rows = [(a, b, 0.1 * (a != b), 0.0, 0.2) for a in "xy" for b in "xy"]
    table = pd.DataFrame(rows, columns=["chosen_on", "used_on", "regret", "low", "high"])
    plots.regret_matrix(ax, table)
    said = [text.get_text() for text in ax.texts]
    assert said.count("0") == 2 and sum(text.startswith("+0.100") for text in said) == 2
