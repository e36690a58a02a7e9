"""Grids over two settings show every value, on scales that can be compared."""

import numpy as np
import pandas as pd
import pytest

from hide_utils import plots


@pytest.mark.parametrize("n_layers", [1, 3, 8])
def test_setting_maps_share_a_scale_and_mark_the_setting(ax, n_layers):
    grid = [(layer, s, a) for layer in range(n_layers) for s in (0.0, 1.0) for a in (0.3, 0.5, 0.7)]
    means = pd.DataFrame(grid, columns=["layer", "sigma", "alpha"]).assign(iou=np.linspace(0, 1, len(grid)))
    means["other"] = 2 - means["iou"]
    fig = plots.setting_maps(means, {"iou": "IoU", "other": "other"}, (0, 1.0, 0.5))
    shown = [ax for ax in fig.axes if ax.images]
    assert len(shown) == 2 * n_layers
    assert {ax.images[0].get_clim() for ax in shown[:n_layers]} == {(0.0, 1.0)}
    assert {ax.images[0].get_clim() for ax in shown[n_layers:]} == {(1.0, 2.0)}
    outlined = [ax for ax in shown if ax.patches]
    assert outlined == [shown[0], shown[n_layers]]
    assert outlined[0].patches[-1].get_xy() == (0.5, 0.5)  # the second α and the second σ
    (cross,) = shown[n_layers - 1].lines
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (2, 1)  # the last is the best
    assert shown[n_layers].lines[0].get_xdata()[0] == 0


def test_the_matrix_says_every_cell(ax):
    rows = [(a, b, 0.1 * (a != b), 0.0, 0.2) for a in "xy" for b in "xy"]
    table = pd.DataFrame(rows, columns=["chosen_on", "used_on", "regret", "low", "high"])
    plots.regret_matrix(ax, table)
    said = [text.get_text() for text in ax.texts]
    assert said.count("0") == 2 and sum(text.startswith("+0.100") for text in said) == 2
