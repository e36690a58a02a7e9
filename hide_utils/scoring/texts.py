"""Whether a reply gives one of a question's accepted answers, where the question has no options.

A scorer has a name in `SCORERS`, or is a function of the user's own. Like the protocols for letters, those with a name
never guess: what a reply denies, supposes or asks is no answer, and neither are two that differ. Before they look, they
take away thoughts and mark-up. What LaTeX boxes or <answer> encloses is all that counts, where there is any.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from hide_utils.samples import SCORERS, Sample
from hide_utils.scoring.letters import SURELY, denied, without_thoughts

SCORING = 1  # counts up when a scorer with a name judges a reply otherwise, so that stored rows are scored anew
_BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_TAGGED = re.compile(r"(?is)<answer>(.*?)</answer>")
_FONT = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}")
# Markdown and LaTeX stand in pairs around what they mark, so that "C#", "$5" and "file_name" stay as they are.
_PAIRED = re.compile(r"(\*\*\*|\*\*|(?<!\w)\*|(?<!\w)__?|`+|\$)(?=\S)([^\n]+?)(?<=\S)\1(?![\w$*`])")
_HEADING = re.compile(r"(?m)^\s*(?:#{1,6}\s+|>\s+|[-*]\s+)")
# "The answer is", "Final answer:". What is behind it counts, to the end of its line.
_ANSWER_IS = r"(?i:\banswer(?:\s+(?:is|are|would\s+be|should\s+be|must\s+be)\s*[:=]?|\s*[:=]))\s*"
_QUOTES = {0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"', 0x2013: "-", 0x2014: "-", 0x2212: "-"}
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?:\D|$))(?<!\d{4},)")
# What stands between words. A point before a digit, and a minus that is a sign, belong to their number.
_BETWEEN = re.compile(r"[\s,;:!\"()\[\]{}<>…/_]|\.(?!\d)|(?<=[\w-])-|-(?!\d)")

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_WORDS = {word: number for number, word in enumerate(_ONES)} | {
    word: 10 * number for number, word in enumerate(_TENS, 2)
}
# A number in digits stands alone, or has a unit of small letters right behind it. Points and commas within it are part
# of it, so that "3,5" and "1.2.3" are read as a whole, and then not at all.
_DIGITS = (
    r"(?<![\w.,])[-+]?(?:\.?\d[\d,.]*\d|\.?\d)(?:e[-+]?\d+)?(?![.,]?\d)"
    r"(?!\w*(?:st|nd|rd|th)\b)(?![^\W_a-zµ°])(?!\w*[A-Z\d_])"
)
_SMALL = rf"\b(?:{'|'.join(_ONES)})\b(?!(?<=one)\s+of\b)"
_IN_WORDS = rf"(?i:\b(?:{'|'.join(_TENS)})(?:[\s-](?:{'|'.join(_ONES[1:10])}))?\b|{_SMALL})"
# "one" may also stand for a thing, as in "the left one": it is a number where it opens the text or follows such a verb.
_NO_THING = (
    r"(?i:(?!one\b)|^|\b(?:is|are|was|were|be|has|have|see|shows?|counts?)\s+(?:(?:only|about|just|exactly)\s+)?)"
)
_JOINED = r"\s*(?:\bor\b|\band\b|\bto\b|[/,&~-])\s*"  # between numbers, of which then none is the answer
_LARGER = r"(?!\s+(?i:hundred|thousand|million|billion|dozen)s?\b)"  # behind a number that is only part of another
_PLAIN_NUMBER = re.compile(r"[-+]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)(?:e[-+]?\d+)?")
_ASKED = re.compile(r"[^.!\n]*\?")  # behind an answer that is a question


def is_right(reply: str, sample: Sample) -> bool:
    """Whether a reply to a question without options is right, by the sample's scorer.

    Args:
        reply: decoded text of the model.
        sample: has accepted answers and a scorer: a name in `SCORERS`, or a function ``(reply, sample) -> bool``, which
            gets the reply as it is.

    Raises:
        TypeError: for a reply that is no text, and for a function that returns neither True nor False.
    """
    if not isinstance(reply, str):
        raise TypeError(f"the reply is {type(reply).__name__}, not text: pass the decoded reply")
    if callable(sample.scorer):
        right = sample.scorer(reply, sample)
        if not isinstance(right, bool | np.bool_):
            raise TypeError(f"scorer {_name_of(sample.scorer)} returned {right!r:.80}, want True or False")
        return bool(right)
    return _NAMED[sample.scorer](_without_markup(reply), sample)


def check_answers(sample: Sample) -> None:
    """Refuse accepted answers that the scorer of a question without options could never find, or always.

    Raises:
        ValueError: an answer has no word left, or for the scorer "number" not exactly one number.
    """
    for answer in sample.answers if isinstance(sample.scorer, str) else ():
        if sample.scorer == "number" and _number(answer) is None:
            raise ValueError(f"sample {sample.id}: scorer 'number' needs one number in each answer, not {answer!r:.80}")
        if not _normal(answer) and sample.scorer in ("normalised", "contains"):
            raise ValueError(f"sample {sample.id}: no word is left of the answer {answer!r:.80}: use scorer 'exact'")


def _name_of(scorer: Callable[..., Any]) -> str:
    return getattr(scorer, "__qualname__", type(scorer).__name__)


def _without_markup(reply: str) -> str:
    """The reply without thoughts, Markdown and LaTeX; what is marked as the answer, where anything is.

    Where two marked answers differ, nothing is left.
    """
    text = _FONT.sub(r"\1", without_thoughts(reply))
    marked = list(dict.fromkeys(map(_unpaired, _BOXED.findall(text) or _TAGGED.findall(text))))
    return (marked[0] if len(marked) == 1 else "") if marked else _unpaired(text)


def _unpaired(text: str) -> str:
    """A text without marks in pairs around its parts, the outer ones first, and without headings and bullets."""
    while (inner := _PAIRED.sub(r"\2", text)) != text:
        text = inner
    return _HEADING.sub("", text).strip()


def _said(text: str) -> str:
    """What stands behind "the answer is" to the end of its line, else the whole text; nothing where two differ."""
    behind = [part.strip().split("\n")[0].strip() for part in re.split(_ANSWER_IS, text)[1:]]
    found = list(dict.fromkeys(filter(None, behind)))
    return (found[0] if len(found) == 1 else "") if found else text.strip()


def _folded(text: str) -> str:
    """A text in one form of each character and small letters, without commas between thousands."""
    return _THOUSANDS.sub("", unicodedata.normalize("NFKC", text).translate(_QUOTES)).casefold()


def _normal(text: str) -> str:
    """The words of a text: no capitals, no punctuation but that of numbers, no "the", no article at its beginning."""
    words = _BETWEEN.sub(" ", _folded(text)).replace("'", "").split()
    kept = [word for word in words if word != "the"] or words
    return " ".join(kept[1:] if len(kept) > 1 and kept[0] in ("a", "an") else kept)


def _exact(text: str, sample: Sample) -> bool:
    return _said(text) in sample.answers


def _normalised(text: str, sample: Sample) -> bool:
    return _normal(_said(text)) in map(_normal, sample.answers)


def _contains(text: str, sample: Sample) -> bool:
    text = _folded(text)
    found = (match.span() for answer in sample.answers for match in _whole_words(answer).finditer(text))
    return any(_stated(text, *span) for span in found)


def _whole_words(answer: str) -> re.Pattern[str]:
    """Finds an answer in a folded text, where it begins and ends with whole words, numbers or names such as "C++"."""
    words = _BETWEEN.sub(" ", _folded(answer)).split()
    between = rf"(?:{_BETWEEN.pattern})+(?:the\s+)?"
    return re.compile(rf"(?<![\w-])(?<!\d[.,])(?<!\w'){between.join(map(re.escape, words))}(?![\w+#-]|'\w|[.,]\d)")


def _stated(text: str, start: int, end: int) -> bool:
    """Whether what stands at a place in a text is said there, not denied, supposed or asked."""
    lacks = re.search(r"(?i)\b(?:no|without)\s+(?:\w+\s+)?$", text[:start])
    return not (lacks or denied(text, start, end) or _ASKED.match(text, end))


def _with_number(text: str, sample: Sample) -> bool:
    said, wanted = _number(text), [_number(answer) for answer in sample.answers]
    margin = sample.tolerance * (1 + 1e-9)  # or 0.3 would lie farther than 0.1 from 0.2
    return said is not None and any(one is not None and abs(said - one) <= margin for one in wanted)


def _number(text: str) -> float | None:
    """The one number that a text states; None where it states none, or several that differ.

    The first of these that finds any number decides: behind "the answer is", in digits, in words up to ninety-nine.
    """
    text, number = unicodedata.normalize("NFKC", text).translate(_QUOTES), rf"(?:{_DIGITS}|{_IN_WORDS})"
    for pattern in (
        rf"{_ANSWER_IS}{SURELY}(?P<number>{number}(?:{_JOINED}{number})*){_LARGER}",
        rf"(?P<number>{_DIGITS}){_LARGER}",
        rf"{_NO_THING}(?P<number>{_IN_WORDS}){_LARGER}",
    ):
        found = set(_values(text, pattern))
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def _values(text: str, pattern: str) -> Iterator[float | None]:
    """Numbers at the places of a pattern that are stated; None for one in a form that cannot be read."""
    for match in re.finditer(pattern, text):
        if _stated(text, *match.span("number")):
            yield _value(match["number"])


def _value(number: str) -> float | None:
    if not number[-1].isalpha():
        return float(number.replace(",", "")) if _PLAIN_NUMBER.fullmatch(number) else None
    words = re.split(r"[\s-]", number.lower())
    return float(sum(_WORDS[word] for word in words)) if _WORDS.keys() >= set(words) else None


_NAMED: Mapping[str, Callable[[str, Sample], bool]] = {
    "exact": _exact,
    "normalised": _normalised,
    "contains": _contains,
    "number": _with_number,
}
assert set(_NAMED) == set(SCORERS)
