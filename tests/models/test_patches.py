"""The patch embedding as one product has the convolution's numbers, weights and names."""

import copy

import pytest
import torch
from checkpoints import eager_model, tiny_model

from hide_utils.models.patches import PatchProduct, patches_as_products


def embedding(model):
    return next(module for module in model.modules() if isinstance(module, torch.nn.Conv3d))


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_numbers_weights_and_names_are_those_of_the_stock_model(family):
    ours, stock = tiny_model(family).model, eager_model(family)
    assert type(embedding(ours)) is PatchProduct and type(embedding(stock)) is torch.nn.Conv3d
    assert list(ours.state_dict()) == list(stock.state_dict())
    shape = (7, embedding(stock).in_channels, *embedding(stock).kernel_size)
    patches = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    exact = copy.deepcopy(embedding(stock)).double()(patches.double())
    largest = exact.abs().max().item()
    for model in (ours, stock):
        torch.testing.assert_close(embedding(model)(patches).double(), exact, atol=2e-6 * largest, rtol=0)


def test_convolutions_over_more_than_their_kernel_stay_convolutions():
    convolution = torch.nn.Conv3d(2, 3, 4, stride=4)
    wide = torch.randn(1, 2, 8, 4, 4)
    expected = convolution(wide)
    others = [torch.nn.Conv3d(3, 3, 3), torch.nn.Conv2d(3, 3, 2, stride=2)]
    others += [
        torch.nn.Conv3d(2, 2, 2, stride=2, **other) for other in ({"groups": 2}, {"padding": 1}, {"dilation": 2})
    ]
    kinds = [type(module) for module in others]
    patches_as_products(torch.nn.Sequential(convolution, *others))
    assert type(convolution) is PatchProduct and [type(module) for module in others] == kinds
    torch.testing.assert_close(convolution(wide), expected)
