"""A project of three small notebooks for the runner."""

import pytest
from fake_notebooks import REPORT, write

from hide_utils import paths
from hide_utils.cli.run import main


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Three notebooks (the second fails) and two presets; call it with the command line's words."""
    folder = tmp_path / "notebooks"
    (folder / "presets").mkdir(parents=True)
    write(folder, "00_start", REPORT)
    write(folder, "01_broken", "\n".join(["x = 1", "", "y = 0", "x / y"]))
    write(folder, "02_end", REPORT, parameters="model = 'mini'\nn = 7\nlayer = 2")
    (folder / "presets" / "mini.yaml").write_text("model: mini")
    (folder / "presets" / "tiny.yaml").write_text("n: 3\n02_end: {n: 5}")
    monkeypatch.setattr(paths, "PRESETS", folder / "presets")
    monkeypatch.setattr(paths, "FIGURES", tmp_path / "figures")

    def run(*words):
        return main([str(word) for word in words], notebooks=folder, runs=tmp_path / "runs")

    def book(name):  # the only executed one of that name
        (path,) = run.runs.glob(f"*/{name}.ipynb")
        return path

    run.notebooks, run.runs, run.book = folder, tmp_path / "runs", book
    return run
