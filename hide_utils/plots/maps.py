"""Grids of maps beside their picture: of every token, of every layer; and the cells that all tokens look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from hide_utils.looks import NO_LOOKS, PALETTE, Looks, look_of
from hide_utils.plots.curves import PERCENT
from hide_utils.plots.dots import dot_rows
from hide_utils.plots.marks import level
from hide_utils.plots.pictures import Map, draw_boxes, overlay, show_map, without_ticks
from hide_utils.plots.style import PAGE_WIDTH, TRUTH_COLOR, legend_above, new_figure, plain_text

RING = 0.025  # of the picture's longer side: how far outside a true box its outline is drawn, so that its cells show

Box = Sequence[float]
Maps = Float[np.ndarray, "maps h w"]


def rings(ax: Axes, boxes: Iterable[Box], image_size_wh: tuple[int, int]) -> None:
    """Outlines a little outside true boxes, within the picture, so that the cells in a box stay visible."""
    width, height = image_size_wh
    gap = RING * max(width, height)
    draw_boxes(ax, [(x0 - gap, y0 - gap, x1 + gap, y1 + gap) for x0, y0, x1, y1 in boxes], color=TRUTH_COLOR)
    ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def token_maps(
    picture: Image.Image,
    truth: Sequence[Box],
    sections: Mapping[str, tuple[Iterable[str], Iterable[Map]]],
    per_row: int = 8,
    picture_in_all: bool = False,
) -> Figure:
    """The picture and every given map, section by section, all on one scale from 0 to 1.

    Args:
        picture: stands first in the first section.
        truth: true boxes, outlined in every panel, pixel xyxy.
        sections: name -> titles and maps (h, w) in [0, 1]. A section begins a row, and goes on in the next.
        per_row: panels in a row.
        picture_in_all: the picture stands first in every section.
    """
    lines = []
    for number, (name, (titles, maps)) in enumerate(sections.items()):
        panels = [("picture", None), *zip(titles, maps, strict=True)][number > 0 and not picture_in_all :]
        starts = range(0, len(panels), per_row)
        lines += [(name if not start else "", panels[start : start + per_row]) for start in starts]
    tallness = np.clip(picture.height / picture.width, 0.4, 1.6)  # of a panel, such that the page stays readable
    height = len(lines) * (tallness * PAGE_WIDTH / (per_row + 1.2) + 0.17) + 0.2
    fig, axes = new_figure(len(lines), per_row, width=PAGE_WIDTH, height=height, squeeze=False)
    for line, (name, panels) in zip(axes, lines, strict=True):
        for ax in line[len(panels) :]:
            ax.set_axis_off()
        line[0].set_ylabel(name, fontsize=7)
        for ax, (title, map_hw) in zip(line, panels, strict=False):
            if map_hw is None:
                ax.imshow(picture)
                without_ticks(ax)
            else:
                drawn = show_map(ax, map_hw, picture.size)
            ax.set_title(plain_text(title, 128 // per_row), fontsize=7, pad=2)
            rings(ax, truth, picture.size)
    fig.colorbar(drawn, ax=axes[:, -1].tolist(), label="scaled to [0, 1]", aspect=30, shrink=0.6, pad=0.12)
    return fig


def layer_maps(
    picture: Image.Image,
    truth: Sequence[Box],
    layers: Sequence[int],
    raw: Mapping[str, Maps],
    purified: Mapping[str, Maps],
    *,
    chosen: int | None = None,
    per_row: int = 7,
) -> Figure:
    """Maps of one picture at every layer, a line for each kind of map.

    Raw maps share a scale that ends at the 99.9th percentile of them all. Purified maps have one from 0 to 1.

    Args:
        picture: shown at the upper left.
        truth: true boxes, outlined in every panel, pixel xyxy.
        layers: of the maps, counted from 0.
        raw: name -> maps (layers, h, w) in units of a flat map, for the upper lines.
        purified: name -> maps (layers, h, w) in [0, 1], for the lower lines.
        chosen: the layer that is marked.
        per_row: layers side by side.
    """
    top = float(np.quantile(np.concatenate(list(raw.values())), 0.999))
    kinds = [(name, maps, top) for name, maps in raw.items()] + [(name, maps, 1.0) for name, maps in purified.items()]
    n, columns = len(kinds), min(per_row, len(layers))
    blocks = -(-len(layers) // columns)
    height = blocks * (n * PAGE_WIDTH / (columns + 1.8) + 0.2) + 0.3
    fig, axes = new_figure(n * blocks, columns + 1, width=PAGE_WIDTH, height=height, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    overlay(axes[0, 0], picture, title="picture")
    rings(axes[0, 0], truth, picture.size)
    for number, layer in enumerate(layers):
        block, column = divmod(number, columns)
        for ax, (name, maps, vmax) in zip(axes[n * block : n * (block + 1), column + 1], kinds, strict=True):
            ax.set_axis_on()
            show_map(ax, maps[number], picture.size, vmax)
            ax.set_ylabel(name if column == 0 else "")
            rings(ax, truth, picture.size)
        title = f"layer {layer + 1}" + ("\n(chosen)" if layer == chosen else "")
        axes[n * block, column + 1].set_title(title, fontweight="bold" if layer == chosen else "normal")
    bars = ((0, len(raw), "times a flat map", "max", 24), (len(raw), n, "purified", "neither", 18))
    for first, last, label, extend, aspect in bars:
        shared, drawn = axes[first:last, -1].tolist(), axes[first, 1].images[0]
        fig.colorbar(drawn, ax=shared, label=label, extend=extend, aspect=aspect)
    return fig


def sink_panels(
    picture: Image.Image,
    truth: Sequence[Box],
    cells: Bool[np.ndarray, "h w"],
    masses: pd.DataFrame,
    places: pd.DataFrame,
    flat: float,
    *,
    looks: Looks = NO_LOOKS,
) -> Figure:
    """One picture with marked cells; how much of their attention groups of rows give to such cells; what lies there.

    Args:
        picture: the example.
        truth: its true boxes, pixel xyxy.
        cells: of a grid over the picture, those that are outlined.
        masses: columns group, estimate, low and high: shares of attention.
        places: columns place, cells, estimate, low and high: shares of what lies in a place, a series for each cells.
        flat: share of the attention that a flat map has on such cells.
        looks: of the groups and of the cells.
    """
    options: dict[str, Any] = {"width_ratios": [1, 0.9, 0.9]}
    fig, (left, middle, right) = new_figure(1, 3, width=PAGE_WIDTH, height=2.4, **options)
    overlay(left, picture, title="sinks of one picture")
    side = np.array(picture.size * 2) / np.array(cells.shape[::-1] * 2)
    draw_boxes(left, [(side * (x, y, x + 1, y + 1)).tolist() for y, x in np.argwhere(cells)], color=PALETTE[1])
    rings(left, truth, picture.size)
    groups = {group: look_of(looks, group).label for group in masses["group"]}
    dot_rows(middle, masses, "group", rows=groups, looks=looks, wrap=12, markersize=5, capsize=2)
    level(middle, flat, "flat map")
    dot_rows(right, places, "place", "cells", looks=looks, wrap=12, markersize=5)
    for ax, label in ((middle, "attention on the sinks"), (right, "share of their area")):
        ax.set(xlabel=label, xlim=(0, None))
        ax.xaxis.set_major_formatter(PERCENT)
        legend_above(ax, 2)
    return fig
