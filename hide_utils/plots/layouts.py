"""Figures of the ablations: dots with intervals, maps over settings, pictures of layouts and of failures."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from hide_utils.analyses.layouts import BOXES, SEEN
from hide_utils.edits import layouts
from hide_utils.images import composite_on_white
from hide_utils.method import lpd
from hide_utils.models import Settings
from hide_utils.plots.style import (
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
from hide_utils.samples import Sample

BOX_COLORS = {"true": METHOD_COLORS["oracle"], "tad": METHOD_COLORS["hide"]}
CORRUPTION_COLORS = {"wrong": PALETTE[4], "extra": PALETTE[1], "missing": PALETTE[0]}
MARKERS = {"original": "o", "alone": "s", "half": "^"}
PUBLISHED_MARKERS = ("v", "d", "P", "X")
SETTING_COLORS = "viridis"
PANEL_PIXELS = 420  # pictures are scaled down to this before they go into a figure, which keeps its file small


def dots(
    ax: Axes,
    table: pd.DataFrame,
    rows: Mapping[str, str],
    *,
    row: str = "layout",
    values: Sequence[str] = ("accuracy", "low", "high"),
    spread: float = 0.62,
) -> None:
    """Accuracies (or differences) with their intervals, a line for each of `rows`, from top to bottom.

    Color says whose boxes (`BOX_COLORS`), the marker what the model saw (`MARKERS`; only the original's is filled).

    table: columns `row`, boxes, seen and `values` (estimate, low, high). rows: value of `row` -> its label.
    """
    series = list(dict.fromkeys(zip(table["boxes"], table["seen"], strict=True)))
    step = spread / max(len(series), 2)
    for number, (boxes, seen) in enumerate(series):
        part = table[(table["boxes"] == boxes) & (table["seen"] == seen)].set_index(row).reindex(list(rows))
        estimate, low, high = (part[column].to_numpy(float) for column in values)
        ax.errorbar(
            estimate,
            np.arange(len(rows)) + (number - (len(series) - 1) / 2) * step,
            xerr=np.abs([estimate - low, high - estimate]),
            fmt=MARKERS[seen],
            color=BOX_COLORS[boxes],
            markerfacecolor=BOX_COLORS[boxes] if seen == "original" else "white",
            markersize=4,
            elinewidth=0.9,
            capsize=1.5,
            label=BOXES[boxes] + (f", {SEEN[seen]}" if table["seen"].nunique() > 1 else ""),
        )
    ax.set_yticks(range(len(rows)), list(rows.values()))
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    for line in np.arange(len(rows) - 1) + 0.5:
        ax.axhline(line, color="0.9", linewidth=0.6, zorder=0)


def reference(ax: Axes, estimate: float, low: float, high: float, label: str, color: str) -> None:
    """A method that all lines are compared with: a dashed vertical line on its interval."""
    ax.axvline(estimate, color=color, linewidth=1.0, linestyle="--", label=label, zorder=1)
    ax.axvspan(low, high, color=color, alpha=0.12, linewidth=0, zorder=0)


def published_dots(ax: Axes, published: pd.DataFrame, rows: Mapping[str, str], spread: float = 0.62) -> None:
    """Published accuracies beside ours, as grey reference marks. published: columns model, layout and accuracy."""
    for marker, (model, part) in zip(PUBLISHED_MARKERS, published.groupby("model", sort=False), strict=False):
        at = [list(rows).index(layout) + spread / 2 + 0.04 for layout in part["layout"]]
        ax.plot(
            part["accuracy"],
            at,
            marker,
            color="0.55",
            markersize=4.5,
            markerfacecolor="0.85",
            linestyle="none",
            label=f"published: {model}, V* spatial",
        )


def setting_maps(
    means: pd.DataFrame, measures: Mapping[str, str], shipped: Settings, *, per_row: int = 6
) -> tuple[Figure, list[Axes]]:
    """Maps over σ (upwards) and α (to the right), one panel a layer and one block of rows a measure on its own scale.

    The shipped setting is outlined, the best of each measure has a cross.

    means: columns layer (counted from 0), sigma, alpha and the measures. measures: column -> label of its scale.
    """
    layers = sorted(means["layer"].unique())
    columns, blocks = min(per_row, len(layers)), -(-len(layers) // per_row)
    side = min(PAGE_WIDTH / (columns + 0.9), 1.8)
    height = 0.7 + len(measures) * blocks * (0.86 * side + 0.12)
    fig, axes = new_figure(
        len(measures) * blocks, columns, width=PAGE_WIDTH, height=height, squeeze=False, sharex=True, sharey=True
    )
    for number, (measure, label) in enumerate(measures.items()):
        block = axes[number * blocks : (number + 1) * blocks]
        low, high = means[measure].min(), means[measure].max()
        best = means.loc[means[measure].idxmax()]
        for ax in block.flat[len(layers) :]:
            ax.set_visible(False)
        for ax, layer in zip(block.flat, layers, strict=False):
            grid = means[means["layer"] == layer].pivot(index="sigma", columns="alpha", values=measure)
            drawn = ax.imshow(grid, cmap=SETTING_COLORS, vmin=low, vmax=high, origin="lower", aspect="auto")
            ax.set_xticks(range(len(grid.columns)), [f"{v:g}".removeprefix("0") for v in grid.columns])
            ax.set_yticks(range(len(grid.index)), [f"{v:g}" for v in grid.index])
            if number == 0:
                ax.set_title(f"layer {layer + 1}")
            _mark(ax, grid, best if best["layer"] == layer else None, shipped if shipped.layer == layer else None)
        fig.colorbar(drawn, ax=block.ravel().tolist(), label=label, aspect=14 * blocks, pad=0.01)
    for ax in axes[:, 0]:
        ax.set_ylabel("σ in grid cells")
    for ax in axes[-1]:
        ax.set_xlabel("α")
    return fig, list(axes.flat)


def _mark(ax: Axes, grid: pd.DataFrame, best, shipped: Settings | None) -> None:
    """A cross on the best setting, an outline around the shipped one (where it is on the grid)."""
    if best is not None:
        at = grid.columns.get_loc(best["alpha"]), grid.index.get_loc(best["sigma"])
        ax.plot(*at, "x", color=PALETTE[3], markersize=6, markeredgewidth=1.4)
    if shipped is not None and shipped.sigma in grid.index and shipped.alpha in grid.columns:
        x, y = grid.columns.get_loc(shipped.alpha), grid.index.get_loc(shipped.sigma)
        ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, edgecolor="white", linewidth=2.6))
        ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, edgecolor="black", linewidth=1.2))


def curves(
    ax: Axes, table: pd.DataFrame, x: str, series: str, colors: Mapping[str, str], labels: Mapping[str, str]
) -> None:
    """Accuracy over a number, a line with markers on its band (columns accuracy, low, high) for each `series`."""
    for marker, (name, part) in zip("os^Dv", table.groupby(series, sort=False), strict=False):
        part = part.sort_values(x)
        ax.plot(part[x], part["accuracy"], color=colors[name], marker=marker, markersize=3.5, label=labels[name])
        ax.fill_between(part[x], part["low"], part["high"], color=colors[name], alpha=0.13, linewidth=0)
    ax.set(ylabel="accuracy", ylim=(0, 1))


def level(ax: Axes, estimate: float, label: str, color: str, style: str = "--") -> None:
    """A method that does not depend on the horizontal axis: a horizontal line."""
    ax.axhline(estimate, color=color, linewidth=1.0, linestyle=style, label=label)


def difference_dots(ax: Axes, table: pd.DataFrame, margin: float) -> None:
    """Differences of methods to one baseline with their intervals, a line a method, and the margin of non-inferiority.

    table: from `paired.compare_answers` (method, difference, low, high) with a column `scenes`, told apart by marker.
    """
    methods, conditions = list(dict.fromkeys(table["method"])), list(dict.fromkeys(table["scenes"]))
    for number, (condition, marker) in enumerate(zip(conditions, "osD^", strict=False)):
        part = table[table["scenes"] == condition]
        at = [methods.index(m) + (number - (len(conditions) - 1) / 2) * 0.3 for m in part["method"]]
        for y, row in zip(at, part.itertuples(), strict=True):
            color = METHOD_COLORS.get(row.method, "0.3")
            error = np.abs([[row.difference - row.low], [row.high - row.difference]])
            face = color if number == 0 else "white"
            ax.errorbar(
                row.difference, y, xerr=error, fmt=marker, color=color, markerfacecolor=face, markersize=4,
                elinewidth=0.9, capsize=1.5,
            )  # fmt: skip
        ax.plot([], [], marker, color="0.3", markerfacecolor="0.3" if number == 0 else "white", label=condition)
    ax.axvline(0, color="0.3", linewidth=0.7)
    ax.axvline(-margin, color="0.3", linewidth=0.9, linestyle=":", label=f"margin of non-inferiority, {-margin:+.0%}")
    ax.set_yticks(range(len(methods)), [METHOD_LABELS.get(m, m) for m in methods])
    ax.set_ylim(len(methods) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)


def layout_examples(image: Image.Image, boxes: Mapping[str, Sequence[lpd.Region]]) -> Figure:
    """What the model is shown of one picture: a row for each set of boxes, the picture and every layout of them.

    boxes: key of `BOXES` -> regions. Each layout is shown as large as it fits; its size in pixels is in the title.
    """
    names = list(layouts.ARRANGEMENTS)
    columns = len(names) + 1
    fig, axes = new_figure(
        len(boxes),
        columns,
        width=PAGE_WIDTH,
        height=len(boxes) * (PAGE_WIDTH / columns + 0.38) + 0.2,
        squeeze=False,
    )
    for line, (whose, regions) in zip(axes, boxes.items(), strict=True):
        _picture(line[0], image, regions, color=BOX_COLORS[whose])
        line[0].set_title(BOXES[whose], fontsize=7)
        for ax, name in zip(line[1:], names, strict=True):
            shown = composite_on_white(layouts.lay_out(name, image, regions))
            _thumbnail(ax, shown)
            ax.set_title("{}\n{} × {} px".format(name.replace("_", " "), *shown.size), fontsize=6)
            _frame(ax)
    return fig


def failure_gallery(
    found: pd.DataFrame, samples: Sequence[Sample], answers: pd.DataFrame, causes: Mapping[str, str], most: int = 3
) -> Figure:
    """The first wrongly answered samples of each cause, a row a cause: picture with boxes, and compact image.

    Solid boxes are HiDe's regions, dashed ones the ground truth. found: from `failures.causes`. causes: cause -> title.
    """
    by_id = {s.id: s for s in samples}
    letters = answers.set_index(["sample_id", "method"])["letter"].fillna("no letter")  # where the reply states none
    present = [cause for cause in causes if ((found["cause"] == cause) & ~found["correct"]).any()]
    side = PAGE_WIDTH / (2 * most)
    fig, axes = new_figure(
        max(len(present), 1), 2 * most, width=PAGE_WIDTH, height=max(len(present), 1) * (side + 0.62) + 0.2,
        squeeze=False,
    )  # fmt: skip
    for ax in axes.flat:
        ax.set_axis_off()
    if not present:
        axes[0, 0].set_title("no sample was answered wrong")
    for line, cause in zip(axes, present, strict=False):
        cases = found[(found["cause"] == cause) & ~found["correct"]].head(most)
        for number, case in enumerate(cases.itertuples()):
            sample, (left, right) = by_id[case.sample_id], line[2 * number : 2 * number + 2]
            image = sample.image
            scale = _picture(left, image, case.regions)
            draw_boxes(left, (np.array(sample.boxes_xyxy) * scale).tolist(), color=TRUTH_COLOR, dashed=True)
            said = letters[case.sample_id, "hide"]
            asked = textwrap.fill(plain_text(sample.question, 90), 26)
            left.set_title(f"{causes[cause] if number == 0 else ''}\n{asked}", fontsize=6, loc="left")
            title = f"said {said}, right: {sample.label}\n({plain_text(sample.answer, 24)})"
            if case.regions:
                _thumbnail(right, composite_on_white(lpd.compact_image(image, case.regions)))
                _frame(right)
            right.set_title(title, fontsize=6)
    return fig


def _picture(ax: Axes, image: Image.Image, regions: Sequence[lpd.Region], color: str = METHOD_COLORS["hide"]) -> float:
    """A picture with boxes, scaled down by the factor that is returned."""
    scale = _thumbnail(ax, image)
    draw_boxes(ax, (np.reshape(regions, (-1, 4)) * scale).tolist(), color=color)
    return scale


def _thumbnail(ax: Axes, image: Image.Image) -> float:
    """A picture of at most `PANEL_PIXELS` a side; returns the factor it was scaled by."""
    scale = min(1.0, PANEL_PIXELS / max(image.size))
    overlay(ax, image.resize([max(1, round(side * scale)) for side in image.size]) if scale < 1 else image)
    ax.set_anchor("N")  # pictures of a row begin at the same height
    return scale


def _frame(ax: Axes) -> None:
    """A thin frame, without which white fill would not be told from the page."""
    ax.add_patch(Rectangle((0, 0), 1, 1, transform=ax.transAxes, fill=False, edgecolor="0.7", linewidth=0.6))
