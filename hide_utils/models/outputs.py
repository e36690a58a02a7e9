"""What a model hands out: settings, a prefix that was run once, attention rows, replies."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from hide_utils.models.prompt import ProcessedImage, Prompt


@dataclass(frozen=True)
class Settings:
    """The method's settings.

    Attributes:
        layer: decoder layer whose attention is read, counted from 0.
        sigma: standard deviation of the Gaussian in grid cells.
        alpha: threshold on purified maps, in (0, 1].
        source: where they come from. What nobody has published or calibrated for the model begins with "guess".
    """

    layer: int
    sigma: float
    alpha: float
    source: str = ""

    @property
    def guessed(self) -> bool:
        """Whether nobody has published or calibrated them for the model."""
        return self.source.startswith("guess")

    def as_guess(self, why: str) -> Settings:
        """The same numbers, marked as a guess for a reason."""
        return replace(self, source=f"guess: {self.source.removeprefix('guess: ')}, {why}")

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to be known of an answer under them; empty where they were published, calibrated or given."""
        return (f"layer, sigma and alpha are not calibrated for this model ({self.source})",) if self.guessed else ()

    def at_depth(self, known: int, layers: int) -> Settings:
        """The settings, published for a model of `known` layers, at the same relative depth of one of `layers`.

        At another depth they are a guess.
        """
        if layers == known:
            return self
        layer = max(round((self.layer + 1) / known * layers) - 1, 0)
        return replace(self, layer=layer).as_guess(f"layer scaled from {self.layer} of {known}")

    def at_rows(self, layers: Sequence[int]) -> Settings:
        """The settings at the nearest of the layers that have rows, the earlier one of two as near."""
        if self.layer in layers:
            return self
        layer = min(layers, key=lambda one: (abs(one - self.layer), one))
        return replace(self, layer=layer, source=f"{self.source}, moved from layer {self.layer}, which has no rows")


@dataclass(frozen=True)
class Prefix:
    """The first tokens of a prompt, run once. Prompts that begin with them continue on forks of the cache.

    Attributes:
        ids: the tokens.
        cache: what the model kept of them.
        pictures: those among the tokens. All pictures of one size have the same tokens, so these tell them apart.
    """

    ids: Int64[Tensor, " n"]
    cache: DynamicCache
    pictures: Sequence[ProcessedImage] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def fits(self, prompt: Prompt) -> bool:
        """Whether the prompt begins with this prefix, pictures included, and goes on behind it."""
        if len(prompt) <= len(self) or not torch.equal(prompt.ids[: len(self)], self.ids):
            return False
        theirs = [span.picture for span in prompt.images_in(0, len(self))]
        return all(a is b or a.same_as(b) for a, b in zip(self.pictures, theirs, strict=True))

    def fork(self, rows: int = 1) -> DynamicCache:
        """A cache to continue on. This one stays as it is.

        Keys and values are shared, because layers grow by concatenation. The states of linear attention and its
        convolution are overwritten by every pass, so a fork has its own.

        Args:
            rows: size of the batch that goes on from here. More than one takes a copy for each.
        """
        fork = copy.copy(self.cache)
        fork.layers = [_forked(layer, rows) for layer in self.cache.layers]
        return fork


def _forked(layer: Any, rows: int) -> Any:
    fork = copy.copy(layer)
    for name, states in vars(layer).items():
        if isinstance(states, dict):  # by number of the state; beside tensors, what is known of each
            own = {
                key: state.repeat_interleave(rows, dim=0) if isinstance(state, Tensor) else state
                for key, state in states.items()
            }
            setattr(fork, name, own)
    if rows > 1 and isinstance(layer, DynamicLayer):
        fork.batch_repeat_interleave(rows)
    return fork


@dataclass(frozen=True)
class Rows:
    """Captured attention.

    Attributes:
        layers: decoder layers, counted from 0 and ascending.
        queries: positions in the prompt of the tokens whose attention it is.
        maps: for each image of the prompt, (layers, queries, h, w) float32, with heads behind the layers where they are
            apart. A map is the image's part of a row that sums to 1 over all keys, so it sums to at most 1.
        seconds: wall clock of the pass.
    """

    layers: list[int]
    queries: list[int]
    maps: list[Float32[np.ndarray, "layers *heads queries _h _w"]]
    seconds: float


@dataclass(frozen=True)
class Reply:
    """A greedy reply.

    Attributes:
        text: the reply without special tokens.
        ids: its tokens, without the one that ended it.
        first_logits: (vocab,) logits of its first token as the model's dtype has them. In bfloat16 near ones are equal.
        last_state: (width,) what the head made them of. `Runner.letter_logits` takes the letters' from it.
        n_image_tokens: visual tokens of the whole prompt.
        n_text_tokens: all other tokens of the whole prompt.
        seconds: wall clock; of a batch, an equal share.
        passes: forward passes that it takes alone, the one over its prompt included.
    """

    text: str
    ids: list[int]
    first_logits: Float32[Tensor, " vocab"]
    last_state: Float32[Tensor, " width"]
    n_image_tokens: int
    n_text_tokens: int
    seconds: float
    passes: int


class Cost(NamedTuple):
    """What a step cost: wall clock, counts, and most bytes that the CUDA allocator held (None on other devices)."""

    seconds: float
    counts: Counter
    peak: int | None = None
