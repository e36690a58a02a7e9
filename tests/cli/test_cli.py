"""The front door: commands find their way, and wrong values are refused before a kernel starts."""

import io
import os
import shutil
import subprocess
import sys

import pytest
from benchmark_files import authors_row, write_json, write_vstar
from PIL import Image

from hide_utils import paths
from hide_utils.analyses import config_of
from hide_utils.cli import inputs, run
from hide_utils.cli import main as door
from hide_utils.notebooks import discover, inspect


def test_help_names_every_command_and_loads_nothing_heavy():
    code = "import sys; from hide_utils.cli.main import main; main(['--help']); print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert all(f"  {name} " in out for name in door.COMMANDS)
    assert out.splitlines()[-1] == "False"


def test_command_unknown_or_missing_is_said(capsys):
    assert door.main(["rnu"]) == 2
    assert "no command 'rnu'; did you mean 'run'" in capsys.readouterr().err
    assert door.main([]) == 2


def test_a_reader_that_has_seen_enough_gets_no_traceback():
    command = [sys.executable, "-m", "hide_utils", "list"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1) as run:
        run.stdout.readline()
        run.stdout.close()
        assert run.stderr.read() == ""


@pytest.mark.parametrize("module", ["hide_utils", "hide_utils.run"])
def test_both_ways_in_lead_to_the_runner(module):
    words = {"hide_utils": ["run", "77"], "hide_utils.run": ["77"]}[module]
    ended = subprocess.run([sys.executable, "-m", module, *words], capture_output=True, text=True)
    assert ended.returncode == 2
    assert "hide run: error: no notebook '77'" in ended.stderr


IMAGE = ("00", "-p", "question", "Is it?", "-p", "image")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["02", "-p", "sigma", "-1"], "02_layer_sweep: sigma: Input should be greater than or equal to 0, not -1"),
        (["05", "-p", "methods", "['hyde']"], "unknown method 'hyde'; did you mean 'hide'"),
        (["00", "-p", "n", "many"], "00_quickstart: n: Input should be a valid integer"),
        (["02", "-p", "layers", "5"], 'layers: Input should be a valid tuple, not 5; for example -p layers "[5, 8]"'),
        (["05", "-p", "methods", "hide"], "for example -p methods \"['direct', 'hide', 'oracle', 'random', "),
        (["05", "-p", "methods", "[direct, hide]"], "methods: Input should be a valid tuple, not '[direct, hide]'"),
        (["05", "-p", "n", "5", "-p", "n", "6"], "a parameter is given twice"),
        (
            [*IMAGE, "nowhere.jpg"],
            "image: no picture at nowhere.jpg: check the path (download web addresses first); for",
        ),
        ([*IMAGE, __file__], "is in no format that is read"),
        ([*IMAGE, str(paths.PRESETS)], "is a folder: give the path of one picture; for example -p image"),
        (["05", "-p", "benchmark", "vstr"], "benchmark: unknown benchmark 'vstr'; did you mean 'vstar'"),
        (["05", "-p", "benchmark", str(paths.PRESETS)], "presets holds no question file"),
        (["05", "-p", "model", "./nothing/here"], "model: there is no model folder nothing/here"),
        (
            ["05", "-p", "model", str(paths.PRESETS)],
            "holds no *.safetensors; put them there (no other format is read); for",
        ),
        (["05", "-p", "model", str(paths.PRESETS)], 'for example -p model "mini"'),
        (["00", "-p", "image", __file__], 'image needs question beside it; for example -p question "What color is'),
        (["00", "-p", "question", "Is it?"], 'question needs image beside it; for example -p image "photo.jpg"'),
        (["08", "-p", "options", "['a', 'b']"], "options needs question beside it; for example -p question"),
        (["02", "-p", "resolution", "10"], "resolution: resolution 10 must be a whole number from 64 to 8192"),
        (["05", "-p", "benchmark", "vstar", "-p", "n", "192"], "n = 192, but vstar has 191 questions; None takes all"),
        (["05", "-p", "benchmark", "vstar", "-p", "n", "192"], "for example -p n 191"),
        (["02", "-p", "benchmark", "hrbench4k", "-p", "n_calibration", "801"], "hrbench4k has 800 questions"),
        (
            ["00", "-p", "n", "0"],
            "00_quickstart: n: Input should be greater than or equal to 1, not 0; for example -p n",
        ),
        (["00", "-p", "n", "-3"], "not -3; for example -p n"),
        (
            ["00", "-p", "seed", "True"],
            "seed: Input should be something other than true or false, not True; for example",
        ),
        (["02", "-p", "layers", "[True]"], 'true or false, not [True]; for example -p layers "[5, 8]"'),
        (["00", "-p", "alpha", "nan"], "alpha: Input should be less than or equal to 1, not 'nan'; for example"),
        (["00", "-p", "sigma", "inf"], "sigma: Input should be a finite number, not 'inf'; for example -p sigma"),
        (["00", "-p", "sigma", "1,5"], "sigma: Input should be a valid number, not [1, 5]; for example -p sigma"),
    ],
)
def test_values_are_checked_as_the_notebook_would_before_anything_runs(words, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        run.main(words, notebooks=paths.NOTEBOOKS, runs=tmp_path / "runs")
    assert stop.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("notebook", sorted(discover(paths.NOTEBOOKS)))
def test_the_example_for_every_parameter_is_one_that_its_notebook_takes(notebook):
    kind, cell = config_of(notebook), inspect(paths.NOTEBOOKS / f"{notebook}.ipynb")
    defaults = {name: entry["default"] for name, entry in cell.items()}
    pair = {"image": "photo.jpg", "question": "Is it?"} if "image" in defaults else {}
    for name in set(defaults) - {"out"}:
        beside = {} if name == "sample" else pair  # which is shown instead of a picture
        kind.from_cell(defaults | beside | {name: inputs.example(kind, name, defaults[name])}, preset="")


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """Call it with the command line's words for what one notebook would be given; none is run."""
    runs = []
    monkeypatch.setattr(run, "executed", lambda runs_, *_, **__: runs.extend(runs_) or [])
    monkeypatch.chdir(tmp_path)

    def call(*words):
        assert run.main([str(word) for word in words], runs=tmp_path / "runs") == 0
        return runs.pop().parameters

    return call


@pytest.mark.parametrize("text", ["1984", "1.50", "1e3", "True", "[1, 2]", "1, 2", "007", "Is it red?"])
def test_text_stays_the_text_that_was_given(planned, tmp_path, text):
    Image.new("RGB", (8, 8)).save(tmp_path / "1984", "PNG")
    given = planned("08", "-p", "question", text, "-p", "image", "1984", "-p", "n", "3")
    assert (given["question"], given["image"], given["n"]) == (text, str(tmp_path / "1984"), 3)
    assert planned("08", "-p", "sample", text)["sample"] == text
    assert planned("08", "-p", "question", "None")["question"] is None
    assert planned("08", "-p", "question", "'None'")["question"] == "None"


@pytest.mark.parametrize(
    ("parameter", "text", "value"),
    [
        ("layers", "(1, 2)", [1, 2]),
        ("layers", "1, 2", [1, 2]),
        ("layers", "{2, 1}", [1, 2]),
        ("methods", "{'hide', 'direct'}", ["direct", "hide"]),
        ("methods", "('hide', 'direct')", ["hide", "direct"]),
    ],
)
def test_tuples_and_sets_arrive_as_lists(planned, parameter, text, value):
    assert planned({"layers": "02", "methods": "05"}[parameter], "-p", parameter, text)[parameter] == value


def test_a_benchmark_and_a_model_are_found_by_a_bare_name_and_from_a_preset(planned, tmp_path):
    for name in ("vstar", "scenes", "mini"):
        (tmp_path / name).mkdir()
    shutil.copytree(paths.MINI, tmp_path / "my.model")
    shutil.copytree(write_vstar(tmp_path), tmp_path / "mybench")
    write_json(tmp_path / "signs.json", [authors_row(0)])
    (tmp_path / "mine.yaml").write_text("benchmark: signs.json\nmodel: my.model\n")
    for given in ("mybench", "./mybench", tmp_path / "mybench"):
        assert planned("05", "-p", "benchmark", given)["benchmark"] == str(tmp_path / "mybench")
    for known in ("vstar", "scenes", "craigwu/vstar_bench"):
        assert planned("05", "-p", "benchmark", known)["benchmark"] == known, "as load_benchmark reads it"
    assert planned("05", "-p", "model", "mini")["model"] == "mini"
    assert planned("05", "-p", "model", "Qwen/Qwen2.5-VL-7B-Instruct")["model"] == "Qwen/Qwen2.5-VL-7B-Instruct"
    given = planned("05", "--preset", "mine.yaml")
    assert (given["benchmark"], given["model"]) == (str(tmp_path / "signs.json"), str(tmp_path / "my.model"))


@pytest.mark.parametrize(
    ("preset", "message"),
    [
        ("08_explorer: {sample: 1984}", "sample: Input should be a valid string, not 1984; preset mine.yaml says so"),
        ("08_explorer: {sample: 1984}", "where text in quotes stays text; for example -p sample"),
        ("08_explorer: {options: [true, false]}", "true or false, not [True, False]; preset mine.yaml says so"),
        ("benchmark: presets", "unknown benchmark 'presets'; known: "),  # a folder of that name lies in notebooks/
        ("benchmark: presets", "(or name a file or folder); preset mine.yaml says so"),
        ("n: true", "n: Input should be something other than true or false, not True; preset mine.yaml says so"),
        ("n: true", 'for example -p n "12"'),
        ("08_explorer: {image: mine.yaml}", "image needs question beside it; preset mine.yaml says so"),
        ("08_explorer: {image: mine.yaml}", 'for example -p question "What color is the bag?"'),
        ("08_explorer: {image: no.jpg, question: x}", "image: no picture at no.jpg: check the path"),
        (
            "08_explorer: {image: mine.yaml, question: x}",
            "header is damaged: save it again, say as PNG; preset mine.yaml",
        ),
    ],
)
def test_values_of_a_preset_are_refused_with_its_name(tmp_path, monkeypatch, capsys, preset, message):
    (tmp_path / "mine.yaml").write_text(preset)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        run.main(["08", "--preset", "mine.yaml"], runs=tmp_path / "runs")
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_number_of_questions_is_refused_from_the_command_line_and_taken_from_a_preset(planned, tmp_path, capsys):
    """A preset's n, and a notebook's own, are meant for any benchmark; `load_benchmark` says that there are fewer."""
    write_vstar(tmp_path)
    write_json(tmp_path / "signs.json", [authors_row(i) for i in range(3)])
    (tmp_path / "mine.yaml").write_text("n: 500\nbenchmark: signs.json")
    assert planned("05", "--preset", "mine.yaml")["n"] == 500
    assert planned("05", "-p", "benchmark", "signs.json")["benchmark"] == str(tmp_path / "signs.json")
    assert planned("05", "-p", "benchmark", "signs.json", "-p", "n", "3")["n"] == 3
    assert planned("05", "-p", "n", "100000")["n"] == 100000, "scenes have no end"
    with pytest.raises(SystemExit):
        planned("05", "-p", "benchmark", "signs.json", "-p", "n", "4")
    assert "signs.json has 3 questions; None takes all, for example -p n 3" in capsys.readouterr().err


def test_a_malformed_benchmark_is_refused_before_a_kernel_starts(planned, tmp_path, capsys):
    write_vstar(tmp_path)
    write_json(tmp_path / "signs.json", [authors_row(0) | {"labels": "(Z)"}])
    with pytest.raises(SystemExit):
        planned("05", "-p", "benchmark", "signs.json")
    assert "05_benchmarks: benchmark: " in (said := capsys.readouterr().err) and "labels" in said


def test_dates_yes_and_no_of_a_preset_are_texts(planned, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "08_explorer:\n  sample: 2024-05-01\n  question: on\n  options: [yes, no]\n  noise_prior: no\n"
    )
    given = planned("08", "--preset", "mine.yaml")
    assert (given["sample"], given["question"], given["options"]) == ("2024-05-01", "on", ["yes", "no"])
    assert config_of("08_explorer")(**given).noise_prior is False


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "gbk"])
def test_a_terminal_that_lacks_characters_gets_others_in_their_place(encoding, monkeypatch):
    """In this process, whose streams take the terminal's place: a start of its own is the next test's."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    assert door.main(["list"]) == 0
    shown, complaints = (stream.buffer.getvalue().decode(encoding) for stream in streams)
    assert "05_benchmarks: " in shown and not complaints


def test_the_older_way_in_lists_on_a_terminal_that_lacks_characters():
    command = [sys.executable, "-m", "hide_utils.run", "--list"]
    ended = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert ended.returncode == 0 and not ended.stderr
    assert "05_benchmarks: " in ended.stdout.decode("ascii")
