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
    asked = model.stock_options(image.size, max_pixels)
    found = model.image_processor(images=[image], return_tensors="pt", **asked)
    if model.family == "llava_onevision":  # which takes tiles of all pictures behind each other, too
        found["pixel_values"] = found["pixel_values"].flatten(0, 1)
    return found


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", SIZES)
def test_inputs_are_the_processors_to_the_bit(family, size):
    model, image = tiny_model(family), picture(*size)
    if (family, size) == ("mistral3", (1, 1)):
        assert model.prepare(image).n_tokens == 2, "stock code fails at a single token"
        return
    wanted = by_the_processor(model, image)
    found = model.inputs_of([model.prepare(image)])
    unused = {"num_crops", "num_patches", "pixel_attention_mask", "rows", "cols", "batch_num_images"}
    assert set(found) == set(wanted) - unused
    assert "pixel_attention_mask" not in wanted or wanted["pixel_attention_mask"].all(), "left out, since all is seen"
    assert all(torch.equal(found[name], wanted[name]) for name in found)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_smaller_budget_and_several_pictures(family):
    model = tiny_model(family)
    images, budgets = [picture(500, 300), picture(90, 200, 1)], [4 * 56**2, None]
    prepared = [model.prepare(*given) for given in zip(images, budgets, strict=True)]
    wanted = [by_the_processor(model, *given) for given in zip(images, budgets, strict=True)]
    for name, tensor in model.inputs_of(prepared).items():
        if family == "mistral3" and name == "pixel_values":  # smaller pictures are padded with zeros behind
            height, width = (max(one[name].shape[axis] for one in wanted) for axis in (2, 3))
            for one in wanted:
                h, w = one[name].shape[2:]
                one[name] = torch.nn.functional.pad(one[name], (0, width - w, 0, height - h))
        if family == "llava_onevision" and name == "image_sizes":  # of the first, as its canvas has it
            assert tensor[1].tolist() == [200, 90] and tensor[0, 1] / tensor[0, 0] == pytest.approx(5 / 3, rel=0.03)
            continue
        batch = int(tensor.ndim == 5)  # Idefics has an axis for prompts before the one for tiles
        assert torch.equal(tensor, torch.cat([one[name] for one in wanted], dim=batch))


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
