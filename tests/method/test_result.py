"""What the method returns: how it is printed and saved, and what it notes of a model that reads drawn scenes alone."""

import json
from dataclasses import replace

import numpy as np
import pytest
from checkpoints import tiny_model
from model_helpers import picture
from PIL import Image

from hide_utils import HiDe
from hide_utils.models.world import World
from hide_utils.scenes import RECORD, scene_samples

OPTIONS = ["red", "green", "blue", "yellow"]
QUESTION = "What is the color of the large blue truck?"


def test_saved_and_shown(tmp_path):
    result = HiDe(tiny_model("qwen3_vl"))(picture(160, 120), QUESTION, OPTIONS, ["dog", "scooter"])
    paths = result.save(tmp_path / "result")
    record = json.loads((tmp_path / "result" / "result.json").read_text())
    assert record["answer"] == result.answer and record["boxes"] == [list(b) for b in result.boxes]
    np.testing.assert_array_equal(np.load(tmp_path / "result" / "maps.npz")["maps"], result.maps)
    assert all(p.is_file() for p in paths)
    shown = Image.open(tmp_path / "result" / "stages.png")
    assert shown.width > 400 and np.asarray(shown.convert("L")).std() > 5
    assert QUESTION in str(result) and repr(result).startswith("Result(")
    result = replace(result, options=["red", "deep\nblue"], direct_answer="red", direct_letter=None)
    said = replace(result, answer="B.", letter="B")
    assert "HiDe      'B.' (deep blue)\n" in str(said) and "direct    'red'\n" in str(said)


def test_a_model_of_a_drawn_world_notes_what_lies_outside(tmp_path, monkeypatch):
    hide, drawn = (
        HiDe(tiny_model("qwen3_vl"), 1, 3.0, 0.7),
        scene_samples("test", 1, resolution=160, object_size=(12, 18))[0],
    )
    plain = hide(drawn.image, QUESTION, OPTIONS, ["bag with leather material"])
    assert plain.notes == () and "notes" not in repr(plain) and "note " not in str(plain)
    monkeypatch.setattr(hide.model, "world", World.of_record(RECORD))
    assert hide(drawn.image, drawn.question, drawn.options, drawn.entities).notes == ()
    (word,) = hide(drawn.image, QUESTION, OPTIONS, ["dog with leather material"]).notes
    assert "'leather', 'material'" in word and "74 nouns and 8 colors" in word
    result = hide(picture(160, 160), QUESTION, OPTIONS, ["dog with leather material"])
    assert result.notes[1] == word and 'load_benchmark("scenes")' in result.notes[0] and result.fallback is None
    assert all(f"note      {note}" in str(result) for note in result.notes) and repr(result.notes) in repr(result)
    result.save(tmp_path)
    assert json.loads((tmp_path / "result.json").read_text())["notes"] == list(result.notes)
    shown = " ".join(result.figure().get_supxlabel().split())
    assert all(note in shown for note in result.notes)


def test_disk_full_while_saving(tmp_path, monkeypatch):
    result = HiDe(tiny_model("qwen3_vl"))(picture(64, 64), QUESTION, OPTIONS, ["dog"])

    def full(*arguments, **named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hide_utils.method.result.np.savez_compressed", full)
    with pytest.raises(OSError, match="space"):
        result.save(tmp_path)
    assert not list(tmp_path.glob(".*")) and not (tmp_path / "maps.npz").exists()
