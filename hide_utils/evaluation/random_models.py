"""Models with random weights, whose time and memory can be measured: full-size ones for a GPU, smaller for a CPU."""

from __future__ import annotations

import re

import torch
import transformers

from hide_utils import paths
from hide_utils.evaluation.fullsize import ARCHITECTURES, SMALL, config_of
from hide_utils.models import FAMILIES, VLM, choose_device, choose_dtype, choose_kernels, load_tokenizer

_PROCESSORS = {"internvl": "GotOcr2ImageProcessor"}  # the Qwen families share another
_IMAGE = re.compile(r"<\|vision_start\|>.*<\|vision_end\|>")  # a picture in the miniature's chat template
_INTERNVL_TOKENS = ("<img>", "</img>", "<IMG_CONTEXT>")


def random_model(name: str, device: str | None = None) -> VLM:
    """A model with random weights, ready to answer nonsense. Its replies end at their limit.

    Texts become the miniature's tokens, which are about as many as a real tokenizer makes.

    Args:
        name: of `fullsize.ARCHITECTURES` or `fullsize.SMALL`.
        device: as in `load_model`.

    Raises:
        KeyError: the name is unknown.
    """
    config = ARCHITECTURES[name].config() if name in ARCHITECTURES else config_of(SMALL[name])
    place = choose_device(device)
    number = choose_dtype(None, place.value)
    choices = choose_kernels(place, number, None, None, None)
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
