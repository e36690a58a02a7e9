"""Attention rows of a search: what TAD reads off the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from hide_utils.method import tad
from hide_utils.method.entities import Entities


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

    def prior(self, layer: int, sigma: float) -> Float[np.ndarray, "h w"]:
        """What `maps` subtracts at one of the layers: the noise prior, in [0, 1]."""
        return tad.noise_prior(self.noise[self.layers.index(layer)], sigma)

    def arrays(self, layer: int, sigma: float) -> dict[str, np.ndarray]:
        """All that a search gives at one of the layers, for a file of numpy's.

        Returns:
            ``raw`` and ``noise``: rows of `semantic` and `noise`; ``prior`` and ``maps``: as the methods give them;
            ``tokens``: texts; ``layer``: counted from 0. With the heads apart also ``raw_heads`` `(heads, tokens, h,
            w)` and ``noise_heads`` `(heads, noise, h, w)`.
        """
        at, heads = self.layers.index(layer), {"raw_heads": self.semantic_heads, "noise_heads": self.noise_heads}
        given = {"raw": self.semantic, "noise": self.noise} | heads
        made = {"prior": self.prior(layer, sigma), "maps": self.maps(layer, sigma)}
        said = {"tokens": np.array(self.tokens, np.str_), "layer": np.array(layer)}
        return {name: rows[at] for name, rows in given.items() if rows is not None} | made | said

    def of_tokens(self, kept: Bool[np.ndarray, " tokens"]) -> SearchAttention:
        """The rows of some of the tokens, with those of the instruction."""
        tokens = tuple(token for token, keep in zip(self.tokens, kept, strict=True) if keep)
        heads = None if self.semantic_heads is None else self.semantic_heads[:, :, kept]
        return replace(self, tokens=tokens, semantic=self.semantic[:, kept], semantic_heads=heads)

    def of_head(self, head: int) -> SearchAttention:
        """The rows of one head (counted from 0) in place of the mean, for whatever takes a search.

        Raises:
            ValueError: the heads were not kept apart.
            IndexError: the model has fewer heads.
        """
        noise, semantic = self._apart()
        return SearchAttention(self.layers, self.tokens, noise[:, head], semantic[:, head])

    def of_heads(self, heads: Sequence[tuple[int, int]]) -> SearchAttention:
        """The mean row of some heads of any layers, as the rows of a single layer, the last of theirs.

        Args:
            heads: layer and head of each, counted from 0; at least one.

        Raises:
            ValueError: there is no head, a layer was not captured, or the heads were not kept apart.
            IndexError: the model has fewer heads.
        """
        if not heads:
            raise ValueError("no heads: name at least one, as (layer, head)")
        if missing := {layer for layer, _ in heads} - set(self.layers):
            raise ValueError(
                f"layers {sorted(missing)} (counted from 0) were not captured, only {self.layers}: search them"
            )
        layers, numbers = [self.layers.index(layer) for layer, _ in heads], [head for _, head in heads]
        noise, semantic = (of[layers, numbers].mean(0)[None] for of in self._apart())
        return SearchAttention((max(layer for layer, _ in heads),), self.tokens, noise, semantic)

    def _apart(self) -> tuple[np.ndarray, np.ndarray]:
        if self.noise_heads is None or self.semantic_heads is None:
            raise ValueError("only the mean over heads was captured: search with heads=True")
        return self.noise_heads, self.semantic_heads


def entity_positions(positions: Callable[[int, int], list[int]], at: int, entities: Entities) -> list[int]:
    """Positions of the tokens of the entities' own words in the search prompt.

    The commas between entities belong to none of them, so their tokens are left out.

    Args:
        positions: token positions of a range of characters, as `TextSpan.positions`.
        at: character of the search text at which the line of the entities begins.
        entities: what is searched for.
    """
    found = []
    for name in entities.names:
        found += positions(at, at + len(name))
        at += len(name) + len(", ")
    return found
