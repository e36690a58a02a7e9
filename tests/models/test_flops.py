"""FLOPs from the configuration against torch's own counter over a real pass."""

import pytest
import torch
from checkpoints import FAMILIES, tiny_model
from model_helpers import counted_flops, picture

from hide_utils.models.flops import forward_flops, row_flops, skipped_flops, text_flops


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [(64, 64), (230, 130), (330, 410)])
def test_prefill_suffix_and_decoding_agree_with_torch(family, size):
    model = tiny_model(family)
    image = model.prepare(picture(*size))
    first = model.prompt(image, "Where is the dog?")
    counted, ours, prefix = counted_flops(model, lambda: model.prefill(first))
    assert ours == pytest.approx(counted, rel=0.02)
    second = model.prompt(image, model.prepare(picture(60, 90)), "What is the color of the dog?")
    counted, ours, reply = counted_flops(model, lambda: model.generate(second, 6, prefix))
    assert ours == pytest.approx(counted, rel=0.02) and len(reply.ids) > 1
    assert model.counts["passes"] >= len(reply.ids)
    counted, ours, _ = counted_flops(
        model, lambda: model.generate_batch([model.prompt("Who?"), model.prompt("Where to?")], 4)
    )
    assert ours == pytest.approx(counted, rel=0.02)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pass_that_stops_early_is_charged_for_its_layers(family):
    model = tiny_model(family)
    image = model.prepare(picture(150, 90))
    prompt = model.prompt(image, "Search the dog")
    prefix = model.prefill(prompt)
    costs = []
    for layer in range(model.n_layers):
        rows = [len(prompt) - 1]
        counted, ours, _ = counted_flops(
            model, lambda layer=layer, rows=rows: model.capture(prompt, rows, [layer], prefix)
        )
        assert ours == pytest.approx(counted, rel=0.02)
        costs.append(ours)
    assert costs == sorted(costs) and len(set(costs)) == len(costs)
    new, past = len(prompt) - len(prefix), len(prefix)
    whole = forward_flops(model.model.config, new, past)
    rows = row_flops(model.model.config, 1, len(prompt))
    assert costs[0] == whole - skipped_flops(model.model.config, new, past, 0) + rows


def test_decoding_costs_two_flops_a_weight_and_reads_its_context():
    config = tiny_model("qwen3_vl").model.config.get_text_config()
    short, long = text_flops(config, 1, 100), text_flops(config, 1, 300)
    width = config.num_attention_heads * config.head_dim
    assert long - short == 4 * 200 * width * config.num_hidden_layers
    assert text_flops(config, 1, 100, heads=3) - short == 2 * 2 * config.hidden_size * config.vocab_size


def test_a_7b_model_has_the_known_costs():
    """Qwen2.5-VL-7B at 16 384 image tokens: 173 TFLOP in the tower and 270 in the prefill (counted independently)."""
    from transformers import Qwen2_5_VLConfig

    text = {
        "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
        "num_key_value_heads": 4, "vocab_size": 152064,
    }  # fmt: skip
    vision = {"hidden_size": 1280, "intermediate_size": 3420, "out_hidden_size": 3584}
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision)
    grid = {"image_grid_thw": torch.tensor([[1, 256, 256]])}
    prefill = text_flops(config.get_text_config(), 16384)
    masked = 28 * 2 * 16384**2 * 3584  # the half of the rectangle that causal masking leaves out of that figure
    assert (prefill - masked) / 1e12 == pytest.approx(270, rel=0.02)
    assert (forward_flops(config, 16384, inputs=grid) - prefill) / 1e12 == pytest.approx(173, rel=0.02)
