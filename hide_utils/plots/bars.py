"""Bars: accuracies by group, sums of parts, scores; and the same accuracies around a circle."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.projections.polar import PolarAxes

from hide_utils.looks import NEUTRAL, NO_LOOKS, Looks, look_of, looks_of
from hide_utils.plots.curves import band
from hide_utils.plots.dots import ACCURACY
from hide_utils.plots.marks import level
from hide_utils.plots.style import BOX_COLOR, legend_above, note_left_out, plain_text
from hide_utils.stats import accuracy_table


def accuracy_bars(
    ax: Axes, results: pd.DataFrame, by: str = "kind", *, chance: float | None = None, looks: Looks = NO_LOOKS
) -> pd.DataFrame:
    """Accuracy of each method in each group and over all, as bars with their intervals.

    Args:
        ax: panel to draw in.
        results: one row a sample and method, with columns `method`, `correct` and `by`.
        by: the column of groups.
        chance: accuracy by guessing, drawn as a dotted line.
        looks: of the methods.

    Returns:
        The table that is drawn, of `accuracy_table`.
    """
    table = accuracy_table(results, by)
    note_left_out(ax, table)
    groups, looks = list(table[by].unique()), looks_of(looks, table["method"])
    width = 0.8 / len(looks)
    handles: list[Any] = []
    for number, (method, look) in enumerate(looks.items()):
        part = table[table["method"] == method]
        x = [groups.index(group) + (number - (len(looks) - 1) / 2) * width for group in part[by]]
        bars = ax.bar(
            x,
            part["accuracy"],
            width * 0.92,
            yerr=np.abs([part["accuracy"] - part["low"], part["high"] - part["accuracy"]]),
            color=look.color,
            label=look.label,
            error_kw={"elinewidth": 0.8, "capthick": 0.8, "capsize": 1.5},
        )
        handles.append(bars)
    if chance is not None:
        handles.append(level(ax, chance, "chance", across=True))
    ax.set_xticks(range(len(groups)), _with_n(table, by, groups))
    ax.set(ylabel="accuracy", ylim=(0, 1))
    legend_above(ax, min(len(handles), 3), handles=handles)
    return table


def radar(
    ax: PolarAxes, results: pd.DataFrame, by: str, methods: Sequence[str], *, looks: Looks = NO_LOOKS
) -> pd.DataFrame:
    """Accuracy of each method in each group as the distance from the centre, with bands of its intervals.

    Args:
        ax: polar axes.
        results: one row a sample and method, with columns `method`, `correct` and `by`.
        by: the column of groups, three at least.
        methods: those that are drawn.
        looks: of the methods.

    Returns:
        The table that is drawn, of `accuracy_table`.

    Raises:
        ValueError: there are fewer groups, which make no circle.
    """
    table = accuracy_table(results, by)
    table = table[(table[by] != "all") & table["method"].isin(methods)]
    groups = list(dict.fromkeys(table[by]))
    if len(groups) < 3:
        raise ValueError(f"{len(groups)} groups in {by!r}: a radar needs three; draw bars")
    angles = np.linspace(0, 2 * np.pi, len(groups) + 1)
    for method in methods:
        part = table[table["method"] == method].set_index(by).loc[[*groups, groups[0]]]
        band(ax, part.assign(angle=angles), "angle", look_of(looks, method), values=ACCURACY)
    ax.set_theta_offset(np.pi / 2)
    ax.set_xticks(angles[:-1], _with_n(table, by, groups, 10))
    ax.tick_params(axis="x", pad=7)
    ax.set_ylim(0, 1)
    ax.set_yticks([0.25, 0.5, 0.75, 1.0], ["25 %", "50 %", "75 %", "100 %"], fontsize=7, color="0.35")
    ax.set_rlabel_position(180 / len(groups))
    ax.legend(ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.16))
    return table


def _with_n(table: pd.DataFrame, by: str, groups: Sequence, wrap: int = 1000) -> list[str]:
    """Names of the groups, each with the number of answers behind its points, which errors can make differ."""
    n = table.groupby(by)["n"].agg(["min", "max"]).loc[list(groups)]
    counts = [f"{low}" if low == high else f"{low} to {high}" for low, high in n.to_numpy()]
    names = [textwrap.fill(plain_text(str(group).replace("_", " ")), wrap) for group in groups]
    return [f"{name}\nn = {count}" for name, count in zip(names, counts, strict=True)]


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


def token_bars(ax: Axes, table: pd.DataFrame, least: float, most: int = 24) -> None:
    """Mean score of each token as a thin bar from 0, its end colored by the share of its occurrences that is read.

    Args:
        ax: panel to draw in.
        table: columns token, n, score and kept (a share), the first on top.
        least: threshold of the score, drawn dashed.
        most: tokens that are drawn.
    """
    part = table.head(most)
    at = np.arange(len(part))
    ax.hlines(at, 0, part["score"], color="0.75", linewidth=1.0)
    dot: dict[str, Any] = {"s": 16, "edgecolor": "black", "linewidth": 0.4, "zorder": 3}
    shown = ax.scatter(part["score"], at, c=part["kept"], cmap="viridis", vmin=0, vmax=1, **dot)
    ax.axvline(0, color=NEUTRAL, linewidth=0.7)
    ax.axvline(least, color=BOX_COLOR, linewidth=0.9, linestyle="--")
    ax.set_yticks(at, [f"{plain_text(row.token)} ({row.n})" for row in part.itertuples()])
    ax.tick_params(axis="y", length=0, labelsize=7)
    ax.set_ylim(len(part) - 0.4, -0.6)
    ax.figure.colorbar(shown, ax=ax, label="share that is read", aspect=30, pad=0.02)
