"""Captured rows against a plain softmax and against eager attention; the wrapper is inert otherwise."""

import numpy as np
import pytest
import torch
import transformers
from checkpoints import FAMILIES, LAYERS, checkpoint, tiny_model
from model_helpers import eager_rows, picture, stock_inputs

from hide_utils.method import Session
from hide_utils.models import load_model
from hide_utils.models.attention import AttentionInterface, _active, attention_rows, capturing
from hide_utils.models.patches import patches_as_products

SEARCH = "Search the following entities in the images: truck with blue color, dog"


def plain_rows(query, key, allowed):
    """softmax(q k^T / sqrt(d)) with the keys repeated: (heads, new, keys)."""
    key = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)
    scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    return scores.masked_fill(~allowed, -torch.inf).softmax(-1)[0]


@pytest.mark.parametrize("cached", [0, 5])
@pytest.mark.parametrize("kv_heads", [1, 2, 6])
@pytest.mark.parametrize("mask_kind", ["none", "boolean", "additive"])
def test_rows_are_a_plain_softmax(cached, kv_heads, mask_kind):
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(1, 6, 70, 8, generator=generator)
    key = torch.randn(1, kv_heads, 70 + cached, 8, generator=generator)
    allowed = torch.ones(70, 70 + cached, dtype=torch.bool).tril(cached)
    if mask_kind != "none":
        allowed[:, 2:4] = False  # a mask that is more than causal must be obeyed
        allowed[:, 0] = True
    masks = {
        "none": None,
        "boolean": allowed[None, None],
        "additive": torch.zeros(1, 1, *allowed.shape).masked_fill(~allowed, -torch.inf),
    }
    queries = torch.randperm(70, generator=generator)[:66]  # more than are computed at once, in no order
    rows = attention_rows(query, key, queries, masks[mask_kind])
    wanted = plain_rows(query, key, allowed)[:, queries]
    torch.testing.assert_close(rows, wanted.mean(0), atol=1e-6, rtol=0)
    torch.testing.assert_close(rows.sum(-1), torch.ones(66), atol=1e-5, rtol=0)
    apart = attention_rows(query, key, queries, masks[mask_kind], heads=True)
    torch.testing.assert_close(apart, wanted, atol=1e-6, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("with_prefix", [False, True])
def test_rows_equal_eager_attention(family, with_prefix):
    model = tiny_model(family)
    prompt = model.prompt(picture(200, 130), SEARCH)
    queries = [*range(prompt.texts[0].start, prompt.texts[0].stop), len(prompt) - 1]
    prefix = model.prefill(prompt) if with_prefix else None
    layers = model.row_layers
    rows = model.capture(prompt, queries, layers, prefix=prefix)
    attentions = eager_rows(model, prompt)
    (span,) = prompt.images
    wanted = np.stack([attentions[layer].mean(0)[queries][:, span.positions].numpy() for layer in layers])
    assert rows.maps[0].shape == (len(layers), len(queries), *span.grid_hw)
    assert wanted.max() > 3 * wanted.mean(), "weights too flat for the comparison to mean anything"
    np.testing.assert_allclose(rows.maps[0], wanted, atol=1e-5, rtol=0)
    assert (rows.maps[0].sum((-1, -2)) <= 1 + 1e-5).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_of_a_picture_forty_times_as_wide_as_high_equal_eager_attention(family):
    model = tiny_model(family)
    prompt = model.prompt(picture(400, 10), SEARCH)
    queries = [prompt.texts[0].start, len(prompt) - 1]
    layer = model.row_layers[-1]
    rows = model.capture(prompt, queries, [layer], prefix=model.prefill(prompt))
    wanted = eager_rows(model, prompt)[layer].mean(0)[queries]
    (span,), (maps,) = prompt.images, rows.maps
    assert span.grid_hw[1] > 2 * span.grid_hw[0] or family == "gemma3", "which stretches pictures to one size"
    np.testing.assert_allclose(maps[0], wanted[:, span.positions].numpy(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("with_prefix", [False, True])
def test_heads_apart_are_those_of_eager_attention_and_take_one_pass(family, with_prefix):
    model = tiny_model(family)
    prompt = model.prompt(picture(200, 130), SEARCH)
    queries = [*range(prompt.texts[0].start, prompt.texts[0].stop)]
    prefix = model.prefill(prompt) if with_prefix else None
    before = model.counts["passes"]
    layers = model.row_layers
    rows = model.capture(prompt, queries, layers, prefix=prefix, heads=True)
    assert model.counts["passes"] - before == 1
    attentions = eager_rows(model, prompt)
    (span,), (maps,) = prompt.images, rows.maps
    wanted = np.stack([attentions[layer][:, queries][..., span.positions].numpy() for layer in layers])
    heads = model.model.config.get_text_config().num_attention_heads
    assert maps.shape == wanted.shape == (len(layers), heads, len(queries), *span.grid_hw)
    assert maps.dtype == np.float32
    assert np.abs(wanted - wanted.mean(1, keepdims=True)).max() > 1e-3, "heads too alike for the comparison"
    np.testing.assert_allclose(maps, wanted, atol=5e-5, rtol=0)  # of one head, whose rounding no mean hides
    mean = model.capture(prompt, queries, layers, prefix=prefix).maps[0]
    np.testing.assert_allclose(maps.mean(1), mean, atol=1e-6, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_last_positions_rows_equal_eager_attention(family):
    model, image, text = tiny_model(family), picture(200, 130), "What is it?\nA. dog\nB. truck"
    session = Session(model, image)
    layers = first, last = model.row_layers[0], model.row_layers[-1]
    rows = session.rows_of_last(text, [last, first])
    prompt = model.prompt(image, text)
    attentions = eager_rows(model, prompt)
    (span,) = prompt.images
    wanted = np.stack([attentions[layer].mean(0)[-1][span.positions].numpy() for layer in layers])
    np.testing.assert_allclose(rows, wanted, atol=1e-5, rtol=0)
    np.testing.assert_allclose(Session(model, image, reuse_prefix=False).rows_of_last(text, layers), rows, atol=1e-5)
    assert session.counts["last"]["images"] == 0, "the prefill is shared"


@pytest.mark.parametrize("family", FAMILIES)
def test_each_image_gets_its_own_columns(family):
    model = tiny_model(family)
    prompt = model.prompt(picture(200, 130, seed=1), "and", picture(90, 160, seed=2), SEARCH)
    queries = [prompt.texts[1].start, prompt.texts[1].stop - 1]
    layers = model.row_layers[-2:]
    rows = model.capture(prompt, queries, layers, prefix=model.prefill(prompt))
    attentions = eager_rows(model, prompt)
    assert len(rows.maps) == 2
    assert rows.maps[0].shape != rows.maps[1].shape or family == "gemma3", "which stretches pictures to one size"
    apart = model.capture(prompt, queries, layers, prefix=model.prefill(prompt), heads=True)
    for span, maps, by_head in zip(prompt.images, rows.maps, apart.maps, strict=True):
        wanted = np.stack([attentions[layer][:, queries][..., span.positions].numpy() for layer in layers])
        np.testing.assert_allclose(maps, wanted.mean(1), atol=1e-5, rtol=0)
        np.testing.assert_allclose(by_head, wanted, atol=5e-5, rtol=0)  # of one head, whose rounding no mean hides


@pytest.mark.parametrize("family", FAMILIES)
def test_early_exit_changes_nothing_and_leaves_early(family):
    model = tiny_model(family)
    prompt = model.prompt(picture(100, 100), SEARCH)
    prefix = model.prefill(prompt)
    ran = []
    layers = model.model.get_decoder().layers
    hooks = [
        layer.register_forward_pre_hook(lambda *_, number=number: ran.append(number))
        for number, layer in enumerate(layers)
    ]
    first, second = model.row_layers[:2]
    exited = model.capture(prompt, [len(prompt) - 1], [first, second], prefix=prefix)
    assert ran == list(range(second + 1))
    for hook in hooks:
        hook.remove()
    complete = model.capture(prompt, [len(prompt) - 1], [second, first, second], prefix, early_exit=False)
    assert exited.layers == complete.layers == [first, second]
    np.testing.assert_array_equal(exited.maps[0], complete.maps[0])


def test_capture_ends_with_its_block():
    with pytest.raises(KeyError), capturing(torch.tensor([0]), [0]):
        raise KeyError
    assert _active.get() is None
    with capturing(torch.tensor([0]), [0]) as outer:
        with capturing(torch.tensor([1]), [1]):
            pass
        assert _active.get() is outer


def test_output_is_that_of_stock_sdpa():
    family = "qwen3_vl"
    model, prompt = tiny_model(family), tiny_model(family).prompt(picture(100, 100), SEARCH)
    stock = transformers.AutoModelForImageTextToText.from_pretrained(checkpoint(family), attn_implementation="sdpa")
    patches_as_products(stock)  # whose rounding test_patches.py compares
    with torch.inference_mode():
        wanted = stock(**stock_inputs(model, prompt), logits_to_keep=1).logits[0, -1]
    torch.testing.assert_close(model.generate(prompt, 1).first_logits, wanted, atol=0, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_vision_tower_keeps_its_own_attention(family):
    config = tiny_model(family).model.config
    assert config.text_config._attn_implementation == "hide_sdpa"
    assert config.vision_config._attn_implementation == "hide_flash_batched"


def test_flash_wrapper_calls_the_flash_kernel_by_its_own_name(monkeypatch):
    """No GPU here: the kernel is replaced by sdpa in flash's layout (batch, tokens, heads, dim)."""
    names = []

    def kernel(query, key, value, attention_mask, softmax_scale, attn_implementation, **kwargs):
        names.append(attn_implementation)
        query, key, value = (x.transpose(1, 2) for x in (query, key, value))
        new, keys = query.shape[2], key.shape[2]
        allowed = torch.ones(new, keys, dtype=torch.bool).tril(keys - new)
        return torch.nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=allowed, scale=softmax_scale, enable_gqa=True
        ).transpose(1, 2)

    monkeypatch.setattr("transformers.integrations.flash_attention._flash_attention_forward", kernel)
    flash = load_model(checkpoint("qwen3_vl"), device="cpu")
    flash.model.set_attn_implementation({"text_config": "hide_flash"})
    sdpa = tiny_model("qwen3_vl")
    prompt = sdpa.prompt(picture(100, 100), SEARCH)
    prefix = flash.prefill(prompt)
    assert flash.generate(prompt, 8, prefix=prefix).ids == sdpa.generate(prompt, 8).ids
    rows = [model.capture(prompt, [len(prompt) - 1], [1]).maps[0] for model in (flash, sdpa)]
    np.testing.assert_allclose(*rows, atol=1e-6)
    assert set(names) == {"flash_attention_2"}
    assert {"hide_sdpa", "hide_flash"} <= set(AttentionInterface().valid_keys())


def test_bad_captures_are_refused():
    model = tiny_model("qwen3_vl")
    prompt, text_only = model.prompt(picture(64, 64), SEARCH), model.prompt(SEARCH)
    prefix = model.prefill(prompt)
    for layers in ([LAYERS], [-1], []):
        with pytest.raises(ValueError, match=f"0 to {LAYERS - 1}"):
            model.capture(prompt, [len(prompt) - 1], layers)
    for queries in ([len(prompt)], [-1], []):
        with pytest.raises(ValueError, match="queries must be token positions"):
            model.capture(prompt, queries, [0])
    with pytest.raises(ValueError, match=f"from {len(prefix)}"):
        model.capture(prompt, [len(prefix) - 1], [0], prefix=prefix)
    with pytest.raises(ValueError, match="no image"):
        model.capture(text_only, [3], [0])
