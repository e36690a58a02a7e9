"""The questions about one picture, answered by every method, as rows: what a row holds, and what may fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
from torch import OutOfMemoryError

from hide_utils import scoring
from hide_utils.baselines import Method, NeedsOptions, Outcome, n_letters
from hide_utils.evaluation import localisation
from hide_utils.files import data_of
from hide_utils.images import ImageError
from hide_utils.method import HiDe, Session, read_letter
from hide_utils.samples import Sample, side_by_side

SCHEMA = 3  # counts up when columns or their meaning change, because rows of two schemas never share a file
COLUMNS: dict[str, str] = data_of(__file__)  # name -> meaning
# What happens to single pictures in a run of thousands. The sample has no answer, and its row says why.
SAMPLE_ERRORS = (ImageError, FileNotFoundError, OutOfMemoryError, NeedsOptions)

Job = tuple[Sample, Mapping[str, Method]]


@dataclass(frozen=True)
class Answered:
    """Rows of one sample, or of a picture given up.

    Attributes:
        rows: as `COLUMNS` has them. None of a sample that lacked its arrays alone.
        error: their first exception that is none of `SAMPLE_ERRORS`.
        unkept: why the sample's arrays were not kept. Empty where they were, and where they were not asked for.
    """

    rows: list[dict[str, Any]]
    error: Exception | None = None
    unkept: str = ""


def answer_picture(
    hide: HiDe,
    jobs: Sequence[Job],
    protocol: str,
    opened: Callable[[Sample], Session] | None = None,
    keep: Callable[[HiDe, Session, Sample], str] | None = None,
) -> Iterator[Answered]:
    """Answer the samples of one picture, which share its prefill.

    Samples that follow one another with the same question (the four cycles of HR-Bench) share the localisation too. It
    is run once, and what is asked about the same pictures is answered together. Each row is charged as if it had run
    alone. An error costs its own row, or all rows of the sample where the picture itself cannot be used.

    Args:
        hide: the method with its settings.
        jobs: samples of one picture, each with the methods that answer it.
        protocol: how letters are read, a name in `hide_utils.scoring.PROTOCOLS`.
        opened: opens a sample's picture. None has ``hide`` open it.
        keep: keeps arrays of a sample and says why it could not, as `Keeper.tried` does.

    Raises:
        OSError: what is kept cannot be written.
    """
    session: Session | None = None
    for _, group in groupby(jobs, key=lambda job: job[0].question):
        same = list(group)
        session = session and session.beside()
        for sample, methods in same:
            try:
                session = session or (opened(sample) if opened else hide.open(sample.images))
                session.expect(hide.prompts.for_answer(one.question, one.options, one.style) for one, _ in same)
            except Exception as error:
                unkept = "" if methods else f"{sample.id}: {error}"  # else the rows say it
                yield replace(failed(sample, methods, error), unkept=unkept)
                continue
            found = [_attempt(hide, session, sample, name, method, protocol) for name, method in methods.items()]
            errors = [one.error for one in found if one.error is not None]
            unkept = keep(hide, session, sample) if keep else ""
            yield Answered([row for one in found for row in one.rows], errors[0] if errors else None, unkept)


def _attempt(hide: HiDe, session: Session, sample: Sample, name: str, method: Method, protocol: str) -> Answered:
    session = session.alone()  # or a step would be charged what another method's step of that name cost
    try:
        return Answered([_row(hide, session, sample, name, method(hide, session, sample), protocol)])
    except Exception as error:
        return failed(sample, [name], error)


def failed(sample: Sample, methods: Iterable[str], error: Exception) -> Answered:
    """Rows of a sample that could not be answered, with the error's type and message."""
    rows = [empty_row(sample, method) | {"error": f"{type(error).__name__}: {error}"} for method in methods]
    return Answered(rows, None if isinstance(error, SAMPLE_ERRORS) else error)


def empty_row(sample: Sample, method: str) -> dict[str, Any]:
    """The row of an unanswered sample: every column of `COLUMNS`, null where it says something of an answer."""
    known = {name: getattr(sample, name) or None for name in ("label", "answers")}
    known |= {name: getattr(sample, name) for name in ("image_id", "cycle", "kind")}
    about = {"sample_id": sample.id, "method": method, "n_options": len(sample.options), "reply": ""}
    return dict.fromkeys(COLUMNS) | known | about


def _row(hide: HiDe, session: Session, sample: Sample, name: str, outcome: Outcome, protocol: str) -> dict[str, Any]:
    searched = [found.entities.text for found in session.localisations.values()] if "search" in outcome.steps else []
    seconds, counts = session.cost(outcome.steps)
    truth = side_by_side(sample.boxes_of_each, [image.width for image in session.images])
    pixels = sum(image.width * image.height for image in session.images)
    quality = localisation.box_quality(outcome.regions, truth, (pixels, 1)) if outcome.regions else {}
    return empty_row(sample, name) | {
        "reply": outcome.reply.text,
        **_verdict(hide, sample, outcome, outcome.protocol or protocol),
        "fallback": outcome.fallback,
        "entities": searched[-1] if searched else None,
        "regions": [float(v) for region in outcome.regions for v in region] or None,
        **{name: quality.get(name) if truth else None for name in ("recall50", "iou")},
        "pointing": _pointing(session, sample, outcome),
        "area": quality.get("area"),
        "seconds": seconds,
        "calls": counts.get("passes", 0),
        **{name: counts.get(name, 0) for name in ("image_tokens", "text_tokens", "decoded", "flops")},
        "peak_bytes": session.peak(outcome.steps),
    }


def _verdict(hide: HiDe, sample: Sample, outcome: Outcome, protocol: str) -> dict[str, Any]:
    """Letter, margin and correct of a row. Without options the sample's scorer decides, and there is no letter."""
    if not sample.options and protocol != "logits":
        return {"correct": scoring.is_right(outcome.reply.text, sample)}
    logits = hide.model.letter_logits(outcome.reply, n_letters(sample, f"protocol {protocol!r}"))
    letter = read_letter(hide.model, outcome.reply, sample.options, protocol)
    return {"letter": letter, "margin": scoring.margin(logits), "correct": letter == sample.label}


def _pointing(session: Session, sample: Sample, outcome: Outcome) -> float | None:
    """Share of the outcome's maps that point into a true box. None without maps, boxes, or a map that is not zero."""
    if outcome.maps is None or not sample.boxes_xyxy:
        return None
    hits = localisation.pointing(outcome.maps, np.array(sample.boxes_xyxy) / (session.image.size * 2))
    return None if np.isnan(hits).all() else float(np.nanmean(hits))
