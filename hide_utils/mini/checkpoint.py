"""The miniature's architecture, tokenizer and folder: Qwen3-VL's own classes at 1/1000 of their size."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3VLConfig, Qwen3VLForConditionalGeneration

from hide_utils import paths
from hide_utils.files import replace_file

# The pattern of Qwen's tokenizer: words carry their leading space, digits stand alone.
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PATCH, MERGE = 16, 2
CELL = PATCH * MERGE  # pixels along a side of what one visual token covers
MIN_PIXELS = 192 * 192  # a picture below 36 visual tokens is enlarged, as real processors do


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
    settings = json.loads((paths.MINI / "tokenizer_config.json").read_text(encoding="utf-8"))
    fast.add_special_tokens({"additional_special_tokens": settings["extra_special_tokens"]})
    fast.chat_template = (paths.MINI / "chat_template.jinja").read_text(encoding="utf-8")
    return fast


def build_config(tokenizer: PreTrainedTokenizerFast) -> Qwen3VLConfig:
    """The shipped configuration, for a tokenizer whose vocabulary may be another."""
    config, ids = Qwen3VLConfig.from_pretrained(paths.MINI), tokenizer.convert_tokens_to_ids
    config.text_config.vocab_size = -(-len(tokenizer) // 64) * 64
    config.text_config.eos_token_id = ids("<|im_end|>")
    config.text_config.bos_token_id = config.text_config.pad_token_id = ids("<|endoftext|>")
    config.image_token_id, config.video_token_id = ids("<|image_pad|>"), ids("<|video_pad|>")
    config.vision_start_token_id, config.vision_end_token_id = ids("<|vision_start|>"), ids("<|vision_end|>")
    return config


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
    preprocessor = (paths.MINI / "preprocessor_config.json").read_bytes()
    replace_file(folder / "preprocessor_config.json", lambda file: file.write_bytes(preprocessor))
