"""Samples and attention rows made up for tests: noise, and rows that look at a few cells."""

import numpy as np
from model_helpers import picture

from hide_utils.evaluation.tad_variants import Rows
from hide_utils.samples import Sample

SIDE, BOX = 160, (16.0, 16.0, 48.0, 48.0)  # of 160 pixels: cells 2 to 5 of 20, 4 % of the area


def sample(name="s0", boxes=(BOX,), entities=("red star",), side=84):
    return Sample(
        name, "What is red?", ["star", "dog"], "A", "drawn", lambda: picture(side, side), list(boxes), list(entities)
    )


def noisy(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, dtype=np.float32) / 1000


def made_rows(seed=0, side=20):
    rows = noisy(2 + 3 + 1, side, side, seed=seed)
    return Rows(("a", "b", "c"), rows[:2], rows[2:5], lambda: rows[5])
