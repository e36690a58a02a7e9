"""Variants of what the model is shown: whose *boxes*, in which *layout*, *seen* together with what.

`plan` lists variants, `methods_of` makes each a method for `evaluate`, under a name that says all three.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from hide_utils.baselines.methods import METHODS, Method, Outcome, of_pictures, of_regions, true_regions
from hide_utils.edits.layouts import LAYOUTS, Layout
from hide_utils.images import composite_on_white
from hide_utils.method import lpd
from hide_utils.method.hide import HiDe
from hide_utils.method.session import HIDE_STEPS, Session
from hide_utils.samples import Sample

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
