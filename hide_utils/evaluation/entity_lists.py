"""Lists of entities: the hand-written questions with their references, ways to list, and what counts as found."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hide_utils import paths
from hide_utils.baselines import rule_entities
from hide_utils.method import Entities, Extractor, clean
from hide_utils.stats import ratio_interval, wilson

QUESTIONS = paths.SAMPLES / "extraction_questions.json"
MATCHES = ("canonical", "head")
EXTRACTION_MEASURES = ("precision", "recall", "f1")


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
