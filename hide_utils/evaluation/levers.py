"""Levers: other ways of running the same passes, each of which can be pulled and let go on a loaded model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from types import MethodType
from typing import Any, cast

import torch
import transformers
from torch import Tensor

from hide_utils.models import NAMES, VLM, ProcessedImage
from hide_utils.models.backends import Choice, probe_flash
from hide_utils.models.patches import PatchProduct, patches_as_products
from hide_utils.models.towers import TOWERS


@dataclass(frozen=True)
class Levers:
    """How the passes of a question are run.

    Attributes:
        vision: how the vision tower runs its windows, a name in `towers.TOWERS`.
        pixels: "processor" has transformers' image processor make the patches on the CPU, "device" is our way.
        decoding: a name in `backends.DECODING`.
        attention: kernel of the text model, a name in `backends.ATTENTION`.
    """

    vision: str = "stock"
    pixels: str = "processor"
    decoding: str = "eager"
    attention: str = "sdpa"


def ladder(vlm: VLM) -> dict[str, Levers]:
    """The levers under the words that figures use, each pulled in addition to those before it."""
    vision, decoding = (vlm.choices[name].value for name in ("vision", "decoding"))
    steps = {
        "before": Levers(),
        "windows together": Levers(vision),
        "patches on the device": Levers(vision, "device"),
    }
    if decoding != "eager":  # a CPU has no launches to save
        steps["recorded decoding"] = Levers(vision, "device", decoding)
    if probe_flash(vlm.device, vlm.dtype) is None:
        steps["flash-attn"] = Levers("flash", "device", decoding, "flash")
    return steps


TENSORS = ("pixel_values", "image_grid_thw", "image_sizes", "pixel_attention_mask")  # what models take of a processor's


@dataclass(frozen=True)
class StockImage(ProcessedImage):
    """A picture with the tensors that the stock image processor made of it."""

    tensors: dict[str, Tensor] = field(default_factory=dict)


def by_processor(vlm: VLM, image: Any, max_pixels: int | None = None, processor: Any = None) -> dict[str, Tensor]:
    """The stock image processor's tensors of a picture, on the CPU."""
    asked = vlm.stock_options(image.size, max_pixels)
    found = (processor or vlm.image_processor)(images=[image], return_tensors="pt", **asked)
    return {name: found[name] for name in TENSORS if name in found}


def stock_text(vlm: VLM, picture: ProcessedImage, question: str) -> str:
    """A picture and a question in the chat template, as text that has the picture's tokens where it places them."""
    content = [{"type": "image"}, {"type": "text", "text": question}]
    text = vlm.tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True, **vlm.template
    )
    tokens = vlm.image_token * picture.n_tokens
    if picture.sequence is not None:
        tokens = vlm.tokenizer.decode(picture.sequence, skip_special_tokens=False)
    before, after = vlm.wrap or ("", "")
    return text.replace(vlm.placeholder or vlm.image_token, before + tokens + after, 1)


def _stock_prepare(vlm: VLM, image: Any, max_pixels: int | None = None) -> StockImage:
    ours = type(vlm).prepare(vlm, image, max_pixels)
    known = {field.name: getattr(ours, field.name) for field in fields(ProcessedImage)}
    return StockImage(**known, tensors=by_processor(vlm, image, max_pixels))


def _stock_inputs(vlm: VLM, pictures: Sequence[StockImage]) -> dict[str, Tensor]:
    names = pictures[0].tensors
    return {name: torch.cat([picture.tensors[name] for picture in pictures]).to(vlm.device) for name in names}


@contextmanager
def pulled(vlm: VLM, levers: Levers) -> Iterator[None]:
    """Have the model run its passes with these levers inside the block."""
    before = {name: vlm.choices[name] for name in ("vision", "decoding", "attention")}
    if levers.pixels == "processor":  # our own resize runs as well, a copy of the picture's bytes
        vars(vlm).update(prepare=MethodType(_stock_prepare, vlm), inputs_of=MethodType(_stock_inputs, vlm))
    try:
        _set(vlm, {name: Choice(getattr(levers, name), "to be measured") for name in before})
        yield
    finally:
        _set(vlm, before)
        for name in ("prepare", "inputs_of"):
            vars(vlm).pop(name, None)


def _set(vlm: VLM, choices: Mapping[str, Choice]) -> None:
    vlm.choices |= choices
    names = {"text_config": NAMES[choices["attention"].value], "vision_config": TOWERS[choices["vision"].value]}
    vlm.model.set_attn_implementation(names)


@contextmanager
def stock(vlm: VLM) -> Iterator[Any]:
    """Have the model be transformers' own inside the block. Yields the image processor that transformers would take.

    That is torchvision's class where torchvision is installed, else Pillow's.
    """
    processor = vlm.image_processor
    if transformers.utils.is_torchvision_available():
        settings = {name: value for name, value in processor.to_dict().items() if not name.endswith("_type")}
        processor = getattr(transformers, type(processor).__name__.removesuffix("Pil"))(**settings)
    vlm.model.set_attn_implementation({"text_config": "sdpa", "vision_config": "sdpa"})
    for module in vlm.model.modules():
        if type(module) is PatchProduct:
            cast(Any, module).__class__ = torch.nn.Conv3d
    try:
        yield processor
    finally:
        _set(vlm, vlm.choices)
        patches_as_products(vlm.model)
