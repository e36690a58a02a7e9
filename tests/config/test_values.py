"""Values of parameters: types, bounds, and what means nothing without another."""

import pytest
from pydantic import ValidationError

from hide_utils import paths
from hide_utils.analyses.background import BackgroundConfig
from hide_utils.analyses.benchmarks import BenchmarksConfig
from hide_utils.analyses.explorer import ExplorerConfig
from hide_utils.analyses.layers import LayersConfig
from hide_utils.analyses.quickstart import QuickstartConfig
from hide_utils.analyses.tokens import TokensConfig
from hide_utils.baselines import METHODS
from hide_utils.config import RunConfig, literal


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
        (BackgroundConfig, {"object_sizes": [0]}, "greater than or equal to 1"),
        (BackgroundConfig, {"n_curve": 0}, "greater than or equal to 1"),
        (BackgroundConfig, {"unnamed_densities": [-3]}, "greater than or equal to 0"),
        (BenchmarksConfig, {"layer": -1}, "greater than or equal to 0"),
        (LayersConfig, {"layers": [3, -1]}, "greater than or equal to 0"),
        (BenchmarksConfig, {"layer": 1.5}, "integer"),
        (BenchmarksConfig, {"methods": ["direct", "hyde"]}, "did you mean 'hide'"),
        (BenchmarksConfig, {"methods": ["direct", "direct"]}, "each method once"),
        (BenchmarksConfig, {"methods": []}, "at least 1 item"),
        (BenchmarksConfig, {"methods": ["tree"]}, "did you mean 'tree_search'|known:"),
        (BenchmarksConfig, {"protocol": "strickt"}, "did you mean 'strict'"),
        (BenchmarksConfig, {"split": "tset"}, "'test'"),
        (BenchmarksConfig, {"device": "gpu"}, "pattern"),
        (BenchmarksConfig, {"dtype": "int8"}, "'bfloat16'"),
        (BenchmarksConfig, {"model": ""}, "at least 1 character"),
        (BenchmarksConfig, {"aplha": 0.5}, "did you mean 'alpha'"),
        (BenchmarksConfig, {"zzz": 1}, "known: notebook, model"),
        (BenchmarksConfig, {"n_large": 3}, "unknown parameter 'n_large'"),
    ],
)
def test_bad_value_is_refused_and_named(kind, values, message):
    with pytest.raises(ValidationError, match=message) as error:
        kind(**values)
    assert next(iter(values)) in str(error.value)


def test_all_of_an_own_benchmark_is_taken_where_no_split_is_named(tmp_path, monkeypatch):
    (tmp_path / "signs.json").write_text("[]")
    (tmp_path / "vstar").mkdir()
    monkeypatch.chdir(tmp_path)
    for benchmark in (str(tmp_path / "signs.json"), "signs.json", str(tmp_path / "vstar"), "./signs.json"):
        assert BenchmarksConfig(benchmark=benchmark).split is QuickstartConfig(benchmark=benchmark).split is None
        assert BenchmarksConfig(benchmark=benchmark, split="test").split == "test"
    for benchmark in ("scenes", "vstar", "DreamMr/HR-Bench", "no/such.json"):
        assert BenchmarksConfig(benchmark=benchmark).split == "test"
        assert QuickstartConfig(benchmark=benchmark).split == "calibration"
        assert BenchmarksConfig(benchmark=benchmark, split=None).split is None


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


def test_yes_and_no_are_an_answer_where_one_is_asked_for():
    assert ExplorerConfig(noise_prior="no").noise_prior is False and ExplorerConfig(noise_prior="yes").noise_prior


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize(
    ("kind", "name"), [(ExplorerConfig, "n"), (ExplorerConfig, "seed"), (BenchmarksConfig, "alpha")]
)
def test_true_and_false_are_no_numbers(kind, name, value):
    """Python counts True as 1."""
    with pytest.raises(ValidationError, match="something other than true or false") as error:
        kind(**{name: value})
    assert [one["loc"] for one in error.value.errors()] == [(name,)]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (LayersConfig, {"layers": [3, True]}),
        (TokensConfig, {"alphas": [True]}),
        (BenchmarksConfig, {"resolutions": (True,)}),
        (ExplorerConfig, {"tokens_off": [False]}),
    ],
)
def test_nor_are_they_within_a_list(kind, values):
    with pytest.raises(ValidationError, match="something other than true or false"):
        kind(**values)


OWN = (ExplorerConfig, QuickstartConfig)


@pytest.mark.parametrize(
    ("kinds", "values", "message"),
    [
        (OWN, {"image": "own.jpg"}, "image needs question beside it"),
        (OWN, {"image": "own.jpg", "question": ""}, "image needs question beside it"),
        (OWN, {"image": "own.jpg", "question": " \n"}, "image needs question beside it"),
        ([ExplorerConfig], {"image": "own.jpg", "question": "What?", "sample": "s1"}, "leave one out"),
        (OWN, {"options": ["a", "b"]}, "options needs question beside it"),
        ([QuickstartConfig], {"question": "What is it?"}, "question needs image beside it"),
        (OWN, {"image": "own.jpg", "question": "What is it?", "options": ["a"]}, "at least 2 items"),
    ],
)
def test_what_means_nothing_alone_is_refused(kinds, values, message):
    for kind in kinds:
        with pytest.raises(ValidationError, match=message):
            kind(**values)


def test_a_picture_with_a_question_and_in_the_explorer_a_question_alone_are_taken():
    for kind in OWN:
        assert kind(image="own.jpg", question="What is it?", options=["a", "b"]).options == ("a", "b")
    assert ExplorerConfig(question="What is it?").question == "What is it?", "about the picture that it shows"


def test_parameters_of_a_picture_of_one_s_own_name_no_benchmark(tmp_path):
    cfg = QuickstartConfig(image=tmp_path / "own.jpg", question="What is it?", resolution=896, n=40)
    values = cfg.parameters()
    assert (values["image"], values["question"]) == ("own.jpg", "What is it?")
    assert [values[name] for name in ("benchmark", "split", "resolution", "n")] == [None] * 4
    assert QuickstartConfig(n=40).parameters()["benchmark"] == "scenes"


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
