"""Attention of the vision tower, all windows and pictures of a pass together.

With sdpa, stock transformers runs the windows of Qwen2.5-VL's tower one at a time: a picture of 16 384 tokens has 1 024
of them in each of 28 blocks. To attention functions whose name has "flash" in it, it hands all of them at once with
their borders. Two are registered here under such names. "varlen" is PyTorch's own FlashAttention for sequences of
different lengths. "batched" is scaled dot-product attention with the windows as a batch, on any device.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby, pairwise
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.vision_utils import get_vision_window_index

# By the choice of `backends.choose_vision`: what the tower's attention is called in transformers.
TOWERS = {
    "varlen": "hide_flash_varlen",
    "batched": "hide_flash_batched",
    "stock": "sdpa",
    "flash": "flash_attention_2",
}


def batched(
    query: Float[Tensor, "1 heads patches dim"],
    key: Float[Tensor, "1 heads patches dim"],
    value: Float[Tensor, "1 heads patches dim"],
    borders: Int[Tensor, " edges"],
    scaling: float | None = None,
) -> Float[Tensor, "1 patches heads dim"]:
    """Attention within windows, in one call for each run of windows of one length. Nothing is copied in between.

    Args:
        query: of all patches, window by window.
        key: as above.
        value: as above.
        borders: the first patch of each window, and the number of patches at the end.
        scaling: factor on the scores. None is 1 / sqrt(dim).
    """
    edges, parts, start = borders.tolist(), [], 0
    for length, run in groupby(after - before for before, after in pairwise(edges)):
        stop = start + length * len(list(run))
        q, k, v = (t[0, :, start:stop].unflatten(1, (-1, length)).transpose(0, 1) for t in (query, key, value))
        parts.append(scaled_dot_product_attention(q, k, v, scale=scaling).transpose(1, 2).flatten(0, 1))
        start = stop
    return (parts[0] if len(parts) == 1 else torch.cat(parts))[None]


def varlen(
    query: Float[Tensor, "1 heads patches dim"],
    key: Float[Tensor, "1 heads patches dim"],
    value: Float[Tensor, "1 heads patches dim"],
    borders: Int[Tensor, " edges"],
    longest: int,
) -> Float[Tensor, "1 patches heads dim"]:
    """`batched` in one call of PyTorch's FlashAttention: CUDA, half precision, scores scaled by 1 / sqrt(dim).

    Args:
        query: as in `batched`, like the next three.
        key: of all patches.
        value: of all patches.
        borders: of the windows.
        longest: patches of the longest window.
    """
    from torch.nn.attention.varlen import varlen_attn  # absent from builds of torch that have no such kernel

    q, k, v = (t[0].transpose(0, 1) for t in (query, key, value))
    borders = borders.to(torch.int32)
    return cast(Tensor, varlen_attn(q, k, v, borders, borders, longest, longest))[None]


def _tower_attention(name: str) -> Callable:
    stock: Any = AttentionInterface()["sdpa"]

    def forward(module, query, key, value, attention_mask, scaling=None, cu_seq_lens_q=None, max_length_q=None, **more):
        if cu_seq_lens_q is None and more.get("position_ids") is not None:
            # Older Pixtral towers tell pictures apart by their patches' positions alone, which begin at 0 in each.
            starts = (more["position_ids"][0] == 0).nonzero().flatten()
            cu_seq_lens_q = pad(starts, (0, 1), value=query.shape[2]).int()
            max_length_q = cu_seq_lens_q.diff().max()
        if cu_seq_lens_q is None:  # tiles are a batch already
            return stock(module, query, key, value, attention_mask, scaling=scaling, is_causal=False)
        # One picture without windows is a single sequence, for which the usual kernels are made.
        if name == "varlen" and len(cu_seq_lens_q) > 2 and scaling in (None, query.shape[-1] ** -0.5):
            return varlen(query, key, value, cu_seq_lens_q, int(max_length_q)), None
        return batched(query, key, value, cu_seq_lens_q, scaling), None

    return forward


for _name in ("varlen", "batched"):
    AttentionInterface.register(TOWERS[_name], _tower_attention(_name))
    AttentionMaskInterface.register(TOWERS[_name], AttentionMaskInterface()["flash_attention_2"])


def windows_by_length(model: torch.nn.Module) -> None:
    """Have a windowed tower take the windows of a picture ordered by length, so that runs of one length are few.

    The order changes nothing in what the tower gives. A tower without windows stays as it is.
    """
    for module in model.modules():
        if hasattr(module, "window_size") and hasattr(module, "fullatt_block_indexes"):
            module.register_forward_pre_hook(_order, with_kwargs=True)


def _order(tower: Any, given: tuple, named: dict) -> tuple[tuple, dict]:
    """The stock order of windows, sorted by length within each picture, as arguments that the tower takes ready."""
    grids = named["grid_thw"] if "grid_thw" in named else given[1]
    index, borders = get_vision_window_index(grids, tower.spatial_merge_size, tower.window_size, tower.patch_size)
    starts, lengths = borders[:-1], borders.diff()
    pictures = torch.searchsorted(grids.prod(1).cumsum(0), starts, right=True)
    order = (pictures * (lengths.max() + 1) - lengths).sort(stable=True).indices
    tokens = index.split((lengths // tower.spatial_merge_unit).tolist())
    ordered = torch.cat([tokens[i] for i in order.tolist()])
    return given, named | {"window_index": ordered, "cu_window_seqlens": pad(lengths[order].cumsum(0), (1, 0)).int()}
