"""What the tiny checkpoints of families with states and windows hold: template, tokenizer, configs."""

from __future__ import annotations

import json
from collections.abc import Callable

import transformers
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, trainers

THINKING = (  # what Qwen3.5's template adds: a chain of thought that is open, or empty where none is wanted
    "{% if add_generation_prompt %}{% if enable_thinking is defined and enable_thinking is false %}"
    "<think>\n\n</think>\n\n{% else %}<think>\n{% endif %}{% endif %}"
)


def qwen3_5(family: str, text: dict, vision: dict, special: dict) -> transformers.PreTrainedConfig:
    """Two full layers among linear ones. A head is rotated by a quarter of its width, as in the hub's config."""
    rope = {"rope_type": "default", "mrope_section": [4, 2, 2], "mrope_interleaved": True, "rope_theta": 1e6}
    text = text | {
        "head_dim": 64, "rope_parameters": rope | {"partial_rotary_factor": 0.25}, "full_attention_interval": 2,
        "linear_key_head_dim": 8, "linear_value_head_dim": 8, "linear_num_key_heads": 2, "linear_num_value_heads": 4,
    }  # fmt: skip
    if family == "qwen3_5":
        return transformers.Qwen3_5Config(vision_config=vision, text_config=text, **special)
    inner = text.pop("intermediate_size")
    text |= {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": inner // 3}
    text |= {"shared_expert_intermediate_size": inner // 2}
    return transformers.Qwen3_5MoeConfig(vision_config=vision, text_config=text, **special)


GEMMA_SPECIAL = ["<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>", "<image_soft_token>"]
GEMMA_TEMPLATE = (
    "{{ bos_token }}{%- for message in messages -%}{{ '<start_of_turn>' + message['role'] + '\n' }}"
    "{%- for item in message['content'] -%}{%- if item['type'] == 'image' -%}{{ '<start_of_image>' }}"
    "{%- elif item['type'] == 'text' -%}{{ item['text'] | trim }}{%- endif -%}{%- endfor -%}{{ '<end_of_turn>\n' }}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{ '<start_of_turn>model\n' }}{%- endif -%}"
)
GEMMA_PREPROCESSOR = {
    "do_convert_rgb": None, "do_normalize": True, "do_pan_and_scan": None, "do_rescale": True, "do_resize": True,
    "image_mean": [0.5] * 3, "image_processor_type": "Gemma3ImageProcessor", "image_seq_length": 16,
    "image_std": [0.5] * 3, "pan_and_scan_max_num_crops": None, "pan_and_scan_min_crop_size": None,
    "pan_and_scan_min_ratio_to_activate": None, "processor_class": "Gemma3Processor", "resample": 2,
    "rescale_factor": 1 / 255, "size": {"height": 112, "width": 112},
}  # fmt: skip


def gemma_tokenizer(corpus: list[str], unmarked: list[str]) -> transformers.PreTrainedTokenizerBase:
    """A BPE with bytes to fall back to. Runs of line breaks are added tokens that are not special, as in the hub's."""
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.Replace(" ", "▁")
    apart = [pre_tokenizers.Split("▁", "merged_with_next"), pre_tokenizers.Punctuation()]
    trained.pre_tokenizer = pre_tokenizers.Sequence(apart)
    trained.train_from_iterator(corpus * 4, trainers.BpeTrainer(vocab_size=300, show_progress=False))
    learned = json.loads(trained.to_str())["model"]
    first = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{byte:02X}>" for byte in range(256))]
    runs = ["\n" * n for n in range(1, 5)]
    vocab = {token: i for i, token in enumerate(dict.fromkeys([*first, *runs, *learned["vocab"]]))}
    merges = [("\n", "\n"), ("\n", "\n\n"), ("\n\n", "\n\n"), *(tuple(merge) for merge in learned["merges"])]
    tokenizer = transformers.GemmaTokenizer(vocab=vocab, merges=merges)
    tokenizer.add_special_tokens({"additional_special_tokens": GEMMA_SPECIAL})
    tokenizer.add_tokens([AddedToken(run, normalized=False, special=False) for run in runs])
    tokenizer.add_tokens(unmarked)
    tokenizer.chat_template = GEMMA_TEMPLATE
    return tokenizer


def gemma3(text: dict, ids: Callable[[str], int]) -> transformers.PreTrainedConfig:
    """Full attention at every second layer, and a window shorter than a picture."""
    vision = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
        "image_size": 112, "patch_size": 14, "vision_use_head": False, "model_type": "siglip_vision_model",
    }  # fmt: skip
    text = text | {
        "head_dim": 16, "query_pre_attn_scalar": 3, "sliding_window": 12, "sliding_window_pattern": 2,
        "bos_token_id": ids("<bos>"), "eos_token_id": ids("<end_of_turn>"), "pad_token_id": ids("<pad>"),
    }  # fmt: skip
    return transformers.Gemma3Config(
        vision_config=vision, text_config=text, mm_tokens_per_image=16, image_token_index=ids("<image_soft_token>"),
        boi_token_index=ids("<start_of_image>"), eoi_token_index=ids("<end_of_image>"),
    )  # fmt: skip
