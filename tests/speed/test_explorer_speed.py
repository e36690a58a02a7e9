"""From a slider to redrawn panes, measured by `make bench`; an ordinary test run calls each once, untimed.

Budget: 50 ms on one core for a 48x48 grid with 8 tokens (a picture of 1536x1536 pixels).
"""

import itertools

import numpy as np
import pytest
from checkpoints import tiny_model
from PIL import Image

from hide_utils import HiDe
from hide_utils.analyses.explorer import ExplorerConfig
from hide_utils.explorer import Explorer
from hide_utils.explorer.case import Case
from hide_utils.method.entities import Entities
from hide_utils.method.session import SearchAttention, Session
from hide_utils.scenes.questions import scene_samples

GRID, TOKENS, NOISE, SIDE, LAYERS = 48, 8, 8, 1536, 4
BUDGET = 0.050  # seconds


@pytest.fixture(scope="module")
def explorer():
    """The explorer with a case of that size: each token looks at an object of its own on a noisy floor."""
    hide = HiDe(tiny_model("qwen3_vl"), layer=1, sigma=1.0, alpha=0.5)
    made = Explorer(hide, scene_samples("test", 1, resolution=256), config=ExplorerConfig())
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:GRID, :GRID]
    rows = rng.random((LAYERS, NOISE + TOKENS, GRID, GRID), dtype=np.float32)
    for token, (cy, cx) in enumerate(rng.integers(4, GRID - 4, (TOKENS, 2))):
        rows[:, NOISE + token] += 5 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 18)
    names = tuple(f"token{i}" for i in range(TOKENS))
    found = SearchAttention(tuple(range(LAYERS)), names, rows[:, :NOISE], rows[:, NOISE:])
    photo = Image.fromarray(rng.integers(0, 256, (SIDE // 8, SIDE // 8, 3), dtype=np.uint8)).resize((SIDE, SIDE))
    boxes = [(100.0, 100.0, 400.0, 300.0)]
    question = ["Which?", ["red", "blue"], Entities(names, "given")]
    made.show(Case("large", Session(hide.model, photo), *question, found, boxes_xyxy=boxes))
    return made


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("alpha", (0.4, 0.5)),
        ("sigma", (1.0, 2.0)),
        ("layer", (0, 3)),
        ("noise_prior", (False, True)),
        ("layout", ("bounding_crop", "spatial_aggregate")),
    ],
)
def test_from_control_to_redrawn_panes(benchmark, explorer, name, values):
    control, following = getattr(explorer.form, name), itertools.cycle(values)

    def move():
        control.value = next(following)

    move()
    pane = explorer.form.pane
    before = [pane.map.values, pane.map.regions, pane.compact.value]
    move()
    assert [pane.map.values, pane.map.regions, pane.compact.value] != before
    assert len(explorer.view.regions) > 1
    benchmark(move)
    if benchmark.enabled:
        assert benchmark.stats.stats.median < BUDGET
