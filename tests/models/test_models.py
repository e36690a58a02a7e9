"""Prefix, forks and greedy decoding against uncached runs of the stock classes."""

import numpy as np
import pytest
import torch
from checkpoints import FAMILIES, eager_model, tiny_model
from model_helpers import picture, stock_inputs

SEARCH = "Search the following entities in the images: truck with blue color, dog"
QUESTION = "What is the color of the truck?\nA. red\nB. green\nAnswer with the option's letter directly."


def uncached_greedy(model, prompt, n):
    """The stock model with eager attention runs everything again for every token."""
    ids = []
    with torch.inference_mode():
        while len(ids) < n:
            logits = eager_model(model.folder.name)(**stock_inputs(model, prompt, ids)).logits[0, -1]
            if (token := logits.argmax().item()) in model.end_ids:
                break
            ids.append(token)
    return ids


def held(prefix):
    """Every tensor of a prefix's cache: keys and values, or states."""
    found = []
    for layer in prefix.cache.layers:
        values = [value for value in vars(layer).values() if value is not None]
        values += [value for states in values if isinstance(states, dict) for value in states.values()]
        found += [value for value in values if isinstance(value, torch.Tensor) and value.ndim > 1]
    return found


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("second", [(90, 160), (300, 61)])
def test_greedy_tokens_equal_the_uncached_run(family, second):
    model = tiny_model(family)
    original = picture(200, 130)
    prompt = model.prompt(original, picture(*second, seed=1), QUESTION)
    prefix = model.prefill(model.prompt(original, SEARCH))
    model.generate(model.prompt(picture(64, 64), "Another prompt in between."), 3)  # no hidden state may be left by it
    whole, continued = model.generate(prompt, 16), model.generate(prompt, 16, prefix=prefix)
    assert whole.ids == continued.ids == uncached_greedy(model, prompt, 16)
    assert len(set(whole.ids)) > 3, "weights that repeat one token would prove little"
    torch.testing.assert_close(whole.first_logits, continued.first_logits, atol=1e-4, rtol=0)
    assert whole.text == continued.text == model.tokenizer.decode(whole.ids, skip_special_tokens=True)
    assert whole.n_image_tokens + whole.n_text_tokens == len(prompt)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_second_image_is_seen_behind_a_prefix(family):
    model = tiny_model(family)
    original = picture(200, 130)
    prefix = model.prefill(model.prompt(original, SEARCH))
    one, other = (
        model.generate(model.prompt(original, picture(90, 90, seed=seed), QUESTION), 1, prefix=prefix).first_logits
        for seed in (1, 2)
    )
    assert (one - other).abs().max() > 1e-2


@pytest.mark.parametrize("family", FAMILIES)
def test_forks_leave_the_prefix_as_it_was(family):
    model = tiny_model(family)
    prompt = model.prompt(picture(100, 100), SEARCH)
    prefix = model.prefill(prompt)
    before = [tensor.clone() for tensor in held(prefix)]
    layer = model.row_layers[0]
    storage = prefix.cache.layers[layer].keys.data_ptr()
    assert prefix.fork().layers[layer].keys.data_ptr() == storage, "a fork copies nothing that grows"
    first = model.generate(prompt, 6, prefix=prefix)
    model.capture(prompt, [len(prompt) - 1], [layer], prefix=prefix)
    for _ in range(2):
        again = model.generate(prompt, 6, prefix=prefix)
        assert again.ids == first.ids and torch.equal(again.first_logits, first.first_logits)
    assert prefix.cache.get_seq_length() == len(prefix) == prompt.cut
    assert len(before) >= 2 * model.n_layers
    for tensor, wanted in zip(held(prefix), before, strict=True):
        assert torch.equal(tensor, wanted)


@pytest.mark.parametrize("family", FAMILIES)
def test_text_only_prompts_and_a_prefix_cut_in_text(family):
    model = tiny_model(family)
    static = "List the entities of the question.\n"
    prompts = [model.prompt(static, question) for question in ("Where is the dog?", "What color is the truck?")]
    assert prompts[0].cut is None and prompts[0].n_image_tokens == 0
    prefix = model.prefill(prompts[0], cut=prompts[0].texts[0].stop)
    for prompt in prompts:
        assert prefix.fits(prompt)
        assert model.generate(prompt, 6, prefix=prefix).ids == uncached_greedy(model, prompt, 6)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_replies_as_one_by_one(family):
    model = tiny_model(family)
    questions = ["Where?", "Is the dog on the left or on the right of the scooter?", "What is the color of the truck?"]
    prompts = [model.prompt(question) for question in questions]
    batch = model.generate_batch(prompts, 12)
    for prompt, reply in zip(prompts, batch, strict=True):
        alone = model.generate(prompt, 12)
        assert reply.ids == alone.ids and reply.text == alone.text
        torch.testing.assert_close(reply.first_logits, alone.first_logits, atol=1e-4, rtol=0)
        assert (reply.n_text_tokens, reply.n_image_tokens) == (len(prompt), 0)
    assert model.generate_batch([]) == []
    with pytest.raises(ValueError, match="into the prefix"):
        model.generate_batch([model.prompt(picture(64, 64), "Where?")])


@pytest.mark.parametrize("family", FAMILIES)
def test_questions_on_one_picture_share_its_prefill_in_a_batch(family):
    model = tiny_model(family)
    image = model.prepare(picture(150, 90))
    prompts = [
        model.prompt(image, question) for question in ("Where?", "Is the dog on the left of the scooter?", "Who?")
    ]
    prefix = model.prefill(prompts[0])
    before = [tensor.clone() for tensor in held(prefix)]
    model.counts.clear()
    batch = model.generate_batch(prompts, 8, prefix=prefix)
    assert model.counts["images"] == 0
    assert model.counts["suffixes"] == (1 if model.only_full_attention else len(prompts))
    assert model.counts["text_tokens"] == sum(len(prompt) - len(prefix) for prompt in prompts)
    for prompt, reply in zip(prompts, batch, strict=True):
        assert reply.ids == uncached_greedy(model, prompt, 8)
    for tensor, wanted in zip(held(prefix), before, strict=True):
        assert torch.equal(tensor, wanted)
    with pytest.raises(ValueError, match="does not begin"):
        model.generate_batch([model.prompt("Who?")], prefix=prefix)


def test_decoding_ends_at_an_end_token_a_stop_text_or_the_limit(monkeypatch):
    model = tiny_model("qwen3_vl")
    prompts = [model.prompt(QUESTION), model.prompt(SEARCH)]
    free = [model.generate(prompt, 10).ids for prompt in prompts]
    assert [len(ids) for ids in free] == [10, 10]
    stop = model.decode(free[0][2:4])
    stopped = model.generate(prompts[0], 10, stop=stop)
    assert stopped.text.endswith(stop) and len(stopped.ids) < 10
    monkeypatch.setattr(model, "end_ids", {free[0][4]})
    assert model.generate(prompts[0], 10).ids == free[0][: free[0].index(free[0][4])]
    batch = model.generate_batch(prompts, 10)  # the second goes on when the first has ended
    assert [reply.ids for reply in batch] == [model.generate(prompt, 10).ids for prompt in prompts]
    with pytest.raises(ValueError, match="max_new_tokens"):
        model.generate(prompts[0], 0)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_work_done_is_counted(family):
    model = tiny_model(family)
    prompt = model.prompt(picture(100, 100), picture(64, 64), QUESTION)
    first, second = (span.picture.n_tokens for span in prompt.images)
    model.counts.clear()
    prefix = model.prefill(prompt)
    counted = {"prefills": 1, "images": 1, "passes": 1, "image_tokens": first, "text_tokens": prompt.cut - first}
    assert {name: n for name, n in model.counts.items() if name != "flops"} == counted
    reply = model.generate(prompt, 3, prefix=prefix)
    assert (model.counts["prefills"], model.counts["suffixes"], model.counts["images"]) == (1, 1, 2)
    assert model.counts["image_tokens"] == first + second
    assert model.counts["text_tokens"] == len(prompt) - first - second
    assert model.counts["decoded"] == len(reply.ids)


def test_only_the_last_position_gets_logits():
    model = tiny_model("qwen3_vl")
    widths = []
    hook = model.model.lm_head.register_forward_hook(lambda _, __, output: widths.append(output.shape[1]))
    model.generate(model.prompt(picture(64, 64), QUESTION), 3)
    hook.remove()
    assert set(widths) == {1}


def test_letter_logits_take_the_better_spelling():
    model = tiny_model("qwen3_vl")
    reply = model.generate(model.prompt(QUESTION), 1)
    found = model.letter_logits(reply, 3)
    assert list(found) == ["A", "B", "C"]
    for letter, logit in found.items():
        ids = [model.tokenizer(text).input_ids for text in (letter, " " + letter)]
        spelled = [reply.first_logits[i[0]].item() for i in ids if len(i) == 1]
        assert logit == pytest.approx(max(spelled), abs=1e-5)
    for n in (0, 27):
        with pytest.raises(ValueError, match="1 to 26"):
            model.letter_logits(reply, n)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_prefix_of_another_picture_of_the_same_size_is_refused(family):
    """Its tokens are the same: what differs is what the pictures show."""
    model = tiny_model(family)
    prompt, other = (model.prompt(picture(100, 100, seed), SEARCH) for seed in (0, 1))
    prefix = model.prefill(prompt)
    assert torch.equal(prompt.ids, other.ids) and not prefix.fits(other)
    with pytest.raises(ValueError, match="does not begin with this prefix's tokens and pictures"):
        model.generate(other, 1, prefix=prefix)
    assert prefix.fits(model.prompt(picture(100, 100, 0), SEARCH))  # prepared anew, but the same


def test_a_prefix_of_other_tokens_is_refused():
    model = tiny_model("qwen3_vl")
    prompt = model.prompt(picture(100, 100), SEARCH)
    prefix = model.prefill(prompt)
    for other in (model.prompt(picture(64, 200), SEARCH), model.prompt(SEARCH)):
        assert not prefix.fits(other)
        with pytest.raises(ValueError, match="does not begin with this prefix"):
            model.generate(other, 1, prefix=prefix)
    for cut in (0, len(prompt), len(prompt) + 1):
        with pytest.raises(ValueError, match="cut must lie"):
            model.prefill(prompt, cut=cut)
    with pytest.raises(ValueError, match="inside an image"):
        model.prefill(prompt, cut=prompt.images[0].start + 1)
    with pytest.raises(ValueError, match="cut must lie"):
        model.prefill(model.prompt(SEARCH))


@pytest.mark.parametrize("family", FAMILIES)
def test_half_precision_runs(family):
    from checkpoints import checkpoint

    from hide_utils.models import load_model

    model = load_model(checkpoint(family), device="cpu", dtype="bfloat16")
    assert next(model.model.parameters()).dtype == model.dtype == torch.bfloat16
    prompt = model.prompt(picture(100, 100), SEARCH)
    prefix = model.prefill(prompt)
    rows = model.capture(prompt, [len(prompt) - 1], model.row_layers[:1], prefix=prefix)
    assert rows.maps[0].dtype == np.float32 and 0 < rows.maps[0].sum() <= 1 + 1e-2
    reply = model.generate(prompt, 2, prefix=prefix)
    assert reply.first_logits.dtype == torch.float32 and torch.isfinite(reply.first_logits).all()
