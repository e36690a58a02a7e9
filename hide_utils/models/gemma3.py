"""Gemma 3: every picture in one size and 16 x 16 tokens, which see each other; a window at five of six layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from hide_utils.models.outputs import Settings
from hide_utils.models.pixels import resized
from hide_utils.models.prompt import ProcessedImage, Prompt
from hide_utils.models.tiled import Tiled


class Gemma3(Tiled):
    """A picture is stretched to 896 x 896 pixels, whatever its own size is, and a pixel budget changes nothing.

    Rows are those of the full attention. Nobody has published settings: the layer is that of Qwen2.5-VL's at the same
    depth, and sigma is narrower because the grid has so few cells. Crops of long pictures (pan and scan) are off, as
    they are in the stock processor.
    """

    image_token = "<image_soft_token>"
    placeholder = "<start_of_image>"
    wrap = ("\n\n<start_of_image>", "<end_of_image>\n\n")
    masks_pictures = True
    family_settings = Settings(14, 1.0, 0.7, "guess: HiDe paper, Qwen2.5-VL-7B, sigma narrowed")
    family_depth = 28

    def _prepare(self, image: Image.Image, max_pixels: int | None) -> ProcessedImage:
        size, n = self.image_processor.size, self.n_image_tokens(image.size)
        if self.image_processor.do_pan_and_scan:
            raise ValueError(
                f"{self.name} asks for pan-and-scan crops, which are not supported; set do_pan_and_scan off."
            )
        side = int(n**0.5)
        pixels = resized(image, (size["width"], size["height"]), self.image_processor)
        return ProcessedImage(pixels[None], torch.arange(side**2).view(side, side), n, image.size)

    def stock_options(self, image_size_wh: tuple[int, int], max_pixels: int | None = None) -> dict[str, Any]:
        """See `VLM.stock_options`."""
        return {}

    def _inputs_in(self, prompt: Prompt, stop: int, pictures: Sequence[ProcessedImage]) -> dict[str, Tensor]:
        """Tokens of a picture see each other. The stock masks look up which those are by position in the prompt."""
        kinds = (prompt.ids[:stop] == self.image_token_id).int()
        return self.inputs_of(pictures) | {"token_type_ids": kinds[None].to(self.device)}

    def n_image_tokens(self, image_size_wh: tuple[int, int]) -> int:
        """See `VLM.n_image_tokens`."""
        return self.model.config.mm_tokens_per_image
