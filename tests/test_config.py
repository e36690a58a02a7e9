import pytest
import yaml
from pydantic import ValidationError

from hide_utils import paths
from hide_utils.baselines import methods
from hide_utils.config import METHODS, RunConfig, load_preset, preset_values

PRESETS = sorted(path.stem for path in paths.PRESETS.glob("*.yaml"))


@pytest.fixture
def presets(tmp_path, monkeypatch):
    """A folder of presets of the test's own; call it to write one."""
    monkeypatch.setattr(paths, "PRESETS", tmp_path)
    return lambda name, **content: (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sigma": -0.1}, "greater than or equal to 0"),
        ({"sigma": float("nan")}, "sigma"),
        ({"sigma": float("inf")}, "finite"),
        ({"alpha": 0}, "greater than 0"),
        ({"alpha": 1.01}, "less than or equal to 1"),
        ({"alphas": [0.5, 0.0]}, "greater than 0"),
        ({"n": 0}, "greater than or equal to 1"),
        ({"upscale_factors": [0.5]}, "greater than or equal to 1"),
        ({"mask_steps": 0}, "greater than or equal to 1"),
        ({"distractors": [0]}, "greater than or equal to 1"),
        ({"layer": -1}, "greater than or equal to 0"),
        ({"layers": [3, -1]}, "greater than or equal to 0"),
        ({"layer": 1.5}, "integer"),
        ({"methods": ["direct", "hyde"]}, "did you mean 'hide'"),
        ({"methods": ["direct", "direct"]}, "each method once"),
        ({"methods": []}, "at least 1 item"),
        ({"protocol": "strickt"}, "did you mean 'strict'"),
        ({"split": "tset"}, "'test'"),
        ({"device": "gpu"}, "pattern"),
        ({"dtype": "int8"}, "'bfloat16'"),
        ({"attention": "eager"}, "'sdpa'"),
        ({"model": ""}, "at least 1 character"),
        ({"aplha": 0.5}, "did you mean 'alpha'"),
        ({"zzz": 1}, "known: notebook, model"),
    ],
)
def test_bad_value_is_refused_and_named(values, message):
    with pytest.raises(ValidationError, match=message) as error:
        RunConfig(notebook="05_benchmarks", **values)
    assert next(iter(values)) in str(error.value)


def test_methods_known_here_are_those_that_can_be_run():
    assert set(METHODS) == set(methods.METHODS)


def test_bounds_themselves_are_allowed_and_the_whole_is_frozen():
    cfg = RunConfig(notebook="05_benchmarks", sigma=0, alpha=1, n=1, layer=0, seed=0, methods=list(METHODS))
    assert (cfg.sigma, cfg.alpha, cfg.n, cfg.layer, cfg.methods) == (0.0, 1.0, 1, 0, METHODS)
    with pytest.raises(ValidationError, match="frozen"):
        cfg.n = 2


def test_parameters_are_plain_and_hold_no_folder_of_the_machine(tmp_path):
    cfg = RunConfig(
        notebook="05_benchmarks", model=str(tmp_path / "weights"), image=paths.ROOT / "data" / "a.png", layers=[1, 2]
    )
    values = cfg.parameters()
    assert values["model"] == "weights"
    assert values["image"] == "data/a.png"
    assert values["layers"] == [1, 2]
    assert set(values) == set(RunConfig.model_fields)
    hub = "Qwen/Qwen2.5-VL-7B-Instruct"
    assert RunConfig(notebook="05_benchmarks", model=hub).parameters()["model"] == hub


def test_preset_from_the_environment_replaces_the_cell_s_values(presets, monkeypatch):
    presets("tiny", n=3, alpha=0.4, **{"02_sweep": {"n": 5}})
    monkeypatch.setenv("HIDE_PRESET", "tiny")
    assert RunConfig(notebook="01_zoom", n=400, layer=2).model_dump(include={"n", "layer", "alpha"}) == {
        "n": 3,
        "layer": 2,
        "alpha": None,  # not a parameter of that notebook, so the preset's value is not for it
    }
    assert RunConfig(notebook="02_sweep", n=400).n == 5
    monkeypatch.delenv("HIDE_PRESET")
    assert RunConfig(notebook="01_zoom", n=400).n == 400


def test_preset_s_values_are_checked_like_any_other(presets, monkeypatch):
    presets("bad", n=0)
    monkeypatch.setenv("HIDE_PRESET", "bad")
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        RunConfig(notebook="01_zoom", n=400)


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
    (tmp_path / "list.yaml").write_text("- n")
    with pytest.raises(ValueError, match="want a mapping"):
        load_preset(tmp_path / "list.yaml")


def test_the_shipped_presets_are_those_documented():
    assert PRESETS == ["internvl3_8b", "mini", "qwen2_5_vl_7b", "qwen3_vl_8b", "smoke"]


@pytest.mark.parametrize("name", PRESETS)
def test_shipped_preset_holds_valid_values(name):
    preset = load_preset(name)
    shared = {key: value for key, value in preset.items() if not isinstance(value, dict)}
    RunConfig(notebook="05_benchmarks", **shared)
    for notebook, section in preset.items():
        if isinstance(section, dict):
            assert (paths.NOTEBOOKS / f"{notebook}.ipynb").is_file(), f"{name}: section of an unknown notebook"
            RunConfig(notebook=notebook, **shared | section)


def test_figures_of_other_presets_stay_out_of_the_committed_folder(monkeypatch):
    assert paths.figures_folder() == paths.FIGURES
    monkeypatch.setenv("HIDE_PRESET", "mini")
    assert paths.figures_folder() == paths.FIGURES
    monkeypatch.setenv("HIDE_PRESET", "smoke")
    assert paths.figures_folder() == paths.RUNS / "smoke" / "figures"
