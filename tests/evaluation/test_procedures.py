"""Procedures as lists of passes: against torch's counter on full-size models without weights, and against real runs."""

from dataclasses import replace

import numpy as np
import pytest
import transformers
from checkpoints import FAMILIES, tiny_model
from model_helpers import picture
from packaging import version

from hide_utils import HiDe
from hide_utils.evaluation import fullsize
from hide_utils.evaluation.procedures import (
    GATE,
    OURS,
    RELEASED,
    SWITCHES,
    Visual,
    Work,
    direct_answer,
    direct_besides,
    flops,
    hide,
    pass_flops,
    saved_by_switches,
)
from hide_utils.images import composite_on_white
from hide_utils.method.entities import EXTRACTION_PROMPT, SEARCH_INSTRUCTION
from hide_utils.prompts import multiple_choice

QUESTION, OPTIONS = "What is the color of the dog?", ["red", "blue"]
AT_MOST = {"Qwen2.5-VL-7B": 1.07, "Qwen3-VL-8B": 1.10, "InternVL3-8B": 1.10}
WEIGHTS = {"Qwen2.5-VL-7B": 8.292e9, "Qwen3-VL-8B": 8.767e9, "InternVL3-8B": 7.944e9}


def like_torch(flops):
    """Exact, but for what older transformers make a product: rotary positions times frequencies."""
    return pytest.approx(flops, rel=1e-6 if version.parse(transformers.__version__) < version.parse("5.23") else 0)


@pytest.mark.parametrize("name", fullsize.ARCHITECTURES)
def test_full_size_models_have_the_published_weights(name):
    model = fullsize.meta_model(fullsize.ARCHITECTURES[name].config())
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(WEIGHTS[name], rel=1e-4)


@pytest.mark.parametrize("name", fullsize.ARCHITECTURES)
def test_models_as_wide_as_full_size_ones_cost_what_torch_counts(name, shallow):
    """Cost is a sum over layers, of which a few of each kind are left: the rest would repeat them."""
    architecture = shallow(name)
    model, work = fullsize.meta_model(architecture.config()), fullsize.work_for(architecture, listed=2)
    passes = direct_answer(work) + hide(work) + [hide(work, RELEASED)[1]]
    assert fullsize.counted(model, passes) == like_torch([pass_flops(model.config, one) for one in passes])


def test_windows_taken_at_once_cost_what_the_stock_tower_costs():
    """A picture of 10 x 10 tokens has windows of three sizes."""
    config = fullsize.ARCHITECTURES["Qwen2.5-VL-7B"].config()
    config.vision_config.depth, config.vision_config.fullatt_block_indexes = 3, [1]
    config.get_text_config().num_hidden_layers = 1
    work = Work(fullsize.visual(config, 100), fullsize.visual(config, 30), layer=0)
    at_once, stock = fullsize.meta_model(config), fullsize.meta_model(config)
    stock.set_attn_implementation({"vision_config": "sdpa"})
    passes = direct_answer(work, OURS.but(last_head=False))
    (expected,) = fullsize.counted(stock, passes)
    assert fullsize.counted(at_once, passes) == [expected] == like_torch([pass_flops(config, passes[0])])


@pytest.mark.parametrize("name", fullsize.ARCHITECTURES)
def test_targets_of_cost_are_met(name):
    architecture = fullsize.ARCHITECTURES[name]
    config, work = architecture.config(), fullsize.work_for(architecture)
    base = flops(config, direct_answer(work))
    assert flops(config, hide(work)) / base <= AT_MOST[name]
    released = flops(config, hide(work, RELEASED.but(compact_budget=True))) / base
    assert released == pytest.approx(2.08, abs=0.05)


@pytest.mark.parametrize("name", fullsize.ARCHITECTURES)
def test_cost_grows_no_faster_than_plain_answering(name):
    table = fullsize.by_resolution(fullsize.ARCHITECTURES[name])
    assert list(table["side"]) == list(fullsize.SIDES) and table["tokens"].is_monotonic_increasing
    slopes = {method: np.polyfit(np.log(table["side"]), np.log(table[method]), 1)[0] for method in ("plain", "hide")}
    assert slopes["hide"] <= slopes["plain"]
    last = np.log(table[["plain", "hide"]]).diff().iloc[-1]
    assert last["hide"] <= last["plain"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("shared", [True, False])
def test_a_real_run_costs_what_its_passes_say(family, shared):
    model = tiny_model(family)
    method = HiDe(model, layer=1, sigma=1.0, alpha=0.5, reuse_prefix=shared)
    session = method.open(picture(300, 220))
    result = method.run(session, QUESTION, OPTIONS)
    image, compact = model.prepare(session.image), model.prepare(composite_on_white(result.compact_image))
    cut = (search := model.prompt(image, f"{SEARCH_INSTRUCTION} {result.entities.text}")).cut
    answer = model.prompt(image, compact, multiple_choice(QUESTION, OPTIONS))
    asked = model.prompt(f"{EXTRACTION_PROMPT} {QUESTION}")
    static = len(method.extractor._prefix) if shared else 0
    (span,) = search.texts
    work = Work(
        Visual(image.n_tokens, model.inputs_of([image])),
        Visual(compact.n_tokens, model.inputs_of([compact])),
        layer=1,
        around=cut - image.n_tokens,
        between=0,
        search=len(search) - cut,
        rows=len(result.tokens) + len(span.positions(0, len(SEARCH_INSTRUCTION))),
        question=len(answer) - cut - compact.n_tokens,
        static=static,
        asked=len(asked) - static,
        listed=session.counts["extract"]["decoded"],
        answered=session.counts["answer"]["passes"] - 1,
    )
    switches = replace(OURS, shared_prefill=shared, static_prompt=shared)
    assert result.counts["flops"] == flops(model.model.config, hide(work, switches))


def test_switches_save_what_they_claim():
    architecture = fullsize.ARCHITECTURES["Qwen2.5-VL-7B"]
    config, work = architecture.config(), fullsize.work_for(architecture)
    saved = saved_by_switches(config, work)
    assert list(saved) == [*SWITCHES.values(), GATE]
    assert saved.pop(SWITCHES["batched"]) == 0  # the same work, whose weights are read once for all
    assert all(one > 0 for one in saved.values())
    one, alone = (hide(work, OURS.but(batched=on))[0] for on in (True, False))
    assert alone.weights_share == one.weights_share * work.batch
    released = [flops(config, hide(work, RELEASED.but(**{name: True}))) for name in SWITCHES if name != "batched"]
    assert max(released[:-2]) < flops(config, hide(work, RELEASED))
    assert flops(config, direct_besides(work)) < 0.03 * flops(config, direct_answer(work))
    assert flops(config, hide(work), causal=True) < flops(config, hide(work))
    with pytest.raises(ValueError, match="smallest picture"):
        fullsize.visual(fullsize.ARCHITECTURES["InternVL3-8B"].config(), 100)
