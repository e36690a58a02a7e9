"""JSON lists in the published formats, splits, draws, and where benchmarks are looked for."""

import json
import shutil
import zipfile

import huggingface_hub
import pytest
from benchmark_files import (
    BOOK,
    CLIMBING,
    SUFFIX,
    authors_row,
    encoded,
    hrbench_rows,
    write_json,
    write_tsv,
    write_vstar,
)
from scipy.stats import binomtest

from hide_utils import benchmarks, load_benchmark
from hide_utils.images import ImageError
from hide_utils.prompts import multiple_choice
from hide_utils.scenes import DIFFICULTIES


@pytest.fixture
def vstar(tmp_path):
    return write_vstar(tmp_path)


# JSON lists -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def lite(tmp_path):
    folder = tmp_path / "lite"
    write_json(folder / "data" / "MME-RealWorld-Lite.json", [BOOK])
    (folder / "data" / "imgs").mkdir()
    (folder / "data" / "imgs" / "TRAIN_14456.png").write_bytes(encoded(5))
    return folder


def test_mme_realworld(lite):
    (book,) = load_benchmark(lite)
    assert book.id == "lite-perception/ocr_cc/book_map_poster/0913" and book.label == "B" and book.boxes_xyxy == []
    assert book.options == ["Nutty Ribs", "Haw (sweet)", "Chili", "Inasal", "Not in the image."]
    assert book.kind == "Perception/OCR with Complex Context" and book.image.getpixel((0, 0)) == (5, 0, 7)
    write_json(lite / "data" / "MME-RealWorld-Lite.json", [BOOK | {"Answer choices": ["1", "2", "A. Smith", "4"]}])
    assert load_benchmark(lite)[0].options == ["1", "2", "A. Smith", "4"]


def test_mme_questions_are_asked_in_the_benchmarks_own_words(lite):
    (book,) = load_benchmark(lite)
    assert multiple_choice(book.question, book.options, book.style) == (
        "What dish does the chart correspond to? The choices are listed below:\n(A) Nutty Ribs\n(B) Haw (sweet)\n"
        "(C) Chili\n(D) Inasal\n(E) Not in the image.\nSelect the best answer to the above multiple-choice question "
        "based on the image. Respond with only the letter (A, B, C, D, or E) of the correct option.\n"
        "The best answer is:"
    )
    assert "letter (A or B) of" in multiple_choice("?", ["x", "y"], "mme_realworld")
    with pytest.raises(ValueError, match="unknown prompt style 'mme'; known: letters, mme_realworld"):
        multiple_choice("?", ["x", "y"], "mme")


@pytest.mark.parametrize(
    ("change", "field"),
    [({"Ground truth": "F"}, "Ground truth"), ({"Answer choices": "A"}, "Answer choices"), ({"Text": None}, "Text"),
     ({"Subtask": ""}, "Subtask"), *(({"Image": name}, "Image") for name in CLIMBING)],
)  # fmt: skip
def test_mme_row_with_a_bad_field(lite, change, field):
    path = write_json(lite / "data" / "MME.json", [BOOK, BOOK | {"Question_id": "2"} | change])
    with pytest.raises(ValueError, match=rf"MME\.json, row 2, field '{field}'"):
        load_benchmark(path)


def test_mme_archive_is_unpacked(lite):
    with zipfile.ZipFile(lite / "data.zip", "w") as archive:
        for path in sorted((lite / "data").rglob("*.*")):
            archive.write(path, path.relative_to(lite))
    shutil.rmtree(lite / "data")
    cut = (lite / "data.zip").read_bytes()
    (lite / "data.zip").write_bytes(cut[:-40])
    with pytest.raises(ValueError, match=r"data\.zip: no whole zip archive"):
        load_benchmark(lite)
    (lite / "data.zip").write_bytes(cut)
    assert load_benchmark(lite)[0].image.size == (6, 4)
    assert load_benchmark(lite)[0].label == "B"  # and again, from the unpacked folder


@pytest.mark.parametrize("name", CLIMBING)
def test_archive_members_may_not_leave_the_folder(tmp_path, name):
    folder = tmp_path / "lite"
    folder.mkdir()
    with zipfile.ZipFile(folder / "data.zip", "w") as archive:
        archive.writestr("MME.json", json.dumps([BOOK]))
        archive.writestr(name, b"x")
    with pytest.raises(ValueError, match="member 2.*leads out of the data folder"):
        load_benchmark(folder)
    assert [path.name for path in tmp_path.rglob("*")] == ["lite", "data.zip"]


def test_authors_list(vstar):
    note = "vstar_bench/direct_attributes/sa_4690.json"
    second = authors_row(1, question="Sign?\nA. yes\nB. no" + SUFFIX, labels="(B)", box_json=[1, 2, 3, 4])
    second["Category"] = second.pop("category")
    path = write_json(vstar.parent / "Vstar.json", [authors_row(0, box_json=note), second])
    first, other = load_benchmark(path)
    assert first.id == "Vstar-0" and first.question == "What is the material of the glove?" and first.answer == "kevlar"
    assert first.options[1] == "cotton wool" and first.boxes_xyxy == [(564, 142, 719, 299)]
    assert first.entities == ["glove"] and first.image.getpixel((0, 0)) == (1, 0, 7)
    assert (other.question, other.options, other.label, other.kind) == (
        "Sign?",
        ["yes", "no"],
        "B",
        "direct_attributes",
    )
    assert other.boxes_xyxy == [(1, 2, 4, 6)] and first.image_id == other.image_id


@pytest.mark.parametrize(
    ("change", "message"),
    [({"labels": "E"}, "'labels'"), ({"category": None}, "'category'"), ({"question": "Why?"}, "'question'"),
     ({"box_json": {}}, "'box_json'"), ({"box_json": "../x.json"}, "'box_json'.*leads out"),
     ({"image_path": "../secret.png"}, "'image_path'.*leads out"), ({"id": ""}, "'id'")],
)  # fmt: skip
def test_authors_row_with_a_bad_field(vstar, change, message):
    path = write_json(vstar.parent / "Vstar.json", [authors_row(0), authors_row(1) | change])
    with pytest.raises(ValueError, match=rf"Vstar\.json, row 2, field {message}"):
        load_benchmark(path)


def test_json_that_is_no_whole_list(vstar):
    path = write_json(vstar.parent / "Vstar.json", [authors_row(0), authors_row(0)])
    with pytest.raises(ValueError, match="'Vstar-0' stands twice"):
        load_benchmark(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"Vstar\.json: no valid JSON \(.*line 1 column"):
        load_benchmark(path)
    for content, message in (({}, "want a list"), ([3], "row 1: want a mapping"), ([], "no samples")):
        with pytest.raises(ValueError, match=message):
            load_benchmark(write_json(path, content))
    write_json(path, [authors_row(0, "gone.png")])
    with pytest.raises(FileNotFoundError, match=r"row 1, field 'image_path': no file .*gone\.png"):
        load_benchmark(path)


# Splits, draws, names -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """150 pictures, every third with a second question."""
    folder = tmp_path_factory.mktemp("many")
    (folder / "imgs").mkdir()
    listed = []
    for i in range(150):
        (folder / "imgs" / f"{i}.png").write_bytes(encoded(i))
        listed += [authors_row(f"{i}-{j}", f"imgs/{i}.png") for j in range(1 + (i % 3 == 0))]
    return write_json(folder / "many.json", listed)


def test_split_by_picture(many, tmp_path):
    whole, test, calibration = (load_benchmark(many, split=split) for split in (None, "test", "calibration"))
    assert sorted(s.id for s in test + calibration) == sorted(s.id for s in whole) and len(whole) == 200
    sides = [{s.image_id for s in part} for part in (test, calibration)]
    assert not sides[0] & sides[1]
    assert binomtest(len(sides[1]), 150, 0.2).pvalue > 0.001
    for i in (0, 1, 2, 3, 50, 51):  # the same pictures under other names stay on their side
        shutil.copy(many.parent / "imgs" / f"{i}.png", tmp_path / f"copy{i}.png")
    copies = load_benchmark(
        write_json(tmp_path / "c.json", [authors_row(i, f"copy{i}.png") for i in (0, 1, 2, 3, 50, 51)])
    )
    assert [f"imgs/{s.image_id[4:]}" in sides[1] for s in copies] == [s.render.split == "calibration" for s in copies]
    only = copies[0].render.split
    other = {"test": "calibration", "calibration": "test"}[only]
    path = write_json(tmp_path / "one.json", [authors_row(0, "copy0.png")])
    with pytest.raises(ValueError, match=f"no samples in split '{other}' of its 1"):
        load_benchmark(path, split=other)
    with pytest.raises(ValueError, match="unknown split 'train'"):
        load_benchmark(many, split="train")


def test_draw_takes_whole_pictures_and_grows(many):
    order = [s.id for s in load_benchmark(many)]
    draws = [[s.id for s in load_benchmark(many, split="test", n=n, seed=1)] for n in (20, 60)]
    assert [len(d) for d in draws] == [20, 60] and set(draws[0]) < set(draws[1])
    assert draws[1] == [name for name in order if name in draws[1]]
    pairs = {name[:-2] for name in draws[1] if name.endswith("-1")}
    assert pairs and len([1 for p in pairs if f"{p}-0" in draws[1]]) >= len(pairs) - 1  # the last one may be cut
    assert draws[0] != [s.id for s in load_benchmark(many, split="test", n=20, seed=2)]
    with pytest.warns(UserWarning, match="has 200 questions here, not n = 10000: all are taken"):
        assert len(load_benchmark(many, n=10_000)) == 200
    for bad in ({"n": 0}, {"seed": -1}):
        with pytest.raises(ValueError, match="n must be at least 1 and seed at least 0"):
            load_benchmark(many, **bad)


def test_max_megapixels(many):
    (sample,) = load_benchmark(many, n=1, max_megapixels=1e-6)
    with pytest.raises(ImageError, match=r"many\.json, row \d+, field 'image_path'.*raise max_megapixels"):
        _ = sample.image


def test_scenes_by_name():
    samples = load_benchmark(
        "scenes", split="calibration", n=2, seed=5, resolution=96, object_size=[10, 14], named=16, similar=8,
        strokes=1, separation=0.3, kinds=["relative_position"],
    )  # fmt: skip
    assert [s.id for s in samples] == [f"scenes-calibration-96-s5-0000{i}" for i in (0, 1)]
    assert {s.kind for s in samples} == {"relative_position"} and samples[0].image.size == (96, 96)
    assert load_benchmark("scenes", n=1, resolution=256, strokes=None, letters=None)[0].id.startswith(
        "scenes-test-256-s0"
    )
    easy, default, hard = (load_benchmark("scenes", n=1, difficulty=d)[0].image.width for d in DIFFICULTIES)
    assert easy < default < hard
    assert [thing.noun for thing in samples[0].things[:2]] == [name.split()[0] for name in samples[0].entities]
    with pytest.raises(ValueError, match="no setting 'resolutoin'; did you mean 'resolution'"):
        load_benchmark("scenes", resolutoin=96)


def test_names_and_places(many, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmarks.loading, "FOLDER", tmp_path / "benchmarks")
    with pytest.raises(ValueError, match="unknown benchmark 'hrbench4'; did you mean 'hrbench4k'"):
        load_benchmark("hrbench4")
    with pytest.raises(ValueError, match="holds hrbench4k and hrbench8k"):
        load_benchmark("DreamMr/HR-Bench")
    with pytest.raises(FileNotFoundError, match="no benchmark file or folder at data/none.tsv"):
        load_benchmark("data/none.tsv")
    with pytest.raises(ValueError, match="no setting 'strokes'"):
        load_benchmark(many, strokes=1)
    with pytest.raises(ValueError, match="leave it out"):
        load_benchmark(many, revision="abc")
    with pytest.raises(ValueError, match="for V\\*Bench alone"):
        load_benchmark(many, letters="published")
    for name in ("vstar", "hrbench8k", "mme_realworld"):  # no hub within reach
        with pytest.raises(FileNotFoundError, match=rf"put .* into .*benchmarks.{name}"):
            load_benchmark(name)
    (tmp_path / "a.csv").write_text("x")
    with pytest.raises(ValueError, match="no .tsv, .parquet, .json or .jsonl"):
        load_benchmark(tmp_path / "a.csv")
    with pytest.raises(FileNotFoundError, match="holds no question file"):
        load_benchmark(tmp_path)
    for name in ("a.tsv", "b.tsv"):
        write_tsv(tmp_path / name, hrbench_rows(1))
    with pytest.raises(ValueError, match=r"holds a\.tsv, b\.tsv: name the one file"):
        load_benchmark(tmp_path)
    both = tmp_path / "benchmarks" / "hrbench8k"  # a copy of the whole repository
    both.mkdir(parents=True)
    for name in ("hr_bench_4k.tsv", "hr_bench_8k.tsv"):
        shutil.copy(tmp_path / "a.tsv", both / name)
    assert [s.id for s in load_benchmark("hrbench8k")] == [f"hrbench8k-{i}" for i in range(4)]
    with pytest.raises(ValueError, match="holds revision unknown, not abc"):
        load_benchmark("hrbench8k", revision="abc")


def test_fetched_once_at_a_recorded_revision(vstar, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmarks.loading, "FOLDER", tmp_path / "benchmarks")
    calls, cut = [], [True]

    class Api:
        def dataset_info(self, repo, revision):
            return type("Info", (), {"sha": "0123456789abcdef"})

    def download(repo, repo_type, revision, allow_patterns, local_dir):
        calls.append((repo, repo_type, revision))
        shutil.copytree(vstar / "direct_attributes", local_dir / "direct_attributes", dirs_exist_ok=True)
        if cut.pop():
            raise ConnectionError("gone")
        shutil.copytree(vstar, local_dir, dirs_exist_ok=True)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(FileNotFoundError, match="ConnectionError: gone"):
        load_benchmark("vstar")
    cut.append(False)
    assert [s.id for s in load_benchmark("craigwu/vstar_bench", revision="0123")] == ["vstar-0", "vstar-1"]
    assert len(load_benchmark("vstar", revision="0123456789")) == 2
    assert calls == [("craigwu/vstar_bench", "dataset", "0123456789abcdef")] * 2
    assert benchmarks.revision_of("vstar") == benchmarks.revision_of("craigwu/vstar_bench") == "0123456789abcdef"
    assert benchmarks.revision_of("hrbench4k") is None and benchmarks.revision_of(vstar) is None
    with pytest.raises(ValueError, match="holds revision 0123456789abcdef, not ffff"):
        load_benchmark("vstar", revision="ffff")
