"""Words of the question prompt, which methods, training data and measurements have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from string import ascii_uppercase

# The words of the paper's answer prompt.
ANSWER_INSTRUCTION = "Answer with the option's letter from the given choices directly."
# ViCrop's reference prompt, which asks for nothing in particular (Zhang et al., ICLR 2025).
CONTENT_FREE = "Write a general description of the image."


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


def multiple_choice(question: str, options: list[str] | None, style: str = "letters") -> str:
    """The prompt of a question: its text, its lettered options and the instruction to answer with a letter.

    Args:
        question: text without the options. Space around it is left out, for every method alike.
        options: 2 to 26 texts without their letters. Without any, the prompt is the question alone.
        style: the wording, a name in `STYLES`.

    Raises:
        ValueError: for one option or more than 26, since a letter can state no such choice, and for an unknown style.
    """
    if style not in STYLES:
        raise ValueError(f"unknown prompt style {style!r}; known: {', '.join(STYLES)}")
    question = question.strip()
    if not options:
        return question
    if not 2 <= len(options) <= 26:
        raise ValueError(
            f"{len(options)} option(s): a multiple-choice question has 2 to 26; pass options=None for a free answer"
        )
    return STYLES[style](question, options)
