"""Real models without their weights: published dimensions, passes counted by torch itself on its meta device.

The dimensions are those of the checkpoints' own config.json. On the meta device tensors have shapes and no numbers, so
a model of eight billion weights is made in a second and `torch.utils.flop_counter` sees every operation of a pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
import torch
import transformers
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.flop_counter import FlopCounterMode
from transformers import DynamicCache

from hide_utils.evaluation.procedures import RELEASED, Pass, Visual, Work, direct_answer, flops, hide
from hide_utils.files import data_of
from hide_utils.models.attention import NAMES, capturing
from hide_utils.models.running import cache_argument
from hide_utils.models.towers import TOWERS, windows_by_length

SIDES = (448, 672, 896, 1344, 1792, 2688, 3584, 5376, 8192)  # pixels


@dataclass(frozen=True)
class Architecture:
    """A published model.

    Attributes:
        name: as its authors call it.
        layer: whose attention HiDe captures, counted from 0.
        tokens: of the largest picture that its processor lets through.
        compact: tokens of a compact image: about 900 x 900 pixels for the Qwen models, one tile for InternVL.
        config: makes its configuration.
    """

    name: str
    layer: int
    tokens: int
    compact: int
    config: Callable[[], transformers.PreTrainedConfig]


def config_of(fields: Mapping[str, Any]) -> transformers.PreTrainedConfig:
    """A configuration with these fields of its config.json."""
    return transformers.AutoConfig.for_model(**deepcopy(dict(fields)))  # classes change the parts that they are given


_DIMENSIONS = data_of(__file__)
ARCHITECTURES = {
    name: Architecture(name, **about | {"config": partial(config_of, about["config"])})
    for name, about in _DIMENSIONS["published"].items()
}
SMALL: dict[str, dict[str, Any]] = _DIMENSIONS["small"]  # for a CPU, by the fields of their config.json


def visual(config: transformers.PreTrainedConfig, tokens: int) -> Visual:
    """A picture of about that many tokens, whose pixels lie on the meta device.

    For the Qwen models it is the largest square that fits, for InternVL whole tiles with the thumbnail.

    Raises:
        ValueError: the family's smallest picture has more tokens.
    """
    vision = config.vision_config
    if config.model_type == "internvl":
        crops = _at_least_one(tokens // config.image_seq_length, tokens)
        pixels = torch.empty(crops, 3, *vision.image_size, device="meta")
        return Visual(crops * config.image_seq_length, {"pixel_values": pixels})
    side, merge = _at_least_one(math.isqrt(tokens), tokens), vision.spatial_merge_size
    patches = (side * merge) ** 2
    pixels = torch.empty(patches, vision.in_channels * vision.temporal_patch_size * vision.patch_size**2, device="meta")
    grid = torch.tensor([[1, side * merge, side * merge]])
    return Visual(side**2, {"pixel_values": pixels, "image_grid_thw": grid})


def _at_least_one(n: int, tokens: int) -> int:
    if n < 1:
        raise ValueError(f"{tokens} tokens are less than this family's smallest picture")
    return n


def work_for(architecture: Architecture, tokens: int | None = None, compact: int | None = None, **more: Any) -> Work:
    """A question about a picture.

    Args:
        architecture: the model that is asked.
        tokens: of the picture. None takes the architecture's.
        compact: tokens of the compact image, at most the picture's. None takes the architecture's. Without a budget the
            compact image takes a quarter of the picture's tokens, or the budget's where that is more.
        **more: further fields of `Work`.
    """
    config, tokens = architecture.config(), tokens or architecture.tokens
    compact = min(compact or architecture.compact, tokens)
    free = visual(config, max(tokens // 4, compact))
    return Work(visual(config, tokens), visual(config, compact), architecture.layer, free, **more)


def by_resolution(architecture: Architecture, sides: Sequence[int] = SIDES) -> pd.DataFrame:
    """FLOPs of the direct answer, HiDe and the released procedure by the size of a square picture.

    The processor's limit on pixels is lifted, so that every side counts in full. The compact image has the
    architecture's budget, or the picture's own size where that is less.

    Args:
        architecture: the model that is asked.
        sides: of the picture in pixels.

    Returns:
        Columns side, tokens, compact, plain (the direct answer), hide and released.
    """
    config, rows = architecture.config(), []
    vision = config.vision_config
    for side in sides:
        if config.model_type == "internvl":
            tiles = max(side // vision.image_size[0], 1) ** 2
            tokens = (tiles + (tiles > 1)) * config.image_seq_length
        else:
            tokens = (side // (vision.patch_size * vision.spatial_merge_size)) ** 2
        work = work_for(architecture, tokens)
        row = {"side": side, "tokens": work.image.n_tokens, "compact": work.compact.n_tokens}
        rows.append(row | _costs(config, work))
    return pd.DataFrame(rows)


def _costs(config: transformers.PreTrainedConfig, work: Work) -> dict[str, float]:
    """FLOPs of the direct answer, HiDe and the released procedure."""
    released = hide(work, RELEASED.but(compact_budget=True))
    passes = {"plain": direct_answer(work), "hide": hide(work), "released": released}
    return {name: flops(config, some) for name, some in passes.items()}


def cost_table() -> pd.DataFrame:
    """What a question about the largest picture costs on each architecture with its own settings. Nothing is run.

    Returns:
        One row an architecture: model, layer (counted from 0), tokens and compact. plain_tflop is the direct answer's
        cost; hide, released (three full passes) and hide_causal are multiples of it. eager_gb is what all layers'
        attention of a pass takes in bfloat16, rows_gb what captured rows take in float32.
    """
    rows = []
    for one in ARCHITECTURES.values():
        config, work = one.config(), work_for(one)
        text, keys = config.get_text_config(), work.around + work.image.n_tokens + work.search
        costs, causal = _costs(config, work), flops(config, direct_answer(work), causal=True)
        rows.append(
            {
                "model": one.name,
                "layer": one.layer,
                "tokens": work.image.n_tokens,
                "compact": work.compact.n_tokens,
                "plain_tflop": costs["plain"] / 1e12,
                "hide": costs["hide"] / costs["plain"],
                "released": costs["released"] / costs["plain"],
                "hide_causal": flops(config, hide(work), causal=True) / causal,
                "eager_gb": text.num_hidden_layers * text.num_attention_heads * keys**2 * 2 / 1e9,
                "rows_gb": (1 + text.num_attention_heads) * work.rows * keys * 4 / 1e9,
            }
        )
    return pd.DataFrame(rows)


def meta_model(config: transformers.PreTrainedConfig, vision: str = "batched") -> transformers.PreTrainedModel:
    """The stock class at full size without weights, its text model pointed at the wrapper that captures rows.

    Args:
        config: of the whole model.
        vision: how the tower runs its windows, "batched" or "stock".
    """
    with torch.device("meta"):
        model = transformers.AutoModelForImageTextToText.from_config(config, attn_implementation="sdpa").eval()
    model.set_attn_implementation({"text_config": NAMES["sdpa"], "vision_config": TOWERS[vision]})
    if vision == "batched":
        windows_by_length(model)
    return model


@torch.no_grad()
def counted(model: transformers.PreTrainedModel, passes: Iterable[Pass]) -> list[int]:
    """FLOPs of each whole pass by `torch.utils.flop_counter`.

    Everything is run that has FLOPs: vision tower and projector, the language model behind a cache of the pass's
    length with rows captured and the early exit taken, its head, and every decoded token.

    Args:
        model: from `meta_model`.
        passes: what to count.
    """
    found = []
    for one in passes:
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, MetaWins():
            _run(model, one)
        found.append(counter.get_total_flops())
    return found


def _run(model: transformers.PreTrainedModel, one: Pass) -> None:
    for picture in one.visuals:
        model.model.get_image_features(**picture.inputs)
    cache = meta_cache(model.config.get_text_config(), one.past)
    queries = torch.arange(one.new - one.rows, one.new)
    with capturing(queries, [one.layer], early_exit=one.early_exit) if one.rows else nullcontext():
        run_tokens(model, one.new, cache, one.heads)
    for _ in range(one.decoded):
        run_tokens(model, 1, cache, 1)


def run_tokens(model: transformers.PreTrainedModel, new: int, cache: DynamicCache, heads: int) -> None:
    """Run some tokens of no meaning behind a cache, the last `heads` of them through the head."""
    text, past = model.config.get_text_config(), cache.get_seq_length()
    embeds = torch.empty(1, new, text.hidden_size, device="meta", dtype=model.dtype)
    positions = torch.arange(past, past + new, device="meta")[None]
    positions = positions if model.config.model_type == "internvl" else positions.expand(3, 1, new)
    text_model = model.model.language_model
    named = {cache_argument(text_model): cache}
    run = text_model(inputs_embeds=embeds, position_ids=positions, use_cache=True, **named)
    model.lm_head(run.last_hidden_state[:, -heads:])


def meta_cache(text: transformers.PreTrainedConfig, past: int) -> DynamicCache:
    """A cache of `past` tokens on the meta device, for a text model's config."""
    cache = DynamicCache(config=text)
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    for layer in range(text.num_hidden_layers if past else 0):
        full = torch.empty(1, text.num_key_value_heads, past, width, device="meta")
        cache.update(full, full, layer)
    return cache


class MetaWins(TorchDispatchMode):
    """Moves a CPU tensor to the meta device where it meets a tensor there, as the pictures' grids do."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        args, kwargs = (args, kwargs or {})
        kinds = {leaf.device.type for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        if kinds == {"cpu", "meta"}:
            args, kwargs = tree_map_only(Tensor, lambda tensor: tensor.to("meta"), (args, kwargs))
        return func(*args, **kwargs)
