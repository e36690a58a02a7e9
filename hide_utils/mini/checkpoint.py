"""The miniature's architecture, tokenizer and folder: Qwen3-VL's own classes at 1/1000 of their size."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3VLConfig, Qwen3VLForConditionalGeneration

from hide_utils.files import replace_file, write_json

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
# The pattern of Qwen's tokenizer: words carry their leading space, digits stand alone.
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PATCH, MERGE = 16, 2
CELL = PATCH * MERGE  # pixels along a side of what one visual token covers
MIN_PIXELS, MAX_PIXELS = 192 * 192, 2048 * 2048  # a picture below 36 visual tokens is enlarged, as real processors do


def build_tokenizer(corpus: list[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer for which every word of ``corpus`` is one token, and other text falls into bytes."""
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(pattern=Regex(PATTERN), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4096, min_frequency=1, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(corpus, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>", model_max_length=32768
    )
    fast.add_special_tokens({"additional_special_tokens": list(SPECIAL)})
    fast.chat_template = CHAT_TEMPLATE
    return fast


def build_config(
    tokenizer: PreTrainedTokenizerFast, text: dict | None = None, vision: dict | None = None
) -> Qwen3VLConfig:
    """Configuration of the miniature. ``text`` and ``vision`` override single fields of its two parts."""
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in SPECIAL}
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [6, 5, 5], "mrope_interleaved": True}
    text_config = dict(
        vocab_size=-(-len(tokenizer) // 64) * 64, hidden_size=192, intermediate_size=512, num_hidden_layers=12,
        num_attention_heads=6, num_key_value_heads=2, head_dim=32, max_position_embeddings=32768,
        rope_theta=rope["rope_theta"], rope_parameters=rope, tie_word_embeddings=True,
        bos_token_id=ids["<|endoftext|>"], eos_token_id=ids["<|im_end|>"], pad_token_id=ids["<|endoftext|>"],
    )  # fmt: skip
    vision_config = dict(
        depth=5, hidden_size=128, intermediate_size=384, num_heads=4, patch_size=PATCH, spatial_merge_size=MERGE,
        temporal_patch_size=2, out_hidden_size=192, num_position_embeddings=28 * 28, deepstack_visual_indexes=[2],
    )  # fmt: skip
    return Qwen3VLConfig(
        text_config=text_config | (text or {}), vision_config=vision_config | (vision or {}), tie_word_embeddings=True,
        image_token_id=ids["<|image_pad|>"], video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"], vision_end_token_id=ids["<|vision_end|>"],
    )  # fmt: skip


def build_model(config: Qwen3VLConfig) -> Qwen3VLForConditionalGeneration:
    """The stock class with fresh weights in float32."""
    return Qwen3VLForConditionalGeneration._from_config(config, dtype=torch.float32, attn_implementation="sdpa")


def save_folder(folder: Path, model: Qwen3VLForConditionalGeneration, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write a folder as the hub has it: configuration, safetensors, tokenizer, chat template, preprocessor settings.

    The weights are written in bfloat16, whatever the model computes in, and without the output matrix, which is tied
    to the embeddings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.detach().bfloat16().cpu().contiguous() for name, tensor in model.state_dict().items()}
    del state["lm_head.weight"]
    replace_file(folder / "model.safetensors", lambda file: save_file(state, file, metadata={"format": "pt"}))
    config = Qwen3VLConfig.from_dict(model.config.to_dict())
    config.architectures = [type(model).__name__]
    config.dtype = config.text_config.dtype = config.vision_config.dtype = torch.bfloat16
    config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    preprocessor = {
        "image_processor_type": "Qwen2VLImageProcessorFast",
        "processor_class": "Qwen3VLProcessor",
        "patch_size": PATCH,
        "merge_size": MERGE,
        "temporal_patch_size": 2,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
        "size": {"shortest_edge": MIN_PIXELS, "longest_edge": MAX_PIXELS},
    }
    write_json(folder / "preprocessor_config.json", preprocessor)
