"""Entities of a question by rules alone, without a model or a download: stop words cut it into noun chunks.

They have the canonical form of `hide_utils.method.entities`. The word lists are short and English. A word that is in
none of them is taken for a noun, so an unknown verb or adjective stays in an entity.
"""

from __future__ import annotations

import re

from hide_utils.files import data_of
from hide_utils.method.entities import Entities, clean

_WORDS = data_of(__file__)
VALUES = {value: name for name, values in _WORDS["properties"].items() for value in values.split()}
STOPS, ABSTRACT, NOT_ACTIONS = (frozenset(_WORDS[name].split()) for name in ("stops", "abstract", "not_actions"))
_WORD = re.compile(r"[^\W_]+(?:-[^\W_]+)*(?:'s\b|(?<=s)'(?=\s))?|,")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


def rule_entities(question: str) -> Entities:
    """Entities of the last sentence of a question, with the source ``"rules"``.

    Chunks of words between stop words are entities. Adjectives of `PROPERTIES` that stand before a noun move behind it.
    "X's Y" becomes "Y of X". "Y of X" stays one entity where Y is not `ABSTRACT`.

    Returns:
        The entities. Their names are empty where the rules leave none.
    """
    sentence = _SENTENCE.split(question.strip())[-1].lower().replace("’", "'")
    owned = _joined(_chunks(_WORD.findall(sentence)))  # each with its owners
    names = [" of ".join(_noun_first(words) for words in parts if words) for parts in owned]
    return Entities(clean(list(filter(None, names))), "rules")


def _chunks(words: list[str]) -> list[tuple[list[str], bool]]:
    """Runs of content words, each with whether "of" alone, or with articles, stands between it and the run before."""
    found: list[tuple[list[str], bool]] = []
    run: list[str] = []
    between: list[str] = []
    for word in [*words, ","]:
        acts = word.endswith("ing") and word not in NOT_ACTIONS
        if word not in STOPS and word != "," and not acts:
            run.append(word)
            continue
        if run:
            found.append((run, "of" in between and set(between) <= {"of", "the", "a", "an"}))
            run, between = [], []
        between.append(word)
    return found


def _joined(chunks: list[tuple[list[str], bool]]) -> list[list[list[str]]]:
    """Chunks with their owners: [Y], or [Y, X] for "Y of X" and "X's Y". Abstract ones are left out."""
    joined: list[list[list[str]]] = []
    for words, of in chunks:
        owned = _split_owner(words)
        if of and joined and not _abstract(joined[-1][-1]):
            joined[-1] += owned
        else:
            joined.append(owned)
    return [parts for parts in joined if not _abstract(parts[0])]


def _split_owner(words: list[str]) -> list[list[str]]:
    for i, word in enumerate(words[:-1]):
        if word.endswith(("'s", "s'")):
            owner = word.removesuffix("'s") if word.endswith("'s") else word.removesuffix("'")
            return [words[i + 1 :], [*words[:i], owner]]
    return [[word.removesuffix("'s") for word in words]]


def _abstract(words: list[str]) -> bool:
    alone = words[0] in VALUES and words[0] != "square"  # a predicate: "is it open", "all balloons are red"
    return all(word in ABSTRACT for word in words) or (len(words) == 1 and alone)


def _noun_first(words: list[str]) -> str:
    """Words with the last one, the noun, first: "large blue truck" -> "truck with large size with blue color"."""
    values = [word for word in words[:-1] if word in VALUES]
    noun = [word for word in words[:-1] if word not in VALUES] + words[-1:]
    return " ".join(noun + [f"with {value} {VALUES[value]}" for value in values])
