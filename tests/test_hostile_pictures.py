"""Over two hundred hostile picture files, each read right or refused with a clear error within 2 s and 1 GB."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest
from checkpoints import tiny_model
from faults.forks import ROOT
from faults.pictures import BOX, FAMILIES, RED, UNDO, encoded, scene
from PIL import Image

from hide_utils import HiDe, evaluate
from hide_utils.images import ImageError, composite_on_white, pad_to_aspect, read_image, upright_size
from hide_utils.method import lpd
from hide_utils.samples import Sample


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on memory is read from /proc")
def test_every_hostile_picture_is_read_right_or_refused_in_time_and_memory(tmp_path):
    command = [sys.executable, "-m", "faults.read_pictures", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment())
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) >= 200 and len({one["name"] for one in found}) == len(found)
    assert [one for one in found if not one["ok"]] == []
    said = [one["said"].split()[0] for one in found]
    assert said.count("read") > 150 and said.count("refused:") > 100, "neither is everything refused nor nothing"
    assert not list(tmp_path.iterdir())


def environment() -> dict[str, str]:
    import os

    return os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}


def test_the_corpus_is_the_same_at_every_run():
    for family in FAMILIES:
        if family.__name__ not in ("bombs", "lines"):  # those take a while to make
            first, second = ([(case.name, case.data) for case in family()] for _ in range(2))
            assert first == second


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "TIFF"])
def test_boxes_are_those_of_the_upright_picture(orientation, fmt):
    stored = scene().transpose(Image.Transpose(UNDO[orientation])) if orientation > 1 else scene()
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95, "subsampling": 0} if fmt == "JPEG" else {}
    data = encoded(stored, fmt, **({"tiffinfo": {274: orientation}} if fmt == "TIFF" else {"exif": exif}), **options)
    picture = read_image(data)
    assert picture.size == upright_size(data) == scene().size
    compact = composite_on_white(lpd.compact_image(picture, [BOX]))
    inside = np.asarray(compact, np.int16)[1:-1, 1:-1]
    assert np.abs(inside - RED).max() < 40, "the region holds the red box and nothing else"
    outside = np.asarray(picture, np.int16)[:, :, 0]
    outside[BOX[1] - 1 : BOX[3] + 1, BOX[0] - 1 : BOX[2] + 1] = 0
    assert outside.max() < 60


def test_turning_is_not_done_twice():
    exif = Image.Exif()
    exif[0x0112] = 6
    once = read_image(encoded(scene(), "PNG", exif=exif))
    assert once.size == (48, 64) and read_image(once).tobytes() == once.tobytes() and not once.info


@pytest.mark.parametrize("size", [(1, 2_000_000), (2_000_000, 1)])
def test_a_line_that_padding_would_blow_up_is_refused(size):
    line = read_image(Image.new("RGB", size))
    with pytest.raises(ImageError, match="would have 20000 megapixels.*cut it into parts"):
        pad_to_aspect(line)
    with pytest.raises(ImageError, match="cut it into parts"):
        HiDe(tiny_model("qwen3_vl"))(line, "Where?", ["a", "b"])
    assert pad_to_aspect(Image.new("RGB", (1, 100_000))).size == (500, 100_000)


def test_formats_that_run_programs_are_not_opened(tmp_path):
    stream = io.BytesIO()
    scene().save(stream, "EPS")
    with pytest.raises(ImageError, match="is in no format that is read"):
        read_image(stream.getvalue())


def test_formats_whose_decoders_take_more_count_twice():
    wide = Image.new("RGB", (1000, 600))
    for fmt in ("WEBP", "JPEG2000"):
        with pytest.raises(ImageError, match=f"0.6 megapixels, which count twice in {fmt}, more than max_megapixels=1"):
            read_image(encoded(wide, fmt), max_megapixels=1)
    assert read_image(encoded(wide, "PNG"), max_megapixels=1).size == wide.size


def test_hostile_pictures_end_no_run(tmp_path):
    """Among good ones, each gets a row that says why, and the others are answered."""
    kinds = {"cut": encoded(scene(), "PNG")[:100], "empty": b"", "text": b"no picture", "good": encoded(scene(), "PNG")}
    for name, data in kinds.items():
        (tmp_path / name).write_bytes(data)
    names = ["good", "cut", "empty", "text", "missing"]
    samples = [
        Sample(name, "Where?", ["a", "b"], "A", "any", lambda name=name: read_image(tmp_path / name)) for name in names
    ]
    with pytest.warns(UserWarning, match="4 of 5 rows have errors"):
        table = evaluate(tiny_model("qwen3_vl"), samples, ["direct"], progress=False).set_index("sample_id")
    said = {"cut": "cut short", "empty": "is empty", "text": "no format", "missing": "no picture at"}
    assert table["error"].isna().tolist() == [True, False, False, False, False]
    assert all(said[name] in table["error"][name] for name in said)
