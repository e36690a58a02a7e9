"""The figures of the miniature's card: difficulty, attention by layer, and accuracy over the scenes' settings."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
from matplotlib.figure import Figure

from hide_utils.baselines import LOOKS
from hide_utils.looks import PALETTE, Look
from hide_utils.mini.measure import PARTS as WORDS
from hide_utils.mini.measure import TARGETS
from hide_utils.plots import style
from hide_utils.plots.curves import PERCENT, bands, ticks_at
from hide_utils.plots.dots import ACCURACY
from hide_utils.plots.layers import layer_axis

PARTS = (*WORDS, "instruction")
_PARTS = {part: Look(part, color, marker) for part, color, marker in zip(PARTS, PALETTE, "osD^v", strict=False)}
_AXES = {
    "resolution": "side of the picture in pixels",
    "similar": "similar objects per 65 536 px",
    "unnamed": "unnamed objects per 65 536 px",
}


def attention_figure(table: pd.DataFrame) -> Figure:
    """Concentration of attention over layers, a line for each part of the search line, on a logarithmic axis.

    Args:
        table: ``attention.csv``.
    """
    fig, ax = style.new_figure(width=style.PAGE_WIDTH, height=2.8)
    for part, look in _PARTS.items():
        rows = table[table["part"] == part]
        ax.plot(rows["layer"] + 1, rows["concentration"], color=look.color, marker=look.marker, ms=4, label=look.label)
    ax.axhline(1, color="0.3", linewidth=0.8, linestyle=":")
    ax.set_yscale("log")
    ticks = [0.5, 1, 2, 5, 10, 20, 50]
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    ax.set_ylabel("times flat, in the true boxes")
    layer_axis(ax, table["layer"].unique())
    ax.set_xlabel(f"decoder layer, counted from 1 (test split, {table['n'].min()} tokens a part or more)")
    style.legend_above(ax, columns=len(PARTS))
    return fig


def difficulty_figure(table: pd.DataFrame) -> Figure:
    """Accuracy of direct answers over resolution, a line for each density of unnamed objects, and the targets.

    Args:
        table: ``difficulty.csv``.
    """
    fig, ax = style.new_figure(width=style.PAGE_WIDTH, height=2.8)
    bands(ax, table.assign(line=table["unnamed"].map("{} unnamed per 65 536 px".format)), "resolution", "line",
          values=ACCURACY, markers="os")  # fmt: skip
    for name, target in TARGETS.items():
        ax.axhline(target, color="0.3", linewidth=0.8, linestyle=":")
        ax.annotate(name, (1, target), xycoords=("axes fraction", "data"), xytext=(3, 0), textcoords="offset points",
                    va="center", fontsize=7)  # fmt: skip
    ticks_at(ax, sorted(table["resolution"].unique()))
    ax.set_xlabel(f"{_AXES['resolution']} (calibration split, n = {table['n'].min()} a point)")
    ax.set_ylabel("direct accuracy")
    ax.yaxis.set_major_formatter(PERCENT)
    style.legend_above(ax, columns=2)
    return fig


def accuracy_figure(table: pd.DataFrame) -> Figure:
    """Accuracy over each setting of the scenes, a panel a setting and a line a method, with Wilson intervals.

    Args:
        table: ``accuracy.csv``.
    """
    fig, axes = style.new_figure(1, len(_AXES), width=style.PAGE_WIDTH, height=2.6, sharey=True)
    for ax, (setting, label) in zip(axes, _AXES.items(), strict=True):
        rows = table[table["setting"] == setting]
        bands(ax, rows, "value", "method", looks=LOOKS, values=ACCURACY)
        ticks_at(ax, sorted(rows["value"].unique()))
        ax.set_xlabel(label)
        ax.yaxis.set_major_formatter(PERCENT)
    axes[0].set_ylabel(f"accuracy (n = {table['n'].min()} a point)")
    style.shared_legend(fig, axes, columns=4)
    return fig


FIGURES: dict[str, Callable[[pd.DataFrame], Figure]] = {
    "attention": attention_figure,
    "difficulty": difficulty_figure,
    "accuracy": accuracy_figure,
}
