"""What moving one setting alone does to the regions of many cases, how long it takes, and whether they are HiDe's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from hide_utils.explorer.app import Explorer
from hide_utils.explorer.case import Case, Knobs, view_of
from hide_utils.looks import PALETTE, Look
from hide_utils.plots import bands, legend_above, level
from hide_utils.stats import means

MEASURES = {"recall50": Look("recall", PALETTE[0]), "iou": Look("IoU", PALETTE[1]), "area": Look("area", PALETTE[7])}
SETTINGS = {"layer": "decoder layer, counted from 1", "sigma": "σ in grid cells", "alpha": "α"}


def one_at_a_time(
    cases: Sequence[Case], own: Knobs, values: Mapping[str, Sequence[Any]], measures: Sequence[str], seed: int = 0
) -> pd.DataFrame:
    """Measure the regions of many cases while one setting moves and the others stay, without the model.

    Args:
        cases: with true boxes.
        own: the settings that stay.
        values: setting -> the values that it takes.
        measures: names of `evaluation.localisation.box_quality`.
        seed: of the bootstrap.

    Returns:
        A row for each setting, value and measure: setting, value, measure, n (cases), estimate (mean over the cases),
        and its 95 % interval, low to high, bootstrapped over pictures.

    Raises:
        ValueError: for a case without true boxes.
    """
    if unknown := [case.name for case in cases if not len(case.boxes_xyxy)]:
        raise ValueError(f"{unknown[0]} has no true boxes: what regions are worth is known only where there are some")
    pictures = [case.sample.image_id if case.sample else case.name for case in cases]
    rows = [
        {"setting": setting, "value": value, "image_id": picture}
        | view_of(case, replace(own, **{setting: value})).quality
        for setting, taken in values.items()
        for value in taken
        for case, picture in zip(cases, pictures, strict=True)
    ]
    return means(pd.DataFrame(rows), ["setting", "value"], measures, seed=seed)


def slider_curves(axes: Sequence[Axes], moved: pd.DataFrame, own: Mapping[str, float]) -> None:
    """Draw what moving each setting alone does, with a dotted line where the setting stands.

    Args:
        axes: one for each setting, in the table's order.
        moved: table of `one_at_a_time`.
        own: setting -> the value where it stands.
    """
    for ax, (setting, part) in zip(axes, moved.groupby("setting", sort=False), strict=True):
        first = int(setting == "layer")
        bands(ax, part.assign(value=part["value"] + first), "value", "measure", looks=MEASURES)
        level(ax, own[setting] + first)
        ax.set(xlabel=SETTINGS[setting], ylim=(0, 1))
        if first:
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0].set_ylabel("mean over samples")
    legend_above(axes[len(axes) // 2])


def differing(cases: Iterable[Case], own: Knobs, answers: pd.DataFrame) -> list[str]:
    """Names of the cases whose regions at the settings `own` are not those of the method in the answers."""
    evaluated = answers[answers["method"] == "hide"].set_index("sample_id")["regions"]
    found = {case.name: np.ravel(view_of(case, own).regions).tolist() for case in cases}
    return [name for name, regions in found.items() if regions != list(evaluated[name] or ())]


def redraw_seconds(explorer: Explorer, values: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """How long the explorer takes from a slider's new value to its redrawn panes, which end as they were.

    Args:
        explorer: whose sliders are moved.
        values: setting -> the values that it takes.

    Returns:
        A row for each setting: setting, moves (how many) and milliseconds (their median).
    """
    rows = []
    for name, taken in values.items():
        before, seconds = getattr(explorer.knobs, name), []
        for value in [*taken, before]:
            getattr(explorer.form, name).value = value
            _ = explorer.view  # draws what waits to be drawn
            seconds.append(explorer.seconds)
        rows.append((name, len(taken), 1000 * median(seconds[:-1])))
    return pd.DataFrame(rows, columns=["setting", "moves", "milliseconds"])
