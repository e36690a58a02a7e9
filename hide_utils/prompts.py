"""Words of the prompts, which methods, training data and measurements have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from numbers import Number
from os import PathLike
from pathlib import Path
from string import ascii_uppercase
from typing import Any

# The words of the paper's search and answer prompts, and of this project's prompt that lists a question's entities.
SEARCH_INSTRUCTION = "Search the following entities in the images:"
ANSWER_INSTRUCTION = "Answer with the option's letter from the given choices directly."
SHORT_INSTRUCTION = "Answer the question using a single word or phrase."  # as LLaVA-1.5 words it, and many after it
EXTRACTION_PROMPT = """\
List the entities of the last question, so that each can be found in an image. \
Write one line between <FINAL_OUTPUT> and </FINAL_OUTPUT>, separated by commas, in lower case, without articles. \
Write an adjective as with, its value and its property; write a possessive with of; drop relations and keep both sides.
Question: What is written on the large blue truck?
<FINAL_OUTPUT> truck with large size with blue color </FINAL_OUTPUT>
Question: Is the dog on the left of the scooter?
<FINAL_OUTPUT> dog, scooter </FINAL_OUTPUT>
Question: What is the brand of the woman's bag?
<FINAL_OUTPUT> bag of woman </FINAL_OUTPUT>
Question:"""
QUESTION = "{question}"  # its place in an extraction prompt
TAGS = ("<FINAL_OUTPUT>", "</FINAL_OUTPUT>")  # around the entities in a reply
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


def quoted(reply: str, letter: str | None, options: list[str] | None) -> str:
    """A reply as it is printed: in quotes, with the text of the option whose letter was read off it."""
    named = f" ({options[ascii_uppercase.index(letter)]})" if letter and options else ""
    return f"{reply!r}{named}"


def _letters(question: str, options: list[str], instruction: str = ANSWER_INSTRUCTION) -> str:
    return f"{question}{option_lines(options)}\n{instruction}"


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
# The same of a question without options: what stands below it. Those of `STYLES` leave the question alone too.
FREE_STYLES: Mapping[str, str] = {
    "short": SHORT_INSTRUCTION,
    "question": "",
    "row and column": "Answer with <row>ROW</row><col>COLUMN</col>, as in <row>3</row><col>2</col>.",  # ComplexGrid
}


def multiple_choice(
    question: str, options: Iterable[Any] | None, style: str = "letters", instruction: str = ANSWER_INSTRUCTION
) -> str:
    """The prompt of a question: its text, its lettered options and the instruction to answer with a letter.

    Without options it is the question, and what the style asks for.

    Args:
        question: text without the options. Space around it is left out, for every method alike.
        options: 2 to 26 texts without their letters, as `option_texts` reads them. Without any, a free answer.
        style: the wording, a name in `STYLES`, or in `FREE_STYLES` without options.
        instruction: stands below the options. One of one's own takes the place of a style's whole wording.

    Raises:
        ValueError: for one option or more than 26, since a letter can state no such choice, for an unknown style, and
            for one without options where there are some.
    """
    if style not in (*STYLES, *FREE_STYLES):
        raise ValueError(f"unknown prompt style {style!r}; known: {', '.join([*STYLES, *FREE_STYLES])}")
    question, options = question.strip(), [] if options is None else option_texts(options)
    if not options:
        return f"{question}\n{FREE_STYLES.get(style, '')}".strip()
    if style not in STYLES:
        raise ValueError(f"prompt style {style!r} is for questions without options; with them: {', '.join(STYLES)}")
    if not 2 <= len(options) <= 26:
        raise ValueError(
            f"{len(options)} option(s): a multiple-choice question has 2 to 26; pass options=None for a free answer"
        )
    if instruction != ANSWER_INSTRUCTION:
        return _letters(question, options, instruction)
    return STYLES[style](question, options)


@dataclass(frozen=True)
class Prompts:
    """What the method tells a model to do, in any language. Space around each text is left out.

    Attributes:
        search: stands before the entities. The attention of its tokens is the noise prior, however many they are.
        answer: stands below the options. One of one's own takes the place of a benchmark's wording in `STYLES` too.
        extraction: has the model list the entities of the question that stands at ``{question}``, between `TAGS`.

    Raises:
        ValueError: a text is empty or none, or the extraction prompt lacks the place or the tags.
    """

    search: str = SEARCH_INSTRUCTION
    answer: str = ANSWER_INSTRUCTION
    extraction: str = f"{EXTRACTION_PROMPT} {QUESTION}"

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            try:
                text = as_text(value)
            except ValueError as error:
                raise ValueError(f"prompt {name!r}: {error}") from None
            if not text:
                raise ValueError(f"prompt {name!r} is empty: write an instruction, or leave it out for the usual one")
            object.__setattr__(self, name, text)
        if (places := self.extraction.count(QUESTION)) != 1:
            raise ValueError(f"prompt 'extraction' has {places} places for the question: write {QUESTION} in it once")
        if absent := [tag for tag in TAGS if tag not in self.extraction]:
            raise ValueError(
                f"prompt 'extraction' lacks {' and '.join(absent)}: have the model list the entities between them"
            )

    @classmethod
    def of(cls, given: Prompts | Mapping[str, Any] | str | PathLike | None) -> Prompts:
        """Prompts as they are, or of a mapping, or of a YAML or JSON file with one. What is not named is as usual.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file holds no mapping, or what is named is no prompt, besides what the class refuses.
        """
        if isinstance(given, Prompts):
            return given
        where = ""
        if isinstance(given, (str, PathLike)):
            where, given = f"{given}: ", _read_mapping(Path(given))
        known = [field.name for field in fields(cls)]
        for name, text in (given or {}).items():
            if name not in known:
                raise ValueError(f"{where}unknown prompt {name!r}; known: {', '.join(known)}")
            if not isinstance(text, str):
                raise ValueError(f"{where}prompt {name!r}: want a text, not {text!r:.80}")
        try:
            return cls(**(given or {}))
        except ValueError as error:
            raise ValueError(f"{where}{error}") from None

    @property
    def own(self) -> dict[str, str]:
        """The texts that are not the usual ones, by name."""
        return {name: text for name, text in asdict(self).items() if text != getattr(Prompts, name)}

    @property
    def before_question(self) -> str:
        """The unchanging beginning of the extraction prompt."""
        return self.extraction.partition(QUESTION)[0].rstrip()

    def for_search(self, entities: str) -> str:
        """The prompt that searches for entities."""
        return f"{self.search} {entities}"

    def for_extraction(self, question: str) -> str:
        """The prompt that has a question's entities listed."""
        before, _, after = self.extraction.partition(QUESTION)
        return f"{before}{question}{after}"

    def for_answer(self, question: str, options: Iterable[Any] | None, style: str = "letters") -> str:
        """The prompt of a question, by `multiple_choice`."""
        return multiple_choice(question, options, style, self.answer)


def _read_mapping(file: Path) -> Mapping[str, Any]:
    import yaml  # only here: most runs have no such file

    if not file.is_file():
        raise FileNotFoundError(f"no file of prompts at {file}")
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: no YAML in UTF-8 ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict):
        raise ValueError(f"{file}: want a mapping with some of search, answer and extraction, not {content!r:.80}")
    return content
