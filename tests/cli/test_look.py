"""`hide look`: one picture from the terminal is what the method returns, and refusals say what to do."""

import json

import numpy as np
import pytest
from checkpoints import tiny_model
from model_helpers import picture
from PIL import Image

from hide_utils import HiDe, models
from hide_utils.cli.main import main
from hide_utils.models.world import World
from hide_utils.scenes import RECORD


@pytest.fixture
def photo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture(256, 192).save("my photo.png")
    return tmp_path / "my photo.png"


def test_what_is_printed_and_written_is_what_the_method_returns(photo, capsys, monkeypatch):
    model = tiny_model("qwen3_vl")
    monkeypatch.setattr(models, "load_model", lambda *_, **__: model)
    monkeypatch.setattr(model, "world", World.of_record(RECORD))
    words = ["--options", "red", "blue", "--entities", "star", "--layer", "1", "--sigma", "0.5", "--alpha", "0.6"]
    assert main(["look", "my photo.png", "What color is the star?", *words]) == 0
    said, expected = (
        capsys.readouterr().out,
        HiDe(model, 1, 0.5, 0.6)(photo, "What color is the star?", ["red", "blue"], "star"),
    )
    out = photo.parent / "look-my photo"
    record = json.loads((out / "result.json").read_text())
    assert record["boxes"] == [list(box) for box in expected.boxes] and expected.boxes
    assert (record["answer"], record["direct_answer"]) == (expected.answer, expected.direct_answer)
    np.testing.assert_array_equal(np.load(out / "maps.npz")["maps"], expected.maps)
    assert Image.open(out / "stages.png").width > 400
    assert repr(expected.answer) in said and " ".join(map(str, expected.boxes)) in said and "look-my photo" in said
    (note,) = expected.notes
    assert note in said and note in record["notes"], "what the miniature cannot read is said here too"


def test_what_cannot_be_used_is_refused_before_a_model_is_loaded(photo, capsys, monkeypatch):
    monkeypatch.setattr(models, "load_model", None)
    assert main(["look", "no.png", "What?"]) == 2
    assert capsys.readouterr().err == "hide look: no picture at no.png: check the path (download web addresses first)\n"
    with pytest.raises(SystemExit):
        main(["look", str(photo), "What?", "--options", "red"])
    assert "give 2 to 26 --options, or none for a free answer" in capsys.readouterr().err
    monkeypatch.undo()
    assert main(["look", str(photo), "What?", "--model", "no-such-model"]) == 2
    assert capsys.readouterr().err.startswith("hide look: ")
