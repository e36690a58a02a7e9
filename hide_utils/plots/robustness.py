"""Figures of the open questions: extraction and its errors, tokens that point, gates, settings without labels."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from hide_utils.plots.style import METHOD_COLORS, METHOD_LABELS, PALETTE

EXTRACTOR_COLORS = {"model's prompt": PALETTE[3], "rules": PALETTE[0], "whole question": PALETTE[1]}
ERROR_COLORS = dict(
    zip(
        ("dropped", "distractor", "absent", "attribute", "duplicate", "over-long"),
        (PALETTE[0], PALETTE[1], PALETTE[4], PALETTE[2], PALETTE[5], PALETTE[9]),
        strict=True,
    )
)
SIGNAL_COLORS = {"margin": PALETTE[9], "maps": PALETTE[1], "both": PALETTE[0]}
SIGNAL_LABELS = {"margin": "gate: margin", "maps": "gate: maps", "both": "gate: both"}
MARKERS = "osD^vP"


def dots(
    ax: Axes,
    table: pd.DataFrame,
    row: str,
    series: str,
    colors: Mapping[str, str],
    values: Sequence[str] = ("estimate", "low", "high"),
    spread: float = 0.6,
) -> None:
    """Estimates with their intervals: a line for each value of `row`, from top to bottom, a color for each `series`.

    A missing estimate is left out. Labels of lines are wrapped at 22 characters.
    """
    names, lines = list(dict.fromkeys(table[series])), list(dict.fromkeys(table[row]))
    for number, name in enumerate(names):
        part = table[table[series] == name].set_index(row).reindex(lines)
        estimate, low, high = (part[column].to_numpy(float) for column in values)
        ax.errorbar(
            estimate,
            np.arange(len(lines)) + (number - (len(names) - 1) / 2) * spread / max(len(names), 2),
            xerr=np.abs([estimate - low, high - estimate]),
            fmt=MARKERS[number % len(MARKERS)],
            color=colors.get(name, "0.3"),
            markersize=3.2,
            elinewidth=0.9,
            capsize=1.3,
            label=name,
        )
    ax.set_yticks(range(len(lines)), [textwrap.fill(str(line), 22) for line in lines])
    ax.set_ylim(len(lines) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    for line in np.arange(len(lines) - 1) + 0.5:
        ax.axhline(line, color="0.9", linewidth=0.6, zorder=0)


def error_curves(ax: Axes, table: pd.DataFrame, measure: str) -> None:
    """A measure over the rate of corrupted entities, a line for each kind of error, with bars a little beside each other.

    table: columns corruption, rate, measure and `measure`'s estimate, low, high.
    """
    part = table[table["measure"] == measure]
    kinds = list(dict.fromkeys(part["corruption"]))
    for number, kind in enumerate(kinds):
        line, color = part[part["corruption"] == kind].sort_values("rate"), ERROR_COLORS.get(kind, "0.3")
        shift = 0.014 * (number - (len(kinds) - 1) / 2)
        reach = np.abs([line["estimate"] - line["low"], line["high"] - line["estimate"]])
        look: dict[str, Any] = {"color": color, "markersize": 2.6, "linewidth": 1.1, "elinewidth": 0.5, "label": kind}
        ax.errorbar(line["rate"] + shift, line["estimate"], yerr=reach, fmt="o-", **look)


def own_errors(ax: Axes, points: pd.DataFrame, colors: Mapping[str, str]) -> None:
    """Extractors at their own rate of errors, with intervals both ways; columns extractor, rate(_low, _high), ..."""
    for marker, row in zip("*Xd", points.to_dict("records"), strict=False):
        reach: dict[str, Any] = {
            "xerr": np.abs([[row["rate"] - row["rate_low"]], [row["rate_high"] - row["rate"]]]),
            "yerr": np.abs([[row["estimate"] - row["low"]], [row["high"] - row["estimate"]]]),
        }
        color = colors.get(row["extractor"], "0.1")
        ax.errorbar(
            row["rate"], row["estimate"], fmt=marker, color=color, markersize=6.5, markeredgecolor="black",
            markeredgewidth=0.5, elinewidth=0.8, capsize=1.5, label=row["extractor"], zorder=5, **reach,
        )  # fmt: skip


def token_bars(ax: Axes, table: pd.DataFrame, least: float, most: int = 24) -> None:
    """Mean score of each token, colored by the share that is read; dashed: the threshold, 0: the instruction."""
    part = table.head(most)
    at = np.arange(len(part))
    ax.hlines(at, 0, part["score"], color="0.75", linewidth=1.0)
    shown = ax.scatter(
        part["score"], at, c=part["kept"], cmap="viridis", vmin=0, vmax=1, s=16, edgecolor="black", linewidth=0.4,
        zorder=3,
    )  # fmt: skip
    ax.axvline(0, color="0.3", linewidth=0.7)
    ax.axvline(least, color=PALETTE[3], linewidth=0.9, linestyle="--")
    labels = [f"{row.token} ({row.n})" for row in part.itertuples()]
    ax.set_yticks(at, labels)
    ax.tick_params(axis="y", length=0, labelsize=6)
    ax.set_ylim(len(part) - 0.4, -0.6)
    ax.figure.colorbar(shown, ax=ax, label="share that is read", aspect=30, pad=0.02)


def gate_curves(ax: Axes, curves: Mapping[str, pd.DataFrame], summary: pd.DataFrame) -> None:
    """Accuracy against cost for every threshold of each signal, and the chosen ones with their intervals.

    curves: signal -> `gating.curve`. summary: `gating.summary` with the methods direct, hide and the signals.
    """
    for signal, table in curves.items():
        ax.plot(table["times_direct"], table["accuracy"], color=SIGNAL_COLORS[signal], linewidth=1.0, alpha=0.8)
    looks = {"direct": ("s", METHOD_COLORS["direct"], METHOD_LABELS["direct"])}
    looks["hide"] = ("D", METHOD_COLORS["hide"], METHOD_LABELS["hide"])
    looks |= {signal: ("o", color, SIGNAL_LABELS[signal]) for signal, color in SIGNAL_COLORS.items()}
    for row in summary.to_dict("records"):
        marker, color, label = looks[row["method"]]
        reach = np.abs([[row["accuracy"] - row["low"]], [row["high"] - row["accuracy"]]])
        ax.errorbar(
            row["times_direct"], row["accuracy"], yerr=reach, fmt=marker, color=color, markersize=4,
            elinewidth=0.8, capsize=1.5, markeredgecolor="black", markeredgewidth=0.4, label=label,
        )  # fmt: skip


def matrix(ax: Axes, table: pd.DataFrame) -> None:
    """Regret of settings chosen on one domain (rows) and used on another (columns), each cell with its interval."""
    names = list(dict.fromkeys(table["used_on"]))
    lines = list(dict.fromkeys(table["chosen_on"]))
    grid = table.pivot(index="chosen_on", columns="used_on", values="regret").loc[lines, names]
    reach = 1.5 * max(float(np.abs(grid.to_numpy()).max()), 1e-9)  # pale enough for the numbers to be read
    ax.imshow(grid, cmap="PuOr_r", vmin=-reach, vmax=reach, aspect="auto")
    for row in table.to_dict("records"):
        said = f"{row['regret']:+.3f}\n{row['low']:+.3f} to\n{row['high']:+.3f}"
        if row["chosen_on"] == row["used_on"]:
            said = "0"  # by definition
        ax.text(
            names.index(row["used_on"]), lines.index(row["chosen_on"]), said, ha="center", va="center", fontsize=5.5
        )
    ax.set_xticks(range(len(names)), [textwrap.fill(name, 11, break_long_words=False) for name in names])
    ax.set_yticks(range(len(lines)), [textwrap.fill(name, 16) for name in lines])
    ax.tick_params(length=0)
    ax.set(xlabel="used on", ylabel="chosen on")
    for side in ax.spines.values():
        side.set_visible(False)
