"""Pixels: what a tower takes is the image processor's own tensor, for every family, size and number format."""

import numpy as np
import pytest
import torch
from checkpoints import FAMILIES, checkpoint, tiny_model
from model_helpers import picture

from hide_utils.models import load_model
from hide_utils.models.pixels import color_table, in_colors

SIZES = [(1, 1), (30, 500), (448, 224), (301, 233), (1200, 900)]


def by_the_processor(model, image, max_pixels=None):
    """The stock image processor's tensors for one picture."""
    if model.family == "internvl":
        asked = {"crop_to_patches": True, **model.tiles(max_pixels)}
    else:
        asked = {"size": model.budget(max_pixels)}
    return model.image_processor(images=[image], return_tensors="pt", **asked)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", SIZES)
def test_inputs_are_the_processors_to_the_bit(family, size):
    model, image = tiny_model(family), picture(*size)
    wanted = by_the_processor(model, image)
    found = model.inputs_of([model.prepare(image)])
    assert set(found) == set(wanted) - {"num_patches"}
    assert all(torch.equal(found[name], wanted[name]) for name in found)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_smaller_budget_and_several_pictures(family):
    model = tiny_model(family)
    images, budgets = [picture(500, 300), picture(90, 200, 1)], [4 * 56**2, None]
    prepared = [model.prepare(*given) for given in zip(images, budgets, strict=True)]
    wanted = [by_the_processor(model, *given) for given in zip(images, budgets, strict=True)]
    for name, tensor in model.inputs_of(prepared).items():
        assert torch.equal(tensor, torch.cat([one[name] for one in wanted]))


@pytest.mark.parametrize("family", FAMILIES)
def test_half_precision_is_one_rounding_of_the_processors(family):
    model, image = load_model(checkpoint(family), device="cpu", dtype="bfloat16"), picture(300, 200)
    found = model.inputs_of([model.prepare(image)])["pixel_values"]
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, by_the_processor(model, image)["pixel_values"].to(torch.bfloat16))


def test_the_table_keeps_to_the_processors_switches():
    processor = tiny_model("qwen3_vl").image_processor
    plain = type(processor)(do_normalize=False, do_rescale=False)
    assert torch.equal(color_table(plain), torch.arange(256.0).expand(3, -1))
    scaled = type(processor)(do_normalize=False)
    assert torch.equal(color_table(scaled)[:, 255], torch.ones(3))


def test_colors_are_looked_up_by_channel():
    table = torch.stack([torch.arange(256.0) + 1000 * channel for channel in range(3)])
    values = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 5), dtype=np.uint8))
    assert torch.equal(in_colors(values, table), values + torch.tensor([0.0, 1000, 2000])[None, :, None])


@pytest.mark.parametrize("family", FAMILIES)
def test_pictures_that_differ_in_a_pixel_differ(family):
    model, image = tiny_model(family), picture(224, 224)
    other = image.copy()
    other.putpixel((3, 4), tuple(255 - v for v in image.getpixel((3, 4))))
    one = model.prepare(image)
    assert one.same_as(model.prepare(image.copy()))
    assert not one.same_as(model.prepare(other)) and not one.same_as(model.prepare(picture(224, 448)))
