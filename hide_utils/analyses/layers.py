"""Notebook 02. Where in the network localisation lives: measures of every layer, the choice of one, and its answers.

Two groups of tokens are compared, both read from one search prompt. `entity` are the words that are searched for, the
paper's semantic tokens. `instruction` are the words around them, its non-semantic tokens and noise prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from scipy.stats import wilcoxon

from hide_utils.baselines import Method, with_hide
from hide_utils.config import Count, Layer, RunConfig
from hide_utils.evaluation import ALPHAS, held_out_maps, localisation
from hide_utils.findings import paper_numbers
from hide_utils.looks import PALETTE, Look
from hide_utils.method import HiDe, SearchAttention
from hide_utils.samples import Sample
from hide_utils.stats import cluster_bootstrap, holm


class LayersConfig(RunConfig):
    """Parameters of notebook 02.

    Attributes:
        layers: decoder layers that are swept, counted from 0. Empty takes all.
        n_calibration: samples of the calibration split. None takes all.
    """

    notebook: str = "02_layer_sweep"
    layers: tuple[Layer, ...] = ()
    n_calibration: Count | None = None


TOKENS = ("entity", "instruction")
LOOKS = {
    "entity": Look("entity tokens", PALETTE[0]),
    "instruction": Look("instruction tokens", PALETTE[1]),
    "calibration": Look("calibration split", PALETTE[5]),
    "test": Look("test split", PALETTE[0]),
}
LAYER_MEASURES = {
    "attention": "share of a token's attention that lands in the true boxes",
    "concentration": "attention in the boxes over their share of the area (flat: 1)",
    "pointing": "peak of the mean purified map in a box",
    "energy": "mass of the purified maps in the boxes",
    "iou": "IoU of {map ≥ α} with the boxes, best α for each sample",
}
# Decoder layers of the models whose layer peak was published, from their config.json.
PUBLISHED_DEPTHS = {"Qwen2.5-VL-7B": 28, "InternVL3-8B": 28}


def layer_measures(
    found: Sequence[SearchAttention],
    samples: Sequence[Sample],
    sizes_wh: Sequence[tuple[int, int]],
    sigma: float,
    alphas: Sequence[float] = ALPHAS,
) -> pd.DataFrame:
    """How well each layer's tokens find the true boxes, from captured rows. The model does not run.

    Raw rows give `attention` and `concentration`. Purified maps give `pointing`, `energy` and `iou`. Of each sample the
    measures are means over the tokens, save two: the peak is that of the mean map, and {map >= alpha} is the union over
    tokens, as in LPD. A token of which purifying leaves nothing counts as 0. An instruction token is purified as an
    entity's would be, with the prior made of the others.

    Args:
        found: attention rows of each sample.
        samples: with true boxes.
        sizes_wh: pixel sizes of the samples' pictures as the model sees them.
        sigma: of the Gaussian, in grid cells.
        alphas: thresholds of which `iou` takes the best.

    Returns:
        One row a sample, layer (counted from 0) and group of `TOKENS`: sample_id, image_id, layer, tokens, the
        `LAYER_MEASURES`, and what a flat map would have. That is area for energy and iou, and touched for pointing, the
        share of cells that touch a box.

    Raises:
        ValueError: a sample has no ground-truth boxes.
    """
    rows = []
    for one, sample, size in zip(found, samples, sizes_wh, strict=True):
        if not sample.boxes_xyxy:
            raise ValueError(f"sample {sample.id} has no ground-truth boxes: sweep layers on a benchmark that has them")
        truth = np.array(sample.boxes_xyxy) / [*size, *size]
        inside = localisation.box_coverage(truth, one.noise.shape[-2:])
        flat = {"area": localisation.union_area(truth), "touched": float((inside > 1e-9).mean())}
        for number, layer in enumerate(one.layers):
            groups = (
                (one.semantic[number], one.maps(layer, sigma)),
                (one.noise[number], held_out_maps(one.noise[number], sigma)),
            )
            for tokens, (raw, pure) in zip(TOKENS, groups, strict=True):
                who = {"sample_id": sample.id, "image_id": sample.image_id, "layer": layer, "tokens": tokens}
                rows.append(who | _measure(raw, pure, truth, inside, alphas) | flat)
    return pd.DataFrame(rows)


def _measure(raw, pure, truth, inside, alphas) -> dict[str, float]:
    return {
        "attention": float((raw * inside).sum((1, 2)).mean()),
        "concentration": float(np.nan_to_num(localisation.concentration(raw, truth)).mean()),
        "pointing": float(np.nan_to_num(localisation.pointing(pure.mean(0), truth))),
        "energy": float(np.nan_to_num(localisation.energy_in_boxes(pure, truth)).mean()),
        "iou": float(localisation.map_iou(pure.max(0), truth, alphas).max()),
    }


def entity_against_instruction(table: pd.DataFrame, measure: str, seed: int = 0) -> pd.DataFrame:
    """Paired test in each layer: does a measure differ between the entity tokens and the instruction's?

    Args:
        table: from `layer_measures`.
        measure: one of `LAYER_MEASURES`.
        seed: of the bootstrap.

    Returns:
        Columns layer, n (pictures, the questions of one averaged), difference (entity - instruction) with a
        bootstrapped 95 % interval (low, high), p of Wilcoxon's signed-rank test, and p_holm, corrected over the layers.
    """
    wide = table.groupby(["layer", "image_id", "tokens"])[measure].mean().unstack()
    rows = []
    for layer, difference in (wide["entity"] - wide["instruction"]).groupby(level="layer"):
        interval = cluster_bootstrap(difference.to_numpy(), range(len(difference)), seed=seed)
        p = float(wilcoxon(difference).pvalue) if (difference != 0).any() else 1.0
        rows.append((layer, len(difference), interval.estimate, interval.low, interval.high, p))
    result = pd.DataFrame(rows, columns=["layer", "n", "difference", "low", "high", "p"])
    return result.assign(p_holm=holm(result["p"].tolist()))


def entity_scores(table: pd.DataFrame, measure: str = "energy") -> pd.DataFrame:
    """A measure of the entity tokens: one row a sample, one column a layer."""
    return table[table["tokens"] == "entity"].pivot(index="sample_id", columns="layer", values=measure)


def choose_layer(scores: pd.DataFrame) -> int:
    """The rule: the layer (counted from 0) with the highest mean over the samples, the earliest of equals.

    Args:
        scores: from `entity_scores`, of the calibration split.
    """
    return int(scores.columns[int(scores.mean().to_numpy().argmax())])


def choices_by_measure(calibration: pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame:
    """What the rule chooses with each of the `LAYER_MEASURES`, and what that is worth.

    Args:
        calibration: from `layer_measures`, of the calibration split.
        test: the same of the test split.

    Returns:
        Columns measure, meaning, chosen_on_calibration and best_on_test (layers counted from 0), test_at_chosen and
        test_at_best (means of the measure over the test split).
    """
    rows = []
    for measure, meaning in LAYER_MEASURES.items():
        on_test = entity_scores(test, measure)
        chosen, best = choose_layer(entity_scores(calibration, measure)), choose_layer(on_test)
        rows.append((measure, meaning, chosen, best, on_test[chosen].mean(), on_test[best].mean()))
    columns = ["measure", "meaning", "chosen_on_calibration", "best_on_test", "test_at_chosen", "test_at_best"]
    return pd.DataFrame(rows, columns=columns)


def choices_by_size(
    calibration: pd.DataFrame, test: pd.DataFrame, sizes: Sequence[int], draws: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """How the choice depends on the number of calibration samples: `choose_layer` on many draws with replacement.

    Args:
        calibration: from `entity_scores`, of the calibration split.
        test: the same of the test split, with the same layers.
        sizes: numbers of samples in a draw.
        draws: of each size.
        seed: of the draws.

    Returns:
        One row a size: n, same (share of the draws that choose the layer which all calibration samples choose), and the
        chosen layers' mean score on the test split (estimate) with the range of the middle 95 % of draws (low, high).

    Raises:
        ValueError: the two tables have different layers.
    """
    if list(calibration.columns) != list(test.columns):
        raise ValueError("the two splits have scores of different layers: capture the same ones for both")
    scores, on_test = calibration.to_numpy(), test.mean().to_numpy()
    whole, rng, rows = scores.mean(0).argmax(), np.random.default_rng(seed), []
    for size in sizes:
        chosen = scores[rng.integers(0, len(scores), (draws, size))].mean(1).argmax(1)
        low, high = np.quantile(on_test[chosen], [0.025, 0.975])
        rows.append((size, float((chosen == whole).mean()), float(on_test[chosen].mean()), float(low), float(high)))
    return pd.DataFrame(rows, columns=["n", "same", "estimate", "low", "high"])


def calibration_sizes(n: int) -> list[int]:
    """1, 2, 4, ... below n, and n."""
    return [2**power for power in range(n.bit_length()) if 2**power < n] + [n]


def local_maxima(curve: pd.Series) -> list[int]:
    """Layers whose value is above that of both neighbours (an end has one)."""
    curve = curve.astype(float)
    above = (curve > curve.shift(1, fill_value=-np.inf)) & (curve > curve.shift(-1, fill_value=-np.inf))
    return [int(layer) for layer in curve.index[above]]


def published_peaks() -> pd.DataFrame:
    """The paper's layer peaks: model, layer (counted from 1), n_layers and depth (layer / n_layers)."""
    peaks = paper_numbers("layer_peak")
    table = pd.DataFrame({"model": peaks["model"], "layer": peaks["setting"].astype(int)})
    table["n_layers"] = table["model"].map(PUBLISHED_DEPTHS)
    return table.assign(depth=table["layer"] / table["n_layers"])


def layer_method(layer: int) -> str:
    """Name under which the answers of HiDe at a layer (counted from 0) are stored."""
    return f"layer {layer}"


def layer_methods(hide: HiDe, layers: Sequence[int]) -> dict[str, Method]:
    """HiDe at each layer (counted from 0) as methods for `evaluate`, with sigma, alpha and protocol of `hide`."""
    at = {layer: replace(hide.settings, layer=layer, source="given") for layer in layers}
    return {layer_method(layer): partial(with_hide, settings=settings) for layer, settings in at.items()}


def maps_by_layer(found: SearchAttention, sigma: float) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Mean maps of one sample at every captured layer, for `hide_utils.plots.layer_maps`.

    Args:
        found: the sample's attention rows.
        sigma: of the Gaussian that purified maps are smoothed with, in grid cells.

    Returns:
        Raw maps by name, (layers, h, w) in units of a flat map with as much attention, and purified maps in [0, 1].
    """
    rows = {"entity,\nraw": found.semantic, "instruction,\nraw": found.noise}
    means = {name: np.stack([maps.mean(0) for maps in layers]) for name, layers in rows.items()}
    raw = {}
    for name, maps in means.items():
        flat = maps.mean((1, 2), keepdims=True)
        raw[name] = maps / np.where(flat > 0, flat, 1)
    return raw, {"entity,\npurified": np.stack([found.maps(layer, sigma).mean(0) for layer in found.layers])}
