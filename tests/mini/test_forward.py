"""The lean forward equals the stock class's, and it trains."""

import numpy as np
import pytest
import torch
from model_helpers import picture
from transformers import AutoTokenizer, Qwen2VLImageProcessorPil, Qwen3VLForConditionalGeneration

from hide_utils import paths
from hide_utils.mini.forward import LeanForward
from hide_utils.mini.losses import Losses
from hide_utils.mini.optimizer import Optimizer, orthogonalized

QUESTIONS = ("What is the color of the dog?", "Is the cat above the cow or below it?")


@pytest.fixture(scope="module")
def stock():
    model = Qwen3VLForConditionalGeneration.from_pretrained(
        paths.MINI, dtype=torch.float32, attn_implementation="sdpa", use_safetensors=True
    )
    return model.eval(), AutoTokenizer.from_pretrained(paths.MINI)


def rows(tokenizer, image_id, sizes_wh):
    """Two rows of ids with pictures at the same places, and where those begin."""
    marks = "".join(f"<|vision_start|>{'<|image_pad|>' * (w * h // 1024)}<|vision_end|>" for w, h in sizes_wh)
    parts = [tokenizer(f"<|im_start|>user\n{marks}{q}", add_special_tokens=False).input_ids for q in QUESTIONS]
    ids = torch.tensor([part[: min(map(len, parts))] for part in parts])
    image = (ids[0] == image_id).int()
    return ids, torch.nonzero(image.diff(prepend=torch.zeros(1, dtype=torch.int)) == 1).flatten().tolist()


@pytest.mark.parametrize(
    "sizes_wh", [[], [(256, 256)], [(320, 192)], [(256, 256), (320, 192)], [(896, 896), (128, 448)]], ids=str
)
def test_hidden_states_are_those_of_the_stock_class(stock, sizes_wh):
    model, tokenizer = stock
    ids, starts = rows(tokenizer, model.config.image_token_id, sizes_wh)
    assert len(starts) == len(sizes_wh)
    processor = Qwen2VLImageProcessorPil.from_pretrained(paths.MINI)
    shown = [[picture(*wh, seed=10 * row + i) for i, wh in enumerate(sizes_wh)] for row in range(2)]
    stacked = [torch.stack([torch.from_numpy(np.array(row[i])) for row in shown]) for i in range(len(sizes_wh))]
    with torch.no_grad():
        lean, _ = LeanForward(model)(ids, stacked, starts)
        for row in range(2):
            inputs = {}
            if sizes_wh:
                size = {"shortest_edge": 1, "longest_edge": 10**8}
                inputs = dict(processor(images=shown[row], size=size, return_tensors="pt"))
                inputs["mm_token_type_ids"] = (ids[row : row + 1] == model.config.image_token_id).int()
            mask = torch.ones_like(ids[row : row + 1])
            expected = model.model(input_ids=ids[row : row + 1], attention_mask=mask, **inputs).last_hidden_state
            assert expected.abs().max() > 1
            torch.testing.assert_close(lean[row : row + 1], expected, atol=1e-5, rtol=0)


def test_gradients_are_those_of_the_stock_class(stock):
    model, tokenizer = stock
    ids, starts = rows(tokenizer, model.config.image_token_id, [(256, 256)])
    shown = [picture(256, 256, seed=row) for row in range(2)]
    stacked = torch.stack([torch.from_numpy(np.array(image)) for image in shown])
    inputs = Qwen2VLImageProcessorPil.from_pretrained(paths.MINI)(images=shown, return_tensors="pt")
    types = (ids == model.config.image_token_id).int()
    gradients = []
    for lean in (True, False):
        model.zero_grad()
        if lean:
            hidden = LeanForward(model)(ids, [stacked], starts)[0]
        else:
            mask = torch.ones_like(ids)
            hidden = model.model(
                input_ids=ids, attention_mask=mask, mm_token_type_ids=types, **inputs
            ).last_hidden_state
        hidden.square().mean().backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    model.zero_grad()
    assert gradients[0].keys() == gradients[1].keys()
    assert any("deepstack" in name for name in gradients[0]) and any("pos_embed" in name for name in gradients[0])
    for name, gradient in gradients[0].items():
        scale = gradients[1][name].abs().max()
        torch.testing.assert_close(gradient, gradients[1][name], atol=float(1e-4 * scale + 1e-9), rtol=0)


def test_orthogonalized_matrices_have_singular_values_near_one():
    for shape in ((3, 16, 40), (3, 40, 16)):
        values = torch.linalg.svdvals(orthogonalized(torch.randn(shape, generator=torch.Generator().manual_seed(0))))
        assert 0.3 < values.min() and values.max() < 1.4


def test_steps_below_the_resolution_of_bfloat16_add_up_in_the_masters():
    parameters = {
        "layer.weight": torch.nn.Parameter(torch.ones(8, 8)), "norm.bias": torch.nn.Parameter(torch.ones(8))
    }  # fmt: skip
    optimizer = Optimizer(parameters)
    for p in parameters.values():
        p.data = p.data.bfloat16()
    for _ in range(40):
        for p in parameters.values():
            p.grad = torch.ones_like(p)
        optimizer.step(muon=1e-3, adam=1e-3)
    assert all(p.grad is None and p.dtype == torch.bfloat16 for p in parameters.values())
    assert parameters["norm.bias"].max() < 0.97, "each step alone is less than bfloat16 can tell from 1"
    assert parameters["layer.weight"].max() < 1.0
    state = optimizer.state()
    assert all(tensor.dtype == torch.float32 for tensor in state.values())


def test_a_model_in_bfloat16_learns_through_the_same_losses(stock):
    model, tokenizer = stock
    half = Qwen3VLForConditionalGeneration.from_pretrained(
        paths.MINI, dtype=torch.bfloat16, attn_implementation="sdpa", use_safetensors=True
    )
    ids, _ = rows(tokenizer, model.config.image_token_id, [(128, 128)])
    batch = {
        "ids": ids, "weights": torch.ones(ids.shape), "dense": torch.zeros(2, 4, 4, 4, dtype=torch.long),
        "image": torch.zeros(2, 128, 128, 3, dtype=torch.uint8),
    }  # fmt: skip
    found = []
    for m in (model, half):
        nothing = torch.nn.Parameter(torch.zeros(192, 2, dtype=m.dtype))
        loss, measures = Losses(m, tokenizer, nothing)(batch)
        loss.backward()
        found.append(loss.item())
        assert {"text_loss_one", "dense_noun", "dense_loss", "letters_one_128"} <= set(measures)
        assert all(torch.isfinite(p.grad).all() for p in m.parameters() if p.grad is not None)
        m.zero_grad()
    assert found[0] == pytest.approx(found[1], rel=0.05)
