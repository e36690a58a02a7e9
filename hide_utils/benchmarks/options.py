"""Finds the options in a question's text, and takes off the letters that they bring along."""

from __future__ import annotations

import re
import unicodedata
from string import ascii_uppercase as LETTERS
from typing import Any

from hide_utils.prompts import ANSWER_INSTRUCTION, as_text, option_texts

# "(A) red", "A. red", "（Ａ） red": a letter of any script, in brackets (1) or before a mark (2), and the rest.
_LETTERED = re.compile(r"\s*(?:[(（\[［【]\s*([^\W\d_])\s*[)）\]］】]|([^\W\d_])[)）.．:：、])\s*(.*)", re.S)
_ALPHABETS = ("АБВГДЕЖЗ", "ΑΒΓΔΕΖΗΘ", "甲乙丙丁戊己庚辛")  # letters of options in Russian, Greek and Chinese
_ASKED = re.compile(re.escape(ANSWER_INSTRUCTION.rstrip(".")).replace("'", "['’]") + r"\.?")
_INSTRUCTION = re.compile(
    r"(?:please\s+)?(?:answer|respond|reply|select|choose|pick|give|output|write)\b.*"
    r"\b(?:options?|letters?|choices?|answers?|questions?)\b.*|(?:the\s+|your\s+)?(?:best\s+)?answer(?:\s+is)?\s*:?",
    re.I,
)


def letter_of(text: str) -> str:
    """A letter without brackets and in the plain form of its script: "B" for "(B)", "b." and "（Ｂ）"."""
    return unicodedata.normalize("NFKC", text).strip("()[].:、【】 ").upper()


def _lettered(line: str) -> tuple[str, str, bool]:
    """The letter A to Z that a text begins with or "", the text without it, and whether the letter is in brackets."""
    match = _LETTERED.fullmatch(line)
    letter = letter_of(match[1] or match[2]) if match else ""
    letter = next((LETTERS[letters.index(letter)] for letters in _ALPHABETS if letter and letter in letters), letter)
    return (letter, match[3].strip(), bool(match[1])) if match and letter in LETTERS else ("", line.strip(), False)


def leading_letter(text: str) -> str:
    """The letter that a text is, or begins with as an option does: "B" for "B", "(B)" and "B. red"; else the text."""
    return text if len(letter_of(text)) == 1 else _lettered(text)[0] or text


def split_options(asked: Any) -> tuple[str, list[str]]:
    """Split a text that ends in lines ``(A) ...``, ``(B) ...`` into the question and its options.

    A line between two options continues the one above it. The instruction to answer with a letter is left out.

    Returns:
        The question, and the options without letters: at most one where the text holds no such list.

    Raises:
        ValueError: for letters that do not follow one another, for what may be part of the last option or not, and for
            what is no text.
    """
    lines = re.split("\r\n|\r|\n", _ASKED.sub("", as_text(asked)).strip())
    read = [_lettered(line) for line in lines]
    last = max((i for i, (letter, _, _) in enumerate(read) if letter), default=-1)
    # A line of the question may look like an option, as "A. Smith's sign says what?" does. So the search goes from the
    # end, and takes the first "A" that a "B" follows.
    for start in (i for i in reversed(range(last + 1)) if read[i][0] == LETTERS[0]):
        options: list[str] = []
        for letter, rest, _ in read[start : last + 1]:
            if letter and letter == LETTERS[len(options) : len(options) + 1]:
                options.append(rest)
            elif letter:
                raise ValueError(f"option {letter} follows option {LETTERS[len(options) - 1]}: letters have to go on")
            else:
                options[-1] = f"{options[-1]} {rest}".strip()
        if len(options) > 1:
            _check_end(options[-1], lines[last + 1 :])
            return "\n".join(lines[:start]).strip(), options
    return "\n".join(lines), []


def _check_end(option: str, lines: list[str]) -> None:
    """Raises ValueError where an instruction stands within the last option, and anything else in the lines below it."""
    glued = any(_INSTRUCTION.fullmatch(option, at.end()) for at in re.finditer(r"\s+(?=[A-Z])", option))
    rest = [line.strip() for line in lines if line.strip() and not _INSTRUCTION.fullmatch(line.strip())]
    if glued or rest:
        found = " ".join([option, *rest])
        raise ValueError(f"the last option reads {found!r:.200}: put it on one line, and any instruction on its own")


def strip_letters(given: Any) -> list[str]:
    """Options, as `option_texts` reads them, without their letters where each begins with its own.

    Otherwise they stay as they are, since a single option may only look like a lettered one.

    Raises:
        ValueError: where some begin with a letter in brackets, and it is not the own letter of each; and as
            `option_texts`.
    """
    options = option_texts(given)
    read = [_lettered(option) for option in options]
    if all(rest and letter == own for (letter, rest, _), own in zip(read, LETTERS, strict=False)):
        return [rest for _, rest, _ in read]
    if any(bracketed for _, _, bracketed in read):
        raise ValueError(f"want each option after its own letter or none, not {options!r:.200}")
    return options
