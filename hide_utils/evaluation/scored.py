"""Replies to questions without options: samples with another scorer, and stored replies that are scored anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeAlias

from hide_utils.evaluation.store import ResultStore, row_key
from hide_utils.samples import Sample
from hide_utils.scoring import is_right

Scorer: TypeAlias = str | Callable[[str, Sample], bool]


def with_scorer(samples: Sequence[Sample], scorer: Scorer) -> list[Sample]:
    """Samples whose questions without options have this scorer. A tolerance stays where it means something.

    Raises:
        ValueError: the scorer is unknown, or every question has options.
    """
    if samples and all(sample.options for sample in samples):
        raise ValueError("scorer=...: every question has options, whose letters `protocol` reads: leave the scorer out")

    def scored(sample: Sample) -> Sample:
        return replace(sample, scorer=scorer, tolerance=sample.tolerance if scorer == "number" else 0.0)

    return [sample if sample.options else scored(sample) for sample in samples]


def score_anew(
    store: ResultStore,
    belongs: Mapping[tuple[str, str], str],
    samples: Sequence[Sample],
    keys: Sequence[tuple[str, str]],
) -> list[tuple[str, str]]:
    """Score stored replies by their samples as these are now, and keep the rows.

    A reply at which the scorer fails is left, to be answered anew, where its row says why.

    Args:
        store: holds the rows.
        belongs: column ``content`` of the rows as they are asked for now, by their keys.
        samples: those of the rows.
        keys: (sample_id, method) of the rows to score.

    Returns:
        The keys of those that were.
    """
    by_id, stored, rows = {sample.id: sample for sample in samples}, store.by_key(), []
    for key in keys:
        sample, row = by_id[key[0]], stored[key]
        with suppress(Exception):
            right = is_right(row["reply"], sample)
            rows.append(row | {"answers": sample.answers, "correct": right, "content": belongs[key]})
    store.append(rows)
    return [row_key(row) for row in rows]
