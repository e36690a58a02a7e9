"""Preset files, and the folders of their figures."""

import pytest
import yaml
from pydantic import ValidationError

from hide_utils import paths
from hide_utils.analyses import config_of
from hide_utils.analyses.layers import LayersConfig
from hide_utils.analyses.tokens import TokensConfig
from hide_utils.config import load_preset, preset_values
from hide_utils.notebooks import discover, inspect

PRESETS = sorted(path.stem for path in paths.PRESETS.glob("*.yaml"))
NOTEBOOKS = sorted(discover(paths.NOTEBOOKS))


@pytest.fixture
def presets(tmp_path, monkeypatch):
    """A folder of presets of the test's own; call it to write one."""
    monkeypatch.setattr(paths, "PRESETS", tmp_path)
    return lambda name, **content: (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))


def test_preset_from_the_environment_replaces_the_cell_s_values(presets, monkeypatch):
    presets("tiny", n=3, alpha=0.4, **{"02_layer_sweep": {"n": 5}})
    monkeypatch.setenv("HIDE_PRESET", "tiny")
    cfg = TokensConfig.from_cell({"n": 400, "layer": 2})
    assert (cfg.n, cfg.layer) == (3, 2)
    assert cfg.alpha is None, "the cell has no such parameter, so the preset's value is not for it"
    assert LayersConfig.from_cell({"n": 400}).n == 5
    assert LayersConfig.from_cell({"n": 400}, preset="").n == 400
    monkeypatch.delenv("HIDE_PRESET")
    assert TokensConfig.from_cell({"n": 400}).n == 400
    assert TokensConfig.from_cell({"n": 400}, preset="tiny").n == 3


def test_preset_s_values_are_checked_like_any_other(presets, monkeypatch):
    presets("bad", n=0)
    monkeypatch.setenv("HIDE_PRESET", "bad")
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        LayersConfig.from_cell({"n": 400})


def test_section_of_a_preset_must_name_parameters_of_its_notebook():
    preset = {"n": 3, "02_sweep": {"alhpa": 0.5}}
    with pytest.raises(ValueError, match="02_sweep has no parameter 'alhpa'; did you mean 'alpha'"):
        preset_values(preset, "02_sweep", ["n", "alpha"])
    assert preset_values(preset, "01_zoom", ["n", "alpha"]) == {"n": 3}


def test_unreadable_presets_are_refused(presets, tmp_path):
    presets("mini", model="mini")
    with pytest.raises(FileNotFoundError, match="no preset 'mimi'; did you mean 'mini'"):
        load_preset("mimi")
    presets("typo", modle="mini")
    with pytest.raises(ValueError, match="unknown parameter 'modle'; did you mean 'model'"):
        load_preset("typo")
    with pytest.raises(ValueError, match="unknown parameter 'modle'; known: n"):
        load_preset("typo", known=["n"])
    (tmp_path / "list.yaml").write_text("- n")
    with pytest.raises(ValueError, match="want a mapping"):
        load_preset(tmp_path / "list.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model: mini\n05_benchmarks:\n  n: 500\n05_benchmarks:\n  n: 4\n", "'05_benchmarks' stands twice"),
        ("n: 5\nseed: 1\n'n': 6\n", "'n' stands twice"),
        ("05_benchmarks:\n  seed: 1\n  n: 5\n  seed: 2\n", "'seed' stands twice.* line 2"),
        ("05_benchmarks:\n\tn: 5\n", r"found character '\\t' that cannot start any token .* line 2"),
        ("n: [5\n", "expected ',' or ']'"),
        ("n: 5\n---\nn: 6\n", "single document"),
        ("? [n, seed]\n: 5\n", "unhashable key"),
    ],
)
def test_what_is_no_preset_names_file_and_place_and_nothing_is_dropped(tmp_path, text, said):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=said) as error:
        load_preset(file)
    assert str(file) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("2024-05-01", "2024-05-01"),
        ("[yes, no, on, Off, y]", ["yes", "no", "on", "Off", "y"]),
        ("12:30", "12:30"),
        ("[1:1, 4:3]", ["1:1", "4:3"]),
        ("007", "007"),
        ("'1984'", "1984"),
        ("[NA, nan, .inf, '', -]", ["NA", "nan", ".inf", "", "-"]),
        ("1984", 1984),
        ("[-3, 1e-3, .5, 1.0]", [-3, 0.001, 0.5, 1.0]),
        ("[true, False, null, ~]", [True, False, None, None]),
        ("(1, 2)", [1, 2]),
        ("", None),
    ],
)
def test_words_of_a_preset_are_what_they_look_like(tmp_path, written, value):
    file = tmp_path / "mine.yaml"
    file.write_text(f"08_explorer: {{x: {written}}}\nn: 5\n" if "[" in written else f"08_explorer:\n  x: {written}\n")
    (found,) = load_preset(file)["08_explorer"].values()
    assert found == value and type(found) is type(value)


def test_the_shipped_presets_are_those_documented():
    assert PRESETS == ["internvl3_8b", "mini", "qwen2_5_vl_7b", "qwen3_vl_8b", "smoke"]


@pytest.mark.parametrize("name", PRESETS)
def test_shipped_preset_holds_valid_values_for_every_notebook(name):
    preset = load_preset(name)
    assert {key for key, value in preset.items() if isinstance(value, dict)} <= set(NOTEBOOKS)
    for notebook in NOTEBOOKS:
        cell = {key: entry["default"] for key, entry in inspect(discover(paths.NOTEBOOKS)[notebook]).items()}
        cfg = config_of(notebook).from_cell(cell, preset=name)
        assert all(getattr(cfg, key) is not None for key in preset.get(notebook) or {})


def test_figures_of_other_presets_stay_out_of_the_committed_folder(monkeypatch):
    assert paths.figures_folder() == paths.FIGURES
    monkeypatch.setenv("HIDE_PRESET", "mini")
    assert paths.figures_folder() == paths.FIGURES
    monkeypatch.setenv("HIDE_PRESET", "smoke")
    assert paths.figures_folder() == paths.RUNS / "smoke" / "figures"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("qwen2.5", "qwen2.0"),
        ("lens-v1.0.yaml", "lens-v1.1.yaml"),
        ("a/lens.yaml", "b/lens.yaml"),
        ("lens", "lens.yaml"),
        ("lens.yaml", "lens.yml"),
        ("a/lens", "b/lens"),
        ("smoke", "elsewhere/smoke.yaml"),
        (paths.PRESETS / "smoke.yaml", paths.PRESETS / "smoke.yml"),
    ],
)
def test_every_preset_has_a_folder_of_its_own(monkeypatch, one, other):
    folders = []
    for preset in (one, other):
        monkeypatch.setenv("HIDE_PRESET", str(preset))
        folders.append(paths.figures_folder())
    assert folders[0] != folders[1] and all(folder.parent.parent == paths.RUNS for folder in folders)
    assert paths.figures_folder("smoke") == paths.RUNS / "smoke" / "figures", "whatever the environment says"
    assert paths.run_name("qwen2.5") == "qwen2.5" and paths.run_name("./a/../b/lens.yml") == paths.run_name(
        "b/lens.yml"
    )
    assert paths.run_name(paths.PRESETS / "smoke.yaml") == paths.run_name("smoke") == "smoke"
