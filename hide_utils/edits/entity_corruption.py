"""Entities made wrong at known rates, and questions in words that a model was not trained on, to make it err by itself.

As in `hide_utils.edits.corruption`, what has to be answered depends only on how many of a sample's entities are spoilt: those
few states are answered once, and any rate is put together from them (`at_rates`) without running the model again.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd

from hide_utils.baselines.methods import Method, of_regions
from hide_utils.edits import corruption
from hide_utils.method import lpd
from hide_utils.method.entities import Entities, clean, given_entities
from hide_utils.method.hide import HiDe
from hide_utils.method.session import Session
from hide_utils.samples import Sample
from hide_utils.scenes.drawing import COLORS, SHAPES
from hide_utils.stats.intervals import Interval, cluster_bootstrap, wilson

ERRORS = {
    "dropped": "left out; where none is left, the question itself is searched for",
    "distractor": "replaced by another object of the picture",
    "absent": "replaced by an object that is not in the picture",
    "attribute": "given a color that is not its own",
    "duplicate": "listed a second time in other words",
    "over-long": "followed by the whole question",
}
# What the miniature's lessons never said; {0}, {1} are the entities as a speaker would name them.
REWORDED = {
    "color": (
        "Tell me which color the {0} has.",
        "Look at the {0}: which color do you see?",
        "Could you tell me the {0}'s color?",
        "Which color was used to paint the {0}?",
    ),
    "shape": (
        "Tell me what shape the {0} has.",
        "Look at the {0}: which shape do you see?",
        "Could you tell me the {0}'s shape?",
        "Which shape was drawn for the {0}?",
    ),
    "relation": (
        "There are many things here, among them a {0} and a {1}. How do these two lie to each other?",
        "Seen from the {1}, where does the {0} lie?",
        "Compare the places of the {0} and the {1}.",
        "In which direction do I have to go from the {1} to reach the {0}?",
    ),
}
_SPOKEN = re.compile(r"^(?P<noun>.+?) with (?P<value>\S+) (?P<property>\S+)$")


def corrupted_names(kind: str, spoilt: int, sample: Sample) -> tuple[str, ...]:
    """A sample's reference entities after the first `spoilt` of them, in an order of its own, were spoilt.

    Order and replacements are drawn once a sample (by its id), so that one more spoilt entity changes that one alone.
    May be empty. Raises ValueError for a kind that is not among `ERRORS`, for more entities than there are, and for
    "distractor" where the picture's other objects are not known.
    """
    if kind not in ERRORS:
        raise ValueError(f"unknown kind {kind!r}; known: {', '.join(ERRORS)}")
    if not 0 <= spoilt <= len(sample.entities):
        raise ValueError(f"sample {sample.id} has {len(sample.entities)} entities: cannot spoil {spoilt}")
    if kind == "distractor" and not sample.others:
        raise ValueError(f"sample {sample.id} does not say what else is in its picture: no distractor to swap in")
    rng = np.random.default_rng([2, zlib.crc32(sample.id.encode())])
    first = rng.permutation(len(sample.entities))[:spoilt].tolist()
    draws = rng.random(len(sample.entities))
    replaced = [
        _spoil(kind, name, sample, draws[i]) if i in first else [name] for i, name in enumerate(sample.entities)
    ]
    return clean([name for names in replaced for name in names])


def _spoil(kind: str, name: str, sample: Sample, draw: float) -> list[str]:
    known = {*sample.entities, *sample.others}
    if kind == "dropped":
        return []
    if kind == "distractor":
        return [_pick(sorted(set(sample.others) - set(sample.entities)) or sorted(sample.others), draw)]
    if kind == "absent":
        return [_pick([pair for s in SHAPES for c in COLORS if (pair := f"{s} with {c} color") not in known], draw)]
    if kind == "attribute":
        return [_other_color(name, sample, draw)]
    if kind == "duplicate":
        return [name, said if (said := spoken(name)) != name else f"the {name}"]
    return [f"{name} {sample.question.replace(',', ' ').strip(' ?.').lower()}"]


def _pick(choices: Sequence[str], draw: float) -> str:
    return choices[int(draw * len(choices))]


def _other_color(name: str, sample: Sample, draw: float) -> str:
    """The entity with a color that is not its own: neither the one it is named with nor the answer."""
    match = _SPOKEN.match(name)
    own = {match["value"]} if match else {sample.answer}
    noun = match["noun"] if match else name
    return f"{noun} with {_pick([c for c in COLORS if c not in own], draw)} color"


def spoken(name: str) -> str:
    """An entity as a speaker names it: "star with red color" -> "red star"."""
    while match := _SPOKEN.match(name):
        name = f"{match['value']} {match['noun']}"
    return name


def reworded(sample: Sample, of: int = 0) -> str:
    """The sample's question in other words (one of four, by its id and `of`), with the same reference entities.

    Raises ValueError for other questions than the drawn scenes'.
    """
    asked = re.search(r"\b(color|shape) of\b", sample.question)
    group = "relation" if len(sample.entities) == 2 else asked and asked[1]
    if group not in REWORDED or not 1 <= len(sample.entities) <= 2:
        raise ValueError(
            f"sample {sample.id}: only questions of the drawn scenes can be reworded, not {sample.question!r}"
        )
    forms = REWORDED[group]
    return forms[(zlib.crc32(sample.id.encode()) + of) % len(forms)].format(*map(spoken, sample.entities))


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


def state_name(kind: str, spoilt: int) -> str:
    """Name of the method with so many entities spoilt; of the reference entities for none."""
    return f"entities: {kind} {spoilt}" if spoilt else "entities: reference"


def states(kinds: Sequence[str], number: int) -> dict[str, Method]:
    """Methods for samples with `number` entities: the reference ones, and every kind with 1 to all of them spoilt."""
    methods = {state_name("", 0): searching(lambda sample: sample.entities)}
    spoilt = {
        state_name(kind, k): searching(partial(corrupted_names, kind, k)) for kind in kinds for k in _upto(number)
    }
    return methods | spoilt


def n_corrupted_by(kinds: Sequence[str], number: int) -> dict[str, int]:
    """How many entities each of the `states` has spoilt, by its method's name."""
    return {state_name("", 0): 0} | {state_name(kind, k): k for kind in kinds for k in _upto(number)}


def _upto(number: int) -> range:
    return range(1, number + 1)


def at_rates(
    answers: pd.DataFrame, samples: Sequence[Sample], rates: Sequence[float], kinds: Sequence[str] = tuple(ERRORS)
) -> pd.DataFrame:
    """Answers at each rate of spoilt entities: `corruption.at_rates` with entities in place of boxes."""
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
