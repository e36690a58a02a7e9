"""Estimates over decoder layers. Axes count layers from 1, as the paper does; tables and code count from 0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hide_utils.looks import NO_LOOKS, Looks, look_of
from hide_utils.plots.curves import band, bands, ticks_at
from hide_utils.plots.dots import ACCURACY, points
from hide_utils.plots.marks import level, references, setting
from hide_utils.plots.style import BOX_COLOR, PAGE_WIDTH, legend_above, new_figure, shared_legend

LAYER_AXIS = "decoder layer, counted from 1"


def layer_curves(
    ax: Axes,
    table: pd.DataFrame,
    series: str,
    ylabel: str,
    *,
    looks: Looks = NO_LOOKS,
    flat: float | None = None,
    bottom: float = 0,
) -> None:
    """Estimates over the layers for each `series`. The axis counts layers from 1, as the paper does.

    Args:
        ax: panel to draw in.
        table: columns layer (counted from 0), `series`, estimate, low and high.
        series: the column that tells the lines apart.
        ylabel: what is measured.
        looks: of the series.
        flat: what a flat map would have.
        bottom: lower end of the axis.
    """
    bands(ax, table, "layer", series, looks=looks, shift=1)
    if flat is not None:
        level(ax, flat, "flat map", across=True)
    ax.set(ylabel=ylabel)
    ax.set_ylim(bottom=bottom)
    layer_axis(ax, table["layer"])


def layer_axis(ax: Axes, layers: Iterable[float]) -> None:
    """Whole layers on the x axis, counted from 1; `layers` are those that are drawn, counted from 0."""
    shown = list(layers)
    ax.set_xlim(min(shown) + 0.7, max(shown) + 1.3)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=14, integer=True))


def middle_third(ax: Axes, n_layers: int) -> None:
    """Shade the middle third of a network of `n_layers` layers, on an axis that counts them from 1."""
    ax.axvspan(n_layers / 3 + 0.5, 2 * n_layers / 3 + 0.5, color="0.93", linewidth=0, zorder=-1, label="middle third")


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
    legend_above(ax, 2)


def chosen_curves(ax: Axes, table: pd.DataFrame, series: str, chosen: int, *, looks: Looks = NO_LOOKS) -> None:
    """The AUC of each `series` over the layers, with the layer that was chosen and the level of a flat map.

    Args:
        ax: panel to draw in.
        table: columns layer (counted from 0), `series`, estimate, low and high.
        series: the column that tells the lines apart.
        chosen: the layer, counted from 0.
        looks: of the series.
    """
    lowest = min(0.5, table["low"].min()) - 0.04
    layer_curves(ax, table, series, "AUC", looks=looks, flat=0.5, bottom=lowest)
    setting(ax, chosen + 1, f"chosen on calibration: layer {chosen + 1}", color=BOX_COLOR)
    ax.set_xlabel(LAYER_AXIS)
    legend_above(ax)


def own_choices(
    ax: Axes, table: pd.DataFrame, chosen: Mapping[str, int], ylabel: str, *, looks: Looks = NO_LOOKS
) -> None:
    """Estimates of several kinds of tokens over the layers, each with the layer that was chosen for it.

    Args:
        ax: panel to draw in.
        table: columns layer (counted from 0), tokens, estimate, low and high.
        chosen: kind of tokens -> its layer, counted from 0.
        ylabel: what is measured.
        looks: of the kinds.
    """
    layer_curves(ax, table, "tokens", ylabel, looks=looks, bottom=min(0, table["low"].min()))
    level(ax, 0, across=True)
    for tokens, layer in chosen.items():
        look = look_of(looks, tokens)
        ax.axvline(layer + 1, color=look.color, linestyle="--", linewidth=0.9, zorder=0)
    ax.set_xlabel(LAYER_AXIS)
    legend_above(ax)


def maps_and_answers(
    worth: pd.DataFrame, accuracy: pd.DataFrame, *, chosen: int, other: int, chance: float, looks: Looks = NO_LOOKS
) -> Figure:
    """How good maps and answers are at each layer, one above the other, with the two layers that are compared.

    Args:
        worth: of the maps: columns layer (counted from 0), n, estimate, low and high.
        accuracy: columns method, layer (counted from 0, NaN for methods without one), n, accuracy, low and high.
        chosen: the best layer for maps, counted from 0.
        other: the layer that it is compared with.
        chance: accuracy by guessing.
        looks: of the methods, with "hide" for the line over the layers, and of "test", the split.
    """
    fig, (upper, lower) = new_figure(2, 1, width=0.8 * PAGE_WIDTH, height=4.4, sharex=True)
    look = look_of(looks, "test")._replace(label=f"maps, n = {worth['n'].max()}")
    band(upper, worth, "layer", look, shift=1)
    upper.set(ylabel="maps: recall less area", ylim=(0, 1))
    at_layer = accuracy.dropna(subset="layer").sort_values("layer")
    line = look_of(looks, "hide")
    line = line._replace(label=f"{line.label} at each layer, n = {at_layer['n'].max()}")
    style: dict[str, Any] = {"linestyle": "-", "linewidth": 1.2, "markersize": 3, "capsize": 2}
    points(lower, at_layer, at_layer["layer"] + 1, line, values=ACCURACY, upright=True, **style)
    references(lower, accuracy[accuracy["layer"].isna()], looks, across=True)
    level(lower, chance, "chance", across=True)
    lower.set(xlabel=LAYER_AXIS, ylabel="accuracy", ylim=(0, 1))
    for ax in (upper, lower):
        setting(ax, chosen + 1, f"best for maps: layer {chosen + 1}")
        setting(ax, other + 1, f"compared with it: layer {other + 1}", color="0.65")
    layer_axis(lower, at_layer["layer"])
    shared_legend(fig, (upper, lower), 3)
    return fig


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
