"""Diets learn from the same scenes and questions. Their study leaves models that load, and rows that can be packed."""

import json
import shutil
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from transformers import AutoTokenizer

from hide_utils import HiDe, load_model, paths
from hide_utils.evaluation import diet_study
from hide_utils.mini import diets, study
from hide_utils.mini.batches import IMAGE_TOKEN
from hide_utils.mini.diets import DIETS, DietSettings, compact, diet_batch, of_diet, on_one_canvas
from hide_utils.scenes import scene_samples

SMALL = {"resolution": 224, "named": 6, "unnamed": 6, "object_size": (20, 30)}


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(paths.MINI)


@pytest.fixture(scope="module")
def settings():
    return DietSettings(paths.CACHE, seed=0, steps=4, batch=2, scenes=SMALL)


def drawn(settings, tokenizer, step):
    return {name: torch.from_numpy(array) for name, array in diet_batch(settings, tokenizer, step).items()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A study of one seed with a step and a rehearsal each, and answers to two questions in two shares."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diets, "REHEARSE_EVERY", 2)
        diets.learn(DietSettings(folder, seed=0, steps=2, batch=2, scenes=SMALL))
        patch.setattr(diet_study, "load_model", cache(diet_study.load_model))  # both shares ask for the same models
        for i in range(2):
            diet_study.answer(folder, 2, (i, 2), "cpu", resolution=224)
    return folder


def test_diets_differ_in_their_pictures_alone(settings, tokenizer):
    batch = drawn(settings, tokenizer, 0)
    picture = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    texts, letters = {}, {}
    for diet in DIETS:
        seen = of_diet(batch, diet)
        tokens = sum(seen[name].shape[1] * seen[name].shape[2] // 32**2 for name in ("image", "second") if name in seen)
        assert ((seen["ids"] == picture).sum(1) == tokens).all()
        texts[diet] = [tokenizer.decode(row[row != picture], skip_special_tokens=True) for row in seen["ids"]]
        letters[diet] = seen["weights"].amax(1).tolist()
    assert texts["crowded"] == texts["decoupled"] == texts["both"] and texts["both"][0] != texts["both"][1]
    assert letters["crowded"] == letters["both"] == [2.0, 2.0]
    assert (
        of_diet(batch, "crowded")["image"] is batch["scene"]
        and of_diet(batch, "decoupled")["image"] is batch["compact"]
    )
    assert of_diet(batch, "both")["second"] is batch["compact"] and "second" not in of_diet(batch, "decoupled")


def test_batches_are_drawn_from_their_numbers_and_their_seed(settings, tokenizer):
    one, again = (diet_batch(settings, tokenizer, 1) for _ in range(2))
    assert one.keys() == again.keys() and all((one[name] == again[name]).all() for name in one)
    other, later = diet_batch(replace(settings, seed=1), tokenizer, 1), diet_batch(settings, tokenizer, 2)
    assert (one["scene"] != other["scene"]).any() and (one["scene"] != later["scene"]).any()


def test_every_fourth_step_rehearses_without_questions(settings, tokenizer):
    batch = drawn(settings, tokenizer, 3)
    assert "scene" not in batch and "dense" not in batch
    assert of_diet(batch, "crowded") is of_diet(batch, "both") and batch["weights"].max() <= 1.0


def test_a_compact_image_has_the_size_that_the_model_gives_it():
    model = load_model("mini", device="cpu")
    for sample in scene_samples("train", 6, 3, **diet_study.TRAINING_SCENES):
        picture = compact(sample, sample.image)
        height, width = model.prepare(picture).pixels.shape[1:3]
        assert picture.size == (width, height)


def test_smaller_pictures_stand_in_the_middle_of_white():
    out = on_one_canvas([Image.new("RGB", (64, 32)), Image.new("RGB", (32, 96))])
    assert out.shape == (2, 96, 64, 3)
    assert (out[0, 32:64] == 0).all() and (out[0, :32] == 255).all() and (out[0, 64:] == 255).all()
    assert (out[1, :, 16:48] == 0).all() and (out[1, :, 48:] == 255).all()


def test_a_study_leaves_models_that_load_with_the_shipped_settings(trained):
    assert set(diet_study.models_in(trained)) == {"none-0", *(f"{diet}-0" for diet in DIETS)}
    weights = {diet: (trained / f"{diet}-0" / "model.safetensors").read_bytes() for diet in DIETS}
    assert len({*weights.values(), (paths.MINI / "model.safetensors").read_bytes()}) == 4
    one, shipped = load_model(trained / "both-0", device="cpu"), load_model("mini", device="cpu")
    assert HiDe(one).settings == HiDe(shipped).settings


def test_rows_and_logs_are_packed_with_what_made_them(trained, tmp_path):
    study.main(["pack", str(trained), "--to", str(tmp_path)])
    rows, log = pd.read_parquet(tmp_path / diet_study.ROWS), pd.read_csv(tmp_path / diet_study.LOGS)
    counts = rows.groupby(["diet", "set", "method"])["sample_id"].nunique()
    assert (counts == 2).all() and len(counts) == 4 * 4 and list(rows) == diet_study.COLUMNS
    assert set(log["diet"]) == set(DIETS) and set(log["step"]) == {2} and np.isfinite(log["loss"]).all()
    about = json.loads((tmp_path / diet_study.ROWS).with_suffix(".json").read_text())
    assert (
        set(about["files"]) == {diet_study.ROWS, diet_study.LOGS}
        and about["steps"] == 2
        and about["trained_on"] == ["cpu"]
    )
    assert about["left_out"] == [] and about["answered_on"][0]["versions"]["torch"] == about["versions"]["torch"]


def test_models_that_answered_less_than_others_are_left_out(trained, tmp_path):
    with pytest.raises(ValueError, match="run `answer` first"):
        diet_study.packed(tmp_path)
    shutil.copytree(trained / "rows", tmp_path / "rows")
    (tmp_path / "rows" / "both-0-easy-1-of-2.parquet").unlink()
    with pytest.warns(UserWarning, match="did not finish: both-0 on easy$"):
        rows = diet_study.packed(tmp_path)
    counts = rows.groupby(["set", "diet"])["sample_id"].nunique()
    assert ("easy", "both") not in counts.index and (counts == 2).all() and len(counts) == 7


def test_a_share_is_one_of_so_many(capsys):
    assert study._share("0/14") == (0, 14)
    for text in ("2/2", "1", "a/2"):
        with pytest.raises(SystemExit):
            study.main(["answer", "x", "--share", text])
        assert "0/14" in capsys.readouterr().err
