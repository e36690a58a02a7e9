"""FLOPs of a forward pass, counted from the model's configuration without running anything.

The conventions are those of `torch.utils.flop_counter`. A multiply-add counts as two. Attention is counted over the
whole rectangle of queries and keys, so causal masking saves nothing. Norms, activations and embeddings do not count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from torch import Tensor


def forward_flops(
    config: Any, new: int, past: int = 0, heads: int = 1, inputs: Mapping[str, Tensor] | None = None
) -> int:
    """A pass with its pictures, and with logits for some of the tokens.

    Args:
        config: of the whole model.
        new: tokens that are run.
        past: cached tokens in front of them.
        heads: tokens whose logits are computed.
        inputs: the processor's tensors of the pictures in the pass. None without pictures.
    """
    pictures = VISION[config.model_type](config, inputs) if inputs else 0
    return text_flops(config.get_text_config(), new, past, heads) + pictures


def text_flops(config: Any, new: int, past: int = 0, heads: int = 1) -> int:
    """The language model's part of `forward_flops`, with its head on some tokens. Takes the text model's config."""
    layer = _projections(config, new) + _mixing(config, new, past)
    return config.num_hidden_layers * layer + heads * 2 * config.hidden_size * config.vocab_size


def reply_flops(config: Any, new: int, past: int, decoded: int) -> int:
    """A text prompt of `new` tokens behind `past` cached ones, and the decoding of a reply of `decoded` tokens."""
    text = config.get_text_config()
    return text_flops(text, new, past) + sum(text_flops(text, 1, past + new + i) for i in range(decoded))


def skipped_flops(config: Any, new: int, past: int, last_layer: int) -> int:
    """What a pass saves that ends as soon as layer `last_layer`, counted from 0, has its queries, keys and values."""
    text = config.get_text_config()
    behind = text.num_hidden_layers - last_layer
    rest = behind * _mixing(text, new, past) + (behind - 1) * _projections(text, new)
    return rest + 2 * text.hidden_size * text.vocab_size


def capture_flops(config: Any, queries: int, layers: Sequence[int], keys: int, past: int, early_exit: bool) -> int:
    """What capturing rows adds to a pass. The number is negative where the early exit saves more than the rows cost.

    Args:
        config: of the whole model.
        queries: tokens whose rows are captured.
        layers: where, counted from 0 and ascending.
        keys: tokens of the prompt.
        past: how many of them are cached.
        early_exit: the pass ends in the last of the layers.
    """
    saved = skipped_flops(config, keys - past, past, layers[-1]) if early_exit else 0
    return len(layers) * row_flops(config, queries, keys) - saved


def row_flops(config: Any, queries: int, keys: int) -> int:
    """Attention rows of some queries at one layer. Their scores are computed a second time, beside the pass itself."""
    text = config.get_text_config()
    return 2 * queries * keys * text.num_attention_heads * _head_dim(text)


def _head_dim(config: Any) -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def _projections(config: Any, new: int) -> int:
    """Queries, keys and values of one layer."""
    heads = config.num_attention_heads + 2 * config.num_key_value_heads
    return 2 * new * config.hidden_size * heads * _head_dim(config)


def _mixing(config: Any, new: int, past: int) -> int:
    """The rest of one layer: attention, its output projection, and the gated MLP with its three matrices."""
    width = config.num_attention_heads * _head_dim(config)
    attention = 4 * new * (past + new) * width
    return attention + 2 * new * config.hidden_size * width + 6 * new * config.hidden_size * config.intermediate_size


def _tower(patches: int, pairs: int, width: int, inner: int, matrices: int) -> int:
    """One block of a vision tower: four square projections, attention over `pairs` of patches, and an MLP."""
    return patches * (8 * width**2 + 2 * matrices * width * inner) + 4 * pairs * width


def _merger(patches: int, width: int, merge: int, out: int) -> int:
    """Groups of merge x merge patches, through two linear layers to the language model's width."""
    joined = width * merge**2
    return patches // merge**2 * 2 * (joined**2 + joined * out)


def _embedding(vision: Any, patches: int) -> int:
    return 2 * patches * vision.in_channels * vision.temporal_patch_size * vision.patch_size**2 * vision.hidden_size


def _qwen3(config: Any, inputs: Mapping[str, Tensor]) -> int:
    vision = config.vision_config
    sizes = [prod(grid) for grid in inputs["image_grid_thw"].tolist()]
    patches, width = sum(sizes), vision.hidden_size
    block = _tower(patches, sum(n * n for n in sizes), width, vision.intermediate_size, matrices=2)
    mergers = 1 + len(vision.deepstack_visual_indexes)
    merging = mergers * _merger(patches, width, vision.spatial_merge_size, vision.out_hidden_size)
    return _embedding(vision, patches) + vision.depth * block + merging


def _qwen2_5(config: Any, inputs: Mapping[str, Tensor]) -> int:
    vision = config.vision_config
    grids = inputs["image_grid_thw"].tolist()
    patches, width, full = sum(map(prod, grids)), vision.hidden_size, len(vision.fullatt_block_indexes)
    side = vision.window_size // vision.patch_size  # of a window, in patches

    def squares(n: int) -> int:
        return n // side * side**2 + (n % side) ** 2

    windowed = sum(t * squares(h) * squares(w) for t, h, w in grids)
    whole = sum(t * (h * w) ** 2 for t, h, w in grids)
    blocks = [(full, whole), (vision.depth - full, windowed)]
    tower = sum(n * _tower(patches, pairs, width, vision.intermediate_size, matrices=3) for n, pairs in blocks)
    return (
        _embedding(vision, patches) + tower + _merger(patches, width, vision.spatial_merge_size, vision.out_hidden_size)
    )


def _internvl(config: Any, inputs: Mapping[str, Tensor]) -> int:
    """Every tile is run on its own, with a class token that the projector does not take."""
    vision, text = config.vision_config, config.get_text_config()
    tiles, channels, height, width_px = inputs["pixel_values"].shape
    n, width = height // vision.patch_size[0] * (width_px // vision.patch_size[1]), vision.hidden_size
    embedding = 2 * n * channels * prod(vision.patch_size) * width
    block = _tower(n + 1, (n + 1) ** 2, width, vision.intermediate_size, matrices=2)
    joined = int(width / config.downsample_ratio**2)
    projector = 2 * int(n * config.downsample_ratio**2) * (joined * text.hidden_size + text.hidden_size**2)
    return tiles * (embedding + vision.num_hidden_layers * block + projector)


VISION = {"qwen2_5_vl": _qwen2_5, "qwen3_vl": _qwen3, "internvl": _internvl}
