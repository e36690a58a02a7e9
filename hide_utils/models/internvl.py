"""InternVL3 as transformers itself implements it ("…-hf" checkpoints): square tiles and a thumbnail."""

from __future__ import annotations

import math
import sys

import torch
from PIL import Image

from hide_utils.models.base import VLM
from hide_utils.models.outputs import Settings
from hide_utils.models.prompt import ProcessedImage


class InternVL(VLM):
    """Tiles of 448 pixels and 16 x 16 tokens. The paper reads layer 17 of 28 counted from 1, with alpha 0.6."""

    image_token = "<IMG_CONTEXT>"
    wrap = ("<img>", "</img>")
    family_settings = Settings(16, 3.0, 0.6, "HiDe paper, InternVL3-8B")
    family_depth = 28

    @property
    def tile_tokens(self) -> int:
        """Tokens along one side of a tile."""
        vision = self.model.config.vision_config
        return int(vision.image_size[0] // vision.patch_size[0] * self.model.config.downsample_ratio)

    def tiles(self, max_pixels: int | None = None) -> dict[str, int]:
        """Fewest and most tiles of a picture, under the names that the processor calls them by.

        Args:
            max_pixels: most pixels of this picture, in whole tiles. None: the model's own limit, else the processor's.
        """
        tile = math.prod(self.model.config.vision_config.image_size)
        max_pixels = max_pixels or self.max_pixels
        most = max(max_pixels // tile, 1) if max_pixels else self.image_processor.max_patches
        fewest = max(self.min_pixels // tile, 1) if self.min_pixels else self.image_processor.min_patches
        return {"min_patches": min(fewest, most), "max_patches": most}

    def tile_grid(self, image_size_wh: tuple[int, int], max_pixels: int | None = None) -> tuple[int, int]:
        """Rows and columns of tiles that the processor cuts a picture of this width and height in pixels into."""
        tiles = self.tiles(max_pixels)
        if tiles["max_patches"] == 1:
            return 1, 1
        size = self.image_processor.size
        choose = sys.modules[type(self.image_processor).__module__].get_optimal_tiled_canvas
        columns, rows = choose(image_size_wh[::-1], (size["height"], size["width"]), *tiles.values())
        return rows, columns

    def _prepare(self, image: Image.Image, max_pixels: int | None) -> ProcessedImage:
        """The grid holds the tiles side by side. The thumbnail's tokens behind them are not on it."""
        tiles = self.tiles(max_pixels)
        inputs = self.image_processor(images=[image], crop_to_patches=True, return_tensors="pt", **tiles)
        rows, columns = self.tile_grid(image.size, max_pixels)
        side, pixels = self.tile_tokens, inputs["pixel_values"]
        # Tiles come row by row, and so do the tokens of each.
        layout = torch.arange(rows * columns * side**2).view(rows, columns, side, side)
        layout = layout.transpose(1, 2).reshape(rows * side, columns * side)
        return ProcessedImage({"pixel_values": pixels}, layout, len(pixels) * side**2, image.size)

    def n_image_tokens(self, image_size_wh: tuple[int, int]) -> int:
        """See `VLM.n_image_tokens`."""
        rows, columns = self.tile_grid(image_size_wh)
        tiles = rows * columns
        return (tiles + (tiles > 1)) * self.tile_tokens**2
