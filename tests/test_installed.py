"""The package as pip installs it: the wheel has what it needs, and works from a folder that knows no checkout."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest

from hide_utils import load_benchmark, load_model, paths
from hide_utils.cli import main as door
from hide_utils.method import HiDe

ROOT = paths.ROOT
BUILT_FROM = (
    "pyproject.toml",
    "setup.py",
    "README.md",
    "LICENSE",
    "hide_utils",
    "notebooks",
    "figures/06_memory_and_latency",
)
MADE = shutil.ignore_patterns("__pycache__")
PUT_THERE = shutil.ignore_patterns("cache", "results", "models", "benchmarks")  # gigabytes, at times


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy of the checkout without an index."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in BUILT_FROM:
        source, target = ROOT / name, folder / "checkout" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target, ignore=MADE) if source.is_dir() else shutil.copy(source, target)
    shutil.copytree(ROOT / "data", folder / "checkout" / "data", ignore=PUT_THERE)
    for stray in ("data/mini/.stray", "build/lib/hide_utils/stray.py"):  # an editor's file, and an earlier build's
        (folder / "checkout" / stray).parent.mkdir(parents=True, exist_ok=True)
        (folder / "checkout" / stray).touch()
    alone = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    command = [sys.executable, "-m", "pip", "wheel", *alone, "--wheel-dir", folder, folder / "checkout"]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def elsewhere(wheel, tmp_path_factory):
    """Run Python there: the unpacked wheel alone is on its path, and no folder above it is a checkout."""
    site, folder = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("elsewhere")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
    names = ("PYTHONPATH", "HIDE_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment |= {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}

    def run(*words):
        command = [sys.executable, *map(str, words)]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)

    run.folder, run.site = folder, site
    return run


def test_the_wheel_has_every_file_that_is_read(wheel):
    packed = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    modules = {name for name in tracked if name.startswith("hide_utils/")}
    folders = tuple(f"data/{name}/" for name in ("mini", "scenes", "answers", "paper", "samples", "study"))
    data = {name for name in tracked if name.startswith((*folders, "notebooks/")) and Path(name).name[0] != "."}
    assert len(modules) > 200 and len(data) > 80
    assert modules - packed == set(), "a kind of file that package-data in pyproject.toml does not name"
    assert {f"hide_utils/shipped/{name}" for name in data} - packed == set()
    assert not [name for name in packed if "stray" in name or "egg-info" in name or name.endswith(".pyc")]


CODE = """
import json, os, sys
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder)]  # it would find the checkout
import hide_utils
from hide_utils import HiDe, evaluate, load_benchmark, load_model, paths
from hide_utils.cli.main import main
model, samples = load_model("mini"), load_benchmark("scenes", split="calibration", n=1, resolution=256)
table = evaluate(model, samples, ["direct", "hide"], out="rows.parquet", progress=False)
result = HiDe(model)(samples[0].image, samples[0].question, options=samples[0].options)
assert os.environ["HIDE_HOME"] == os.getcwd(), "for kernels, which have another folder"
assert main(["list"]) == 0
for words in (["run", "00", "--inplace"], ["calibrate", "mini", "scenes"], ["tune"], ["answers"]):
    try:
        main(words)
    except SystemExit as error:
        assert error.code == 2
print(json.dumps({
    "package": hide_utils.__file__, "replies": table["reply"].tolist(), "boxes": result.boxes,
    "cache": str(paths.CACHE), "portable": [paths.portable(paths.MINI), paths.portable(paths.RESULTS / "a")],
}))
"""


def test_the_miniature_and_the_command_work_from_any_folder(elsewhere):
    """The answers are those of the checkout."""
    before = {path: path.stat().st_mtime_ns for path in elsewhere.site.rglob("*") if path.suffix != ".pyc"}
    ran = elsewhere("-c", CODE)
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout.splitlines()[-1])
    assert Path(said["package"]).is_relative_to(elsewhere.site)
    (sample,), hide = load_benchmark("scenes", split="calibration", n=1, resolution=256), HiDe(load_model("mini"))
    here = hide(sample.image, sample.question, options=sample.options)
    assert [tuple(box) for box in said["boxes"]] == here.boxes and said["replies"][1] == here.answer
    assert "00_quickstart: never run here" in ran.stdout and "No runs yet." in ran.stdout
    assert ran.stderr.count("came with the installed package and stays") == 4
    assert said["cache"] == str(elsewhere.folder / "data" / "cache")
    assert said["portable"] == ["data/mini", "data/results/a"]
    entry = json.loads((elsewhere.folder / "rows.json").read_text())
    assert entry["commit"] is None and entry["model"]["hash"], "a repository around the environment is not ours"
    written = {path for path in elsewhere.site.rglob("*.*") if path.suffix != ".pyc"} - before.keys()
    assert not written and all(path.stat().st_mtime_ns == at for path, at in before.items() if path.is_file())


@pytest.mark.parametrize(
    ("missing", "said"), [("papermill", "'notebooks'"), ("ray", "'ray'"), ("lmms_eval.api", "'lmms'")]
)
def test_a_command_says_which_extra_it_needs(monkeypatch, capsys, missing, said):
    def absent(name):
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    monkeypatch.setattr(door, "import_module", absent)
    assert door.main(["list"]) == 1
    assert f"hide list: needs {missing}, of the extra {said}" in capsys.readouterr().err
    missing = "hide_utils.nothing"
    with pytest.raises(ModuleNotFoundError):
        door.main(["list"])


# --- the first cell of notebook 00 -----------------------------------------------------------------------------------


def commands_of_the_cell(monkeypatch, known):
    """What notebook 00's first cell runs where only the packages `known` (name -> version) are installed."""
    from importlib import metadata, util

    ran = []
    monkeypatch.setattr(util, "find_spec", lambda name: name if name in known else None)
    monkeypatch.setattr(metadata, "version", lambda name: known[name])
    monkeypatch.setattr(subprocess, "run", lambda command, check: ran.append(command))
    cells = nbformat.read(paths.NOTEBOOKS / "00_quickstart.ipynb", as_version=4).cells
    exec([cell.source for cell in cells if cell.cell_type == "code"][0], {})
    return [command[command.index("--quiet") + 1 :] for command in ran]


def test_the_first_cell_of_the_quickstart_installs_and_keeps_the_torch_that_is_there(monkeypatch, tmp_path):
    monkeypatch.chdir(paths.NOTEBOOKS)
    assert commands_of_the_cell(monkeypatch, {"torch": "2.9.0+cu126"}) == [["torch==2.9.0+cu126", ".."]]
    assert commands_of_the_cell(monkeypatch, {"hide_utils": "0", "torch": "2.9.0"}) == []
    monkeypatch.chdir(tmp_path)
    ((source,),) = commands_of_the_cell(monkeypatch, {})
    assert source.startswith("git+https://")
