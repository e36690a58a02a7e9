"""Estimates over a number, as lines in bands or as points with intervals: sizes, shares, training steps.

`band` and `lines` draw. Curves over layers are in `layers`, over
costs in `costs`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from hide_utils.looks import NO_LOOKS, Look, Looks, look_of, looks_of
from hide_utils.plots.dots import ACCURACY, ESTIMATE, offsets, points
from hide_utils.plots.marks import level, reference
from hide_utils.plots.style import (
    COLUMN_WIDTH,
    MARKERS,
    PAGE_WIDTH,
    legend_above,
    new_figure,
    note_left_out,
    shared_legend,
)
from hide_utils.stats import accuracies
from hide_utils.stats.rows import chance

PERCENT = FuncFormatter(lambda value, _: f"{100 * value:g} %")


def band(
    ax: Axes,
    table: pd.DataFrame,
    x: str,
    look: Look,
    *,
    values: Sequence[str] = ESTIMATE,
    shift: float = 0,
    **style: Any,
) -> None:
    """A line with markers on the band of its intervals.

    Args:
        ax: panel to draw in.
        table: columns `x` and `values`, in the order in which points are joined.
        x: column of the x axis.
        look: label, color and marker.
        values: columns of the estimate and of its interval's ends.
        shift: added to `x`; 1 turns a layer counted from 0 into one counted from 1.
        style: further arguments of `Axes.plot`.
    """
    note_left_out(ax, table)
    at, (middle, low, high) = table[x] + shift, (table[column] for column in values)
    usual: dict[str, Any] = {"marker": look.marker or "o", "markersize": 3, "linewidth": 1.2, "label": look.label}
    ax.plot(at, middle, color=look.color, **usual | style)
    ax.fill_between(at, low, high, color=look.color, alpha=0.15, linewidth=0)


def bands(
    ax: Axes,
    table: pd.DataFrame,
    x: str,
    series: str,
    *,
    looks: Looks = NO_LOOKS,
    values: Sequence[str] = ESTIMATE,
    markers: str = "o",
    **style: Any,
) -> None:
    """`band` for every value of the column `series`; `markers` are taken in turn where looks have none of their own."""
    for number, (name, look) in enumerate(looks_of(looks, table[series]).items()):
        marked = look._replace(marker=look.marker or markers[number % len(markers)])
        band(ax, table[table[series] == name].sort_values(x, kind="stable"), x, marked, values=values, **style)


def lines(ax: Axes, table: pd.DataFrame, x: str, columns: Sequence[str], *, looks: Looks = NO_LOOKS) -> None:
    """Columns of a table over another one, without intervals."""
    for name, look in looks_of(looks, columns).items():
        style: dict[str, Any] = {"color": look.color, "marker": look.marker or "o", "markersize": 3, "linewidth": 1.1}
        ax.plot(table[x], table[name], label=look.label.replace("\n", " "), **style)


def ticks_at(ax: Axes, values: Sequence[float], form: str = "{:g}") -> None:
    """Ticks of the x axis at these values alone."""
    ax.set_xticks(values, [form.format(value) for value in values])
    ax.minorticks_off()


def accuracy_curve(ax: Axes, results: pd.DataFrame, x: str, *, xlabel: str, looks: Looks = NO_LOOKS) -> pd.DataFrame:
    """Accuracy of each method over the numeric column `x`, with bands of its intervals and the level of chance.

    Args:
        ax: panel to draw in.
        results: one row a sample, method and value of `x`, with columns method, correct and n_options.
        x: column of the x axis.
        xlabel: what that axis says.
        looks: of the methods.

    Returns:
        The table that is drawn: columns `x`, method, n, accuracy, low, high, as `stats.accuracies` has them.
    """
    table = accuracies(results.sort_values([x, "method"], kind="stable"), [x, "method"])
    for method, look in looks_of(looks, results["method"]).items():
        band(ax, table[table["method"] == method], x, look, values=ACCURACY)
    level(ax, chance(results), "chance", across=True)
    ax.set(xlabel=xlabel, ylabel="accuracy", ylim=(0, 1), xticks=sorted(table[x].unique()))
    legend_above(ax)
    return table


def accuracy_panels(
    answers: pd.DataFrame,
    x: str,
    *,
    xlabel: str,
    looks: Looks = NO_LOOKS,
    ticks: Mapping[float, str] | None = None,
    log: bool = False,
) -> Figure:
    """Accuracy of each method over the numeric column `x`: a panel for all questions, and one for each kind of several.

    Each panel has the level of chance of the answers that it shows, and says how many samples stand at each point.

    Args:
        answers: one row a sample, method and value of `x`, with columns kind, sample_id, method, correct and n_options.
            Methods whose `x` is missing are dashed lines across.
        x: column of the x axis.
        xlabel: what that axis says.
        looks: of the methods.
        ticks: value of `x` -> what its tick says. None writes the values.
        log: whether that axis is logarithmic.
    """
    kinds = list(dict.fromkeys(answers["kind"]))
    parts = {"all questions": answers}
    if len(kinds) > 1:
        parts |= {str(kind).replace("_", " "): answers[answers["kind"] == kind] for kind in kinds}
    width = PAGE_WIDTH if len(parts) > 1 else 1.2 * COLUMN_WIDTH
    fig, axes = new_figure(1, len(parts), width=width, height=2.7, sharey=True, squeeze=False)
    for ax, (title, part) in zip(axes[0], parts.items(), strict=True):
        table = accuracies(part, [x, "method"])
        bands(ax, table, x, "method", looks=looks, values=ACCURACY, markers=MARKERS)
        for row in accuracies(part[part[x].isna()], ["method"]).itertuples():
            reference(ax, look_of(looks, row.method), row.accuracy, across=True)
        level(ax, chance(part), "chance", across=True)
        counts = sorted({table["n"].min(), table["n"].max()})
        ax.set(title=f"{title}, n = {' to '.join(map(str, counts))}", ylim=(0, 1.02))
        if log:
            ax.set_xscale("log")
        named = ticks or {value: f"{value:g}" for value in table[x].unique()}
        ax.set_xticks(list(named), list(named.values()))
        ax.minorticks_off()
    axes[0, 0].set_ylabel("accuracy")
    axes[0, len(parts) // 2].set_xlabel(xlabel)
    shared_legend(fig, axes[0], columns=6)
    return fig


def error_curves(ax: Axes, table: pd.DataFrame, *, looks: Looks = NO_LOOKS) -> None:
    """Estimates over the rate of errors for each kind of error, with intervals a little beside each other.

    Args:
        ax: panel to draw in.
        table: columns corruption, rate, estimate, low and high.
        looks: of the corruptions.
    """
    style: dict[str, Any] = {"linestyle": "-", "linewidth": 1.1, "markersize": 2.6, "elinewidth": 0.5, "capsize": 0}
    kinds = looks_of(looks, table["corruption"])
    for offset, (kind, look) in zip(offsets(len(kinds), 0.014 * len(kinds)), kinds.items(), strict=True):
        part = table[table["corruption"] == kind].sort_values("rate")
        points(ax, part, part["rate"] + offset, look, upright=True, **style)
