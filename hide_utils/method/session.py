"""One picture before one model: the prefill that every prompt about it shares, the searches and answers on top of it.

Every prompt of the method begins with the same picture. `Session` runs that beginning once, when it is first needed;
the search, the final answer, the direct answer and every baseline continue on forks of it. With `reuse_prefix=False`
each prompt is a full pass of its own: the same outputs at the released code's cost, kept as the oracle of the tests and
of measurements.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float
from PIL import Image

from hide_utils.images import pad_to_aspect
from hide_utils.method import lpd, tad
from hide_utils.method.entities import SEARCH_INSTRUCTION, Entities
from hide_utils.models import VLM, Reply
from hide_utils.models.backends import clocked
from hide_utils.models.base import Prefix
from hide_utils.models.prompt import ProcessedImage
from hide_utils.prompts import multiple_choice

HIDE_STEPS = ("prefill", "extract", "search", "decouple", "compact", "answer")
ANSWER_TOKENS = {"choice": 16, "free": 64}  # most tokens of a reply with and without options


@dataclass(frozen=True)
class SearchAttention:
    """Attention rows of one search over the picture.

    noise: `(layers, n_noise, h, w)` rows of the instruction's tokens; semantic: `(layers, tokens, h, w)` rows of the
    entities' tokens; tokens: their texts; layers: counted from 0.
    """

    layers: tuple[int, ...]
    tokens: tuple[str, ...]
    noise: Float[np.ndarray, "layers noise h w"]
    semantic: Float[np.ndarray, "layers tokens h w"]

    def maps(self, layer: int, sigma: float) -> Float[np.ndarray, "tokens h w"]:
        """Purified maps at one of the layers (TAD)."""
        rows = np.concatenate([self.noise, self.semantic], axis=1)[self.layers.index(layer)]
        return tad.purify(rows, self.noise.shape[1], sigma)


@dataclass(frozen=True)
class Localisation:
    """Where the entities are: their tokens, one purified map each, and the merged regions in pixels."""

    entities: Entities
    tokens: tuple[str, ...]
    maps: Float[np.ndarray, "tokens h w"]
    regions: list[lpd.Region]


@dataclass
class Session:
    """One picture before one model: its shared prefill, and what the prompts on top of it cost.

    Methods of one comparison share a session; `seconds` and `counts` say what each step took, so that each method can
    be charged for everything it needs, the prefill included, as if it had run alone.

    image: RGB picture. reuse_prefix: False runs every prompt from its first token. early_exit: False runs a search's
    pass to its end. second_pixels: most pixels of a picture behind the session's own; None: the model's. entities,
    localisations: what was found so far, by question (and settings).
    """

    model: VLM
    image: Image.Image
    reuse_prefix: bool = True
    early_exit: bool = True
    second_pixels: int | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    counts: dict[str, Counter] = field(default_factory=dict)
    peaks: dict[str, int] = field(default_factory=dict)
    entities: dict[str, Entities] = field(default_factory=dict, repr=False)
    localisations: dict[tuple, Localisation] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.image = _fitting(self.model, self.image)

    @cached_property
    def _shared(self) -> tuple[ProcessedImage, Prefix | None]:
        with self.timed("prefill"):
            picture = self.model.prepare(self.image)
            return picture, self.model.prefill(self.model.prompt(picture, "?")) if self.reuse_prefix else None

    @contextmanager
    def timed(self, step: str):
        """Charge seconds and token counts of the block to ``step``, replacing what an earlier run of it cost."""
        before = Counter(self.model.counts)
        with clocked(self.model.device) as clock:
            yield
        self.seconds[step] = clock.seconds
        if clock.peak is not None:
            self.peaks[step] = clock.peak
        self.counts[step] = Counter(self.model.counts) - before

    def cost(self, steps: Iterable[str]) -> tuple[float, dict[str, int]]:
        """Seconds and summed counts of the steps, those that did not run left out."""
        ran = [step for step in steps if step in self.seconds]
        total: Counter = sum((self.counts[step] for step in ran), Counter())
        return sum(self.seconds[step] for step in ran), dict(total)

    def peak(self, steps: Iterable[str]) -> int | None:
        """Most bytes that the CUDA allocator held in any of the steps, weights included; None elsewhere."""
        return max((self.peaks[step] for step in steps if step in self.peaks), default=None)

    def beside(self) -> Session:
        """A session for another question about the same picture: the prefill is shared, accounts and findings not."""
        other = Session(self.model, self.image, self.reuse_prefix, self.early_exit, self.second_pixels)
        if "_shared" in vars(self):  # a cached property, filled when first needed
            vars(other)["_shared"] = self._shared
            for account in ("seconds", "counts", "peaks"):
                mine = getattr(self, account)
                getattr(other, account).update({step: mine[step] for step in ("prefill",) if step in mine})
        return other

    def search(self, entities: Entities, layers: Iterable[int]) -> SearchAttention:
        """Attention rows of the search prompt at the layers (counted from 0), in one pass that stops after the last."""
        text = f"{SEARCH_INSTRUCTION} {entities.text}"
        picture, prefix = self._shared
        with self.timed("search"):
            prompt = self.model.prompt(picture, text)
            (span,) = prompt.texts
            noise = span.positions(0, len(SEARCH_INSTRUCTION))
            semantic = entity_positions(span.positions, text, entities)
            if not semantic:
                raise ValueError(f"no token of {entities.text!r} could be located; name the entities in plain words")
            rows = self.model.capture(prompt, noise + semantic, tuple(layers), prefix, self.early_exit)
        tokens = tuple(span.characters(i).strip() for i in semantic)
        (maps,) = rows.maps
        return SearchAttention(tuple(rows.layers), tokens, maps[:, : len(noise)], maps[:, len(noise) :])

    def rows_of_last(self, text: str, layers: Iterable[int], step: str = "last") -> Float[np.ndarray, "layers h w"]:
        """Rows over the picture of the position that predicts the reply's first token, when `text` is asked about it.

        `(layers, h, w)`, layers (counted from 0) ascending; the cost is charged to `step`. With `multiple_choice(...)`
        as the text it is the attention of the first answer token, with a content-free text the reference of ViCrop's
        relative attention.
        """
        picture, prefix = self._shared
        with self.timed(step):
            prompt = self.model.prompt(picture, text)
            (maps,) = self.model.capture(prompt, [len(prompt) - 1], layers, prefix).maps
        return maps[:, 0]

    def answer(
        self,
        question: str,
        options: list[str] | None = None,
        second: Image.Image | None = None,
        step: str = "answer",
        style: str = "letters",
        limit: int | None = None,
    ) -> Reply:
        """Greedy reply to the question about the picture, with a second picture (RGB) behind it where there is one."""
        pictures = [self.image] + ([] if second is None else [second])
        return self.answer_from(pictures, question, options, step, style, limit)

    def answer_from(
        self,
        pictures: Sequence[Image.Image],
        question: str,
        options: list[str] | None = None,
        step: str = "answer",
        style: str = "letters",
        limit: int | None = None,
    ) -> Reply:
        """Greedy reply to a question about any RGB pictures; the session's own, if it comes first, is not run again.

        style: wording of the prompt, a name in `hide_utils.prompts.STYLES`. limit: most tokens of the reply; None:
        as in `ANSWER_TOKENS`.
        """
        own = pictures[0] is self.image
        picture, prefix = self._shared if own else (None, None)
        with self.timed(step):
            most = self.second_pixels if own else None
            more = [self.model.prepare(_fitting(self.model, image), most) for image in pictures[1 if own else 0 :]]
            known = [picture] if picture else []
            prompt = self.model.prompt(*known, *more, multiple_choice(question, options, style))
            limit = limit or ANSWER_TOKENS["choice" if options else "free"]
            return self.model.generate(prompt, max_new_tokens=limit, prefix=prefix)


def _fitting(model: VLM, image: Image.Image) -> Image.Image:
    return pad_to_aspect(image, model.max_aspect) if model.max_aspect else image


def entity_positions(positions: Callable[[int, int], list[int]], text: str, entities: Entities) -> list[int]:
    """Token positions of the entities' own words in the search text; the commas between them are no entity's."""
    found, at = [], len(SEARCH_INSTRUCTION) + 1
    for name in entities.names:
        found += positions(at, at + len(name))
        at += len(name) + len(", ")
    if at - len(", ") != len(text):
        raise ValueError(f"the search text {text!r} does not consist of the instruction and the entities")
    return found
