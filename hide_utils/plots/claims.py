"""Finding cards as a forest: paired differences with their intervals and the margin that matters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from hide_utils.findings import MARGINS, Finding
from hide_utils.looks import NEUTRAL, PALETTE, Look
from hide_utils.plots.dots import dot_rows
from hide_utils.plots.marks import level
from hide_utils.plots.style import PAGE_WIDTH, new_figure, plain_text

_AXES = {"points": "difference in accuracy, points"}  # unit -> what its axis says; others are differences in the unit


def findings_forest(
    cards: Sequence[Finding],
    labels: Mapping[str, str] | None = None,
    *,
    parts: Mapping[str, Mapping[str, Finding]] | None = None,
    width: float = 0.8 * PAGE_WIDTH,
) -> Figure:
    """A line for each card: its difference, 95 % interval and n. The band is the margin within which none matters.

    Args:
        cards: with finite numbers. Those of each unit share a panel.
        labels: claim -> what its line is called. Without one it is the claim's name.
        parts: claim -> the same of parts of its samples, by the name of the part, drawn in grey under it.
        width: of the figure, in inches.
    """
    units = list(dict.fromkeys(card.unit for card in cards))
    groups = [_lines([card for card in cards if card.unit == unit], labels or {}, parts or {}) for unit in units]
    sizes = [len(group) for group in groups]
    height = 0.24 * sum(sizes) + 0.62 * len(units) + 0.3
    options: dict[str, Any] = {"height_ratios": sizes, "squeeze": False}
    fig, axes = new_figure(len(units), 1, width=width, height=height, **options)
    for ax, unit, group in zip(axes[:, 0], units, groups, strict=True):
        margin = MARGINS[unit]
        ax.axvspan(-margin, margin, color="0.92", linewidth=0, zorder=-1)
        level(ax, 0, color=NEUTRAL)
        table = pd.DataFrame([(name, one.estimate, one.low, one.high) for name, _, one, _ in group])
        table = table.set_axis(["claim", "estimate", "low", "high"], axis=1)
        looks = {name: Look("", "0.55" if grey else PALETTE[0]) for name, _, _, grey in group}
        dot_rows(ax, table, "claim", rows={name: label for name, label, *_ in group}, looks=looks, capsize=2)
        form = "{:+.1f}" if unit == "points" else "{:+.2f}"
        for y, ((*_, card, grey), text) in enumerate(zip(group, ax.get_yticklabels(), strict=True)):
            text.set_color("0.5" if grey else "black")
            said = f"{form.format(card.estimate).replace('-', '−')}   n = {card.n}"
            ax.annotate(said, (1, y), (4, 0), ("axes fraction", "data"), "offset points", fontsize=7, va="center")
        ax.locator_params(axis="x", nbins=7)
        ax.set_xlabel(_AXES.get(unit, f"difference in {unit}"))
    return fig


def _lines(
    cards: Sequence[Finding], labels: Mapping[str, str], parts: Mapping[str, Mapping[str, Finding]]
) -> list[tuple[str, str, Finding, bool]]:
    """Every line of a panel: its name, its label, what it shows, and whether it is a part of the card above."""
    lines = []
    for card in cards:
        lines.append((card.claim, labels.get(card.claim, card.claim), card, False))
        lines += [
            (f"{card.claim} {name}", plain_text(name), one, True) for name, one in parts.get(card.claim, {}).items()
        ]
    return lines
