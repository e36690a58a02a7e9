"""Qwen2.5-VL and Qwen3-VL: dynamic resolution, one token per 2 x 2 patches, multimodal rotary positions."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Int64
from PIL import Image
from torch import Tensor

from hide_utils.models.base import VLM
from hide_utils.models.outputs import Settings
from hide_utils.models.pixels import patches, resized
from hide_utils.models.prompt import ProcessedImage, arange_positions


class Qwen2_5VL(VLM):
    """28 pixels a token (patch 14, merge 2). The paper reads layer 15 of 28, counted from 1; sigma 3, alpha 0.7."""

    image_token = "<|image_pad|>"
    position_axes = 3
    family_settings = Settings(14, 3.0, 0.7, "HiDe paper, Qwen2.5-VL-7B")
    family_depth = 28
    max_aspect = 200.0

    @property
    def film(self) -> int:
        """How often the processor counts a picture's pixels against its budget."""
        return 1

    def budget(self, max_pixels: int | None = None) -> dict[str, int]:
        """Fewest and most pixels of a picture after the resize, under the names that the processor calls them by.

        Args:
            max_pixels: most pixels of this picture. None: the model's own limit, else the processor's.
        """
        size = self.image_processor.size
        most = max_pixels or self.max_pixels or size["longest_edge"] // self.film
        least = self.min_pixels or size["shortest_edge"] // self.film
        return {"shortest_edge": min(least, most), "longest_edge": most}

    def stock_options(self, image_size_wh: tuple[int, int], max_pixels: int | None = None) -> dict[str, Any]:
        """See `VLM.stock_options`."""
        return {"size": {name: self.film * pixels for name, pixels in self.budget(max_pixels).items()}}

    def _resized_wh(self, image_size_wh: tuple[int, int], max_pixels: int | None = None) -> tuple[int, int]:
        """Width and height in pixels to which the processor resizes a picture: multiples of a token's side."""
        processor, (width, height) = self.image_processor, image_size_wh
        if processor.do_resize:
            size = self.stock_options(image_size_wh, max_pixels)["size"]
            limits = {"min_pixels": size["shortest_edge"], "max_pixels": size["longest_edge"]}
            height, width = self._fitted(height=height, width=width, factor=self._side, **limits)
        return width, height

    def _fitted(self, **given: int) -> tuple[int, int]:
        return sys.modules[type(self.image_processor).__module__].smart_resize(**given)

    @property
    def _side(self) -> int:
        """Pixels along a side of a token."""
        return self.image_processor.patch_size * self.image_processor.merge_size

    def _prepare(self, image: Image.Image, max_pixels: int | None) -> ProcessedImage:
        width, height = self._resized_wh(image.size, max_pixels)
        pixels, h, w = resized(image, (width, height), self.image_processor), height // self._side, width // self._side
        return ProcessedImage(pixels[None], torch.arange(h * w).view(h, w), h * w, image.size)

    def inputs_of(self, pictures: Sequence[ProcessedImage]) -> dict[str, Tensor]:
        """See `VLM.inputs_of`."""
        processor = self.image_processor
        sizes = processor.patch_size, processor.merge_size, processor.temporal_patch_size
        values = [patches(picture.pixels[0].to(self.device), self.colors, *sizes) for picture in pictures]
        return {"pixel_values": torch.cat(values), "image_grid_thw": self._grids(pictures).to(self.device)}

    def shapes_of(self, pictures: Sequence[ProcessedImage]) -> dict[str, Tensor]:
        """See `VLM.shapes_of`."""
        return {"image_grid_thw": self._grids(pictures)}

    def _grids(self, pictures: Sequence[ProcessedImage]) -> Int64[Tensor, "pictures 3"]:
        """Frames, rows and columns of patches of each picture."""
        patch = self.image_processor.patch_size
        return torch.tensor([[1, *(side // patch for side in picture.pixels.shape[1:3])] for picture in pictures])

    def n_image_tokens(self, image_size_wh: tuple[int, int]) -> int:
        """See `VLM.n_image_tokens`."""
        width, height = self._resized_wh(image_size_wh)
        return (width // self._side) * (height // self._side)

    def position_ids(self, ids: Int64[Tensor, " n"], pictures: Sequence[ProcessedImage]) -> Int64[Tensor, "axes n"]:
        """Time, row and column of every token, by the stock model's own rule over the whole prompt."""
        if not pictures:
            return arange_positions(len(ids), self.position_axes)
        kinds = (ids == self.image_token_id).int()
        grids = self._grids(pictures)
        # The second value is a delta for generate(): hidden state that this package does without.
        return self.model.model.get_rope_index(ids[None], mm_token_type_ids=kinds[None], image_grid_thw=grids)[0][:, 0]


class Qwen3VL(Qwen2_5VL):
    """32 pixels a token (patch 16, merge 2), interleaved positions. The authors' code reads layer 19 counted from 1."""

    family_settings = Settings(18, 3.0, 0.7, "authors' code for Qwen3-VL-8B")
    family_depth = 36


class Qwen3VLMoe(Qwen3VL):
    """Qwen3-VL with experts in place of most MLPs. Nobody has published settings."""

    family_settings = Qwen3VL.family_settings.as_guess("whose MLPs are no experts")
