"""FLOPs of a forward pass, counted from the model's configuration without running anything.

The conventions are those of `torch.utils.flop_counter`. A multiply-add counts as two. Attention is counted over the
whole rectangle of queries and keys, so causal masking saves nothing. Norms, activations and embeddings do not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from torch import Tensor


def forward_flops(
    config: Any, new: int, past: int = 0, heads: int = 1, inputs: Mapping[str, Tensor] | None = None,
    layers: Counter[tuple[str, int]] | None = None,
) -> int:  # fmt: skip
    """A pass with its pictures, and with logits for some of the tokens.

    Args:
        config: of the whole model.
        new: tokens that are run.
        past: cached tokens in front of them.
        heads: tokens whose logits are computed.
        inputs: the processor's tensors of the pictures in the pass. None without pictures.
        layers: `alike_layers` of the text model's config, where they are known already.
    """
    pictures = VISION[config.model_type](config, inputs) if inputs else 0
    return text_flops(config.get_text_config(), new, past, heads, layers) + pictures


def text_flops(
    config: Any, new: int, past: int = 0, heads: int = 1, layers: Counter[tuple[str, int]] | None = None
) -> int:
    """The language model's part of `forward_flops`, with its head on some tokens. Takes the text model's config."""
    alike = (alike_layers(config) if layers is None else layers).items()
    ran = sum(n * (_projections(config, new, kind) + _mixing(config, new, past, mlp, kind)) for (kind, mlp), n in alike)
    return ran + heads * 2 * config.hidden_size * config.vocab_size


def alike_layers(config: Any) -> Counter[tuple[str, int]]:
    """How many layers of a text model there are of each kind and width of the MLP.

    Reading a config takes long beside the sums, so passes share what was read.
    """
    return Counter((kind, _mlp(config, layer)) for layer, kind in enumerate(layer_kinds(config)))


def layer_kinds(config: Any) -> list[str]:
    """What each layer of a text model is: "full_attention", "sliding_attention", "linear_attention", ...

    Takes the text model's config. Where that names no kinds, they follow from its window, as in transformers' caches.
    """
    windowed = getattr(config, "sliding_window", None) or getattr(config, "attention_chunk_size", None)
    usual = "sliding_attention" if windowed else "full_attention"
    kinds = getattr(config, "layer_types", None) or [usual] * config.num_hidden_layers
    return list(kinds)[: config.num_hidden_layers]


def reply_flops(config: Any, new: int, past: int, decoded: int) -> int:
    """A text prompt of `new` tokens behind `past` cached ones, and the decoding of a reply of `decoded` tokens."""
    text = config.get_text_config()
    layers = alike_layers(text)
    steps = sum(text_flops(text, 1, past + new + i, layers=layers) for i in range(decoded))
    return text_flops(text, new, past, layers=layers) + steps


def skipped_flops(config: Any, new: int, past: int, last_layer: int) -> int:
    """What a pass saves that ends as soon as layer `last_layer`, counted from 0, has its queries, keys and values."""
    text = config.get_text_config()
    behind = list(enumerate(layer_kinds(text)))[last_layer:]
    rest = sum(_mixing(text, new, past, _mlp(text, layer), kind) for layer, kind in behind)
    rest += sum(_projections(text, new, kind) for _, kind in behind[1:])
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


def _projections(config: Any, new: int, kind: str) -> int:
    """Queries, keys and values of one layer. Qwen3.5 has a gate as wide as the queries with them."""
    if kind == "linear_attention":
        return _delta_projections(config, new)
    gated = config.model_type in GATED
    heads = (1 + gated) * config.num_attention_heads + 2 * config.num_key_value_heads
    return 2 * new * config.hidden_size * heads * _head_dim(config)


def _mixing(config: Any, new: int, past: int, inner: int, kind: str) -> int:
    """The rest of one layer: attention, its output projection, and the MLP of as many numbers as `_mlp` says."""
    mlp = 2 * new * config.hidden_size * inner
    if kind == "linear_attention":
        return _delta_rule(config, new, past) + mlp
    width = config.num_attention_heads * _head_dim(config)
    # A windowed layer keeps so many tokens of the past that the first new one has its whole window.
    past = min(past, config.sliding_window - 1) if kind == "sliding_attention" else past
    return 4 * new * (past + new) * width + 2 * new * config.hidden_size * width + mlp


def _mlp(config: Any, layer: int) -> int:
    """Numbers a token meets in one layer's MLP, in units of the model's width: three for each of the inner width.

    Where there are experts, a token meets the router, the experts that it is sent to, and those that all tokens visit.
    """
    experts = getattr(config, "num_local_experts", None) or getattr(config, "num_experts", None)
    dense = layer in (getattr(config, "mlp_only_layers", None) or ())
    dense |= (layer + 1) % getattr(config, "decoder_sparse_step", 1) != 0
    if not experts or dense or layer < getattr(config, "first_k_dense_replace", 0):
        return 3 * config.intermediate_size
    inner = config.moe_intermediate_size * (config.num_experts_per_tok + getattr(config, "n_shared_experts", 0))
    gated = getattr(config, "shared_expert_intermediate_size", 0)  # an expert for all, with a gate of one number
    return experts + 3 * (inner + gated) + (gated > 0)


# --- the gated delta rule of Qwen3.5's linear attention -------------------------------------------------------------

GATED = ("qwen3_5_text", "qwen3_5_moe_text")  # text models whose full attention has a gate on its output
_CHUNK = 64  # tokens that the delta rule takes at once


def _delta_widths(config: Any) -> tuple[int, int]:
    """Width of all keys, and of all values."""
    keys = config.linear_num_key_heads * config.linear_key_head_dim
    return keys, config.linear_num_value_heads * config.linear_value_head_dim


def _delta_projections(config: Any, new: int) -> int:
    """Queries, keys, values and gate, two numbers a head, and the convolution."""
    keys, values = _delta_widths(config)
    joined = 2 * keys + values
    projected = joined + values + 2 * config.linear_num_value_heads
    return 2 * new * (config.hidden_size * projected + config.linear_conv_kernel_dim * joined)


def _delta_rule(config: Any, new: int, past: int) -> int:
    """Products with the state and within chunks, and the output projection.

    The triangular systems within chunks are not counted, nor are the element-wise products of a single token's step.
    """
    key, value = config.linear_key_head_dim, config.linear_value_head_dim
    output = 2 * new * _delta_widths(config)[1] * config.hidden_size
    if new == 1 and past:
        return output
    within, through = _CHUNK**2 * (2 * key + value), 3 * _CHUNK * key * value
    return output + -(-new // _CHUNK) * config.linear_num_value_heads * 2 * (within + through)


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
    mergers = 1 + len(getattr(vision, "deepstack_visual_indexes", ()))
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


def _glm4(config: Any, inputs: Mapping[str, Tensor]) -> int:
    """GLM's blocks are as wide inside as the text model; a merger of four matrices stands behind a convolution."""
    vision = config.vision_config
    sizes = [prod(grid) for grid in inputs["image_grid_thw"].tolist()]
    patches, width, out = sum(sizes), vision.hidden_size, vision.out_hidden_size
    block = _tower(patches, sum(n * n for n in sizes), width, out, matrices=3)
    merging = patches // vision.spatial_merge_size**2 * 2 * (out**2 + 3 * out * vision.intermediate_size)
    return _embedding(vision, patches) + vision.depth * block + 2 * patches * width * out + merging


def _mistral3(config: Any, inputs: Mapping[str, Tensor]) -> int:
    """Patches are embedded with the padding around smaller pictures, and leave it behind them."""
    vision, out, merge = config.vision_config, config.get_text_config().hidden_size, config.spatial_merge_size
    n, channels, height, width_px = inputs["pixel_values"].shape
    patch, width = vision.patch_size, vision.hidden_size
    sizes = [h // patch * (w // patch) for h, w in inputs["image_sizes"].tolist()]
    embedding = 2 * n * (height // patch) * (width_px // patch) * channels * patch**2 * width
    block = _tower(sum(sizes), sum(s * s for s in sizes), width, vision.intermediate_size, matrices=3)
    projector = 2 * (sum(sizes) // merge**2) * (width**2 * merge**2 + width * out + out**2)
    return embedding + vision.num_hidden_layers * block + projector


def _siglip(vision: Any, pixels: Tensor) -> tuple[int, int]:
    """Patches of all tiles, and the tower that every tile is run through on its own. Tiles are all but three axes."""
    channels, height, width_px = pixels.shape[-3:]
    tiles, n = prod(pixels.shape[:-3]), height // vision.patch_size * (width_px // vision.patch_size)
    embedding = 2 * n * channels * vision.patch_size**2 * vision.hidden_size
    block = _tower(n, n * n, vision.hidden_size, vision.intermediate_size, matrices=2)
    return tiles * n, tiles * (embedding + vision.num_hidden_layers * block)


def _idefics3(config: Any, inputs: Mapping[str, Tensor]) -> int:
    patches, tower = _siglip(config.vision_config, inputs["pixel_values"])
    # Groups of patches are joined, so that the projection takes as many numbers as the tower gives.
    return tower + 2 * patches * config.vision_config.hidden_size * config.get_text_config().hidden_size


def _llava_onevision(config: Any, inputs: Mapping[str, Tensor]) -> int:
    patches, tower = _siglip(config.vision_config, inputs["pixel_values"])
    out = config.get_text_config().hidden_size
    return tower + 2 * patches * (config.vision_config.hidden_size * out + out**2)


def _gemma3(config: Any, inputs: Mapping[str, Tensor]) -> int:
    """The patches of a picture are averaged to its tokens before they are projected."""
    vision, text = config.vision_config, config.get_text_config()
    n, channels, height, width_px = inputs["pixel_values"].shape
    patches = height // vision.patch_size * (width_px // vision.patch_size)
    embedding = 2 * patches * channels * vision.patch_size**2 * vision.hidden_size
    block = _tower(patches, patches**2, vision.hidden_size, vision.intermediate_size, matrices=2)
    projector = 2 * config.mm_tokens_per_image * vision.hidden_size * text.hidden_size
    return n * (embedding + vision.num_hidden_layers * block + projector)


VISION = {
    "qwen2_5_vl": _qwen2_5,
    "qwen3_vl": _qwen3,
    "internvl": _internvl,
    "qwen3_vl_moe": _qwen3,
    "glm4v": _glm4,
    "glm46v": _glm4,
    "glm4v_moe": _glm4,
    "qwen3_5": _qwen3,
    "qwen3_5_moe": _qwen3,
    "mistral3": _mistral3,
    "idefics3": _idefics3,
    "smolvlm": _idefics3,
    "llava_onevision": _llava_onevision,
    "gemma3": _gemma3,
}
