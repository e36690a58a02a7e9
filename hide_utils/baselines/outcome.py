"""What every method is made of: its outcome, and the answer from the original and a second picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from PIL import Image

from hide_utils.images import composite_on_white
from hide_utils.method import HiDe, Localisation, Session, lpd, the_only
from hide_utils.models import Reply
from hide_utils.samples import Sample, side_by_side


@dataclass(frozen=True)
class Outcome:
    """What a method made of a sample.

    Attributes:
        reply: the model's reply.
        regions: half-open xyxy in pixels of the session's picture that the method looked at more closely. Of several
            pictures, in pixels of these standing side by side.
        steps: names of the session's steps that the method is charged for.
        fallback: what the method did instead, and why. None where it ran as described.
        protocol: how the letter is read off the reply. None leaves that to the run.
        maps: `(maps, h, w)` that the regions were read from. None where there were none, or several pictures.
    """

    reply: Reply
    regions: Sequence[lpd.Region]
    steps: tuple[str, ...]
    fallback: str | None = None
    protocol: str | None = None
    maps: Float[np.ndarray, "maps h w"] | None = None


Method = Callable[[HiDe, Session, Sample], Outcome]


class NeedsOptions(ValueError):
    """A method or protocol compares option letters, and the question has none. Its row says so, and counts nowhere."""


def n_letters(sample: Sample, what: str) -> int:
    """Number of a sample's option letters, for a method or protocol that compares them.

    Raises:
        NeedsOptions: it has none. `what`, in the message, is what would have compared them.
    """
    if not sample.options:
        raise NeedsOptions(f"{what} compares option letters, and sample {sample.id} has no options")
    return len(sample.options)


def answered(
    session: Session,
    sample: Sample,
    second: Image.Image | Sequence[Image.Image] | None = None,
    step: str = "answer",
) -> Reply:
    """The model's reply to a sample in the sample's prompt style, with second RGB pictures where there are any."""
    return session.answer(sample.question, sample.options, second, step, sample.style)


def with_regions(
    session: Session,
    sample: Sample,
    regions_of_each: Sequence[Sequence[lpd.Region]],
    step: str,
    steps: tuple[str, ...],
    fallback: str | None = None,
    layout: Callable[[Image.Image, Sequence[lpd.Region]], Image.Image] = lpd.compact_image,
    maps: Float[np.ndarray, "maps h w"] | None = None,
) -> Outcome:
    """The answer to the original pictures and a second one of each that has regions, in their order.

    Without regions the original pictures are answered alone, and the outcome says so.

    Args:
        session: the pictures.
        sample: the question.
        regions_of_each: of each picture, half-open xyxy in its pixels. Those of a single one are for a session of one.
        step: what the answer is charged to.
        steps: all steps that the method is charged for, `step` among them.
        fallback: what the method did instead so far, and why.
        layout: makes the second picture of the original and the regions.
        maps: what the regions were read from.

    Raises:
        ValueError: the session has several pictures, and regions are those of one.
    """
    if len(regions_of_each) == 1:
        the_only(session.images)
    if not any(regions_of_each):
        reply = answered(session, sample, step=step)
        return Outcome(reply, (), steps, "; ".join(filter(None, [fallback, "no box survived"])), maps=maps)
    pairs = zip(session.images, regions_of_each, strict=True)
    with session.timed("compact"):
        second = [composite_on_white(layout(image, regions)) for image, regions in pairs if regions]
    regions = side_by_side(regions_of_each, [image.width for image in session.images])
    return Outcome(answered(session, sample, second, step), tuple(regions), steps, fallback, maps=maps)


def with_found(session: Session, sample: Sample, located: Localisation, step: str, steps: tuple[str, ...]) -> Outcome:
    """The answer to the original pictures and a compact image of each in which something was found."""
    found = located.found
    regions, maps = [one.regions for one in found], found[0].maps if len(found) == 1 else None
    return with_regions(session, sample, regions, step, steps, located.entities.fallback, maps=maps)
