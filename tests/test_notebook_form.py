"""Notebooks in their form: short enough to be read from top to bottom."""

import ast
import shlex
import subprocess

import nbformat
import pytest

from hide_utils import paths
from hide_utils.notebooks import discover

# notebooks that keep to the limits of size so far
IN_THEIR_FORM = [
    *("00_quickstart", "01_background_interference", "02_layer_sweep", "03_token_decoupling", "04_layout_ablations"),
    *("05_benchmarks", "06_memory_and_latency", "07_extraction_robustness", "10_decoupled_training"),
    *("11_when_to_look", "12_settings_without_labels", "13_robustness_and_failures"),
]


@pytest.mark.parametrize("name", IN_THEIR_FORM)
def test_notebooks_can_be_read_from_top_to_bottom(name):
    """At most 20 code cells and 150 lines of code, and at most 12 names of the package."""
    cells = nbformat.read(discover(paths.NOTEBOOKS)[name], as_version=4).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    lines = [line for cell in code for line in cell.splitlines() if line.strip() and not line.strip().startswith("#")]
    assert len(code) <= 20 and len(lines) <= 150
    imported = [
        alias
        for node in ast.walk(ast.parse("\n".join(code)))
        if isinstance(node, ast.ImportFrom) and node.module.startswith("hide_utils")
        for alias in node.names
    ]
    assert 0 < len(imported) <= 12 and cells[0].source.startswith("# ")


def test_filter_of_notebooks_is_one_that_git_accepts(tmp_path):
    """Set up as CONTRIBUTING.md says, in a repository of its own; whether nbstripout is here does not matter."""
    text = (paths.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (line,) = [line.strip() for line in text.splitlines() if "filter.notebook-metadata" in line]
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    subprocess.run(shlex.split(line), cwd=tmp_path, check=True)
    kept = subprocess.run(
        ["git", "config", "filter.notebook-metadata.clean"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    assert shlex.split(kept)[:3] == ["nbstripout", "--keep-output", "--keep-count"]
    assert "filter=notebook-metadata" in (paths.ROOT / ".gitattributes").read_text(encoding="utf-8")
