"""What families share that run pictures as tiles of one size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hide_utils.models.base import VLM
from hide_utils.models.pixels import in_colors
from hide_utils.models.prompt import ProcessedImage


class Tiled(VLM):
    """A family that runs pictures as tiles of one size, all of a pass together."""

    def inputs_of(self, pictures: Sequence[ProcessedImage]) -> dict[str, Tensor]:
        """See `VLM.inputs_of`."""
        stacked = torch.cat([picture.pixels for picture in pictures]).to(self.device)
        channels = stacked.permute(0, 3, 1, 2).flatten(2)
        return {"pixel_values": in_colors(channels, self.colors).unflatten(2, stacked.shape[1:3])}

    def shapes_of(self, pictures: Sequence[ProcessedImage]) -> dict[str, Tensor]:
        """See `VLM.shapes_of`."""
        stacked = torch.cat([picture.pixels.to("meta") for picture in pictures])
        return {"pixel_values": stacked.permute(0, 3, 1, 2)}
