"""Estimates over decoder layers. Axes count layers from 1, as the paper does; tables and code count from 0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from hide_utils.looks import NO_LOOKS, Looks, look_of
from hide_utils.plots.curves import band, bands, ticks_at
from hide_utils.plots.dots import ACCURACY, points
from hide_utils.plots.marks import level, references, setting
from hide_utils.plots.style import BOX_COLOR, legend_above

LAYER_AXIS = "decoder layer, counted from 1"


def layer_curves(
    ax: Axes,
    table: pd.DataFrame,
    series: str,
    ylabel: str,
    *,
    looks: Looks = NO_LOOKS,
    flat: float | None = None,
) -> None:
    """Estimates over the layers for each `series`. The axis counts layers from 1, as the paper does.

    Args:
        ax: panel to draw in.
        table: columns layer (counted from 0), `series`, estimate, low and high.
        series: the column that tells the lines apart.
        ylabel: what is measured.
        looks: of the series.
        flat: what a flat map would have.
    """
    bands(ax, table, "layer", series, looks=looks, shift=1)
    if flat is not None:
        level(ax, flat, "flat map", across=True)
    ax.set(ylabel=ylabel)
    ax.set_ylim(bottom=0)
    layer_axis(ax, table["layer"])


def layer_axis(ax: Axes, layers: Iterable[float]) -> None:
    """Whole layers on the x axis, counted from 1; `layers` are those that are drawn, counted from 0."""
    shown = list(layers)
    ax.set_xlim(min(shown) + 0.7, max(shown) + 1.3)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=14, integer=True))


def split_curves(
    ax: Axes, tables: Mapping[str, pd.DataFrame], chosen: int, ylabel: str, *, looks: Looks = NO_LOOKS
) -> None:
    """Estimates of each split over the layers, with its n, and the layer that was chosen.

    Args:
        ax: panel to draw in.
        tables: split -> columns layer (counted from 0), n, estimate, low and high.
        chosen: the layer, counted from 0.
        ylabel: what is measured.
        looks: of the splits.
    """
    called = {split: f"{split} split (n = {table['n'].max()})" for split, table in tables.items()}
    every = pd.concat([table.assign(split=split) for split, table in tables.items()])
    looks = {split: look_of(looks, split)._replace(label=label) for split, label in called.items()}
    layer_curves(ax, every, "split", ylabel, looks=looks)
    setting(ax, chosen + 1, f"chosen on calibration: layer {chosen + 1}", color=BOX_COLOR)
    ax.set_xlabel(LAYER_AXIS)
    legend_above(ax, 1)


def answer_curve(ax: Axes, table: pd.DataFrame, *, chosen: int, chance: float, looks: Looks = NO_LOOKS) -> None:
    """Accuracy at each layer with its interval, beside the methods that have no layer.

    Args:
        ax: panel to draw in.
        table: columns method, layer (counted from 0, NaN for methods without one), accuracy, low and high.
        chosen: the layer in use, counted from 0.
        chance: accuracy by guessing.
        looks: of the methods, with "hide" for the line over the layers.
    """
    at_layer = table.dropna(subset="layer").sort_values("layer")
    look = look_of(looks, "hide")
    line = look._replace(label=f"{look.label} at each layer")
    style: dict[str, Any] = {"linestyle": "-", "linewidth": 1.2, "markersize": 3, "capsize": 2}
    points(ax, at_layer, at_layer["layer"] + 1, line, values=ACCURACY, upright=True, **style)
    references(ax, table[table["layer"].isna()], looks, across=True)
    level(ax, chance, "chance", across=True)
    setting(ax, chosen + 1, f"chosen: layer {chosen + 1}")
    ax.set(xlabel=LAYER_AXIS, ylabel="accuracy", ylim=(0, 1))
    layer_axis(ax, at_layer["layer"])
    legend_above(ax)


def size_curves(axes: Iterable[Axes], by_size: pd.DataFrame, best: float, ylabel: str, *, looks: Looks) -> None:
    """What fewer calibration samples would choose: how often the same, and how good that is on the test split.

    Args:
        axes: two panels, one above the other.
        by_size: columns n, same (share of draws), estimate, low and high.
        best: the test score of what is best in hindsight.
        ylabel: what is measured on the test split.
        looks: of the splits "calibration" and "test".
    """
    upper, lower = axes
    upper.plot(by_size["n"], by_size["same"], color=look_of(looks, "calibration").color, marker="o", markersize=3)
    upper.set(ylabel="draws that choose\nthe same layer", ylim=(0, 1.04))
    band(lower, by_size, "n", look_of(looks, "test")._replace(label="chosen: mean, 95 % of draws"))
    level(lower, best, "best layer in hindsight", across=True)
    lower.set(ylabel=ylabel, xlabel="calibration samples", xscale="log")
    lower.set_ylim(bottom=0)
    ticks_at(lower, by_size["n"].tolist())
    lower.legend(loc="lower right")
