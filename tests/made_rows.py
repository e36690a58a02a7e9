"""Attention rows made up for tests: noise, and rows that look at a few cells."""

from dataclasses import replace

import numpy as np
from model_helpers import picture

from hide_utils.evaluation import token_rows
from hide_utils.samples import Sample

SIDE, BOX = 160, (16.0, 16.0, 48.0, 48.0)  # of 160 pixels: cells 2 to 5 of 20, 4 % of the area


def sample(name="s0", boxes=(BOX,), entities=("red star",)):
    return Sample(
        name, "What is red?", ["star", "dog"], "A", "drawn", lambda: picture(84, 84), list(boxes), list(entities)
    )


def noisy(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, dtype=np.float32) / 1000


def made_case(seed=0, boxes=(BOX,), name="s0", side=20):
    rows = noisy(2 + 3 + 4 + 1, side, side, seed=seed)
    return token_rows.TokenRows(
        sample(name, boxes), (SIDE, SIDE), 1, ("a", "b", "c"), rows[:2], rows[2:5], rows[5:9], rows[9]
    )


SINK = np.s_[0, :4]  # 4 of 400 cells: 1 %
AWAY = np.s_[10, 10:14]
BOXED = np.s_[2, 2:6]  # cells that touch the true box


def rows(n, cells, share):
    """Rows that give `share` of their attention to four cells, the rest evenly to the others; they sum to 0.2."""
    row = np.full((20, 20), (1 - share) / 396, np.float32)
    row[cells] = share / 4
    return np.repeat(0.2 * row[None], n, axis=0)


def sunk(cells=SINK, name="s0", entity=0.3, answer=0.01):
    return replace(
        made_case(name=name),
        noise=rows(2, cells, 0.5),
        content_free=rows(1, cells, 0.4)[0],
        semantic=rows(3, cells, entity),
        answer=rows(4, cells, answer),
    )
