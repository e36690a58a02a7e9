"""Figures of token-wise decoupling: maps of every token, variants beside each other, priors, sigma, attention sinks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from PIL import Image

from hide_utils.analyses.sinks import GROUPS
from hide_utils.analyses.tokens import PURIFIED, TokenRows
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
    plain_text,
)

GROUP_COLORS = dict(zip(GROUPS, (PALETTE[1], PALETTE[9], PALETTE[0], PALETTE[5]), strict=True))
GROUP_MARKERS = dict(zip(GROUPS, "sdo^", strict=True))
OTHER_COLOR = "0.35"
PERCENT = FuncFormatter(lambda value, _: f"{100 * value:g} %")
RING = 0.025  # of the picture's side: how far outside a true box its outline is drawn, so that its cells stay visible

Map = Float[np.ndarray, "_ _"]


def rings(ax: Axes, case: TokenRows) -> None:
    """Outlines a little outside the case's true boxes."""
    gap = RING * max(case.size_wh)
    boxes = [(x0 - gap, y0 - gap, x1 + gap, y1 + gap) for x0, y0, x1, y1 in case.sample.boxes_xyxy]
    draw_boxes(ax, boxes, color=TRUTH_COLOR)


def show_map(ax: Axes, map_hw: Map, case: TokenRows, title: str = "", vmax: float = 1.0) -> None:
    """A map alone on a scale from 0 to `vmax`, in pixel coordinates of the case's picture, with its rings."""
    width, height = case.size_wh
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    ax.imshow(map_hw, cmap=MAP_COLORS, vmin=0, vmax=vmax, extent=extent, interpolation="nearest")
    ax.set_title(title, fontsize=7, pad=2)
    rings(ax, case)
    # within the picture, however far a ring reaches beyond it
    ax.set(xlim=extent[:2], ylim=extent[2:])


def token_maps(
    case: TokenRows, picture: Image.Image, sections: Mapping[str, tuple[Iterable[str], Iterable[Map]]], per_row: int = 8
) -> Figure:
    """The picture and every given map, section by section, all on one scale from 0 to 1.

    sections: name -> titles and maps `(h, w)` in [0, 1]; a section begins a row, and goes on in the next where it has
    more than `per_row`. The picture stands first in the first section.
    """
    lines = []
    for number, (name, (titles, maps)) in enumerate(sections.items()):
        panels = [("picture", None)] * (number == 0) + list(zip(titles, maps, strict=True))
        lines += [(name if not i else "", row) for i, row in enumerate(_batches(panels, per_row))]
    height = len(lines) * (_tallness(case) * PAGE_WIDTH / (per_row + 1.2) + 0.17) + 0.2
    fig, axes = new_figure(len(lines), per_row, width=PAGE_WIDTH, height=height, squeeze=False)
    for line, (name, panels) in zip(axes, lines, strict=True):
        for ax in line:
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        line[0].set_ylabel(name, fontsize=7)
        for ax, (title, map_hw) in zip(line, panels, strict=False):
            if map_hw is None:
                ax.imshow(picture)
                ax.set_title(title, fontsize=7, pad=2)
                rings(ax, case)
            else:
                show_map(ax, map_hw, case, plain_text(title, 128 // per_row))
        for ax in line[len(panels) :]:
            ax.set_axis_off()
    drawn = next(ax.images[-1] for ax in axes[-1] if ax.images)
    fig.colorbar(drawn, ax=axes[:, -1].tolist(), label="scaled to [0, 1]", aspect=30, shrink=0.6, pad=0.12)
    return fig


def _tallness(case: TokenRows) -> float:
    """Height of a panel over its width, within what leaves the page readable."""
    width, height = case.size_wh
    return float(np.clip(height / width, 0.4, 1.6))


def _batches(items: list, size: int) -> list[list]:
    return [items[i : i + size] for i in range(0, len(items), size)]


def dot_rows(
    ax: Axes,
    table: pd.DataFrame,
    *,
    xlabel: str,
    labels: Mapping[str, str] | None = None,
    flat: float | None = None,
) -> None:
    """A row for each variant: its estimate with the interval, TAD in HiDe's color; `flat`: what a flat map has.

    table: columns variant, estimate, low, high, the first row on top. labels: for variants called something else here.
    """
    for y, row in enumerate(table.itertuples()):
        color = METHOD_COLORS["hide"] if row.variant == PURIFIED else OTHER_COLOR
        errors = np.abs([[row.estimate - row.low], [row.high - row.estimate]])
        ax.errorbar(row.estimate, y, xerr=errors, color=color, marker="o", markersize=3.5, elinewidth=1, capsize=2)
    if flat is not None:
        ax.axvline(flat, color="0.3", linestyle=":", linewidth=0.8, label="flat map")
    names = [(labels or {}).get(variant, variant) for variant in table["variant"]]
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlabel(xlabel)
    ax.grid(axis="y", color="0.92", linewidth=0.6)
    ax.set_axisbelow(True)


def measure_rows(
    summaries: Mapping[str, pd.DataFrame],
    titles: Mapping[str, str],
    *,
    labels: Mapping[str, str] | None = None,
    flat: Mapping[str, float] | None = None,
) -> Figure:
    """`dot_rows` of several measures side by side, the variants' names on the left.

    summaries: measure -> from `paired.summary`, the same variants in each; titles: measure -> name on its axis.
    """
    n = max(len(table) for table in summaries.values())
    fig, axes = new_figure(1, len(titles), width=PAGE_WIDTH, height=0.21 * n + 0.85, sharey=True, squeeze=False)
    for ax, (name, title) in zip(axes[0], titles.items(), strict=True):
        dot_rows(ax, summaries[name], xlabel=title, labels=labels, flat=(flat or {}).get(name))
        top = max(summaries[name]["high"].max(), (flat or {}).get(name, 0))
        ax.set_xlim(min(0, summaries[name]["low"].min()) - 0.03 * top, 1.06 * top)
        ax.locator_params(axis="x", nbins=3)
        ax.tick_params(axis="y", length=0)
    return fig


def reference_bands(ax: Axes, table: pd.DataFrame, *, across: bool = False, chance: float | None = None) -> None:
    """Accuracy of direct answering and of the true boxes with their intervals; `across`: on the y axis.

    table: from `plots.accuracy_table`, of one group.
    """
    line, span = (ax.axhline, ax.axhspan) if across else (ax.axvline, ax.axvspan)
    for row in table.itertuples():
        if row.method in ("direct", "oracle"):
            color = METHOD_COLORS[row.method]
            line(row.accuracy, color=color, linewidth=1.1, linestyle="--", label=METHOD_LABELS[row.method], zorder=0)
            span(row.low, row.high, color=color, alpha=0.13, linewidth=0, zorder=0)
    if chance is not None:
        line(chance, color="0.3", linestyle=":", linewidth=0.8, label="chance", zorder=0)


def answer_rows(
    sections: Mapping[str, pd.DataFrame],
    references: pd.DataFrame,
    *,
    labels: Mapping[str, Mapping[str, str]],
    chance: float,
    width: float,
) -> Figure:
    """Accuracy of the variants of each section (title -> table of `dot_rows`), between the two references.

    labels: section -> names of variants that are called something else there.
    """
    sizes = [len(table) for table in sections.values()]
    fig, axes = new_figure(
        len(sections), 1, width=width, height=0.2 * sum(sizes) + 0.32 * len(sizes) + 0.75, sharex=True,
        gridspec_kw={"height_ratios": sizes}, squeeze=False,
    )  # fmt: skip
    for ax, (title, table) in zip(axes[:, 0], sections.items(), strict=True):
        reference_bands(ax, references, chance=chance)
        dot_rows(ax, table, xlabel="", labels=labels.get(title))
        ax.set_title(title, loc="left", fontsize=7, fontweight="bold", pad=2)
        ax.set_xlim(0, 1)
    axes[-1, 0].set_xlabel("accuracy")
    handles, names = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, names, loc="outside upper center", ncols=3)
    return fig


def sigma_curves(ax: Axes, table: pd.DataFrame, *, ylabel: str) -> None:
    """A measure over sigma with its band, with and without the prior.

    table: columns prior (True or False), sigma, estimate, low, high.
    """
    looks = {True: (METHOD_COLORS["hide"], "prior subtracted (HiDe)"), False: (OTHER_COLOR, "no prior")}
    for prior, part in table.groupby("prior", sort=False):
        color, label = looks[bool(prior)]
        ax.plot(part["sigma"], part["estimate"], color=color, marker="o", markersize=3, linewidth=1.2, label=label)
        ax.fill_between(part["sigma"], part["low"], part["high"], color=color, alpha=0.16, linewidth=0)
    ax.set(ylabel=ylabel)
    ax.set_ylim(bottom=min(0, float(table["low"].min())))


def sigma_marks(ax: Axes, own: float, published: float) -> None:
    """Where the model's own sigma lies, and the paper's: a published setting, not measured here."""
    ax.axvline(own, color="0.3", linewidth=0.7, label=f"the model's own: σ {own:g}", zorder=0)
    label = f"published: σ {published:g} (Qwen2.5-VL-7B)"
    ax.axvline(published, color="0.55", linewidth=0.7, linestyle=(0, (4, 3)), label=label, zorder=0)


def sink_maps(
    case: TokenRows, picture: Image.Image, cells: Bool[np.ndarray, "_ _"], maps: Mapping[str, Map], n: int
) -> Figure:
    """One picture with its sinks, and each group's mean map over `n` pictures, in units of a flat map on one scale."""
    height = _tallness(case) * PAGE_WIDTH / (1.35 + len(maps)) + 0.45
    fig, axes = new_figure(1, 1 + len(maps), width=PAGE_WIDTH, height=height)
    overlay(axes[0], picture, title="one picture's sinks")
    side = np.array([*picture.size, *picture.size]) / np.array([*cells.shape[::-1], *cells.shape[::-1]])
    draw_boxes(
        axes[0],
        [(side * (x, y, x + 1, y + 1)).tolist() for y, x in np.argwhere(cells)],
        color=GROUP_COLORS["instruction"],
    )
    rings(axes[0], case)
    top = float(np.quantile(np.stack(list(maps.values())), 0.998))
    for ax, (group, map_hw) in zip(axes[1:], maps.items(), strict=True):
        drawn = ax.imshow(map_hw, cmap=MAP_COLORS, vmin=0, vmax=top, interpolation="nearest")
        ax.set_title(GROUPS[group])
        ax.set_axis_off()
    fig.colorbar(drawn, ax=axes.tolist(), label=f"times a flat map,\nmean of {n} pictures", extend="max", fraction=0.02)
    return fig


def sink_curves(axes: Iterable[Axes], curve: pd.DataFrame, on_sinks: pd.DataFrame, share: float) -> None:
    """How much of each group's attention its own top cells hold, and how much the sinks do.

    curve: from `sinks.mass_curve`; on_sinks: columns variant (the group), estimate, low, high.
    """
    upper, lower = axes
    for group, part in curve.groupby("group", sort=False):
        color = GROUP_COLORS[group]
        marker, label = GROUP_MARKERS[group], GROUPS[group]
        upper.plot(part["share"], part["estimate"], color=color, marker=marker, markersize=3, label=label)
        upper.fill_between(part["share"], part["low"], part["high"], color=color, alpha=0.16, linewidth=0)
    ends = np.geomspace(curve["share"].min(), 1, 60)
    upper.plot(ends, ends, color="0.3", linestyle=":", linewidth=0.8, label="flat map")
    upper.set(xscale="log", ylim=(0, 1), xlabel="share of the cells, highest first", ylabel="attention they hold")
    upper.xaxis.set_major_formatter(PERCENT)
    upper.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    name = f"attention on the sinks ({100 * share:g} % of the cells)"
    dot_rows(lower, on_sinks, xlabel=name, labels=GROUPS, flat=share)
    for y, group in enumerate(on_sinks["variant"]):
        point, *_ = lower.containers[y]
        point.set(color=GROUP_COLORS[group], marker=GROUP_MARKERS[group], markersize=5)
    lower.set_xlim(left=0)
    lower.xaxis.set_major_formatter(PERCENT)
