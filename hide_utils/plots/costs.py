"""What answers cost: accuracy against cost, costs over the size of a picture, what saves them, and sums of steps."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hide_utils.looks import NO_LOOKS, Looks, look_of
from hide_utils.plots.curves import lines, ticks_at
from hide_utils.plots.dots import ACCURACY, dot_rows, points
from hide_utils.plots.marks import level
from hide_utils.plots.style import COLUMN_WIDTH, PAGE_WIDTH, new_figure, shared_legend

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
    least = table[["accuracy", "low"]].min(axis=None)  # one picture alone has no interval
    ax.set_ylim(np.floor(10 * np.nan_to_num(least)) / 10, 1)
    ticks_at(ax, [tick for tick in FLOPS_TICKS if tick <= right])


def cost_curves(
    ax: Axes,
    curves: Mapping[str, pd.DataFrame],
    chosen: pd.DataFrame,
    ends: pd.DataFrame | None = None,
    *,
    looks: Looks = NO_LOOKS,
) -> None:
    """Accuracy against cost for every threshold of a rule, and the chosen ones with their intervals.

    Args:
        ax: panel to draw in.
        curves: rule -> columns times_direct and accuracy, a row a threshold.
        chosen: columns method, times_direct, accuracy, low and high.
        ends: rows of ``chosen`` between which a random share of the samples lies, as a dashed line of "random share".
        looks: of the rules and methods.
    """
    if ends is not None:
        look = look_of(looks, "random share")
        between: dict[str, Any] = {"linestyle": "--", "linewidth": 1.0, "color": look.color, "label": look.label}
        ax.plot(ends["times_direct"], ends["accuracy"], zorder=1, **between)
    for rule, table in curves.items():
        ax.plot(table["times_direct"], table["accuracy"], color=look_of(looks, rule).color, linewidth=1.0, alpha=0.8)
    edge: dict[str, Any] = {"markeredgecolor": "black", "markeredgewidth": 0.4}
    for method, part in chosen.groupby("method", sort=False):
        points(ax, part, part["times_direct"], look_of(looks, method), values=ACCURACY, upright=True, **edge)


def over_sides(
    ax: Axes, table: pd.DataFrame, columns: Sequence[str], *, looks: Looks = NO_LOOKS, x: str = "side"
) -> None:
    """Columns of a table over a side in pixels, on a logarithmic axis."""
    lines(ax, table, x, columns, looks=looks)
    ax.set(xscale="log")
    ticks_at(ax, [side for side in SIDES if table[x].min() <= side <= table[x].max()])


def levers_rows(table: pd.DataFrame, *, looks: Looks = NO_LOOKS) -> Figure:
    """What each lever saves for each model, on an axis that is linear up to a thousandth and logarithmic above.

    Args:
        table: columns lever, model and saved.
        looks: of the models.
    """
    fig, ax = new_figure(width=1.5 * COLUMN_WIDTH, height=2.9)
    values = ("saved", "saved", "saved")
    dot_rows(ax, table, "lever", "model", looks=looks, values=values, spread=0.45, elinewidth=0, capsize=0)
    ax.set_xscale("symlog", linthresh=1e-3)
    ticks = [0, 0.001, 0.01, 0.1, 1]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set(xlabel="FLOPs saved, in plain answers", xlim=(-2e-4, 2))
    shared_legend(fig, [ax], columns=3)
    return fig


def ratios_by_side(table: pd.DataFrame, *, looks: Looks = NO_LOOKS) -> Figure:
    """FLOPs over a plain answer's by the side of the picture, a panel for each model.

    Args:
        table: columns model, side, plain, hide and released.
        looks: of the procedures.
    """
    groups = list(table.groupby("model", sort=False))
    fig, axes = new_figure(1, len(groups), width=PAGE_WIDTH, height=2.6, sharey=True, squeeze=False)
    for ax, (name, part) in zip(axes[0], groups, strict=True):
        over = part[["hide", "released"]].div(part["plain"], axis=0)
        over_sides(ax, over.assign(side=part["side"]), ["hide", "released"], looks=looks)
        level(ax, 1, color="0.6", across=True)
        ax.set(title=name, xlabel="side of the picture (px)")
    axes[0, 0].set(ylabel="FLOPs over a plain answer's", ylim=(0.8, None))
    shared_legend(fig, axes[0])
    return fig


def seconds_by_lever(panels: Mapping[str, pd.DataFrame], *, looks: Looks = NO_LOOKS) -> Figure:
    """Seconds of a whole question as one lever is pulled after another: medians, whiskers from least to most.

    Args:
        panels: a panel's title -> columns variant, procedure and seconds, a row a run.
        looks: of the procedures. Others are left out.
    """
    size: dict[str, Any] = {"width": PAGE_WIDTH, "height": 2.6, "sharey": True, "squeeze": False}
    fig, axes = new_figure(1, len(panels), **size)
    rungs = {name: str(name) for table in panels.values() for name in dict.fromkeys(table["variant"])}
    values = ("median", "min", "max")
    for ax, (title, table) in zip(axes[0], panels.items(), strict=True):
        shown = table[table["procedure"].isin(looks)].groupby(["variant", "procedure"], sort=False)["seconds"]
        rows = shown.agg(list(values)).reset_index()
        dot_rows(ax, rows, "variant", "procedure", rows=rungs, looks=looks, values=values)
        ax.set(title=title, xlabel="seconds a question", xlim=(0, 1.08 * rows["max"].max()))
    shared_legend(fig, axes[0], columns=3)
    return fig


def stacked_bars(
    ax: Axes, table: pd.DataFrame, parts: Looks, form: str, sums: pd.DataFrame, *, looks: Looks = NO_LOOKS
) -> None:
    """A horizontal bar for each row of the table, stacked of its columns, with the sum written behind it.

    Args:
        ax: panel to draw in.
        table: one row a bar, its columns those of `parts`.
        parts: column -> its label and color; columns that the table lacks are left out.
        form: how a sum is written, such as ``"{:.1f} s"``.
        sums: columns min and max, the smallest and the largest sum of the runs, drawn as whiskers; indexed as the
            table.
        looks: of the bars, for their labels.
    """
    left = pd.Series(0.0, table.index)
    names = [look_of(looks, name).label for name in table.index]
    for part, look in parts.items():
        if part in table:
            widths = table[part].fillna(0)
            ax.barh(names, widths, left=left, color=look.color, label=look.label, height=0.62)
            left = left + widths
    low, high = sums.loc[table.index, "min"], sums.loc[table.index, "max"]
    reach = [(left - low).clip(lower=0), (high - left).clip(lower=0)]
    ax.errorbar(left, names, xerr=reach, fmt="none", ecolor="0.2", elinewidth=0.9, capsize=2)
    for place, (total, end) in enumerate(zip(left, high, strict=True)):
        ax.text(max(total, end), place, "  " + form.format(total), va="center", fontsize=7)
    ax.set_xlim(0, 1.22 * max(left.max(), high.max()))
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0)


def floor_marks(ax: Axes, floors: pd.Series, label: str) -> None:
    """A black mark across some of `stacked_bars`, at a value that they cannot go below.

    Args:
        ax: panel that has the bars.
        floors: bar's label -> value.
        label: what the mark is, for the legend.
    """
    at = {text.get_text(): place for place, text in enumerate(ax.get_yticklabels())}
    places = [at[name] for name in floors.index]
    ax.vlines(floors, [y - 0.4 for y in places], [y + 0.4 for y in places], color="black", linewidth=1.6, label=label)
