import json
from importlib import import_module

import pytest
import yaml
from pydantic import ValidationError

from hide_utils import paths
from hide_utils.analyses import config_of
from hide_utils.analyses.background import BackgroundConfig
from hide_utils.analyses.benchmarks import BenchmarksConfig
from hide_utils.analyses.explorer import ExplorerConfig
from hide_utils.analyses.layers import LayersConfig
from hide_utils.analyses.quickstart import QuickstartConfig
from hide_utils.analyses.tokens import TokensConfig
from hide_utils.baselines import METHODS
from hide_utils.config import RunConfig, literal, load_preset, preset_values
from hide_utils.notebooks import discover, inspect

PRESETS = sorted(path.stem for path in paths.PRESETS.glob("*.yaml"))
NOTEBOOKS = sorted(discover(paths.NOTEBOOKS))


@pytest.fixture
def presets(tmp_path, monkeypatch):
    """A folder of presets of the test's own; call it to write one."""
    monkeypatch.setattr(paths, "PRESETS", tmp_path)
    return lambda name, **content: (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))


def ran(*sources):
    """What a notebook's globals() hold after cells with these sources ran."""
    namespace = {}
    for source in sources:
        exec(source, namespace)
    return namespace | {"In": ["", *sources]}


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (BenchmarksConfig, {"sigma": -0.1}, "greater than or equal to 0"),
        (BenchmarksConfig, {"sigma": float("nan")}, "sigma"),
        (BenchmarksConfig, {"sigma": float("inf")}, "finite"),
        (BenchmarksConfig, {"alpha": 0}, "greater than 0"),
        (BenchmarksConfig, {"alpha": 1.01}, "less than or equal to 1"),
        (TokensConfig, {"alphas": [0.5, 0.0]}, "greater than 0"),
        (BenchmarksConfig, {"n": 0}, "greater than or equal to 1"),
        (BackgroundConfig, {"upscale_factors": [0.5]}, "greater than or equal to 1"),
        (BackgroundConfig, {"mask_steps": 0}, "greater than or equal to 1"),
        (BackgroundConfig, {"distractors": [0]}, "greater than or equal to 1"),
        (BenchmarksConfig, {"layer": -1}, "greater than or equal to 0"),
        (LayersConfig, {"layers": [3, -1]}, "greater than or equal to 0"),
        (BenchmarksConfig, {"layer": 1.5}, "integer"),
        (BenchmarksConfig, {"methods": ["direct", "hyde"]}, "did you mean 'hide'"),
        (BenchmarksConfig, {"methods": ["direct", "direct"]}, "each method once"),
        (BenchmarksConfig, {"methods": []}, "at least 1 item"),
        (BenchmarksConfig, {"baselines": ["tree"]}, "did you mean 'tree_search'|known:"),
        (BenchmarksConfig, {"protocol": "strickt"}, "did you mean 'strict'"),
        (BenchmarksConfig, {"split": "tset"}, "'test'"),
        (BenchmarksConfig, {"device": "gpu"}, "pattern"),
        (BenchmarksConfig, {"dtype": "int8"}, "'bfloat16'"),
        (BenchmarksConfig, {"model": ""}, "at least 1 character"),
        (BenchmarksConfig, {"aplha": 0.5}, "did you mean 'alpha'"),
        (BenchmarksConfig, {"zzz": 1}, "known: notebook, model"),
        (BenchmarksConfig, {"mask_steps": 3}, "unknown parameter 'mask_steps'"),
    ],
)
def test_bad_value_is_refused_and_named(kind, values, message):
    with pytest.raises(ValidationError, match=message) as error:
        kind(**values)
    assert next(iter(values)) in str(error.value)


def test_where_cells_are_run_without_keeping_their_source_plain_values_of_parameters_count():
    """As nbval runs them: IPython's list of cells stays empty."""
    ran_by_nbval = ran("import statistics as layers", "n, alpha = 7, 0.5") | {"In": [""]}
    cfg = BenchmarksConfig.from_cell(ran_by_nbval, preset="")
    assert (cfg.n, cfg.alpha) == (7, 0.5)
    with pytest.raises(ValidationError, match="greater than 0"):
        BenchmarksConfig.from_cell(ran_by_nbval | {"alpha": 0}, preset="")
    with pytest.raises(ValidationError, match="unknown parameter 'mask_steps'"):
        BenchmarksConfig.from_cell(ran_by_nbval | {"mask_steps": 3}, preset="")
    assert LayersConfig.from_cell(ran_by_nbval | {"alpha": None}, preset="").layers == LayersConfig().layers


def test_bounds_themselves_are_allowed_and_the_whole_is_frozen():
    cfg = BenchmarksConfig(sigma=0, alpha=1, n=1, layer=0, seed=0, methods=list(METHODS))
    assert (cfg.sigma, cfg.alpha, cfg.n, cfg.layer, cfg.methods) == (0.0, 1.0, 1, 0, tuple(METHODS))
    with pytest.raises(ValidationError, match="frozen"):
        cfg.n = 2


def test_parameters_are_plain_and_hold_no_folder_of_the_machine(tmp_path):
    cfg = ExplorerConfig(
        model=str(tmp_path / "weights"), image=paths.ROOT / "data" / "a.png", question="What?", tokens_off=[1, 2]
    )
    values = cfg.parameters()
    assert values["model"] == "weights"
    assert values["image"] == "data/a.png"
    assert values["tokens_off"] == [1, 2]
    assert set(values) == set(ExplorerConfig.model_fields)
    hub = "Qwen/Qwen2.5-VL-7B-Instruct"
    assert RunConfig(notebook="05_benchmarks", model=hub).parameters()["model"] == hub


# --- a notebook's parameters cell -------------------------------------------------------------------------------------

CELL = 'model = "mini"\nn = 60  # test samples\nlayers = []  # all'


def test_cell_becomes_a_configuration_in_one_line():
    cfg = LayersConfig.from_cell(ran("import math\nfrom os import path", CELL, "n_calibration = 9\nprint(n)"))
    assert (cfg.notebook, cfg.n, cfg.layers) == ("02_layer_sweep", 60, ())
    assert cfg.n_calibration is None, "a cell that does more than give values is none of parameters"


def test_what_papermill_injects_counts_and_its_unknown_names_are_refused():
    assert LayersConfig.from_cell(ran(CELL, "# Parameters\nn = 3\n")).n == 3
    with pytest.raises(ValueError, match="unknown parameter 'sigam'; did you mean 'sigma'"):
        LayersConfig.from_cell(ran(CELL, "# Parameters\nsigam = 3\n"))


def test_a_mistake_in_the_cell_is_refused_until_it_is_mended():
    wrong = CELL + "\nsigam = 2.0"
    with pytest.raises(ValueError, match="unknown parameter 'sigam'"):
        LayersConfig.from_cell(ran(wrong))
    assert LayersConfig.from_cell(ran(wrong, CELL + "\nsigma = 2.0")).sigma == 2.0
    assert LayersConfig.from_cell(ran(CELL, "where = 'scenes'\ncount = 3", "n = 5")).n == 5


def test_values_of_a_cell_are_checked_like_any_other():
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        LayersConfig.from_cell({"sigma": -1})


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_notebook_has_a_configuration_that_takes_its_cell(name):
    kind, cell = (
        config_of(name),
        {key: entry["default"] for key, entry in inspect(discover(paths.NOTEBOOKS)[name]).items()},
    )
    cfg = kind.from_cell(cell)
    assert cfg.notebook == name
    own = set(kind.model_fields) - set(RunConfig.model_fields)
    assert own <= set(cell), "a parameter of the class that the notebook does not show"
    source = "".join("".join(c["source"]) for c in json.loads(discover(paths.NOTEBOOKS)[name].read_text())["cells"])
    assert f"cfg = {kind.__name__}.from_cell(globals())" in source
    assert import_module(kind.__module__).__name__.startswith("hide_utils.analyses.")


def test_a_notebook_of_another_name_has_none():
    assert config_of("77_not_here") is None


# --- presets ----------------------------------------------------------------------------------------------------------


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


def test_yes_and_no_are_an_answer_where_one_is_asked_for():
    assert ExplorerConfig(noise_prior="no").noise_prior is False and ExplorerConfig(noise_prior="yes").noise_prior
    for value in (True, False):
        with pytest.raises(ValidationError, match=f"n is no question of true or false, so that it cannot be {value}"):
            ExplorerConfig(n=value)


def test_an_image_needs_a_question():
    for kind in (ExplorerConfig, QuickstartConfig):
        with pytest.raises(ValidationError, match="needs a question about it, for example -p question '"):
            kind(image="own.jpg")
        assert kind(image="own.jpg", question="What is it?").question == "What is it?"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("(1, 2)", [1, 2]),
        ("1, 2", [1, 2]),
        ("{'hide', 'direct'}", ["direct", "hide"]),
        ("[(1, 2), {3}]", [[1, 2], [3]]),
        ("()", []),
        ("{1, 'a'}", "{1, 'a'}"),
        ("1j", "1j"),
        ("...", "..."),
        ("None", None),
        ("[direct, hide]", "[direct, hide]"),
        ("1e-3", 0.001),
    ],
)
def test_a_value_given_as_text_becomes_what_a_notebook_can_hold(text, value):
    assert literal(text) == value and type(literal(text)) is type(value)


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
