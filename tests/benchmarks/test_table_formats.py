"""Tables of TreeBench, ZoomBench, CV-Bench, V*Bench's copy and HRScene, in their published columns."""

import pandas as pd
import pytest
from benchmark_files import (
    SUFFIX,
    cv_bench_row,
    hrbench_rows,
    stored_picture,
    treebench_row,
    write_hrscene,
    write_parquet,
    write_tsv,
    zoombench_row,
)

from hide_utils import benchmarks, load_benchmark, paths
from hide_utils.benchmarks import card, grids, loading, tables
from hide_utils.samples import Sample


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The folder of the named benchmarks."""
    monkeypatch.setattr(loading, "FOLDER", tmp_path)
    return tmp_path


def test_treebench_has_its_targets_as_true_boxes(home):
    repeated = "Which word is on the sign?\n(A) red\n(B) blue\n(C) green\n(D) white"
    rows = [treebench_row(0), treebench_row(1, question=repeated, category="Perception/OCR", target_instances="[]")]
    (home / "treebench").mkdir()
    write_tsv(home / "treebench" / "TreeBench.tsv", rows)
    first, second = load_benchmark("treebench")
    assert (first.id, first.kind, first.answer, first.label) == ("treebench-0", "Perception/Attributes", "blue", "B")
    assert first.boxes_xyxy == [(10, 20, 30, 45), (40, 5, 60, 20)] and first.options == [
        "red",
        "blue",
        "green",
        "white",
    ]
    assert second.boxes_xyxy == [] and second.question == "Which word is on the sign?"  # options are asked once
    assert first.image.size == (80, 50)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"target_instances": "[[1, 2, 3]]"}, "target_instances"),
        ({"target_instances": "12"}, "target_instances"),
        ({"target_instances": "no list"}, "target_instances"),
        ({"target_instances": "[[30, 20, 10, 45]]"}, "target_instances"),
        ({"target_instances": "[[100, 20, 130, 45]]"}, "target_instances"),
        ({"answer": "E"}, "answer"),
        ({"category": ""}, "category"),
    ],
)
def test_treebench_row_with_a_bad_field(tmp_path, change, field):
    path = write_tsv(tmp_path / "TreeBench.tsv", [treebench_row(0), treebench_row(1, **change)])
    with pytest.raises(ValueError, match=rf"TreeBench\.tsv, row 2, field '{field}'"):
        load_benchmark(path)


def test_cv_bench_is_two_tables(home):
    write_parquet(home / "cv_bench" / "test_2d.parquet", [cv_bench_row(0), cv_bench_row(1, "ADE20K")])
    write_parquet(home / "cv_bench" / "test_3d.parquet", [cv_bench_row(2, "Omni3D", answer="(A)")])
    samples = load_benchmark("cv_bench")
    assert [s.id for s in samples] == ["cv_bench-0", "cv_bench-1", "cv_bench-2"]
    assert [s.kind for s in samples] == ["2D/COCO/Count", "2D/ADE20K/Count", "3D/Omni3D/Depth"]
    assert [s.answer for s in samples] == ["2", "2", "0"] and samples[0].question == "How many cups?"
    assert len(load_benchmark(home / "cv_bench" / "test_2d.parquet")) == 2
    with pytest.raises(ValueError, match=r"row 1, field 'choices'"):
        load_benchmark(write_parquet(home / "one.parquet", [cv_bench_row(0, choices=["0", "", "2"])]))


def test_vstar_of_lmms_lab_is_lettered_as_published(home):
    text = "What is the material of the glove?\n(A) rubber\n(B) cotton" + SUFFIX
    row = {"image": stored_picture(1), "text": text, "label": "A", "question_id": "0", "category": "direct_attributes"}
    write_parquet(home / "vstar_lmms" / "data" / "test-00000-of-00001.parquet", [row])
    (glove,) = load_benchmark("vstar_lmms")
    assert (glove.id, glove.kind, glove.answer) == ("vstar_lmms-0", "direct_attributes", "rubber")
    assert glove.question == "What is the material of the glove?"


def test_zoombench_with_letters_and_in_free_text(home):
    blank = zoombench_row(1, query="How many cups?", response="12", question_type="blank", bbox=[1.0, 2.0, 3.0, 9.0])
    write_parquet(home / "zoombench" / "data" / "test.parquet", [zoombench_row(0, response="(C) a star"), blank])
    lettered, free = load_benchmark("zoombench")
    assert (lettered.answer, lettered.kind, lettered.question) == ("a star", "mcq", "What is on the cup?")
    assert lettered.boxes_xyxy == [(4, 2, 20, 12)] and lettered.image.size == (40, 20)
    assert free.options == [] and free.answers == ["12"] and free.boxes_xyxy == [(1, 2, 3, 9)]
    with pytest.raises(ValueError, match=r"one\.parquet, row 1, field 'bbox'"):
        load_benchmark(write_parquet(home / "one.parquet", [zoombench_row(0, bbox=[50.0, 2.0, 60.0, 9.0])]))


def test_hrscene_names_grid_and_place(home):
    write_hrscene(home / "hrscene_white_background", "whitebackground", (1, 3))
    samples = load_benchmark("hrscene_white_background")
    assert (
        len(samples) == 10 and {s.kind for s in samples} == {"1x1", "3x3"} and len({s.image_id for s in samples}) == 1
    )
    last = samples[-1]
    assert last.id == "hrscene_white_background-3x3-0_2_2" and last.boxes_xyxy == [(20, 20, 30, 30)]
    assert grids.parts_of(last.id) == grids.Place("0", 3, 2, 2) and grids.parts_of("scenes-test-1024-s0-00012") is None
    assert samples[0].boxes_xyxy == [(0, 0, 10, 10)] and last.answers == ["yes"] * 6 + ["no"] * 4
    write_hrscene(home / "hrscene_complex_grid", "complexgrid", (3,))
    grid = load_benchmark("hrscene_complex_grid")
    assert grid[5].answers == ["row: 2, col: 3"] and grid[5].boxes_xyxy == [(20, 10, 30, 20)]
    assert "Picture 0." in grid[5].question and grid[5].scorer is grids.names_place


@pytest.mark.parametrize(
    ("folder", "name", "message"),
    [
        ("whitebackground_3x3", "0_3_1", "no NEEDLE_ROW_COLUMN in a grid of 3 by 3"),
        ("whitebackground_3x3", "7", "no NEEDLE_ROW_COLUMN"),
        ("whitebackground", "0_1_1", "which grid"),
        ("complexgrid_3x3", "0_1_1", "which grid"),
    ],
)
def test_hrscene_without_a_place(tmp_path, folder, name, message):
    row = {"id": name, "image": stored_picture(1, (30, 30)), "question": "Is it?", "answer": ["yes"] * 10}
    path = write_parquet(tmp_path / folder / "test.parquet", [row])
    with pytest.raises(ValueError, match=rf"test\.parquet, row 1, field 'id'.*{message}"):
        load_benchmark(path)


def test_hrscene_is_drawn_and_split_by_needle(home):
    write_hrscene(home / "hrscene_white_background", "whitebackground", (1, 2, 3), needles=12)
    drawn = load_benchmark("hrscene_white_background", n=9, seed=1)
    by_needle = pd.Series([s.image_id for s in drawn]).value_counts()
    assert by_needle.tolist() == [3, 3, 3]  # three needles, each once in every grid
    assert all(len({s.kind for s in drawn if s.image_id == needle}) == 3 for needle in by_needle.index)
    more = load_benchmark("hrscene_white_background", n=40, seed=1)
    assert {s.id for s in drawn} <= {s.id for s in more} and len(more) == 40
    parts = [load_benchmark("hrscene_white_background", split=split) for split in ("calibration", "test")]
    needles = [{s.image_id for s in part} for part in parts]
    assert not needles[0] & needles[1] and len(needles[0] | needles[1]) == 12


def test_hrscene_scores_as_its_own_code_does():
    """Worked by hand after the published metrics."""
    ten = ["no"] * 2 + ["yes"] * 8
    assert grids.agreement("Answer: **No.**", ten) == pytest.approx(2 / 3) and grids.agreement("", ten) == 0
    assert grids.agreement("no\nyes", ten) == 1 and grids.agreement("yes\nno", ten) == pytest.approx(2 / 3)
    sample = Sample("a", "?", [], "", "3x3", lambda: None, answers=["row: 2, col: 3"], scorer=grids.names_place)
    for reply in ("<row>2</row><col>3</col>", "Row 2, column 3.", "It is in <row>2</row> and <col>3</col>."):
        assert grids.names_place(reply, sample), reply
    for reply in ("<row>3</row><col>2</col>", "", "row two", "<row>2</row><col>3</col>\nso column 4"):
        assert not grids.names_place(reply, sample), reply


def test_formats_are_told_apart(tmp_path):
    known = {name: tables._format_of(row) for name, row in (
        ("TreeBench", treebench_row(0)), ("ZoomBench", zoombench_row(0)), ("CV-Bench", cv_bench_row(0)),
        ("HR-Bench", hrbench_rows(1)[0] | {"id": 3}),
    )}  # fmt: skip
    assert all(columns is tables.FORMATS[name] for name, columns in known.items())
    path = write_parquet(tmp_path / "other.parquet", [{"idea": 1}])
    with pytest.raises(ValueError, match=r"other\.parquet, row 0 \(header\), field 'index': missing; it has idea"):
        load_benchmark(path)


@pytest.mark.parametrize("name", [name for name, source in benchmarks.SOURCES.items() if not source.fetched])
def test_what_is_not_fetched_says_where_to_put_it(home, name):
    with pytest.raises(FileNotFoundError, match=rf"{name}.*too much to be fetched unasked: put .* into"):
        load_benchmark(name)


def test_cards_say_how_the_authors_score(home, capsys):
    write_hrscene(home / "hrscene_white_background", "whitebackground", (1, 3))
    card.main(["hrscene_white_background"])
    said = capsys.readouterr().out
    assert "| pictures | 10 |" in said and "kinds | 1x1: 1, 3x3: 9" in said and "10 of 10 questions" in said
    assert "in free text | 10 |" in said and "scored by its authors as | by grid" in said and "CC BY-NC-SA" in said
    (home / "treebench").mkdir()
    write_tsv(home / "treebench" / "TreeBench.tsv", [treebench_row(0)])
    card.main(["HaochenWang/TreeBench"])
    assert "mIoU" in (said := capsys.readouterr().out) and "labels | B: 1" in said and "free text" not in said


def test_every_benchmark_is_scored_in_words_and_documented():
    page = (paths.ROOT / "docs" / "real_models.md").read_text(encoding="utf-8")
    for name, source in benchmarks.SOURCES.items():
        assert source.score in loading.SCORES and f"`{name}`" in page and f"`{source.repo}`" in page
