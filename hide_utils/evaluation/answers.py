"""The questions about one picture, answered by every method, as rows: what a row holds, and what may fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from torch import OutOfMemoryError

from hide_utils import scoring
from hide_utils.baselines import Method, Outcome
from hide_utils.evaluation import localisation
from hide_utils.images import ImageError
from hide_utils.method import HiDe, Session, read_letter
from hide_utils.prompts import multiple_choice
from hide_utils.samples import Sample

SCHEMA = 3  # counts up when columns or their meaning change, because rows of two schemas never share a file
COLUMNS: dict[str, str] = {
    "sample_id": "the sample, unique within its benchmark",
    "method": "name of the method; with sample_id the key of the row",
    "image_id": "the picture: questions about one picture share it (cluster of the bootstrap)",
    "cycle": "which rotation of the question's options (HR-Bench), else empty",
    "kind": "the benchmark's category of the question",
    "label": "letter of the right option",
    "n_options": "number of options; chance is its inverse",
    "reply": "the reply's text",
    "letter": "the option letter read off it under the protocol; null where it states none (never guessed)",
    "margin": "logit of the best letter minus that of the second at the reply's first token",
    "correct": "whether letter is label; a reply without a letter is wrong; missing where there is an error",
    "fallback": "what the method did instead, and why; null where it ran as described",
    "error": "why the sample could not be answered, which is no answer and counts nowhere; null else",
    "entities": "what was searched for; null where the method searches nothing",
    "regions": "regions looked at more closely, pixel xyxy, half-open, flattened; null without",
    "recall50": "share of true boxes of which half is inside the regions; null without true boxes or regions",
    "iou": "intersection over union of regions and true boxes; null as above",
    "pointing": "share of the maps (one a token) whose largest cell overlaps a true box; null without maps or boxes",
    "area": "share of the picture that the regions keep",
    "seconds": "wall clock of all steps the method needs, as if it had run alone",
    "calls": "forward passes of the model: prefills, suffixes and decoding steps",
    "image_tokens": "visual tokens run",
    "text_tokens": "text tokens run, decoding aside",
    "decoded": "tokens decoded",
    "flops": "floating-point operations by hide_utils.models.flops (torch's conventions)",
    "peak_bytes": "most memory the CUDA allocator held, weights included; null without CUDA",
    "content": "hash of each part of sample and method that the row belongs to; null where rows are not kept",
}
# What happens to single pictures in a run of thousands. The sample has no answer, and its row says why.
SAMPLE_ERRORS = (ImageError, FileNotFoundError, OutOfMemoryError)

Job = tuple[Sample, Mapping[str, Method]]


@dataclass(frozen=True)
class Answered:
    """Rows of one sample, or of a picture given up, and their first exception that is none of `SAMPLE_ERRORS`."""

    rows: list[dict[str, Any]]
    error: Exception | None = None


def answer_picture(
    hide: HiDe, jobs: Sequence[Job], protocol: str, opened: Callable[[Sample], Session] | None = None
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
    """
    session: Session | None = None
    for _, group in groupby(jobs, key=lambda job: job[0].question):
        same = list(group)
        session = session and session.beside()
        for sample, methods in same:
            try:
                session = session or (opened(sample) if opened else hide.open(sample.image))
                session.expect(multiple_choice(one.question, one.options, one.style) for one, _ in same)
            except Exception as error:
                yield failed(sample, methods, error)
                continue
            found = [_attempt(hide, session, sample, name, method, protocol) for name, method in methods.items()]
            errors = [one.error for one in found if one.error is not None]
            yield Answered([row for one in found for row in one.rows], errors[0] if errors else None)


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
    known = {
        "sample_id": sample.id,
        "method": method,
        "image_id": sample.image_id,
        "cycle": sample.cycle,
        "kind": sample.kind,
        "label": sample.label,
        "n_options": len(sample.options),
        "reply": "",
    }
    return dict.fromkeys(COLUMNS) | known


def _row(hide: HiDe, session: Session, sample: Sample, name: str, outcome: Outcome, protocol: str) -> dict[str, Any]:
    letter = read_letter(hide.model, outcome.reply, sample.options, outcome.protocol or protocol)
    searched = [found.entities.text for found in session.localisations.values()] if "search" in outcome.steps else []
    seconds, counts = session.cost(outcome.steps)
    truth = sample.boxes_xyxy
    quality = localisation.box_quality(outcome.regions, truth, session.image.size) if outcome.regions else {}
    return empty_row(sample, name) | {
        "reply": outcome.reply.text,
        "letter": letter,
        "margin": scoring.margin(hide.model.letter_logits(outcome.reply, len(sample.options))),
        "correct": letter == sample.label,
        "fallback": outcome.fallback,
        "entities": searched[-1] if searched else None,
        "regions": [float(v) for region in outcome.regions for v in region] or None,
        "recall50": quality.get("recall50") if truth else None,
        "iou": quality.get("iou") if truth else None,
        "pointing": _pointing(session, sample, outcome),
        "area": quality.get("area"),
        "seconds": seconds,
        "calls": counts.get("passes", 0),
        **{name: counts.get(name, 0) for name in ("image_tokens", "text_tokens", "decoded", "flops")},
        "peak_bytes": session.peak(outcome.steps),
    }


def _pointing(session: Session, sample: Sample, outcome: Outcome) -> float | None:
    """Share of the outcome's maps that point into a true box. None without maps, boxes, or a map that is not zero."""
    if outcome.maps is None or not sample.boxes_xyxy:
        return None
    hits = localisation.pointing(outcome.maps, np.array(sample.boxes_xyxy) / (session.image.size * 2))
    return None if np.isnan(hits).all() else float(np.nanmean(hits))
