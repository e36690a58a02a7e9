"""Variants of what the model is shown: whose *boxes*, in which *layout*, *seen* together with what.

`plan` lists variants, `methods_of` makes each a method for `evaluate`, under a name that says all three.
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
from pydantic import Field

from hide_utils.baselines.methods import METHODS, Method, Outcome, of_pictures, of_regions, true_regions
from hide_utils.config import Alpha, Count, Layer, Margin, Pixels, RunConfig, Share, Sigma
from hide_utils.edits import corruption
from hide_utils.edits.layouts import LAYOUTS, Layout, budget_size
from hide_utils.evaluation import localisation
from hide_utils.images import composite_on_white
from hide_utils.method import lpd
from hide_utils.method.hide import HiDe
from hide_utils.method.session import HIDE_STEPS, Session
from hide_utils.samples import Sample


class LayoutsConfig(RunConfig):
    """Parameters of notebook 04.

    Attributes:
        n_calibration: samples of the calibration split. None takes all.
        n_curve: scenes at each number of distractors.
        layers, sigmas, alphas: grid of the maps over settings. Empty takes that of the calibration.
        rates: shares of the true boxes that are corrupted.
        growths: factors by which the true boxes' sides are enlarged.
        distractors: further numbers of distractors in drawn scenes.
        resolutions: sides of the simple scenes of the negative control, in pixels.
        n_control: simple scenes at each of these resolutions.
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
    distractors: tuple[Count, ...] = ()
    resolutions: tuple[Pixels, ...] = ()
    n_control: Count | None = None
    margin: Margin = 0.05


Finder = Callable[[HiDe, Session, Sample], Sequence[lpd.Region]]
SEEN = {
    "original": "original, then compact image",
    "alone": "compact image alone",
    "half": "original at half size, then compact image",
}
BOXES = {"true": "true boxes", "tad": "HiDe's boxes"}


def _true(hide: HiDe, session: Session, sample: Sample) -> Sequence[lpd.Region]:
    return true_regions(session, sample)


def _tad(hide: HiDe, session: Session, sample: Sample) -> Sequence[lpd.Region]:
    return hide.locate(session, sample.question).regions


FINDERS: dict[str, Finder] = {"true": _true, "tad": _tad}
_SHIPPED = {"true": "oracle", "tad": "hide"}  # LPD behind the original is what these two do


def name_of(boxes: str, layout: str = "spatial_aggregate", seen: str = "original") -> str:
    """The name of a variant; the shipped layout behind the original has the name of the method that it is."""
    if boxes in _SHIPPED and (layout, seen) in {("spatial_aggregate", "original"), ("white_fill", "original")}:
        return _SHIPPED[boxes]
    return f"{boxes} | {layout} | {seen}"


def described(method: str) -> str:
    """The name of a variant in words, for sentences: "true boxes, native size (compact image alone)"."""
    parts = {name: (boxes, "spatial_aggregate", "original") for boxes, name in _SHIPPED.items()}
    if method not in parts and method.count(" | ") != 2:
        return method
    boxes, layout, seen = parts.get(method) or method.split(" | ")
    return f"{BOXES.get(boxes, boxes)}, {layout.replace('_', ' ')} ({SEEN[seen]})"


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

    finders: boxes -> how they are found. layouts: layout -> the picture made of them.
    Raises ValueError for boxes, a layout or company (`SEEN`) that are not known.
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


def empty_share(regions: Sequence[lpd.Region]) -> float:
    """Share of the compact image that no region covers."""
    places = lpd.mapping(regions)
    return 1 - localisation.union_area(places) / math.prod(np.max(places, axis=0)[2:].tolist())


def enlargement(regions: Sequence[lpd.Region], budget: tuple[int, int]) -> float:
    """By how much the processor enlarges the compact image's sides; 1 where it does not. budget: `model_budget`."""
    size = np.max(lpd.mapping(regions), axis=0)[2:].tolist()
    return math.sqrt(math.prod(budget_size(size, *budget)) / math.prod(size))


def states(most: int) -> dict[str, Finder]:
    """Boxes by name for `methods_of`: every corruption with 1 to `most` boxes corrupted, "wrong 2" for instance.

    A sample with fewer boxes has all of them corrupted.
    """
    return {_state(kind, k): partial(_corrupt, kind, k) for kind in corruption.CORRUPTIONS for k in range(1, most + 1)}


def enlarged(factors: Sequence[float]) -> dict[str, Finder]:
    """Boxes by name for `methods_of`: the true ones, sides `factor` times as long ("true x 2")."""
    return {enlarged_name(factor): partial(_enlarge, factor) for factor in factors}


def enlarged_name(factor: float) -> str:
    """Name of the true boxes with sides `factor` times as long; of the true ones for 1."""
    return "true" if factor == 1 else f"true x {factor:g}"


def _state(kind: str, n_corrupted: int) -> str:
    return f"{kind} {n_corrupted}" if n_corrupted else "true"


def _corrupt(kind: str, n_corrupted: int, hide: HiDe, session: Session, sample: Sample) -> list[lpd.Region]:
    return corruption.corrupted_boxes(kind, min(n_corrupted, len(sample.boxes_xyxy)), sample, session.image.size)


def _enlarge(factor: float, hide: HiDe, session: Session, sample: Sample) -> list[lpd.Region]:
    return corruption.grown(factor, sample, session.image.size)


def at_rates(answers: pd.DataFrame, samples: Sequence[Sample], rates: Sequence[float]) -> pd.DataFrame:
    """Answers at each rate of corrupted boxes, put together from those to the `states` (`corruption.at_rates`)."""
    return corruption.at_rates(
        answers, samples, rates, corruption.CORRUPTIONS, lambda kind, n: name_of(_state(kind, n))
    )
