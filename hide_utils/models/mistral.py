"""Mistral Small 3.x: one grid, one token per 2 x 2 patches, a break token behind each row."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

from hide_utils.models.base import VLM
from hide_utils.models.pixels import in_colors, resized
from hide_utils.models.prompt import ProcessedImage


class Mistral3(VLM):
    """28 pixels a token (patch 14, merge 2). Nobody has published settings for it.

    A row of tokens ends with ``[IMG_BREAK]``, the last row with ``[IMG_END]``: these are text and no cells. The
    processor limits the longest side and never enlarges a picture. `max_pixels` limits the area as well, and a picture
    of fewer than `min_pixels` is enlarged to them. What would be a single token becomes two, one above the other.
    """

    image_token = "[IMG]"

    @property
    def side(self) -> int:
        """Pixels along a side of a token."""
        return self.model.config.vision_config.patch_size * self.model.config.spatial_merge_size

    def longest_edge(self, image_size_wh: tuple[int, int], max_pixels: int | None = None) -> int:
        """Limit of the longest side in pixels under which a picture keeps to all limits.

        Args:
            image_size_wh: width and height in pixels of the picture.
            max_pixels: most pixels of this picture. None: the model's own limit, else only the processor's.
        """
        edge, most = int(self.image_processor.size["longest_edge"]), max_pixels or self.max_pixels
        if most is None:
            return edge
        width, height = image_size_wh
        edge = min(edge, max(ceil(max(width, height) * sqrt(most / (width * height))), self.side))
        # Sides are rounded up to whole tokens, so the area can still be too large.
        while edge > self.side and self._pixels(image_size_wh, edge) > most:
            edge -= 1
        return edge

    def _pixels(self, image_size_wh: tuple[int, int], edge: int) -> int:
        rows, columns = self._grid(image_size_wh, edge)
        return rows * columns * self.side**2

    def _grid(self, image_size_wh: tuple[int, int], edge: int) -> tuple[int, int]:
        """Rows and columns of tokens of a picture whose longest side is at most `edge` before it is rounded up."""
        ratio = max(max(image_size_wh) / edge, 1)
        columns, rows = (max(ceil(int(length / ratio) / self.side), 1) for length in image_size_wh)
        return rows + (rows * columns == 1), columns  # stock code fails at a picture of a single token

    def grid(self, image_size_wh: tuple[int, int], max_pixels: int | None = None) -> tuple[int, int]:
        """Rows and columns of tokens of a picture of this width and height in pixels."""
        width, height = image_size_wh
        scale = max(sqrt((self.min_pixels or 0) / (width * height)), 1)
        enlarged = ceil(width * scale), ceil(height * scale)
        return self._grid(enlarged, self.longest_edge(enlarged, max_pixels))

    def _prepare(self, image: Image.Image, max_pixels: int | None) -> ProcessedImage:
        rows, columns = self.grid(image.size, max_pixels)
        pixels = resized(image, (columns * self.side, rows * self.side), self.image_processor)
        sequence = torch.full((rows, columns + 1), self.image_token_id)
        sequence[:, -1] = self.builder.special["[IMG_BREAK]"]
        sequence[-1, -1] = self.builder.special["[IMG_END]"]
        layout = torch.arange(sequence.numel()).view_as(sequence)[:, :-1]
        return ProcessedImage(pixels[None], layout, rows * columns, image.size, sequence.flatten())

    def stock_options(self, image_size_wh: tuple[int, int], max_pixels: int | None = None) -> dict[str, Any]:
        """See `VLM.stock_options`."""
        return {"size": {"longest_edge": self.longest_edge(image_size_wh, max_pixels)}, "patch_size": self.side}

    def inputs_of(self, pictures: Sequence[ProcessedImage]) -> dict[str, Tensor]:
        """See `VLM.inputs_of`. Smaller pictures are padded with zeros on the right and below."""
        shapes = self.shapes_of(pictures)
        height, width = shapes["pixel_values"].shape[2:]
        values = []
        for picture in pictures:
            h, w = picture.pixels.shape[1:3]
            channels = picture.pixels[0].to(self.device).permute(2, 0, 1).flatten(1)
            values.append(pad(in_colors(channels, self.colors).unflatten(1, (h, w)), (0, width - w, 0, height - h)))
        return {"pixel_values": torch.stack(values), "image_sizes": shapes["image_sizes"].to(self.device)}

    def shapes_of(self, pictures: Sequence[ProcessedImage]) -> dict[str, Tensor]:
        """See `VLM.shapes_of`."""
        sizes = torch.tensor([picture.pixels.shape[1:3] for picture in pictures])
        height, width = sizes.amax(0).tolist()
        return {"pixel_values": torch.empty(len(pictures), 3, height, width, device="meta"), "image_sizes": sizes}

    def n_image_tokens(self, image_size_wh: tuple[int, int]) -> int:
        """See `VLM.n_image_tokens`."""
        rows, columns = self.grid(image_size_wh)
        return rows * columns
