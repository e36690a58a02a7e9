"""One look for every figure: widths of a printed column, color-blind palette, one color for each method."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from hide_utils.samples import Sample
from hide_utils.stats.intervals import wilson

INCH = 2.54  # centimetres
COLUMN_WIDTH = 8.5 / INCH
PAGE_WIDTH = 17.5 / INCH

PALETTE = sns.color_palette("colorblind").as_hex()
METHOD_COLORS = {
    "direct": PALETTE[7],
    "hide": PALETTE[3],
    "oracle": PALETTE[2],
    "random": PALETTE[4],
    "direct_logits": PALETTE[8],
    "rel_att": PALETTE[0],
    "first_token": PALETTE[1],
    "hide_no_prior": PALETTE[6],
    "hide_gated": PALETTE[9],
    "tree_search": PALETTE[5],
}
METHOD_LABELS = {
    "direct": "direct",
    "hide": "HiDe",
    "oracle": "oracle boxes",
    "random": "random boxes",
    "direct_logits": "direct, by logits",
    "rel_att": "relative attention",
    "first_token": "first answer token",
    "hide_no_prior": "HiDe without prior",
    "hide_gated": "HiDe where unsure",
    "tree_search": "tree search",
}
TRUTH_COLOR = PALETTE[2]
BOX_COLOR = PALETTE[3]
MAP_COLORS = "inferno"

STYLE: dict[str, Any] = {
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.dpi": 96,
    "savefig.dpi": 220,
    "figure.constrained_layout.use": True,
    "pdf.fonttype": 42,  # text stays text in the file
}


def set_style() -> None:
    """Make this the look of every figure drawn from here on; notebooks call it once, after their imports."""
    sns.set_theme(context="paper", style="ticks", palette=PALETTE, rc=STYLE)


def new_figure(
    rows: int = 1, columns: int = 1, *, width: float = COLUMN_WIDTH, height: float | None = None, **options: Any
) -> tuple[Figure, Any]:
    """`plt.subplots` at a printed width in inches; the height defaults to 0.62 of a panel's width for every row."""
    height = rows * 0.62 * width / columns if height is None else height
    return plt.subplots(rows, columns, figsize=(width, height), **options)


def source_line(fig: Figure, *, model: str, benchmark: str, n: int, more: str = "") -> None:
    """Say below the figure what was measured: model, benchmark, number of samples."""
    text = f"{model} · {benchmark} · n = {n}" + (f" · {more}" if more else "")
    fig.supxlabel(text, x=0.01, ha="left", fontsize=6, color="0.35", wrap=True)


def overlay(
    ax: Axes,
    image: Image.Image,
    map_hw: Float[np.ndarray, "h w"] | None = None,
    *,
    vmax: float = 1.0,
    title: str | None = None,
) -> None:
    """Show a picture and a map (h, w) of any grid over it, in pixel coordinates and without axes.

    The map's colors run from 0 to `vmax` in every panel that shares it, and it is the more opaque the higher its
    value, so that the picture stays visible where nothing is found. Raises ValueError for `vmax` <= 0.
    """
    if vmax <= 0:
        raise ValueError(f"vmax {vmax}: want a positive upper end of the scale")
    ax.imshow(image)
    if map_hw is not None:
        share = np.clip(map_hw / vmax, 0, 1)
        extent = (-0.5, image.width - 0.5, image.height - 0.5, -0.5)
        ax.imshow(map_hw, cmap=MAP_COLORS, vmin=0, vmax=vmax, alpha=0.2 + 0.6 * share, extent=extent)
    ax.set_axis_off()
    if title is not None:
        ax.set_title(title)


def draw_boxes(
    ax: Axes,
    boxes_xyxy: Iterable[Sequence[float]],
    *,
    color: str = BOX_COLOR,
    label: str | None = None,
    dashed: bool = False,
) -> None:
    """Outline half-open pixel boxes (x0, y0, x1, y1) on a picture shown by `overlay`; one legend entry for all."""
    for number, (x0, y0, x1, y1) in enumerate(boxes_xyxy):
        ax.add_patch(
            Rectangle(
                (x0 - 0.5, y0 - 0.5),  # a pixel's centre is its whole number, its edge half a pixel before
                x1 - x0,
                y1 - y0,
                fill=False,
                edgecolor=color,
                linewidth=1.2,
                linestyle="--" if dashed else "-",
                label=label if number == 0 else None,
            )
        )


def accuracy_table(results: pd.DataFrame, by: str = "kind") -> pd.DataFrame:
    """Accuracy of each method in each group and over all, with n and the Wilson interval.

    Args:
        results: one row a sample and method, with columns `method`, `correct` and `by`.

    Returns columns `by` (each group, then ``"all"``), method, n, accuracy, low, high; in order of first appearance.
    Raises ValueError where a column is missing or no row is there.
    """
    if missing := {"method", "correct", by} - set(results.columns):
        raise ValueError(f"results lack the column(s) {', '.join(sorted(missing))}")
    if results.empty:
        raise ValueError("no results to show: run the methods first")
    rows = []
    for group in [*results[by].unique(), "all"]:
        part = results if group == "all" else results[results[by] == group]
        for method, correct in part.groupby("method", sort=False)["correct"]:
            interval = wilson(int(correct.sum()), len(correct))
            rows.append((group, method, interval.n, interval.estimate, interval.low, interval.high))
    return pd.DataFrame(rows, columns=[by, "method", "n", "accuracy", "low", "high"])


def accuracy_bars(ax: Axes, results: pd.DataFrame, by: str = "kind", *, chance: float | None = None) -> pd.DataFrame:
    """Bars of `accuracy_table` with their intervals, one color for each method; returns the table that is drawn.

    `chance` in [0, 1] is drawn as a dotted line.
    """
    table = accuracy_table(results, by)
    groups, methods = list(table[by].unique()), list(table["method"].unique())
    handles: list[Any] = []
    width = 0.8 / len(methods)
    for number, method in enumerate(methods):
        part = table[table["method"] == method]
        x = [groups.index(group) + (number - (len(methods) - 1) / 2) * width for group in part[by]]
        errors = [part["accuracy"] - part["low"], part["high"] - part["accuracy"]]
        bars = ax.bar(
            x,
            part["accuracy"],
            width * 0.92,
            yerr=np.abs(errors),  # at 0 and 1 rounding can leave an end a hair on the wrong side
            color=METHOD_COLORS.get(method),
            label=METHOD_LABELS.get(method, method),
            error_kw={"elinewidth": 0.8, "capthick": 0.8, "capsize": 1.5},
        )
        handles.append(bars)
    if chance is not None:
        handles.append(ax.axhline(chance, color="0.3", linestyle=":", linewidth=0.8, label="chance"))
    counts = [int(table[table[by] == group]["n"].max()) for group in groups]
    labels = [f"{str(group).replace('_', ' ')}\nn = {n}" for group, n in zip(groups, counts, strict=True)]
    ax.set_xticks(range(len(groups)), labels)
    ax.set(ylabel="accuracy", ylim=(0, 1))
    ax.legend(handles=handles, ncols=min(len(handles), 3), loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return table


def accuracy_curve(ax: Axes, results: pd.DataFrame, x: str, *, xlabel: str) -> pd.DataFrame:
    """Accuracy of each method over the numeric column ``x``, with Wilson bands and chance; returns what is drawn.

    Args:
        results: one row a sample, method and value of ``x``, with columns method, correct and n_options.
    """
    rows = []
    for (value, method), correct in results.groupby([x, "method"], sort=True)["correct"]:
        low, high = wilson(int(correct.sum()), len(correct))[1:3]
        rows.append((value, method, len(correct), correct.mean(), low, high))
    table = pd.DataFrame(rows, columns=[x, "method", "n", "accuracy", "low", "high"])
    for method in dict.fromkeys(results["method"]):
        part, color = table[table["method"] == method], METHOD_COLORS.get(method)
        ax.plot(
            part[x],
            part["accuracy"],
            color=color,
            marker="o",
            markersize=3,
            linewidth=1.2,
            label=METHOD_LABELS.get(method, method),
        )
        ax.fill_between(part[x], part["low"], part["high"], color=color, alpha=0.15, linewidth=0)
    ax.axhline((1 / results["n_options"]).mean(), color="0.3", linestyle=":", linewidth=0.8, label="chance")
    ax.set(xlabel=xlabel, ylabel="accuracy", ylim=(0, 1), xticks=sorted(table[x].unique()))
    ax.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return table


def accuracy_against_cost(ax: Axes, table: pd.DataFrame, front: Collection) -> None:
    """One line a method, the cheapest lowest: accuracy with its interval, and at the right what an answer costs.

    table: rows with columns method, accuracy, low, high, times_direct (FLOPs as multiples) and calls. front: for each
    whether no other method is at most as costly and better; those points are filled.
    """
    order = table.assign(front=list(front)).sort_values("times_direct", kind="stable")
    for y, row in enumerate(order.to_dict("records")):
        color = METHOD_COLORS.get(row["method"], "0.3")
        reach = [[max(row["accuracy"] - row["low"], 0)], [max(row["high"] - row["accuracy"], 0)]]
        look = {"fmt": "o", "markersize": 4.5, "color": color, "mfc": color if row["front"] else "white"}
        ax.errorbar(row["accuracy"], y, xerr=reach, elinewidth=0.9, capsize=1.8, clip_on=False, **look)
        cost = f"{row['times_direct']:.2f}× · {row['calls']:.0f}"
        ax.text(1.03, y, cost, transform=ax.get_yaxis_transform(), va="center", fontsize=7)
    ax.text(1.03, len(order) - 0.3, "FLOPs · passes", transform=ax.get_yaxis_transform(), fontsize=6, color="0.35")
    ax.set_yticks(range(len(order)), [METHOD_LABELS.get(m, m) for m in order["method"]])
    ax.set(xlabel="accuracy", xlim=(0, 1), ylim=(-0.6, len(order) - 0.4))


def case_gallery(
    results: pd.DataFrame, samples: Sequence[Sample], *, baseline: str, method: str, most: int = 3
) -> Figure:
    """The first samples that only ``method`` (upper row) and only ``baseline`` (lower row) got right, with the regions.

    Solid boxes are the method's regions, dashed ones the ground truth; titles give question, replies and truth.
    """
    wide = results.pivot(index="sample_id", columns="method", values="correct").astype(bool)
    rows = results.set_index(["sample_id", "method"])
    fig, axes = new_figure(2, most, width=PAGE_WIDTH, height=2 * PAGE_WIDTH / most + 1.0)
    for line, (better, worse) in enumerate(((method, baseline), (baseline, method))):
        cases = [s for s in samples if wide.loc[s.id, better] and not wide.loc[s.id, worse]][:most]
        for ax in axes[line]:
            ax.set_axis_off()
        if not cases:
            axes[line, 0].set_title(f"none that only {METHOD_LABELS.get(better, better)} got right")
        for ax, sample in zip(axes[line], cases, strict=False):
            said = " · ".join(
                f"{METHOD_LABELS.get(m, m)}: {rows.loc[(sample.id, m), 'letter'] or 'no letter'}"
                for m in (baseline, method)
            )
            truth = f"truth: {sample.label} ({plain_text(sample.answer, 20)})"
            overlay(ax, sample.image, title=f"{textwrap.fill(plain_text(sample.question, 120), 36)}\n{said} · {truth}")
            flat = rows.loc[(sample.id, method), "regions"]
            draw_boxes(ax, [] if flat is None else np.reshape(flat, (-1, 4)))
            draw_boxes(ax, sample.boxes_xyxy, color=TRUTH_COLOR, dashed=True)
    return fig


def plain_text(text: str, most: int = 160) -> str:
    """Text as a figure can show it: control characters as spaces, no mathematics between dollars, long ones cut."""
    text = "".join(c if c.isprintable() else " " for c in text)
    return (text if len(text) <= most else text[: most - 1] + "…").replace("$", r"\$")
