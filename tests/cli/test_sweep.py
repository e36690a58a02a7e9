"""`hide sweep` and `hide compare`, with notebooks whose answers are made up."""

import json

import pandas as pd
import pytest
from fake_notebooks import write

from hide_utils import paths
from hide_utils.cli import compare, gallery, run, sweep
from hide_utils.evaluation.answers import empty_row
from hide_utils.evaluation.store import ResultStore
from hide_utils.samples import Sample

SETTINGS = {"rows": "answers", "draw": {}, "benchmark": "own.json", "split": None, "seed": 0, "protocol": "strict"}
SETTINGS |= {"model": "mini", "alpha": 0.7}


def keep(planned, right, **settings):
    """The rows of a run that answers as many of 40 questions right."""
    about = {"question": "Which?", "options": ["a", "b"], "label": "A", "kind": "color", "render": lambda: None}
    rows = [empty_row(Sample(f"s{i}", **about), "hide") | {"correct": i < right, "letter": "A"} for i in range(40)]
    with ResultStore(planned.rows / "00-answers.parquet", SETTINGS | settings) as store:
        store.append([row | {"content": "question=1"} for row in rows])


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A notebook with layer and sigma; its run at layer k answers 10 + 3 k of 40 right, and takes no kernel."""
    folder = tmp_path / "notebooks"
    (folder / "presets").mkdir(parents=True)
    write(folder, "05_benchmarks", "1", parameters="layer = None\nsigma = 3.0\nn = 40")
    (folder / "presets" / "mini.yaml").write_text("n: 40")
    for name, place in (("PRESETS", "notebooks/presets"), ("RESULTS", "results"), ("FIGURES", "figures")):
        monkeypatch.setattr(paths, name, tmp_path / place)
    monkeypatch.setattr(run, "config_of", lambda name: None)
    ran = []

    def executed(planned, jobs, *, inplace):
        for one in planned:
            ran.append((one.parameters["layer"], json.loads(run.os.environ["HIDE_SWEEP"])))
            layer = 5 if one.parameters["layer"] is None else one.parameters["layer"]
            one.status = "interrupted" if one.parameters["layer"] in project.stops else "ok"
            if one.status == "ok":
                keep(one, 10 + 3 * layer, layer=layer, sigma=one.parameters.get("sigma", 3.0))
            yield one

    monkeypatch.setattr(run, "executed", executed)

    def project(*words, of=sweep):
        more = {"notebooks": folder} if of is sweep else {}
        return of.main([str(word) for word in words], runs=tmp_path / "runs", **more)

    project.ran, project.stops, project.runs = ran, set(), tmp_path / "runs"
    return project


def comparisons():
    return sorted((paths.RESULTS / "comparisons").glob("*"))


def test_a_sweep_ends_in_a_paired_table_and_a_forest(project, capsys):
    assert project("05", "-p", "layer", 2, 5, 8, "-p", "sigma", 1) == 0
    out = capsys.readouterr().out
    assert [layer for layer, _ in project.ran] == [2, 5, 8]
    assert project.ran[0][1] == [{"layer": 2}, {"layer": 5}, {"layer": 8}], "what its kernels share a prefill for"
    (folder,) = comparisons()
    assert {path.name for path in folder.iterdir()} >= {
        "comparison.csv",
        "comparison.pdf",
        "comparison.png",
        "sweep.json",
    }
    table = pd.read_csv(folder / "comparison.csv").set_index("label")
    assert table["accuracy"].tolist() == [16 / 40, 25 / 40, 34 / 40]
    assert table["difference"].tolist()[1:] == pytest.approx([9 / 40, 18 / 40]) and table["gained"].tolist()[1:] == [
        9,
        18,
    ]
    assert table["p"].tolist()[1:] == pytest.approx([2 * 0.5**9, 2 * 0.5**18])  # McNemar: all of them one way
    assert table["p_holm"].tolist()[1:] == pytest.approx([2 * 0.5**9, 4 * 0.5**18])
    assert "layer=8 (from 1: 9)" in out and "+45.0 [" in out
    assert len({path.name for path in project.runs.iterdir()}) == 3


def test_an_interrupted_sweep_goes_on_and_the_default_is_the_reference(project, capsys):
    project.stops = {8}
    words = ("05", "-p", "layer", 2, "None", 8)
    assert project(*words) == 130 and "the same command goes on" in capsys.readouterr().out
    project.stops = set()
    assert project(*words) == 0
    assert [layer for layer, _ in project.ran] == [2, None, 8, 8]
    assert "Differences in points to layer-None, on the same samples" in capsys.readouterr().out
    assert project(*words) == 0 and len(project.ran) == 4 + 3, "a finished one is made anew"


def test_runs_of_different_days_are_compared_by_name(project, capsys):
    for layer in (2, 8):
        project("05", "-p", "layer", layer, 5)
    assert project("layer-2", "layer-8", "--name", "days", of=compare) == 0
    table = pd.read_csv(paths.RESULTS / "comparisons" / "days" / "comparison.csv")
    assert table["accuracy"].tolist() == [16 / 40, 34 / 40]
    record = next(project.runs.glob("layer-8*/05_benchmarks.json"))
    (kept,) = record.parent.glob("rows/*/*.parquet")
    kept.unlink()
    keep(sweep.read(record), 40, layer=8, sigma=3.0, protocol="last-char")
    for words, said in (
        (("layer-2", "layer-8"), "another protocol: protocol is 'strict' in layer-2"),
        (("layer-2", "lyer-8"), "no run 'lyer-8'; known: layer-2"),
        (("layer", "layer-8"), "several runs begin so: layer-2"),
        (("layer-2",), "name at least two runs"),
        (("layer-2", "layer-2"), "a run is named twice"),
        (("layer-2", "layer-5", "--method", "oracle"), "has no answers of oracle; there are some of hide"),
    ):
        with pytest.raises(SystemExit):
            project(*words, of=compare)
        assert said in capsys.readouterr().err, words


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["05", "-p", "layer", "5"], "nothing to sweep: give a parameter several values"),
        (["05", "-p", "n", "20", "40"], "runs with other values of n answer other questions"),
        (["05", "-p", "layer", "5", "5"], "-p layer: give each name once, with values that differ"),
        (["05", "-p", "layr", "5", "8"], "no parameter 'layr' in 05_benchmarks; did you mean 'layer'"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_runs(project, capsys, words, message):
    with pytest.raises(SystemExit):
        project(*words)
    assert message in capsys.readouterr().err and not project.ran


def test_a_run_whose_benchmark_is_gone_has_a_gallery_of_its_replies(project, capsys):
    project("05", "-p", "layer", 2, 8)
    assert project("layer-2", of=gallery) == 0
    out = capsys.readouterr().out
    assert "24 cases" in out and "no picture and no question: " in out and "own.json" in out
    (page,) = (paths.RESULTS / "galleries").glob("*.html")
    assert page.name.endswith("-hide-failures.html") and page.read_text().count('"id": "s') == 24
