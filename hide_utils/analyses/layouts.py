"""Notebook 04. Variants of what the model is shown: whose *boxes*, in which *layout*, *seen* together with what.

`plan` lists variants, and `methods_of` makes each a method for `evaluate`, under a name that says all three.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from PIL import Image
from pydantic import Field

from hide_utils.baselines import LOOKS, METHODS, Method, Outcome, of_pictures, of_regions, true_regions
from hide_utils.config import Alpha, Count, Layer, Margin, Pixels, RunConfig, Share, Sigma
from hide_utils.edits.corruption import CORRUPTIONS, answers_at_rates, corrupted_boxes, enlarged_boxes
from hide_utils.edits.layouts import ARRANGEMENTS, LAYOUTS, Layout, budget_size, lay_out
from hide_utils.evaluation import localisation
from hide_utils.images import composite_on_white
from hide_utils.looks import Look, self_labelled
from hide_utils.method import HIDE_STEPS, HiDe, Session, lpd
from hide_utils.plots import ACCURACY, Panel, dot_rows
from hide_utils.samples import Sample


class LayoutsConfig(RunConfig):
    """Parameters of notebook 04.

    Attributes:
        n_calibration: samples of the calibration split. None takes all.
        n_curve: scenes at each density of named objects.
        layers, sigmas, alphas: grid of the maps over settings. Empty takes that of the calibration.
        rates: shares of the true boxes that are corrupted.
        growths: factors by which the true boxes' sides are enlarged.
        densities: further ones of named objects in drawn scenes, per 65 536 pixels.
        resolutions: sides of the easy scenes of the negative control, in pixels.
        n_control: easy scenes at each of these resolutions.
        margin: loss of accuracy that would count as harm.
    """

    notebook: str = "04_layout_ablations"
    n_calibration: Count | None = None
    n_curve: Count | None = None
    layers: tuple[Layer, ...] = ()
    sigmas: tuple[Sigma, ...] = ()
    alphas: tuple[Alpha, ...] = ()
    rates: tuple[Share, ...] = ()
    growths: tuple[Annotated[float, Field(ge=1, le=100)], ...] = ()
    densities: tuple[Annotated[float, Field(gt=0, le=16)], ...] = ()
    resolutions: tuple[Pixels, ...] = ()
    n_control: Count | None = None
    margin: Margin = 0.05


Finder = Callable[[HiDe, Session, Sample], Sequence[lpd.Region]]
SEEN = {
    "original": "original, then compact image",
    "alone": "compact image alone",
    "half": "original at half size, then compact image",
}
SEEN_MARKERS = {"original": "o", "alone": "s", "half": "^"}
BOXES = {"true": Look("true boxes", LOOKS["oracle"].color), "tad": Look("HiDe's boxes", LOOKS["hide"].color)}
CORRUPTION_LOOKS = self_labelled({"wrong": 4, "extra": 1, "missing": 0})


def _true(hide: HiDe, session: Session, sample: Sample) -> Sequence[lpd.Region]:
    return true_regions(session, sample)


def _tad(hide: HiDe, session: Session, sample: Sample) -> Sequence[lpd.Region]:
    return hide.locate(session, sample.question).regions


FINDERS: dict[str, Finder] = {"true": _true, "tad": _tad}
_SHIPPED = {"true": "oracle", "tad": "hide"}  # LPD behind the original is what these two do


def name_of(boxes: str, layout: str = "spatial_aggregate", seen: str = "original") -> str:
    """The name of a variant. The shipped layout behind the original has the name of the method that it is."""
    if boxes in _SHIPPED and (layout, seen) in {("spatial_aggregate", "original"), ("white_fill", "original")}:
        return _SHIPPED[boxes]
    return f"{boxes} | {layout} | {seen}"


def described(method: str) -> str:
    """The name of a variant in words, for sentences: "true boxes, native size (compact image alone)"."""
    parts = {name: (boxes, "spatial_aggregate", "original") for boxes, name in _SHIPPED.items()}
    if method not in parts and method.count(" | ") != 2:
        return method
    boxes, layout, seen = parts.get(method) or method.split(" | ")
    return f"{BOXES[boxes].label if boxes in BOXES else boxes}, {layout.replace('_', ' ')} ({SEEN[seen]})"


def plan(
    boxes: Sequence[str], layouts: Sequence[str] = ("spatial_aggregate",), seen: Sequence[str] = ("original",)
) -> pd.DataFrame:
    """Every combination: columns boxes, layout, seen and method, the name of each."""
    rows = [(*variant, name_of(*variant)) for variant in itertools.product(boxes, layouts, seen)]
    return pd.DataFrame(rows, columns=["boxes", "layout", "seen", "method"])


def methods_of(
    planned: pd.DataFrame, finders: Mapping[str, Finder] = FINDERS, layouts: Mapping[str, Layout] = LAYOUTS
) -> dict[str, Method]:
    """A method for every row of a `plan`, by name. Where no box is found the answer is the direct one.

    Args:
        planned: from `plan`.
        finders: name of boxes -> how they are found.
        layouts: name of a layout -> how it is made.

    Raises:
        ValueError: boxes, a layout, or what they are seen with (`SEEN`) are not known.
    """
    methods = {}
    for row in planned.itertuples():
        for value, known in ((row.boxes, finders), (row.layout, layouts), (row.seen, SEEN)):
            if value not in known:
                raise ValueError(f"unknown {value!r} in a plan; known: {', '.join(known)}")
        find, layout = finders[row.boxes], layouts[row.layout]
        steps = HIDE_STEPS[:-1] if row.boxes == "tad" else ("prefill", "compact")
        if row.method in METHODS:
            methods[row.method] = METHODS[row.method]
        elif row.seen == "original":
            methods[row.method] = of_regions(find, layout, steps)
        else:
            methods[row.method] = _other_company(find, layout, row.seen)
    return methods


def _other_company(find: Finder, layout: Layout, seen: str) -> Method:
    """Answers from the laid-out regions alone, or behind the original at half its size."""

    def method(hide: HiDe, session: Session, sample: Sample) -> Outcome:
        regions = find(hide, session, sample)
        if not regions:
            return replace(METHODS["direct"](hide, session, sample), fallback="no box survived")
        pictures = [composite_on_white(layout(session.image, regions))]
        if seen == "half":
            pictures.insert(0, session.image.reduce(2))
        outcome = of_pictures(lambda *_: pictures)(hide, session, sample)
        return replace(outcome, regions=tuple(regions))

    return method


def draw_rows(ax: Axes, table: pd.DataFrame, rows: Mapping[str, str], row: str = "layout") -> None:
    """Accuracies with their intervals, a line for each of `rows`; colors say whose boxes, markers what the model saw.

    Args:
        ax: panel to draw in.
        table: columns `row`, boxes, seen, accuracy, low and high.
        rows: value of `row` -> label of its line, from top to bottom.
        row: the column that says on which line a point stands.
    """
    looks: dict[str, Look] = {}
    series = []
    for boxes, seen in zip(table["boxes"], table["seen"], strict=True):
        label = BOXES[boxes].label + (f", {SEEN[seen]}" if table["seen"].nunique() > 1 else "")
        looks[label] = Look(label, BOXES[boxes].color, SEEN_MARKERS[seen], filled=seen == "original")
        series.append(label)
    dot_rows(ax, table.assign(series=series), row, "series", rows=rows, looks=looks, values=ACCURACY)


def examples(image: Image.Image, boxes: Mapping[str, Sequence[lpd.Region]]) -> list[list[Panel]]:
    """What the model is shown of one picture, for `hide_utils.plots.gallery`.

    Args:
        image: the picture.
        boxes: key of `BOXES` -> regions.

    Returns:
        A line for each set of boxes: the picture with them, and every layout of them with its size in pixels.
    """
    lines = []
    for whose, regions in boxes.items():
        panels = [Panel(image, BOXES[whose].label, regions, color=BOXES[whose].color)]
        for name in ARRANGEMENTS:
            shown = composite_on_white(lay_out(name, image, regions))
            title = "{}\n{} × {} px".format(name.replace("_", " "), *shown.size)
            panels.append(Panel(shown, title, framed=True))
        lines.append(panels)
    return lines


def empty_share(regions: Sequence[lpd.Region]) -> float:
    """Share of the compact image that no region covers."""
    places = lpd.mapping(regions)
    return 1 - localisation.union_area(places) / math.prod(np.max(places, axis=0)[2:].tolist())


def compact_enlargement(regions: Sequence[lpd.Region], budget: tuple[int, int]) -> float:
    """By how much the processor enlarges the compact image's sides. It is 1 where it does not.

    Args:
        regions: merged, pixel xyxy.
        budget: from `model_budget`.
    """
    size = np.max(lpd.mapping(regions), axis=0)[2:].tolist()
    return math.sqrt(math.prod(budget_size(size, *budget)) / math.prod(size))


def corrupted_box_finders(most: int) -> dict[str, Finder]:
    """Boxes by name for `methods_of`: every corruption with 1 to `most` boxes corrupted, "wrong 2" for instance.

    A sample with fewer boxes has all of them corrupted.
    """
    counts = range(1, most + 1)
    return {corrupted_boxes_name(kind, k): partial(_corrupt, kind, k) for kind in CORRUPTIONS for k in counts}


def enlarged_box_finders(factors: Sequence[float]) -> dict[str, Finder]:
    """Boxes by name for `methods_of`: the true ones with sides so many times as long, "true x 2" for instance."""
    return {enlarged_boxes_name(factor): partial(_enlarge, factor) for factor in factors}


def corrupted_boxes_name(kind: str, n_corrupted: int) -> str:
    """Name of the boxes with so many corrupted. Without any it is that of the true ones."""
    return f"{kind} {n_corrupted}" if n_corrupted else "true"


def enlarged_boxes_name(factor: float) -> str:
    """Name of the true boxes with sides `factor` times as long. For 1 it is that of the true ones."""
    return "true" if factor == 1 else f"true x {factor:g}"


def _corrupt(kind: str, n_corrupted: int, hide: HiDe, session: Session, sample: Sample) -> list[lpd.Region]:
    return corrupted_boxes(kind, min(n_corrupted, len(sample.boxes_xyxy)), sample, session.image.size)


def _enlarge(factor: float, hide: HiDe, session: Session, sample: Sample) -> list[lpd.Region]:
    return enlarged_boxes(factor, sample, session.image.size)


def answers_at_box_rates(answers: pd.DataFrame, samples: Sequence[Sample], rates: Sequence[float]) -> pd.DataFrame:
    """Answers at each rate of corrupted boxes: `answers_at_rates` of those to the `corrupted_box_finders`."""

    def method(kind: str, n_corrupted: int) -> str:
        return name_of(corrupted_boxes_name(kind, n_corrupted))

    return answers_at_rates(answers, samples, rates, CORRUPTIONS, method)
