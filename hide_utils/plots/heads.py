"""Heads as dots: in how few places each looks, and whether these are the right ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from hide_utils.looks import PALETTE
from hide_utils.plots.marks import level
from hide_utils.plots.style import COLUMN_WIDTH, new_figure

PLAIN = FuncFormatter(lambda value, _: f"{value:g}")
RINGS = ((PALETTE[3], 50), (PALETTE[0], 110))  # color and size in square points: two around one dot both show


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
