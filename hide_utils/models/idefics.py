"""Idefics3 and SmolVLM: square tiles row by row, each behind a marker of its place, and the whole picture last."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from hide_utils.models.pixels import resized, side_by_side, tiles
from hide_utils.models.prompt import ProcessedImage
from hide_utils.models.tiled import Tiled

LONGEST = 4096  # pixels along a side that the processor enlarges a picture to at most


class Idefics3(Tiled):
    """Tiles of 13 x 13 tokens (SmolVLM: 8 x 8). Nobody has published settings for it.

    The processor brings the longest side to its own limit, which enlarges small pictures, and then both sides to whole
    tiles. The grid holds the tiles side by side. The overview behind them is not on it. A picture of a single tile has
    only the overview, which then is the grid. `max_pixels` lowers the limit and `min_pixels` raises it, by whole tiles,
    until the tiles' area keeps to them. The overview does not count.
    """

    image_token = "<image>"

    @property
    def tile(self) -> int:
        """Pixels along a side of a tile."""
        return int(self.image_processor.max_image_size["longest_edge"])

    @property
    def tile_tokens(self) -> int:
        """Tokens along a side of a tile."""
        config = self.model.config
        return self.tile // config.vision_config.patch_size // config.scale_factor

    def longest_edge(self, image_size_wh: tuple[int, int], max_pixels: int | None = None) -> int:
        """What the longest side is brought to, in pixels, so that a picture keeps to all limits.

        Args:
            image_size_wh: width and height in pixels of the picture.
            max_pixels: most pixels of this picture's tiles. None: the model's own limit, else only the processor's.
        """
        edge, most = int(self.image_processor.size["longest_edge"]), max_pixels or self.max_pixels

        def area(edge: int) -> int:
            columns, rows = self._sizes(image_size_wh, edge)[1]
            return columns * rows

        while self.min_pixels and area(edge) < self.min_pixels and edge + self.tile <= LONGEST:
            edge += self.tile
        while most and edge > self.tile and area(edge) > most:
            edge = (ceil(edge / self.tile) - 1) * self.tile
        return edge

    def _sizes(self, image_size_wh: tuple[int, int], edge: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Width and height after the processor's two steps: the longest side to `edge`, then both to whole tiles."""

        def scaled(size: tuple[int, int], longest: int) -> tuple[int, int]:
            aspect = size[0] / size[1]
            return (longest, int(longest / aspect)) if size[0] >= size[1] else (int(longest * aspect), longest)

        first = image_size_wh
        if self.image_processor.do_resize:
            width, height = scaled(image_size_wh, edge)
            # The shorter side is made even.
            first = (width, max(height + height % 2, 1)) if width >= height else (max(width + width % 2, 1), height)
        if not self.image_processor.do_image_splitting:
            return first, (self.tile, self.tile)
        whole = scaled(first, ceil(max(first) / self.tile) * self.tile)
        columns, rows = (ceil(length / self.tile) for length in whole)
        return first, (columns * self.tile, rows * self.tile)

    def _prepare(self, image: Image.Image, max_pixels: int | None) -> ProcessedImage:
        processor, side = self.image_processor, self.tile_tokens
        first, (width, height) = self._sizes(image.size, self.longest_edge(image.size, max_pixels))
        # In two steps, as the processor does: each is a filter of its own. The overview is a third.
        whole = resized(Image.fromarray(resized(image, first, processor).numpy()), (width, height), processor)
        rows, columns = height // self.tile, width // self.tile
        pixels = tiles(whole, rows, columns)
        if len(pixels) > 1:
            overview = resized(Image.fromarray(whole.numpy()), (self.tile, self.tile), processor)
            pixels = torch.cat([pixels, overview[None]])
        text = self._text(rows, columns)
        sequence = torch.tensor(self.tokenizer(text, add_special_tokens=False).input_ids)
        visual = (sequence == self.image_token_id).nonzero().flatten()
        layout = side_by_side(visual[: rows * columns * side**2], rows, columns)
        return ProcessedImage(pixels, layout, len(visual), image.size, sequence)

    def _text(self, rows: int, columns: int) -> str:
        """What a picture of these tiles is in a prompt."""
        around, piece = "<fake_token_around_image>", self.image_token * self.tile_tokens**2
        overview = f"{around}<global-img>{piece}{around}"
        if rows * columns == 1:
            return overview
        lines = (
            "".join(f"{around}<row_{row}_col_{column}>{piece}" for column in range(1, columns + 1)) + "\n"
            for row in range(1, rows + 1)
        )
        return "".join(lines) + "\n" + overview

    def stock_options(self, image_size_wh: tuple[int, int], max_pixels: int | None = None) -> dict[str, Any]:
        """See `VLM.stock_options`."""
        return {"size": {"longest_edge": self.longest_edge(image_size_wh, max_pixels)}}

    def inputs_of(self, pictures: Sequence[ProcessedImage]) -> dict[str, Tensor]:
        """See `VLM.inputs_of`. The processor's mask is left out: without padding all of it is 1."""
        return {name: tiles[None] for name, tiles in super().inputs_of(pictures).items()}

    def shapes_of(self, pictures: Sequence[ProcessedImage]) -> dict[str, Tensor]:
        """See `VLM.shapes_of`."""
        return {name: tiles[None] for name, tiles in super().shapes_of(pictures).items()}

    def n_image_tokens(self, image_size_wh: tuple[int, int]) -> int:
        """See `VLM.n_image_tokens`."""
        width, height = self._sizes(image_size_wh, self.longest_edge(image_size_wh))[1]
        n = width // self.tile * (height // self.tile)
        return (n + (n > 1)) * self.tile_tokens**2


class SmolVLM(Idefics3):
    """Idefics3 with other tiles (8 x 8 tokens of 512 pixels in SmolVLM2) and a smaller text model."""
