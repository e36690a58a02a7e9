"""Figures of the study of decoupled training: what the arms see, how they learn, where they end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from PIL import Image

from hide_utils.method.lpd import Region
from hide_utils.plots.style import PALETTE, TRUTH_COLOR, draw_boxes, overlay

ARM_COLORS = {"start": "0.35", "ordinary": PALETTE[0], "decoupled": PALETTE[1], "mixed": PALETTE[2]}
ARM_MARKERS = {"start": "D", "ordinary": "o", "decoupled": "s", "mixed": "^"}


def lesson_pair(axes: Sequence[Axes], image: Image.Image, compact: Image.Image, boxes: Iterable[Region]) -> None:
    """One training scene as the two arms see it: the whole picture with the true boxes, and the compact one."""
    overlay(axes[0], image, title=f"ordinary: {image.width} × {image.height} px")
    draw_boxes(axes[0], boxes, color=TRUTH_COLOR)
    overlay(axes[1], compact, title=f"decoupled: {compact.width} × {compact.height} px")


def learning_curves(axes: Mapping[str, Axes], log: pd.DataFrame, window: int = 5) -> None:
    """A measure of the training log over the steps for each arm: mean over seeds, band from the lowest to the highest.

    axes: column of the log -> its panel. window: steps of the running mean, which a single batch is too noisy without.
    """
    for name, ax in axes.items():
        for arm in dict.fromkeys(log["arm"]):
            wide = log[log["arm"] == arm].pivot(index="step", columns="seed", values=name)
            smooth = wide.rolling(window, min_periods=1, center=True).mean()
            ax.plot(smooth.index, smooth.mean(axis=1), color=ARM_COLORS[arm], linewidth=1.2, label=arm)
            band = {"color": ARM_COLORS[arm], "alpha": 0.15, "linewidth": 0}
            ax.fill_between(smooth.index, smooth.min(axis=1), smooth.max(axis=1), **band)
        ax.set(xlabel="step")


def arm_dots(ax: Axes, table: pd.DataFrame, seeds: Mapping[tuple[str, str], Sequence[float]]) -> None:
    """Accuracy of every arm with its interval, a group for each outcome; small dots are the single seeds.

    table: columns outcome, arm, accuracy, low, high. seeds: (outcome, arm) -> accuracies.
    """
    outcomes, arms = list(dict.fromkeys(table["outcome"])), list(dict.fromkeys(table["arm"]))
    for number, arm in enumerate(arms):
        part = table[table["arm"] == arm]
        y = np.array([outcomes.index(o) for o in part["outcome"]]) + (number - (len(arms) - 1) / 2) * 0.19
        error = np.abs([part["accuracy"] - part["low"], part["high"] - part["accuracy"]])
        look = {
            "color": ARM_COLORS[arm],
            "fmt": ARM_MARKERS[arm],
            "markersize": 4.5,
            "elinewidth": 0.9,
            "capsize": 1.5,
        }
        ax.errorbar(part["accuracy"], y, xerr=error, label=arm, **look)
        for place, outcome in zip(y, part["outcome"], strict=True):
            each = seeds[outcome, arm]
            if len(each) > 1:
                ax.plot(each, [place + 0.075] * len(each), ".", color=ARM_COLORS[arm], markersize=2.5)
    _rows(ax, [o.replace(", ", ",\n") for o in outcomes])


def arm_differences(ax: Axes, table: pd.DataFrame, margin: float) -> None:
    """Paired differences with their intervals, a line for each pair of arms under each outcome, and minus the margin.

    table: columns outcome, arm, against, difference, low, high.
    """
    outcomes = list(dict.fromkeys(table["outcome"]))
    pairs = list(dict.fromkeys(zip(table["arm"], table["against"], strict=True)))
    for number, (outcome, marker) in enumerate(zip(outcomes, "os^D", strict=False)):
        part = table[table["outcome"] == outcome]
        y = [pairs.index((r.arm, r.against)) + (number - (len(outcomes) - 1) / 2) * 0.25 for r in part.itertuples()]
        error = np.abs([part["difference"] - part["low"], part["high"] - part["difference"]])
        look = {"color": PALETTE[(3, 4, 7)[number % 3]], "markersize": 4, "elinewidth": 0.9, "capsize": 1.5}
        ax.errorbar(part["difference"], y, xerr=error, fmt=marker, label=outcome, **look)
    ax.axvline(0, color="0.3", linewidth=0.7)
    ax.axvline(-margin, color="0.3", linewidth=0.9, linestyle=":", label=f"margin of non-inferiority, {-margin:+.0%}")
    _rows(ax, [f"{arm}\nagainst {against}" for arm, against in pairs])


def _rows(ax: Axes, labels: Sequence[str]) -> None:
    """One labelled row each, from top to bottom, with thin lines between them."""
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    for line in range(1, len(labels)):
        ax.axhline(line - 0.5, color="0.85", linewidth=0.6)
