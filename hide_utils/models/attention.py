"""Rows of the attention matrix, taken at chosen layers while the model runs its usual fast kernel.

The text model is pointed at a wrapper that is registered beside the stock attention functions. The wrapper does nothing
until `capturing` is active. Then it computes softmax(q kᵀ) for the wanted query tokens alone, averages the heads, and
hands over to the stock kernel, so that the model's own output does not change. These are the rows of the paper's
section on TAD: attention of text tokens to image tokens, mean over heads. On request the heads are kept apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface

# transformers tells flash from other kernels by the word "flash" in the name.
NAMES = {"sdpa": "hide_sdpa", "flash": "hide_flash"}
_STOCK = {"sdpa": "sdpa", "flash": "flash_attention_2"}
_ROWS_AT_ONCE = 64  # bounds memory: 28 heads x 64 x 16 384 keys in float32 are about 120 MB on a 7B model


class _LastLayerReached(Exception):
    """Leaves the forward pass once the rows of the last wanted layer are there. No other module sees it."""


@dataclass
class Capture:
    """What a running forward pass is to hand over, and what it has handed over.

    Attributes:
        queries: wanted tokens, as indices into the new tokens of the pass.
        layers: wanted layers, counted from 0.
        early_exit: whether the pass ends after the last of them.
        heads: whether rows are those of each head instead of their mean.
        rows: layer -> (tokens, keys) float32, or (heads, tokens, keys).
    """

    queries: Int64[Tensor, " tokens"]
    layers: frozenset[int]
    early_exit: bool
    heads: bool = False
    rows: dict[int, Float32[Tensor, "*heads tokens keys"]] = field(default_factory=dict)


_active: ContextVar[Capture | None] = ContextVar("hide_capture", default=None)


def attention_rows(
    query: Float[Tensor, "1 heads new dim"],
    key: Float[Tensor, "1 kv_heads keys dim"],
    queries: Int64[Tensor, " tokens"],
    mask: Tensor | None = None,
    scaling: float | None = None,
    heads: bool = False,
) -> Float32[Tensor, "*heads tokens keys"]:
    """Attention of some query tokens to all keys, computed in float32.

    Heads are grouped over their key/value head, so that keys are never repeated.

    Args:
        query: of the new tokens of this pass.
        key: of all tokens, cached ones first.
        queries: wanted tokens, as indices into the new ones.
        mask: the layer's own (1, 1, new, keys), boolean or additive. None is causal.
        scaling: factor on the scores. None is 1 / sqrt(dim).
        heads: keep the heads apart instead of taking their mean.

    Returns:
        (tokens, keys) rows, or (heads, tokens, keys). Each sums to 1.
    """
    _, n_heads, new, dim = query.shape
    _, kv_heads, keys, _ = key.shape
    keys_by_head = key[0].float().transpose(1, 2)
    scaling = dim**-0.5 if scaling is None else scaling
    parts = []
    for rows in queries.to(query.device).split(_ROWS_AT_ONCE):
        grouped = query[0, :, rows].float().reshape(kv_heads, -1, dim) * scaling
        scores = (grouped @ keys_by_head).view(n_heads, len(rows), keys)
        if mask is None:
            column = torch.arange(keys, device=query.device)
            scores = scores.masked_fill(column > (rows + keys - new)[:, None], -torch.inf)
        elif mask.dtype == torch.bool:
            scores = scores.masked_fill(~mask[0, 0, rows, :keys], -torch.inf)
        else:
            scores = scores + mask[0, 0, rows, :keys].float()
        shares = scores.softmax(-1)
        parts.append(shares if heads else shares.mean(0))
    return torch.cat(parts, dim=-2)


@contextmanager
def capturing(
    queries: Int64[Tensor, " tokens"], layers: Iterable[int], *, early_exit: bool = True, heads: bool = False
) -> Iterator[Capture]:
    """While active, the wrapped attention hands over rows.

    Args:
        queries: wanted tokens, as indices into the new tokens of the pass.
        layers: wanted layers, counted from 0.
        early_exit: end the forward pass inside the block right after the last wanted layer. Its cache is then filled up
            to that layer only, so give it one that is thrown away.
        heads: hand over the rows of each head instead of their mean.
    """
    capture = Capture(queries, frozenset(layers), early_exit, heads)
    token = _active.set(capture)
    try:
        yield capture
    except _LastLayerReached:
        pass
    finally:
        _active.reset(token)


def _observe(capture: Capture, module, query: Tensor, key: Tensor, mask, scaling) -> None:
    layer = module.layer_idx
    if layer in capture.layers:
        # A flash kernel carries a (batch, keys) padding mask or none. Only a mask with four axes says who sees whom.
        mask = mask if mask is not None and mask.ndim == 4 else None
        rows = attention_rows(query, key, capture.queries, mask, scaling, capture.heads)
        # All heads of all layers would not fit on a device beside a large model.
        capture.rows[layer] = rows.cpu() if capture.heads else rows
        if capture.early_exit and layer == max(capture.layers):
            raise _LastLayerReached


# What a model hands its attention where the softmax is not over the scores alone. The kernels here take none of these.
_OTHER_SOFTMAX = {"s_aux": "sinks in its softmax", "sinks": "sinks in its softmax", "softcap": "capped scores"}


def check_softmax(model: torch.nn.Module) -> None:
    """Refuse a model whose attention is no plain softmax: rows and replies would be silently others than its own.

    Raises:
        ValueError: a layer has sinks, as GPT-OSS, or the config caps the scores, as Gemma 2.
    """
    for module in model.modules():
        config = getattr(module, "config", None)
        capped = getattr(config, "attn_logit_softcapping", None)
        _refuse(module, {"sinks": getattr(module, "sinks", None), "softcap": capped})


def _refuse(module: torch.nn.Module, given: dict[str, object]) -> None:
    found = [what for name, what in _OTHER_SOFTMAX.items() if given.get(name) is not None]
    if found:
        raise ValueError(
            f"{type(module).__name__} has {found[0]}, which the attention kernels here do not compute: its rows and "
            "replies would be wrong. Take a checkpoint with another text model."
        )


class _View:
    """An object with some of its attributes replaced."""

    def __init__(self, target: object, **replaced: object) -> None:
        self.__dict__.update(replaced, _target=target)

    def __getattr__(self, name: str) -> object:
        return getattr(self._target, name)


def _wrapper(kind: str) -> Callable:
    stock, with_mask = (AttentionInterface()[_STOCK[name]] for name in (kind, "sdpa"))

    def forward(module, query, key, value, attention_mask, scaling=None, **kwargs):
        _refuse(module, kwargs)
        capture = _active.get()
        if capture is not None:
            _observe(capture, module, query, key, attention_mask, scaling)
        if attention_mask is not None and attention_mask.ndim == 4:  # who sees whom, which flash kernels cannot take
            return with_mask(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
        if kind == "flash":  # the stock function finds its kernel by the name in the config, where ours stands
            module = _View(module, config=_View(module.config, _attn_implementation=_STOCK[kind]))
        return stock(module, query, key, value, attention_mask, scaling=scaling, **kwargs)

    return forward


for _kind, _name in NAMES.items():
    AttentionInterface.register(_name, _wrapper(_kind))
    # Without a mask function of the same name a cached suffix is silently wrong.
    AttentionMaskInterface.register(_name, AttentionMaskInterface()[_STOCK[_kind]])
