"""Values over two settings at once, as colored grids."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hide_utils.plots.style import BOX_COLOR, PAGE_WIDTH, new_figure

SETTING_COLORS = "viridis"


def setting_maps(
    means: pd.DataFrame, measures: Mapping[str, str], shipped: tuple[int, float, float], *, per_row: int = 6
) -> Figure:
    """Maps over σ (upwards) and α (to the right), a panel for each layer and a block of rows for each measure.

    Each measure has a scale of its own. The shipped setting is outlined, the best of each measure has a cross.

    Args:
        means: columns layer (counted from 0), sigma, alpha and the measures.
        measures: column -> label of its scale.
        shipped: layer, sigma and alpha in use; outlined where they are on the grid.
        per_row: panels side by side at most.
    """
    layers = sorted(means["layer"].unique())
    columns, blocks = min(per_row, len(layers)), -(-len(layers) // per_row)
    side = min(PAGE_WIDTH / (columns + 0.9), 1.8)
    height = 0.7 + len(measures) * blocks * (0.86 * side + 0.12)
    shared: dict[str, Any] = {"squeeze": False, "sharex": True, "sharey": True}
    fig, axes = new_figure(len(measures) * blocks, columns, width=PAGE_WIDTH, height=height, **shared)
    for number, (measure, label) in enumerate(measures.items()):
        block = axes[number * blocks : (number + 1) * blocks]
        scale = {"vmin": means[measure].min(), "vmax": means[measure].max()}
        best = means.loc[means[measure].idxmax(), ["layer", "sigma", "alpha"]]
        for ax in block.flat[len(layers) :]:
            ax.set_visible(False)
        for ax, layer in zip(block.flat, layers, strict=False):
            grid = means[means["layer"] == layer].pivot(index="sigma", columns="alpha", values=measure)
            drawn = ax.imshow(grid, cmap=SETTING_COLORS, **scale, origin="lower", aspect="auto")
            ax.set_xticks(range(len(grid.columns)), [f"{v:g}".removeprefix("0") for v in grid.columns])
            ax.set_yticks(range(len(grid.index)), [f"{v:g}" for v in grid.index])
            if number == 0:
                ax.set_title(f"layer {layer + 1}")
            if layer == best["layer"]:
                ax.plot(*_place(grid, *best[1:]), "x", color=BOX_COLOR, markersize=6, markeredgewidth=1.4)
            if layer == shipped[0] and shipped[1] in grid.index and shipped[2] in grid.columns:
                _outline(ax, *_place(grid, *shipped[1:]))
        fig.colorbar(drawn, ax=block.ravel().tolist(), label=label, aspect=14 * blocks, pad=0.01)
    for ax in axes[:, 0]:
        ax.set_ylabel("σ in grid cells")
    for ax in axes[-1]:
        ax.set_xlabel("α")
    return fig


def _place(grid: pd.DataFrame, sigma: float, alpha: float) -> tuple[int, int]:
    return grid.columns.get_loc(alpha), grid.index.get_loc(sigma)


def _outline(ax: Axes, x: int, y: int) -> None:
    """A cell's outline in two tones, which shows on light and on dark."""
    for color, width in (("white", 2.6), ("black", 1.2)):
        ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, edgecolor=color, linewidth=width))


def regret_matrix(ax: Axes, table: pd.DataFrame) -> None:
    """Regret of settings chosen on one domain (lines) and used on another (columns), each cell with its interval.

    Args:
        ax: panel to draw in.
        table: columns chosen_on, used_on, regret, low and high, a row a cell.
    """
    names, lines = (list(dict.fromkeys(table[column])) for column in ("used_on", "chosen_on"))
    grid = table.pivot(index="chosen_on", columns="used_on", values="regret").loc[lines, names]
    reach = 1.5 * max(float(np.abs(grid.to_numpy()).max()), 1e-9)  # pale enough for the numbers to be read
    ax.imshow(grid, cmap="PuOr_r", vmin=-reach, vmax=reach, aspect="auto")
    for row in table.itertuples():
        said = f"{row.regret:+.3f}\n{row.low:+.3f} to\n{row.high:+.3f}"
        if row.chosen_on == row.used_on:
            said = "0"  # by definition
        ax.text(names.index(row.used_on), lines.index(row.chosen_on), said, ha="center", va="center", fontsize=5.5)
    ax.set_xticks(range(len(names)), [textwrap.fill(name, 11, break_long_words=False) for name in names])
    ax.set_yticks(range(len(lines)), [textwrap.fill(name, 16) for name in lines])
    ax.tick_params(length=0)
    ax.set(xlabel="used on", ylabel="chosen on")
    ax.spines[:].set_visible(False)
