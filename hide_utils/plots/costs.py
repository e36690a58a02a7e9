"""What answers cost: accuracy against cost, and costs over the size of a picture or of a model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from hide_utils.looks import NO_LOOKS, Looks, look_of
from hide_utils.plots.curves import lines, ticks_at
from hide_utils.plots.dots import ACCURACY, dot_rows, points

FLOPS_TICKS = (1, 1.1, 1.25, 1.5, 2, 3, 5, 10, 20)
SIDES = (448, 896, 1792, 3584, 8192)  # ticks of an axis of pictures' sides, pixels


def accuracy_against_cost(ax: Axes, table: pd.DataFrame, front: Collection, *, looks: Looks = NO_LOOKS) -> None:
    """A line for each method, the cheapest lowest: accuracy with its interval, and at the right what an answer costs.

    Args:
        ax: panel to draw in.
        table: columns method, accuracy, low, high, times_direct (FLOPs as multiples) and calls (forward passes).
        front: for each row whether no other method is at most as costly and better; those points are filled.
        looks: of the methods.
    """
    order = table.assign(front=list(front)).sort_values("times_direct", kind="stable").iloc[::-1]
    filled = {m.method: look_of(looks, m.method)._replace(filled=m.front) for m in order.itertuples()}
    rows = {method: look.label for method, look in filled.items()}
    dot_rows(ax, order, "method", rows=rows, looks=filled, values=ACCURACY, markersize=4.5, clip_on=False)
    for y, row in enumerate(order.itertuples()):
        cost = f"{row.times_direct:.2f}× · {row.calls:.0f}"
        ax.text(1.03, y, cost, transform=ax.get_yaxis_transform(), va="center", fontsize=7)
    ax.text(1.03, -0.6, "FLOPs · passes", transform=ax.get_yaxis_transform(), fontsize=7, color="0.35")
    ax.set(xlabel="accuracy", xlim=(0, 1))


def pareto_front(ax: Axes, table: pd.DataFrame, front: Collection, *, looks: Looks = NO_LOOKS) -> None:
    """Accuracy over cost, a point for each method with its interval, and the steps of what each cost can reach.

    Args:
        ax: panel to draw in.
        table: columns method, accuracy, low, high and times_direct (FLOPs as multiples of direct answering's).
        front: for each row whether no other method is at most as costly and better; those points are filled and make
            the steps.
        looks: of the methods.
    """
    table = table.assign(front=list(front))
    best = table[table["front"]].sort_values(["times_direct", "accuracy"])
    right = 1.06 * table["times_direct"].max()
    steps = best["accuracy"].tolist()
    ax.step([*best["times_direct"], right], [*steps, steps[-1]], where="post", color="0.6", linewidth=0.9, zorder=0)
    # From the last to the first, so that what is compared first lies on top where points coincide.
    for method, point in reversed(list(table.groupby("method", sort=False))):
        look = look_of(looks, method)._replace(filled=bool(point["front"].item()))
        points(ax, point, point["times_direct"], look, values=ACCURACY, upright=True, markersize=4.5, label=None)
    ax.set(xlabel="FLOPs, multiples of direct", ylabel="accuracy", xscale="log")
    ax.set_ylim(np.floor(10 * table["low"].min()) / 10, 1)
    ticks_at(ax, [tick for tick in FLOPS_TICKS if tick <= right])


def cost_curves(ax: Axes, curves: Mapping[str, pd.DataFrame], chosen: pd.DataFrame, *, looks: Looks = NO_LOOKS) -> None:
    """Accuracy against cost for every threshold of a rule, and the chosen ones with their intervals.

    Args:
        ax: panel to draw in.
        curves: rule -> columns times_direct and accuracy, a row a threshold.
        chosen: columns method, times_direct, accuracy, low and high.
        looks: of the rules and methods.
    """
    for rule, table in curves.items():
        ax.plot(table["times_direct"], table["accuracy"], color=look_of(looks, rule).color, linewidth=1.0, alpha=0.8)
    edge: dict[str, Any] = {"markeredgecolor": "black", "markeredgewidth": 0.4}
    for method, part in chosen.groupby("method", sort=False):
        points(ax, part, part["times_direct"], look_of(looks, method), values=ACCURACY, upright=True, **edge)


def over_sides(
    ax: Axes, table: pd.DataFrame, columns: Sequence[str], *, looks: Looks = NO_LOOKS, x: str = "side"
) -> None:
    """Columns of a table over a side in pixels, both axes logarithmic."""
    lines(ax, table, x, columns, looks=looks)
    ax.set(xscale="log", yscale="log")
    ticks_at(ax, [side for side in SIDES if table[x].min() <= side <= table[x].max()])


def over_weights(
    axes: Iterable[Axes], table: pd.DataFrame, procedures: Sequence[str], *, looks: Looks = NO_LOOKS
) -> None:
    """Seconds and peak memory over the number of a model's weights, in two panels.

    Args:
        axes: two panels.
        table: columns weights, procedure, seconds and peak_bytes.
        procedures: those that are drawn.
        looks: of the procedures.
    """
    panels = (("seconds", 1, "seconds a question"), ("peak_bytes", 1e6, "peak memory (MB)"))
    for ax, (column, unit, label) in zip(axes, panels, strict=True):
        wide = table.pivot(index="weights", columns="procedure", values=column)[list(procedures)] / unit
        lines(ax, wide.assign(millions=wide.index / 1e6), "millions", procedures, looks=looks)
        ax.set(xlabel="weights of the model (million)", ylabel=label, ylim=(0, 1.12 * wide.max(axis=None)))
