"""Benchmarks in free text: rows of one's own among lettered ones, and VisualProbe in its published format."""

import json
import math

import pytest
from benchmark_files import encoded, listed, write_json
from checkpoints import tiny_model

from hide_utils import evaluate, load_benchmark
from hide_utils.benchmarks import SOURCES, card, loading

FREE = {"labels": None, "question": "How many cars are there?", "answers": ["3", "three"]}
PROBES = ("easy", "medium", "hard")


def test_rows_without_options_among_lettered_ones(tmp_path):
    plain, counted, one = listed(
        tmp_path, {}, FREE | {"scorer": "number", "tolerance": 0.5, "style": "question", "answers": [3, "four"],
                              "box_json": [[1, 1, 2, 2]], "entities": ["car"]},
        {"labels": None, "question": "What does the sign say?", "answer": "Gate 7"},
    )  # fmt: skip
    assert plain.label == "A" and plain.answers == [] and plain.style == "letters"
    assert (counted.options, counted.label, counted.answers) == ([], "", ["3", "four"])
    assert (counted.scorer, counted.tolerance, counted.style) == ("number", 0.5, "question")
    assert counted.boxes_xyxy == [(1, 1, 3, 3)] and counted.entities == ["car"]
    assert (one.answers, one.scorer, one.style, one.question) == (
        ["Gate 7"], "normalised", "short", "What does the sign say?"
    )  # fmt: skip
    told = card.card_text("b", card.data_card([plain, counted, one]))
    assert "| in free text | 2 |" in told and "| scorers | number, within 0.5: 1, normalised: 1 |" in told
    assert "| labels | A: 1 |" in told and "| options | 4: 1 |" in told


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"answers": []}, "'answers' of sample '1': .*no options, no answers"),
        ({"answers": ["3", math.nan]}, "'answers' of sample '1': .*answer 2 is empty or NaN"),
        ({"answers": None}, "'answers' of sample '1': .*answer 1 is empty or NaN"),
        ({"answers": [True]}, "'answers' of sample '1': .*True is no text"),
        ({"answers": ["a few"], "scorer": "number"}, "'answers' of sample '1': .*needs one number in each answer"),
        ({"scorer": "judge"}, "'answers' of sample '1': .*unknown scorer 'judge'; known: exact, normalised"),
        ({"scorer": 3.5}, "unknown scorer '3.5'"),
        ({"tolerance": "1 %", "scorer": "number"}, "'tolerance' of sample '1': want a number, not '1 %'"),
        ({"answer": "3"}, "'answers' of sample '1': a question that ends in lettered options has `labels`, and one"),
        ({"labels": "A"}, "'answers' of sample '1': a question that ends in lettered options has `labels`"),
        ({"question": "How many?\n(A) 3\n(B) 4"}, "'answers' of sample '1': a question that ends in lettered options"),
        ({"question": ""}, "'question'"),
    ],
)
def test_a_row_in_free_text_with_a_bad_field(tmp_path, change, said):
    with pytest.raises(ValueError, match=f"b.json, row 2, field {said}" if said[0] == "'" else said):
        listed(tmp_path, {}, FREE | change)


def test_a_row_with_neither_labels_nor_answers_says_what_is_lacking(tmp_path):
    with pytest.raises(
        ValueError, match="row 1, field 'labels' of sample '0': a question that ends .* one without has"
    ):
        listed(tmp_path, {"labels": None, "question": "How many?"})


def probe(level, i, **changes):
    """A row as it is published; the picture's path begins with the repository's name."""
    return {
        "doc_id": i, "images": [f"VisualProbe_{level.title()}/data/visual_probe_{level}_{i}.jpg"],
        "problem": "<image>\nWhat is written on the red car's plate?", "solution": f"B{i} 77",
        "data_source": f"visual_probe_{level}",
    } | changes  # fmt: skip


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The three benchmarks where named ones lie, two rows each."""
    for level in PROBES:
        folder = tmp_path / f"visualprobe_{level}"
        write_json(folder / "val.json", [probe(level, 0), probe(level, 1)])
        (folder / "data").mkdir()
        for i in range(2):
            (folder / "data" / f"visual_probe_{level}_{i}.jpg").write_bytes(encoded(i, (112, 84)))
    monkeypatch.setattr(loading, "FOLDER", tmp_path)
    return tmp_path


def test_visualprobe(home, capsys):
    for level, size in zip(PROBES, (141, 268, 106), strict=True):
        first, second = load_benchmark(f"visualprobe_{level}")
        assert (first.id, first.kind) == (f"visualprobe_{level}-0", f"visual_probe_{level}")
        assert first.question == "What is written on the red car's plate?" and second.answers == ["B1 77"]
        assert (first.style, first.scorer, first.image.size) == ("short", "normalised", (112, 84))
        assert first.image_id == f"data/visual_probe_{level}_0.jpg" and not first.boxes_xyxy
        source = SOURCES[f"visualprobe_{level}"]
        assert (source.repo, source.size) == (f"Mini-o3/VisualProbe_{level.title()}", size)
    card.main(["Mini-o3/VisualProbe_Hard"])
    told = capsys.readouterr().out
    assert "# visualprobe_hard" in told and "a language model judges" in told and "named no licence" in told


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"solution": None}, ValueError, "'solution': .*empty or NaN"),
        ({"problem": ""}, ValueError, "'problem'"),
        ({"images": []}, ValueError, "'images': the list is empty"),
        ({"images": ["../../secret.jpg"]}, ValueError, "'images'.*leads out"),
        ({"images": ["VisualProbe_Hard/../x.jpg"]}, ValueError, "'images'.*leads out"),
        ({"images": ["data/none.jpg"]}, FileNotFoundError, "'images'.*no file"),
        ({"doc_id": None}, ValueError, "'doc_id'"),
    ],
)
def test_a_row_of_visualprobe_with_a_bad_field(home, change, error, said):
    path = home / "visualprobe_hard" / "val.json"
    path.write_text(json.dumps([probe("hard", 0), probe("hard", 1) | change]))
    with pytest.raises(error, match=rf"val\.json, row 2, field {said}"):
        load_benchmark("visualprobe_hard")


def test_visualprobe_is_answered_and_a_judge_of_ones_own_scores_it(home):
    judged = []

    def judge(reply, sample):
        judged.append((sample.question, sample.answer, reply))
        return sample.id.endswith("1")

    table = evaluate(
        tiny_model("qwen3_vl"), load_benchmark("visualprobe_easy"), ["direct"], scorer=judge, progress=False
    )
    assert table["correct"].tolist() == [False, True] and table["letter"].isna().all()
    assert [one[:2] for one in judged] == [("What is written on the red car's plate?", f"B{i} 77") for i in range(2)]
    assert [one[2] for one in judged] == list(table["reply"])
