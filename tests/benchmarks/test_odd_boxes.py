"""True boxes on other scales, over the edge, or without a pixel."""

import io
import warnings

import pandas as pd
import pytest
from benchmark_files import authors_row, hrbench_rows, listed, write_json, write_tsv
from PIL import Image

from hide_utils import load_benchmark
from hide_utils.benchmarks import card


@pytest.mark.parametrize(
    ("box_format", "box"),
    [(None, [64, 20, 32, 10]), ("pixels", [64, 20, 32, 10]), ("0 to 1", [0.25, 0.2, 0.125, 0.1]),
     ("0 to 1000", [250, 200, 125, 100])],
)  # fmt: skip
@pytest.mark.parametrize("in_row", [True, False])
def test_boxes_are_read_in_their_declared_format(tmp_path, box_format, box, in_row):
    row, knobs = ({"box_format": box_format}, {}) if in_row else ({}, {"box_format": box_format})
    (sample,) = listed(tmp_path, {"box_json": [box]} | row, size=(256, 100), **knobs)
    assert sample.boxes_xyxy == [pytest.approx((64, 20, 96, 30))] and sample.boxes_cut == 0


@pytest.mark.parametrize(
    ("box", "box_format"),
    [
        ([0.4, 0.4, 0.2, 0.2], None),
        ([0, 0, 1, 1], None),  # one pixel, or the whole picture in parts of 1
        ([390, 390, 234, 234], None),
        ([-20, 5, 10, 10], None),
        ([5, 256, 10, 10], None),
        ([1.2, 0.4, 0.2, 0.2], "0 to 1"),
        ([1000, 0, 10, 10], "0 to 1000"),
    ],
)
def test_a_box_that_holds_no_pixel_is_refused_by_its_sample(tmp_path, box, box_format):
    rows = {"box_json": [[5, 5, 9, 9]]}, {"box_json": [box], "box_format": box_format}
    with pytest.raises(ValueError, match=r"row 2, field 'box_json' of sample '1': .*no pixel.*256x256.*box_format"):
        listed(tmp_path, *rows, size=(256, 256))


def test_a_box_over_the_edge_is_cut_and_told_in_a_warning_and_in_the_card(tmp_path):
    rows = {"box_json": [100, 100, 600, 600]}, {"box_json": [-5, 0, 15, 10]}, {"box_json": [0, 0, 256, 256]}
    with pytest.warns(UserWarning, match="boxes reach over the edge and were cut, of b-0, b-1$"):
        samples = listed(tmp_path, *rows, size=(256, 256))
    assert [s.boxes_xyxy for s in samples] == [[(100, 100, 256, 256)], [(0, 0, 10, 10)], [(0, 0, 256, 256)]]
    assert "| boxes cut | 2 |" in card.card_text("b", card.data_card(samples))
    assert "boxes cut" not in card.card_text("b", card.data_card(samples[2:]))


def test_boxes_that_may_be_in_parts_of_1000_raise_the_question(tmp_path):
    rows = {"box_json": [390, 390, 234, 234]}, {"box_json": [0, 900, 100, 100]}
    with pytest.warns(UserWarning, match="all true boxes end below 1000.*box_format"):
        listed(tmp_path, *rows, size=(2400, 1200))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        listed(tmp_path, *rows, size=(2400, 1200), box_format="pixels")
        listed(tmp_path, *rows, {"box_json": [1500, 0, 9, 9]}, size=(2400, 1200))
        listed(tmp_path, *rows, size=(1200, 1200))


def test_a_box_format_that_is_not_known_or_has_no_use_is_refused(tmp_path):
    with pytest.raises(ValueError, match="unknown box_format '0 to 100'; did you mean '0 to 1000'"):
        listed(tmp_path, {"box_json": [1, 1, 2, 2], "box_format": "0 to 100"})
    path = write_tsv(tmp_path / "hr.tsv", pd.DataFrame(hrbench_rows(1)))
    with pytest.raises(ValueError, match="box_format='pixels' is for JSON lists alone"):
        load_benchmark(path, box_format="pixels")


def test_boxes_are_those_of_the_upright_picture(tmp_path):
    """Also of a PNG whose EXIF follows its pixels."""
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.new("RGB", (100, 300)).save(stream, "PNG", exif=exif)
    data = stream.getvalue()
    at = data.index(b"eXIf") - 4
    end = at + 12 + int.from_bytes(data[at : at + 4], "big")
    late = data[:at] + data[end:-12] + data[at:end] + data[-12:]
    for content in (data, late):
        (tmp_path / "turned.png").write_bytes(content)
        row = authors_row(0, "turned.png", box_json=[200, 10, 50, 50])
        (sample,) = load_benchmark(write_json(tmp_path / "t.json", [row]))
        assert sample.image.size == (300, 100) and sample.boxes_xyxy == [(200, 10, 250, 60)]
