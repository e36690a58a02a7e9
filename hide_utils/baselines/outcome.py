"""What every method is made of: its outcome, and the answer from the original and a second picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from PIL import Image

from hide_utils.images import composite_on_white
from hide_utils.method import HiDe, Session, lpd
from hide_utils.models import Reply
from hide_utils.samples import Sample


@dataclass(frozen=True)
class Outcome:
    """What a method made of a sample.

    Attributes:
        reply: the model's reply.
        regions: half-open xyxy in pixels of the session's picture that the method looked at more closely.
        steps: names of the session's steps that the method is charged for.
        fallback: what the method did instead, and why. None where it ran as described.
        protocol: how the letter is read off the reply. None leaves that to the run.
        maps: `(maps, h, w)` that the regions were read from. None where there were none.
    """

    reply: Reply
    regions: Sequence[lpd.Region]
    steps: tuple[str, ...]
    fallback: str | None = None
    protocol: str | None = None
    maps: Float[np.ndarray, "maps h w"] | None = None


Method = Callable[[HiDe, Session, Sample], Outcome]


def answered(session: Session, sample: Sample, second: Image.Image | None = None, step: str = "answer") -> Reply:
    """The model's reply to a sample in the sample's prompt style, with a second RGB picture where there is one."""
    return session.answer(sample.question, sample.options, second, step, sample.style)


def with_regions(
    session: Session,
    sample: Sample,
    regions: Sequence[lpd.Region],
    step: str,
    steps: tuple[str, ...],
    fallback: str | None = None,
    layout: Callable[[Image.Image, Sequence[lpd.Region]], Image.Image] = lpd.compact_image,
    maps: Float[np.ndarray, "maps h w"] | None = None,
) -> Outcome:
    """The answer to the original picture and a second one made of regions.

    Without regions the original picture is answered alone, and the outcome says so.

    Args:
        session: the picture.
        sample: the question.
        regions: half-open xyxy in pixels of the session's picture.
        step: what the answer is charged to.
        steps: all steps that the method is charged for, `step` among them.
        fallback: what the method did instead so far, and why.
        layout: makes the second picture of the original and the regions.
        maps: what the regions were read from.
    """
    if not regions:
        reply = answered(session, sample, step=step)
        return Outcome(reply, (), steps, "; ".join(filter(None, [fallback, "no box survived"])), maps=maps)
    with session.timed("compact"):
        compact = composite_on_white(layout(session.image, regions))
    return Outcome(answered(session, sample, compact, step), tuple(regions), steps, fallback, maps=maps)
