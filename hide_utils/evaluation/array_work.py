"""The work of the method that is no model: maps, boxes and compact images of made-up attention, timed on one core."""

from __future__ import annotations

import time

import numpy as np
from jaxtyping import Float32
from PIL import Image

from hide_utils.method import lpd, tad

GRID, TOKENS, NOISE, SIDE = 64, 12, 8, 1792  # cells a side, tokens, noise rows, pixels
SIGMAS, ALPHAS, LAYERS = np.linspace(0, 4, 9), np.linspace(0.1, 0.9, 9), 5  # of the sweep


def typical_rows(grid: int = GRID, tokens: int = TOKENS, seed: int = 0) -> Float32[np.ndarray, "rows h w"]:
    """Noisy attention as models have it: each token looks at one of three objects, the instruction at a sink."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:grid, :grid] * (GRID / grid)
    bump = lambda cy, cx, s: np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * s**2))  # noqa: E731
    objects = [bump(12, 15, 3), bump(40, 50, 2), bump(55, 8, 4)]
    rows = [bump(0, 0, 2)] * NOISE + [objects[token % 3] for token in range(tokens)]
    return (np.stack(rows) + rng.random((NOISE + tokens, grid, grid))).astype(np.float32) / grid**2


def noise_picture(side: int = SIDE) -> Image.Image:
    """A square RGB picture of noise."""
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (side, side, 3), dtype=np.uint8))


def array_work(rows: Float32[np.ndarray, "rows h w"], picture: Image.Image) -> Image.Image:
    """Everything of the method that is no model: maps, boxes and compact image at the published sigma and alpha."""
    maps = tad.purify(rows, n_noise=NOISE, sigma=3.0)
    boxes = [box for token in lpd.boxes_grid(maps, [0.7])[0] for box in token]
    return lpd.compact_image(picture, lpd.merge_boxes(boxes, picture.size))


def array_seconds(repeats: int = 100) -> list[float]:
    """Processor seconds of `array_work` on one core: 64 x 64 cells, 12 tokens, a picture of 1792 pixels a side."""
    rows, picture, found = typical_rows(), noise_picture(), []
    for _ in range(repeats):
        started = time.process_time()
        array_work(rows, picture)
        found.append(time.process_time() - started)
    return found


def sweep_seconds(n: int) -> float:
    """Processor seconds, one core, of the regions of 5 layers, 9 sigmas, 9 alphas and n samples of 42 x 42 cells."""
    size, rows = (1344, 1344), [[typical_rows(42, 6, s * LAYERS + layer) for layer in range(LAYERS)] for s in range(n)]
    started = time.process_time()
    for of_sample in rows:
        for of_layer in of_sample:
            for maps in (tad.purify(of_layer, NOISE, float(sigma)) for sigma in SIGMAS):
                for boxes in lpd.boxes_grid(maps, ALPHAS):
                    lpd.merge_boxes([box for token in boxes for box in token], size)
    return time.process_time() - started
