"""Qwen's patch embedding as a matrix product, which a convolution over patches that do not overlap amounts to."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import linear


class PatchProduct(torch.nn.Conv3d):
    """A convolution that is run as one product of matrices where its kernel covers the whole input.

    Its numbers are the convolution's up to rounding. On a CPU it is several times faster.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Features (patches, features, 1, 1, 1) of an input (patches, channels, frames, height, width)."""
        if input.shape[2:] != self.kernel_size:
            return super().forward(input)
        return linear(input.flatten(1), self.weight.flatten(1), self.bias)[..., None, None, None]


def patches_as_products(model: torch.nn.Module) -> None:
    """Make a model's patch embeddings `PatchProduct`s in place. Weights and their names stay."""
    for module in model.modules():
        if type(module) is torch.nn.Conv3d and module.stride == module.kernel_size and _is_simple(module):
            module.__class__ = PatchProduct
            if hasattr(module, "_old_forward"):  # the method that accelerate's hook wraps to move weights
                module._old_forward = module.__class__.forward.__get__(module)


def _is_simple(module: torch.nn.Conv3d) -> bool:
    return module.groups == 1 and module.padding == (0, 0, 0) and module.dilation == (1, 1, 1)
