"""Tiny checkpoints with random weights, one per family, saved the way the hub's folders look. Nothing is downloaded."""

from __future__ import annotations

import functools
import json
import tempfile
from pathlib import Path

import torch
import transformers
from glm_checkpoints import EXPERTS, GLM_SPECIAL, GLM_TEMPLATE, glm, glm_preprocessor
from state_checkpoints import GEMMA_PREPROCESSOR, THINKING, gemma3, gemma_tokenizer, qwen3_5
from tile_checkpoints import CLIP, TILED
from tokenizers import Tokenizer, models, trainers
from tokenizers.pre_tokenizers import ByteLevel

# "internvl3_5" is of family internvl, with another text model. Beside these there are "internvl3_5_moe" and
# "qwen2_vl", the example of a new family in CONTRIBUTING.md.
FULL_ATTENTION = (  # at every layer, so that every layer has rows
    *("qwen2_5_vl", "qwen3_vl", "internvl", "qwen3_vl_moe", "internvl3_5"),
    *("glm4v", "glm46v", "glm4v_moe", *TILED),
)
FAMILIES = (*FULL_ATTENTION, "qwen3_5", "qwen3_5_moe", "gemma3")
LAYERS = 4
# One of each kind, for what does not depend on the family: M-RoPE and DeepStack, a single tile, GLM's experts, tiles
# with a line's end, states with experts, and windows whose pictures see themselves whole.
KINDS_OF_FAMILY = ("qwen3_vl", "internvl", "glm4v_moe", "llava_onevision", "qwen3_5_moe", "gemma3")

QWEN_SPECIAL = """<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|object_ref_end|> <|box_start|>
<|box_end|> <|quad_start|> <|quad_end|> <|vision_start|> <|vision_end|> <|vision_pad|> <|image_pad|>
<|video_pad|>""".split()
INTERN_SPECIAL = "<img> </img> <IMG_CONTEXT> <quad> </quad> <ref> </ref> <box> </box> <video>".split()
UNMARKED = ["<tool_call>", "</tool_call>"]  # added tokens that the hub's files do not mark as special

CORPUS = """Search the following entities in the images: truck with large size with blue color, dog, scooter, red star.
What is the color of the large blue truck? Is the dog on the left or on the right of the scooter?
A. red B. green C. blue D. yellow E. white Answer with the option's letter from the given choices directly.
system user assistant You are a helpful assistant. The images show the sky, the street and the people.""".splitlines()

QWEN_TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' or 'image' in content %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
INTERN_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n'}}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}{{ '<IMG_CONTEXT>\n' }}"
    "{% elif content['type'] == 'text' %}{{ content['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{{'<|im_end|>\n'}}{% endfor %}{% if add_generation_prompt %}{{'<|im_start|>assistant\n' }}{% endif %}"
)


def make_tokenizer(family: str) -> transformers.PreTrainedTokenizerBase:
    """A byte-level BPE of a few hundred tokens with Qwen's pre-tokenisation, and the family's tokens and template."""
    if family == "gemma3":
        return gemma_tokenizer(CORPUS, UNMARKED)
    stock = transformers.Qwen2TokenizerFast().backend_tokenizer  # Qwen's normaliser, regex and decoder
    trained = Tokenizer(models.BPE())
    trained.normalizer, trained.pre_tokenizer = stock.normalizer, stock.pre_tokenizer
    trainer = trainers.BpeTrainer(vocab_size=560, initial_alphabet=ByteLevel.alphabet(), show_progress=False)
    trained.train_from_iterator(CORPUS * 4, trainer)
    model = json.loads(trained.to_str())["model"]
    kind = family[:3]
    special = GLM_SPECIAL if kind == "glm" else QWEN_SPECIAL + (INTERN_SPECIAL if kind == "int" else [])
    special += TILED[family].special if family in TILED else []
    merges = [tuple(merge) for merge in model["merges"]]
    end = "<|endoftext|>" if kind == "glm" else "<|im_end|>"
    tokenizer = transformers.Qwen2TokenizerFast(
        vocab=model["vocab"],
        merges=merges,
        eos_token=end,
        pad_token="<|endoftext|>",
    )
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    tokenizer.add_tokens(UNMARKED)
    tokenizer.chat_template = {"int": INTERN_TEMPLATE, "glm": GLM_TEMPLATE}.get(kind, QWEN_TEMPLATE)
    if family.startswith("qwen3_5"):
        tokenizer.add_tokens(["<think>", "</think>"])
        tokenizer.chat_template += THINKING
    if family in TILED:
        tokenizer.chat_template = TILED[family].template
        tokenizer.bos_token = "<s>" if "<s>" in special else None
    return tokenizer


def _config(family: str, tokenizer) -> transformers.PreTrainedConfig:
    ids = tokenizer.convert_tokens_to_ids
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": LAYERS,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 4096, "bos_token_id": None,
        "tie_word_embeddings": True, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": ids("<|endoftext|>"),
    }  # fmt: skip
    if family in TILED:
        return TILED[family].config(text, ids)
    if family.startswith("glm"):
        return glm(family, text, ids)
    if family == "gemma3":
        return gemma3(text, ids)
    if family.startswith("internvl"):
        return _internvl(family, text, ids)
    special = {
        "image_token_id": ids("<|image_pad|>"), "video_token_id": ids("<|video_pad|>"),
        "vision_start_token_id": ids("<|vision_start|>"), "vision_end_token_id": ids("<|vision_end|>"),
        "tie_word_embeddings": True,
    }  # fmt: skip
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 64}
    if family.startswith("qwen3_vl"):
        vision |= {"patch_size": 16, "num_position_embeddings": 64, "deepstack_visual_indexes": [0]}
        rope = {"rope_type": "default", "mrope_section": [4, 2, 2], "mrope_interleaved": True, "rope_theta": 1e6}
        text |= {"head_dim": 16, "rope_parameters": rope}
        if family == "qwen3_vl_moe":
            text |= EXPERTS | {"num_experts": 6, "mlp_only_layers": [1]}
            return transformers.Qwen3VLMoeConfig(vision_config=vision, text_config=text, **special)
        return transformers.Qwen3VLConfig(vision_config=vision, text_config=text, **special)
    if family.startswith("qwen3_5"):
        return qwen3_5(family, text, vision | {"patch_size": 16, "num_position_embeddings": 64}, special)
    if family == "qwen2_vl":
        vision = {"depth": 2, "embed_dim": 32, "hidden_size": 64, "num_heads": 2, "mlp_ratio": 2, "patch_size": 14}
    else:
        vision |= {"patch_size": 14, "window_size": 56, "fullatt_block_indexes": [1]}
    text |= {"rope_parameters": {"rope_type": "default", "mrope_section": [4, 2, 2], "rope_theta": 1e6}}
    kind = transformers.Qwen2VLConfig if family == "qwen2_vl" else transformers.Qwen2_5_VLConfig
    return kind(vision_config=vision, text_config=text, **special)


def _internvl(family: str, text: dict, ids) -> transformers.PreTrainedConfig:
    vision = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
        "image_size": [56, 56], "patch_size": [14, 14],
    }  # fmt: skip
    text = text | {"model_type": "qwen2", "rope_theta": 1e6}
    text |= {"model_type": "qwen3", "head_dim": 24} if family != "internvl" else {}
    if family == "internvl3_5_moe":
        text |= EXPERTS | {"model_type": "qwen3_moe", "num_experts": 6}
    return transformers.InternVLConfig(
        vision_config=vision, text_config=text, image_token_id=ids("<IMG_CONTEXT>"), image_seq_length=4
    )


def _preprocessor(family: str) -> dict:
    """preprocessor_config.json in the wording of the hub's own files, with a small pixel budget."""
    if family in TILED:
        return TILED[family].preprocessor
    if family.startswith("glm"):
        return glm_preprocessor(family)
    if family == "gemma3":
        return GEMMA_PREPROCESSOR
    if family.startswith("internvl"):
        return {
            "crop_to_patches": False, "data_format": "channels_first", "do_convert_rgb": True, "do_normalize": True,
            "do_rescale": True, "do_resize": True, "image_mean": [0.485, 0.456, 0.406],
            "image_std": [0.229, 0.224, 0.225],
            "image_processor_type": "GotOcr2ImageProcessorFast", "max_patches": 12, "min_patches": 1,
            "processor_class": "InternVLProcessor", "resample": 3, "size": {"height": 56, "width": 56},
        }  # fmt: skip
    shared = {"temporal_patch_size": 2, "merge_size": 2, "processor_class": "Qwen3VLProcessor"}
    if family.startswith("qwen3"):
        half = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "image_processor_type": "Qwen2VLImageProcessorFast"}
        return shared | half | {"size": {"longest_edge": 262144, "shortest_edge": 4096}, "patch_size": 16}
    budget = {"min_pixels": 3136, "max_pixels": 200704, "patch_size": 14}
    return shared | CLIP | budget | {"image_processor_type": "Qwen2VLImageProcessor"}


def make_checkpoint(family: str, folder: Path, seed: int = 0) -> Path:
    """Write a checkpoint of a few ten thousand random weights into `folder`; returns the folder.

    Weights are drawn wider than at the usual start of training, so that attention and greedy tokens are not all alike.
    """
    tokenizer = make_tokenizer(family)
    others = {"gem": ("<end_of_turn>", "<eos>"), "glm": ("<|user|>", "<|endoftext|>")}
    ends = others.get(family[:3], ("<|im_end|>", "<|endoftext|>"))
    torch.manual_seed(seed)
    model = transformers.AutoModelForImageTextToText.from_config(_config(family, tokenizer))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                wide = 2.0
                if family.startswith("glm"):  # whose tower carries rounding, and any change of a patch, far
                    wide = 0.7 if ".visual." in name else 1.6
                inputs = weight.shape[-1] if "experts" in name else weight[0].numel()
                weight.normal_(0, 0.5 if "embed" in name else wide * inputs**-0.5)
        if family == "gemma3":  # which multiplies embeddings by the root of their width
            model.get_input_embeddings().weight /= 8
        # Small, so that no special token is ever the most likely: an image token decoded by chance has no pixels.
        model.get_input_embeddings().weight[sorted(tokenizer.get_added_vocab().values())] *= 0.02
    model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(list(ends))
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(_preprocessor(family), indent=2))
    return folder


_folder = tempfile.TemporaryDirectory(prefix="hide-checkpoints-")  # removed when the tests end


@functools.cache
def checkpoint(family: str) -> Path:
    """The family's tiny checkpoint, made once a test run. Copy it before changing it."""
    return make_checkpoint(family, Path(_folder.name) / family)


@functools.cache
def tiny_model(family: str):
    """The tiny checkpoint, loaded once a test run. Its counts are shared: compare differences, or clear them first."""
    from hide_utils.models import load_model

    return load_model(checkpoint(family), device="cpu", dtype="float32")


@functools.cache
def eager_model(family: str) -> transformers.PreTrainedModel:
    """The same weights in the stock class with eager attention: the oracle."""
    return transformers.AutoModelForImageTextToText.from_pretrained(
        checkpoint(family), attn_implementation="eager", dtype=torch.float32
    ).eval()
