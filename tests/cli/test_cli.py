"""The front door: commands find their way, and wrong values are refused before a kernel starts."""

import subprocess
import sys

import pytest

from hide_utils import paths
from hide_utils.cli import main as door
from hide_utils.cli import run


def test_help_names_every_command_and_loads_nothing_heavy():
    code = "import sys; from hide_utils.cli.main import main; main(['--help']); print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert all(f"  {name} " in out for name in door.COMMANDS)
    assert out.splitlines()[-1] == "False"


def test_command_unknown_or_missing_is_said(capsys):
    assert door.main(["rnu"]) == 2
    assert "no command 'rnu'; did you mean 'run'" in capsys.readouterr().err
    assert door.main([]) == 2


@pytest.mark.parametrize("module", ["hide_utils", "hide_utils.run"])
def test_both_ways_in_lead_to_the_runner(module):
    words = {"hide_utils": ["run", "77"], "hide_utils.run": ["77"]}[module]
    ended = subprocess.run([sys.executable, "-m", module, *words], capture_output=True, text=True)
    assert ended.returncode == 2
    assert "hide run: error: no notebook '77'" in ended.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["02", "-p", "sigma", "-1"], "02_layer_sweep: sigma: Input should be greater than or equal to 0, not -1"),
        (["05", "-p", "methods", "['hyde']"], "unknown method 'hyde'; did you mean 'hide'"),
        (["00", "-p", "n", "many"], "00_quickstart: n: Input should be a valid integer"),
    ],
)
def test_values_are_checked_as_the_notebook_would_before_anything_runs(words, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        run.main(words, notebooks=paths.NOTEBOOKS, runs=tmp_path / "runs")
    assert stop.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "runs").exists()
