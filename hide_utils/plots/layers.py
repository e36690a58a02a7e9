"""Figures over decoder layers. Axes count layers from 1, as the paper does; tables and code count from 0."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hide_utils.method.session import SearchAttention
from hide_utils.plots.style import (
    MAP_COLORS,
    METHOD_COLORS,
    METHOD_LABELS,
    PAGE_WIDTH,
    PALETTE,
    TRUTH_COLOR,
    draw_boxes,
    new_figure,
    overlay,
)
from hide_utils.samples import Sample

TOKEN_COLORS = {"entity": PALETTE[0], "instruction": PALETTE[1]}
TOKEN_LABELS = {"entity": "entity tokens", "instruction": "instruction tokens"}
SPLIT_COLORS = {"calibration": PALETTE[5], "test": PALETTE[0]}
LAYER_AXIS = "decoder layer, counted from 1"
MARK_STYLES = ("v", "d", "s", "P")


def _layer_axis(ax: Axes, layers: Sequence[int]) -> None:
    ax.set_xlim(min(layers) + 0.7, max(layers) + 1.3)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=14, integer=True))


def band(ax: Axes, table: pd.DataFrame, *, color: str, label: str, x: str = "layer", shift: float = 1) -> None:
    """A line with markers over the band from `low` to `high`; `shift` turns a layer counted from 0 into the axis'."""
    at = table[x] + shift
    ax.plot(at, table["estimate"], color=color, marker="o", markersize=3, linewidth=1.2, label=label)
    ax.fill_between(at, table["low"], table["high"], color=color, alpha=0.18, linewidth=0)


def layer_curves(
    ax: Axes, summary: pd.DataFrame, ylabel: str, *, flat: float | None = None, below: float | None = 0
) -> None:
    """Both groups of tokens over the layers, from `layer_summary`; `flat`: what a flat map would have."""
    for tokens, part in summary.groupby("tokens", sort=False):
        band(ax, part, color=TOKEN_COLORS[tokens], label=TOKEN_LABELS[tokens])
    if flat is not None:
        ax.axhline(flat, color="0.3", linestyle=":", linewidth=0.8, label="flat map")
    ax.set(ylabel=ylabel)
    ax.set_ylim(bottom=below)
    _layer_axis(ax, summary["layer"].tolist())


def published_marks(ax: Axes, peaks: pd.DataFrame, n_layers: int, *, named: bool = True) -> None:
    """The paper's layer peaks at their relative depth in a model of `n_layers` layers: reference marks, not measured.

    peaks: from `published_peaks`. named: give them legend entries.
    """
    for style, peak in zip(MARK_STYLES, peaks.itertuples(), strict=False):
        at = peak.depth * n_layers
        label = f"published: {peak.model}, {peak.layer} of {peak.n_layers}"
        ax.axvline(at, color="0.55", linewidth=0.7, linestyle=(0, (4, 3)), zorder=0)
        ax.plot(
            at,
            1,
            transform=ax.get_xaxis_transform(),
            marker=style,
            markersize=5,
            color="0.45",
            linestyle="none",
            clip_on=False,
            label=label if named else None,
        )


def shared_legend(fig: Figure, axes: Iterable[Axes], columns: int = 2) -> None:
    """One legend above all panels, each label once."""
    entries: dict[str, Any] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    fig.legend(
        list(entries.values()),
        list(entries),
        loc="outside upper center",
        ncols=columns,
        columnspacing=1.5,
        handlelength=1.6,
    )


def map_grid(
    found: SearchAttention, sample: Sample, sigma: float, *, chosen: int | None = None, per_row: int = 7
) -> Figure:
    """Maps of one sample at every captured layer: entity tokens raw, instruction tokens raw, entity tokens purified.

    Raw maps are means over the tokens in units of a flat map with as much attention, all on one scale that ends at the
    99.9th percentile of them all; purified maps are means over the tokens on a scale from 0 to 1. Boxes: ground truth.
    """
    raw = [np.stack([_in_flat_units(maps.mean(0)) for maps in rows]) for rows in (found.semantic, found.noise)]
    top = float(np.quantile(np.concatenate(raw), 0.999))
    pure = np.stack([found.maps(layer, sigma).mean(0) for layer in found.layers])
    kinds = (("entity,\nraw", raw[0], top), ("instruction,\nraw", raw[1], top), ("entity,\npurified", pure, 1.0))
    columns = min(per_row, len(found.layers))
    blocks = -(-len(found.layers) // columns)
    height = blocks * (3 * PAGE_WIDTH / (columns + 1.8) + 0.2) + 0.3
    fig, axes = new_figure(3 * blocks, columns + 1, width=PAGE_WIDTH, height=height, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    overlay(axes[0, 0], image := sample.image, title="picture")
    draw_boxes(axes[0, 0], sample.boxes_xyxy, color=TRUTH_COLOR)
    for number, layer in enumerate(found.layers):
        block, column = divmod(number, columns)
        panels = axes[3 * block : 3 * block + 3, column + 1]
        for ax, (name, maps, vmax) in zip(panels, kinds, strict=True):
            _show_map(ax, maps[number], image.size, vmax, name if column == 0 else "")
            draw_boxes(ax, sample.boxes_xyxy, color=TRUTH_COLOR)
        title = f"layer {layer + 1}" + ("\n(chosen)" if layer == chosen else "")
        panels[0].set_title(title, fontweight="bold" if layer == chosen else "normal")
    for line, label in ((0, "times a flat map"), (2, "purified")):
        shared = axes[line : line + 2 - line // 2, -1].tolist()
        drawn = axes[line, 1].images[0]
        fig.colorbar(drawn, ax=shared, label=label, extend="neither" if line else "max", aspect=24 - 6 * line)
    return fig


def _show_map(ax: Axes, map_hw: np.ndarray, image_size_wh: tuple[int, int], vmax: float, label: str) -> None:
    """A map alone, in pixel coordinates of its picture."""
    width, height = image_size_wh
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    ax.imshow(map_hw, cmap=MAP_COLORS, vmin=0, vmax=vmax, extent=extent, interpolation="nearest")
    ax.set_axis_on()
    ax.set(xticks=[], yticks=[], ylabel=label)
    ax.spines[:].set_visible(False)


def _in_flat_units(map_hw: np.ndarray) -> np.ndarray:
    mean = map_hw.mean()
    return map_hw / mean if mean > 0 else map_hw


def split_curves(ax: Axes, summaries: dict[str, pd.DataFrame], layer: int, ylabel: str) -> None:
    """The entity tokens' summary of each split over the layers, and the layer (counted from 0) that was chosen."""
    for split, summary in summaries.items():
        part = summary[summary["tokens"] == "entity"]
        band(ax, part, color=SPLIT_COLORS[split], label=f"{split} split (n = {part['n'].max()})")
    ax.axvline(layer + 1, color=PALETTE[3], linewidth=0.9, label=f"chosen on calibration: layer {layer + 1}")
    ax.set(xlabel=LAYER_AXIS, ylabel=ylabel)
    ax.set_ylim(bottom=0)
    _layer_axis(ax, part["layer"].tolist())
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0))


def size_curves(axes: Sequence[Axes], by_size: pd.DataFrame, best: float, measure: str) -> None:
    """What fewer calibration samples would choose, from `choices_by_size`: how often the same, and how good on test.

    best: the test score of the layer that is best in hindsight.
    """
    axes[0].plot(by_size["n"], by_size["same"], color=SPLIT_COLORS["calibration"], marker="o", markersize=3)
    axes[0].set(ylabel="draws that choose\nthe same layer", ylim=(0, 1.04))
    band(axes[1], by_size, color=SPLIT_COLORS["test"], label="chosen: mean, 95 % of draws", x="n", shift=0)
    axes[1].axhline(best, color="0.3", linestyle=":", linewidth=0.8, label="best layer in hindsight")
    axes[1].set(ylabel=f"{measure}\non the test split", xlabel="calibration samples", xscale="log")
    axes[1].set_ylim(bottom=0)
    axes[1].set_xticks(by_size["n"], by_size["n"].astype(str))
    axes[1].minorticks_off()
    axes[1].legend(loc="lower right")


def answer_curve(ax: Axes, table: pd.DataFrame, *, chosen: int, chance: float) -> None:
    """Accuracy of HiDe at each layer with Wilson intervals, between direct answering and the true boxes.

    table: columns method, layer (NaN for the two references), accuracy, low, high.
    """
    at_layer = table.dropna(subset="layer").rename(columns={"accuracy": "estimate"}).sort_values("layer")
    errors = np.abs([at_layer["estimate"] - at_layer["low"], at_layer["high"] - at_layer["estimate"]])
    ax.errorbar(
        at_layer["layer"] + 1,
        at_layer["estimate"],
        errors,
        color=METHOD_COLORS["hide"],
        marker="o",
        markersize=3,
        linewidth=1.2,
        elinewidth=0.8,
        capsize=2,
        label=f"{METHOD_LABELS['hide']} at each layer",
    )
    for row in table[table["layer"].isna()].itertuples():
        color = METHOD_COLORS[row.method]
        ax.axhline(row.accuracy, color=color, linewidth=1.2, linestyle="--", label=METHOD_LABELS[row.method])
        ax.axhspan(row.low, row.high, color=color, alpha=0.12, linewidth=0)
    ax.axhline(chance, color="0.3", linestyle=":", linewidth=0.8, label="chance")
    ax.axvline(chosen + 1, color="0.3", linewidth=0.7, label=f"chosen: layer {chosen + 1}")
    ax.set(xlabel=LAYER_AXIS, ylabel="accuracy", ylim=(0, 1))
    _layer_axis(ax, at_layer["layer"].astype(int).tolist())
    ax.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
