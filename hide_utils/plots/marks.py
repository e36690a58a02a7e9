"""What stands beside measured points: reference lines, levels of chance, and published values.

Published values are open or grey and their labels say "published": they were not measured here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from hide_utils.looks import NEUTRAL, Look, Looks, look_of
from hide_utils.plots.style import SPREAD

PUBLISHED_MARKERS = ("v", "d", "s", "P")
DASHES = (0, (4, 3))


def reference(
    ax: Axes, look: Look, at: float, low: float | None = None, high: float | None = None, *, across: bool = False
) -> None:
    """A dashed line at what all points are compared with, and a band where its interval is given.

    Args:
        ax: panel to draw in.
        look: its label and color.
        at: its value.
        low: lower end of its interval.
        high: upper end.
        across: the values are on the y axis, so that the line runs across the panel.
    """
    line, span = (ax.axhline, ax.axhspan) if across else (ax.axvline, ax.axvspan)
    line(at, color=look.color, linewidth=1.1, linestyle="--", label=look.label, zorder=0)
    if low is not None and high is not None:
        span(low, high, color=look.color, alpha=0.12, linewidth=0, zorder=0)


def references(ax: Axes, table: pd.DataFrame, looks: Looks, *, across: bool = False) -> None:
    """`reference` for every row of a table with the columns method, accuracy, low and high."""
    for row in table.itertuples():
        reference(ax, look_of(looks, row.method), row.accuracy, row.low, row.high, across=across)


def level(ax: Axes, at: float, label: str | None = None, *, color: str = NEUTRAL, across: bool = False) -> Line2D:
    """A dotted line at a value that needs no measuring, such as chance, a flat map or no difference."""
    line = ax.axhline if across else ax.axvline
    return line(at, color=color, linewidth=0.8, linestyle=":", label=label, zorder=0)


def setting(ax: Axes, at: float, label: str, *, color: str = NEUTRAL) -> None:
    """A vertical line at the setting in use."""
    ax.axvline(at, color=color, linewidth=0.7, label=label, zorder=0)


def published_rows(
    ax: Axes, table: pd.DataFrame, rows: Sequence[str], row: str, label: str, spread: float = SPREAD
) -> None:
    """Published values beside the lines of `dot_rows`, a marker for each model.

    Args:
        ax: panel of `dot_rows`.
        table: columns model, `row` and accuracy.
        rows: values of `row` from top to bottom.
        row: the column that says on which line a value stands.
        label: said in the legend behind the model's name.
        spread: the same as in `dot_rows`.
    """
    for marker, (model, part) in zip(PUBLISHED_MARKERS, table.groupby("model", sort=False), strict=False):
        at = [list(rows).index(name) + spread / 2 + 0.04 for name in part[row]]
        look: dict[str, Any] = {"color": "0.55", "markersize": 4.5, "markerfacecolor": "0.85", "linestyle": "none"}
        ax.plot(part["accuracy"], at, marker, label=f"published: {model}, {label}", **look)


def published_layers(ax: Axes, peaks: pd.DataFrame, n_layers: int) -> None:
    """Published peaks over the layers, at their relative depth in a model of `n_layers` layers.

    Args:
        ax: panel with layers counted from 1 on the x axis.
        peaks: columns model, layer, n_layers and depth.
        n_layers: layers of the model that is shown.
    """
    for marker, peak in zip(PUBLISHED_MARKERS, peaks.itertuples(), strict=False):
        at = peak.depth * n_layers
        ax.axvline(at, color="0.55", linewidth=0.7, linestyle=DASHES, zorder=0)
        ax.plot(
            at,
            1,
            transform=ax.get_xaxis_transform(),
            marker=marker,
            markersize=5,
            color="0.45",
            linestyle="none",
            clip_on=False,
            label=f"published: {peak.model}, {peak.layer} of {peak.n_layers}",
        )
