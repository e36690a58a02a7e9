"""A notebook's parameters cell as a configuration."""

import json
import re
from importlib import import_module

import pytest
from pydantic import ValidationError

from hide_utils import paths
from hide_utils.analyses import config_of
from hide_utils.analyses.benchmarks import BenchmarksConfig
from hide_utils.analyses.layers import LayersConfig
from hide_utils.config import RunConfig
from hide_utils.notebooks import discover, inspect

NOTEBOOKS = sorted(discover(paths.NOTEBOOKS))


def ran(*sources):
    """What a notebook's globals() hold after cells with these sources ran."""
    namespace = {}
    for source in sources:
        exec(source, namespace)
    return namespace | {"In": ["", *sources]}


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
    assert re.search(rf"cfg = (\w+\.)?{kind.__name__}\.from_cell\(globals\(\)\)", source)
    assert import_module(kind.__module__).__name__.startswith("hide_utils.analyses.")


def test_a_notebook_of_another_name_has_none():
    assert config_of("77_not_here") is None


def test_where_cells_are_run_without_keeping_their_source_plain_values_of_parameters_count():
    """As nbval runs them: IPython's list of cells stays empty."""
    ran_by_nbval = ran("import statistics as layers", "n, alpha = 7, 0.5") | {"In": [""]}
    cfg = BenchmarksConfig.from_cell(ran_by_nbval, preset="")
    assert (cfg.n, cfg.alpha) == (7, 0.5)
    with pytest.raises(ValidationError, match="greater than 0"):
        BenchmarksConfig.from_cell(ran_by_nbval | {"alpha": 0}, preset="")
    with pytest.raises(ValidationError, match="unknown parameter 'n_large'"):
        BenchmarksConfig.from_cell(ran_by_nbval | {"n_large": 3}, preset="")
    assert LayersConfig.from_cell(ran_by_nbval | {"alpha": None}, preset="").layers == LayersConfig().layers
