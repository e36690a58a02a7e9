"""Caches with states, layers without rows, softmaxes that are no plain ones, and prompts that share no beginning."""

import copy
import json
import shutil

import numpy as np
import pytest
import torch
import transformers
from checkpoints import LAYERS, checkpoint, eager_model, make_tokenizer, tiny_model
from model_helpers import eager_rows, picture, stock_inputs

from hide_utils import HiDe
from hide_utils.method.entities import Extractor
from hide_utils.method.session import Session
from hide_utils.models import Settings, load_model
from hide_utils.models.attention import _active, _LastLayerReached, _wrapper, check_softmax
from hide_utils.models.backends import Choice
from hide_utils.models.flops import layer_kinds
from hide_utils.models.outputs import Prefix

LINEAR = ("qwen3_5", "qwen3_5_moe")
QUESTION = "What is the color of the truck?\nA. red\nB. green"


# States ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", LINEAR)
def test_forks_in_a_row_agree_where_shallow_ones_do_not(family, monkeypatch):
    """A state is overwritten by each pass, so a fork that shares it hands the second prompt what the first one left."""
    model = tiny_model(family)
    prompt = model.prompt(picture(200, 130), QUESTION)
    whole = model.generate(prompt, 8)

    def replies():
        prefix = model.prefill(prompt)
        return [model.generate(prompt, 8, prefix) for _ in range(3)]

    for reply in (mine := replies()):
        assert reply.ids == whole.ids and torch.equal(reply.first_logits, mine[0].first_logits)
        torch.testing.assert_close(reply.first_logits, whole.first_logits, atol=1e-4, rtol=0)

    def shallow(prefix, rows=1):
        fork = copy.copy(prefix.cache)
        fork.layers = [copy.copy(layer) for layer in prefix.cache.layers]
        return fork

    monkeypatch.setattr(Prefix, "fork", shallow)
    spoilt = replies()
    assert (spoilt[1].first_logits - whole.first_logits).abs().max() > 1e-2, "states too weak to prove anything"


@pytest.mark.parametrize("family", LINEAR)
def test_a_search_leaves_the_states_for_the_answer_behind_it(family):
    model, image = tiny_model(family), picture(200, 130)
    session, alone = Session(model, image), Session(model, image, reuse_prefix=False)
    for one in (session, alone):
        one.rows_of_last("Where?", model.row_layers)
    replies = [one.answer("Where?", ["left", "right"], second=picture(90, 60, 1)) for one in (session, alone)]
    assert replies[0].ids == replies[1].ids
    torch.testing.assert_close(replies[0].first_logits, replies[1].first_logits, atol=1e-4, rtol=0)
    assert session.counts["answer"]["images"] == 1 and alone.counts["answer"]["images"] == 2


@pytest.mark.parametrize("family", LINEAR)
@pytest.mark.parametrize("rows", [1, 2])
def test_a_fork_of_several_rows_goes_on_as_each_of_them(family, rows):
    model = tiny_model(family)
    prompt = model.prompt(picture(100, 100), QUESTION)
    prefix = model.prefill(prompt)
    ids, positions = prompt.ids[len(prefix) :], prompt.position_ids[:, len(prefix) :]
    with torch.inference_mode():
        logits = model.model(
            input_ids=ids.expand(rows, -1),
            position_ids=positions[:, None].expand(-1, rows, -1),
            past_key_values=prefix.fork(rows),
            logits_to_keep=1,
        ).logits[:, -1]
    wanted = model.generate(prompt, 1).first_logits
    torch.testing.assert_close(logits, wanted.expand(rows, -1), atol=1e-4, rtol=0)


# Layers without rows --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", LINEAR)
def test_layers_without_rows_are_refused_and_those_with_rows_are_named(family):
    model = tiny_model(family)
    assert model.row_layers == (1, 3) and "rows at 1, 3" in repr(model)
    prompt = model.prompt(picture(64, 64), "dog")
    with pytest.raises(ValueError, match=r"layers \[0, 2\] .* have no attention rows .* these have: 1, 3\."):
        model.capture(prompt, [len(prompt) - 1], range(LAYERS))
    with pytest.raises(ValueError, match="these have: 1, 3"):
        HiDe(model, layer=2)
    assert HiDe(model, layer=3).settings.layer == 3


def test_settings_move_to_the_nearest_layer_with_rows_and_say_so():
    published = Settings(14, 3.0, 0.7, "a paper")
    assert published.at_rows(range(28)) is published
    moved = published.at_rows((3, 7, 11, 15, 19))
    assert (moved.layer, moved.sigma, moved.alpha) == (15, 3.0, 0.7)
    assert moved.source == "a paper, moved from layer 14, which has no rows"
    assert published.at_rows((13, 15)).layer == 13
    model = tiny_model("qwen3_5")
    assert model.defaults.layer in model.row_layers and "guess" in model.defaults.source


def test_a_folders_own_settings_need_a_layer_with_rows(tmp_path):

    folder = shutil.copytree(checkpoint("qwen3_5"), tmp_path / "model")
    (folder / "hide.json").write_text(json.dumps({"layer": 2, "sigma": 1.5, "alpha": 0.5}))
    with pytest.raises(ValueError, match="layer 2 is not among 1, 3"):
        load_model(folder, device="cpu")


def test_rows_of_another_length_are_never_handed_out(monkeypatch):
    """What a layer with a window would hand over behind a prefix, had its kind not been known."""
    model = tiny_model("qwen3_vl")
    prompt = model.prompt(picture(64, 64), "dog")
    stock = model._run

    def shorter(*given):
        with pytest.raises(_LastLayerReached):
            stock(*given)
        _active.get().rows[1] = _active.get().rows[1][:, 1:]

    monkeypatch.setattr(model, "_run", shorter)
    with pytest.raises(ValueError, match=r"qwen3_vl gave no rows over the whole prompt at layers \[1\]"):
        model.capture(prompt, [len(prompt) - 1], [1])


def test_kinds_of_layers_are_those_of_the_caches():
    for config in (
        transformers.MistralConfig(num_hidden_layers=3, sliding_window=8),
        transformers.MistralConfig(num_hidden_layers=3, sliding_window=None),
        transformers.Gemma3TextConfig(num_hidden_layers=7),
        tiny_model("qwen3_5").model.config.get_text_config(),
    ):
        layers = transformers.DynamicCache(config=config).layers
        kinds = {"DynamicLayer": "full", "DynamicSlidingWindowLayer": "sliding", "LinearAttentionLayer": "linear"}
        assert layer_kinds(config) == [kinds[type(layer).__name__] + "_attention" for layer in layers]


def test_a_batch_of_prompts_with_states_runs_one_by_one():
    model = tiny_model("qwen3_5")
    prompts = [model.prompt(text) for text in ("Where?", "Is the dog on the left of the scooter?")]
    model.counts.clear()
    batch = model.generate_batch(prompts, 6)
    assert model.counts["prefills"] == 2
    assert [reply.ids for reply in batch] == [model.generate(prompt, 6).ids for prompt in prompts]


def test_decoding_with_fixed_tensors_is_left_to_models_with_full_attention_alone():
    model = load_model(checkpoint("qwen3_5"), device="cpu", decoding="static")
    assert model.choices["decoding"] == ("eager", "fallback: not all layers attend to all tokens")
    prompt = model.prompt("Where?")
    assert model.generate(prompt, 30).ids == tiny_model("qwen3_5").generate(prompt, 30).ids and model._static is None


# Pictures whose tokens see each other ---------------------------------------------------------------------------------


@pytest.mark.parametrize("pictures", [1, 2])
def test_tokens_of_a_picture_see_each_other_behind_a_prefix_too(pictures, monkeypatch):
    """Left to the order of tokens alone, the same prompt gives other logits: first picture or second."""
    model = tiny_model("gemma3")
    images = [picture(200, 130), picture(90, 160, 1)][:pictures]
    prompt = model.prompt(*images, QUESTION)
    with torch.inference_mode():
        wanted = eager_model("gemma3")(**stock_inputs(model, prompt)).logits[0, -1]
    prefix = model.prefill(prompt)
    for given in (None, prefix, prefix):
        found = model.generate(prompt, 1, given).first_logits
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)
    monkeypatch.setattr(model, "_inputs_in", lambda prompt, stop, pictures: model.inputs_of(pictures))
    # With one picture the prefix holds it, with two the second stands behind it.
    spoilt = model.generate(prompt, 1, prefix if pictures == 2 else None).first_logits
    assert (spoilt - wanted).abs().max() > 1e-2


def test_windowed_layers_have_no_rows_and_the_prompt_is_longer_than_their_window():
    model = tiny_model("gemma3")
    prompt = model.prompt(picture(64, 64), QUESTION)
    assert model.row_layers == (1, 3) and len(prompt) > model.model.config.get_text_config().sliding_window
    with pytest.raises(ValueError, match=r"layers \[0\] .* these have: 1, 3"):
        model.capture(prompt, [len(prompt) - 1], [0])


def test_flash_kernels_are_not_taken_for_masks_within_pictures():
    model = load_model(checkpoint("gemma3"), device="cpu")
    model.choices["attention"] = Choice("flash", "asked for")
    model._set_kernels()
    assert model.choices["attention"] == ("sdpa", "fallback: flash takes no masks within pictures")
    assert model.model.config.get_text_config()._attn_implementation == "hide_sdpa"


def test_a_checkpoint_that_asks_for_crops_is_refused():
    model = load_model(checkpoint("gemma3"), device="cpu")
    model.image_processor.do_pan_and_scan = True
    with pytest.raises(ValueError, match="pan-and-scan crops, which are not supported"):
        model.prepare(picture(64, 64))


def test_what_a_template_trims_keeps_its_place_in_the_text():
    model, text = tiny_model("gemma3"), "\n  Where is\n\n\nthe dog? "
    prompt = model.prompt(text, picture(64, 64), text)
    assert model.builder.trims and not tiny_model("qwen3_5").builder.trims
    for span in prompt.texts:
        assert span.text == text
        (position,) = span.positions(text.index("dog"), text.index("dog") + 3)
        assert model.decode([prompt.ids[position].item()]).strip() == span.characters(position).strip() == "dog"


# Softmaxes ------------------------------------------------------------------------------------------------------------


def gpt_oss_checkpoint(folder):
    """InternVL3.5 with the text model of GPT-OSS, whose softmax has a sink for every head."""
    tokenizer = make_tokenizer("internvl")
    text = {
        "model_type": "gpt_oss", "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 32,
        "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16,
        "num_local_experts": 2, "num_experts_per_tok": 1, "sliding_window": 8, "pad_token_id": 0,
    }  # fmt: skip
    vision = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
        "image_size": [56, 56], "patch_size": [14, 14],
    }  # fmt: skip
    image = tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>")
    config = transformers.InternVLConfig(vision_config=vision, text_config=text, image_token_id=image)
    transformers.AutoModelForImageTextToText.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text((checkpoint("internvl") / "preprocessor_config.json").read_text())
    return folder


def test_a_text_model_with_sinks_is_refused_with_that_reason(tmp_path):
    with pytest.raises(ValueError, match="GptOssAttention has sinks in its softmax"):
        load_model(gpt_oss_checkpoint(tmp_path), device="cpu")


def test_capped_scores_are_refused_with_that_reason():
    config = transformers.Gemma2Config(
        vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, attn_logit_softcapping=50.0,
    )  # fmt: skip
    with pytest.raises(ValueError, match="has capped scores"):
        check_softmax(transformers.AutoModelForCausalLM.from_config(config))
    config.attn_logit_softcapping = None
    check_softmax(transformers.AutoModelForCausalLM.from_config(config))


@pytest.mark.parametrize("kind", ["sdpa", "flash"])
@pytest.mark.parametrize("given", ["s_aux", "sinks", "softcap"])
def test_a_kernel_is_never_called_for_another_softmax(kind, given):
    tensors = (torch.zeros(1, 1, 2, 4) for _ in range(3))
    with pytest.raises(ValueError, match="does not compute|do not compute"):
        _wrapper(kind)(torch.nn.Linear(1, 1), *tensors, None, **{given: torch.ones(1)})


# Prompts that share no beginning --------------------------------------------------------------------------------------


@pytest.fixture
def unshared():
    """A model that sees later tokens from early ones, as PaliGemma does, by what it says of itself."""
    model = load_model(checkpoint("qwen3_vl"), device="cpu")
    model.__class__ = type("Unshared", (type(model),), {"shares_prefix": False})
    return model


def test_a_family_that_shares_no_prefix_runs_full_passes_and_says_so(unshared):
    image = picture(200, 130)
    assert "every prompt a full pass" in repr(unshared) and "every prompt a full pass" in repr(HiDe(unshared))
    assert "full pass" not in repr(tiny_model("qwen3_vl")) + repr(HiDe(tiny_model("qwen3_vl")))
    with pytest.raises(ValueError, match="share no beginning"):
        unshared.prefill(unshared.prompt(image, "Where?"))
    own, usual = HiDe(unshared), HiDe(tiny_model("qwen3_vl"))
    found, wanted = (hide(image, QUESTION, ["red", "green"], entities=["truck", "dog"]) for hide in (own, usual))
    assert found.answer == wanted.answer and found.boxes == wanted.boxes
    np.testing.assert_allclose(found.maps, wanted.maps, atol=1e-4)
    assert unshared.counts["suffixes"] == 0 and unshared.counts["prefills"] > 1
    assert Extractor(unshared)("Where is the dog?") == Extractor(tiny_model("qwen3_vl"))("Where is the dog?")


def test_rows_of_a_full_pass_are_those_of_eager_attention(unshared):
    prompt = unshared.prompt(picture(200, 130), "dog")
    rows = unshared.capture(prompt, [len(prompt) - 1], [2])
    (span,) = prompt.images
    wanted = eager_rows(tiny_model("qwen3_vl"), prompt)[2].mean(0)[-1][span.positions]
    np.testing.assert_allclose(rows.maps[0][0, 0], wanted, atol=1e-5)
