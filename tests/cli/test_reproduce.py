"""`hide reproduce` end to end on a tiny checkpoint with small files of all three benchmarks."""

import json

import pandas as pd
import pytest
from benchmark_files import hrbench_rows, noise, write_json, write_tsv, write_vstar
from checkpoints import checkpoint

from hide_utils.benchmarks import loading
from hide_utils.cli.main import main
from hide_utils.evaluation import loop

ON = ("-p", "dtype", "float32", "-p", "device", "cpu", "-p", "protocol", "logits")


@pytest.fixture
def benchmarks(tmp_path, monkeypatch):
    """The folder with all three, where the project looks for them."""
    folder = tmp_path / "benchmarks"
    vstar = write_vstar(folder).rename(folder / "vstar")
    for number, note in enumerate(sorted(vstar.glob("*/*.json"))):
        fields = json.loads(note.read_text())
        note.with_suffix(".jpg").write_bytes(noise(number, 112))
        write_json(note, fields | {"bbox": [[10, 10 + 40 * i, 40, 30] for i in range(len(fields["bbox"]))]})
    for size, pictures in (("4k", 2), ("8k", 1)):
        (folder / f"hrbench{size}").mkdir()
        write_tsv(folder / f"hrbench{size}" / f"hr_bench_{size}.tsv", hrbench_rows(pictures, lambda i: noise(i, 64)))
    monkeypatch.setattr(loading, "FOLDER", folder)
    monkeypatch.setenv("HIDE_RESULTS", str(tmp_path / "results"))
    return folder


@pytest.fixture
def answered(monkeypatch):
    """(sample, method) of all that is answered; `stop_at` interrupts at the picture of that number."""
    original, seen = loop.answer_picture, []

    def answer_picture(hide, jobs, *rest):
        answered.pictures += 1
        if answered.pictures == answered.stop_at:
            raise KeyboardInterrupt
        seen.extend((sample.id, name) for sample, methods in jobs for name in methods)
        yield from original(hide, jobs, *rest)

    def answered():
        made = list(seen)
        seen.clear()
        return made

    answered.pictures, answered.stop_at = 0, None
    monkeypatch.setattr(loop, "answer_picture", answer_picture)
    return answered


def test_a_killed_run_goes_on_and_its_table_is_that_of_a_whole_one(benchmarks, answered, tmp_path, monkeypatch, capsys):
    model = checkpoint("qwen2_5_vl")
    command = ["reproduce", "--model", str(model), *ON]
    answered.stop_at = 6  # the second picture of HR-Bench 4K, behind two of V*Bench that are opened twice
    with pytest.raises(KeyboardInterrupt):
        main(command)
    said, first = capsys.readouterr().out, answered()
    assert "On one A100 (80 GB)" in said and "Assumed:" in said and len(first) == 2 * 15 + 4 * 3
    assert not list((tmp_path / "results").rglob("table.*"))
    with pytest.raises(SystemExit):
        main([*command, "--table"])
    assert "give the same command without --table" in " ".join(capsys.readouterr().err.split())

    assert main(command) == 0
    rest = answered()
    assert not set(first) & set(rest) and len(first) + len(rest) == 2 * 15 + (8 + 4) * 3
    said = capsys.readouterr().out
    assert "not known to be Qwen2.5-VL-7B" in said and "V* / deepeyes (trained)" in said
    (folder,) = (tmp_path / "results" / "reproduce").glob(f"{model.name}-*/")
    written = (folder / "table.csv").read_bytes()
    table = pd.read_csv(folder / "table.csv").set_index(["setting", "metric"])
    rows = pd.concat(map(pd.read_parquet, folder.parent.glob("hrbench4k-*.parquet")))
    right = rows[rows["method"] == "hide"].groupby("cycle")["correct"].apply(lambda of: of.astype(float).mean())
    cell = table.loc[("HR-Bench 4K / hide", "overall")]
    assert cell["measured"] == pytest.approx(100 * right.mean()) and (cell["n"], cell["published"]) == (8, 77.5)
    assert set(table["word"].dropna()) == {"undecided"}, "two pictures decide nothing"
    entry = json.loads((folder / "table.json").read_text())
    assert entry["benchmarks"]["vstar"]["n"] == 2 and set(entry["files"]) == {"table.csv", "table.md"}

    assert main(command) == 0 and answered() == [] and (folder / "table.csv").read_bytes() == written
    capsys.readouterr()
    assert main([*command, "--table"]) == 0
    assert "| main | V* / hide | overall | 92.1 |" in capsys.readouterr().out and answered() == []

    monkeypatch.setenv("HIDE_RESULTS", str(tmp_path / "whole"))
    assert main([*command, "--only", "main"]) == 0 and len(answered()) == (2 + 8 + 4) * 3
    (whole,) = (tmp_path / "whole" / "reproduce").glob("*/table.csv")
    whole = pd.read_csv(whole).set_index(["setting", "metric"])
    same = ["measured", "low", "high", "n", "word"]
    pd.testing.assert_frame_equal(whole[same], table.loc[whole.index, same])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "name a model: --preset qwen2_5_vl_7b"),
        (["--preset", "qwen2_5_vl7b"], "no preset 'qwen2_5_vl7b'; did you mean 'qwen2_5_vl_7b'?"),
        (["--model", "mini", "-p", "layr", "3"], "no parameter 'layr' in reproduce; did you mean 'layer'?"),
        (["--model", "mini", "-p", "alpha", "2"], "alpha"),
        (["--model", "mini", "-p", "split", "test"], "no parameter 'split' in reproduce"),
        (["--model", "mini", "-p", "model", "mini"], "given twice"),
        (["--preset", "qwen2_5_vl_7b"], "no config.json"),
    ],
)
def test_what_cannot_run_is_refused_before_a_model_is_loaded(benchmarks, capsys, words, says):
    with pytest.raises(SystemExit) as stop:
        main(["reproduce", *words])
    assert stop.value.code == 2 and says in " ".join(capsys.readouterr().err.split())


def test_every_benchmark_that_is_missing_is_named_with_its_place(benchmarks, tmp_path, monkeypatch, capsys):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(loading, "FOLDER", elsewhere)
    with pytest.raises(SystemExit):
        main(["reproduce", "--model", "mini"])
    said = " ".join(capsys.readouterr().err.split())
    assert all(f"into {elsewhere / name}" in said for name in ("vstar", "hrbench4k", "hrbench8k"))
    with pytest.raises(SystemExit):
        main(["reproduce", "--model", "mini", "--benchmarks", str(elsewhere)])
    assert str(elsewhere / "hrbench8k") in " ".join(capsys.readouterr().err.split())
