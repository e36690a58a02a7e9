"""What the tiny checkpoints of the GLM-V families hold: template, special tokens, configs."""

from __future__ import annotations

import transformers
from tile_checkpoints import CLIP

GLM_SPECIAL = """<|endoftext|> [gMASK] <sop> <|system|> <|user|> <|assistant|> <|observation|> <|begin_of_image|>
<|image|> <|end_of_image|> <|begin_of_video|> <|video|> <|end_of_video|> /nothink""".split()
# As of GLM-4.5V: lines around each part, and a switch behind the user's text that has the model answer at once.
GLM_TEMPLATE = (
    "[gMASK]<sop>\n{% for message in messages %}<|user|>\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}{{ '\n<|begin_of_image|><|image|><|end_of_image|>' }}"
    "{% elif content['type'] == 'text' %}{{ '\n' + content['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{{ '/nothink' if enable_thinking is defined and not enable_thinking else '' }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n"
    "{{ '<think></think>\n' if enable_thinking is defined and not enable_thinking else '' }}{% endif %}"
)
EXPERTS = {"moe_intermediate_size": 32, "num_experts_per_tok": 2}
_MARKS = [("", ""), ("start_", "begin_of_"), ("end_", "end_of_")]


def glm(family: str, text: dict, ids) -> transformers.PreTrainedConfig:
    """Half of a head is rotated, as in the hub's config."""
    vision = {
        "depth": 2, "hidden_size": 32, "num_heads": 2, "out_hidden_size": 64, "intermediate_size": 96,
        "image_size": 56, "patch_size": 14,
    }  # fmt: skip
    rope = {"rope_type": "default", "mrope_section": [2, 1, 1], "partial_rotary_factor": 0.5, "rope_theta": 1e4}
    text = text | {"rope_parameters": rope}
    if family == "glm4v_moe":
        text |= EXPERTS | {"n_routed_experts": 6, "n_shared_experts": 1, "first_k_dense_replace": 1}
    kinds = {"glm4v_moe": transformers.Glm4vMoeConfig, "glm46v": transformers.Glm46VConfig}
    special = {f"image_{name}token_id": ids(f"<|{of}image|>") for name, of in _MARKS}
    special |= {f"video_{name}token_id": ids(f"<|{of}video|>") for name, of in _MARKS}
    kind = kinds.get(family, transformers.Glm4vConfig)
    return kind(vision_config=vision, text_config=text, tie_word_embeddings=True, **special)


def glm_preprocessor(family: str) -> dict:
    """A picture counts as two frames against the limits."""
    return CLIP | {
        "image_processor_type": "Glm46VImageProcessorFast" if family == "glm46v" else "Glm4vImageProcessor",
        "size": {"shortest_edge": 2 * 3136, "longest_edge": 2 * 200704}, "processor_class": "Glm4vProcessor",
        "patch_size": 14, "temporal_patch_size": 2, "merge_size": 2,
    }  # fmt: skip
