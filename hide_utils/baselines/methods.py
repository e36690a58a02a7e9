"""HiDe and what it is compared with, behind one interface: a method answers one sample within one session.

Methods of a comparison share the session's prefill, so that ten of them cost little more than one; each is charged for
every step it needs, as if it had run alone. `METHODS` are those with a name; an analysis passes its own to `evaluate`
as a mapping, made by `of_pictures` (the model sees edited pictures) or `of_regions` (other boxes, settings or layouts).
"""

from __future__ import annotations

import difflib
import zlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from PIL import Image

from hide_utils.baselines.outcome import Method, Outcome, answered, with_regions
from hide_utils.baselines.published import BASELINES
from hide_utils.edits import placement
from hide_utils.method import lpd
from hide_utils.method.hide import HiDe
from hide_utils.method.session import HIDE_STEPS, Session
from hide_utils.samples import Sample

__all__ = ["METHODS", "Method", "Outcome", "named", "of_pictures", "of_regions", "true_regions"]


def direct(hide: HiDe, session: Session, sample: Sample) -> Outcome:
    """The model's own answer to the original picture."""
    return Outcome(answered(session, sample, step="direct"), (), ("prefill", "direct"))


def with_hide(hide: HiDe, session: Session, sample: Sample) -> Outcome:
    """HiDe with its own entities, maps and regions."""
    located = hide.locate(session, sample.question)
    fallback = located.entities.note if located.entities.source == "question" else None
    return with_regions(session, sample, located.regions, "answer", HIDE_STEPS, fallback, maps=located.maps)


def oracle(hide: HiDe, session: Session, sample: Sample) -> Outcome:
    """LPD on the ground-truth boxes: what a perfect localiser would reach.

    Raises ValueError for a sample without boxes.
    """
    if not sample.boxes_xyxy:
        raise ValueError(
            f"sample {sample.id} has no ground-truth boxes: leave out the method 'oracle' for this benchmark"
        )
    regions = true_regions(session, sample)
    return with_regions(session, sample, regions, "oracle", ("prefill", "oracle"))


def random_regions(hide: HiDe, session: Session, sample: Sample) -> Outcome:
    """LPD on boxes of the same sizes as HiDe's at random places: is it the place that helps, or any second picture?"""
    located = hide.locate(session, sample.question)
    seed = zlib.crc32(sample.id.encode())  # the same places at every run
    regions = placement.random_boxes(located.regions, session.image.size, seed)
    return with_regions(session, sample, regions, "random", (*HIDE_STEPS[:-2], "random"))


def true_regions(session: Session, sample: Sample) -> list[lpd.Region]:
    """The sample's ground-truth boxes as merged pixel regions of the session's picture."""
    size = np.array([*session.image.size, *session.image.size])
    return lpd.merge_boxes(np.array(sample.boxes_xyxy) / size, session.image.size)


def of_pictures(change: Callable[[Session, Sample], Sequence[Image.Image]]) -> Method:
    """A method that answers from the RGB pictures that `change` makes of the session's (`session.image`).

    Where the first of them is `session.image` itself, its prefill is shared with the other methods.
    """

    def method(hide: HiDe, session: Session, sample: Sample) -> Outcome:
        pictures = change(session, sample)
        steps = ("prefill", "pictures") if pictures[0] is session.image else ("pictures",)
        reply = session.answer_from(pictures, sample.question, sample.options, "pictures", sample.style)
        return Outcome(reply, (), steps)

    return method


def of_regions(
    find: Callable[[HiDe, Session, Sample], Sequence[lpd.Region]],
    layout: Callable[[Image.Image, Sequence[lpd.Region]], Image.Image] = lpd.compact_image,
    steps: Sequence[str] = HIDE_STEPS[:-1],
) -> Method:
    """A method that answers from the original and a second picture, which `layout` makes of the regions it `find`s.

    steps: what finding them costs, besides the answer.
    """

    def method(hide: HiDe, session: Session, sample: Sample) -> Outcome:
        return with_regions(session, sample, find(hide, session, sample), "regions", (*steps, "regions"), layout=layout)

    return method


METHODS: dict[str, Method] = {
    "direct": direct,
    "hide": with_hide,
    "oracle": oracle,
    "random": random_regions,
    **BASELINES,
}


def named(methods: Sequence[str] | Mapping[str, Method]) -> dict[str, Method]:
    """Methods by name; a mapping is taken as it is. Raises ValueError for an unknown name, with the nearest known."""
    if isinstance(methods, Mapping):
        return dict(methods)
    for method in methods:
        if method not in METHODS:
            close = difflib.get_close_matches(method, METHODS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(METHODS)}"
            raise ValueError(f"unknown method {method!r}; {hint}")
    return {method: METHODS[method] for method in methods}
