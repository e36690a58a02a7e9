import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from fake_notebooks import REPORT, printed, write
from nbformat.v4 import new_code_cell, new_notebook

from hide_utils import paths
from hide_utils.cli.run import select_notebooks
from hide_utils.notebooks import discover, inspect, strip


def refused(project, capsys, *words):
    with pytest.raises(SystemExit) as stop:
        project(*words)
    assert stop.value.code == 2
    assert not project.runs.exists(), "nothing was run"
    return capsys.readouterr().err


def test_all_run_in_order_with_the_preset_and_a_failure_does_not_stop_the_rest(project, capfd):
    assert project("all", "--preset", "tiny") == 1
    out, err = capfd.readouterr()
    assert "WARNING" not in err
    assert "In [3] of" in out
    assert "x / y" in out
    assert "ZeroDivisionError: division by zero" in out
    table = [line.split() for line in out[out.index("notebook ") :].splitlines()]
    assert [line[:2] for line in table[1:4]] == [["00_start", "ok"], ["01_broken", "failed"], ["02_end", "ok"]]
    assert all(float(line[2]) > 0 for line in table[1:4])
    first, last = (printed(project.runs / "tiny" / f"{name}.ipynb") for name in ("00_start", "02_end"))
    assert first.startswith("3 mini None\n")
    assert last.startswith("5 mini 2\n"), "the notebook's own section comes on top"
    figures = project.runs / "tiny" / "figures"
    assert first.splitlines()[1:] == [sys.executable, f"None {figures} {project.notebooks}"]


def test_two_at_a_time_really_overlap_and_the_report_waits_for_all(project, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    meet = "from pathlib import Path\nimport time\nPath('../{}').touch()\n"
    meet += "while not Path('../{}').exists(): time.sleep(0.05)"
    write(project.notebooks, "00_start", meet.format("a", "b"))
    write(project.notebooks, "01_broken", meet.format("b", "a"), "time.sleep(1)\nPath('../done').touch()")
    write(
        project.notebooks,
        "02_end",
        "import os\nassert int(os.environ['OMP_NUM_THREADS']) == max(os.cpu_count() // 2, 1)",
    )
    write(project.notebooks, "09_report", "from pathlib import Path\nassert Path('../done').exists()")
    write(project.notebooks, "10_last", "1 + 1")
    here = Path.cwd()
    assert project("all", "--jobs", "2") == 0
    assert Path.cwd() == here, "each kernel is in its notebook's folder, and this program where it was"
    begun = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.endswith(" begins")]
    assert begun[-1] == "09_report"
    assert "OMP_NUM_THREADS" not in os.environ


def test_jobs_must_be_a_number(project, capsys):
    assert "want a whole number from 1, not 'two'" in refused(project, capsys, "all", "--jobs", "two")


def test_interrupt_ends_the_kernels_and_says_what_was_left(project, tmp_path):
    """Ctrl-C, as a user's terminal sends it, while one notebook runs and others wait."""
    write(
        project.notebooks, "00_start", "import os, time\nopen('../pid', 'w').write(str(os.getpid()))\ntime.sleep(600)"
    )
    code = (  # nothing is loaded that checks parameters of the project's own notebooks: it takes ten times as long
        "import sys; from pathlib import Path; from types import SimpleNamespace; from hide_utils import paths; "
        "from hide_utils.cli import run; folder = Path(sys.argv[1]); run.config_of = lambda name: None; "
        "inputs = SimpleNamespace(checked=None, typed=None, from_here=lambda name, value: value); "
        "sys.modules['hide_utils.cli.inputs'] = inputs; "
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "  # background jobs ignore it
        "paths.PRESETS = folder / 'presets'; sys.exit(run.main(['all'], notebooks=folder, runs=Path(sys.argv[2])))"
    )
    command = [sys.executable, "-c", code, project.notebooks, project.runs]
    runner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    pid = tmp_path / "pid"
    while runner.poll() is None and not (pid.exists() and pid.read_text()):
        time.sleep(0.05)
    runner.send_signal(signal.SIGINT)
    out, _ = runner.communicate(timeout=60)
    assert runner.returncode == 130
    table = [line.split()[:2] for line in out[out.index("notebook ") :].splitlines()[1:3]]
    assert table == [["00_start", "interrupted"], ["01_broken", "not"]]
    assert not psutil.pid_exists(int(pid.read_text()))


def test_value_given_by_hand_beats_the_preset_and_keeps_its_type(project, capsys):
    words = ("00", "02_end", "--preset", "tiny", "-p", "n", "9", "-p", "sigma", "1e-3", "-p", "model", "a/b-c")
    write(project.notebooks, "00_start", "print(n + 1, sigma / 2, model)")
    assert project(*words) == 0
    assert printed(project.book("00_start")) == "10 0.0005 a/b-c\n"
    assert "has no parameter 'sigma': run without it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["00", "-p", "simga", "3"], "no parameter 'simga' in 00_start; did you mean 'sigma'"),
        (["02", "-p", "sigma", "3"], "no parameter 'sigma' in 02_end; known: layer, model, n"),
        (["00_strat"], "no notebook '00_strat'; did you mean '00_start'"),
        (["all", "--preset", "tinny"], "no preset 'tinny'; did you mean 'tiny'"),
        ([], "name the notebooks to run"),
        (["00", "--inplace", "-p", "n", "3"], "00_start has n = 400 in its parameters cell, not 3"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_runs(project, capsys, words, message):
    assert message in refused(project, capsys, *words)


def test_preset_s_sections_must_be_notebooks_with_those_parameters(project, capsys):
    preset = project.notebooks / "presets" / "bad.yaml"
    preset.write_text("03_edn: {n: 5}")
    assert "no notebook '03_edn'; did you mean '02_end'" in refused(project, capsys, "all", "--preset", "bad")
    preset.write_text("02_end: {lyer: 5}")
    assert "no parameter 'lyer'; did you mean 'layer'" in refused(project, capsys, "all", "--preset", preset)


def test_inplace_writes_back_clean_notebooks_and_a_rerun_changes_nothing(project, monkeypatch):
    monkeypatch.setenv("HIDE_PRESET", "tiny")  # of the shell: not for notebooks that the runner runs
    write(project.notebooks, "02_end", REPORT + "\nimport pandas as pd\npd.DataFrame({'a': [1]}).style")
    broken = (project.notebooks / "01_broken.ipynb").read_bytes()
    assert project("all", "--inplace") == 1
    assert os.environ["HIDE_PRESET"] == "tiny", "the caller's environment is as it was"
    path = project.notebooks / "02_end.ipynb"
    assert printed(path) == f"400 mini None\n{sys.executable}\nNone {paths.FIGURES} {project.notebooks}\n"
    book = json.loads(path.read_text())
    assert set(book["metadata"]) == {"kernelspec", "language_info"}
    assert [cell["metadata"] for cell in book["cells"]] == [{}, {"tags": ["parameters"]}, {}]
    assert [cell["execution_count"] for cell in book["cells"][1:]] == [1, 2]
    assert (project.notebooks / "01_broken.ipynb").read_bytes() == broken, "a failed run stays out"
    left = {path.name for path in (project.runs / "in-place").iterdir()}
    assert left == {"00_start.json", "01_broken.json", "01_broken.failed.ipynb", "02_end.json"}
    first = path.read_bytes()
    assert b"T_00000_row0_col0" in first, "pandas draws another number for a styled table at every run"
    assert project("02_end", "--inplace") == 0
    assert path.read_bytes() == first


def test_kernel_of_the_user_s_own_does_not_shadow_this_python(project, tmp_path, monkeypatch):
    spec = tmp_path / "home" / "jupyter" / "kernels" / "python3"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(
        json.dumps({"argv": ["/nowhere/python", "{connection_file}"], "language": "python", "display_name": "mine"})
    )
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "home" / "jupyter"))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    assert project("00_start") == 0
    assert printed(project.runs / "mini" / "00_start.ipynb").splitlines()[1] == sys.executable


def test_dead_kernel_is_a_failure_of_that_notebook_alone(project, capsys):
    write(project.notebooks, "01_broken", "import os; os._exit(3)")
    assert project("01", "02") == 1
    out = capsys.readouterr().out
    assert "DeadKernelError" in out
    assert "02_end     ok" in out


def test_list_shows_parameters_meanings_defaults_and_the_last_run(project, capsys):
    assert project("00_start", "-p", "n", "2") == 0
    capsys.readouterr()
    assert project("--list") == 0
    out = capsys.readouterr().out
    assert "00_start: ok 2" in out
    assert "preset mini -p n 2" in out
    assert "02_end: never run here" in out
    assert any(line.split() == "n = 400 number of samples".split() for line in out.splitlines())
    assert any(line.split() == "layer = None counted from 0".split() for line in out.splitlines())


def test_list_says_what_a_notebook_is_about_and_whether_it_changed_since_it_ran(project, capsys):
    assert project("00_start", "02_end") == 0
    write(project.notebooks, "02_end", REPORT, "print(1)")
    capsys.readouterr()
    assert project("--list") == 0
    first, _, last = re.split(r"^(?=\d\d_)", capsys.readouterr().out, flags=re.MULTILINE)[1:]
    assert first.splitlines()[1] == "    title"
    assert "changed since" not in first
    assert last.splitlines()[0].endswith("; its code has changed since")


def test_paths_are_those_of_the_caller_s_folder(project, tmp_path, monkeypatch):
    cell = "image = None\nout = None\nmodel = 'mini'\nbenchmark = 'scenes'"
    write(project.notebooks, "00_start", "print(image, out, model, benchmark, sep='|')", parameters=cell)
    here = tmp_path / "here"
    (here / "my").mkdir(parents=True)
    (here / "mini").mkdir()
    (here / "a.jpg").touch()
    monkeypatch.chdir(here)
    words = ("-p", "image", "a.jpg", "-p", "out", "my/x.parquet", "-p", "model", "./my")
    assert project("00_start", *words, "-p", "benchmark", "vstar") == 0
    first = project.book("00_start")
    printed_paths = printed(first).strip().split("|")
    assert printed_paths == [str(here / "a.jpg"), str(here / "my" / "x.parquet"), str(here / "my"), "vstar"]
    assert project("00_start", "-p", "model", "mini", "-p", "benchmark", "craigwu/vstar_bench") == 0
    (other,) = set(project.runs.glob("*/00_start.ipynb")) - {first}
    assert printed(other) == "None|None|mini|craigwu/vstar_bench\n"


def test_copy_of_a_run_keeps_no_widget_either(project):
    source = "import ipywidgets\nfrom IPython.display import display\ndisplay(ipywidgets.IntSlider())\nprint('after')"
    write(project.notebooks, "00_start", source)
    assert project("00_start", "-p", "n", "2") == 0
    path = project.book("00_start")
    assert printed(path) == "after\n"
    assert "widget" not in path.read_text().replace("ipywidgets", "")
    book = nbformat.read(path, as_version=4)
    assert ["injected-parameters"] in [cell.metadata.get("tags") for cell in book.cells], "what was run stays"


def test_strip_keeps_pictures_and_tags_and_drops_widgets(project):
    metadata = {"tags": ["nbval-check-output"], "execution": {"iopub": "t"}, "papermill": {}}
    cell = new_code_cell("slider", metadata=metadata)
    data = {"text/plain": "IntSlider()", "application/vnd.jupyter.widget-view+json": {"model_id": "1"}}
    picture = {"text/plain": "<Figure>", "image/png": "aGlkZQ=="}
    cell.outputs = [nbformat.v4.new_output("display_data", data=d) for d in (data, picture)]
    injected = new_code_cell("n = 3", metadata={"tags": ["injected-parameters"]})
    book = strip(new_notebook(cells=[injected, cell], metadata={"widgets": {}, "papermill": {}}))
    (kept,) = book.cells
    assert kept.metadata == {"tags": ["nbval-check-output"]}
    assert [output.data for output in kept.outputs] == [picture]
    nbformat.validate(book)


def test_choose_takes_names_numbers_and_paths_in_reading_order(project):
    found = discover(project.notebooks)
    assert select_notebooks(["02", "notebooks/00_start.ipynb", "02_end"], found) == ["00_start", "02_end"]
    assert select_notebooks(["all"], found) == ["00_start", "01_broken", "02_end"]
    assert inspect(found["00_start"])["sigma"] == {"default": 3.0, "help": "in grid cells"}
    with pytest.raises(FileNotFoundError, match="no notebook there"):
        discover(project.runs)


def test_notebooks_hold_their_pictures_whatever_backend_the_shell_names(project, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    write(project.notebooks, "00_start", "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nNone")
    assert project("00_start") == 0
    book = nbformat.read(project.runs / "mini" / "00_start.ipynb", as_version=4)
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert os.environ["MPLBACKEND"] == "agg", "the caller's environment is as it was"


def test_a_kernel_that_is_interrupted_while_it_ends_says_nothing(project, capfd):
    """The interrupt of a shutdown may meet a kernel that is busy with its last message, and that logs it so."""
    write(project.notebooks, "00_start", "get_ipython().kernel.log.error('KeyboardInterrupt caught in kernel.')")
    assert project("00_start") == 0
    assert "IPKernelApp" not in "".join(capfd.readouterr())


def test_presets_with_a_dot_in_their_names_write_to_folders_of_their_own(project):
    for name in ("lens1.5", "lens1.0"):
        (project.notebooks / "presets" / f"{name}.yaml").write_text("n: 3")
        assert project("00_start", "--preset", name) == 0
        assert (project.runs / name / "00_start.ipynb").is_file()
