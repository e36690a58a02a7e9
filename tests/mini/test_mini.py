"""The embedded miniature: its folder, and what it can do on scenes that are easy."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from hide_utils import HiDe, load_model, paths
from hide_utils.method.entities import SEARCH_INSTRUCTION, given_entities
from hide_utils.mini import lessons
from hide_utils.mini.checkpoint import build_config, build_tokenizer, save_folder
from hide_utils.mini.curriculum import TAUGHT
from hide_utils.scenes import RECORD, scene_samples
from hide_utils.scenes.world import COLORS, NOUNS

EASY = {"resolution": 384, "named": 2.25, "similar": 1.0, "unnamed": 2, "object_size": (36, 60)}


@pytest.fixture(scope="module")
def mini():
    return load_model("mini", device="cpu")


@pytest.fixture(scope="module")
def answered(mini):
    """Easy scenes, and what the method makes of them without being told what to look for."""
    hide, samples = HiDe(mini, layer=8, sigma=1.0, alpha=0.5), scene_samples("calibration", 20, **EASY)
    return [(s, hide(s.image, s.question, s.options)) for s in samples]


def test_folder_is_as_on_the_hub_and_small():
    names = {file.name for file in paths.MINI.iterdir()}
    assert {"config.json", "generation_config.json", "model.safetensors", "preprocessor_config.json"} <= names
    assert {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "hide.json", "README.md"} <= names
    assert not [n for n in names if n.endswith((".bin", ".pt", ".pth", ".pkl"))]
    assert (paths.MINI / "model.safetensors").stat().st_size <= 14_000_000
    weights = load_file(paths.MINI / "model.safetensors")
    assert "lm_head.weight" not in weights and {w.dtype for w in weights.values()} == {torch.bfloat16}
    assert sum(w.numel() for w in weights.values()) == 6_719_168
    assert all(w.isfinite().all() for w in weights.values())


def test_a_copy_of_its_folder_knows_its_world_too(mini, tmp_path):
    assert json.loads((paths.MINI / "hide.json").read_text())["world"] == RECORD
    shutil.copytree(paths.MINI, tmp_path / "elsewhere")
    copy = load_model(tmp_path / "elsewhere", device="cpu")
    assert copy.world == mini.world and copy.world.words >= {*NOUNS, *COLORS}
    sample = scene_samples("test", 1, **EASY)[0]
    hide, asked = HiDe(copy), (sample.question, sample.options)
    assert hide(sample.image, *asked).notes == ()
    assert len(hide(Image.fromarray(np.asarray(sample.image)), *asked).notes) == 1


def test_it_is_stored_in_bfloat16_and_computes_in_float32_on_a_cpu(mini):
    assert mini.model.dtype == torch.float32 and mini.n_layers == 12
    stored = load_file(paths.MINI / "model.safetensors")
    loaded = dict(mini.model.named_parameters())
    assert loaded.keys() == stored.keys()
    assert all(loaded[name].equal(tensor.float()) for name, tensor in stored.items())
    assert mini.model.lm_head.weight is mini.model.get_input_embeddings().weight


def test_the_shipped_configuration_and_tokenizer_are_those_that_training_builds(mini, tmp_path):
    tokenizer = build_tokenizer(lessons.corpus())
    assert len(tokenizer) == 742
    assert tokenizer.backend_tokenizer.to_str() == mini.tokenizer.backend_tokenizer.to_str()
    assert tokenizer.chat_template == mini.tokenizer.chat_template
    built, shipped = build_config(tokenizer).to_dict(), mini.model.config.to_dict()
    for part in ("text_config", "vision_config"):
        assert {k: v for k, v in built[part].items() if k != "dtype"} == {
            k: v for k, v in shipped[part].items() if k != "dtype"
        }
    save_folder(tmp_path, mini.model, tokenizer)
    for file in tmp_path.iterdir():
        there = (paths.MINI / file.name).read_bytes()
        if file.name == "tokenizer_config.json":  # transformers notes where it was read from
            keep = ("eos_token", "pad_token", "extra_special_tokens", "model_max_length", "tokenizer_class")
            one, two = json.loads(file.read_bytes()), json.loads(there)
            assert all(one[k] == two[k] for k in keep)
        else:
            assert file.read_bytes() == there, file.name


def test_every_taught_word_is_one_token(mini):
    words = (*COLORS, *NOUNS, *lessons.COLUMNS, *lessons.ROWS, "none", "done", "object", "with", "color", "entities")
    for word in words:
        assert len(mini.builder.encode(f" {word}")) == 1, word
    assert len(mini.builder.encode(SEARCH_INSTRUCTION)) == 8


def test_it_lists_the_entities_of_the_benchmarks_questions(answered):
    right = [r.entities.source == "model" and list(r.entities.names) == s.entities for s, r in answered]
    assert np.mean(right) >= 0.95


def test_it_answers_small_pictures_in_letters_and_almost_always_rightly(answered):
    assert all(r.direct_letter is not None for _, r in answered)
    assert np.mean([r.direct_letter == s.label for s, r in answered]) >= 0.9
    assert np.mean([r.letter == s.label for s, r in answered]) >= 0.9


def test_attention_of_all_twelve_layers_comes_from_one_pass_and_points_at_what_is_asked(mini):
    hide, shares = HiDe(mini), []
    for s in scene_samples("calibration", 12, kinds=("relative_position",), **EASY):
        found = hide.open(s.image).search(given_entities(s.entities), range(12))
        assert found.semantic.shape[:2] == (12, len(found.tokens)) and found.noise.shape[1] == 8
        nouns = [i for i, token in enumerate(found.tokens) if token.strip() in NOUNS]
        for i, (x0, y0, x1, y1) in zip(nouns, s.boxes_xyxy, strict=True):
            cells = slice(int(y0 // 32), -int(-y1 // 32)), slice(int(x0 // 32), -int(-x1 // 32))
            box, whole = found.semantic[:, i][:, *cells], found.semantic[:, i]
            shares.append(box.mean((1, 2)) / whole.mean((1, 2)))
    concentration = np.median(shares, axis=0)
    assert concentration.shape == (12,) and concentration[5] > 5 and concentration[8] > 5


def test_what_was_taught_is_a_table_of_plain_sentences():
    assert len(TAUGHT) >= 5 and all(text.endswith(".") for text in TAUGHT.values())
    named = " ".join(TAUGHT).lower()
    assert all(words in named for words in ("close-ups", "cut-outs on white", "second picture outranks the first"))
