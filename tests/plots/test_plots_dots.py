"""Estimates as dots with their intervals: where each stands, what it looks like, and what stands beside it."""

import numpy as np
import pandas as pd

from hide_utils import plots
from hide_utils.baselines import LOOKS


def labels(ax):
    return ax.get_legend_handles_labels()[1]


def row_names(ax):
    return [text.get_text() for text in ax.get_yticklabels()]


def points(ax):
    return [container.lines[0] for container in ax.containers]


def rows_table(*variants):
    return pd.DataFrame([(v, 0.5, 0.4, 0.7) for v in variants], columns=["variant", "estimate", "low", "high"])


# --- rows -------------------------------------------------------------------------------------------------------------


def test_dots_stand_at_their_estimates(ax):
    table = pd.DataFrame(
        [("t1", "a", 0.5, 0.2, 0.7), ("t1", "b", 0.1, 0.0, 0.3), ("t2", "a", 0.9, 0.8, 1.0)],
        columns=["row", "series", "estimate", "low", "high"],
    )
    plots.dot_rows(ax, table, "row", "series", looks={"a": plots.Look("A", "C0", "X")})
    first, second = points(ax)
    assert first.get_xdata().tolist() == [0.5, 0.9]
    assert second.get_xdata()[0] == 0.1 and np.isnan(second.get_xdata()[1]), "a missing estimate is left out"
    assert row_names(ax) == ["t1", "t2"] and labels(ax) == ["A", "b"]
    assert ax.get_ylim() == (1.5, -0.5), "the first line is on top"
    assert first.get_marker() == "X" and second.get_marker() == plots.MARKERS[1]
    ends = [bar.get_segments()[0][:, 0].tolist() for container in ax.containers for bar in container.lines[2]]
    np.testing.assert_allclose(ends, [[0.2, 0.7], [0.0, 0.3]])


def test_rows_without_series_have_their_own_looks_and_long_names_are_broken(ax):
    table = rows_table("direct", "hide", "a name that is far too long for one line")
    plots.dot_rows(ax, table, "variant", looks={"hide": LOOKS["hide"]}, wrap=22)
    assert row_names(ax)[:2] == ["direct", "hide"] and row_names(ax)[2].count("\n") == 1
    assert [p.get_color() for p in points(ax)] == [plots.NEUTRAL, LOOKS["hide"].color, plots.NEUTRAL]
    assert labels(ax) == []


def test_published_marks_stand_on_the_line_of_their_row(ax):
    table = pd.DataFrame({"model": ["M", "M", "N"], "layout": ["x", "y", "y"], "accuracy": [0.7, 0.9, 0.8]})
    plots.published_rows(ax, table, ["x", "y"], "layout", "V* spatial")
    first, second = ax.lines
    assert np.floor(first.get_ydata()).tolist() == [0, 1] and np.floor(second.get_ydata()).tolist() == [1]
    assert labels(ax) == ["published: M, V* spatial", "published: N, V* spatial"]


# --- differences and ratios -------------------------------------------------------------------------------------------


def test_ratios_are_written_beside_their_dots_and_targets(ax):
    table = pd.DataFrame(
        {"label": ["a", "b"], "estimate": [1.1, 2.0], "low": 1.0, "high": 2.5, "target": [3.0, np.nan]}
    )
    plots.ratio_rows(ax, table, looks={"a": plots.Look("a", "C3")})
    assert [text.get_text().strip() for text in ax.texts] == ["1.10", "2.00"]
    assert [text.get_position()[0] for text in ax.texts] == [3.0, 2.5], "behind the target or the interval"
    assert points(ax)[0].get_color() == "C3"
