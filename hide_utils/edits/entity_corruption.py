"""Entities made wrong at known rates, and questions in words that a model was not trained on, to make it err by itself.

As with boxes in `hide_utils.edits.corruption`, only the number of a sample's corrupted entities decides what has to be
answered. Those few states are answered once, and any rate is put together from them.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import numpy as np

from hide_utils.files import data_of
from hide_utils.method.entities import clean
from hide_utils.samples import Sample
from hide_utils.scenes.world import COLORS, NOUNS, entity_name

_DATA = data_of(__file__)
ERRORS: dict[str, str] = _DATA["errors"]
# Phrases that the miniature's lessons never had. {0} and {1} are the entities as a speaker would name them.
REWORDED: dict[str, list[str]] = _DATA["reworded"]
_SPOKEN = re.compile(r"^(?P<noun>.+?) with (?P<value>\S+) (?P<property>\S+)$")


def other_names(sample: Sample) -> list[str]:
    """What else is in a drawn scene, named as entities are; empty where that is not known."""
    return [entity_name(thing) for thing in (sample.things or ())[len(sample.entities) :]]


def corrupted_names(kind: str, n_corrupted: int, sample: Sample) -> tuple[str, ...]:
    """A sample's reference entities after some of them were corrupted. May be empty.

    Order and replacements are drawn once a sample, by its id, so that one more corrupted entity changes that one alone.

    Args:
        kind: a key of `ERRORS`.
        n_corrupted: how many entities, the first in the sample's own order.
        sample: with reference entities.

    Raises:
        ValueError: an unknown kind, more entities than there are, or "distractor" where the picture's other objects are
            not known.
    """
    if kind not in ERRORS:
        raise ValueError(f"unknown kind {kind!r}; known: {', '.join(ERRORS)}")
    if not 0 <= n_corrupted <= len(sample.entities):
        raise ValueError(f"sample {sample.id} has {len(sample.entities)} entities: cannot corrupt {n_corrupted}")
    if kind == "distractor" and not other_names(sample):
        raise ValueError(f"sample {sample.id} does not say what else is in its picture: no distractor to swap in")
    rng = np.random.default_rng([2, zlib.crc32(sample.id.encode())])
    first = rng.permutation(len(sample.entities))[:n_corrupted].tolist()
    draws = rng.random(len(sample.entities))
    replaced = [
        _corrupt(kind, name, sample, draws[i]) if i in first else [name] for i, name in enumerate(sample.entities)
    ]
    return clean([name for names in replaced for name in names])


def _corrupt(kind: str, name: str, sample: Sample, draw: float) -> list[str]:
    others = other_names(sample)
    known = {*sample.entities, *others}
    if kind == "dropped":
        return []
    if kind == "distractor":
        return [_pick(sorted(set(others) - set(sample.entities)) or sorted(others), draw)]
    if kind == "absent":
        return [_pick([pair for n in NOUNS for c in COLORS if (pair := f"{n} with {c} color") not in known], draw)]
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
    """The sample's question in other words, with the same reference entities.

    Args:
        sample: of a drawn scene.
        of: which of the four phrases, counted from one that the sample's id decides.

    Raises:
        ValueError: the question is not one of the drawn scenes'.
    """
    asked = re.search(r"^What is the (?:(color) of the \w+|\w+ (object))\?$", sample.question)
    group = "relation" if len(sample.entities) == 2 else asked and ("color" if asked[1] else "noun")
    if group not in REWORDED or not 1 <= len(sample.entities) <= 2:
        raise ValueError(
            f"sample {sample.id}: only questions of the drawn scenes can be reworded, not {sample.question!r}"
        )
    forms = REWORDED[group]
    return forms[(zlib.crc32(sample.id.encode()) + of) % len(forms)].format(*map(spoken, sample.entities))
