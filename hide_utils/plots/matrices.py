"""Values over two settings at once, as colored grids."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hide_utils.plots.style import PAGE_WIDTH, new_figure

SETTING_COLORS = "viridis"


def setting_maps(
    means: pd.DataFrame, measures: Mapping[str, str], chosen: tuple[float, float], published: tuple[float, float]
) -> Figure:
    """Maps over σ (upwards) and α (to the right), side by side, each with a scale of its own.

    Args:
        means: columns sigma, alpha and the measures, a row a setting.
        measures: column -> label of its scale.
        chosen: sigma and alpha, outlined.
        published: sigma and alpha, with a cross where they are on the grid.
    """
    fig, axes = new_figure(1, len(measures), width=PAGE_WIDTH, height=2.5, squeeze=False, sharey=True)
    for ax, (measure, label) in zip(axes[0], measures.items(), strict=True):
        grid = means.pivot(index="sigma", columns="alpha", values=measure)
        drawn = ax.imshow(grid, cmap=SETTING_COLORS, origin="lower", aspect="auto")
        ax.set_xticks(range(len(grid.columns)), [f"{v:g}".removeprefix("0") for v in grid.columns])
        ax.set_yticks(range(len(grid.index)), [f"{v:g}" for v in grid.index])
        ax.set_xlabel("α")
        _outline(ax, *_place(grid, *chosen))
        if published[0] in grid.index and published[1] in grid.columns:
            at = _place(grid, *published)
            ax.plot(*at, "x", color="white", markersize=7, markeredgewidth=2.6)
            ax.plot(*at, "x", color="black", markersize=6, markeredgewidth=1.2)
        fig.colorbar(drawn, ax=ax, label=label, pad=0.02)
    axes[0, 0].set_ylabel("σ in grid cells")
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
