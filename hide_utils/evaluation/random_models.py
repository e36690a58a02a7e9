"""Models with random weights, whose time and memory can be measured: full-size ones for a GPU, smaller for a CPU."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import torch
import transformers

from hide_utils import paths
from hide_utils.evaluation.fullsize import ARCHITECTURES
from hide_utils.models import FAMILIES, VLM, choose_device, choose_dtype, choose_kernels, load_tokenizer

_PROCESSORS = {"internvl": "GotOcr2ImageProcessor"}  # the Qwen families share another
_IMAGE = re.compile(r"<\|vision_start\|>.*<\|vision_end\|>")  # a picture in the miniature's chat template
_INTERNVL_TOKENS = ("<img>", "</img>", "<IMG_CONTEXT>")


def sized(layers: int, hidden: int, heads: int) -> transformers.PreTrainedConfig:
    """Qwen3-VL's architecture at a size that a CPU runs. Heads are 32 wide, and the MLP is three times `hidden`."""
    text = {
        "hidden_size": hidden, "intermediate_size": 3 * hidden, "num_hidden_layers": layers, "head_dim": 32,
        "num_attention_heads": heads, "num_key_value_heads": heads // 2, "vocab_size": 2048,
        "max_position_embeddings": 32768,
        "rope_parameters": {
            "rope_type": "default", "mrope_section": [6, 5, 5], "mrope_interleaved": True, "rope_theta": 1e6
        },
    }  # fmt: skip
    vision = {
        "depth": 2, "hidden_size": 96, "intermediate_size": 256, "num_heads": 4, "out_hidden_size": hidden,
        "patch_size": 16, "num_position_embeddings": 576, "deepstack_visual_indexes": [0],
    }  # fmt: skip
    return transformers.Qwen3VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=False)


def windowed() -> transformers.PreTrainedConfig:
    """Qwen2.5-VL's architecture at a size that a CPU runs: windows of 112 pixels in three of four blocks."""
    text = {
        "hidden_size": 384, "intermediate_size": 1152, "num_hidden_layers": 6, "num_attention_heads": 12,
        "num_key_value_heads": 4, "vocab_size": 2048, "max_position_embeddings": 32768, "bos_token_id": None,
        "eos_token_id": None,
        "rope_parameters": {"rope_type": "default", "mrope_section": [6, 5, 5], "rope_theta": 1e6},
    }  # fmt: skip
    vision = {
        "hidden_size": 160, "intermediate_size": 480, "out_hidden_size": 384, "depth": 8, "num_heads": 2,
        "patch_size": 14, "window_size": 112, "fullatt_block_indexes": [3, 7],
    }  # fmt: skip
    return transformers.Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=False)


SIZES: dict[str, Callable[[], transformers.PreTrainedConfig]] = {
    "small": partial(sized, 4, 192, 6),
    "middle": partial(sized, 6, 384, 12),
    "windowed": windowed,
}


def random_model(
    name: str,
    device: str | None = None,
    dtype: str | None = None,
    attention: str | None = None,
    vision: str | None = None,
    decoding: str | None = None,
) -> VLM:
    """A model with random weights, ready to answer nonsense. Its replies end at their limit.

    Texts become the miniature's tokens, which are about as many as a real tokenizer makes.

    Args:
        name: of `fullsize.ARCHITECTURES` or `SIZES`.
        device: as in `load_model`, like the next two.
        dtype: floating-point format of the weights.
        attention: kernel of the text model.
        vision: how the vision tower runs its windows.
        decoding: how long replies are decoded.

    Raises:
        KeyError: the name is unknown.
    """
    config = ARCHITECTURES[name].config() if name in ARCHITECTURES else SIZES[name]()
    place = choose_device(device)
    number = choose_dtype(dtype, place.value)
    choices = choose_kernels(place, number, attention, vision, decoding)
    kind, tokenizer = FAMILIES[config.model_type], load_tokenizer(str(paths.MINI))
    if config.model_type == "internvl":
        tokenizer.add_special_tokens({"additional_special_tokens": list(_INTERNVL_TOKENS)})
        tokenizer.chat_template = _IMAGE.sub("<IMG_CONTEXT>\n", tokenizer.chat_template)
    config.image_token_id = tokenizer.convert_tokens_to_ids(kind.image_token)
    for end in ("start", "end"):
        setattr(config, f"vision_{end}_token_id", tokenizer.convert_tokens_to_ids(f"<|vision_{end}|>"))
    torch.manual_seed(0)
    with place.value:
        model = transformers.AutoModelForImageTextToText.from_config(config, dtype=number.value).eval()
    # A special token must never be the most likely one: an image's token without a picture would be an error.
    with torch.no_grad():
        model.lm_head.weight[list(tokenizer.get_added_vocab().values())] = 0
    vlm = kind(name, model, tokenizer, _processor(config), choices)
    vlm.end_ids = set()
    return vlm


def _processor(config: transformers.PreTrainedConfig) -> transformers.BaseImageProcessor:
    """The family's image processor, with a limit on pixels that lets 16 384 tokens through."""
    name = _PROCESSORS.get(config.model_type, "Qwen2VLImageProcessor")
    kind = getattr(transformers, name + "Pil", None) or getattr(transformers, name)
    if config.model_type == "internvl":
        height, width = config.vision_config.image_size
        return kind(size={"height": height, "width": width}, min_patches=1, max_patches=12, crop_to_patches=True)
    patch, merge = config.vision_config.patch_size, config.vision_config.spatial_merge_size
    token = (patch * merge) ** 2
    size = {"shortest_edge": 4 * token, "longest_edge": 16384 * token}
    return kind(patch_size=patch, merge_size=merge, temporal_patch_size=2, size=size)
