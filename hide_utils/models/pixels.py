"""From a picture to the numbers that a vision tower takes.

Pillow resizes here, and the bytes go to the model's device. There they are put in the processor's order, scaled and
normalised. A channel has 256 values, so the processor's own arithmetic is run on these alone and its results are looked
up: they are the processor's to the bit, and of a large picture an eighth of the bytes has to be moved.
"""

from __future__ import annotations

from math import isqrt

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64, UInt8
from PIL import Image
from torch import Tensor
from transformers import BaseImageProcessor


def color_table(processor: BaseImageProcessor) -> Float32[Tensor, "3 256"]:
    """What an image processor makes of every value of every channel."""
    values = np.ascontiguousarray(np.broadcast_to(np.arange(256, dtype=np.uint8), (3, 1, 256)))
    if processor.do_rescale:
        values = processor.rescale(values, processor.rescale_factor)
    if processor.do_normalize:
        values = processor.normalize(values, processor.image_mean, processor.image_std)
    return torch.from_numpy(values.astype(np.float32)[:, 0])


def resized(image: Image.Image, size_wh: tuple[int, int], processor: BaseImageProcessor) -> UInt8[Tensor, "h w 3"]:
    """An RGB picture of another width and height, by Pillow, with the processor's own filter."""
    if image.size != size_wh:
        image = image.resize(size_wh, resample=processor.resample)
    return torch.from_numpy(np.array(image))


def tiles(pixels: UInt8[Tensor, "h w 3"], rows: int, columns: int) -> UInt8[Tensor, "tiles height width 3"]:
    """A picture cut into tiles of one size, row by row."""
    height, width = pixels.shape[0] // rows, pixels.shape[1] // columns
    return pixels.view(rows, height, columns, width, 3).transpose(1, 2).flatten(0, 1)


def side_by_side(tokens: Int64[Tensor, " n"], rows: int, columns: int) -> Int64[Tensor, "h w"]:
    """Square tiles' tokens in the places of one grid. They come tile by tile, and row by row in each."""
    side = isqrt(len(tokens) // rows // columns)
    grid = tokens.view(rows, columns, side, side).transpose(1, 2)
    return grid.reshape(rows * side, columns * side)


def in_colors(
    values: UInt8[Tensor, "*places 3 pixels"], table: Float[Tensor, "3 256"]
) -> Float[Tensor, "*places 3 pixels"]:
    """The table's numbers in place of a picture's bytes. Channels are the axis before the last."""
    first = torch.arange(0, 3 * 256, 256, dtype=torch.int32, device=values.device)[:, None]
    return table.flatten()[values.int() + first]


def patches(
    pixels: UInt8[Tensor, "h w 3"], table: Float[Tensor, "3 256"], patch: int, merge: int, frames: int
) -> Float[Tensor, "patches numbers"]:
    """A picture as Qwen's towers take it: groups of merge x merge patches, the picture repeated as a film's frames.

    Args:
        pixels: the resized picture. Its sides are multiples of patch * merge.
        table: from `color_table`, on the pixels' device.
        patch: side of a patch in pixels.
        merge: patches along a side of a token.
        frames: how often each patch is repeated.
    """
    height, width, _ = pixels.shape
    groups = pixels.view(height // patch // merge, merge, patch, width // patch // merge, merge, patch, 3)
    ordered = groups.permute(0, 3, 1, 4, 6, 2, 5).reshape(-1, 3, patch**2)
    return in_colors(ordered, table)[:, :, None].expand(-1, -1, frames, -1).flatten(1)
