"""Bars: sums of parts, and scores."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from hide_utils.looks import NO_LOOKS, Looks, look_of


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
