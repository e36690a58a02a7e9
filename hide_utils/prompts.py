"""Words of the question prompt, which methods, training data and measurements have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from numbers import Number
from string import ascii_uppercase
from typing import Any

# The words of the paper's answer prompt.
ANSWER_INSTRUCTION = "Answer with the option's letter from the given choices directly."
# ViCrop's reference prompt, which asks for nothing in particular (Zhang et al., ICLR 2025).
CONTENT_FREE = "Write a general description of the image."


def as_text(value: Any) -> str:
    """A text without surrounding space, or a number as text; "" for a gap, which may be None or NaN.

    Tables turn whole numbers into 1.0 where their column has a gap, so that one loses its ".0".

    Raises:
        ValueError: for anything else, and for a text with half a character.
    """
    if isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise ValueError(f"half a character in {value!a:.80}: correct the text")
        return value.strip()
    if value is None or str(value).casefold() in ("nan", "<na>"):
        return ""
    if isinstance(value, Number):
        return str(value).removesuffix(".0")
    raise ValueError(f"want a text, not {value!r:.80}")


def option_texts(options: Any) -> list[str]:
    """Options as a list of texts: those of a list, of an array, or of a mapping from letters.

    Raises:
        ValueError: for anything else, and for a gap before another option.
    """
    if isinstance(options, Mapping):
        named = {str(letter).strip("(). ").upper(): option for letter, option in options.items()}
        if set(named) <= set(ascii_uppercase):
            options = [named.get(letter) for letter in ascii_uppercase]
    options = options.tolist() if hasattr(options, "tolist") else options
    if not isinstance(options, (list, tuple)):
        raise ValueError(f"want a list of texts, not {options!r:.80}")
    texts = [as_text(option) for option in options]
    while texts and not texts[-1]:
        texts.pop()
    if "" in texts:
        raise ValueError(f"want a list of texts, but option {texts.index('') + 1} of {len(texts)} is empty")
    return texts


def option_lines(options: list[str] | None) -> str:
    """Options as lines ``A. red``, each begun by a line end; an empty text without options."""
    return "".join(f"\n{ascii_uppercase[i]}. {option}" for i, option in enumerate(options or []))


def _letters(question: str, options: list[str]) -> str:
    return f"{question}{option_lines(options)}\n{ANSWER_INSTRUCTION}"


def _mme_realworld(question: str, options: list[str]) -> str:
    lines = "".join(f"({ascii_uppercase[i]}) {option}\n" for i, option in enumerate(options))
    *first, last = list(ascii_uppercase[: len(options)])
    letters = f"{', '.join(first)}{',' if len(first) > 1 else ''} or {last}"
    return (
        f"{question} The choices are listed below:\n{lines}"
        "Select the best answer to the above multiple-choice question based on the image. "
        f"Respond with only the letter ({letters}) of the correct option.\nThe best answer is:"
    )


# Name of a wording -> the prompt of a question and its options. A benchmark whose published numbers rest on a wording
# of its own keeps it, and its samples name it as their style.
STYLES: Mapping[str, Callable[[str, list[str]], str]] = {
    "letters": _letters,  # V*Bench, HR-Bench and the scenes: lines "A. red", then the instruction
    "mme_realworld": _mme_realworld,  # MME-RealWorld, as its own page prints it
}


def multiple_choice(question: str, options: Iterable[Any] | None, style: str = "letters") -> str:
    """The prompt of a question: its text, its lettered options and the instruction to answer with a letter.

    Args:
        question: text without the options. Space around it is left out, for every method alike.
        options: 2 to 26 texts without their letters, as `option_texts` reads them. Without any, the prompt is the
            question alone.
        style: the wording, a name in `STYLES`.

    Raises:
        ValueError: for one option or more than 26, since a letter can state no such choice, and for an unknown style.
    """
    if style not in STYLES:
        raise ValueError(f"unknown prompt style {style!r}; known: {', '.join(STYLES)}")
    question, options = question.strip(), [] if options is None else option_texts(options)
    if not options:
        return question
    if not 2 <= len(options) <= 26:
        raise ValueError(
            f"{len(options)} option(s): a multiple-choice question has 2 to 26; pass options=None for a free answer"
        )
    return STYLES[style](question, options)
