"""What a model hands out: settings, a prefix that was run once, attention rows, replies."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor
from transformers import DynamicCache

from hide_utils.models.prompt import Prompt


@dataclass(frozen=True)
class Settings:
    """The method's settings: `layer` counted from 0, `sigma` in grid cells, `alpha` in (0, 1], and their source."""

    layer: int
    sigma: float
    alpha: float
    source: str = ""

    def at_depth(self, known: int, layers: int) -> Settings:
        """The same settings for a model of so many `layers`: at the same relative depth as in the `known` number."""
        if layers == known:
            return self
        layer = max(round((self.layer + 1) / known * layers) - 1, 0)
        return Settings(layer, self.sigma, self.alpha, f"{self.source}, layer scaled from {self.layer} of {known}")


@dataclass(frozen=True)
class Prefix:
    """The first tokens of a prompt, run once. `fork` gives a cache to continue on that leaves this one as it is."""

    ids: Int64[Tensor, " n"]
    cache: DynamicCache

    def __len__(self) -> int:
        return len(self.ids)

    def fits(self, prompt: Prompt) -> bool:
        """Whether the prompt begins with this prefix and goes on behind it."""
        return len(prompt) > len(self) and torch.equal(prompt.ids[: len(self)], self.ids)

    def fork(self, rows: int = 1) -> DynamicCache:
        """A cache that shares this one's tensors; layers grow by concatenation, so nothing is written into them.

        rows: size of the batch that goes on from here; more than one takes a copy for each.
        """
        fork = copy.copy(self.cache)
        fork.layers = [copy.copy(layer) for layer in self.cache.layers]
        if rows > 1:
            fork.batch_repeat_interleave(rows)
        return fork


@dataclass(frozen=True)
class Rows:
    """Captured attention: maps[i] is (layers, queries, h, w) float32 for image i of the prompt.

    Every map is the image's part of a row that sums to 1 over all keys, so it sums to at most 1.
    """

    layers: list[int]
    queries: list[int]
    maps: list[Float32[np.ndarray, "layers queries _h _w"]]
    seconds: float


@dataclass(frozen=True)
class Reply:
    """A greedy reply. `first_logits` (vocab,) are those of its first token; token counts are the whole prompt's."""

    text: str
    ids: list[int]
    first_logits: Float32[Tensor, " vocab"]
    n_image_tokens: int
    n_text_tokens: int
    seconds: float
