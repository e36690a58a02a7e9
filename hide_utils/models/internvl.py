"""InternVL3 as transformers itself implements it ("…-hf" checkpoints): square tiles and a thumbnail."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from hide_utils.models.base import VLM
from hide_utils.models.outputs import Settings
from hide_utils.models.pixels import in_colors, resized
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
        rows, columns = self.tile_grid(image.size, max_pixels)
        height, width = (self.image_processor.size[name] for name in ("height", "width"))
        whole = resized(image, (columns * width, rows * height), self.image_processor)
        tiles = whole.view(rows, height, columns, width, 3).transpose(1, 2).flatten(0, 1)
        if len(tiles) > 1:
            tiles = torch.cat([tiles, resized(image, (width, height), self.image_processor)[None]])
        side = self.tile_tokens
        # Tiles come row by row, and so do the tokens of each.
        layout = torch.arange(rows * columns * side**2).view(rows, columns, side, side)
        layout = layout.transpose(1, 2).reshape(rows * side, columns * side)
        return ProcessedImage(tiles, layout, len(tiles) * side**2, image.size)

    def inputs_of(self, pictures: Sequence[ProcessedImage]) -> dict[str, Tensor]:
        """See `VLM.inputs_of`."""
        tiles = torch.cat([picture.pixels for picture in pictures]).to(self.device)
        channels = tiles.permute(0, 3, 1, 2).flatten(2)
        return {"pixel_values": in_colors(channels, self.colors).unflatten(2, tiles.shape[1:3])}

    def shapes_of(self, pictures: Sequence[ProcessedImage]) -> dict[str, Tensor]:
        """See `VLM.shapes_of`."""
        tiles = torch.cat([picture.pixels.to("meta") for picture in pictures])
        return {"pixel_values": tiles.permute(0, 3, 1, 2)}

    def n_image_tokens(self, image_size_wh: tuple[int, int]) -> int:
        """See `VLM.n_image_tokens`."""
        rows, columns = self.tile_grid(image_size_wh)
        tiles = rows * columns
        return (tiles + (tiles > 1)) * self.tile_tokens**2
