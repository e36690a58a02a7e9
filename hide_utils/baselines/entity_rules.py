"""Entities of a question by rules alone, without a model or a download: stop words cut it into noun chunks.

They have the canonical form of `hide_utils.method.entities`. The word lists are short and English. A word that is in
none of them is taken for a noun, so an unknown verb or adjective stays in an entity.
"""

from __future__ import annotations

import re

from hide_utils.method.entities import Entities, clean

PROPERTIES = {
    "color": "red green blue yellow purple cyan orange pink black white gray grey brown silver golden beige",
    "size": "large small big tiny tall short little long huge",
    "material": "wooden metal plastic glass leather steel stone",
    "pattern": "striped checkered plaid dotted spotted",
    "shape": "round rectangular oval square triangular",
    "age": "old young new",
    "state": "open closed empty broken wet",
}
VALUES = {value: name for name, values in PROPERTIES.items() for value in values.split()}

# Words that end a noun chunk: they ask, relate, act or stand for something.
STOPS = frozenset(
    """a an the this that these those what which who whose where when why how many much is are was were be been being am
    do does did has have had can could will would should may might there it its he she they them his her their you your
    i my me we our us on in at to from by for with without under over above below behind beside between near next front
    left right side top bottom of or and but not no than as if so then each every all any both some other another one
    two three four five six seven eight nine ten first last same different closer nearer nearest closest further farther
    larger smaller taller see say says show shows shown look looks looking like wear wears carry carries hold holds ride
    written taken located visible currently also only just still very most more into onto inside outside around against
    towards across along through about up down off out away please tell describe name find there's""".split()
)
# Nouns that name what is asked for, the picture or a place in it. None of them is a thing that could be found there.
ABSTRACT = frozenset(
    """color colour shape size material pattern number brand type kind name text word words letter letters logo position
    direction time day weather season sport picture image photo photograph scene corner middle center centre background
    foreground indoors outdoors someone anything something thing things activity action distance amount count""".split()
)
NOT_ACTIONS = frozenset(
    "building ring painting string ceiling wing king clothing awning railing earring swing thing icing".split()
)  # nouns, though they end like a verb

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
    chunks = [_canonical(chunk) for chunk in _joined(_chunks(_WORD.findall(sentence)))]
    return Entities(clean([chunk for chunk in chunks if chunk]), "rules")


def _chunks(words: list[str]) -> list[tuple[list[str], bool]]:
    """Runs of content words, each with whether "of" alone, or with articles, stands between it and the run before."""
    found: list[tuple[list[str], bool]] = []
    run: list[str] = []
    between: list[str] = []
    for word in [*words, ","]:
        if word not in STOPS and word != "," and not _acts(word):
            run.append(word)
            continue
        if run:
            found.append((run, "of" in between and set(between) <= {"of", "the", "a", "an"}))
            run, between = [], []
        between.append(word)
    return found


def _acts(word: str) -> bool:
    return word.endswith("ing") and word not in NOT_ACTIONS


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


def _canonical(parts: list[list[str]]) -> str:
    return " of ".join(_noun_first(words) for words in parts if words)


def _noun_first(words: list[str]) -> str:
    """Words with the last one, the noun, first: "large blue truck" -> "truck with large size with blue color"."""
    values = [word for word in words[:-1] if word in VALUES]
    noun = [word for word in words[:-1] if word not in VALUES] + words[-1:]
    return " ".join(noun + [f"with {value} {VALUES[value]}" for value in values])
