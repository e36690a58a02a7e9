"""How well entities are extracted: questions with reference entities, what counts as found, and scores by type."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from hide_utils import paths
from hide_utils.baselines.entity_rules import rule_entities
from hide_utils.baselines.methods import Method, of_regions
from hide_utils.config import Count, Margin, Pixels, RunConfig, Share
from hide_utils.edits import corruption
from hide_utils.edits.entity_corruption import ERRORS, corrupted_names
from hide_utils.method import lpd
from hide_utils.method.entities import Entities, Extractor, clean, given_entities
from hide_utils.method.hide import HiDe
from hide_utils.method.session import Session
from hide_utils.samples import Sample
from hide_utils.stats.intervals import Interval, cluster_bootstrap, wilson


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


@dataclass(frozen=True)
class Question:
    """A question with its type and reference entities in canonical form; empty where nothing has to be found."""

    id: str
    type: str
    text: str
    entities: tuple[str, ...]


def load_questions(path: str | Path | None = None) -> list[Question]:
    """The hand-written questions, in the file's order.

    Raises ValueError for a repeated id, an unknown type, or reference entities that are not in cleaned form.
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


def head(name: str) -> str:
    """The noun an entity is about: what stands before " of " and " with ", of a compound its last word."""
    words = name.split(" with ")[0].split(" of ")[0].split()
    return words[-1] if words else ""


def matched(found: Sequence[str], reference: Sequence[str], match: str = "canonical") -> int:
    """How many found entities are references, each reference found at most once.

    match: "canonical", the same string after cleaning, properties in any order; "head", the same `head` noun, whatever
    its properties and owner. Raises ValueError for another.
    """
    if match not in MATCHES:
        raise ValueError(f"unknown match {match!r}; known: {', '.join(MATCHES)}")
    form = head if match == "head" else _unordered
    ours, theirs = Counter(map(form, found)), Counter(map(form, reference))
    return sum((ours & theirs).values())


def _unordered(name: str) -> str:
    first, *owners = name.split(" of ")
    noun, *properties = first.split(" with ")
    return " of ".join([" with ".join([noun, *sorted(properties)]), *owners])


def score_rows(
    questions: Sequence[Question], found: Mapping[str, Sequence[tuple[str, ...]]], matches: Sequence[str] = MATCHES
) -> pd.DataFrame:
    """One row a question, extractor and match: type, hits, found and reference (numbers of entities), exact.

    found: extractor -> one list of entities a question. exact: nothing missing and nothing more, also where there is
    nothing to find.
    """
    rows = []
    for extractor, names in found.items():
        for question, ours in zip(questions, names, strict=True):
            for match in matches:
                hits = matched(ours, question.entities, match)
                exact = hits == len(ours) == len(question.entities)
                who = {"id": question.id, "type": question.type, "extractor": extractor, "match": match}
                counts = {"hits": hits, "found": len(ours), "reference": len(question.entities)}
                rows.append(who | counts | {"exact": exact, "names": ", ".join(ours)})
    return pd.DataFrame(rows)


def ratio_interval(numerator: Collection, denominator: Collection, seed: int = 0, n_resamples: int = 4000) -> Interval:
    """Sum over sum with a 95 % percentile interval, resampling the pairs (questions, pictures) behind both.

    NaN where the denominators sum to nothing; resamples without any are left out of the interval. n counts the pairs.
    """
    top, below = np.asarray(numerator, float), np.asarray(denominator, float)
    if not below.sum():
        return Interval(np.nan, np.nan, np.nan, len(top))
    draws = np.random.default_rng(seed).integers(0, len(top), (n_resamples, len(top)))
    sums = below[draws].sum(1)
    ratios = top[draws].sum(1)[sums != 0] / sums[sums != 0]
    low, high = np.quantile(ratios, [0.025, 0.975])
    return Interval(float(top.sum() / below.sum()), float(low), float(high), len(top))


def scores(rows: pd.DataFrame, by: Sequence[str] = ("extractor", "match")) -> pd.DataFrame:
    """Precision, recall and F1 over all entities of a group (micro) and the share of exact questions, with intervals.

    rows: from `score_rows`. Precision is hits / found, recall hits / reference, F1 twice the hits over both together;
    intervals bootstrap questions, Wilson for exact.
    Recall and F1 are NaN where no question has entities. Columns `by`, measure, n (questions), estimate, low, high.
    """
    table = []
    for group, part in rows.groupby(list(by), sort=False):
        below = {"precision": part["found"], "recall": part["reference"], "f1": (part["found"] + part["reference"]) / 2}
        if not below["recall"].any():  # nothing is to be found: then F1 says no more than precision
            below["f1"] = below["recall"]
        for measure in EXTRACTION_MEASURES:
            interval = ratio_interval(part["hits"].to_numpy(), below[measure].to_numpy())
            table.append((*group, measure, interval.n, *interval[:3]))
        table.append((*group, "exact", len(part), *wilson(int(part["exact"].sum()), len(part))[:3]))
    return pd.DataFrame(table, columns=[*by, "measure", "n", "estimate", "low", "high"])


def cost_of_errors(answers: pd.DataFrame, wrong: Mapping[str, float], measure: str = "correct") -> Interval:
    """What an error costs: the measure against the number of corrupted entities, within samples (their own intercepts).

    answers: one row a sample and method, `wrong` method -> number of corrupted entities, 0 for the reference. The slope is
    ordinary least squares with an intercept for each sample; its 95 % interval resamples samples.
    Returns the change of the measure for one more wrong entity; n counts the samples.
    """
    part = answers[answers["method"].isin(wrong)]
    x = part["method"].map(dict(wrong)).astype(float)
    y = part[measure].fillna(0).astype(float)
    centred_x = x - x.groupby(part["sample_id"]).transform("mean")
    centred_y = y - y.groupby(part["sample_id"]).transform("mean")
    products = pd.DataFrame({"xy": centred_x * centred_y, "xx": centred_x**2}).groupby(part["sample_id"]).sum()
    return ratio_interval(products["xy"].to_numpy(), products["xx"].to_numpy())


def searched(names: Sequence[str], question: str) -> Entities:
    """Entities to search for; without names the question itself, as HiDe falls back (its note says so)."""
    if names:
        return given_entities(tuple(names))
    return Entities((question.strip(),), "question", note="no entity left; the question itself is searched for")


def searching(names: Callable[[Sample], Sequence[str]]) -> Method:
    """HiDe with the entities that `names` gives for a sample; extracting them is not charged."""

    def find(hide: HiDe, session: Session, sample: Sample) -> list[lpd.Region]:
        return hide.locate(session, sample.question, searched(names(sample), sample.question)).regions

    return of_regions(find, steps=("prefill", "search", "decouple", "compact"))


def listed(names: Mapping[str, Sequence[str]]) -> Method:
    """HiDe with entities that were extracted before: sample id -> names."""
    return searching(lambda sample: names[sample.id])


def state_name(kind: str, n_corrupted: int) -> str:
    """Name of the method with so many entities corrupted; of the reference entities for none."""
    return f"entities: {kind} {n_corrupted}" if n_corrupted else "entities: reference"


def states(kinds: Sequence[str], number: int) -> dict[str, Method]:
    """Methods for samples with `number` entities: the reference ones, and every kind with 1 to all of them corrupted."""
    methods = {state_name("", 0): searching(lambda sample: sample.entities)}
    corrupted = {
        state_name(kind, k): searching(partial(corrupted_names, kind, k)) for kind in kinds for k in _upto(number)
    }
    return methods | corrupted


def n_corrupted_by(kinds: Sequence[str], number: int) -> dict[str, int]:
    """How many entities each of the `states` has corrupted, by its method's name."""
    return {state_name("", 0): 0} | {state_name(kind, k): k for kind in kinds for k in _upto(number)}


def _upto(number: int) -> range:
    return range(1, number + 1)


def at_rates(
    answers: pd.DataFrame, samples: Sequence[Sample], rates: Sequence[float], kinds: Sequence[str] = tuple(ERRORS)
) -> pd.DataFrame:
    """Answers at each rate of corrupted entities: `corruption.at_rates` with entities in place of boxes."""
    return corruption.at_rates(answers, samples, rates, kinds, state_name, lambda sample: len(sample.entities))


def applicable(samples: Sequence[Sample]) -> tuple[str, ...]:
    """The kinds of errors that can be made on all of the samples."""
    return tuple(kind for kind in ERRORS if kind != "distractor" or all(sample.others for sample in samples))


def means(table: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Accuracy, recall and IoU of each group with 95 % intervals: columns `by`, measure, n, estimate, low, high.

    table: rows of `evaluate`. Wilson for accuracy, bootstrap over pictures for the others; an answer without regions
    has found nothing.
    """
    rows = []
    for group, part in table.groupby(list(by), sort=False):
        rows.append((*group, "accuracy", *_ordered(wilson(int(part["correct"].sum()), len(part)))))
        for measure in ("recall50", "iou"):
            values = part[measure].fillna(0).astype(float).to_numpy()
            rows.append((*group, measure, *_ordered(cluster_bootstrap(values, part["image_id"].tolist()))))
    return pd.DataFrame(rows, columns=[*by, "measure", "n", "estimate", "low", "high"])


def _ordered(interval: Interval) -> tuple[float, ...]:
    return interval.n, *interval[:3]
