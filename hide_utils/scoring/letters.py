"""Reads the option letter off a reply, under a protocol with a name.

Compare methods only under the same protocol. A parser that guesses is easily wrong: "Answer: C" begins with an A,
"Color is red, (D)" begins with a C, and the last character of "C." is a full stop. Under `strict` a letter counts only
where the reply states it as its answer. A reply that states none, or several, has no letter.
"""

import math
import re
import string
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hide_utils.prompts import option_texts

# Name of a protocol -> what it does.
PROTOCOLS: Mapping[str, str] = {
    "strict": "a letter stated as the answer; none or several stated: None",
    "last-char": "the reply's last character (the authors' code)",
    "first-letter": "the first capital option letter anywhere, after stock phrases are cut (MME-RealWorld)",
    "logits": "the most likely option letter at the first answer token; nothing is parsed (letter_from_logits)",
}

# Patterns that look for letters are compiled with re.ASCII: Chinese writes a letter between words without a space.
# A letter that is named: "(b)", "[B]", or a capital on its own. "C++", "A4", "B-52" and "D's" name none.
_LETTER = r"(?:\(\s*[A-Za-z]\s*\)|\[\s*[A-Za-z]\s*\]|(?<![\w'.])[A-Z](?![\w'+]|-\w))"
# A small letter counts only where it cannot be an article: in "the answer is a.", but not in "the answer is a dog".
_SMALL = r"(?<![\w'])[a-z](?=\s*(?:[.,;:!)\]]|$))"
# What joins several letters: "A, or possibly B".
_AND = r"\s*(?:,\s*or\b|,\s*and\b|,|/|&|\+|\bor\b|\band\b)\s*(?:(?:maybe|perhaps|possibly|even)\s+)?"
# One letter, or several that are joined, and no question mark after them.
_NAMED = rf"(?P<named>(?>(?:{_LETTER}|{_SMALL})(?:{_AND}{_LETTER})*))(?!\s*\?)"
# Words that may stand between a phrase and its letter.
SURELY = r"(?:(?:probably|likely|most|clearly|definitely|indeed|therefore|thus|the|option|choice|letter)\s*)*"
_BE = r"(?:\s+(?:is|are|would\s+be|should\s+be|must\s+be|will\s+be))?"

# Phrases that name the answer: "the answer is C", "C is correct", "I choose C", "it is C".
_ANSWER_IS = re.compile(
    rf"(?i:(?:\b(?:answer|ans)(?:\.(?=\s))?|答案|选项|选择?)(?:是|为)?{_BE}\s*(?:[:=>→–—-]+\s*)?{SURELY}){_NAMED}",
    re.M | re.A,
)
_IS_ANSWER = re.compile(
    rf"(?P<named>{_LETTER})\s+(?i:(?:is|would\s+be)\s+(?:the\s+)?"
    r"(?:correct\b|(?:right|best)\s+(?:answer|option|choice)|answer))",
    re.A,
)
_CHOICE = re.compile(
    rf"(?i:\b(?:option|choice|choose|select|pick|go(?:ing)?\s+(?:with|for)|i(?:\s+would|'d)?\s+say|letter){_BE}\s*[:]?\s*"
    rf"{SURELY}){_NAMED}",
    re.M | re.A,
)
_IT_IS = re.compile(
    rf"(?i:\b(?:it's|that's|(?:it|this|that)\s+(?:is|(?:must|should|would)\s+be)|i\s+(?:think|believe))\s+{SURELY}){_NAMED}",
    re.M | re.A,
)

_DENIED_BEFORE = re.compile(r"(?i)\b(?:not|never|neither|nor|cannot|hardly|unlikely|unsure)\b|n't\b")
_DENIED_AFTER = re.compile(r"(?i)\s*(?:is|are|was|seems)(?:n't|\s+(?:not|wrong|incorrect|false|inaccurate|unlikely))\b")
_SUPPOSED = re.compile(r"(?i)\b(?:if|unless|whether)\b")
_CLAUSE = re.compile(r"(?i)[.!?;,:\n]|\b(?:so|but|hence|thus|therefore)\b")
# After an "A", any small word but these makes it an article.
_AFTER_LETTER = re.compile(r"\s+(?!(?:is|because|since|as|with|which|for|based|given|due|or|and|but|in\s+the)\b)[a-z]")
_STOCK_PHRASES = re.compile(r"(?i)(?:the\s+)?(?:(?:best|correct)\s+)?(?:answer|option)(?:\s+is\b|\s*:)|the answer")


def parse_letter(reply: str, options: Iterable[Any], protocol: str = "strict") -> str | None:
    """The option letter that a reply gives.

    Args:
        reply: decoded text of the model.
        options: the texts behind the letters, 1 to 26, as `hide_utils.prompts.option_texts` reads them.
        protocol: a name in `PROTOCOLS`, except "logits", which reads no reply.

    Returns:
        "A" for `options[0]`, "B" for `options[1]` and so on; None where the protocol finds no letter.

    Raises:
        ValueError: for an unknown protocol, for "logits", for no options and for more than 26.
        TypeError: for a reply that is not text.
    """
    if not isinstance(reply, str):
        raise TypeError(f"the reply is {type(reply).__name__}, not text: pass the decoded reply")
    texts = option_texts(options)
    if not 1 <= len(texts) <= 26:
        raise ValueError(f"options={texts!r}: give a list of 1 to 26 option texts")
    letters = string.ascii_uppercase[: len(texts)]
    if protocol == "strict":
        return _strict(_normalized(reply), texts, letters)
    if protocol == "last-char":
        last = reply.strip()[-1:]
        return last if last and last in letters else None
    if protocol == "first-letter":
        return next((c for c in _STOCK_PHRASES.sub("", reply) if c in letters), None)
    if protocol == "logits":
        raise ValueError("protocol 'logits' reads no reply: use letter_from_logits with the model's letter logits")
    raise ValueError(f"unknown protocol {protocol!r}: choose one of {', '.join(PROTOCOLS)}")


def letter_from_logits(logits: Mapping[str, float]) -> str | None:
    """The letter with the largest logit; None on a tie.

    Args:
        logits: letter -> its logit at the first token of the answer.

    Raises:
        ValueError: without letters, and where a logit is NaN.
    """
    if not logits or any(math.isnan(value) for value in logits.values()):
        raise ValueError(f"logits={dict(logits)}: need one number per option letter")
    best = max(logits.values())
    winners = [letter for letter, value in logits.items() if value == best]
    return winners[0] if len(winners) == 1 else None


def probabilities(logits: Mapping[str, float]) -> dict[str, float]:
    """How the model divides its answer among the letters: the softmax over their logits alone.

    Args:
        logits: letter -> its logit at the first token of the answer; at least one.

    Returns:
        Letter -> probability in [0, 1]; they add up to 1.
    """
    best = max(logits.values())
    weights = {letter: math.exp(value - best) for letter, value in logits.items()}
    return {letter: weight / sum(weights.values()) for letter, weight in weights.items()}


def margin(logits: Mapping[str, float]) -> float:
    """How sure a model is of its answer: the best letter's logit minus the second's, of at least two letters."""
    second, best = sorted(logits.values())[-2:]
    return best - second


def without_thoughts(reply: str) -> str:
    """The reply without its chain of thought; nothing is left where that was cut off."""
    return re.sub(r"(?s)<think>.*?(?:</think>|$)", "", reply).split("</think>")[-1]


def _normalized(reply: str) -> str:
    """The reply without typography and mark-up: full-width forms, Markdown, LaTeX and chains of thought.

    What LaTeX boxes or <answer> encloses becomes "Answer: ...".
    """
    text = unicodedata.normalize("NFKC", reply).translate({0x2018: "'", 0x2019: "'"})
    text = without_thoughts(text)
    text = re.sub(r"\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"\\boxed\s*\{([^{}]*)\}", r" Answer: \1 ", text)
    text = re.sub(r"(?i)<answer>(.*?)</answer>", r" Answer: \1 ", text)
    text = re.sub(r"(?<![\w'])['<]([A-Za-z])['>](?!\w)", r"\1", re.sub(r"[“”]", '"', text))
    return re.sub(r"[*`$#_\"]+|</?\w+>", "", text).strip()


def _strict(text: str, options: Sequence[str], letters: str) -> str | None:
    """The letter under the protocol "strict"; `letters` are those of the options.

    The first of these that finds any letter decides: the letter alone, the option as printed, the phrases that name an
    answer from the plainest to the weakest, the only letter that is named.
    """
    alone = re.fullmatch(r"[(\[{\"'<]*([A-Za-z])[)\]}\"'>.,:;!]*", text)
    if alone:
        found = {alone[1].upper()}
    elif not (found := _with_its_text(text, options, letters)):
        found = (
            _stated(text, _ANSWER_IS, _IS_ANSWER)
            or _stated(text, _CHOICE)
            or _stated(text, _IT_IS)
            or _only_letter(text, max(letters[-1], "E"))
        )
    return found.pop() if len(found) == 1 and found <= set(letters) else None


def _with_its_text(text: str, options: Sequence[str], letters: str) -> set[str]:
    """The letter of the option that the whole reply repeats as it was printed: "B left", "(B) Gate A".

    A small letter at the beginning may be an article, as in "a red car", and finds none.
    """
    if re.match(r"[a-z]\s", text):
        return set()
    fold = lambda s: re.sub(r"[\W_]+", " ", s.casefold()).strip()  # noqa: E731
    return {letter for letter, option in zip(letters, options, strict=True) if fold(text) == fold(f"{letter} {option}")}


def _stated(text: str, *patterns: re.Pattern[str]) -> set[str]:
    """Letters that one of the phrases names as the answer, unless it is denied or only supposed."""
    found = set()
    for pattern in patterns:
        for match in pattern.finditer(text):
            start, end = match.span("named")
            article = match["named"] == "A" and _AFTER_LETTER.match(text, end)
            if not article and not denied(text, match.start(), end):
                found |= set(re.findall(r"[A-Z]", re.sub(r"\b[a-z]\b", lambda m: m[0].upper(), match["named"])))
    return found


def denied(text: str, start: int, end: int) -> bool:
    """Whether the letters in text[start:end] are denied in their clause, or supposed in their sentence."""
    sentence = re.split(r"[.!?;\n]", text[:start])[-1]
    clause = _CLAUSE.split(text[:start])[-1]
    return bool(_SUPPOSED.search(sentence) or _DENIED_BEFORE.search(clause) or _DENIED_AFTER.match(text, end))


def _only_letter(text: str, last: str) -> set[str]:
    """The only letter that is named anywhere, if it is in brackets or stands where answers stand.

    Returns:
        That letter; all letters up to `last` that are named, if there are several; none otherwise.
    """
    mentions = [m for m in _mentions(text) if m[0].strip("()[] ").upper() <= last]
    found = {m[0].strip("()[] ").upper() for m in mentions}
    if len(found) > 1:
        return found
    for m in mentions:
        opens_line = re.search(r"(?:^|\n)\s*$", text[: m.start()])
        closes_text = re.search(r"[,:;.–—>→-]\s*$", text[: m.start()]) and not text[m.end() :].strip(" .!)]")
        delimited = re.match(r"\s*(?:[.):,;]|[–—-]\s|\n|$)", text[m.end() :])
        placed = m[0][0] in "([" or (opens_line and delimited) or closes_text
        if placed and not denied(text, m.start(), m.end()):
            return found
    return set()


def _mentions(text: str) -> Iterator[re.Match[str]]:
    """Every named letter that is neither the article A nor the pronoun I."""
    for match in re.finditer(rf"(?<!\w){_LETTER}", text, re.A):
        if not (match[0] == "I" or (match[0] == "A" and _AFTER_LETTER.match(text, match.end()))):
            yield match
