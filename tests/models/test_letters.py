"""Letters' logits: in bfloat16 those between 16 and 32 are an eighth apart, and nearer ones would be equal."""

import math

import pytest
import torch
from checkpoints import FAMILIES, checkpoint, tiny_model
from model_helpers import picture

from hide_utils import HiDe, evaluate, load_model
from hide_utils.baselines import METHODS
from hide_utils.explorer.asking import ask_model
from hide_utils.explorer.case import Knobs, view_of
from hide_utils.explorer.opening import open_own
from hide_utils.method import read_letter
from hide_utils.samples import Sample
from hide_utils.scoring import margin

QUESTION, OPTIONS = "What is the color of the dog?", ["red", "blue"]


def near_tie(model):
    """Give A and B rows in a head of their own that differ in one place; return the reply to the question."""
    head = model.model.lm_head
    head.weight = torch.nn.Parameter(head.weight.detach().clone())  # no longer the embedding, which the prompt reads
    state = model.generate(model.prompt(picture(100, 100), QUESTION), 1).last_state
    with torch.no_grad():
        a, b = ((model.tokenizer(letter).input_ids[0]) for letter in "AB")
        row = 20 * state / state.square().sum()
        head.weight[a] = head.weight[b] = row.to(head.weight.dtype)
        place = int(state.abs().argmax())
        head.weight[b, place] += 0.04 / state[place].to(head.weight.dtype)
    return model.generate(model.prompt(picture(100, 100), QUESTION), 1)


def reference(model, reply):
    """Margin of B over A in double precision, by hand."""
    rows = [model.model.lm_head.weight[model.tokenizer(letter).input_ids[0]].double() for letter in "AB"]
    one, other = ((row * reply.last_state.double()).sum().item() for row in rows)
    return other - one


@pytest.mark.parametrize("family", FAMILIES)
def test_letters_that_tie_in_bfloat16_are_told_apart(family):
    model = load_model(checkpoint(family), device="cpu", dtype="bfloat16")
    reply = near_tie(model)
    a, b = (model.tokenizer(letter).input_ids[0] for letter in "AB")
    assert reply.first_logits[a] == reply.first_logits[b] and 16 < reply.first_logits[a] < 32
    wanted = reference(model, reply)
    assert 0.01 < wanted < 0.0625
    assert margin(model.letter_logits(reply, 2)) == pytest.approx(wanted, rel=1e-5)
    assert read_letter(model, reply, OPTIONS, "logits") == "B"


def test_replies_of_a_batch_have_their_own_states():
    model = load_model(checkpoint("qwen3_vl"), device="cpu", dtype="bfloat16")
    prompts = [model.prompt(text) for text in (QUESTION, "Who is on the left of the large blue truck?", "Where?")]
    for reply in model.generate_batch(prompts, 2):
        full = (model.model.lm_head.weight.double() @ reply.last_state.double()).float()
        torch.testing.assert_close(full, reply.first_logits, rtol=2**-8, atol=1e-3)


def test_rows_gates_and_the_explorer_see_the_difference(tmp_path):
    """Tables, the gate and the probabilities shown: all that compares letters."""
    model = load_model(checkpoint("qwen3_vl"), device="cpu", dtype="bfloat16")
    near_tie(model)
    sample = Sample("one", QUESTION, OPTIONS, "B", "kind", lambda: picture(100, 100))
    methods = {name: METHODS[name] for name in ("direct_logits", "hide_gated")}
    table = evaluate(model, [sample], methods, progress=False).set_index("method")
    assert table["letter"]["direct_logits"] in ("A", "B")
    assert 0 < table["margin"]["direct_logits"] < 0.125 and table["margin"]["direct_logits"] * 64 % 1
    hide = HiDe(model, 1, 0.5, 0.6)
    case, knobs = open_own(hide, picture(100, 100), QUESTION, OPTIONS), Knobs(1, 0.5, 0.6)
    ask_model(hide, case, knobs, view_of(case, knobs))
    shares = case.answers[None].probabilities
    assert math.log(max(shares.values()) / min(shares.values())) == pytest.approx(table["margin"]["direct_logits"])


def test_single_precision_keeps_its_numbers():
    model = tiny_model("qwen3_vl")
    reply = model.generate(model.prompt(picture(100, 100), QUESTION), 1)
    for letter, logit in model.letter_logits(reply, 5).items():
        ids = [ids[0] for text in (letter, " " + letter) if len(ids := model.tokenizer(text).input_ids) == 1]
        assert logit == pytest.approx(max(reply.first_logits[ids]).item(), abs=1e-5)


def test_a_head_that_waits_on_disk_is_read(tmp_path):
    parts = {"model.visual": "cpu", "model.language_model": "cpu", "lm_head": "disk"}
    folder = untied(tmp_path / "model")
    model = load_model(folder, device_map=parts, dtype="float32", offload_folder=tmp_path / "disk")
    whole = load_model(folder, device="cpu", dtype="float32")
    assert model.model.lm_head.weight.is_meta
    found, wanted = (
        one.letter_logits(one.generate(one.prompt(picture(100, 100), QUESTION), 1), 4) for one in (model, whole)
    )
    assert found == pytest.approx(wanted, abs=1e-6) and model.model.lm_head.weight.is_meta


def untied(folder):
    """A copy of the tiny checkpoint whose head is a matrix of its own."""
    model = tiny_model("qwen3_vl")
    copy = load_model(checkpoint("qwen3_vl"), device="cpu", dtype="float32")
    copy.model.lm_head.weight = torch.nn.Parameter(copy.model.lm_head.weight.detach() * 1.5)
    copy.model.config.tie_word_embeddings = copy.model.config.get_text_config().tie_word_embeddings = False
    copy.model.save_pretrained(folder, safe_serialization=True)
    model.tokenizer.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_bytes(
        (checkpoint("qwen3_vl") / "preprocessor_config.json").read_bytes()
    )
    return folder


def test_what_a_model_does_behind_its_head_is_done_to_letters_too(monkeypatch):
    """Gemma caps logits, Cohere and Granite scale them; a bias is added before."""
    model = load_model(checkpoint("qwen3_vl"), device="cpu", dtype="float32")
    reply = model.generate(model.prompt(QUESTION), 1)
    plain, text = model.letter_logits(reply, 3), model.model.config.get_text_config()
    monkeypatch.setattr(text, "final_logit_softcapping", 2.0, raising=False)
    capped = {letter: 2 * math.tanh(value / 2) for letter, value in plain.items()}
    assert model.letter_logits(reply, 3) == pytest.approx(capped)
    monkeypatch.setattr(text, "final_logit_softcapping", None)
    monkeypatch.setattr(text, "logits_scaling", 4.0, raising=False)
    assert model.letter_logits(reply, 3) == pytest.approx({letter: value / 4 for letter, value in plain.items()})
    monkeypatch.setattr(text, "logits_scaling", 1)
    model.model.lm_head.bias = torch.nn.Parameter(torch.full((len(reply.first_logits),), 0.5))
    assert model.letter_logits(reply, 3) == pytest.approx({letter: value + 0.5 for letter, value in plain.items()})
