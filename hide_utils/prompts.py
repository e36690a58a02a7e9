"""Texts of the prompts that methods, training data and measurements have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from string import ascii_uppercase

ANSWER_INSTRUCTION = "Answer with the option's letter from the given choices directly."


def option_lines(options: list[str] | None) -> str:
    """Options as lines ``A. red``; an empty string without options."""
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


# A benchmark whose published numbers rest on its own wording keeps it; a sample names its style.
STYLES: Mapping[str, Callable[[str, list[str]], str]] = {
    "letters": _letters,  # V*Bench, HR-Bench, the scenes: lines "A. red" and the instruction, once
    "mme_realworld": _mme_realworld,  # MME-RealWorld, as its own page prints it
}


def multiple_choice(question: str, options: list[str] | None, style: str = "letters") -> str:
    """Question, lettered options and the answer instruction (once); the bare question where there are no options.

    style: a name in `STYLES`.

    Raises:
        ValueError: one option only, or more than 26: neither is a choice that a letter can state; an unknown style.
    """
    if style not in STYLES:
        raise ValueError(f"unknown prompt style {style!r}; known: {', '.join(STYLES)}")
    if not options:
        return question
    if not 2 <= len(options) <= 26:
        raise ValueError(
            f"{len(options)} option(s): a multiple-choice question has 2 to 26; pass options=None for a free answer"
        )
    return STYLES[style](question, options)
