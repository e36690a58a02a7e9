"""Training and tuning run, leave a folder that loads, and go on after an interruption as if there had been none."""

import json
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hide_utils import load_model, paths
from hide_utils.mini import train
from hide_utils.mini.curriculum import LESSONS, TUNING
from hide_utils.mini.run import LOG, STATE

THREE = ["--trial", "--steps", "3", "--device", "cpu", "--quiet", "--workers", "0"]


def run(out, *more):
    train.main([*THREE, "--out", str(out), *map(str, more)])
    return load_file(out / STATE)


def logged(folder):
    return [json.loads(line) for line in (folder / LOG).read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A run of one step. Its folder is left as it is."""
    folder = tmp_path_factory.mktemp("begun")
    return folder, run(folder, "--until", "0.2")


@pytest.mark.parametrize("tuned", [False, True], ids=["lessons", "tuning"])
def test_three_steps_run_and_an_interrupted_run_ends_like_an_uninterrupted_one(tmp_path, tuned):
    start = ["--tune", paths.MINI] if tuned else []
    whole = run(tmp_path / "whole", *start, "--until", "1")
    half = run(tmp_path / "half", *start, "--until", "0.6")
    assert any(not half[name].equal(whole[name]) for name in whole)
    with (tmp_path / "half" / LOG).open("a", encoding="utf-8") as log:  # behind the last checkpoint: written again
        log.write(json.dumps({"step": 3, "lost": True}) + "\n")
    resumed = run(tmp_path / "half", *start, "--until", "1", "--resume", "--workers", "0" if tuned else "1")
    assert resumed.keys() == whole.keys()
    assert all(resumed[name].equal(whole[name]) for name in whole)
    files = [(tmp_path / folder / "model.safetensors").read_bytes() for folder in ("whole", "half")]
    assert files[0] == files[1]
    rows, last = logged(tmp_path / "half"), logged(tmp_path / "whole")[-1]
    assert [row["step"] for row in rows] == [2, 3] and last["step"] == 3
    assert rows[-1]["scenes"] == last["scenes"] == 6 and rows[-1]["lesson"] == ("pairs" if tuned else "large")
    assert all(np.isfinite(row[name]) for row in rows for name in row if name not in ("lesson",))
    model = load_model(tmp_path / "half", device="cpu")
    assert model.family == "qwen3_vl" and model.n_layers == 12 and model.model.dtype == torch.float32


def test_tuning_begins_at_its_checkpoint(tmp_path):
    run(tmp_path / "tuned", "--tune", paths.MINI, "--until", "0.2")
    before, after = (load_file(folder / "model.safetensors") for folder in (paths.MINI, tmp_path / "tuned"))
    changed = [(after[k].float() - before[k].float()).abs().max().item() for k in after]
    assert 0 < max(changed) < 0.05


def test_the_seed_decides_what_is_learned(begun, tmp_path):
    one, two = begun[1], run(tmp_path, "--until", "0.2", "--seed", "2")
    assert any(not one[name].equal(two[name]) for name in one)


def test_a_folder_with_a_run_is_not_overwritten_and_another_run_does_not_go_on_there(begun, tmp_path):
    with pytest.raises(FileExistsError, match="--resume"):
        run(begun[0])
    with pytest.raises(ValueError, match="other settings"):
        run(begun[0], "--resume", "--seed", 3)
    with pytest.raises(FileNotFoundError, match="no run to go on with"):
        run(tmp_path / "elsewhere", "--resume")


def test_a_run_by_the_clock_ends_in_time_and_goes_on(tmp_path, monkeypatch):
    """By a clock on which every step takes half a second, whatever the machine."""
    monkeypatch.setattr(train, "time", SimpleNamespace(perf_counter=count(0, 0.5).__next__))
    clock = ["--trial", "--device", "cpu", "--quiet", "--workers", "1", "--seconds", "4", "--out", str(tmp_path)]
    train.main([*clock, "--until", "0.3"])
    (first,) = logged(tmp_path)
    assert (first["step"], first["seconds"], first["share"]) == (3, 1.5, 0.375)
    train.main([*clock, "--until", "0.5", "--resume"])
    last = logged(tmp_path)[-1]
    assert (last["step"], last["seconds"], last["share"]) == (4, 2.0, 0.5)


def test_the_learning_rate_warms_up_stays_and_falls():
    assert train.schedule(0, 0.0) == 1 / 80 and train.schedule(79, 0.1) == 1.0 == train.schedule(999, 0.54)
    assert train.schedule(999, 0.775) == pytest.approx(0.5) and train.schedule(999, 1.0) == 0.03
    assert train.trial(LESSONS).lessons[0].turns == LESSONS.lessons[0].turns
    assert {size for lesson in train.trial(TUNING).lessons for size in lesson.pair_sizes} == {(128, 1.0, 2)}
