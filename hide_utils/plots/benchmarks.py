"""Figures of notebook 05: accuracy by kind of question around a circle, and accuracy against cost with its front."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.projections.polar import PolarAxes

from hide_utils.plots.style import METHOD_COLORS, METHOD_LABELS, accuracy_table


def radar(ax: PolarAxes, results: pd.DataFrame, by: str, methods: Sequence[str]) -> pd.DataFrame:
    """Accuracy of each method on each group as the distance from the centre, 0 to 1, with bands of Wilson intervals.

    ax: polar axes. results: one row a sample and method, with columns `method`, `correct` and `by`, of at least three
    groups. Returns the table that is drawn. Raises ValueError for fewer groups, which make no circle.
    """
    table = accuracy_table(results, by)
    table = table[(table[by] != "all") & table["method"].isin(methods)]
    groups = list(dict.fromkeys(table[by]))
    if len(groups) < 3:
        raise ValueError(f"{len(groups)} groups in {by!r}: a radar needs three; draw bars")
    angles = np.linspace(0, 2 * np.pi, len(groups) + 1)
    for method in methods:
        part = table[table["method"] == method].set_index(by).loc[[*groups, groups[0]]]
        color = METHOD_COLORS.get(method)
        label = METHOD_LABELS.get(method, method)
        ax.plot(angles, part["accuracy"], color=color, marker="o", markersize=3, linewidth=1.2, label=label)
        ax.fill_between(angles, part["low"], part["high"], color=color, alpha=0.13, linewidth=0)
    counts = table.groupby(by)["n"].max()
    names = [f"{textwrap.fill(str(group).replace('_', ' '), 10)}\nn = {counts[group]}" for group in groups]
    ax.set_theta_offset(np.pi / 2)
    ax.set_xticks(angles[:-1], names)
    ax.tick_params(axis="x", pad=7)
    ax.set_ylim(0, 1)
    ax.set_yticks([0.25, 0.5, 0.75, 1.0], ["25 %", "50 %", "75 %", "100 %"], fontsize=6, color="0.35")
    ax.set_rlabel_position(180 / len(groups))
    ax.legend(ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.16))
    return table


def pareto_front(ax: Axes, table: pd.DataFrame, front: Collection) -> None:
    """Accuracy over cost, a point a method with its interval, and the steps of what is attainable at each cost.

    table: rows with columns method, accuracy, low, high and times_direct (FLOPs as multiples of direct answering's).
    front: for each whether no other method is at most as costly and better; those are filled and make the steps.
    """
    front = np.asarray(list(front), bool)
    best = table[front].sort_values(["times_direct", "accuracy"])
    right = 1.06 * table["times_direct"].max()
    steps = best["accuracy"].tolist()
    ax.step([*best["times_direct"], right], [*steps, steps[-1]], where="post", color="0.6", linewidth=0.9, zorder=0)
    # From the last to the first, so that what is compared first lies on top where points coincide.
    for row, on_front in reversed(list(zip(table.to_dict("records"), front, strict=True))):
        color = METHOD_COLORS.get(row["method"], "0.3")
        reach = [[max(row["accuracy"] - row["low"], 0)], [max(row["high"] - row["accuracy"], 0)]]
        look = {"fmt": "o", "markersize": 4.5, "color": color, "mfc": color if on_front else "white"}
        ax.errorbar(row["times_direct"], row["accuracy"], yerr=reach, elinewidth=0.7, capsize=1.5, **look)
    ax.set(
        xlabel="FLOPs, multiples of direct",
        ylabel="accuracy",
        xscale="log",
        ylim=(np.floor(10 * table["low"].min()) / 10, 1),
    )
    ticks = [tick for tick in (1, 1.1, 1.25, 1.5, 2, 3, 5, 10, 20) if tick <= right]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
