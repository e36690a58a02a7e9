"""Pictures before one model: the prefill that every prompt about them shares, and the prompts on top of it.

Every prompt of the method begins with the same pictures, mostly one. A `Session` runs that beginning once, when needed.
The search, the final answer, the direct answer and every baseline continue on forks of it. With `reuse_prefix=False`
each prompt is a full pass of its own: the same outputs at the released code's cost, for tests and measurements.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import InitVar, dataclass, field, replace

import numpy as np
from jaxtyping import Float
from PIL import Image

from hide_utils.images import pad_to_aspect
from hide_utils.method.entities import Entities, Extraction
from hide_utils.method.rows import SearchAttention, entity_positions
from hide_utils.method.shared import Batch, Localisation, SharedPrefill, the_only
from hide_utils.models import VLM, Cost, Prefix, ProcessedImage, Reply, clocked
from hide_utils.prompts import Prompts

HIDE_STEPS = ("prefill", "extract", "search", "decouple", "compact", "answer")
ANSWER_TOKENS = {"choice": 16, "free": 64}  # most tokens of a reply with and without options


@dataclass
class Session:
    """Pictures before one model, and what each prompt about them costs.

    The methods of a comparison share a session. Each can be charged for every step that it needs, the prefill included,
    as if it had run alone.

    Attributes:
        model: the model that is asked.
        given: RGB picture, or several.
        reuse_prefix: False runs every prompt from its first token, as it is where the model's prompts share none.
        early_exit: False runs a search's pass to its end.
        second_pixels: most pixels of a picture behind the session's own. None leaves that to the model.
        prompts: what the model is told to do.
        shared: the prefill, which `beside` hands on.
        costs: of each step so far.
        entities: what was listed so far, by question.
        localisations: what was located so far, by question, settings and entities. The one last asked for is the last.
        awaited: texts that will be asked about the same pictures, from `expect`.
        batches: what was answered together so far.
        images: the given pictures, each padded where it is longer than the model's processor takes.
    """

    model: VLM
    given: InitVar[Image.Image | Sequence[Image.Image]]
    reuse_prefix: bool = True
    early_exit: bool = True
    second_pixels: int | None = None
    prompts: Prompts = Prompts()
    shared: SharedPrefill = field(default_factory=SharedPrefill, repr=False)
    costs: dict[str, Cost] = field(default_factory=dict)
    entities: dict[str, Extraction] = field(default_factory=dict, repr=False)
    localisations: dict[tuple, Localisation] = field(default_factory=dict, repr=False)
    awaited: tuple[str, ...] = ()
    batches: list[Batch] = field(default_factory=list, repr=False)
    images: tuple[Image.Image, ...] = field(init=False)

    def __post_init__(self, given: Image.Image | Sequence[Image.Image]) -> None:
        pictures = [given] if isinstance(given, Image.Image) else given
        self.images = tuple(_padded(self.model, image) for image in pictures)
        self.reuse_prefix &= self.model.shares_prefix

    @property
    def image(self) -> Image.Image:
        """The picture of a session that has one; ValueError where it has several."""
        return the_only(self.images)

    def beside(self) -> Session:
        """A session for another question about the same pictures. The prefill is shared, costs and findings are not."""
        same = self.reuse_prefix, self.early_exit, self.second_pixels, self.prompts, self.shared
        return Session(self.model, self.images, *same)

    def alone(self) -> Session:
        """This session with nothing charged yet: what runs in it is charged as if nothing had run before."""
        return replace(self, given=self.images, costs={})

    def located(self, key: tuple, locate: Callable[[Session], Localisation]) -> Localisation:
        """A localisation that is run once. All who ask for it are charged what it cost, whatever ran in between.

        Args:
            key: all that it depends on besides the picture.
            locate: runs it in the session that it is given.
        """
        found = self.localisations.pop(key, None)
        if found is None:
            alone = self.alone()
            found = replace(locate(alone), costs=alone.costs)
        self.localisations[key] = found
        self.costs |= found.costs
        return found

    @property
    def seconds(self) -> dict[str, float]:
        """Wall clock of each step."""
        return {step: cost.seconds for step, cost in self.costs.items()}

    @property
    def counts(self) -> dict[str, Counter]:
        """Forward passes, tokens and FLOPs of each step."""
        return {step: cost.counts for step, cost in self.costs.items()}

    def prepare(self) -> None:
        """Prepare the pictures ahead of the prefill, which is charged for it. A thread may, while the model runs."""
        began = time.perf_counter()
        pictures = tuple(map(self.model.prepare, self.images))
        self.shared.pictures, self.shared.prepared = pictures, time.perf_counter() - began

    def prefill(self) -> tuple[tuple[ProcessedImage, ...], Prefix | None]:
        """The pictures as the model takes them, and the prefix that prompts continue; run where it was not run yet.

        Every session that needs it is charged for it in full, whichever of them ran it.
        """
        shared = self.shared
        if not shared.pictures or shared.cost is None:
            with self.timed("prefill"):
                pictures, prefix = shared.pictures or tuple(map(self.model.prepare, self.images)), None
                if self.reuse_prefix:
                    prompt = self.model.prompt(*pictures, "?")
                    last = prompt.images[-1]
                    prefix = self.model.prefill(prompt, last.stop + last.closed)
            cost = self.costs["prefill"]
            shared.pictures, shared.prefix = pictures, prefix
            shared.cost = cost._replace(seconds=shared.prepared + cost.seconds)
        self.costs["prefill"] = shared.cost
        return shared.pictures, shared.prefix

    @contextmanager
    def timed(self, step: str):
        """Charge seconds and counts of the block to a step, in place of what an earlier run of it cost."""
        before = Counter(self.model.counts)
        with clocked(self.model.device) as clock:
            yield
        self.costs[step] = Cost(clock.seconds, Counter(self.model.counts) - before, clock.peak)

    def cost(self, steps: Iterable[str]) -> tuple[float, dict[str, int]]:
        """Seconds and summed counts of the steps. Those that did not run are left out."""
        ran = [self.costs[step] for step in steps if step in self.costs]
        total: Counter = sum((cost.counts for cost in ran), Counter())
        return sum(cost.seconds for cost in ran), dict(total)

    def peak(self, steps: Iterable[str]) -> int | None:
        """Most bytes that the CUDA allocator held in any of the steps, weights included. None on other devices."""
        peaks = [self.costs[step].peak for step in steps if step in self.costs]
        return max((peak for peak in peaks if peak is not None), default=None)

    def search(self, entities: Entities, layers: Iterable[int], heads: bool = False) -> SearchAttention:
        """`searches` in a session's only picture; ValueError where it has several."""
        the_only(self.images)
        return self.searches(entities, layers, heads)[0]

    def searches(self, entities: Entities, layers: Iterable[int], heads: bool = False) -> list[SearchAttention]:
        """Attention rows of the search prompt (paper, section on TAD), in one pass that stops after the last layer.

        Args:
            entities: what to search for.
            layers: decoder layers whose rows are captured, counted from 0.
            heads: keep the heads apart as well. All rows lie in the CPU's memory then, and take layers * heads * tokens
                * grid cells * 4 bytes, tokens being those of instruction and entities; while they are gathered, twice
                that. On a 7B model with 28 layers of 28 heads, 20 tokens over 16 384 cells take 1.03 GB.

        Returns:
            The rows to each picture, all of them of the same tokens.

        Raises:
            ValueError: no token of the entities can be located in the prompt, or a layer is out of range.
        """
        pictures, prefix = self.prefill()
        with self.timed("search"):
            prompt = self.model.prompt(*pictures, self.prompts.for_search(entities.text))
            (span,) = prompt.texts
            noise = span.positions(0, len(self.prompts.search))
            semantic = entity_positions(span.positions, len(self.prompts.search) + 1, entities)
            if not semantic:
                raise ValueError(f"no token of {entities.text!r} could be located; name the entities in plain words")
            rows = self.model.capture(prompt, noise + semantic, tuple(layers), prefix, self.early_exit, heads)
        tokens, found = tuple(span.characters(i).strip() for i in semantic), []
        for maps in rows.maps:
            parts = maps[..., : len(noise), :, :], maps[..., len(noise) :, :, :]
            means = [part.mean(1) for part in parts] if heads else parts
            found.append(SearchAttention(tuple(rows.layers), tokens, *means, *(parts if heads else ())))
        return found

    def rows_of_last(self, text: str, layers: Iterable[int], step: str = "last") -> Float[np.ndarray, "layers h w"]:
        """Attention rows of the position that predicts the reply's first token when a text is asked about the picture.

        With the text of `prompts.for_answer` it is the attention of the first answer token. With a content-free text it
        is the reference of ViCrop's relative attention.

        Args:
            text: what is asked.
            layers: decoder layers, counted from 0.
            step: what the cost is charged to.

        Returns:
            `(layers, h, w)` float32, layers ascending.

        Raises:
            ValueError: the session has several pictures.
        """
        the_only(self.images)
        pictures, prefix = self.prefill()
        with self.timed(step):
            prompt = self.model.prompt(*pictures, text)
            (maps,) = self.model.capture(prompt, [len(prompt) - 1], layers, prefix).maps
        return maps[:, 0]

    def answer(
        self,
        question: str,
        options: list[str] | None = None,
        second: Image.Image | Sequence[Image.Image] | None = None,
        step: str = "answer",
        style: str = "letters",
        limit: int | None = None,
    ) -> Reply:
        """Greedy reply to a question about the session's pictures and, where there are any, second RGB ones behind.

        The other arguments are those of `answer_from`.
        """
        behind = [second] if isinstance(second, Image.Image) else second or ()
        return self.answer_from([*self.images, *behind], question, options, step, style, limit)

    def answer_from(
        self,
        pictures: Sequence[Image.Image],
        question: str,
        options: list[str] | None = None,
        step: str = "answer",
        style: str = "letters",
        limit: int | None = None,
    ) -> Reply:
        """Greedy reply to a question about any RGB pictures.

        Args:
            pictures: in the order of the prompt. Where the session's own come first, they are not run again.
            question: text of the question.
            options: texts of the options without letters. None asks for a free answer.
            step: what the cost is charged to.
            style: wording of the prompt, a name in `hide_utils.prompts.STYLES`.
            limit: most tokens of the reply. None takes `ANSWER_TOKENS`.
        """
        text, begin = self.prompts.for_answer(question, options, style), pictures[: len(self.images)]
        own = list(map(id, begin)) == list(map(id, self.images))
        ready, prefix = self.prefill() if own else ((), None)
        limit = limit or ANSWER_TOKENS["choice" if options else "free"]
        most = self.second_pixels if own else None
        with self.timed(step):
            more = [self.model.prepare(_padded(self.model, image), most) for image in pictures[len(ready) :]]
            known = [*ready, *more]
            if prefix is None or text not in self.awaited:
                return self.model.generate(self.model.prompt(*known, text), limit, prefix)
        batch = next((one for one in self.batches if one.holds(known, limit)), None)
        if batch is None:
            batch = self._together(known, limit, prefix)
            self.batches.append(batch)
        reply, cost = batch.replies[text]
        preparing = self.costs[step].seconds  # all that the step took so far
        self.costs[step] = cost._replace(seconds=preparing + cost.seconds)
        return reply

    def expect(self, texts: Iterable[str]) -> None:
        """Announce texts of prompts that will be asked about the same pictures, as HR-Bench's rotations of a question.

        Each time the first of them is asked about some pictures, all are answered together.
        """
        awaited = tuple(dict.fromkeys(texts))
        self.awaited = awaited if len(awaited) > 1 else ()

    def _together(self, pictures: Sequence[ProcessedImage], limit: int, prefix: Prefix) -> Batch:
        """All awaited texts answered in one pass behind the pictures, which are run once."""
        with clocked(self.model.device) as clock:
            prompts = [self.model.prompt(*pictures, text) for text in self.awaited]
            last = prompts[0].images[-1]
            end = last.stop + last.closed
            shared = self.model.prefill(prompts[0], end, prefix) if end > len(prefix) else prefix
            replies = self.model.generate_batch(prompts, limit, prefix=shared)
        found = {}
        for text, prompt, reply in zip(self.awaited, prompts, replies, strict=True):
            counts = self.model.counts_alone(prompt, prefix, len(reply.ids), reply.passes - 1)
            found[text] = reply, Cost(clock.seconds / len(replies), counts, clock.peak)
        return Batch(pictures, limit, found)


def _padded(model: VLM, image: Image.Image) -> Image.Image:
    return pad_to_aspect(image, model.max_aspect) if model.max_aspect else image
