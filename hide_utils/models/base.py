"""The interface to a vision-language model that the method needs, and what a family fills in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Int64
from PIL import Image
from torch import Tensor
from transformers import BaseImageProcessor, PreTrainedModel, PreTrainedTokenizerBase

from hide_utils.images import read_image
from hide_utils.models.attention import NAMES, check_softmax
from hide_utils.models.backends import Choice
from hide_utils.models.decoding import Decoder
from hide_utils.models.outputs import Settings
from hide_utils.models.patches import patches_as_products
from hide_utils.models.pixels import color_table
from hide_utils.models.prompt import ProcessedImage, Prompt, PromptBuilder, arange_positions
from hide_utils.models.towers import TOWERS, windows_by_length
from hide_utils.models.world import World
from hide_utils.prompts import Prompts


class VLM(Decoder):
    """A vision-language model behind the interface that the method needs.

    A family subclasses it. It sets the class attributes, defines `_prepare`, `inputs_of` and `n_image_tokens`, and
    defines `position_ids` where positions are not simply counted.

    Attributes:
        image_token: the token that stands for a piece of a picture.
        wrap: what the family puts around a picture when its chat template does not: special tokens, text, or both.
        placeholder: what stands for a whole picture in the chat template. None: `image_token`.
        family_settings: the published settings of the family. A family without any has a guess: the paper's for
            Qwen2.5-VL-7B.
        family_depth: decoder layers of the model that they were published for.
        masks_pictures: whether tokens of a picture see later ones of it, by a mask, which flash kernels cannot take.
        template: options of the chat template, as `enable_thinking`.
        max_aspect: longest side over shortest of the pictures that the processor takes. None for any.
        world: the drawn world that it was trained on. None for a model that reads any picture.
        prompts: what the method tells it to do, where nothing else is asked for.

    Args:
        name: what the model was asked for by, or its folder where it lies in ``data/models``.
        model: the stock model, on its device.
        tokenizer: its tokenizer, with a chat template.
        image_processor: its processor for pictures.
        choices: device, dtype, and attention kernels of text model and vision tower, each with the reason for it.
        pixels: fewest and most pixels of a picture after the processor's resize. None: the processor's own.
        folder: where its files lie. None where that is not known, as for a model of the hub.

    Raises:
        ValueError: tokenizer and config belong to different models, or attention is no plain softmax.
    """

    image_token: ClassVar[str]
    wrap: ClassVar[tuple[str, str] | None] = None
    placeholder: ClassVar[str | None] = None
    position_axes = 1
    family_settings: ClassVar[Settings] = Settings(14, 3.0, 0.7, "guess: HiDe paper, Qwen2.5-VL-7B")
    family_depth: ClassVar[int] = 28
    masks_pictures: ClassVar[bool] = False
    template: ClassVar[dict[str, Any]] = {}
    max_aspect: ClassVar[float | None] = None
    world: World | None = None
    prompts: Prompts = Prompts()

    def __init__(
        self,
        name: str,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        image_processor: BaseImageProcessor,
        choices: dict[str, Choice],
        pixels: tuple[int | None, int | None] = (None, None),
        folder: Path | None = None,
    ) -> None:
        check_softmax(model)
        self.name, self.family, self.folder = name, model.config.model_type, folder
        self.model, self.tokenizer, self.image_processor = model, tokenizer, image_processor
        self.choices = choices
        self.device, self.dtype = choices["device"].value, choices["dtype"].value
        self.min_pixels, self.max_pixels = pixels
        self.colors = color_table(image_processor).to(self.device, self.dtype)
        text = model.config.get_text_config()
        self.n_layers = text.num_hidden_layers
        self.n_positions = text.max_position_embeddings
        self.counts = Counter()
        self.builder = PromptBuilder(tokenizer, self.image_token, self.wrap, self.placeholder, self.template)
        self.image_token_id = model.config.image_token_id
        if self.builder.special.get(self.image_token) != self.image_token_id:
            raise ValueError(
                f"{name}: the tokenizer does not give {self.image_token} the config's id {self.image_token_id}; "
                "the files belong to different models."
            )
        self.defaults = self.family_settings.at_depth(self.family_depth, self.n_layers).at_rows(self.row_layers)
        ends = model.generation_config.eos_token_id
        self.end_ids = {tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])} - {None}
        self._set_kernels()

    def _set_kernels(self) -> None:
        if self.masks_pictures and self.choices["attention"].value == "flash":
            self.choices["attention"] = Choice("sdpa", "fallback: flash takes no masks within pictures")
        # The kernel is named for each part, because a plain string would send the vision tower through the wrapper too.
        kinds = {part: self.choices[part].value for part in ("attention", "vision")}
        self.model.set_attn_implementation(
            {"text_config": NAMES[kinds["attention"]], "vision_config": TOWERS[kinds["vision"]]}
        )
        if kinds["vision"] == "batched":
            windows_by_length(self.model)
        patches_as_products(self.model)
        if not self.only_full_attention and self.choices["decoding"].value != "eager":
            self.choices["decoding"] = Choice("eager", "fallback: not all layers attend to all tokens")

    def __repr__(self) -> str:
        chosen = ", ".join(f"{key} {choice.value} ({choice.reason})" for key, choice in self.choices.items())
        rows = "" if self.only_full_attention else f"rows at {', '.join(map(str, self.row_layers))}, "
        sharing = "" if self.shares_prefix else "every prompt a full pass, "
        return f"{type(self).__name__}({self.name}: {self.family}, {self.n_layers} layers, {rows}{sharing}{chosen})"

    def notes(self, picture: Image.Image, entities: str) -> tuple[str, ...]:
        """What has to be known of any answer about a picture and these entities; empty for a model without a world."""
        return self.world.notes(picture, entities) if self.world else ()

    # --- what a family fills in -------------------------------------------------------------------------------------

    def _prepare(self, image: Image.Image, max_pixels: int | None) -> ProcessedImage:
        """Resize an RGB image as the image processor does, such that at most `max_pixels` pixels are left."""
        raise NotImplementedError

    def inputs_of(self, pictures: Sequence[ProcessedImage]) -> dict[str, Tensor]:
        """The image processor's tensors for these pictures, on the model's device and in its number format."""
        raise NotImplementedError

    def shapes_of(self, pictures: Sequence[ProcessedImage]) -> dict[str, Tensor]:
        """As much of `inputs_of` as FLOPs depend on, without making a picture's patches."""
        raise NotImplementedError

    def n_image_tokens(self, image_size_wh: tuple[int, int]) -> int:
        """Tokens that a picture of this width and height in pixels takes, without processing it."""
        raise NotImplementedError

    def stock_options(self, image_size_wh: tuple[int, int], max_pixels: int | None = None) -> dict[str, Any]:
        """Arguments under which the stock image processor makes of a picture what `prepare` and `inputs_of` make of it.

        Args:
            image_size_wh: width and height in pixels of the picture.
            max_pixels: as in `prepare`.
        """
        raise NotImplementedError

    def position_ids(self, ids: Int64[Tensor, " n"], pictures: Sequence[ProcessedImage]) -> Int64[Tensor, "axes n"]:
        """Rotary positions of a whole prompt with these pictures in it, in their order."""
        return arange_positions(len(ids), self.position_axes)

    # --- prompts ----------------------------------------------------------------------------------------------------

    def prepare(self, image: Image.Image, max_pixels: int | None = None) -> ProcessedImage:
        """Resize an image once. The result can stand in any number of prompts.

        Args:
            image: of any mode; one that is not RGB is read as `hide_utils.images.read_image` does.
            max_pixels: most pixels of this picture after the resize, where that is less than the model's own limit.

        Raises:
            ValueError: the picture is longer than the family's `max_aspect`.
        """
        width, height = image.size
        if self.max_aspect and max(width, height) > self.max_aspect * min(width, height):
            raise ValueError(
                f"a picture of {width}x{height} pixels is longer than {self.max_aspect:.0f} times its width, which "
                "this family's processor refuses; pad it with hide_utils.images.pad_to_aspect."
            )
        limits = [limit for limit in (max_pixels, self.max_pixels) if limit]
        return self._prepare(image if image.mode == "RGB" else read_image(image), min(limits, default=None))

    def prompt(self, *parts: str | Image.Image | ProcessedImage) -> Prompt:
        """One user turn in the model's chat template, with the generation prompt behind it.

        Args:
            *parts: texts and images in their order. A special token's name in a text stays text. An image that stands
                in several prompts is best `prepare`d once.

        Raises:
            ValueError: there is no part, a text is no Unicode, or the prompt is longer than the model's positions.
            TypeError: a part is neither text nor image.
        """
        if not parts:
            raise ValueError("a prompt needs at least one text or image.")
        for part in parts:
            if not isinstance(part, str | Image.Image | ProcessedImage):
                raise TypeError(f"a prompt is made of texts and images, not {type(part).__name__}; open files first.")
        ready = [self.prepare(part) if isinstance(part, Image.Image) else part for part in parts]
        numbers, images, texts = self.builder.build(ready)
        ids = torch.tensor(numbers)
        positions = self.position_ids(ids, [span.picture for span in images])
        if (taken := int(positions.max()) + 1) > self.n_positions:
            raise ValueError(
                f"the prompt takes {taken} positions, more than the {self.n_positions} that {self.name} was made for; "
                "shorten its texts, or give smaller pictures (max_pixels)."
            )
        return Prompt(ids, positions, images, texts)
