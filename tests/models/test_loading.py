"""Loading: what is chosen and why, and what is said when something is missing or does not fit."""

import json
import shutil

import pytest
import torch
import transformers
from checkpoints import FAMILIES, LAYERS, checkpoint
from PIL import Image

from hide_utils import paths
from hide_utils.images import WORLD
from hide_utils.models import FAMILIES as REGISTRY
from hide_utils.models import backends, load_model


@pytest.fixture
def copy(tmp_path):
    """A private copy of the tiny Qwen3-VL checkpoint."""
    return shutil.copytree(checkpoint("qwen3_vl"), tmp_path / "model")


def change_config(folder, **values):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_family_is_read_from_the_config(family):
    model = load_model(checkpoint(family), device="cpu")
    assert model.family == {"internvl3_5": "internvl"}.get(family, family) and type(model) is REGISTRY[model.family]
    assert (model.n_layers, model.dtype) == (LAYERS, torch.float32)
    assert model.choices["attention"].value == "sdpa" and "CUDA" in model.choices["attention"].reason
    assert 0 <= model.defaults.layer < LAYERS and "scaled" in model.defaults.source
    assert "asked for" in repr(model)


def test_published_settings_hold_at_the_published_depth():
    published = {
        name: (family.family_settings.layer + 1, family.family_depth)
        for name, family in REGISTRY.items()
        if not family.family_settings.guessed
    }
    assert published == {"qwen2_5_vl": (15, 28), "qwen3_vl": (19, 36), "internvl": (17, 28)}
    assert [REGISTRY[name].family_settings.alpha for name in ("qwen2_5_vl", "internvl")] == [0.7, 0.6]


def test_a_folder_may_carry_calibrated_settings(copy):
    (copy / "hide.json").write_text(json.dumps({"layer": 3, "sigma": 1.5, "alpha": 0.5}))
    defaults = load_model(copy, device="cpu").defaults
    assert (defaults.layer, defaults.sigma, defaults.alpha) == (3, 1.5, 0.5) and "hide.json" in defaults.source
    (copy / "hide.json").write_text(json.dumps({"layer": LAYERS, "sigma": 1.5, "alpha": 0.5}))
    with pytest.raises(ValueError, match=f"0 to {LAYERS - 1}"):
        load_model(copy, device="cpu")
    (copy / "hide.json").write_text(json.dumps({"layer": 1}))
    with pytest.raises(ValueError, match="lacks alpha, sigma"):
        load_model(copy, device="cpu")


def test_a_folder_may_carry_the_world_that_its_model_was_trained_on(copy):
    settings = {"layer": 1, "sigma": 1.5, "alpha": 0.5}
    drawn = Image.new("RGB", (64, 64))
    drawn.info[WORLD] = "toys"
    assert load_model(copy, device="cpu").notes(Image.new("RGB", (64, 64)), "any") == (), "most models read anything"
    world = {"name": "toys", "about": "drawings of toys", "words": "doll with Red color"}
    (copy / "hide.json").write_text(json.dumps(settings | {"world": world}))
    model = load_model(copy, device="cpu")
    assert model.defaults.layer == 1
    assert model.notes(drawn, "doll with RED color") == ()
    (note,) = model.notes(drawn, "Bag with bag color, leather\ndoll")
    assert note == "this model never learned 'bag', 'leather': it was trained on drawings of toys"
    (note,) = model.notes(Image.new("RGB", (64, 64)), "doll")
    assert 'reads only drawings of toys (load_benchmark("toys"))' in note and "means nothing" in note
    assert len(model.notes(Image.new("RGB", (64, 64)), "bag")) == 2
    (note,) = model.notes(drawn, " ".join(f"bag{i}" for i in range(12)))
    assert "'bag7' and 4 more: " in note and "bag8" not in note
    for wrong in ("toys", {"name": "toys"}, world | {"words": ["doll"]}, world | {"more": ""}, None):
        (copy / "hide.json").write_text(json.dumps(settings | {"world": wrong}))
        with pytest.raises(ValueError, match="hide.json: world must hold the texts name, about, words"):
            load_model(copy, device="cpu")


@pytest.mark.parametrize(
    "kind, said", [("llava", "known are qwen2_5_vl, qwen3_vl, internvl"), ("internvl_chat", "-hf")]
)
def test_an_unknown_family_lists_the_known_ones(copy, kind, said):
    change_config(copy, model_type=kind)
    with pytest.raises(ValueError, match=said):
        load_model(copy)


def test_missing_files_say_which(copy, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="no model folder"):
        load_model(tmp_path / "nothing")
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match="no \\*.safetensors"):
        load_model(copy)
    (copy / "pytorch_model.bin").rename(copy / "model.safetensors")
    for name in ("preprocessor_config.json", "config.json"):
        (copy / name).unlink()
        with pytest.raises(FileNotFoundError, match=name):
            load_model(copy)
    monkeypatch.setattr(paths, "MINI", tmp_path)
    with pytest.raises(FileNotFoundError, match="embedded model"):
        load_model("mini")


def test_an_unreachable_hub_says_what_to_do():
    with pytest.raises(FileNotFoundError, match="Give a local folder"):
        load_model("nobody/no-such-model")


def test_weights_of_another_family_are_refused(copy):
    shutil.copy(checkpoint("qwen2_5_vl") / "model.safetensors", copy / "model.safetensors")
    with pytest.raises(ValueError, match="do not fit|are missing"):
        load_model(copy)


def test_weights_of_another_size_or_damaged_are_refused(copy):
    text = json.loads((copy / "config.json").read_text())["text_config"]
    change_config(copy, text_config=text | {"num_hidden_layers": LAYERS + 1})
    with pytest.raises(ValueError, match="are missing"):
        load_model(copy)
    change_config(copy, text_config=text | {"intermediate_size": 80})
    with pytest.raises(ValueError, match="do not fit"):
        load_model(copy)
    change_config(copy, text_config=text)
    weights = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(ValueError, match="damaged"):
        load_model(copy)


def test_a_tokenizer_of_another_model_is_refused(copy):
    change_config(copy, image_token_id=5)
    with pytest.raises(ValueError, match="different models"):
        load_model(copy)


def test_a_chat_template_for_processors_only_is_found(copy):
    template = (copy / "chat_template.jinja").read_text()
    wanted = load_model(copy, device="cpu").prompt("Where?").ids
    (copy / "chat_template.jinja").unlink()
    with pytest.raises(FileNotFoundError, match="tokenizer"):
        load_model(copy, device="cpu")
    (copy / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    assert torch.equal(load_model(copy, device="cpu").prompt("Where?").ids, wanted)


def test_backends_give_reasons():
    cpu = torch.device("cpu")
    assert backends.choose_device("cpu") == (cpu, "asked for")
    assert backends.choose_device().reason
    assert backends.choose_dtype(None, cpu).value == torch.float32
    assert backends.choose_dtype("bfloat16", cpu) == (torch.bfloat16, "asked for")
    assert backends.choose_attention("sdpa", cpu, torch.float32) == ("sdpa", "asked for")
    fallback = backends.choose_attention("flash", cpu, torch.float32)
    assert fallback.value == "sdpa" and "fallback" in fallback.reason
    assert "half precision" in backends.probe_flash(torch.device("cuda"), torch.float32)
    for call in (
        lambda: backends.choose_device("gpu!"),
        lambda: backends.choose_dtype("int8", cpu),
        lambda: backends.choose_dtype("float33", cpu),
        lambda: backends.choose_attention("eager!", cpu, torch.float32),
    ):
        with pytest.raises(ValueError, match="use "):
            call()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_an_absent_device_is_refused():
    with pytest.raises(ValueError, match="not available"):
        backends.choose_device("cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_the_gpu_gives_the_same_maps(family, dtype):
    from checkpoints import tiny_model
    from model_helpers import picture

    gpu, cpu = load_model(checkpoint(family), device="cuda", dtype=dtype), tiny_model(family)
    prompt = cpu.prompt(picture(200, 130), "Search the following entities in the images: truck, dog")
    maps = [m.capture(prompt, [len(prompt) - 1], [1], prefix=m.prefill(prompt)).maps[0] for m in (gpu, cpu)]
    assert abs(maps[0] - maps[1]).max() < (1e-4 if dtype == "float32" else 5e-2)
    assert len(gpu.generate(prompt, 3).ids) == 3


def test_the_folder_of_the_files_is_known_where_they_lie_here(copy, monkeypatch):
    assert load_model("mini", device="cpu").folder == paths.MINI
    assert load_model(str(copy), device="cpu").folder == copy
    monkeypatch.setattr(paths, "MODELS", copy.parent.parent)
    assert load_model(f"{copy.parent.name}/{copy.name}", device="cpu").folder == copy
    assert paths.model_folder("someone/on-the-hub") is None and paths.model_folder("nothing") is None


def test_a_folder_stands_in_for_one_owner_s_model_at_no_revision(copy, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "MODELS", tmp_path)
    with pytest.raises(FileNotFoundError, match="model could be any owner's: move it into that owner's folder"):
        load_model("someone/model")
    shutil.move(copy, tmp_path / "someone" / "model")
    assert load_model("someone/model", device="cpu").folder == tmp_path / "someone" / "model"
    with pytest.raises(FileNotFoundError, match="Give a local folder"):
        load_model("another/model")
    for here in ("someone/model", str(tmp_path / "someone" / "model"), "mini"):
        with pytest.raises(ValueError, match="revision='v2' is for the hub, but .* is here"):
            load_model(here, revision="v2")


POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 15000000\n"


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json", "chat_template.jinja"])
def test_a_checkpoint_cloned_without_lfs_says_so(copy, name):
    (copy / name).write_text(POINTER)
    with pytest.raises(FileNotFoundError, match=f"{copy} holds Git LFS pointers for .*{name}.*git lfs pull"):
        load_model(copy)


def test_pointers_in_place_of_files_that_nobody_reads_do_no_harm(copy):
    (copy / "pytorch_model.bin").write_text(POINTER)
    (copy / "picture.png").write_text(POINTER)
    assert load_model(copy, device="cpu").folder == copy


def test_a_damaged_json_file_is_named_as_such(copy):
    text = (copy / "preprocessor_config.json").read_text()
    tokenizer = (copy / "tokenizer.json").read_text()
    (copy / "tokenizer.json").write_text(tokenizer[:99])
    with pytest.raises(ValueError, match="tokenizer of .* is damaged"):
        load_model(copy)
    (copy / "tokenizer.json").write_text(tokenizer)
    (copy / "preprocessor_config.json").write_text(text[:9])
    with pytest.raises((ValueError, FileNotFoundError), match="preprocessor_config.json"):
        load_model(copy)


def test_a_mac_computes_in_bfloat16_where_torch_has_it(monkeypatch):
    mps = torch.device("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    for new, dtype in ((True, torch.bfloat16), (False, torch.float16)):
        monkeypatch.setattr(torch.backends.mps, "is_macos_or_newer", lambda major, minor, new=new: new)
        assert backends.choose_dtype(None, mps).value == dtype
    assert backends.choose_dtype("float32", mps).value == torch.float32


def test_a_processor_that_cannot_be_built_here_says_what_it_needs(monkeypatch):
    class StandIn:
        _backends = ("torchvision",)

    monkeypatch.setattr(transformers, "Qwen2VLImageProcessorPil", StandIn)
    with pytest.raises(ValueError, match="Qwen2VLImageProcessor of transformers .* needs torchvision"):
        load_model(checkpoint("qwen2_5_vl"))
