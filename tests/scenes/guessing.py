"""Can a benchmark be guessed? Readers that see no picture, each of which has to stay near chance.

One sees the options alone, one the question too. Both learn on one half of the questions what right options have in
common, and answer the other half. Three see how often each option's value occurs among the things in the scene, but
not which thing has it. A benchmark on which one of them is better, or worse, than chance can be answered without
finding the object.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from string import ascii_uppercase
from typing import NamedTuple

import numpy as np
import pandas as pd

MARGIN = 0.05  # furthest from chance that a reader may be
SIGNIFICANT = 2.0  # standard errors from chance at which a learned reader trusts a feature


class Specification(NamedTuple):
    """A question as it is before its picture is drawn.

    Attributes:
        kind: of question. Each kind is looked at by itself.
        question: text without the options.
        options: their texts.
        label: letter of the right one.
        values: of all things in the scene, in any order, as often as they occur: colors, nouns, whatever options name.
    """

    kind: str
    question: str
    options: Sequence[str]
    label: str
    values: Sequence[str] = ()


Features = list[list[Hashable]]  # what a reader sees of each option


def guessing(questions: Sequence[Specification], seed: int = 0) -> pd.DataFrame:
    """How often each reader is right without having seen a picture.

    A reader that cannot decide between options is right in equal shares of them.

    Args:
        questions: of a benchmark. At 2000 a kind, intervals are about two points to either side.
        seed: of the halves.

    Returns:
        Columns reader, kind, n, accuracy, its 95 % interval (low, high), chance, and fair: within `MARGIN` of chance.

    Raises:
        ValueError: there is no question, or a label is none of its options' letters.
    """
    bad = [place for place, one in enumerate(questions) if one.label not in ascii_uppercase[: len(one.options)]]
    if bad or not questions:
        raise ValueError(f"{len(questions)} questions: need some, with labels among their options' letters, not {bad}")
    order, rows = np.random.default_rng(seed).permutation(len(questions)), []
    for kind in dict.fromkeys(one.kind for one in questions):
        asked = [questions[i] for i in order if questions[i].kind == kind]
        chance = np.mean([1 / len(one.options) for one in asked])
        for name, reader in READERS.items():
            right = np.array(reader(asked))
            accuracy, spread = right.mean(), 1.96 * right.std() / np.sqrt(len(right))
            ends = (accuracy - spread, accuracy + spread, chance, abs(accuracy - chance) <= MARGIN)
            rows.append((name, kind, len(right), accuracy, *ends))
    return pd.DataFrame(rows, columns=["reader", "kind", "n", "accuracy", "low", "high", "chance", "fair"])


def _of_text(one: Specification) -> Features:
    """What the options show, and how the question goes with them.

    Of each option: its place, its text, and its text among the others'. Its ranks in length, in the alphabet, in words
    that it shares with the others, and in where the question names it. And each word of the question beside its text.
    """
    words = [set(re.findall(r"\w+", text.casefold())) for text in (one.question, *one.options)]
    shared = [sum(len(own & other) for other in words[1:]) - len(own) for own in words[1:]]
    named = [one.question.casefold().find(option.casefold()) for option in one.options]
    ranks = zip(*map(_ranks, (list(map(len, one.options)), one.options, shared, named)), strict=True)
    company = tuple(sorted(one.options))
    return [
        [("place", i), ("text", option), (company, option), *enumerate(ranked), *((word, option) for word in words[0])]
        for i, (option, ranked) in enumerate(zip(one.options, ranks, strict=True))
    ]


def _counts(one: Specification) -> list[int]:
    """How often each option's value occurs in the scene."""
    counts = Counter(value.strip().casefold() for value in one.values)
    return [counts[option.strip().casefold()] for option in one.options]


def _of_counts(one: Specification) -> Features:
    counts = _counts(one)
    return [[n, ("rank", rank), (tuple(sorted(counts)), n)] for n, rank in zip(counts, _ranks(counts), strict=True)]


def _ranks(values: Sequence) -> list[int]:
    return [sorted(values).index(value) for value in values]


def _credit(one: Specification, scores: Sequence[float]) -> float:
    """Share of a right answer that naming the option with the highest score is worth."""
    best = [score > max(scores) - 1e-9 for score in scores]
    return best[ascii_uppercase.index(one.label)] / sum(best)


def _learned(features: Callable[[Specification], Features], asked: Sequence[Specification]) -> list[float]:
    """Credit for each question of a reader that learned on the other half."""
    seen = [(one, features(one)) for one in asked]
    halves, credits = (seen[: len(seen) // 2], seen[len(seen) // 2 :]), list[float]()
    for tested, known in (halves, halves[::-1]):
        worth = _worth(known)
        credits += [_credit(one, [sum(worth.get(f, 0) for f in of_option) for of_option in at]) for one, at in tested]
    return credits


def _worth(known: Sequence[tuple[Specification, Features]]) -> dict[Hashable, float]:
    """Log of how much more often than by chance options with a feature are right, where that is no accident."""
    right = Counter(feature for one, seen in known for feature in seen[ascii_uppercase.index(one.label)])
    all_seen = Counter(feature for _, seen in known for of_option in seen for feature in of_option)
    chance = len(known) / max(sum(len(seen) for _, seen in known), 1)
    return {
        feature: math.log((right[feature] + 1) / (n * chance + 1))
        for feature, n in all_seen.items()
        if abs(right[feature] - n * chance) >= SIGNIFICANT * math.sqrt(n * chance * (1 - chance))
    }


READERS: dict[str, Callable[[Sequence[Specification]], list[float]]] = {
    "options": lambda asked: _learned(lambda one: _of_text(one._replace(question="")), asked),
    "text": lambda asked: _learned(_of_text, asked),
    "counts": lambda asked: _learned(_of_counts, asked),
    "commonest": lambda asked: [_credit(one, _counts(one)) for one in asked],
    "rarest": lambda asked: [_credit(one, [-n for n in _counts(one)]) for one in asked],
}
