"""Estimates as dots with their intervals, a labelled line each: accuracies, differences, ratios; and heads as dots.

`points` draws, `dot_rows` arranges. The other functions are arrangements of these two.
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from hide_utils.looks import NO_LOOKS, PALETTE, Look, Looks, look_of, looks_of
from hide_utils.plots.marks import level, published_rows
from hide_utils.plots.style import COLUMN_WIDTH, MARKERS, SPREAD, new_figure, note_left_out, shared_legend
from hide_utils.stats import accuracies
from hide_utils.stats.rows import chance

ESTIMATE = ("estimate", "low", "high")
ACCURACY = ("accuracy", "low", "high")
DIFFERENCE = ("difference", "low", "high")
PLAIN = FuncFormatter(lambda value, _: f"{value:g}")
RINGS = ((PALETTE[3], 50), (PALETTE[0], 110))  # color and size in square points: two around one dot both show


def points(
    ax: Axes,
    table: pd.DataFrame,
    at: Any,
    look: Look,
    *,
    values: Sequence[str] = ESTIMATE,
    upright: bool = False,
    **style: Any,
) -> None:
    """One series of estimates with their intervals; a missing estimate is left out.

    Args:
        ax: panel to draw in.
        table: one row a point, with the columns `values`.
        at: the place of each point on the other axis.
        look: label, color and marker of the series.
        values: columns of the estimate and of its interval's ends.
        upright: the estimates are on the y axis.
        style: further arguments of `Axes.errorbar`.
    """
    note_left_out(ax, table)
    estimate, low, high = (table[column].to_numpy(float) for column in values)
    reach = np.abs([estimate - low, high - estimate])  # at 0 and 1 rounding can put an end on the wrong side
    place: dict[str, Any] = (
        {"x": at, "y": estimate, "yerr": reach} if upright else {"x": estimate, "y": at, "xerr": reach}
    )
    usual: dict[str, Any] = {
        "marker": look.marker or "o",
        "linestyle": "none",
        "markersize": 4,
        "elinewidth": 0.9,
        "capsize": 1.5,
    }
    face = look.color if look.filled else "white"
    ax.errorbar(**place, **usual | {"color": look.color, "markerfacecolor": face, "label": look.label} | style)


def offsets(n: int, spread: float = SPREAD) -> np.ndarray:
    """Where each of `n` series stands beside the middle of a line; two stand half a `spread` apart."""
    return (np.arange(n) - (n - 1) / 2) * spread / max(n, 2)


def label_rows(ax: Axes, labels: Iterable[str], *, between: bool) -> None:
    """Labelled lines from top to bottom, told apart by thin lines between them, or by one through each."""
    labels = list(labels)
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    for y in np.arange(len(labels) - 1) + 0.5 if between else range(len(labels)):
        ax.axhline(y, color="0.9", linewidth=0.6, zorder=0)


def dot_rows(
    ax: Axes,
    table: pd.DataFrame,
    row: str,
    series: str | None = None,
    *,
    rows: Mapping[Any, str] | None = None,
    looks: Looks = NO_LOOKS,
    values: Sequence[str] = ESTIMATE,
    spread: float = SPREAD,
    wrap: int = 1000,
    **style: Any,
) -> None:
    """Estimates with their intervals, a line for each value of `row`, from top to bottom.

    Args:
        ax: panel to draw in.
        table: columns `row`, `series` and `values`; no pair of row and series twice.
        row: the column that says on which line a point stands.
        series: the column that says which color and marker it has; None for one point a line, of that line's look.
        rows: value of `row` -> label of its line, in the order of the lines. None takes them as they come.
        looks: value of `series` -> look; of `row` where there is no series.
        values: columns of the estimate and of its interval's ends.
        spread: how far the series of one line stand apart, in lines.
        wrap: characters at which a label is broken, for one that has no breaks of its own.
        style: further arguments of `points`.
    """
    lines = dict(rows) if rows else {name: str(name) for name in dict.fromkeys(table[row])}
    if series is None:
        for y, name in enumerate(lines):
            points(ax, table[table[row] == name], [y], look_of(looks, name), values=values, **{"label": None} | style)
    else:
        names = looks_of(looks, table[series])
        for number, (name, look) in enumerate(names.items()):
            part = table[table[series] == name].set_index(row).reindex(list(lines))
            at = np.arange(len(lines)) + offsets(len(names), spread)[number]
            marked = look._replace(marker=look.marker or MARKERS[number % len(MARKERS)])
            points(ax, part, at, marked, values=values, **style)
    labels = [label if "\n" in label else textwrap.fill(label, wrap) for label in lines.values()]
    label_rows(ax, labels, between=series is not None)


def ratio_rows(ax: Axes, table: pd.DataFrame, *, looks: Looks = NO_LOOKS) -> None:
    """Ratios with their intervals and values in figures, and upright ticks at their targets.

    Args:
        ax: panel to draw in.
        table: columns label, estimate, low, high and target (NaN where there is none).
        looks: of the labels.
    """
    dot_rows(ax, table, "label", looks=looks, capsize=2, marker="o")
    for y, point in enumerate(table.itertuples()):
        ax.text(np.fmax(point.high, point.target), y, f"  {point.estimate:.2f}", fontsize=7, va="center")
        ax.plot([point.target] * 2, [y - 0.3, y + 0.3], color="0.3", linewidth=1.2)
    level(ax, 1, color="0.6")


def rows_beside_published(
    answers: pd.DataFrame, row: str, labels: Mapping[str, str], published: pd.DataFrame, where: str
) -> Figure:
    """Accuracy of each setting and kind of question, a line a setting, with chance and published values.

    Args:
        answers: columns kind, `row`, sample_id, n_options and correct.
        row: the column of settings.
        labels: setting -> what its line is called, from top to bottom.
        published: columns model, `row` and accuracy.
        where: what those were measured on.
    """
    fig, ax = new_figure(width=1.5 * COLUMN_WIDTH, height=0.45 * len(labels) + 1.1)
    of = answers.groupby("kind", sort=False)
    looks = looks_of({}, answers["kind"])
    counts = of["sample_id"].nunique()
    named = {kind: look._replace(label=f"{look.label}, n = {counts[kind]}") for kind, look in looks.items()}
    dot_rows(ax, accuracies(answers, [row, "kind"]), row, "kind", rows=labels, looks=named, values=ACCURACY)
    published_rows(ax, published, list(labels), row, where)
    for kind, rows in of:
        level(ax, chance(rows), f"chance, {kind}", color=looks[kind].color)
    ax.set(xlabel="accuracy", xlim=(0, 1.03))
    shared_legend(fig, [ax])
    return fig


def head_dots(table: pd.DataFrame, chosen: Mapping[str, Collection[tuple[int, int]]], layer: int) -> Figure:
    """Every head by the spatial entropy of its maps and by how much of its attention lies in the true boxes.

    Args:
        table: columns layer, head, entropy, concentration and candidate, whether it looks at the picture enough
            to be chosen by entropy.
        chosen: name of a choice -> its heads, which are ringed; at most two choices.
        layer: whose heads are squares, counted from 0.
    """
    fig, ax = new_figure(width=1.5 * COLUMN_WIDTH, height=1.15 * COLUMN_WIDTH)
    own, candidate = table["layer"] == layer, table["candidate"]
    kinds = {
        f"layer {layer + 1}": (own & candidate, "s", "0.35"),
        "other layers": (~own & candidate, "o", "0.35"),
        "no candidate": (~candidate, "o", "white"),
    }
    for label, (which, marker, face) in kinds.items():
        style: dict[str, Any] = {"marker": marker, "s": 18, "facecolor": face, "edgecolor": "0.35", "linewidth": 0.8}
        ax.scatter(table.loc[which, "entropy"], table.loc[which, "concentration"], label=label, **style)
    places = table.set_index(["layer", "head"])[["entropy", "concentration"]]
    for (name, heads), (color, size) in zip(chosen.items(), RINGS, strict=False):
        ringed = places.loc[list(heads)]
        ax.scatter(*ringed.T.to_numpy(), s=size, facecolor="none", edgecolor=color, linewidth=1.4, label=name)
    level(ax, 1, "flat map", across=True)
    ax.set(yscale="log", xlabel="spatial entropy of its maps, nats", ylabel="attention in true boxes, times a flat map")
    ax.yaxis.set_major_formatter(PLAIN)
    fig.legend(loc="outside upper center", ncols=3, columnspacing=1.2)
    return fig
