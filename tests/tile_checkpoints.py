"""What the tiny checkpoints of families with markers, tiles and breaks hold: special tokens, template, configs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import transformers
from PIL import Image

CLIP = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}


@dataclass(frozen=True)
class Recipe:
    """One family's part of a tiny checkpoint.

    Attributes:
        special: special tokens beside Qwen's.
        template: the chat template, worded as the hub's.
        config: makes the model's config of the text model's settings and a function from token to id.
        preprocessor: preprocessor_config.json in the wording of the hub's own files.
        cell: pixels along a side of a grid cell.
        side: pixels along a side of what a picture is made of: a cell, or a tile of 2 x 2.
        expand: what the stock processor writes for a picture into the text, of the model and the picture.
        grid_hw: rows and columns of cells of a picture that is neither scaled nor padded.
        closing: last token of what prompts share: the picture's own or the template's behind it.
    """

    special: list[str]
    template: str
    config: Callable[[dict, Callable[[str], int]], transformers.PreTrainedConfig]
    preprocessor: dict
    cell: int
    side: int
    expand: Callable[[Any, Image.Image], str]
    closing: str
    grid_hw: tuple[int, int] = (4, 8)


MISTRAL_TEMPLATE = (
    "{{- bos_token }}{{- '[SYSTEM_PROMPT]You are a helpful assistant.[/SYSTEM_PROMPT]' }}"
    "{%- for message in messages %}{{- '[INST]' }}{%- for block in message['content'] %}"
    "{%- if block['type'] == 'text' %}{{- block['text'] }}{%- elif block['type'] == 'image' %}{{- '[IMG]' }}"
    "{%- endif %}{%- endfor %}{{- '[/INST]' }}{%- endfor %}"
)


def _mistral3(text: dict, ids: Callable[[str], int]) -> transformers.PreTrainedConfig:
    vision = {
        "model_type": "pixtral", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "head_dim": 16, "image_size": 448, "patch_size": 14, "rope_theta": 10000.0,
    }  # fmt: skip
    text = text | {"model_type": "mistral", "head_dim": 32, "sliding_window": None, "rope_theta": 1e9}
    return transformers.Mistral3Config(
        vision_config=vision, text_config=text, image_token_index=ids("[IMG]"), spatial_merge_size=2
    )


def _mistral3_text(model, image: Image.Image) -> str:
    """`PixtralProcessor`: a row of tokens and a break for every 28 pixels of height; the last break is the end."""
    asked = model.stock_options(image.size)
    ((height, width),) = model.image_processor(images=[image], **asked)["image_sizes"]
    row = "[IMG]" * (width // 28)
    return "[IMG_BREAK]".join([row] * (height // 28)) + "[IMG_END]"


IDEFICS_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def _idefics(family: str) -> Callable[[dict, Callable[[str], int]], transformers.PreTrainedConfig]:
    def config(text: dict, ids: Callable[[str], int]) -> transformers.PreTrainedConfig:
        vision = {
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
            "image_size": 56, "patch_size": 14,
        }  # fmt: skip
        kind = {"idefics3": transformers.Idefics3Config, "smolvlm": transformers.SmolVLMConfig}[family]
        text = text | {"model_type": "llama", "rope_theta": 1e5}
        return kind(
            vision_config=vision, text_config=text, image_token_id=ids("<image>"), scale_factor=2,
            tie_word_embeddings=True,
        )  # fmt: skip

    return config


def _idefics_text(model, image: Image.Image) -> str:
    """`Idefics3Processor` and `SmolVLMProcessor`: every tile with its place, a line for each row, the overview last."""
    found = model.image_processor(images=[image], return_row_col_info=True, **model.stock_options(image.size))
    ((rows,),), ((columns,),) = found["rows"], found["cols"]
    fake, piece, text = "<fake_token_around_image>", "<image>" * 4, ""
    for row in range(rows):
        for column in range(columns):
            text += f"{fake}<row_{row + 1}_col_{column + 1}>{piece}"
        text += "\n"
    return f"{text}{chr(10) if rows else ''}{fake}<global-img>{piece}{fake}"


def _idefics_recipe(family: str, name: str) -> Recipe:
    """The longest side is four tiles. Places beyond the second row or third column have no token of their own."""
    places = [f"<row_{row}_col_{column}>" for row in (1, 2) for column in (1, 2, 3)]
    return Recipe(
        ["<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", *places],
        IDEFICS_TEMPLATE,
        _idefics(family),
        HALF
        | {
            "do_convert_rgb": True, "do_image_splitting": True, "do_normalize": True, "do_pad": True,
            "do_rescale": True, "do_resize": True, "image_processor_type": f"{name}ImageProcessor",
            "max_image_size": {"longest_edge": 56}, "processor_class": f"{name}Processor", "resample": 1,
            "rescale_factor": 1 / 255, "size": {"longest_edge": 224},
        },
        cell=28,
        side=56,
        expand=_idefics_text,
        closing="<fake_token_around_image>",
    )  # fmt: skip


LLAVA_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + ' '}}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ '\n' + content['text'] }}{% endfor %}{{'<|im_end|>'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CANVASES = [[42 * rows, 42 * columns] for rows in range(1, 5) for columns in range(1, 5)]


def _llava_onevision(text: dict, ids: Callable[[str], int]) -> transformers.PreTrainedConfig:
    vision = {
        "model_type": "siglip_vision_model", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "image_size": 42, "patch_size": 14, "vision_use_head": False,
    }  # fmt: skip
    return transformers.LlavaOnevisionConfig(
        vision_config=vision, text_config=text | {"model_type": "qwen2", "rope_theta": 1e6},
        image_token_index=ids("<image>"), video_token_index=ids("<video>"), image_grid_pinpoints=CANVASES,
        tie_word_embeddings=True,
    )  # fmt: skip


def _llava_text(model, image: Image.Image) -> str:
    """`LlavaOnevisionProcessor`, with its own count of tokens."""
    settings = {"image_processor": model.image_processor, "num_image_tokens": 9, "vision_aspect_ratio": "anyres_max_9"}
    stock = transformers.models.llava_onevision.processing_llava_onevision.LlavaOnevisionProcessor
    processor = stock.__new__(stock)  # it is not constructed without torchvision
    vars(processor).update(settings)
    return "<image>" * processor._get_number_of_features(*image.size[::-1], 42, 42)


TILED = {
    "llava_onevision": Recipe(
        ["<image>", "<video>"],
        LLAVA_TEMPLATE,
        _llava_onevision,
        HALF
        | {
            "do_convert_rgb": True, "do_normalize": True, "do_pad": True, "do_rescale": True, "do_resize": True,
            "image_grid_pinpoints": CANVASES, "image_processor_type": "LlavaOnevisionImageProcessor",
            "processor_class": "LlavaOnevisionProcessor", "resample": 3, "rescale_factor": 1 / 255,
            "size": {"height": 42, "width": 42},
        },
        cell=14,
        side=42,
        expand=_llava_text,
        closing="<image>",
        grid_hw=(6, 9),
    ),
    "idefics3": _idefics_recipe("idefics3", "Idefics3"),
    "smolvlm": _idefics_recipe("smolvlm", "SmolVLM"),
    "mistral3": Recipe(
        "<s> [INST] [/INST] [SYSTEM_PROMPT] [/SYSTEM_PROMPT] [IMG] [IMG_BREAK] [IMG_END]".split(),
        MISTRAL_TEMPLATE,
        _mistral3,
        CLIP
        | {
            "do_convert_rgb": True, "do_normalize": True, "do_rescale": True, "do_resize": True,
            "image_processor_type": "PixtralImageProcessorFast", "processor_class": "PixtralProcessor",
            "patch_size": 14, "resample": 3, "rescale_factor": 1 / 255, "size": {"longest_edge": 448},
        },
        cell=28,
        side=28,
        expand=_mistral3_text,
        closing="[IMG_END]",
    ),
}  # fmt: skip
for _family, _name in {"idefics3": "Idefics3", "smolvlm": "SmolVLM"}.items():
    if hasattr(getattr(transformers, f"{_name}ImageProcessorPil"), "_backends"):  # needs torchvision under 5.17
        del TILED[_family]
