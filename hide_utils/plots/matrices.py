"""Values over two settings at once, as colored grids."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hide_utils.plots.style import PAGE_WIDTH, new_figure, shared_legend

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


def difference_matrix(table: pd.DataFrame, label: str = "recall − area") -> Figure:
    """What settings chosen on one domain (lines) lose or gain when used on another (columns), with intervals.

    Args:
        table: columns chosen_on, used_on, difference, low and high, a row a cell; a domain's own setting has 0.
        label: what the differences are of.
    """
    names = list(dict.fromkeys(table["used_on"]))
    grid = table.pivot(index="chosen_on", columns="used_on", values="difference").loc[names, names]
    fig, ax = new_figure(width=0.75 * PAGE_WIDTH, height=0.45 * len(names) + 1.0)
    reach = 2.2 * max(float(np.abs(grid.to_numpy()).max()), 1e-9)  # pale enough for the numbers to be read
    drawn = ax.imshow(grid, cmap="PuOr", vmin=-reach, vmax=reach, aspect="auto")
    for row in table.itertuples():
        own = row.chosen_on == row.used_on
        said = "its own" if own else f"{row.difference:+.3f}\n{row.low:+.3f} to {row.high:+.3f}".replace("-", "−")
        ax.text(names.index(row.used_on), names.index(row.chosen_on), said, ha="center", va="center", fontsize=7)
    ax.set_xticks(range(len(names)), names)
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(length=0)
    ax.set(xlabel="used on", ylabel="chosen on")
    ax.spines[:].set_visible(False)
    fig.colorbar(drawn, ax=ax, label=f"difference in\n{label}", pad=0.02)
    return fig


def choice_scatter(means: pd.DataFrame, measures: Mapping[str, str], value: str, label: str) -> Figure:
    """A value of every setting over measures of it, a panel each, colored by layer; a ring around the highest measure.

    Args:
        means: columns layer (counted from 0), `value` and the measures, a row a setting.
        measures: column -> title of its panel.
        value: the column on the upright axis. Its best setting has a star.
        label: of that axis.
    """
    fig, axes = new_figure(1, len(measures), width=PAGE_WIDTH, height=2.1, squeeze=False, sharey=True)
    star = {"marker": "*", "s": 60, "edgecolors": "black", "linewidths": 0.6, "zorder": 3, "c": "white"}
    for ax, (measure, title) in zip(axes[0], measures.items(), strict=True):
        drawn = ax.scatter(means[measure], means[value], c=means["layer"] + 1, cmap=SETTING_COLORS, s=7, linewidths=0)
        best, chosen = means.loc[means[value].idxmax()], means.loc[means[measure].idxmax()]
        ax.scatter(best[measure], best[value], label="best by true boxes", **star)
        ring = {"s": 55, "facecolors": "none", "edgecolors": "black", "linewidths": 1.2, "zorder": 4}
        ax.scatter(chosen[measure], chosen[value], label="chosen without labels", **ring)
        ax.margins(0.1)
        ax.set_title(title, fontsize=8)
        ax.set_xlabel("mean over pictures")
    axes[0, 0].set_ylabel(label)
    shared_legend(fig, axes[0, :1])
    layers = sorted({*means["layer"] + 1})
    fig.colorbar(drawn, ax=axes[0, -1], label="layer", pad=0.03, ticks=layers[:: max(len(layers) // 4, 1)])
    return fig
