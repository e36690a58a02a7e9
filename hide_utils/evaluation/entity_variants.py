"""HiDe with other search texts: entities listed in other ways or corrupted at known rates, and the question itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import pandas as pd

from hide_utils.baselines import METHODS, Method, of_regions, rule_entities
from hide_utils.edits.corruption import answers_at_rates
from hide_utils.edits.entity_corruption import ERRORS, corrupted_names, other_names, reworded
from hide_utils.evaluation.token_selection import Rule, question_itself, reading
from hide_utils.method import Entities, HiDe, Session, given_entities, lpd
from hide_utils.samples import Sample
from hide_utils.stats import means
from hide_utils.stats.rows import outcomes

REFERENCE = "entities: reference"  # the method that searches for the reference entities


def entities_or_question(names: Sequence[str], question: str) -> Entities:
    """Entities to search for. Without names it is the question itself, as HiDe falls back, and its note says so."""
    if names:
        return given_entities(tuple(names))
    return Entities((question.strip(),), "question", note="no entity left; the question itself is searched for")


def hide_with(names: Callable[[Sample], Sequence[str]]) -> Method:
    """HiDe with the entities that `names` gives for a sample. Extracting them is not charged."""

    def find(hide: HiDe, session: Session, sample: Sample) -> list[lpd.Region]:
        return hide.locate(session, sample.question, entities_or_question(names(sample), sample.question)).regions

    return of_regions(find, steps=("prefill", "search", "decouple", "compact"))


def _listed(words: Callable[[Sample], str], list_: Callable[[HiDe, str], Sequence[str]]) -> Method:
    """HiDe with entities that are listed for a question in these words. The question that is answered is its own."""

    def find(hide: HiDe, session: Session, sample: Sample) -> list[lpd.Region]:
        names = list_(hide, words(sample))
        return hide.locate(session, sample.question, entities_or_question(names, words(sample))).regions

    return of_regions(find, steps=("prefill", "search", "decouple", "compact"))


def own_words(sample: Sample) -> str:
    """The question as it is asked."""
    return sample.question


def _by_model(hide: HiDe, question: str) -> Sequence[str]:
    entities = hide.extractor(question)
    return () if entities.fallback else entities.names


def _by_rules(hide: HiDe, question: str) -> Sequence[str]:
    return rule_entities(question).names


def _nothing(hide: HiDe, question: str) -> Sequence[str]:
    return ()


def extraction_methods(rules: Mapping[str, Rule]) -> dict[str, Method]:
    """HiDe with each way to what it searches for, from the question and from the same in other words.

    Args:
        rules: name -> which of the question's own tokens are read, and the threshold on their maps.
    """
    ways = {"model": _by_model, "rules": _by_rules, "question": _nothing}
    methods = {name: METHODS[name] for name in ("direct", "hide")}
    methods |= {REFERENCE: hide_with(reference_entities)}
    methods |= {f"entities: {name}": _listed(own_words, ways[name]) for name in ("rules", "question")}
    methods |= {f"reworded: {name}": _listed(reworded, way) for name, way in ways.items()}
    return methods | {f"question: {name}": reading(rule, question_itself) for name, rule in rules.items()}


def reference_entities(sample: Sample) -> Sequence[str]:
    """The entities that the sample comes with."""
    return sample.entities


def corrupted_method(kind: str, n_corrupted: int) -> str:
    """Name of the method with so many entities corrupted. Without any it is that of the reference entities."""
    return f"entities: {kind} {n_corrupted}" if n_corrupted else REFERENCE


def corrupted_methods(kinds: Sequence[str], number: int) -> dict[str, Method]:
    """Methods for samples with `number` entities: every kind with 1 to all of them corrupted."""
    return {
        corrupted_method(kind, k): hide_with(partial(corrupted_names, kind, k))
        for kind in kinds
        for k in range(1, number + 1)
    }


def answers_at_entity_rates(
    answers: pd.DataFrame, samples: Sequence[Sample], rates: Sequence[float], kinds: Sequence[str] = tuple(ERRORS)
) -> pd.DataFrame:
    """Answers at each rate of corrupted entities, as `answers_at_rates` has them for boxes."""
    return answers_at_rates(answers, samples, rates, kinds, corrupted_method, lambda sample: len(sample.entities))


def possible_errors(samples: Sequence[Sample]) -> tuple[str, ...]:
    """The kinds of errors that can be made on all of the samples."""
    return tuple(kind for kind in ERRORS if kind != "distractor" or all(other_names(sample) for sample in samples))


def accuracy_and_boxes(answers: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Accuracy, recall and IoU of each group: `means` of them. An answer without regions has found nothing.

    Args:
        answers: from `evaluate`.
        by: columns that tell the groups apart.
    """
    right = outcomes(answers)
    found = answers[["recall50", "iou"]].fillna(0).astype(float).where(right.notna())
    return means(answers.assign(accuracy=right, **found), by, ("accuracy", "recall50", "iou"))
