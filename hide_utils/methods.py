"""HiDe and what it is compared with, behind one interface: a method answers one sample within one session.

Methods of a comparison share the session's prefill, so that ten of them cost little more than one; each is charged for
every step it needs, as if it had run alone. `METHODS` are those with a name; an analysis passes its own to `evaluate`
as a mapping, made by `of_pictures` (the model sees edited pictures) or `of_regions` (other boxes, settings or layouts).
"""

from __future__ import annotations

import difflib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from hide_utils import lpd
from hide_utils.images import composite_on_white
from hide_utils.models import Reply
from hide_utils.pipeline import HiDe
from hide_utils.samples import Sample
from hide_utils.session import HIDE_STEPS, Session


@dataclass(frozen=True)
class Outcome:
    """A method's reply to a sample, the regions (pixels) it looked at more closely, and the steps it is charged for."""

    reply: Reply
    regions: Sequence[lpd.Region]
    steps: tuple[str, ...]
    fallback: str | None = None


Method = Callable[[HiDe, Session, Sample], Outcome]


def direct(hide: HiDe, session: Session, sample: Sample) -> Outcome:
    """The model's own answer to the original picture."""
    return Outcome(session.answer(sample.question, sample.options, step="direct"), (), ("prefill", "direct"))


def with_hide(hide: HiDe, session: Session, sample: Sample) -> Outcome:
    """HiDe with its own entities, maps and regions."""
    located = hide.locate(session, sample.question)
    fallback = located.entities.note if located.entities.source == "question" else None
    return _with_regions(session, sample, located.regions, "answer", HIDE_STEPS, fallback)


def oracle(hide: HiDe, session: Session, sample: Sample) -> Outcome:
    """LPD on the ground-truth boxes: what a perfect localiser would reach.

    Raises ValueError for a sample without boxes.
    """
    if not sample.boxes_xyxy:
        raise ValueError(
            f"sample {sample.id} has no ground-truth boxes: leave out the method 'oracle' for this benchmark"
        )
    regions = true_regions(session, sample)
    return _with_regions(session, sample, regions, "oracle", ("prefill", "oracle"))


def random_regions(hide: HiDe, session: Session, sample: Sample) -> Outcome:
    """LPD on boxes of the same sizes as HiDe's at random places: is it the place that helps, or any second picture?"""
    located = hide.locate(session, sample.question)
    seed = zlib.crc32(sample.id.encode())  # the same places at every run
    regions = lpd.random_boxes(located.regions, session.image.size, seed)
    return _with_regions(session, sample, regions, "random", (*HIDE_STEPS[:-2], "random"))


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
        return Outcome(session.answer_from(pictures, sample.question, sample.options, "pictures"), (), steps)

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
        return _with_regions(
            session, sample, find(hide, session, sample), "regions", (*steps, "regions"), layout=layout
        )

    return method


def _with_regions(
    session: Session,
    sample: Sample,
    regions: Sequence[lpd.Region],
    step: str,
    steps: tuple[str, ...],
    fallback: str | None = None,
    layout: Callable[[Image.Image, Sequence[lpd.Region]], Image.Image] = lpd.compact_image,
) -> Outcome:
    """The answer to original and compact picture; without regions the direct answer, and the outcome says so."""
    if not regions:
        reply = session.answer(sample.question, sample.options, step=step)
        return Outcome(reply, (), steps, "; ".join(filter(None, [fallback, "no box survived"])))
    with session.measured("compact"):
        compact = composite_on_white(layout(session.image, regions))
    return Outcome(session.answer(sample.question, sample.options, compact, step), tuple(regions), steps, fallback)


METHODS: dict[str, Method] = {
    "direct": direct,
    "hide": with_hide,
    "oracle": oracle,
    "random": random_regions,
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
