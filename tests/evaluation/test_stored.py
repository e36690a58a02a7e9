"""Rows of a sweep, made in one pass over the pictures, and the rows that a run keeps."""

import json

import pytest
from checkpoints import checkpoint, tiny_model
from model_helpers import picture

from hide_utils import HiDe, evaluate, paths
from hide_utils.analyses.benchmarks import BenchmarksConfig
from hide_utils.evaluation.comparing import NotComparable, comparable, comparison, row_sets
from hide_utils.evaluation.stored import of_sweep, stored_answers
from hide_utils.samples import Sample

COLUMNS = ["sample_id", "method", "reply", "letter", "correct", "regions", "image_tokens", "text_tokens", "flops"]
VALUES = [{"layer": 1, "sigma": 1}, {"layer": 2, "sigma": 1.0}, {"layer": None, "sigma": 3.0}]
METHODS = ["direct", "hide", "random"]


def samples(n=2, question="What is the color of the dog?"):
    about = {"question": question, "options": ["red", "blue"], "label": "A", "kind": "color"}
    return [Sample(f"s{i}", **about, render=lambda i=i: picture(196, 140, i)) for i in range(n)]


@pytest.fixture
def answered(tmp_path, monkeypatch):
    """Answers of a notebook's run at a setting, whose rows are kept; `swept` as the runner says it to the kernel."""
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    model = tiny_model("qwen3_vl")

    def run(name, values, swept=None, asked=None, methods=METHODS, **parameters):
        for variable, value in (("HIDE_ROWS", tmp_path / name), ("HIDE_SWEEP", json.dumps(swept or []))):
            monkeypatch.setenv(variable, str(value))
        hide = HiDe(model, **values)
        cfg = BenchmarksConfig(
            model=str(checkpoint("qwen3_vl")), benchmark="own.json", split=None, **values, **parameters
        )
        table = stored_answers(hide, samples() if asked is None else asked, methods, cfg, resolution=196)
        return table, row_sets(name, tmp_path / name / cfg.notebook)

    run.model = model
    return run


def test_a_sweep_runs_each_picture_once_and_answers_as_runs_alone_do(answered):
    answered.model.counts.clear()
    tables = [answered("a", VALUES[0], VALUES)[0]]
    prefills = answered.model.counts["prefills"]
    assert prefills == 2 + 1, "a prefill a picture, and one of the extraction's prompt"
    tables += [answered(name, values, VALUES)[0] for name, values in zip("bc", VALUES[1:], strict=True)]
    assert answered.model.counts["prefills"] == prefills, "their rows were there"
    for table, values in zip(tables[1:], VALUES[1:], strict=True):
        alone = evaluate(answered.model, samples(), METHODS, hide=HiDe(answered.model, **values), progress=False)
        assert table[COLUMNS].equals(alone[COLUMNS])
        assert not table[COLUMNS].equals(tables[0][COLUMNS])


def test_a_setting_outside_the_sweep_answers_for_itself(answered):
    hide = HiDe(answered.model, layer=0)
    assert of_sweep(hide, json.dumps(VALUES)) == [hide] == of_sweep(hide, None)
    assert [one.settings.layer for one in of_sweep(HiDe(answered.model, layer=1, sigma=1), json.dumps(VALUES))] == [
        1,
        2,
        1,
    ]


def test_runs_are_compared_by_the_rows_that_they_kept(answered):
    runs = [answered(name, values)[1] for name, values in (("a", VALUES[0]), ("b", VALUES[1]))]
    (together,), left = comparable(runs)
    table = comparison(together, ["direct", "hide"], "b")
    assert (
        left == []
        and table["run"].tolist() == ["a", "b"] * 2
        and table["method"].tolist() == ["direct"] * 2 + ["hide"] * 2
    )
    assert table["label"].tolist()[:2] == ["layer=1 (from 1: 2)", "layer=2 (from 1: 3)"]
    right = {one.run: one.table.set_index(["method", "sample_id"])["correct"].astype(float) for one in together}
    for row in table[table["run"] == "a"].itertuples():
        assert row.difference == (right["a"][row.method] - right["b"][row.method]).mean() and row.n == 2
    assert table.loc[table["run"] == "b", "difference"].isna().all()


def test_what_cannot_be_compared_is_refused_with_the_reason(answered):
    usual = answered("a", VALUES[0], methods=["direct"])[1]
    for name, said, changes in (
        ("b", "another protocol: protocol is 'strict' in a, 'last-char' in b", {"protocol": "last-char"}),
        ("c", "other samples: seed is 0 in a, 1 in c", {"seed": 1}),
        ("d", "other samples: 2 in a, 3 in d, 2 in both", {"asked": samples(3)}),
        ("e", "2 of 2 questions are of another question text in e", {"asked": samples(question="What is the dog?")}),
    ):
        with pytest.warns() if name == "e" else pytest.MonkeyPatch.context():
            other = answered(name, VALUES[0], methods=["direct"], **changes)[1]
        with pytest.raises(NotComparable, match=said):
            comparable([usual, other])
    with pytest.raises(ValueError, match="a kept no answers of rows"):
        row_sets("a", paths.RESULTS / "rows")
