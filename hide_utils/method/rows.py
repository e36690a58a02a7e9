"""Attention rows of a search: what TAD reads off the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from hide_utils.method import tad


@dataclass(frozen=True)
class SearchAttention:
    """Attention rows of one search over the picture.

    Attributes:
        layers: the captured decoder layers, counted from 0.
        tokens: texts of the entities' tokens.
        noise: `(layers, n_noise, h, w)` rows of the instruction's tokens, mean over heads.
        semantic: `(layers, tokens, h, w)` rows of the entities' tokens, mean over heads.
        noise_heads: `(layers, heads, n_noise, h, w)` rows of `noise` with the heads apart. None where only their mean
            was captured.
        semantic_heads: `(layers, heads, tokens, h, w)` rows of `semantic`, likewise.
    """

    layers: tuple[int, ...]
    tokens: tuple[str, ...]
    noise: Float[np.ndarray, "layers noise h w"]
    semantic: Float[np.ndarray, "layers tokens h w"]
    noise_heads: Float[np.ndarray, "layers heads noise h w"] | None = None
    semantic_heads: Float[np.ndarray, "layers heads tokens h w"] | None = None

    def maps(self, layer: int, sigma: float) -> Float[np.ndarray, "tokens h w"]:
        """Purified maps in [0, 1] at one of the layers, smoothed with `sigma` grid cells (TAD)."""
        rows = np.concatenate([self.noise, self.semantic], axis=1)[self.layers.index(layer)]
        return tad.purify(rows, self.noise.shape[1], sigma)

    def of_head(self, head: int) -> SearchAttention:
        """The rows of one head (counted from 0) in place of the mean, for whatever takes a search.

        Raises:
            ValueError: the heads were not kept apart.
            IndexError: the model has fewer heads.
        """
        if self.noise_heads is None or self.semantic_heads is None:
            raise ValueError("only the mean over heads was captured: search with heads=True")
        return SearchAttention(self.layers, self.tokens, self.noise_heads[:, head], self.semantic_heads[:, head])
