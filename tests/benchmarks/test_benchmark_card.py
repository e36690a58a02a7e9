"""The data card: counted from the samples, not from memory."""

import io

import numpy as np
import pytest
from benchmark_files import hrbench_rows, write_tsv, write_vstar
from PIL import Image

from hide_utils import load_benchmark
from hide_utils.benchmarks import SOURCES, card
from hide_utils.images import read_image, upright_size


def test_card_of_vstar(tmp_path):
    folder = write_vstar(tmp_path)
    Image.new("RGB", (2000, 1500)).save(folder / "relative_position" / "sa_7.jpg")
    found = card.data_card(load_benchmark(folder), "research only")
    assert (found["questions"], found["pictures"], found["with_boxes"], found["with_entities"]) == (2, 2, 2, 2)
    assert found["kinds"] == {"direct_attributes": 1, "relative_position": 1}
    assert found["options"] == {2: 1, 4: 1} and found["labels"] == {"A": 1, "B": 1}
    assert found["megapixels"] == {"0 to 1": 1, "2 to 4": 1} and found["sides_px"]["most"] == (2000, 1500)
    assert sum(found["splits"].values()) == 2 and found["cycles"] == {} and found["licence"] == "research only"
    shares = [155 * 157 / 32e4, 30 * 40 / 3e6, 3 * 4 / 3e6]  # boxes of the fixture over its pictures' pixels
    assert found["object_share"] == pytest.approx(np.median(shares))


def test_card_of_hrbench_counts_pictures_once(tmp_path):
    samples = load_benchmark(write_tsv(tmp_path / "hr_bench_4k.tsv", hrbench_rows(3)))
    found = card.data_card(samples)
    assert (found["questions"], found["pictures"], found["with_boxes"], found["object_share"]) == (12, 3, 0, None)
    assert found["cycles"] == {f"cycle_{i}": 3 for i in range(4)} and found["labels"] == dict.fromkeys("ABCD", 3)
    assert "no oracle" in card.card_text("hr", found) and "cycle_0: 3" in card.card_text("hr", found)
    with pytest.raises(ValueError, match="at least one"):
        card.data_card([])


def test_command_line(tmp_path, capsys):
    card.main(["scenes", "--n", "3"])
    said = capsys.readouterr().out
    assert said.startswith("# scenes\n") and "| questions | 3 |" in said and "3 of 3 questions" in said
    card.main([str(write_tsv(tmp_path / "hr_bench_4k.tsv", hrbench_rows(2)))])
    assert "| pictures | 2 |" in capsys.readouterr().out


def test_every_published_benchmark_has_a_licence_note():
    assert set(card.LICENCES) == {"scenes", *SOURCES}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_from_the_head_is_that_of_the_picture_read(orientation):
    image, stream = Image.new("RGB", (30, 20)), io.BytesIO()
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(stream, "JPEG", exif=exif)
    assert upright_size(stream.getvalue()) == read_image(stream.getvalue()).size
