"""Question -> entities: what TAD is to look for (paper, section 3.1), listed by the model or named by the caller.

Entities have a canonical form: lower case, without articles and question words. A bare noun stands as it is. An
adjective becomes ``noun with <value> <property>`` and a possessive ``Y of X``. Of a relation both sides are kept.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hide_utils.models import VLM, Prefix
from hide_utils.prompts import EXTRACTION_PROMPT, SEARCH_INSTRUCTION, Prompts  # noqa: F401  # known from here too

MAX_ENTITIES = 16  # a longer list is a model that lost the thread, and every token of it costs a map
MAX_CHARACTERS = 1000  # of a question that is searched for itself, because each of its tokens costs a map too

# A quoted opening tag that is never closed ends where the next one opens.
_TAGGED = re.compile(r"<FINAL_OUTPUT>((?:(?!<FINAL_OUTPUT>).)*?)(?:</FINAL_OUTPUT>|(?=<FINAL_OUTPUT>)|$)", re.DOTALL)
_COMMAS = re.compile("[,，、،]")  # of the scripts that a reply may be written in
_NOTHING = "nothing between the <FINAL_OUTPUT> tags"


@dataclass(frozen=True)
class Entities:
    """Entities of a question.

    Attributes:
        names: entities in canonical form, without duplicates. Empty where none could be read.
        source: ``"model"`` where the model listed them, ``"given"`` where the caller did, ``"question"`` where the
            question itself is searched for instead.
        reply: what the model wrote, for the record.
        note: what was wrong with the reply. Empty where nothing was.
    """

    names: tuple[str, ...]
    source: str
    reply: str = ""
    note: str = ""

    @property
    def text(self) -> str:
        """The comma-separated line that is searched for."""
        return ", ".join(self.names)

    @property
    def fallback(self) -> str | None:
        """Why the question itself is searched for. None where it is not."""
        return self.note if self.source == "question" else None


def clean(names: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """Names in lower case, without white space and punctuation around them, empty ones and duplicates.

    A comma within a name separates two entities. Of duplicates the first is kept.
    """
    parts = (
        " ".join(part.split()).strip(" .;:\"'。；：").lower() for name in names for part in _COMMAS.split(str(name))
    )
    return tuple(dict.fromkeys(part for part in parts if part))


def parse_entities(reply: str) -> tuple[tuple[str, ...], str]:
    """Read the entities between the ``<FINAL_OUTPUT>`` tags.

    The last pair of tags that holds something counts, since a model may quote the instruction first. A missing closing
    tag is forgiven, since the reply may have been cut.

    Returns:
        Cleaned entities, at most `MAX_ENTITIES`, and a note on what was wrong, empty where nothing was.
    """
    found = [text for text in _TAGGED.findall(reply) if text.strip(" ,\n\t")]
    if not found:
        return (), _NOTHING if "<FINAL_OUTPUT>" in reply else "the reply has no <FINAL_OUTPUT> tags"
    names = clean(found[-1].strip().splitlines()[:1])
    if len(names) > MAX_ENTITIES:
        return names[:MAX_ENTITIES], f"{len(names)} entities in the reply; the first {MAX_ENTITIES} are kept"
    return names, "" if names else _NOTHING


def entities_from_reply(question: str, reply: str) -> Entities:
    """Entities of a model's reply; the question itself where the reply holds none, with a note that says why.

    Of a question longer than `MAX_CHARACTERS` only that many are searched for.
    """
    names, note = parse_entities(reply)
    if not names:
        question = question.strip()
        cut = f", its first {MAX_CHARACTERS} of {len(question)} characters" if len(question) > MAX_CHARACTERS else ""
        note += f"; the question itself is searched for{cut}"
        return Entities((question[:MAX_CHARACTERS].strip(),), "question", reply, note)
    return Entities(names, "model", reply, note)


def given_entities(entities: list[str] | tuple[str, ...] | str) -> Entities:
    """Entities named by the caller, at most `MAX_ENTITIES`.

    Raises:
        ValueError: nothing is left after cleaning.
    """
    names = clean([entities] if isinstance(entities, str) else entities)
    if not names:
        raise ValueError("entities is empty: name at least one, or leave it None to have the model list them")
    if len(names) > MAX_ENTITIES:
        return Entities(
            names[:MAX_ENTITIES], "given", note=f"{len(names)} entities given; the first {MAX_ENTITIES} are kept"
        )
    return Entities(names, "given")


@dataclass(frozen=True)
class Extraction:
    """Entities of a question, and what listing them cost.

    Attributes:
        entities: what the model listed.
        seconds: wall clock; of a batch, an equal share.
        counts: passes, tokens and FLOPs, as if the question had been run alone.
    """

    entities: Entities
    seconds: float
    counts: Counter


class Extractor:
    """Lists the entities of a question: the model's own reply to the extraction prompt, which is text alone.

    The unchanging part of the prompt is run once and kept. It ends where the question's first token begins, so it holds
    for every question. Should a tokenizer join the two, that question is run without it. Questions announced by
    `expect` are decoded together when the first of them is asked, since a batch of short replies costs little more
    than one.

    Args:
        model: the model that lists.
        reuse_prefix: False runs the unchanging part with every question.
        max_new_tokens: most tokens of a reply.
        batch: most questions that are decoded together.
        prompts: which has the extraction prompt. None takes the model's own.
    """

    def __init__(
        self,
        model: VLM,
        reuse_prefix: bool = True,
        max_new_tokens: int = 96,
        batch: int = 32,
        prompts: Prompts | None = None,
    ) -> None:
        self.model, self.reuse_prefix, self.max_new_tokens, self.batch = model, reuse_prefix, max_new_tokens, batch
        self.reuse_prefix &= model.shares_prefix
        self.prompts = prompts or model.prompts
        self._prefix: Prefix | None = None
        self._expected: list[str] = []
        self._known: dict[str, Extraction] = {}

    def __call__(self, question: str) -> Entities:
        """Entities of one question. Whatever the model replies, there is something to search for."""
        return self.extract(question).entities

    def expect(self, questions: Iterable[str]) -> None:
        """Announce the questions that will be asked, in their order. What was known of earlier ones is forgotten."""
        self._expected, self._known = list(dict.fromkeys(questions)), {}

    def extract(self, question: str) -> Extraction:
        """Entities of a question with their cost. An expected question is run together with those behind it."""
        if question in self._known:
            return self._known[question]
        if question not in self._expected:
            return self.many([question])[0]
        first = self._expected.index(question)
        batch, self._expected = self._expected[first : first + self.batch], self._expected[first + self.batch :]
        self._known |= dict(zip(batch, self.many(batch), strict=True))
        return self._known[question]

    def many(self, questions: Sequence[str]) -> list[Extraction]:
        """Entities of several questions, decoded together."""
        prompts = [self.model.prompt(self.prompts.for_extraction(question)) for question in questions]
        if self.reuse_prefix and self._prefix is None and prompts:
            (span,) = prompts[0].texts
            static = sum(stop <= len(self.prompts.before_question) for _, stop in span.offsets)
            self._prefix = self.model.prefill(prompts[0], cut=span.start + static)
        fits = [self._prefix is not None and self._prefix.fits(prompt) for prompt in prompts]
        listed: dict[int, Extraction] = {}
        for prefix in (None,) if self._prefix is None else (self._prefix, None):
            chosen = [i for i, fit in enumerate(fits) if fit == (prefix is not None)]
            some = [prompts[i] for i in chosen]
            replies = self.model.generate_batch(some, self.max_new_tokens, "</FINAL_OUTPUT>", prefix)
            for i, reply in zip(chosen, replies, strict=True):
                counts = self.model.counts_alone(prompts[i], prefix, len(reply.ids), len(reply.ids))
                listed[i] = Extraction(entities_from_reply(questions[i], reply.text), reply.seconds, counts)
        return [listed[i] for i in range(len(prompts))]
