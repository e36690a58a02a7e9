"""LLaVA-OneVision: the whole picture first, then tiles whose padding is cut off, a newline token behind each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod, sqrt
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad
from transformers.image_processing_utils import get_patch_output_size, select_best_resolution

from hide_utils.models.pixels import resized, tiles
from hide_utils.models.prompt import ProcessedImage
from hide_utils.models.tiled import Tiled

Size = tuple[int, int]


@dataclass(frozen=True)
class TiledImage(ProcessedImage):
    """A picture with the height and width in pixels that the model is told, by which it arranges the tiles."""

    told_hw: Size = (0, 0)


class LlavaOnevision(Tiled):
    """Tiles of 384 pixels and 27 x 27 tokens. Nobody has published settings for it.

    A picture is fitted into the best of the config's canvases and padded to it. The model cuts off rows and columns of
    tokens that are padding, to within a cell, and averages a grid of more than about ten tiles down to nine. This grid
    is the map's. The overview in front of it and the newline token at each row's end are visual tokens and no cells.
    `max_pixels` and `min_pixels` bound the canvas, the latter where a picture's shape has such a one. Every picture is
    cut into tiles, also where there are several.
    """

    image_token = "<image>"

    @property
    def tile(self) -> int:
        """Pixels along a side of a tile."""
        return int(self.model.config.vision_config.image_size)

    @property
    def tile_tokens(self) -> int:
        """Tokens along a side of a tile."""
        return self.tile // self.model.config.vision_config.patch_size

    def canvas(self, image_size_wh: Size, max_pixels: int | None = None) -> tuple[Size, Size]:
        """Height and width in pixels of the tiles together, and those of the picture that the model is told.

        The model chooses the canvas again, by the size that it is told. Where a limit forbids the one that it chooses
        for the picture's own size, it is told the size on another canvas, of those that it chooses for that size.
        """
        size, most = image_size_wh[::-1], max_pixels or self.max_pixels
        canvases = [(int(h), int(w)) for h, w in self.model.config.image_grid_pinpoints]
        chosen = select_best_resolution(size, canvases)
        if (self.min_pixels or 0) <= prod(chosen) <= (most or prod(chosen)):
            return chosen, size
        possible = [one for one in canvases if select_best_resolution(_fitted(size, one), canvases) == one]
        possible = [one for one in possible if prod(one) <= (most or prod(one))] or [min(possible, key=prod)]
        fewest = min(self.min_pixels or 0, max(map(prod, possible)))
        chosen = select_best_resolution(size, [one for one in possible if prod(one) >= fewest])
        return chosen, _fitted(size, chosen)

    def grid(self, canvas_hw: Size, told_hw: Size) -> Size:
        """Rows and columns of the tokens that the model leaves of a canvas.

        Raises:
            ValueError: the picture is so long that none is left.
        """
        side = self.tile_tokens
        rows, columns = (length // self.tile * side for length in canvas_hw)
        height, width = told_hw
        if width / height > columns / rows:
            rows -= (rows - int(round(height * (columns / width), 7))) // 2 * 2
        else:
            columns -= (columns - int(round(width * (rows / height), 7))) // 2 * 2
        most_tiles = int(self.model.config.vision_aspect_ratio.removeprefix("anyres_max_"))
        ratio = sqrt(rows * columns / (most_tiles * side**2))
        if ratio > 1.1:
            rows, columns = int(rows // ratio), int(columns // ratio)
        if not rows * columns:
            raise ValueError(
                f"a picture of {width}x{height} pixels is so long that this family leaves nothing of it; "
                "pad it with hide_utils.images.pad_to_aspect."
            )
        return rows, columns

    def _prepare(self, image: Image.Image, max_pixels: int | None) -> TiledImage:
        processor = self.image_processor
        (high, wide), told = self.canvas(image.size, max_pixels)
        height, width = _fitted(image.size[::-1], (high, wide))
        top, left = (high - height) // 2, (wide - width) // 2
        fitted = resized(image, (width, height), processor)
        whole = pad(fitted, (0, 0, left, wide - width - left, top, high - height - top))
        overview = resized(image, (self.tile, self.tile), processor)
        pixels = torch.cat([overview[None], tiles(whole, high // self.tile, wide // self.tile)])
        rows, columns = self.grid((high, wide), told)
        n_overview, line = self.tile_tokens**2, columns + 1
        layout = n_overview + torch.arange(rows * line).view(rows, line)[:, :-1]
        return TiledImage(pixels, layout, n_overview + rows * line, image.size, told_hw=told)

    def stock_options(self, image_size_wh: Size, max_pixels: int | None = None) -> dict[str, Any]:
        """See `VLM.stock_options`."""
        return {"image_grid_pinpoints": [list(self.canvas(image_size_wh, max_pixels)[0])]}

    def inputs_of(self, pictures: Sequence[ProcessedImage]) -> dict[str, Tensor]:
        """See `VLM.inputs_of`. Tiles of all pictures follow each other; their number is not padded."""
        sizes = torch.tensor([picture.told_hw for picture in pictures if isinstance(picture, TiledImage)])
        return super().inputs_of(pictures) | {"image_sizes": sizes.to(self.device)}

    def n_image_tokens(self, image_size_wh: Size) -> int:
        """See `VLM.n_image_tokens`."""
        rows, columns = self.grid(*self.canvas(image_size_wh))
        return self.tile_tokens**2 + rows * (columns + 1)


def _fitted(size_hw: Size, canvas_hw: Size) -> Size:
    """Height and width of a picture that is fitted into a canvas."""
    empty = np.broadcast_to(np.uint8(0), (3, *size_hw))
    height, width = get_patch_output_size(empty, canvas_hw, input_data_format="channels_first")
    return height, width
