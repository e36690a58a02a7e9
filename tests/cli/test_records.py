"""Folders of runs, what is kept of them, and who may write committed figures."""

import json
import os
import subprocess
import sys

import nbformat
import pandas as pd
import pytest
from fake_notebooks import printed, write
from nbclient import NotebookClient

from hide_utils import paths, report
from hide_utils.cli import run as runner
from hide_utils.cli.records import Run, folder_name, read
from hide_utils.evaluation.saving import output_folder
from hide_utils.files import replace_files
from hide_utils.report import main as report_main

# As `save_table` does, without the seconds that its import takes.
SAVE = """import os, pathlib
for name in ("a", "b"):
    path = pathlib.Path(os.environ["HIDE_STAGING"]) / "00_start" / f"{name}.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"n\\n{n}")
    assert n != 13 or name == "a", "half of them is written"
"""
SAVE_TABLE = """import pandas as pd
from hide_utils.evaluation.saving import save_table
for name in ("a", "b"):
    save_table(pd.DataFrame({"n": [n]}), name, "00_start", {"clock": "utc"})
"""


def tables(folder):
    """The numbers in the tables of a folder of figures."""
    return {path.stem: pd.read_csv(path)["n"].item() for path in folder.glob("00_start/*.csv")}


def test_runs_with_other_values_have_folders_of_their_own(project):
    write(project.notebooks, "00_start", SAVE)
    for words in ((), ("-p", "n", "5"), ("--name", "mine", "-p", "n", "6"), ("-p", "n", "5")):
        assert project("00_start", *words) == 0
    found = {folder.name: tables(folder / "figures") for folder in project.runs.iterdir()}
    hashed = {name.split("-")[0]: folder for name, folder in found.items() if "-" in name}
    assert found["mini"] == {"a": 400, "b": 400} and len(found) == 3
    assert hashed == {"mini": {"a": 5, "b": 5}, "mine": {"a": 6, "b": 6}}


@pytest.fixture
def named(monkeypatch, tmp_path):
    """Call it with the words for a run of a notebook of the project; returns its folder's name. Nothing is run."""
    planned = []
    monkeypatch.setattr(runner, "executed", lambda runs, *_, **__: planned.extend(runs) or [])

    def call(*words):
        planned.clear()
        runner.main([str(word) for word in words], runs=tmp_path / "runs")
        assert len({run.output.parent for run in planned}) == 1
        return planned[0].output.parent.name

    return call


def test_a_folder_s_name_follows_from_what_differs_however_it_is_written(named, tmp_path):
    assert named("02", "-p", "sigma", "3") == named("02", "-p", "sigma", "3.0") != named("02", "-p", "sigma", "2")
    assert named("02", "-p", "layers", "(1, 2)") == named("02", "-p", "layers", "[1, 2]")
    assert named("02", "-p", "seed", "1", "-p", "n", "3") == named("02", "-p", "n", "3", "-p", "seed", "1")
    assert named("02", "--preset", "smoke") == "smoke" and named("02", "--name", "a.b") == "a.b"
    preset = runner.load_preset("smoke")
    own = (preset | preset["02_layer_sweep"])["n"]
    assert named("02", "--preset", "smoke", "-p", "n", own) == "smoke", "the preset's own value differs in nothing"
    one, other = (named("02", "--name", "mine", *words) for words in ((), ("--preset", "smoke")))
    assert one == "mine" and other.startswith("mine-"), "another preset's values differ"
    (tmp_path / "mine.yaml").write_text("model: /not/on/this/machine")
    assert named("02", "--preset", tmp_path / "mine.yaml", "-p", "model", "mini").startswith("mine-")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--name", "../x"), "letters, digits"),
        (("--name", ""), "letters, digits"),
        (("--name", "a/b"), "letters, digits"),
        (("--name", ".."), "letters, digits"),
        (("--name", "x" * 65), "letters, digits"),
        (("--name", "mini-0123abcd"), "letters, digits"),
        (("--name", "tiny"), "the name 'tiny' is kept for other runs"),
        (("--name", "Tiny"), "the name 'Tiny' is kept for other runs"),
        (("--name", "by-hand"), "the name 'by-hand' is kept for other runs"),
        (("--name", "in-place"), "the name 'in-place' is kept for other runs"),
        (("--preset", "by-hand"), "the name 'by-hand' is kept for other runs"),
        (("--name", "mine", "--inplace"), "takes no --name"),
    ],
)
def test_names_that_cannot_be_a_run_s_are_refused(project, capsys, words, message):
    (project.notebooks / "presets" / "by-hand.yaml").write_text("n: 3")
    with pytest.raises(SystemExit):
        project("00_start", *words)
    assert message in capsys.readouterr().err and not project.runs.exists()


@pytest.mark.parametrize("inplace", [False, True])
def test_a_failed_run_leaves_the_good_one_and_lies_beside_it(project, capsys, inplace):
    words, folder = ("00_start", *["--inplace"] * inplace), project.runs / ("in-place" if inplace else "mini")
    figures = paths.FIGURES if inplace else folder / "figures"
    write(project.notebooks, "00_start", SAVE, "print('good')")
    assert project(*words) == 0
    good = (project.notebooks if inplace else folder) / "00_start.ipynb"
    assert os.path.relpath(good) in (out := capsys.readouterr().out) and os.path.relpath(figures) in out
    write(project.notebooks, "00_start", "n = 13\n" + SAVE)
    before = {path: path.read_bytes() for path in (good, *figures.rglob("*.*"))}
    assert len(before) == 3
    assert project(*words) == 1
    assert {path: path.read_bytes() for path in (good, *figures.rglob("*.*"))} == before
    out = capsys.readouterr().out
    failed = folder / "00_start.failed.ipynb"
    assert (
        f"In [{3 - inplace}] of {os.path.relpath(failed)}" in out and "AssertionError: half of them is written" in out
    )
    assert failed.is_file() and "left the earlier ones" in out
    record = read(folder / "00_start.json")
    assert (record.status, record.output) == ("failed", failed)
    project("--list")
    assert ("; an earlier good run is kept" in capsys.readouterr().out) is not inplace, "in place git has it"
    write(project.notebooks, "00_start", "n = 7\n" + SAVE)
    assert project(*words) == 0
    assert tables(figures) == {"a": 7, "b": 7} and not failed.exists()
    assert read(folder / "00_start.json").status == "ok"


def test_what_is_there_whole_is_replaced_whole_or_not_at_all(tmp_path):
    new = {tmp_path / name: tmp_path / f"new-{name}" for name in "ab"}
    for number, (old, file) in enumerate(new.items()):
        old.write_text("old")
        file.write_text(f"new {number}")
    missing = new | {tmp_path / "deep" / "c": tmp_path / "nowhere"}
    with pytest.raises(FileNotFoundError):
        replace_files(missing)
    assert [path.read_text() for path in new] == ["old", "old"]
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]
    replace_files(new)
    assert [path.read_text() for path in new] == ["new 0", "new 1"]


def test_a_sidecar_that_says_the_same_stays_and_the_report_s_own_files_find_their_place(project, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    source = """import os, pathlib, json
folder = pathlib.Path(os.environ["HIDE_STAGING"])
(folder / "tables").mkdir()
(folder / "tables" / "new.csv").write_text("1")
(folder / "README.md").write_text("new")
(folder / "a.json").write_text(json.dumps({"files": {}, "utc": os.urandom(4).hex()}))"""
    write(project.notebooks, "09_report", source)
    old = paths.FIGURES / "tables" / "old.csv"
    old.parent.mkdir(parents=True)
    old.touch()
    assert project("09_report", "--inplace") == 0
    assert (tmp_path / "README.md").read_text() == "new" and not (paths.FIGURES / "README.md").exists()
    assert [path.name for path in old.parent.iterdir()] == ["new.csv"]
    first = (paths.FIGURES / "a.json").read_bytes()
    assert project("09_report", "--inplace") == 0
    assert (paths.FIGURES / "a.json").read_bytes() == first


def test_other_kernels_write_below_runs_and_say_so_once(tmp_path, monkeypatch):
    code = "from hide_utils import paths\nfrom pathlib import Path\n"
    code += "paths.RUNS, paths.FIGURES = Path('runs').resolve(), Path('figures').resolve()\nn = 2\n" + SAVE_TABLE
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    for name in ("HIDE_FIGURES", "HIDE_STAGING"):  # left over in the shell: not for this kernel
        monkeypatch.setenv(name, str(tmp_path / "figures"))
    (tmp_path / "figures").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(paths.ROOT))
    NotebookClient(book, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    nbformat.write(book, tmp_path / "book.ipynb")
    said = printed(tmp_path / "book.ipynb").splitlines()
    assert len(said) == 1 and said[0].startswith("Figures and tables go to ") and "--inplace" in said[0]
    assert tables(tmp_path / "runs" / "by-hand" / "mini" / "figures") == {"a": 2, "b": 2}
    assert not list((tmp_path / "figures").iterdir())


def test_where_a_process_writes(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(paths, "RUNS", tmp_path / "runs")
    by_hand = tmp_path / "runs" / "by-hand"
    assert output_folder() == by_hand / "mini" / "figures"
    monkeypatch.setenv("HIDE_STAGING", str(tmp_path / "gone"))  # of a runner that has ended
    assert output_folder() == by_hand / "mini" / "figures"
    monkeypatch.setenv("HIDE_STAGING", str(paths.FIGURES / "05_benchmarks"))
    assert output_folder() == by_hand / "mini" / "figures"
    (tmp_path / "link").symlink_to(paths.FIGURES)
    monkeypatch.setenv("HIDE_FIGURES", str(tmp_path / "link"))
    assert output_folder() == by_hand / "mini" / "figures"
    monkeypatch.setenv("HIDE_FIGURES", str(tmp_path / "mine"))
    assert output_folder() == tmp_path / "mine"
    monkeypatch.delenv("HIDE_FIGURES")
    monkeypatch.setenv("HIDE_PRESET", "smoke")
    assert output_folder() == by_hand / "smoke" / "figures", "a run of the runner keeps its figures"
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_report_that_a_kernel_writes_leaves_committed_tables_and_readme(monkeypatch, tmp_path):
    monkeypatch.setenv("HIDE_STAGING", str(tmp_path))
    monkeypatch.setattr(report, "write_html", lambda blocks, path: path)
    monkeypatch.setattr(report, "write_pdf", lambda blocks, path, figures: path)
    for figures in (paths.FIGURES, paths.figures_folder()):
        written = report.write_report(figures, tmp_path, [])
        assert written[-1] == tmp_path / "README.md"
        assert written[-1].read_text(encoding="utf-8") == report.README.read_text(encoding="utf-8")


def test_list_shows_runs_and_names_records_that_it_cannot_read(project, capsys):
    entry = {"notebook": "00_start.ipynb", "code": "1", "preset": "tiny", "differs": {"n": 9, "options": ["a b", "c"]}}
    whole = entry | {"status": "ok", "started": "2026-03-01T10:00:00Z", "seconds": 2.04}
    contents = {
        "tiny-00000001/00_start.json": json.dumps(whole),
        "tiny/00_start.json": json.dumps(whole | {"differs": [1]}),
        "tiny/01_broken.json": '{"status": "o',
        "tiny/02_end.json": json.dumps({"state": "done", "preset": "tiny"}),
        "tiny/03_list.json": "[1]",
        "tiny/04_bytes.json": "\ud800",
        "killed/00_start.json": json.dumps(whole | {"status": "running", "started": "2026-02-01T10:00:00"}),
        "history.json": json.dumps({"00_start": {"state": "done", "utc": "2026"}}),
        "older/00_start.ipynb": "{}",
        "older/00_start.failed.ipynb": "{}",
    }
    for name, text in contents.items():
        (project.runs / name).parent.mkdir(parents=True, exist_ok=True)
        (project.runs / name).write_bytes(text.encode(errors="surrogatepass"))
    assert project("--list") == 0
    out = capsys.readouterr().out
    assert '00_start: ok 2026-03-01 10:00 in 2.0 s, preset tiny -p n 9 -p options \'["a b", "c"]\'; its code' in out
    lines = {tuple(line.split()[:2]): line for line in out[out.index("Runs in") :].splitlines()[1:]}
    assert len(lines) == 9
    assert "ok 2026-03-01" in lines["tiny-00000001", "00_start"]
    assert "running, or killed" in lines["killed", "00_start"]
    damaged = [key for key, line in lines.items() if "damaged or of an older version" in line]
    assert len(damaged) == 6 and ("runs", "history") in damaged
    assert "without a record" in lines["older", "00_start"]


def test_list_loads_no_torch(tmp_path):
    code = "import sys; from hide_utils.cli.main import main; main(['list']); print('torch' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "False" and "05_benchmarks: " in ended.stdout


def test_a_report_takes_the_name_of_a_run_and_says_where_there_is_none(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(paths, "RUNS", tmp_path)
    folder = tmp_path / folder_name("smoke", None, {"n": 3}) / "figures"
    written = []
    monkeypatch.setattr("hide_utils.report.write_report", lambda figures, into: written.append(figures) or [])
    with pytest.raises(SystemExit):
        report_main(["--preset", folder.parent.name])
    assert "is not there; `hide list` shows the runs" in capsys.readouterr().err
    folder.mkdir(parents=True)
    assert report_main(["--preset", folder.parent.name]) == 0 and written == [folder]


def test_a_run_s_record_says_what_it_was(project):
    assert project("02_end", "--preset", "tiny", "-p", "layer", "4") == 0
    (path,) = project.runs.glob("*/02_end.json")
    run = Run.model_validate_json(path.read_bytes())
    assert (run.preset, run.differs, run.status) == ("tiny", {"layer": 4}, "ok") and run.seconds > 0
    assert run.notebook == project.notebooks / "02_end.ipynb"
    assert run.output == path.with_suffix(".ipynb") and run.figures == path.parent / "figures"


def test_rows_that_a_notebook_used_stay_with_its_run_but_not_in_place(project):
    cell = "import os\nfrom pathlib import Path\nfolder = os.environ.get('HIDE_ROWS')\nprint(folder is None)\n"
    cell += "if folder:\n    place = Path(folder) / '00_start'\n    place.mkdir(parents=True)\n"
    cell += "    (place / '00-a.parquet').touch()"
    write(project.notebooks, "00_start", cell)
    kept = project.runs / "mini" / "rows" / "00_start"
    kept.mkdir(parents=True)
    (kept / "01-of-an-earlier-run.parquet").touch()
    assert project("00_start") == 0
    assert [path.name for path in kept.iterdir()] == ["00-a.parquet"]
    assert read(kept.parents[1] / "00_start.json").rows == kept
    assert project("00_start", "--inplace") == 0 and printed(project.notebooks / "00_start.ipynb") == "True\n"
    assert not list(project.runs.glob("in-place/rows"))
