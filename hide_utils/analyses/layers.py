"""Where in the network localisation lives: measures of every layer, the choice of one, and its answers.

Two groups of tokens are compared, both read from one search prompt: `entity`, the words that are searched for (the
paper's semantic tokens), and `instruction`, the words around them (its non-semantic ones, the noise prior).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import wilcoxon

from hide_utils import paths
from hide_utils.baselines.methods import METHODS, Method, Outcome
from hide_utils.config import Count, Layer, RunConfig
from hide_utils.evaluation import localisation
from hide_utils.evaluation.calibration import ALPHAS
from hide_utils.evaluation.localisation import held_out_maps
from hide_utils.method.hide import HiDe
from hide_utils.method.session import SearchAttention, Session
from hide_utils.samples import Sample
from hide_utils.stats.intervals import cluster_bootstrap, holm, wilson


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
    """How well each layer's tokens find the true boxes, from captured rows; the model does not run.

    Raw rows give `attention` and `concentration`, purified maps (Gaussian of `sigma` grid cells) `pointing`, `energy`
    and `iou`; `LAYER_MEASURES` says what each is. Per sample they are means over the tokens, save two: the peak is that of
    the mean map, and {map >= alpha} is the union over tokens, as in LPD. A token of which purifying leaves nothing
    counts as 0. An instruction token is purified as an entity's would be, with the prior made of the others.

    sizes_wh: pixel sizes of the samples' pictures as the model sees them.

    Returns one row a sample, layer (counted from 0) and group of `TOKENS`: sample_id, image_id, layer, tokens, the
    `LAYER_MEASURES`, and what a flat map would have: area (energy, iou) and touched (pointing: share of cells that touch a
    box).
    Raises ValueError for a sample without ground-truth boxes.
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


def layer_summary(table: pd.DataFrame, measure: str, seed: int = 0) -> pd.DataFrame:
    """Mean of a measure in each layer and group with a 95 % interval: columns layer, tokens, n, estimate, low, high.

    Pointing is right or wrong for each sample and has a Wilson interval; the others are bootstrapped over pictures.
    """
    rows = []
    for (layer, tokens), part in table.groupby(["layer", "tokens"], sort=True):
        if measure == "pointing":
            interval = wilson(int(part[measure].sum()), len(part))
        else:
            interval = cluster_bootstrap(part[measure].to_numpy(), part["image_id"].tolist(), seed=seed)
        rows.append((layer, tokens, interval.n, interval.estimate, interval.low, interval.high))
    return pd.DataFrame(rows, columns=["layer", "tokens", "n", "estimate", "low", "high"])


def entity_against_instruction(table: pd.DataFrame, measure: str, seed: int = 0) -> pd.DataFrame:
    """Paired test in each layer: does a measure differ between the entity tokens and the instruction's?

    Returns layer, n (pictures; the questions of one are averaged), difference (entity - instruction) with a
    bootstrapped 95 % interval, p of Wilcoxon's signed-rank test, and p_holm, corrected over the layers.
    """
    wide = table.groupby(["layer", "image_id", "tokens"])[measure].mean().unstack()
    rows = []
    for layer, difference in (wide["entity"] - wide["instruction"]).groupby(level="layer"):
        interval = cluster_bootstrap(difference.to_numpy(), list(range(len(difference))), seed=seed)
        p = float(wilcoxon(difference).pvalue) if (difference != 0).any() else 1.0
        rows.append((layer, len(difference), interval.estimate, interval.low, interval.high, p))
    result = pd.DataFrame(rows, columns=["layer", "n", "difference", "low", "high", "p"])
    return result.assign(p_holm=holm(result["p"].tolist()))


def entity_scores(table: pd.DataFrame, measure: str = "energy") -> pd.DataFrame:
    """A measure of the entity tokens: one row a sample, one column a layer."""
    return table[table["tokens"] == "entity"].pivot(index="sample_id", columns="layer", values=measure)


def choose_layer(scores: pd.DataFrame) -> int:
    """The rule: the layer (counted from 0) with the highest mean over the samples; the earliest of equals.

    scores: from `entity_scores`, of the calibration split.
    """
    return int(scores.columns[int(scores.mean().to_numpy().argmax())])


def choices_by_measure(calibration: pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame:
    """What the rule chooses with each of the `LAYER_MEASURES`, and what that is worth; tables from `layer_measures`.

    Returns measure, meaning, chosen_on_calibration and best_on_test (layers), test_at_chosen and test_at_best (means of
    the measure over the test split).
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

    calibration, test: from `entity_scores`, of either split and with the same layers.

    Returns one row a size: n, share of the draws that choose the layer which all calibration samples choose, and the
    chosen layers' mean score on the test split (estimate) with the range of the middle 95 % of draws (low, high).
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


def typical_sample(scores: pd.DataFrame, layer: int) -> str:
    """The rule for an example: the id of the sample whose score at the layer is the (lower) median of all."""
    return str(scores[layer].sort_values(kind="stable").index[(len(scores) - 1) // 2])


def local_maxima(curve: pd.Series) -> list[int]:
    """Layers whose value is above that of both neighbours (an end has one)."""
    curve = curve.astype(float)
    above = (curve > curve.shift(1, fill_value=-np.inf)) & (curve > curve.shift(-1, fill_value=-np.inf))
    return [int(layer) for layer in curve.index[above]]


def published_peaks(path: str | Path | None = None) -> pd.DataFrame:
    """The paper's layer peaks: model, layer (counted from 1), n_layers and depth (layer / n_layers)."""
    numbers = pd.read_csv(path or paths.PAPER / "hide_paper_numbers.csv")
    peaks = numbers[numbers["experiment"] == "layer_peak"]
    table = pd.DataFrame({"model": peaks["model"], "layer": peaks["setting"].astype(int)}).reset_index(drop=True)
    table["n_layers"] = table["model"].map(PUBLISHED_DEPTHS)
    return table.assign(depth=table["layer"] / table["n_layers"])


def layer_method(layer: int) -> str:
    """Name under which the answers of HiDe at a layer (counted from 0) are stored."""
    return f"layer {layer}"


def layer_methods(hide: HiDe, layers: Sequence[int]) -> dict[str, Method]:
    """HiDe at each layer (counted from 0) as methods for `evaluate`; sigma, alpha and protocol are those of `hide`."""
    return {layer_method(layer): partial(_at_layer, layer) for layer in layers}


def _at_layer(layer: int, hide: HiDe, session: Session, sample: Sample) -> Outcome:
    at_layer = HiDe(hide.model, layer, hide.settings.sigma, hide.settings.alpha, protocol=hide.protocol)
    return METHODS["hide"](at_layer, session, sample)
