"""Accuracy over the settings of an edit and over the factors of drawn scenes, by kind of question."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd
from matplotlib.axes import Axes

from hide_utils.looks import NO_LOOKS, PALETTE, Look, Looks, looks_of
from hide_utils.plots.curves import band, ticks_at
from hide_utils.plots.dots import ACCURACY, offsets, points
from hide_utils.plots.marks import level, published_values
from hide_utils.stats import accuracies

SIZE_COLORS = (PALETTE[9], PALETTE[0], PALETTE[4], PALETTE[6])


def setting_curves(
    ax: Axes,
    table: pd.DataFrame,
    *,
    chance: Mapping[str, float],
    published: pd.DataFrame | None = None,
    looks: Looks = NO_LOOKS,
) -> None:
    """Accuracy over an edit's setting for each kind of question, with bands, chance, and published values.

    Args:
        ax: panel to draw in.
        table: columns kind, value, accuracy, low and high.
        chance: kind -> accuracy by guessing.
        published: columns model, kind, value and accuracy; reference marks, not measured here.
        looks: of the kinds.
    """
    looks = looks_of(looks, table["kind"])
    for kind, look in looks.items():
        part = table[table["kind"] == kind].sort_values("value")
        band(ax, part, "value", look, values=ACCURACY)
        level(ax, chance[kind], f"chance, {look.label}", color=look.color, across=True)
    if published is not None:
        published_values(ax, published[published["kind"].isin(looks)], looks)
    ax.set(ylabel="accuracy", ylim=(0, 1.03))


def setting_points(
    ax: Axes, table: pd.DataFrame, x: str, *, chance: Mapping[str, float], looks: Looks = NO_LOOKS
) -> None:
    """Accuracy over a category for each kind of question: points side by side, with intervals and chance.

    Args:
        ax: panel to draw in.
        table: columns kind, `x`, accuracy, low and high.
        x: column of the categories.
        chance: kind -> accuracy by guessing.
        looks: of the kinds.
    """
    categories, looks = list(dict.fromkeys(table[x])), looks_of(looks, table["kind"])
    for offset, (kind, look) in zip(offsets(len(looks), 0.32), looks.items(), strict=True):
        part = table[table["kind"] == kind]
        at = [categories.index(value) + offset for value in part[x]]
        points(ax, part, at, look, values=ACCURACY, upright=True)
        level(ax, chance[kind], f"chance, {look.label}", color=look.color, across=True)
    ax.set_xticks(range(len(categories)), categories)
    ax.set(ylabel="accuracy", ylim=(0, 1.03), xlim=(-0.5, len(categories) - 0.5))


def scale_panel(ax: Axes, sizes: pd.DataFrame) -> None:
    """The processor's effect on the scale at each setting: median over the samples and their middle 95 %.

    Args:
        ax: panel to draw in.
        sizes: one row a sample and setting, with columns value and enlargement, 1 for the original's scale.
    """
    low, middle, high = (sizes.groupby("value")["enlargement"].quantile(q) for q in (0.025, 0.5, 0.975))
    table = pd.DataFrame({"estimate": middle, "low": low, "high": high}).reset_index()
    band(ax, table, "value", Look("_scale"), marker="")
    level(ax, 1, across=True)
    ax.set(ylabel="scale the\nmodel sees", yscale="log")
    ticks = [tick for tick in (0.5, 1, 2, 4, 8) if low.min() * 0.8 <= tick <= high.max() * 1.25]
    ax.set_yticks(ticks, [f"{tick:g}×" for tick in ticks])
    ax.minorticks_off()


def cell_panels(axes: Iterable[Axes], rows: pd.DataFrame) -> None:
    """Accuracy over the picture's side for each size of object, a panel for each number of unnamed and named objects.

    Dashed lines are means of the regression's probabilities.

    Args:
        axes: one panel for each pair of these numbers.
        rows: one an answer, with correct, resolution, object_size, n_unnamed, n_named, and `fitted`, the
            regression's probability.
    """
    sizes = sorted(rows["object_size"].unique())
    panels = list(rows.groupby(["n_unnamed", "n_named"]))
    for ax, ((unnamed, named), panel) in zip(axes, panels, strict=True):
        for number, (size, offset) in enumerate(zip(sizes, offsets(len(sizes), len(sizes)), strict=True)):
            part = panel[panel["object_size"] == size].sort_values("resolution", kind="stable")
            table = accuracies(part, ["object_size", "resolution"])
            look = Look(f"object {size} px", SIZE_COLORS[number % 4])
            at = table["resolution"] * 1.03**offset
            points(ax, table, at, look, values=ACCURACY, upright=True, markersize=3.5)
            fitted = part.groupby("resolution")["fitted"].mean()
            ax.plot(at, fitted, color=look.color, linewidth=1, linestyle="--")
        ax.set(ylim=(0, 1.03), xscale="log", title=f"{unnamed} unnamed, {named} named")
        ticks_at(ax, sorted(set(rows["resolution"].tolist())))
