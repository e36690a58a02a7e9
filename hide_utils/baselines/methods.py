"""HiDe and what it is compared with, behind one interface: a method answers one sample within one session.

The methods of a comparison share the session's prefill, so that ten of them cost little more than one. Each is charged
for every step it needs, as if it had run alone. Those with a name are listed in the room's front. An analysis passes
its own to `evaluate` as a mapping; `of_pictures` makes such methods of edited pictures, `of_regions` of other boxes or
layouts.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

from PIL import Image

from hide_utils.baselines.outcome import Method, Outcome, answered, with_found, with_regions
from hide_utils.edits import placement
from hide_utils.method import HIDE_STEPS, HiDe, Session, lpd
from hide_utils.models import Settings
from hide_utils.samples import Sample


def direct(hide: HiDe, session: Session, sample: Sample) -> Outcome:
    """The model's own answer to the original picture."""
    return Outcome(answered(session, sample, step="direct"), (), ("prefill", "direct"))


def with_hide(hide: HiDe, session: Session, sample: Sample, settings: Settings | None = None) -> Outcome:
    """HiDe with its own entities, maps and regions. `settings` stand in for its layer, sigma and alpha."""
    located = hide.locate(session, sample.question, settings=settings)
    return with_found(session, sample, located, "answer", HIDE_STEPS)


def oracle(hide: HiDe, session: Session, sample: Sample) -> Outcome:
    """LPD on the ground-truth boxes: what a perfect localiser would reach.

    Raises:
        ValueError: the sample has no ground-truth boxes.
    """
    if not sample.boxes_xyxy:
        raise ValueError(
            f"sample {sample.id} has no ground-truth boxes: leave out the method 'oracle' for this benchmark"
        )
    pairs = zip(sample.boxes_of_each, session.images, strict=True)
    regions = [lpd.pixel_regions(boxes, image.size) for boxes, image in pairs]
    return with_regions(session, sample, regions, "oracle", ("prefill", "compact", "oracle"))


def random_regions(hide: HiDe, session: Session, sample: Sample) -> Outcome:
    """LPD on boxes of the same sizes as HiDe's at random places: does the place help, or any second picture?"""
    located = hide.locate(session, sample.question)
    seed = zlib.crc32(sample.id.encode())  # the same places at every run
    pairs = zip(located.found, session.images, strict=True)
    regions = [placement.random_boxes(one.regions, image.size, seed + i) for i, (one, image) in enumerate(pairs)]
    return with_regions(session, sample, regions, "random", (*HIDE_STEPS[:-1], "random"))


def true_regions(session: Session, sample: Sample) -> list[lpd.Region]:
    """The sample's ground-truth boxes, merged, in pixels of the session's picture."""
    return lpd.pixel_regions(sample.boxes_xyxy, session.image.size)


def of_pictures(change: Callable[[Session, Sample], Sequence[Image.Image]]) -> Method:
    """A method that answers from changed pictures.

    Args:
        change: makes the RGB pictures of the prompt, in their order, of the session's picture. Where the first of them
            is `session.image` itself, its prefill is shared with the other methods.
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
    """A method that answers from the original picture and a second one, which is made of some of its regions.

    Args:
        find: gives the regions, in pixels of the session's picture.
        layout: makes the second picture of the original and the regions.
        steps: what finding the regions is charged for, besides the answer.
    """

    def method(hide: HiDe, session: Session, sample: Sample) -> Outcome:
        return with_regions(
            session, sample, [find(hide, session, sample)], "regions", (*steps, "regions"), layout=layout
        )

    return method
