"""Figures of time, memory and FLOPs: by stage, by resolution, by model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes

from hide_utils.plots.style import METHOD_COLORS, PALETTE

# Procedures by their names in `timing`, `footprint` and `procedures`.
LABELS = {
    "plain": "plain answer",
    "hide": "HiDe",
    "three_passes": "full passes,\nearly exit",
    "released": "as released:\nfull passes",
    "pass": "one pass",
    "rows": "rows captured",
    "eager": "eager attention",
}
COLORS = {
    "plain": METHOD_COLORS["direct"],
    "hide": METHOD_COLORS["hide"],
    "three_passes": PALETTE[1],
    "released": PALETTE[1],
}
MARKERS = {"plain": "o", "hide": "s", "three_passes": "^", "released": "^"}
STEPS = {
    "extract": "entities",
    "prefill": "picture (prefill)",
    "search": "search",
    "decouple": "maps, boxes",
    "compact": "compact image",
    "answer": "answer",
}
STEP_COLORS = dict(zip(STEPS, (PALETTE[2], "0.75", PALETTE[0], PALETTE[4], PALETTE[5], PALETTE[1]), strict=True))


def stacked(
    ax: Axes,
    table: pd.DataFrame,
    parts: Mapping[str, str],
    colors: Mapping[str, str],
    form: str,
    sums: pd.DataFrame,
) -> None:
    """A horizontal bar a row of the table, stacked of its columns `parts` (name -> label); the sum is written behind.

    table: indexed by procedure. form: how a sum is written, such as "{:.1f} s". sums: the smallest and the largest sum
    of the runs by procedure, columns min and max, drawn as a whisker.
    """
    left = pd.Series(0.0, table.index)
    names = [LABELS.get(name, name) for name in table.index]
    for part, label in parts.items():
        if part in table:
            widths = table[part].fillna(0)
            ax.barh(names, widths, left=left, color=colors[part], label=label, height=0.62)
            left = left + widths
    low, high = sums.loc[table.index, "min"], sums.loc[table.index, "max"]
    reach = [(left - low).clip(lower=0), (high - left).clip(lower=0)]
    ax.errorbar(left, names, xerr=reach, fmt="none", ecolor="0.2", elinewidth=0.9, capsize=2)
    for place, (total, end) in enumerate(zip(left, high, strict=True)):
        ax.text(max(total, end), place, "  " + form.format(total), va="center", fontsize=7)
    ax.set_xlim(0, 1.22 * max(left.max(), high.max()))
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0)


def over_sides(ax: Axes, table: pd.DataFrame, methods: Sequence[str], x: str = "side") -> None:
    """Cost of each method (columns of the table) over `x` in pixels, both axes logarithmic."""
    for method in methods:
        look = {"color": COLORS[method], "marker": MARKERS[method], "markersize": 3, "linewidth": 1.1}
        ax.plot(table[x], table[method], label=LABELS[method].replace("\n", " "), **look)
    ticks = [side for side in (448, 896, 1792, 3584, 8192) if table[x].min() <= side <= table[x].max()]
    ax.set(xscale="log", yscale="log")
    ax.set_xticks(ticks, [f"{side}" for side in ticks])
    ax.minorticks_off()


def ratio_dots(ax: Axes, table: pd.DataFrame) -> None:
    """Ratios to a plain answer by row: columns label, median, low, high, color, target (NaN for none)."""
    for place, row in enumerate(table.itertuples()):
        reach = [[max(row.median - row.low, 0)], [max(row.high - row.median, 0)]]
        ax.errorbar(row.median, place, xerr=reach, fmt="o", markersize=4, color=row.color, elinewidth=1, capsize=2)
        right = max(row.high, row.target if pd.notna(row.target) else 0)
        ax.text(right, place, f"  {row.median:.2f}", fontsize=7, va="center")
        if pd.notna(row.target):
            ax.plot([row.target] * 2, [place - 0.3, place + 0.3], color="0.3", linewidth=1.2)
    ax.set_yticks(range(len(table)), table["label"])
    ax.set_ylim(len(table) - 0.5, -0.6)
    ax.axvline(1, color="0.6", linestyle=":", linewidth=0.8)
    ax.grid(axis="y", color="0.92", linewidth=0.6)
    ax.set_axisbelow(True)


def by_size(axes: Sequence[Axes], table: pd.DataFrame, methods: Sequence[str]) -> None:
    """Seconds and peak memory by the model's number of weights: columns weights, procedure, seconds, peak_bytes."""
    for ax, (column, unit, label) in zip(
        axes, (("seconds", 1, "seconds a question"), ("peak_bytes", 1e6, "peak memory (MB)")), strict=True
    ):
        for method in methods:
            part = table[table["procedure"] == method].sort_values("weights")
            look = {"color": COLORS[method], "marker": MARKERS[method], "markersize": 3.5, "linewidth": 1.1}
            ax.plot(part["weights"] / 1e6, part[column] / unit, label=LABELS[method].replace("\n", " "), **look)
        ax.set(xlabel="weights of the model (million)", ylabel=label)
        ax.set_ylim(0, 1.12 * table.loc[table["procedure"].isin(methods), column].max() / unit)
