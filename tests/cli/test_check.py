"""`hide check`: what a run needs is tried on two samples, and nothing is kept."""

import pytest
from benchmark_files import authors_row, write_json
from PIL import Image

from hide_utils import paths
from hide_utils.cli import main as door


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """Call it with the command line's words for exit status and output."""
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(paths, "RUNS", tmp_path / "results" / "runs")

    def call(*words):
        status = door.main(["check", *map(str, words)])
        assert not (tmp_path / "results").exists(), "a row or a notebook was kept"
        return status, capsys.readouterr().out

    return call


def test_methods_are_timed_and_a_total_is_expected(check):
    words = ("-p", "n", 5, "-p", "methods", "('direct', 'hide')", "-p", "resolution", 224)
    status, out = check("05", *words)
    assert status == 0
    lines = [line.strip() for line in out.splitlines()]
    assert lines[:2] == ["05_benchmarks: the parameters are in order", "mini on cpu, torch.float32"]
    assert [line.rpartition(", ")[0] for line in lines[2:4]] == [
        "direct: 5 questions of scenes",
        "hide: 5 questions of scenes",
    ]
    assert "for these 10 answers" in lines[4]
    assert lines[-1].startswith("memory in use at the end: ")


def test_every_method_of_a_shorter_benchmark_is_counted_as_often_as_it_has_questions(check, tmp_path):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        Image.effect_noise((64, 48), 60).save(tmp_path / name)
    path = write_json(tmp_path / "signs.json", [authors_row(i, f"{'abc'[i]}.jpg") for i in range(3)])
    with pytest.warns(UserWarning, match="signs.json has 3 questions here, not n = 400: all are taken"):
        status, out = check("05", "-p", "benchmark", path, "-p", "split", "None")
    assert status == 0
    assert "direct: 3 questions of" in out and "oracle" not in out, "without true boxes, as in the notebook"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["06"], "answers no benchmark: the model was loaded"),
        (["09"], "answers no benchmark and runs no model of its choice"),
        (["10"], "answers no benchmark and runs no model of its choice"),
    ],
)
def test_a_notebook_without_a_benchmark_says_what_was_checked(check, words, said):
    status, out = check(*words)
    assert status == 0
    assert said in out and "expected:" not in out.replace("no total is expected", "")


def test_a_picture_of_one_s_own_is_answered_and_no_benchmark_is_loaded(check, tmp_path, monkeypatch):
    Image.effect_noise((64, 48), 60).save(tmp_path / "own.png")
    monkeypatch.setattr("hide_utils.cli.check.asked", lambda *_: pytest.fail("a benchmark was loaded"))
    status, out = check("00", "-p", "image", tmp_path / "own.png", "-p", "question", "What color is it?")
    assert status == 0
    assert "own.png answered in " in out and "questions of" not in out


@pytest.mark.parametrize(("parameter", "value"), [("layers", "[0, 40]"), ("layers", "[40]")])
def test_what_fails_with_the_model_at_hand_is_said_and_counts(check, parameter, value):
    status, out = check("02", "-p", parameter, value)
    assert status == 1
    assert "failed: ValueError: layer 40 is not among 0 to 11 (counted from 0), which mini has" in out


def test_a_picture_that_cannot_be_read_fails_the_check(check, tmp_path):
    path = write_json(tmp_path / "signs.json", [authors_row(0, "a.jpg")])
    (tmp_path / "a.jpg").write_bytes(b"no picture, but longer than any head of one")
    status, out = check(
        "05", "-p", "benchmark", path, "-p", "split", "None", "-p", "n", 1, "-p", "methods", "['direct']"
    )
    assert status == 1 and "failed: " in out and "a.jpg" in out


def test_refused_parameters_have_a_status_of_their_own(check, capsys):
    with pytest.raises(SystemExit) as stop:
        check("05", "-p", "n", "0")
    assert stop.value.code == 2
    assert 'not 0; for example -p n "400"' in capsys.readouterr().err
