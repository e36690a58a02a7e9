"""What every method is made of: its outcome, and the answer from the original and a second picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from PIL import Image

from hide_utils.images import composite_on_white
from hide_utils.method import lpd
from hide_utils.method.hide import HiDe
from hide_utils.method.session import Session
from hide_utils.models import Reply
from hide_utils.samples import Sample


@dataclass(frozen=True)
class Outcome:
    """A method's reply to a sample, the regions (pixels) it looked at more closely, and the steps it is charged for.

    fallback: what it did instead, and why. protocol: how the letter is read off the reply where the method itself says
    so; None leaves it to the run. maps: (maps, h, w) that the regions were read from, where there were any.
    """

    reply: Reply
    regions: Sequence[lpd.Region]
    steps: tuple[str, ...]
    fallback: str | None = None
    protocol: str | None = None
    maps: Float[np.ndarray, "maps h w"] | None = None


Method = Callable[[HiDe, Session, Sample], Outcome]


def answered(session: Session, sample: Sample, second: Image.Image | None = None, step: str = "answer") -> Reply:
    """The model's reply to a sample in its own prompt style, with a second picture (RGB) where there is one."""
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
    """The answer to original and compact picture; without regions the direct answer, and the outcome says so."""
    if not regions:
        reply = answered(session, sample, step=step)
        return Outcome(reply, (), steps, "; ".join(filter(None, [fallback, "no box survived"])), maps=maps)
    with session.timed("compact"):
        compact = composite_on_white(layout(session.image, regions))
    return Outcome(answered(session, sample, compact, step), tuple(regions), steps, fallback, maps=maps)
