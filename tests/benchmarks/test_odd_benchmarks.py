"""Benchmarks as other people write them: each is read right, or refused with the file, row and field."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from benchmark_files import BOOK, LINES, authors_row, encoded, hrbench_rows, listed, write_json, write_tsv, write_vstar
from PIL import Image

from hide_utils import load_benchmark
from hide_utils.benchmarks import card
from hide_utils.benchmarks.options import split_options, strip_letters
from hide_utils.images import ImageError
from hide_utils.prompts import multiple_choice

NAN = float("nan")
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def table(tmp_path, **fields):
    """Samples of a Parquet file of one row with these fields."""
    row = hrbench_rows(1)[0] | {"answer": "A"} | fields
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "hr.parquet")
    return load_benchmark(tmp_path / "hr.parquet")


# Options --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "options"),
    [
        ((1.0, 2.0, NAN, NAN), ["1", "2"]),
        ((0, 1, 2, None), ["0", "1", "2"]),
        ((0.5, 1.5, NAN, NAN), ["0.5", "1.5"]),
        (("red", "blue", "nan", ""), ["red", "blue"]),
        (("NA", "None", "all", None), ["NA", "None", "all"]),
        (("A. red", "B. blue", "", ""), ["red", "blue"]),
    ],
)
def test_gaps_among_option_columns_are_no_options(tmp_path, cells, options):
    assert table(tmp_path, **dict(zip("ABCD", cells, strict=True)))[0].options == options


@pytest.mark.parametrize(
    ("cells", "hole"),
    [(("red", "blue", None, "none"), "C"), (("red", "", "blue", ""), "B"), ((NAN, 1.0, 2.0, NAN), "A")],
)
def test_a_hole_before_a_later_option_is_refused(tmp_path, cells, hole):
    with pytest.raises(ValueError, match=rf"hr\.parquet, row 1, field '{hole}': empty"):
        table(tmp_path, **dict(zip("ABCD", cells, strict=True)))


@pytest.mark.parametrize(
    "end",
    [
        "\nAnswer with the option's letter from the given choices directly",
        "\nAnswer with the option’s letter from the given choices directly.",
        "\nPlease select the correct answer from the options above.",
        "\n\nRespond with only the letter (A or B) of the correct option.\nThe best answer is:",
        " Answer with the option's letter from the given choices directly",
    ],
)
def test_an_instruction_in_any_words_is_no_part_of_the_last_option(end):
    assert split_options(f"Color?\n(A) red\n(B) blue{end}") == ("Color?", ["red", "blue"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Color?\n(A) red\n(B) blue\n(D) green", "option D follows option B"),
        ("Color?\nA. red\nB. blue\nC green\nD. grey", "option D follows option B"),
        ("Color?\nA. red\nB. blue\nB. green", "option B follows option B"),
        ("Color?\n(A) red\n(B) blue\nC green", "the last option reads 'blue C green'"),
        ("Color?\n(A) red\n(B) blue. Please select the correct answer.", "the last option reads"),
        ("Color?\n(A) red\n(B) blue\nBitte nur den Buchstaben nennen.", "the last option reads"),
    ],
)
def test_what_may_be_part_of_an_option_or_not_is_refused(tmp_path, text, said):
    with pytest.raises(ValueError, match=rf"b\.json, row 2, field 'question' of sample '1': {said}"):
        listed(tmp_path, {}, {"question": text})


def test_a_line_between_two_options_still_continues_the_one_above():
    assert split_options("Color?\r\n(A) red\r\nor rust\r\n(B) blue") == ("Color?", ["red or rust", "blue"])


@pytest.mark.parametrize(
    ("choices", "options"),
    [
        (["（A） 直走。", "（B） 左转。"], ["直走。", "左转。"]),
        (["Ａ．直走", "Ｂ．左转"], ["直走", "左转"]),
        (["A、红", "B、蓝"], ["红", "蓝"]),
        (["(A) a sign", "(B) a sign\nwith two lines"], ["a sign", "a sign\nwith two lines"]),
        (["(a) red", "(b) blue"], ["red", "blue"]),
        (["А) красный", "Б) синий", "В) белый"], ["красный", "синий", "белый"]),
        (["1", "A. Smith"], ["1", "A. Smith"]),
    ],
)
def test_every_option_loses_its_own_letter(tmp_path, choices, options):
    assert strip_letters(choices) == options
    (tmp_path / "TRAIN_14456.png").write_bytes(encoded(5))
    path = write_json(tmp_path / "m.json", [BOOK | {"Answer choices": choices, "Ground truth": "（B）"}])
    (sample,) = load_benchmark(path)
    assert sample.options == options and sample.label == "B"
    asked = multiple_choice(sample.question, sample.options, sample.style)
    assert asked.count("(A)") == 1 and "（A）" not in asked


@pytest.mark.parametrize("choices", [["(A) red", "blue"], ["(A) red", "(C) blue"], ["(А) red", "(В) blue"]])
def test_letters_in_brackets_that_are_not_their_own_are_refused(choices):
    with pytest.raises(ValueError, match="want each option after its own letter or none"):
        strip_letters(choices)


# Texts ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x0b", "\x1e"])
def test_lines_of_json_end_at_line_feeds_alone(tmp_path, mark):
    folder = write_vstar(tmp_path)
    line = LINES[0] | {"text": f"Is it{mark}red?\n(A) yes{mark}\n(B) no{mark}never"}
    (folder / "test_questions.jsonl").write_text(json.dumps(line, ensure_ascii=False) + "\r\n", "utf-8", newline="")
    (sample,) = load_benchmark(folder)
    assert sample.question == f"Is it{mark}red?" and sample.options == ["yes", f"no{mark}never"]


@pytest.mark.parametrize("name", ["test_questions.jsonl", "direct_attributes/sa_4690.json", "b.json"])
@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_another_encoding_is_refused_by_the_files_name(tmp_path, name, encoding):
    folder = write_vstar(tmp_path)
    (folder / name).write_bytes('{"text": "é"}\n'.encode(encoding))
    with pytest.raises(ValueError, match=rf"{name}: no UTF-8 .* save it as UTF-8"):
        load_benchmark(folder / name if name == "b.json" else folder)


@pytest.mark.parametrize(
    ("field", "value"),
    [("category", "signs \ud83d"), ("id", "\udc00"), ("question", "Is it \ud83d?\n(A) red\n(B) blue")],
)
def test_half_a_character_is_refused_when_the_file_is_read(tmp_path, field, value):
    with pytest.raises(ValueError, match=rf"b\.json, row 1, field '{field}'.*half a character"):
        listed(tmp_path, {field: value})
    assert listed(tmp_path, {"category": "signs \U0001f6d1"})[0].kind == "signs \U0001f6d1"


@pytest.mark.parametrize("name", ["all", "NA", "None", "nan", "null", "N/A", "<small>"])
def test_categories_that_look_like_missing_values_are_kept(tmp_path, name):
    assert table(tmp_path, category=name)[0].kind == name
    assert load_benchmark(write_tsv(tmp_path / "hr.tsv", [hrbench_rows(1)[0] | {"category": name}]))[0].kind == name
    assert listed(tmp_path, {"category": name})[0].kind == name


def test_a_number_where_text_is_meant_is_its_text_and_a_missing_category_is_refused(tmp_path):
    (sample,) = table(tmp_path, category=2.0, question=7, index=3.0)
    assert (sample.kind, sample.question, sample.id) == ("2", "7", "hr-3")
    for missing in (NAN, None):
        with pytest.raises(ValueError, match="row 1, field 'category': missing or empty"):
            table(tmp_path, category=missing)


# Files ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "ok"),
    [
        (["data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"], False),
        (["train/0000.parquet", "test/0000.parquet"], False),
        (["train.parquet", "test.parquet"], False),
        (["hr_4k.parquet", "hr_8k.parquet"], False),
        (["data/test-00000-of-00002.parquet", "data/test-00001-of-00002.parquet"], True),
        (["test-00000-of-00002-a09b74b3ef9c3b56.parquet", "test-00001-of-00002-5d2c9e01f7aa1122.parquet"], True),
        (["0000.parquet", "0001.parquet"], True),
        (["part-0.parquet", "part-1.parquet"], True),
    ],
)
def test_parts_of_one_table_are_read_and_tables_of_several_splits_refused(tmp_path, names, ok):
    for i, name in enumerate(names):
        (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        rows = [row | {"index": 10 * i + row["index"]} for row in hrbench_rows(1)]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "own" / name)
    if ok:
        assert len(load_benchmark(tmp_path / "own")) == 8
        return
    for split in (None, "test"):
        with pytest.raises(ValueError, match=f"holds .*{names[1]}.*: name the one file you mean"):
            load_benchmark(tmp_path / "own", split=split)


@pytest.mark.parametrize("name", ["hr.parquet", "hr.tsv", "b.json", "data.zip", "test_questions.jsonl"])
def test_a_pointer_of_git_lfs_in_place_of_questions_says_what_to_do(tmp_path, name):
    (tmp_path / name).write_bytes(POINTER)
    with pytest.raises(ValueError, match=rf"{name} is a pointer.*git lfs pull"):
        load_benchmark(tmp_path if name == "data.zip" else tmp_path / name)


def test_a_pointer_in_place_of_a_picture_is_told_when_it_is_read(tmp_path):
    samples = listed(tmp_path, {}, {"box_json": [1, 1, 2, 2]})
    (tmp_path / "p.png").write_bytes(POINTER)
    again = load_benchmark(tmp_path / "b.json")
    assert [s.id for s in again] == [s.id for s in samples] and again[1].boxes_xyxy == [(1, 1, 3, 3)]
    with pytest.raises(ImageError, match=r"b\.json, row 1, field 'image_path'.*git lfs pull"):
        _ = again[0].image


def test_one_picture_under_many_names_is_one_picture(tmp_path):
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)).save(stream, "BMP")
    first, other = stream.getvalue(), bytearray(stream.getvalue())
    other[-1] ^= 255  # the same size and the same first 48 KiB, and yet another picture
    for i in range(6):
        (tmp_path / f"{i}.bmp").write_bytes((first, bytes(other))[i % 2])
    rows = [authors_row(f"{i}-{j}", f"{i}.bmp") for i in range(6) for j in range(2)]
    samples = load_benchmark(write_json(tmp_path / "b.json", rows))
    assert [s.image_id for s in samples] == ["0.bmp", "0.bmp", "1.bmp", "1.bmp"] * 3
    assert card.data_card(samples)["pictures"] == 2
    assert len({s.image_id for s in load_benchmark(tmp_path / "b.json", n=6)}) == 1, "drawn by whole pictures"
