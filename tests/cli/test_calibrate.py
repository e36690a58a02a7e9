"""`hide calibrate`: from an annotated folder to settings that `load_model` reads."""

import json
import shutil
from functools import cache

import pandas as pd
import pytest
from checkpoints import checkpoint
from model_helpers import picture, search_rows

from hide_utils import HiDe, load_benchmark, load_model, paths
from hide_utils.cli import calibrate
from hide_utils.cli.main import main
from hide_utils.evaluation.calibration import best_with_intervals, by_setting, sweep_settings
from hide_utils.models.calibrated import settings_file
from hide_utils.scenes.questions import scene_samples


@pytest.fixture(autouse=True)
def results(monkeypatch, tmp_path):
    monkeypatch.setenv("HIDE_RESULTS", str(tmp_path / "results"))


def folder_of(tmp_path, n=40, draw=None, **changes):
    """An own benchmark: pictures beside a JSON list with true boxes; about a fifth is for calibration."""
    rows = []
    for number in range(n):
        image, box, noun, asked = draw(number) if draw else (picture(96, 96, number), [8, 8, 40, 40], "dog", "")
        image.save(tmp_path / f"{number}.png")
        question = f"{asked or 'What is the color of the dog?'}\n(A) red\n(B) blue"
        row = {"id": number, "question": question, "labels": "A", "image_path": f"{number}.png", "category": "color"}
        rows.append(row | {"box_json": [box], "entities": [noun]} | changes)
    (tmp_path / "own.json").write_text(json.dumps(rows))
    return tmp_path / "own.json"


DRAWN = cache(lambda: scene_samples("calibration", 15, resolution=256, kinds=["direct_attributes"]))


def scene(number):
    """A drawn scene, in which the embedded model finds what is asked for."""
    drawn = DRAWN()[number]
    x0, y0, x1, y1 = drawn.boxes_xyxy[0]
    return drawn.image, [x0, y0, x1 - x0, y1 - y0], drawn.entities[0], drawn.question


def test_the_embedded_model_s_copy_is_calibrated_end_to_end(tmp_path, capsys):
    weights = shutil.copytree(paths.MINI, tmp_path / "copy", ignore=shutil.ignore_patterns("*.png", "*.csv", "*.jsonl"))
    kept = json.loads((weights / "hide.json").read_text())
    own = folder_of(tmp_path, 15, scene)
    assert main(["calibrate", str(weights), str(own), "-n", "2", "--seed", "1"]) == 0
    said = capsys.readouterr().out
    record = json.loads((weights / "hide.json").read_text())
    model = load_model(weights, device="cpu", dtype="float32")
    found = HiDe(model).settings
    assert (found.layer, found.sigma, found.alpha) == (record["layer"], record["sigma"], record["alpha"])
    assert found.source == "calibrated on own.json (n = 2), hide.json"
    assert record["world"] == kept["world"] and record["methods"] == kept["methods"] and "difficulty" not in record
    assert "counted from 0" in said and "low" in said and "so far layer 8" in said and str(weights) in said
    # By hand: the rows of every layer, the grid of all settings, recall minus area.
    samples = load_benchmark(own, split="calibration", n=2, seed=1)
    assert len(samples) == record["n"] == 2
    sizes = [sample.image.size for sample in samples]
    grid = sweep_settings(search_rows(model, samples), samples, sizes)
    best = by_setting(grid).iloc[0]
    assert record["layer"] == best["layer"]
    assert f"{best['worth']:.3f}" in said
    test = {sample.image_id for sample in load_benchmark(own, split="test")}
    assert test.isdisjoint(sample.image_id for sample in samples)


def test_elsewhere_and_with_prompts_of_its_own(tmp_path, capsys):
    own, words = folder_of(tmp_path), tmp_path / "words.yaml"
    words.write_text("search: 'Finde die folgenden Dinge:'\n")
    command = ["calibrate", str(checkpoint("qwen3_vl")), str(own), "-n", "2", "--out", str(tmp_path / "kept")]
    assert main([*command, "--prompts", str(words)]) == 0
    file = tmp_path / "kept" / "hide.json"
    assert f"settings={str(file)!r}) reads" in capsys.readouterr().out
    assert not (checkpoint("qwen3_vl") / "hide.json").exists()
    for given in (file, file.parent):
        model = load_model(checkpoint("qwen3_vl"), device="cpu", dtype="float32", settings=given)
        assert model.defaults.source == "calibrated on own.json (n = 2), hide.json"
        assert HiDe(model).prompts.search == "Finde die folgenden Dinge:"
    assert "calibrated" not in load_model(checkpoint("qwen3_vl"), device="cpu", dtype="float32").defaults.source
    with pytest.raises(FileNotFoundError, match="hide calibrate"):
        load_model(checkpoint("qwen3_vl"), settings=tmp_path / "none.json")


def test_an_interrupted_sweep_goes_on_where_it_was(tmp_path, monkeypatch):
    own, folder = folder_of(tmp_path, 60), checkpoint("qwen3_vl")
    command = ["calibrate", str(folder), str(own), "-n", "4", "--out", str(tmp_path)]
    original, searched = calibrate.HiDe.open, []

    def opened(hide, image):
        searched.append(image)
        if len(searched) == 3:
            raise KeyboardInterrupt
        return original(hide, image)

    monkeypatch.setattr(calibrate.HiDe, "open", opened)
    monkeypatch.setattr(calibrate, "settings_grid", lambda sweep: None)
    with pytest.raises(KeyboardInterrupt):
        main(command)
    assert not (tmp_path / "hide.json").exists()
    assert main(command) == 0 and len(searched) == 3 + 2


def test_a_model_of_the_hub_needs_a_place_and_is_found_there(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(paths, "MODELS", tmp_path / "models")
    with pytest.raises(SystemExit):
        main(["calibrate", "some/model", str(folder_of(tmp_path))])
    assert f"say --out FOLDER; load_model finds the settings of a model of the hub by itself in {tmp_path}" in (
        " ".join(capsys.readouterr().err.split())
    )
    here = tmp_path / "models" / "some" / "model" / "hide.json"
    here.parent.mkdir(parents=True)
    here.write_text("{}")
    assert settings_file(paths.MODELS / "some/model", None) == here


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"box_json": None}, "none of the .* is about one picture with true boxes"), ({"id": 1}, "stands twice")],
)
def test_a_folder_that_cannot_calibrate_is_refused(tmp_path, capsys, changes, says):
    with pytest.raises(SystemExit):
        main(["calibrate", str(checkpoint("qwen3_vl")), str(folder_of(tmp_path, **changes)), "--out", str(tmp_path)])
    err = " ".join(capsys.readouterr().err.split())
    assert pd.Series([err]).str.contains(says).all(), err


def test_a_setting_s_interval_is_of_pictures():
    table = pd.DataFrame(
        {
            "sample_id": list("abcd"), "image_id": ["x", "x", "y", "z"], "layer": 0, "sigma": 1.0, "alpha": 0.5,
            "recall50": [1.0, 1.0, 0.0, 1.0], "iou": 0.1, "area": 0.1,
        }
    )  # fmt: skip
    (row,) = best_with_intervals(table).to_dict("records")
    assert (
        row["worth"] == pytest.approx(0.65) and row["low"] <= 0.65 <= row["high"] and row["low"] == pytest.approx(-0.1)
    )
