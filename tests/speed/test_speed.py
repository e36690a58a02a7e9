"""Speed of the array work on one core, measured by `make bench`; an ordinary test run calls each once, untimed.

Budget: maps, boxes and compact image of a 1792x1792 picture, 64x64 grid, 12 tokens, in 4 ms together; a sweep of 5
layers, 9 sigmas and 9 alphas over 100 samples, boxes only, in 60 s. `make bench` prints the ratios of HiDe to plain
answering behind these (`hide_utils.analyses.cost`).
"""

import numpy as np
import pytest

from hide_utils.evaluation.array_work import (
    GRID,
    NOISE,
    SIDE,
    TOKENS,
    array_work,
    noise_picture,
    sweep_seconds,
    typical_rows,
)
from hide_utils.method.lpd import boxes_grid
from hide_utils.method.tad import purify

BUDGET, SWEEP_BUDGET = 0.004, 60.0  # seconds


@pytest.fixture(scope="module")
def attention():
    return typical_rows()


@pytest.fixture(scope="module")
def picture():
    return noise_picture()


def test_whole_method(benchmark, attention, picture):
    assert benchmark(array_work, attention, picture).width < SIDE
    if benchmark.enabled:
        assert benchmark.stats.stats.median < BUDGET


def test_whole_method_raw_noise(benchmark, picture):
    """The worst case: maps of noise, hundreds of parts, regions that merge into nearly the whole picture."""
    noise = np.random.default_rng(2).random((NOISE + TOKENS, GRID, GRID), dtype=np.float32)
    benchmark(array_work, noise, picture)


def test_purify(benchmark, attention):
    assert benchmark(purify, attention, NOISE, 3.0).shape == (TOKENS, GRID, GRID)


def test_boxes(benchmark, attention):
    maps = purify(attention, NOISE, 3.0)
    assert benchmark(boxes_grid, maps, [0.7])[0][0]


def test_sweep_of_9_sigmas_and_9_alphas(benchmark, attention):
    sigmas, alphas = np.linspace(0, 4, 9), np.linspace(0.1, 0.9, 9)
    grid = benchmark(lambda: [boxes_grid(purify(attention, NOISE, float(sigma)), alphas) for sigma in sigmas])
    assert len(grid) == 9 and len(grid[0]) == 9


def test_sweep_over_100_samples(benchmark):
    benchmark.pedantic(sweep_seconds, (100 if benchmark.enabled else 1,), rounds=1)
    if benchmark.enabled:
        assert benchmark.stats.stats.max < SWEEP_BUDGET
