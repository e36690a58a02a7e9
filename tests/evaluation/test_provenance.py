"""Figures and tables with their sidecars: the same bytes at every run, and what made a result."""

import importlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from lean import WITHOUT_THE_FRONT

from hide_utils import paths
from hide_utils.config import RunConfig
from hide_utils.evaluation.provenance import hash_notebook, provenance_entry
from hide_utils.evaluation.saving import is_sidecar, save_figure, save_table, write_sidecar
from hide_utils.files import hash_folder
from hide_utils.samples import Sample

# The room's front has a function of that name.
provenance_module = importlib.import_module("hide_utils.evaluation.provenance")


@pytest.fixture
def figures(tmp_path, monkeypatch):
    monkeypatch.setenv("HIDE_FIGURES", str(tmp_path / "figures"))
    return tmp_path / "figures"


DRAW = """
import matplotlib
matplotlib.use("Agg")
import numpy as np, matplotlib.pyplot as plt
from hide_utils.plots import new_figure, set_style
from hide_utils.evaluation.saving import save_figure
set_style()
fig, ax = new_figure()
ax.plot([1, 2], [3, 4], "o--", label="ä line")
ax.imshow(np.arange(12).reshape(3, 4), alpha=0.5)
ax.bar([1, 2], [1, 2], hatch="//")
ax.legend()
save_figure(fig, "lines", "05_benchmarks", {"utc": sys.argv[1], "n": 3})
"""


def test_figure_rerun_leaves_no_difference(figures):
    contents = []
    for clock in ("1000000000", "1700000000"):
        environment = os.environ | {"HIDE_FIGURES": str(figures), "PYTHONHASHSEED": clock[:4]}
        program = [sys.executable, "-c", WITHOUT_THE_FRONT + DRAW, clock]
        subprocess.run(program, check=True, cwd=paths.ROOT, env=environment)
        contents.append({path.name: path.read_bytes() for path in (figures / "05_benchmarks").iterdir()})
        time.sleep(1.1)  # the formats' own time stamps count whole seconds
    assert set(contents[0]) == {"lines.pdf", "lines.png", "lines.json"}
    assert contents[0] == contents[1]


def test_sidecar_follows_what_the_figure_shows(figures):
    fig, ax = plt.subplots()
    ax.plot([1, 2])
    *_, sidecar = save_figure(fig, "a", "05_benchmarks", {"utc": "1", "commit": "x", "n": 3})
    save_figure(fig, "a", "05_benchmarks", {"utc": "2", "commit": "y", "n": 3})
    assert json.loads(sidecar.read_text())["utc"] == "1", "same bytes: the entry of their making stays"
    save_figure(fig, "a", "05_benchmarks", {"utc": "3", "commit": "y", "n": 4})
    assert json.loads(sidecar.read_text())["utc"] == "3"
    ax.plot([2, 1])
    save_figure(fig, "a", "05_benchmarks", {"utc": "4", "commit": "y", "n": 4})
    assert json.loads(sidecar.read_text())["utc"] == "4"
    plt.close(fig)


def test_table_and_figure_of_one_name_keep_their_sidecars_apart(figures):
    fig, _ = plt.subplots()
    drawn = save_figure(fig, "accuracy", "05_benchmarks", {"n": 1})
    written = save_table(pd.DataFrame({"a": [1 / 3], "b": ["x"]}), "accuracy", "05_benchmarks", {"n": 2})
    assert written[0].read_text() == "a,b\n0.333333,x\n"
    assert len({*drawn, *written}) == 5
    assert json.loads(written[1].read_text())["n"] == 2
    plt.close(fig)


@pytest.mark.parametrize("name", ["", "../x", "a/b"])
def test_names_with_folders_are_refused(figures, name):
    with pytest.raises(ValueError, match="plain name"):
        save_table(pd.DataFrame(), name, "05_benchmarks", {})


def test_provenance_says_what_made_a_result(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    samples = [Sample("q1", "What color?", ["red", "blue"], "A", "direct_attributes", lambda: None, [(0, 0, 1, 1)])]
    cfg = RunConfig(notebook="05_benchmarks", model=str(tmp_path), seed=7)
    entry = provenance_entry(config=cfg, samples=samples, caption="c")
    assert entry["parameters"]["seed"] == entry["seeds"]["seed"] == 7
    assert entry["versions"]["torch"]
    assert entry["device"]
    assert entry["caption"] == "c"
    assert entry["benchmark"]["n"] == 1
    assert {"utc", "commit", "dirty", "code"} <= set(entry)
    assert str(tmp_path) not in json.dumps(entry)

    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    samples[0].label = "B"
    other = provenance_entry(config=cfg, samples=samples)
    assert other["model"]["hash"] != entry["model"]["hash"]
    assert other["benchmark"]["hash"] != entry["benchmark"]["hash"]
    assert provenance_entry(model="Qwen/Qwen2.5-VL-7B-Instruct")["model"] == {
        "name": "Qwen/Qwen2.5-VL-7B-Instruct",
        "hash": None,
    }


def test_hash_of_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file to hash"):
        hash_folder(Path(tmp_path))


def test_hash_of_a_model_is_that_of_what_it_consists_of(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    first = hash_folder(tmp_path)
    for name in ("README.md", "accuracy.csv", "training_log.jsonl", "attention.png", ".hidden"):
        (tmp_path / name).write_text("about it")
    for name in (".cache/huggingface/download/config.json.metadata", ".git/HEAD", "sub/.ipynb_checkpoints/a.json"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("when somebody looked")
    assert hash_folder(tmp_path) == first
    hidden = tmp_path / ".cache" / "snapshot"
    shutil.copytree(tmp_path, hidden, ignore=lambda *_: [".cache"])
    assert hash_folder(hidden) == first, "only what is hidden within the folder is left out"
    (tmp_path / "merges.txt").write_text("a b")
    assert hash_folder(tmp_path) != first


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package in place of hide_utils: file -> text, each read by one way of importing but for `unused.py`."""
    files = {
        "__init__.py": "_HOMES = {'Thing': 'room', 'Other': 'unused'}",
        "used.py": "from .sub import inner",
        "sub/__init__.py": "from hide_utils.sub.leaf import x",
        "sub/inner.py": "from .. import above",
        "sub/leaf.py": "x = 1",
        "above.py": "def f():\n    import hide_utils.far",
        "far.py": "from hide_utils import Thing",
        "room/__init__.py": "from hide_utils.room.things import Thing",
        "room/things.py": "",
        "unused.py": "",
    }
    folder = tmp_path / "hide_utils"
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.setattr(provenance_module, "PACKAGE", folder)
    return folder


def test_code_of_a_notebook_is_what_it_imports_in_turn(package, tmp_path, monkeypatch):
    cell = {"cell_type": "code", "source": ["%magic\n", "from hide_utils import used"]}
    (tmp_path / "00_x.ipynb").write_text(json.dumps({"cells": [cell]}))
    monkeypatch.setattr(paths, "NOTEBOOKS", tmp_path)
    first, every = provenance_module.hash_code("00_x"), provenance_module.hash_code()
    (package / "unused.py").write_text("y = 2")
    assert provenance_module.hash_code("00_x") == first
    assert provenance_module.hash_code() != every
    for file in sorted(set(package.rglob("*.py")) - {package / "unused.py"}):
        text = file.read_text()
        file.write_text(text + "\n# changed")
        assert provenance_module.hash_code("00_x") != first, file
        file.write_text(text)


@pytest.mark.parametrize(
    ("source", "inside", "found"),
    [
        ("import os, numpy.random", (), set()),
        ("import hide_utils", (), {"__init__.py"}),
        ("from hide_utils import Thing", (), {"__init__.py", "room/__init__.py"}),
        ("import hide_utils\nhide_utils.Thing()", (), {"__init__.py", "room/__init__.py"}),
        ("def f():\n    import hide_utils as hu\n    return hu.Thing", (), {"__init__.py", "room/__init__.py"}),
        ("from .. import Thing", ("sub",), {"__init__.py", "room/__init__.py"}),
        ("from .leaf import x", ("sub",), {"__init__.py", "sub/__init__.py", "sub/leaf.py"}),
        ("from . import leaf", ("sub",), {"__init__.py", "sub/__init__.py", "sub/leaf.py"}),
        ("from ..far import Thing", ("sub",), {"__init__.py", "far.py"}),
        ("if TYPE_CHECKING:\n    from hide_utils import far, nothing", (), {"__init__.py", "far.py"}),
        ("%run x\n!ls\nclass A:\n    import hide_utils.sub.leaf as leaf", (),
         {"__init__.py", "sub/__init__.py", "sub/leaf.py"}),
        ("x.Thing, Thing, hide_utils_.Thing", (), set()),
    ],
)  # fmt: skip
def test_every_import_of_the_package_is_read(package, source, inside, found):
    files = provenance_module.imported(source, inside)
    assert {file.relative_to(package).as_posix() for file in files} == found


def test_imports_through_the_real_root_are_those_of_the_rooms():
    files = provenance_module.imported("from hide_utils import HiDe, evaluate, load_benchmark, load_model")
    rooms = {file.parent.name for file in files} - {"hide_utils"}
    assert rooms == {"method", "evaluation", "benchmarks", "models"}


def test_code_of_a_notebook_has_a_hash_and_a_missing_one_none(tmp_path):
    book = tmp_path / "00_x.ipynb"
    assert hash_notebook(book) is None
    cells = [{"cell_type": "code", "source": ["a = 1\n", "b = 2"]}, {"cell_type": "markdown", "source": ["# A"]}]
    book.write_text(json.dumps({"cells": cells}))
    first = hash_notebook(book)
    cells[1]["source"] = ["# B"]
    cells[0] |= {"source": "a = 1\nb = 2", "outputs": [1]}
    book.write_text(json.dumps({"cells": cells}))
    assert hash_notebook(book) == first, "neither words nor outputs are code"
    cells[0]["source"] = "a = 2"
    book.write_text(json.dumps({"cells": cells}))
    assert hash_notebook(book) != first


def test_a_sidecar_is_known_by_its_files(tmp_path):
    file, sidecar = tmp_path / "rows.csv", tmp_path / "rows.json"
    assert not is_sidecar(sidecar)
    for text in ('[{"files": 1}]', '{"a": "\\"files\\": in a text"}', '{"files', "\xff", ""):
        sidecar.write_bytes(text.encode("latin-1"))
        assert not is_sidecar(sidecar), text
    file.write_text("a\n1\n")
    assert write_sidecar(sidecar, {"caption": "x" * 200}, file) == sidecar
    entry = json.loads(sidecar.read_text())
    assert is_sidecar(sidecar) and list(entry["files"]) == ["rows.csv"]
    sidecar.write_text(json.dumps({"caption": "y" * 200, "files": entry["files"]}))
    assert is_sidecar(sidecar), "wherever the key stands"
