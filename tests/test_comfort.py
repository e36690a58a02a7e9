"""What a user sees: loading, models and samples in a terminal and in a notebook, and no warning without a use."""

import io
import re
import shutil
import subprocess
import sys
from base64 import b64decode

import pytest
from checkpoints import checkpoint
from model_helpers import picture
from PIL import Image

from hide_utils import HiDe, evaluate, load_benchmark, load_model, paths
from hide_utils.models import loading
from hide_utils.notebooks import discover, inspect
from hide_utils.samples import Sample


def sample(**changes):
    given = {"id": "s<1>", "question": "Which?", "options": ["red", "a & b"], "label": "B", "kind": "color"}
    return Sample(
        **given | {"render": lambda: picture(640, 320), "boxes_xyxy": [(100.0, 100.0, 300.0, 200.0)]} | changes
    )


def test_sample_prints_its_options_with_the_right_one_marked():
    said = str(sample())
    assert said == "s<1> (color, 1 true boxes)\nWhich?\n  A. red\n  B. a & b  (right)"
    assert "true boxes" not in str(sample(boxes_xyxy=[]))


def test_sample_in_a_notebook_shows_its_picture_with_the_true_boxes():
    shown = sample()._repr_html_()
    assert "a &amp; b" in shown and "s&lt;1&gt;" in shown
    data = re.search(r"base64,([^\"]+)", shown)[1]
    thumbnail = Image.open(io.BytesIO(b64decode(data)))
    assert thumbnail.size == (320, 160)
    red, green, blue = thumbnail.getpixel((100, 50))  # the box's upper edge, at half size
    assert green > red + 60 and green > blue, "the color of truth"


def test_prices_in_a_notebook_are_no_mathematics():
    shown = sample(question="The $3 or the $5 menu?", options=["$3", "$5"])._repr_html_()
    assert shown.startswith('<div class="tex2jax_ignore mathjax_ignore">') and shown.endswith("</div>")
    assert shown.count("</div>") == 1 and "The $3 or the $5 menu?" in shown


def test_sample_whose_picture_is_lost_says_so():
    def lost():
        raise FileNotFoundError("no picture at <x>")

    assert "no picture: no picture at &lt;x&gt;" in sample(render=lost)._repr_html_()


def test_hide_takes_a_model_s_name():
    assert HiDe(checkpoint("qwen3_vl")).model.family == HiDe(str(checkpoint("qwen3_vl"))).model.family == "qwen3_vl"
    with pytest.raises(FileNotFoundError, match="no model folder"):
        HiDe("nowhere")


def test_small_models_load_silently_and_large_ones_say_what_and_how_long(monkeypatch, capsys):
    load_model(checkpoint("qwen3_vl"))
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(loading, "_QUIET_BYTES", 0)
    load_model(checkpoint("qwen3_vl"), device="cpu", dtype="float32")
    said = capsys.readouterr().err
    assert re.search(r"loading .*qwen3_vl \(1 files, 0\.0 GB\) to cpu as torch\.float32 \.\.\.", said)
    assert re.search(r"loaded in \d+ s", said)


def test_bars_of_transformers_are_as_they_were_after_a_silent_load():
    from transformers.utils import logging

    before = logging.is_progress_bar_enabled()
    load_model(checkpoint("qwen3_vl"))
    assert logging.is_progress_bar_enabled() == before


def test_hub_id_is_looked_for_in_data_models_first(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "MODELS", tmp_path)
    with pytest.raises(FileNotFoundError, match="put such a folder into data/models/OWNER/NAME"):
        load_model("someone/Tiny-VL")
    shutil.copytree(checkpoint("qwen3_vl"), tmp_path / "someone" / "Tiny-VL")
    model = load_model("someone/Tiny-VL")
    assert model.name == str(tmp_path / "someone" / "Tiny-VL"), "a folder's content is hashed, a hub id is not"


def test_loading_and_answering_warn_of_nothing():
    """In a fresh process with every warning an error, as a user with `-W error` would have it."""
    code = (
        "from hide_utils import HiDe, load_benchmark\n"
        "s = load_benchmark('scenes', n=1, resolution=256)[0]\n"
        "print(HiDe('mini')(s.image, s.question, s.options).letter)\n"
    )
    ran = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=paths.ROOT)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""


def test_sidecar_never_replaces_another_s_file(tmp_path):
    """A benchmark in `signs.json` whose answers are kept in `signs.parquet`."""
    model, samples, out = load_model(checkpoint("qwen3_vl")), load_benchmark("scenes", n=1, resolution=256), tmp_path
    (out / "signs.json").write_text('[{"id": 1}]')
    with pytest.raises(ValueError, match=r"signs\.json is there and would be replaced .* give out another name"):
        evaluate(model, samples, ["direct"], out=out / "signs.parquet")
    assert (out / "signs.json").read_text() == '[{"id": 1}]' and not (out / "signs.parquet").exists()
    for _ in range(2):
        evaluate(model, samples, ["direct"], out=out / "answers.parquet", progress=False)
    assert (out / "answers.json").is_file()


@pytest.mark.parametrize("name", sorted(discover(paths.NOTEBOOKS)))
def test_every_parameter_of_a_notebook_has_a_meaning(name):
    parameters = inspect(discover(paths.NOTEBOOKS)[name])
    assert parameters and not [known for known, entry in parameters.items() if len(entry["help"]) < 5]
