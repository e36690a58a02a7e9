"""Figures of the background analysis: edited pictures, accuracy over an edit's setting, effects with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from hide_utils.analyses.edits_of_background import Edit
from hide_utils.edits.interventions import canvas_window
from hide_utils.method import lpd
from hide_utils.models import VLM
from hide_utils.plots.style import PAGE_WIDTH, PALETTE, TRUTH_COLOR, draw_boxes, new_figure
from hide_utils.stats.intervals import wilson

KIND_COLORS = {"direct_attributes": PALETTE[0], "relative_position": PALETTE[1]}
KIND_LABELS = {"direct_attributes": "attribute", "relative_position": "spatial"}
SIZE_COLORS = (PALETTE[9], PALETTE[0], PALETTE[4], PALETTE[6])
MARKS = ("D", "s", "v", "P")
ZERO: dict[str, Any] = {"color": "0.3", "linestyle": ":", "linewidth": 0.8}
TITLES = {"mask": "mask ratio {value:g}", "canvas": "expand/crop {value:g}", "fill": "{fill}", "upscale": "× {value:g}"}


def edit_gallery(
    image: Image.Image, regions: Sequence[lpd.Region], rows: Mapping[str, pd.DataFrame], model: VLM
) -> Figure:
    """Edited pictures of one sample: a row of panels for each named table of settings (rows of `conditions`).

    Within a row all panels have the scale of the largest, and a canvas lies where it lies in the picture; grey is
    outside the picture that the model sees. Outlined: the true boxes.
    """
    columns = max(len(table) for table in rows.values())
    panel = PAGE_WIDTH / (columns + 0.25)
    shape = (len(rows), columns)
    fig, axes = new_figure(*shape, width=PAGE_WIDTH, height=len(rows) * (panel + 0.12) + 0.2, squeeze=False)
    for line, (name, table) in zip(axes, rows.items(), strict=True):
        frames = [_frame(row, image, regions) for row in table.itertuples()]
        limits = np.array(frames)
        for ax, row, frame in zip(line, table.itertuples(), frames, strict=False):
            x0, y0, x1, y1 = frame
            shown = Edit(row.experiment, row.value, row.fill).picture(model, image, regions)
            ax.imshow(shown, extent=(x0 - 0.5, x1 - 0.5, y1 - 0.5, y0 - 0.5), interpolation="antialiased")
            draw_boxes(ax, [frame], color="0.55")
            draw_boxes(ax, regions, color=TRUTH_COLOR)
            ax.set(xlim=(limits[:, 0].min() - 2, limits[:, 2].max() + 1))
            ax.set_ylim(limits[:, 3].max() + 1, limits[:, 1].min() - 2)
            ax.set(facecolor="0.82", xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            title = TITLES[row.experiment].format(value=row.value, fill=row.fill).replace("-", "−")
            ax.set_title(title, fontsize=7, pad=2)
        line[0].set_ylabel(name)
        for ax in line[len(table) :]:
            ax.set_axis_off()
    return fig


def _frame(row, image: Image.Image, regions: Sequence[lpd.Region]) -> lpd.Region:
    """Where the edited picture lies in the original's coordinates."""
    whole = (0, 0, *image.size)
    return canvas_window(regions, image.size, row.value) if row.experiment == "canvas" else whole


def setting_accuracy(rows: pd.DataFrame, x: str = "value") -> pd.DataFrame:
    """Accuracy at each value of ``x`` for each kind of question: columns kind, x, n, accuracy, low, high (Wilson).

    rows: one an answer, with columns kind, correct and ``x``. Kinds and values in order of first appearance.
    """
    table = []
    for (kind, value), correct in rows.groupby(["kind", x], sort=False)["correct"]:
        interval = wilson(int(correct.sum()), len(correct))
        table.append((kind, value, interval.n, *interval[:3]))
    return pd.DataFrame(table, columns=["kind", x, "n", "accuracy", "low", "high"])


def kind_style(kinds: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Color and label of each kind of question: V*Bench's two always the same, others in the palette's order."""
    spare = [color for color in PALETTE if color not in KIND_COLORS.values()]
    others = [kind for kind in kinds if kind not in KIND_COLORS]
    colors = KIND_COLORS | {kind: spare[i % len(spare)] for i, kind in enumerate(others)}
    return {kind: (colors[kind], KIND_LABELS.get(kind, kind.replace("_", " "))) for kind in kinds}


def setting_curves(
    ax: Axes, table: pd.DataFrame, *, chance: Mapping[str, float], marks: pd.DataFrame | None = None
) -> None:
    """`setting_accuracy` as lines with bands, dotted chance levels by kind, and the paper's values as open marks.

    chance: by kind, in [0, 1]. marks: from `interventions.published`; reference marks, not measured here.
    """
    styles = kind_style(list(dict.fromkeys(table["kind"])))
    for kind, (color, label) in styles.items():
        part = table[table["kind"] == kind].sort_values("value")
        ax.plot(part["value"], part["accuracy"], "o-", color=color, markersize=2.5, linewidth=1.2, label=label)
        ax.fill_between(part["value"], part["low"], part["high"], color=color, alpha=0.15, linewidth=0)
        ax.axhline(chance[kind], **ZERO | {"color": color}, label=f"chance, {label}")
    if marks is not None:
        published_marks(ax, marks[marks["kind"].isin(styles)])
    ax.set(ylabel="accuracy", ylim=(0, 1.03))


def published_marks(ax: Axes, marks: pd.DataFrame) -> None:
    """Open marks in the kind's color, one shape a model; joined by a thin line where a model has several values."""
    models = list(dict.fromkeys(marks["model"]))
    for (model, kind), part in marks.groupby(["model", "kind"], sort=False):
        color, label = kind_style([kind])[kind]
        ax.plot(
            part["value"],
            part["accuracy"],
            MARKS[models.index(model) % len(MARKS)],
            linestyle=(0, (1, 2)) if len(part) > 2 else "none",
            color=color,
            markerfacecolor="none",
            markersize=4,
            linewidth=0.6,
            label=f"published, {label}" + (f": {model}" if model != "not stated" else ""),
            clip_on=False,
        )


def enlargement_panel(ax: Axes, sizes: pd.DataFrame) -> None:
    """The processor's effect on the scale at each setting: median over the samples and their middle 95 %."""
    low, middle, high = (sizes.groupby("value")["enlargement"].quantile(q) for q in (0.025, 0.5, 0.975))
    ax.plot(middle.index, middle, color="0.3", linewidth=1.2)
    ax.fill_between(low.index, low, high, color="0.3", alpha=0.15, linewidth=0)
    ax.axhline(1, **ZERO)
    ax.set(ylabel="scale the\nmodel sees", yscale="log")
    ticks = [tick for tick in (0.5, 1, 2, 4, 8) if low.min() * 0.8 <= tick <= high.max() * 1.25]
    ax.set_yticks(ticks, [f"{tick:g}×" for tick in ticks])
    ax.minorticks_off()


def setting_points(ax: Axes, table: pd.DataFrame, x: str, *, chance: Mapping[str, float]) -> None:
    """`setting_accuracy` over a category: points with Wilson intervals side by side, chance dotted, by kind."""
    values, styles = list(dict.fromkeys(table[x])), kind_style(list(dict.fromkeys(table["kind"])))
    for number, (kind, (color, label)) in enumerate(styles.items()):
        part = table[table["kind"] == kind]
        at = [values.index(value) + 0.16 * (number - (len(styles) - 1) / 2) for value in part[x]]
        errors = np.abs([part["accuracy"] - part["low"], part["high"] - part["accuracy"]])
        style: dict[str, Any] = {"color": color, "markersize": 4, "elinewidth": 1, "capsize": 2}
        ax.errorbar(at, part["accuracy"], errors, fmt="o", label=label, **style)
        ax.axhline(chance[kind], **ZERO | {"color": color}, label=f"chance, {label}")
    ax.set_xticks(range(len(values)), values)
    ax.set(ylabel="accuracy", ylim=(0, 1.03), xlim=(-0.5, len(values) - 0.5))


def cell_panels(axes: Iterable[Axes], rows: pd.DataFrame) -> None:
    """Accuracy over the picture's side for each object size; a panel for each clutter and number of distractors.

    rows: one an answer, with correct, resolution, object_size, clutter_level, n_distractors, and `fitted` (the
    regression's probability), whose means are drawn as dashed lines. Bars: Wilson intervals.
    """
    sizes = sorted(rows["object_size"].unique())
    panels = list(rows.groupby(["clutter_level", "n_distractors"]))
    for ax, ((clutter, distractors), panel) in zip(axes, panels, strict=True):
        for number, size in enumerate(sizes):
            part, color = panel[panel["object_size"] == size], SIZE_COLORS[number % len(SIZE_COLORS)]
            groups = part.groupby("resolution")
            intervals = [wilson(int(g["correct"].sum()), len(g)) for _, g in groups]
            at = np.array(list(groups.groups)) * 1.03 ** (number - (len(sizes) - 1) / 2)
            middle = np.array([i.estimate for i in intervals])
            errors = np.abs([[i.estimate - i.low for i in intervals], [i.high - i.estimate for i in intervals]])
            style = {"color": color, "markersize": 3.5, "elinewidth": 0.9, "capsize": 1.5}
            ax.errorbar(at, middle, errors, fmt="o", label=f"object {size} px", **style)
            ax.plot(at, groups["fitted"].mean(), color=color, linewidth=1, linestyle="--")
        ax.set(ylim=(0, 1.03), xscale="log", title=f"clutter {clutter:g}, {distractors} distractors")
        sides = sorted(rows["resolution"].unique())
        ax.set_xticks(sides, [str(side) for side in sides])
        ax.minorticks_off()


def forest(ax: Axes, table: pd.DataFrame, *, colors: Sequence[str] | None = None) -> None:
    """Estimates with their intervals, one line each, from the top: columns label, estimate, low, high; zero dotted."""
    at = -np.arange(len(table))
    errors = np.abs([table["estimate"] - table["low"], table["high"] - table["estimate"]])
    ax.axvline(0, **ZERO)
    for i in range(len(table)):
        color = colors[i] if colors else PALETTE[0]
        style: dict[str, Any] = {"color": color, "markersize": 4, "elinewidth": 1.2, "capsize": 2.5}
        ax.errorbar(table["estimate"].iloc[i], at[i], xerr=errors[:, i : i + 1], fmt="o", **style)
    ax.set_yticks(at, table["label"])
    ax.set_ylim(-len(table) + 0.4, 0.6)
