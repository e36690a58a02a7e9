"""FLOPs from the configuration against torch's own counter over a real pass."""

import pytest
import torch
from checkpoints import FAMILIES, tiny_model
from model_helpers import counted_flops, picture
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from hide_utils.models.flops import forward_flops, row_flops, skipped_flops, text_flops


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [(230, 130), (330, 410)])
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
    for layer in model.row_layers:
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
    assert costs[0] == whole - skipped_flops(model.model.config, new, past, model.row_layers[0]) + rows


def test_experts_stand_where_the_config_says():
    """Every second layer has some, and of these layer 3 has none; a token visits two of five."""
    from transformers import Qwen3VLMoeTextConfig, Qwen3VLMoeTextModel

    config = Qwen3VLMoeTextConfig(
        vocab_size=50, hidden_size=32, intermediate_size=80, num_hidden_layers=6, num_attention_heads=2,
        num_key_value_heads=2, head_dim=16, num_experts=5, num_experts_per_tok=2, moe_intermediate_size=24,
        decoder_sparse_step=2, mlp_only_layers=[3],
        rope_parameters={"rope_type": "default", "mrope_section": [4, 2, 2], "rope_theta": 1e6},
    )  # fmt: skip
    config._attn_implementation, config._experts_implementation = "sdpa", "eager"
    model = Qwen3VLMoeTextModel(config).eval()
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(torch.arange(40)[None])
    assert text_flops(config, 40, heads=0) == counter.get_total_flops()
    experts, dense = 32 * (5 + 2 * 3 * 24), 32 * 3 * 80
    without = Qwen3VLMoeTextConfig(**(config.to_dict() | {"mlp_only_layers": list(range(6))}))
    assert text_flops(without, 40) - text_flops(config, 40) == 2 * 40 * 2 * (dense - experts)


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
