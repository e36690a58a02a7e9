"""Notebook 07. How well entities are extracted, what counts as found, and what a wrong entity costs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from hide_utils import paths
from hide_utils.baselines import Method, of_regions, rule_entities
from hide_utils.config import Count, Margin, Pixels, RunConfig, Share
from hide_utils.edits.corruption import answers_at_rates
from hide_utils.edits.entity_corruption import ERRORS, corrupted_names, other_names
from hide_utils.looks import self_labelled
from hide_utils.method import Entities, Extractor, HiDe, Session, clean, given_entities, lpd
from hide_utils.samples import Sample
from hide_utils.stats import Interval, means, ratio_interval, wilson
from hide_utils.stats.rows import answered, outcomes, pictures_of


class ExtractionConfig(RunConfig):
    """Parameters of notebook 07.

    Attributes:
        n_calibration: calibration scenes.
        n_curve: test scenes whose entities are corrupted.
        n_control: scenes of lower resolution, and simple ones, on which the gates are tried.
        n_settings: scenes of each set on which settings are chosen, and as many on which they are judged.
        resolutions: sides in pixels of the scenes of lower resolution.
        rates: shares of the entities that are corrupted.
        margin: loss of accuracy that would count as harm.
    """

    notebook: str = "07_extraction_robustness"
    n_calibration: Count | None = None
    n_curve: Count | None = None
    n_control: Count | None = None
    n_settings: Count | None = None
    resolutions: tuple[Pixels, ...] = ()
    rates: tuple[Share, ...] = ()
    margin: Margin = 0.05


QUESTIONS = paths.SAMPLES / "extraction_questions.json"
MATCHES = ("canonical", "head")
EXTRACTION_MEASURES = ("precision", "recall", "f1")
REFERENCE = "entities: reference"  # the method that searches for the reference entities
EXTRACTOR_LOOKS = self_labelled({"model's prompt": 3, "rules": 0, "whole question": 1}, "osD")
ERROR_LOOKS = self_labelled(dict(zip(ERRORS, (0, 1, 4, 2, 5, 9), strict=True)))


@dataclass(frozen=True)
class Question:
    """A question with its type and reference entities in canonical form, or none where nothing is to be found."""

    id: str
    type: str
    text: str
    entities: tuple[str, ...]


def load_questions(path: str | Path | None = None) -> list[Question]:
    """The hand-written questions, in the file's order.

    Args:
        path: another file of the same form. None is the committed one.

    Raises:
        ValueError: an id repeats, a type is unknown, or reference entities are not in cleaned form.
    """
    content = json.loads(Path(path or QUESTIONS).read_text(encoding="utf-8"))
    found = [Question(q["id"], q["type"], q["question"], tuple(q["entities"])) for q in content["questions"]]
    if len({q.id for q in found}) < len(found):
        raise ValueError("extraction questions: an id repeats")
    for q in found:
        if q.type not in content["types"]:
            raise ValueError(f"question {q.id}: type {q.type!r} is none of the file's")
        if clean(q.entities) != q.entities:
            raise ValueError(f"question {q.id}: entities {list(q.entities)} are not in cleaned form")
    return found


def extractors(model_extractor: Extractor) -> dict[str, Callable[[Sequence[str]], list[tuple[str, ...]]]]:
    """Ways from questions to entities by name. A model whose reply cannot be read has extracted none."""

    def names(found: Entities) -> tuple[str, ...]:
        return () if found.source == "question" else found.names

    return {
        "model's prompt": lambda texts: [names(one.entities) for one in model_extractor.many(texts)],
        "rules": lambda texts: [rule_entities(text).names for text in texts],
        "whole question": lambda texts: [clean([text.replace(",", " ")]) for text in texts],
    }


def head_noun(name: str) -> str:
    """The noun an entity is about: what stands before " of " and " with ", of a compound its last word."""
    words = name.split(" with ")[0].split(" of ")[0].split()
    return words[-1] if words else ""


def count_matches(found: Sequence[str], reference: Sequence[str], match: str = "canonical") -> int:
    """How many found entities are references, each reference found at most once.

    Args:
        found: what was extracted.
        reference: what should have been.
        match: "canonical" asks for the same string after cleaning, with properties in any order. "head" asks for the
            same `head_noun`, whatever its properties and owner.

    Raises:
        ValueError: another match.
    """
    if match not in MATCHES:
        raise ValueError(f"unknown match {match!r}; known: {', '.join(MATCHES)}")
    form = head_noun if match == "head" else _unordered
    ours, theirs = Counter(map(form, found)), Counter(map(form, reference))
    return sum((ours & theirs).values())


def _unordered(name: str) -> str:
    first, *owners = name.split(" of ")
    noun, *properties = first.split(" with ")
    return " of ".join([" with ".join([noun, *sorted(properties)]), *owners])


def score_questions(
    questions: Sequence[Question], found: Mapping[str, Sequence[tuple[str, ...]]], matches: Sequence[str] = MATCHES
) -> pd.DataFrame:
    """What each extractor found of each question's entities.

    Args:
        questions: with their reference entities.
        found: extractor -> one list of entities a question.
        matches: what counts as found, as in `count_matches`.

    Returns:
        One row a question, extractor and match: id, type, extractor, match, hits, found and reference (numbers of
        entities), exact (nothing missing and nothing more, also where there is nothing to find) and names.
    """
    rows = []
    for extractor, names in found.items():
        for question, ours in zip(questions, names, strict=True):
            for match in matches:
                hits = count_matches(ours, question.entities, match)
                exact = hits == len(ours) == len(question.entities)
                who = {"id": question.id, "type": question.type, "extractor": extractor, "match": match}
                counts = {"hits": hits, "found": len(ours), "reference": len(question.entities)}
                rows.append(who | counts | {"exact": exact, "names": ", ".join(ours)})
    return pd.DataFrame(rows)


def scores_by(rows: pd.DataFrame, by: Sequence[str] = ("extractor", "match")) -> pd.DataFrame:
    """Precision, recall and F1 over all entities of a group (micro), and the share of exact questions.

    Precision is hits / found, recall hits / reference, and F1 twice the hits over both together. Their 95 % intervals
    bootstrap questions. That of exact is Wilson's.

    Args:
        rows: from `score_questions`.
        by: columns that tell the groups apart.

    Returns:
        Columns `by`, measure, n (questions), estimate, low, high. Recall and F1 are NaN where no question has entities.
    """
    table = []
    for group, part in rows.groupby(list(by), sort=False):
        below = {"precision": part["found"], "recall": part["reference"], "f1": (part["found"] + part["reference"]) / 2}
        if not below["recall"].any():  # nothing is to be found, so that F1 would say no more than precision
            below["f1"] = below["recall"]
        intervals = {measure: ratio_interval(part["hits"], below[measure]) for measure in EXTRACTION_MEASURES}
        intervals["exact"] = wilson(int(part["exact"].sum()), len(part))
        table += [(*group, measure, interval.n, *interval[:3]) for measure, interval in intervals.items()]
    return pd.DataFrame(table, columns=[*by, "measure", "n", "estimate", "low", "high"])


def cost_of_errors(answers: pd.DataFrame, wrong: Mapping[str, float], measure: str = "correct") -> Interval:
    """What an error costs: the measure against the number of corrupted entities, within samples.

    The slope is ordinary least squares with an intercept for each sample. Its 95 % interval resamples pictures.

    Args:
        answers: one row a sample and method. A warning says how many rows are left out for errors.
        wrong: method -> number of corrupted entities, 0 for the reference.
        measure: name of a column. A missing value of an answer counts as 0.

    Returns:
        The change of the measure for one more wrong entity. n counts samples.
    """
    part = answers[answers["method"].isin(wrong)]
    part = answered(part, "cost of errors") if "correct" in part else part
    table = pd.DataFrame({"x": part["method"].map(dict(wrong)), "y": part[measure].fillna(0)}).astype(float)
    within = table - table.groupby(part["sample_id"]).transform("mean")
    products = pd.DataFrame({"xy": within["x"] * within["y"], "xx": within["x"] ** 2}).groupby(pictures_of(part)).sum()
    return ratio_interval(products["xy"], products["xx"])._replace(n=part["sample_id"].nunique())


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


def hide_with_extracted(names: Mapping[str, Sequence[str]]) -> Method:
    """HiDe with entities that were extracted before: sample id -> names."""
    return hide_with(lambda sample: names[sample.id])


def corrupted_method(kind: str, n_corrupted: int) -> str:
    """Name of the method with so many entities corrupted. Without any it is that of the reference entities."""
    return f"entities: {kind} {n_corrupted}" if n_corrupted else REFERENCE


def n_corrupted_by_method(kinds: Sequence[str], number: int) -> dict[str, int]:
    """How many entities each of the `corrupted_methods` has corrupted, by its name."""
    counts = {corrupted_method(kind, k): k for kind in kinds for k in range(1, number + 1)}
    return {REFERENCE: 0} | counts


def corrupted_methods(kinds: Sequence[str], number: int) -> dict[str, Method]:
    """Methods for samples with `number` entities: the reference, and every kind with 1 to all of them corrupted."""
    methods = {
        corrupted_method(kind, k): hide_with(partial(corrupted_names, kind, k))
        for kind in kinds
        for k in range(1, number + 1)
    }
    return {REFERENCE: hide_with(lambda sample: sample.entities)} | methods


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
