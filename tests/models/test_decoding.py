"""Decoding: prompts in one sequence do not see each other, and a step with fixed tensors gives the same tokens."""

import contextlib

import pytest
import torch
from checkpoints import FAMILIES, FULL_ATTENTION, checkpoint, tiny_model
from model_helpers import picture

from hide_utils.models import attention, backends, graphs, load_model
from hide_utils.models.decoding import SHARED, sight

QUESTIONS = ["Where?", "Is the dog on the left or on the right of the scooter?", "What is the color of the truck?"]


def test_a_token_sees_the_shared_ones_and_its_own_prompts_up_to_itself():
    keys = torch.tensor([SHARED, SHARED, 0, 0, 1, 1])
    seen = sight(keys[2:], keys)[0, 0].int().tolist()
    assert seen == [[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 1, 0], [1, 1, 0, 0, 1, 1]]


# When fixed tensors are taken and kept depends on no family: one shows it. Their tokens are every family's.
ONE = pytest.mark.parametrize("static", ["qwen3_vl"], indirect=True)
EVERY = pytest.mark.parametrize("static", FULL_ATTENTION, indirect=True)


@pytest.fixture
def static(request, monkeypatch):
    """A model whose replies of 4 tokens and more are decoded with fixed tensors."""
    monkeypatch.setattr("hide_utils.models.decoding.LEAST_STEPS", 4)
    model = load_model(checkpoint(request.param), device="cpu", decoding="static")
    assert model.choices["decoding"] == ("static", "asked for")
    return model


def replies(model, prompts, limit=12, prefix=None):
    """Ids of a batch and of single prompts."""
    batch = model.generate_batch(prompts, limit, prefix=prefix)
    return [reply.ids for reply in batch + [model.generate(prompt, limit, prefix) for prompt in prompts]]


@EVERY
def test_fixed_tensors_give_the_usual_tokens(static):
    usual = tiny_model(static.folder.name)
    prompts = [static.prompt(question) for question in QUESTIONS]
    for some in (prompts, prompts[:2]):  # a second number of prompts takes tensors of its own
        assert replies(static, some, 6) == replies(usual, some, 6)
    assert static._static is not None and static._static.graph is None


@EVERY
def test_fixed_tensors_go_on_from_a_picture(static):
    usual, image = tiny_model(static.folder.name), picture(150, 90)
    prompts = [static.prompt(image, question) for question in QUESTIONS]
    prefixes = [model.prefill(prompts[0]) for model in (static, usual)]
    assert replies(static, prompts, 5, prefixes[0]) == replies(usual, prompts, 5, prefixes[1])


@ONE
def test_fixed_tensors_are_kept_while_they_fit(static):
    prompts = [static.prompt(question) for question in QUESTIONS]
    static.generate_batch(prompts, 12)
    first = static._static
    static.generate_batch(prompts[::-1], 13)
    assert static._static is first
    static.generate_batch(prompts[:2], 12)
    assert static._static is not first and len(static._static.rows) == 2


@ONE
def test_short_replies_and_long_prompts_take_usual_passes(static, monkeypatch):
    static.generate(static.prompt("Where?"), 3)
    assert static._static is None
    monkeypatch.setattr("hide_utils.models.decoding.MOST_KEYS", 20)
    static.generate(static.prompt("Where?"), 12)
    assert static._static is None


@ONE
def test_a_step_that_cannot_be_recorded_is_run_as_usual(static, monkeypatch):
    def refuse(*given):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(graphs.StaticSteps, "begin", refuse)
    prompt = static.prompt("Where?")
    assert static.generate(prompt, 12).ids == tiny_model(static.folder.name).generate(prompt, 12).ids
    assert static.choices["decoding"].value == "eager"
    assert "operation not permitted" in static.choices["decoding"].reason


def test_the_choice_says_why():
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert backends.choose_decoding(None, cpu).value == "eager"
    assert backends.choose_decoding("graphs", cpu).reason.startswith("fallback: CUDA graphs need a CUDA device")
    assert backends.choose_decoding(None, cuda).value == "graphs"
    assert backends.choose_decoding("eager", cuda) == ("eager", "asked for")
    with pytest.raises(ValueError, match="graphs, static, eager"):
        backends.choose_decoding("fast", cpu)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_prefill_passes_no_mask(family, monkeypatch):
    """So that sdpa takes a kernel for causal attention. Behind a prefix there is one, as within pictures of Gemma 3."""
    model, seen = tiny_model(family), []

    def note(capture, module, query, key, mask, scaling):
        if module.layer_idx in model.row_layers:
            seen.append(mask)

    monkeypatch.setattr(attention, "_observe", note)
    first, layer = model.prompt(picture(100, 100), "Where is the dog?"), model.row_layers[0]
    with attention.capturing(torch.tensor([0]), [layer], early_exit=False):
        prefix = model.prefill(first)
    assert len(seen) == len(model.row_layers) and all((mask is None) != model.masks_pictures for mask in seen)
    seen.clear()
    with attention.capturing(torch.tensor([0]), [layer], early_exit=False):
        model.generate(first, 1, prefix)
    assert len(seen) == len(model.row_layers) and all(mask is not None and mask.ndim == 4 for mask in seen)


def test_flash_hands_a_mask_of_who_sees_whom_to_sdpa():
    """Flash kernels take no such mask and would let every token see all that come before it."""
    made = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 2, 4, 8, generator=made) for _ in range(3))
    mask = sight(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 1, 1]))
    module = torch.nn.Module()
    module.is_causal = True
    found, _ = attention._wrapper("flash")(module, query, key, value, mask)
    wanted = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2)
    torch.testing.assert_close(found, wanted)


class Recorded:
    """Stands for a CUDA graph, which there is no GPU for here: it runs the step that was recorded again."""

    def __init__(self, steps):
        self.steps, self.replays = steps, 0

    def replay(self):
        self.replays += 1
        self.steps.logits.copy_(self.steps._step())


def test_a_recorded_step_is_replayed_on_what_was_run_so_far(monkeypatch):
    """The passes before a recording leave their tokens in the cache, which must be none of the prompt's."""
    model, usual = load_model(checkpoint("qwen2_5_vl"), device="cpu"), tiny_model("qwen2_5_vl")
    prompts = [model.prompt(question) for question in QUESTIONS]

    def record(steps):
        for _ in range(2):
            steps._step()
        steps.logits, steps.graph = steps._step().clone(), Recorded(steps)

    monkeypatch.setattr(graphs.StaticSteps, "_record", record)
    monkeypatch.setattr(graphs.torch.cuda, "device", lambda device: contextlib.nullcontext())
    model.choices["decoding"] = backends.Choice("graphs", "asked for")
    wanted = [reply.ids for reply in usual.generate_batch(prompts, 30)]
    assert [reply.ids for reply in model.generate_batch(prompts, 30)] == wanted
    graph = model._static.graph
    assert [reply.ids for reply in model.generate_batch(prompts[::-1], 30)] == wanted[::-1]
    assert model._static.graph is graph and graph.replays == 2 * 29
