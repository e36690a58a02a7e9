"""V*Bench's and HR-Bench's loaders on small files in the published formats: whole, malformed, cut short, hostile."""

import json
import pickle
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from benchmark_files import (
    CLIMBING,
    DOG,
    GLOVE,
    LINES,
    encoded,
    hrbench_rows,
    noise,
    write_json,
    write_tsv,
    write_vstar,
)
from PIL import Image

from hide_utils import load_benchmark
from hide_utils.benchmarks import rows
from hide_utils.images import ImageError


@pytest.fixture
def vstar(tmp_path):
    return write_vstar(tmp_path)


# V*Bench --------------------------------------------------------------------------------------------------------------


def test_vstar_published_letters(vstar):
    glove, dog = load_benchmark(vstar)
    assert (glove.id, glove.label, glove.kind) == ("vstar_bench-0", "A", "direct_attributes")
    assert glove.question == "What is the material of the glove?"
    assert glove.options == ["rubber", "cotton", "kevlar", "leather"]
    assert glove.boxes_xyxy == [(564, 142, 719, 299)] and glove.entities == ["glove"]
    assert dog.answer == "left" and dog.kind == "relative_position" and dog.entities == ["dog", "scooter"]
    assert dog.boxes_xyxy == [(10, 20, 40, 60), (1.5, 2, 4.5, 6)]
    assert glove.image.getpixel((0, 0)) == (1, 0, 7) and dog.image_id == "relative_position/sa_7.jpg"
    assert [s.id for s in load_benchmark(str(vstar / "test_questions.jsonl"))] == [
        "test_questions-0",
        "test_questions-1",
    ]


def test_vstar_shuffled_by_a_recorded_seed(vstar):
    (vstar / "test_questions.jsonl").unlink()
    for i in range(60):
        write_json(vstar / "direct_attributes" / f"sa_{i}.json", GLOVE)
        (vstar / "direct_attributes" / f"sa_{i}.jpg").write_bytes(encoded(i, (800, 400)))
    samples = load_benchmark(vstar, seed=3)
    assert len(samples) == 62 and all(sample.id.endswith("-s3") for sample in samples)
    assert all(sample.answer in (GLOVE["options"][0], DOG["options"][0]) for sample in samples)
    assert {sample.label for sample in samples} == set("ABCD")
    few = load_benchmark(vstar, seed=3, n=5)
    assert all(sample.options == next(s.options for s in samples if s.id == sample.id) for sample in few)
    assert [s.label for s in samples] != [s.label for s in load_benchmark(vstar, seed=4)]
    with pytest.raises(FileNotFoundError, match="letters='shuffled'"):
        load_benchmark(vstar, letters="published")
    with pytest.raises(ValueError, match="did you mean 'shuffled'"):
        load_benchmark(vstar, letters="shuffle")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"bbox": [[1, 2, 3]]}, "bbox"),
        ({"bbox": [[1, 2, 0, 4]]}, "bbox"),
        ({"bbox": [[1, 2, float("nan"), 4]]}, "bbox"),
        ({"bbox": "1 2 3 4"}, "bbox"),
        ({"bbox": [[1, 2, 3, 4]] * 2}, "bbox"),
        ({"target_object": "glove"}, "target_object"),
        ({"question": "  "}, "question"),
        ({"options": None}, "options"),
        ({"options": []}, "question"),
        ({"options": ["one"]}, "question"),
    ],
)
def test_vstar_json_with_a_bad_field(vstar, change, field):
    write_json(vstar / "direct_attributes" / "sa_4690.json", GLOVE | change)
    with pytest.raises(ValueError, match=rf"sa_4690\.json, row 1, field '{field}'"):
        load_benchmark(vstar, letters="shuffled")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"label": "E"}, "label"),
        ({"label": "AB"}, "label"),
        ({"text": "No options?"}, "question"),
        ({"image": ""}, "image"),
    ],
)
def test_vstar_line_with_a_bad_field(vstar, change, field):
    (vstar / "test_questions.jsonl").write_text(json.dumps(LINES[0]) + "\n" + json.dumps(LINES[1] | change))
    with pytest.raises(ValueError, match=f"test_questions.jsonl, row 2, field '{field}'"):
        load_benchmark(vstar)


def test_vstar_cut_short_or_incomplete(vstar):
    listed, note = vstar / "test_questions.jsonl", vstar / "relative_position" / "sa_7.json"
    listed.write_bytes(listed.read_bytes()[:-30])
    with pytest.raises(ValueError, match="test_questions.jsonl, row 2: no valid JSON"):
        load_benchmark(vstar)
    note.write_bytes(note.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"sa_7\.json, row 1: no valid JSON"):
        load_benchmark(vstar, letters="shuffled")
    write_json(note, DOG).with_suffix(".jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"sa_7\.jpg"):
        load_benchmark(vstar, letters="shuffled")


@pytest.mark.parametrize("name", CLIMBING)
def test_vstar_path_may_not_leave_the_folder(vstar, name):
    (vstar.parent / "secret.png").write_bytes(encoded(9))
    (vstar / "test_questions.jsonl").write_text(json.dumps(LINES[0] | {"image": name}))
    with pytest.raises(ValueError, match="row 1, field 'image': .*leads out of the data folder"):
        load_benchmark(vstar)


# HR-Bench -------------------------------------------------------------------------------------------------------------


def test_hrbench_tsv(tmp_path):
    samples = load_benchmark(write_tsv(tmp_path / "hr_bench_4k.tsv", hrbench_rows()))
    assert [s.id for s in samples] == [f"hr_bench_4k-{i}" for i in range(8)]
    assert [s.kind for s in samples] == ["single"] * 4 + ["cross"] * 4
    assert samples[5].question == 'What does "sign 1"\nsay?'
    assert samples[5].options == ["None of the above", "red", '37"B', "a\tb"]
    assert [s.label for s in samples] == list("ABCDABCD") and {s.answer for s in samples} == {"red"}
    first, second = {s.image_id for s in samples[:4]}, {s.image_id for s in samples[4:]}
    assert len(first) == len(second) == 1 and first != second
    assert [s.image.getpixel((0, 0))[0] for s in samples] == [0] * 4 + [1] * 4
    assert pickle.loads(pickle.dumps(samples[6])).image.getpixel((0, 0)) == (1, 0, 7)  # as workers get it


def test_hrbench_tsv_is_streamed_and_decoded_on_demand(tmp_path, monkeypatch):
    table = hrbench_rows(6, lambda i: noise(i, 200))
    path = write_tsv(tmp_path / "hr_bench_8k.tsv", table)
    largest = max(len(row["image"]) for row in table)
    assert path.stat().st_size > 20 * largest
    decoded = []
    blank = Image.new("RGB", (1, 1))
    monkeypatch.setattr(rows, "read_image", lambda data, **_: decoded.append(data) or blank)
    load_benchmark(path, n=1)
    tracemalloc.start()
    samples = load_benchmark(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * largest
    assert len(decoded) == 2  # the last picture of each load, to notice a cut
    assert samples[3].image is blank and decoded[-1] == noise(0, 200)


@pytest.mark.parametrize("kept", ["half a picture", "whole base64 blocks", "no picture", "half a question"])
def test_hrbench_tsv_cut_short(tmp_path, kept):
    table = hrbench_rows(2, lambda i: noise(i, 20))
    path = write_tsv(tmp_path / "hr_bench_4k.tsv", table)
    content = path.read_bytes().rstrip(b"\n")
    size = len(table[-1]["image"])
    row = content.rindex(b"\n", 0, content.rindex(b"\nsay?")) + 1
    drop = {"half a picture": size // 2 + 1 - size // 2 % 2, "whole base64 blocks": 400, "no picture": size + 1}
    path.write_bytes(content[: -drop[kept]] if kept in drop else content[: row + 8])
    field = {"half a picture": "field 'image'", "whole base64 blocks": "field 'image'", "no picture": "field 'image'"}
    with pytest.raises(ValueError, match=rf"hr_bench_4k\.tsv, row 8.*{field.get(kept, '')}"):
        load_benchmark(path)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"answer": "E"}, "answer"),
        ({"answer": ""}, "answer"),
        ({"question": ""}, "question"),
        ({"B": "", "C": "", "D": ""}, "question"),
        ({"image": "!!!!" * 20}, "image"),
        ({"image": ""}, "image"),
    ],
)
@pytest.mark.parametrize("suffix", ["tsv", "parquet"])
def test_hrbench_row_with_a_bad_field(tmp_path, change, field, suffix):
    table = hrbench_rows()
    table[2] |= change
    path = tmp_path / f"hr_bench_4k.{suffix}"
    write_tsv(path, table) if suffix == "tsv" else pq.write_table(pa.Table.from_pylist(table), path)
    with pytest.raises(ValueError, match=f"hr_bench_4k.{suffix}, row 3, field '{field}'"):
        load_benchmark(path)


def test_hrbench_damage_elsewhere(tmp_path):
    path, table = tmp_path / "hr.tsv", hrbench_rows(2, lambda i: noise(i, 200))
    write_tsv(path, [{k: v for k, v in row.items() if k != "answer"} for row in table])
    with pytest.raises(ValueError, match=r"hr\.tsv, row 0 \(header\), field 'answer'"):
        load_benchmark(path)
    path.write_text(write_tsv(path, table).read_text().replace("cycle_1\t", "cycle_1\tmore\t", 1))
    with pytest.raises(ValueError, match=r"row 2, field 'image': 11 cells under 10 names"):
        load_benchmark(path)
    path.write_bytes(b"index\tquestion\xff")
    with pytest.raises(ValueError, match="row 0: not readable"):
        load_benchmark(path)
    table[1]["image"] = table[1]["image"][:80000] + table[1]["image"][90000:]
    broken = load_benchmark(write_tsv(path, table))[1]  # met when it is read, not at the start of a long run
    with pytest.raises(ImageError, match=r"hr\.tsv, row 2, field 'image'.*cut short or damaged"):
        _ = broken.image


def test_hrbench_parquet_agrees_with_tsv(tmp_path):
    table = hrbench_rows(3)
    expected = load_benchmark(write_tsv(tmp_path / "hr.tsv", table))
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "hr.parquet", row_group_size=5)
    shards = tmp_path / "hr"
    shards.mkdir()
    for i in range(3):
        part = [row | {"image": {"bytes": encoded(i), "path": "x.png"}} for row in table[4 * i : 4 * i + 4]]
        pq.write_table(pa.Table.from_pylist(part), shards / f"test-0000{i}-of-00003.parquet")
    for path in (tmp_path / "hr.parquet", shards):
        samples = load_benchmark(path)
        for name in ("id", "question", "options", "label", "kind"):
            assert [getattr(s, name) for s in samples] == [getattr(s, name) for s in expected]
        assert [s.image.getpixel((0, 0)) for s in samples] == [s.image.getpixel((0, 0)) for s in expected]
        assert [s.render.key for s in samples] == [s.render.key for s in expected]
        assert len({s.image_id for s in samples}) == 3


@pytest.mark.parametrize("keep", [0.3, 0.99])
def test_parquet_cut_short(tmp_path, keep):
    path = tmp_path / "hr.parquet"
    pq.write_table(pa.Table.from_pylist(hrbench_rows()), path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(ValueError, match=r"hr\.parquet, row 1: not readable as Parquet"):
        load_benchmark(path)
