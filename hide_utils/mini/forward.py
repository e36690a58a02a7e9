"""The stock Qwen3-VL class's forward over its own weights, for batches of equally large pictures.

The stock class loops over pictures and works out positions anew for each. Here all pictures of a batch go through the
vision tower as one tensor, and positions of a size are worked out once. Results equal those of the stock class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any  # for modules, whose parts torch types as Tensor | Module

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F
from transformers import Qwen3VLForConditionalGeneration
from transformers.vision_utils import get_vision_interpolation_indices_and_weights, get_vision_position_ids

from hide_utils.mini.checkpoint import CELL, MERGE, PATCH

Span = tuple[int, int, int]  # of a picture in a row of tokens: its first token, rows and columns


@dataclass(frozen=True)
class Seen:
    """Visual tokens ``(batch, n, hidden)`` of one picture each, and those that DeepStack adds behind early layers."""

    tokens: Tensor
    deep: list[Tensor]


def patches(images: UInt8[Tensor, "batch h w 3"]) -> Float[Tensor, "batch n values"]:
    """Scaled pixels of each patch, in the processor's order: the patches of one visual token stand together."""
    batch, h, w, _ = images.shape
    x = images.float().div(127.5).sub(1)
    x = x.view(batch, h // CELL, MERGE, PATCH, w // CELL, MERGE, PATCH, 3)
    return x.permute(0, 1, 4, 2, 5, 7, 3, 6).reshape(batch, -1, 3 * PATCH * PATCH)


def positions(length: int, spans: Sequence[Span]) -> Int64[Tensor, "3 length"]:
    """Time, row and column of every token, by the stock model's rule."""
    out, at, position = torch.empty(3, length, dtype=torch.long), 0, 0
    for start, h, w in spans:
        out[:, at:start] = torch.arange(position, position + start - at)
        position += start - at
        at = start + h * w
        rows, columns = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        out[0, start:at] = position
        out[1, start:at] = position + rows.flatten()
        out[2, start:at] = position + columns.flatten()
        position += max(h, w)
    out[:, at:] = torch.arange(position, position + length - at)
    return out


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat((-b, a), -1) * sin


class LeanForward:
    """Runs a model's own weights. The model may be trained through it."""

    def __init__(self, model: Qwen3VLForConditionalGeneration) -> None:
        self.visual: Any = model.model.visual
        self.text: Any = model.model.language_model
        self.device = model.device
        self._grid = lru_cache(maxsize=512)(self._grid_of)
        self._turns = lru_cache(maxsize=4000)(self._turns_of)

    def _grid_of(self, h: int, w: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of a grid of visual tokens: which learned positions each patch mixes, their weights, and its rotation."""
        thw, visual = torch.tensor([[1, MERGE * h, MERGE * w]]), self.visual
        indices, weights = get_vision_interpolation_indices_and_weights(
            thw,
            num_grid_per_side=visual.num_grid_per_side,
            mode=visual.interpolation_mode,
            align_corners=visual.interpolation_align_corners,
            spatial_merge_size=MERGE,
            kwargs={},
        )
        places = get_vision_position_ids(thw, MERGE, kwargs={}).to(self.device)
        cos, sin = visual.rotary_pos_emb(torch.zeros(1, device=self.device), places)
        return indices.to(self.device), weights.to(self.device), cos.float(), sin.float()

    def _turns_of(self, length: int, spans: tuple[Span, ...]) -> tuple[Tensor, Tensor]:
        """Cosines and sines of the text model's rotation, each ``(1, 1, length, head_dim)``."""
        ids = positions(length, spans).to(self.device)[:, None]
        cos, sin = self.text.rotary_emb(torch.zeros(1, device=self.device), ids)
        return cos[None], sin[None]

    def see(self, images: UInt8[Tensor, "batch h w 3"]) -> Seen:
        """Run the vision tower over pictures whose sides are multiples of 32 pixels."""
        visual, (batch, h, w, _) = self.visual, images.shape
        indices, weights, cos, sin = self._grid(h // CELL, w // CELL)
        kernel = visual.patch_embed.proj  # two frames of a still picture: their kernels add up
        x = F.linear(patches(images).to(kernel.weight.dtype), kernel.weight.sum(2).flatten(1), kernel.bias)
        x = x + (visual.pos_embed(indices) * weights[:, :, None].to(x.dtype)).sum(1)
        cos, sin = cos.to(x.dtype), sin.to(x.dtype)
        deep = []
        for number, block in enumerate(visual.blocks):
            x = self._vision_block(block, x, cos, sin)
            if number in visual.deepstack_visual_indexes:
                merger = visual.deepstack_merger_list[visual.deepstack_visual_indexes.index(number)]
                deep.append(merger(x.reshape(-1, x.shape[-1])).view(batch, x.shape[1] // MERGE**2, -1))
        return Seen(visual.merger(x.reshape(-1, x.shape[-1])).view(batch, x.shape[1] // MERGE**2, -1), deep)

    @staticmethod
    def _vision_block(block: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, n, width = x.shape
        heads = block.attn.qkv(block.norm1(x)).view(batch, n, 3, block.attn.num_heads, -1)
        q, k, v = heads.permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(_rotate(q, cos, sin), _rotate(k, cos, sin), v)
        x = x + block.attn.proj(y.transpose(1, 2).reshape(batch, n, width))
        return x + block.mlp(block.norm2(x))

    def __call__(
        self,
        ids: Int64[Tensor, "batch length"],
        pictures: Sequence[UInt8[Tensor, "batch _ _ 3"]] = (),
        starts: Sequence[int] = (),
    ) -> tuple[Float[Tensor, "batch length hidden"], list[Seen]]:
        """Run the whole model.

        Args:
            ids: of rows whose pictures stand at the same places. Padding stands behind.
            pictures: the first picture of every row, the second picture of every row, and so on.
            starts: the place in a row where the tokens of each begin.

        Returns:
            The last hidden states, and what the vision tower saw in ``pictures``.
        """
        seen = [self.see(p) for p in pictures]
        spans = tuple((s, p.shape[1] // CELL, p.shape[2] // CELL) for s, p in zip(starts, pictures, strict=True))
        x = self.text.embed_tokens(ids)
        x = self._put(x, starts, [s.tokens for s in seen])
        cos, sin = (t.to(x.dtype) for t in self._turns(ids.shape[1], spans))
        for number, layer in enumerate(self.text.layers):
            x = self._layer(layer, x, cos, sin)
            if seen and number < len(seen[0].deep):
                x = x + self._put(torch.zeros_like(x), starts, [s.deep[number] for s in seen])
        return self._norm(self.text.norm, x), seen

    @staticmethod
    def _put(x: Tensor, starts: Sequence[int], parts: Sequence[Tensor]) -> Tensor:
        """A copy of ``x`` with visual tokens at their places."""
        pieces, at = [], 0
        for start, part in zip(starts, parts, strict=True):
            pieces += [x[:, at:start], part.to(x.dtype)]
            at = start + part.shape[1]
        return torch.cat([*pieces, x[:, at:]], 1) if pieces else x

    @staticmethod
    def _norm(norm: Any, x: Tensor) -> Tensor:
        return F.rms_norm(x, x.shape[-1:], norm.weight, norm.variance_epsilon)

    def _layer(self, layer: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        attention, (batch, n, _) = layer.self_attn, x.shape
        y = self._norm(layer.input_layernorm, x)
        q = self._norm(attention.q_norm, attention.q_proj(y).view(batch, n, -1, attention.head_dim)).transpose(1, 2)
        k = self._norm(attention.k_norm, attention.k_proj(y).view(batch, n, -1, attention.head_dim)).transpose(1, 2)
        v = attention.v_proj(y).view(batch, n, -1, attention.head_dim).transpose(1, 2)
        q, k = _rotate(q, cos, sin), _rotate(k, cos, sin)
        k, v = (t.repeat_interleave(attention.num_key_value_groups, 1) for t in (k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + attention.o_proj(y.transpose(1, 2).reshape(batch, n, -1))
        y = self._norm(layer.post_attention_layernorm, x)
        mlp = layer.mlp
        return x + mlp.down_proj(F.silu(mlp.gate_proj(y)) * mlp.up_proj(y))
