"""What moving one setting alone does to the regions of many cases: the computation and its figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from hide_utils.explorer.case import Case, Knobs, view_of
from hide_utils.looks import self_labelled
from hide_utils.plots import bands, legend_above, level
from hide_utils.stats import means

MEASURES = self_labelled({"recall50": 0, "iou": 1, "area": 7})
SETTINGS = {"layer": "layer, counted from 0", "sigma": "σ in grid cells", "alpha": "α"}


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
        bands(ax, part, "value", "measure", looks=MEASURES)
        level(ax, own[setting])
        ax.set(xlabel=SETTINGS[setting], ylim=(0, 1))
    axes[0].set_ylabel("mean over samples")
    legend_above(axes[len(axes) // 2])
