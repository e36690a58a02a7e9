"""Notebook 02. Where in the network localisation lives: which layer, which words, and whether answers agree.

The measures are those of `evaluation.layer_measures`. A layer and each layer's threshold are chosen by `choose`
on the calibration split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from hide_utils import findings
from hide_utils.baselines import LOOKS as METHOD_LOOKS
from hide_utils.baselines import Method, named, with_hide
from hide_utils.config import Count, Layer, RunConfig
from hide_utils.evaluation import stored_measures
from hide_utils.evaluation.layer_measures import WORDS, measure_layers
from hide_utils.findings import Finding, claims_beside, paper_numbers
from hide_utils.looks import PALETTE, Look
from hide_utils.method import HiDe, SearchAttention, given_entities
from hide_utils.samples import Sample


class LayersConfig(RunConfig):
    """Parameters of notebook 02.

    Attributes:
        layers: decoder layers that are swept, counted from 0. Empty takes all.
        n_calibration: samples of the calibration split. None takes all.
        n_curve: test samples that are answered at every layer. None takes all.
    """

    notebook: str = "02_layer_sweep"
    layers: tuple[Layer, ...] = ()
    n_calibration: Count | None = None
    n_curve: Count | None = None


LOOKS = METHOD_LOOKS | {
    "calibration": Look("calibration split", PALETTE[5]),
    "test": Look("test split", PALETTE[0]),
    "entity": Look("entity tokens", PALETTE[0], "o"),
    "instruction": Look("instruction tokens", PALETTE[1], "s"),
    "first": Look("first answer token", PALETTE[4], "^"),
    "noun": Look("noun", PALETTE[0], "o"),
    "with": Look("“with”", PALETTE[7], "s"),
    "value": Look("value, as “cyan”", PALETTE[4], "^"),
    "property": Look("property, as “color”", PALETTE[2], "D"),
}
# Decoder layers of the models whose layer peak was published, from their config.json.
PUBLISHED_DEPTHS = {"Qwen2.5-VL-7B": 28, "InternVL3-8B": 28}

CLAIMS = claims_beside(__file__)["claims"]


def measured(hide: HiDe, samples: Sequence[Sample], config: LayersConfig) -> pd.DataFrame:
    """What `measure_layers` gives for each sample, read from disk or measured."""
    layers = tuple(sorted(set(config.layers))) or hide.model.row_layers
    return stored_measures(hide, samples, partial(measure_layers, layers=layers, sigma=hide.settings.sigma), config)


@dataclass(frozen=True)
class Choice:
    """What the calibration split chooses.

    Attributes:
        layer: the best of all (counted from 0), the earliest of equals.
        alphas: layer -> its best threshold, the lowest of equals.
        worths: layer -> the mean worth of its regions at that threshold.
    """

    layer: int
    alphas: dict[int, float]
    worths: dict[int, float]

    def best_of(self, layers: Sequence[int]) -> int:
        """The best of some layers."""
        return max(layers, key=lambda layer: self.worths[layer])


def choose(calibration: pd.DataFrame, tokens: str = "entity") -> Choice:
    """The rule: each layer's threshold, then the layer, by the mean worth of the regions.

    Args:
        calibration: measures of the calibration split.
        tokens: "entity" or "first".
    """
    layers, alphas = calibration["layers"].iloc[0], calibration["alphas"].iloc[0]
    mean = np.array(calibration[f"worth_{tokens}"].tolist()).mean(0)
    at = dict(zip(layers, mean.argmax(1).tolist(), strict=True))
    worths = {layer: float(mean[number, at[layer]]) for number, layer in enumerate(layers)}
    best = max(layers, key=lambda layer: worths[layer])
    return Choice(best, {layer: alphas[number] for layer, number in at.items()}, worths)


def worth_by_layer(measures: pd.DataFrame, choice: Choice, tokens: str = "entity") -> pd.DataFrame:
    """Worth of each layer's regions at its threshold: sample_id, image_id, layer (counted from 0), tokens, worth."""
    layers, alphas = measures["layers"].iloc[0], measures["alphas"].iloc[0]
    at = [alphas.index(choice.alphas[layer]) for layer in layers]
    values = np.array(measures[f"worth_{tokens}"].tolist())[:, np.arange(len(layers)), at]
    return _long(measures, layers, values, "worth").assign(tokens=tokens)


def auc_by_layer(measures: pd.DataFrame, tokens: Sequence[str]) -> pd.DataFrame:
    """The AUC of some tokens' rows by layer, likewise. Samples for which it is not known are left out."""
    parts = []
    for name in tokens:
        known = measures[measures[f"auc_{name}"].notna()]
        if len(known):
            values = np.array(known[f"auc_{name}"].tolist())
            parts.append(_long(known, known["layers"].iloc[0], values, "auc").assign(tokens=name))
    columns = ["sample_id", "image_id", "layer", "auc", "tokens"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _long(measures: pd.DataFrame, layers: Sequence[int], values: np.ndarray, name: str) -> pd.DataFrame:
    wide = pd.DataFrame(values, columns=list(layers)).assign(**measures[["sample_id", "image_id"]].to_dict("list"))
    return wide.melt(["sample_id", "image_id"], var_name="layer", value_name=name).astype({"layer": int})


def thirds(layers: Sequence[int], n_layers: int) -> tuple[list[int], list[int], list[int]]:
    """Which layers (counted from 0) lie in the first, middle and last third of a network, by their middles."""
    third = {layer: int(3 * (layer + 0.5) / n_layers) for layer in layers}
    return tuple([layer for layer in layers if third[layer] == number] for number in range(3))  # type: ignore


def peak(test: pd.DataFrame, choice: Choice, n_layers: int) -> list[Finding]:
    """The card of the layer peak: the middle third's best layer against the best of each outer third.

    All three are chosen on the calibration split and compared on the test split, whose `worth_by_layer` is given. Both
    differences have to hold, so the card shows the smaller one with the larger p. It is refuted where the best of all
    layers lies in an outer third. There is no card where a third has no layer that is swept.
    """
    parts = thirds(list(choice.alphas), n_layers)
    if not all(parts):
        return []
    first, middle, last = map(choice.best_of, parts)
    table, words = test.assign(variant=test["layer"].map(str)), CLAIMS["peak"] | {"refuted": choice.layer != middle}
    pairs = [(str(middle), str(outer)) for outer in (first, last)]
    cards = [findings.of_measure(table, "worth", *pair, "recall", **words) for pair in pairs]
    return [replace(min(cards, key=lambda card: card.estimate), p=max(card.p for card in cards))]


def at_layers(table: pd.DataFrame, layers: Mapping[str, int]) -> pd.DataFrame:
    """The rows of each kind of tokens at its layer, which is the `variant` that `findings.of_measure` takes."""
    return table[table["layer"] == table["tokens"].map(layers)].assign(variant=table["tokens"])


def word_cards(test: pd.DataFrame, layer: int) -> list[Finding]:
    """Cards of the other words of an entity against its noun at a layer; none where words are not known.

    Args:
        test: from `auc_by_layer`, of the `WORDS`.
        layer: counted from 0.
    """
    if test.empty:
        return []
    table = at_layers(test, dict.fromkeys(WORDS, layer))
    return [findings.of_measure(table, "auc", word, "noun", "AUC", **CLAIMS[word]) for word in WORDS[1:]]


def layer_method(layer: int) -> str:
    """Name under which the answers of HiDe at a layer (counted from 0) are stored."""
    return f"layer {layer}"


def layer_methods(hide: HiDe, alphas: Mapping[int, float], also: Sequence[str] = ()) -> dict[str, Method]:
    """HiDe at each layer (counted from 0) with that layer's threshold, and before it other methods by name."""
    at = {layer: replace(hide.settings, layer=layer, alpha=alpha, source="given") for layer, alpha in alphas.items()}
    return named(also) | {layer_method(layer): partial(with_hide, settings=settings) for layer, settings in at.items()}


def rival(answers: pd.DataFrame, choice: Choice) -> tuple[int, str]:
    """The layer that the best one for maps is compared with, and which of the `CLAIMS` is about the two.

    It is the layer with the most right answers on the calibration split, the earliest of equals. Where that is the best
    for maps too, it is the second best for answers.

    Args:
        answers: of the calibration split, at every layer.
        choice: of the calibration split, from maps.
    """
    right = answers.groupby("method")["correct"].mean()
    ranked = sorted(choice.alphas, key=lambda layer: -right[layer_method(layer)])
    return (ranked[1 % len(ranked)], "same layer") if ranked[0] == choice.layer else (ranked[0], "another layer")


def by_layer(accuracies: pd.DataFrame) -> pd.DataFrame:
    """A table with a column method, with the layer (counted from 0) that each is at; missing for other methods."""
    names = accuracies["method"].str.extract(r"^layer (\d+)$")[0]
    return accuracies.assign(layer=names.astype(float))


def choices_by_size(calibration: pd.DataFrame, test: pd.DataFrame, draws: int = 2000, seed: int = 0) -> pd.DataFrame:
    """How the chosen layer depends on the number of calibration samples: the choice on many draws with replacement.

    Thresholds stay as they are.

    Args:
        calibration: from `worth_by_layer`, of the calibration split.
        test: the same of the test split.
        draws: of each size: 1, 2, 4, ... samples, and all.
        seed: of the draws.

    Returns:
        One row a size: n, same (share of the draws that choose the layer which all calibration samples choose), and the
        chosen layers' mean worth on the test split (estimate) with the range of the middle 95 % of draws (low, high).
    """
    scores = calibration.pivot(index="sample_id", columns="layer", values="worth").to_numpy()
    on_test = test.groupby("layer")["worth"].mean().to_numpy()
    n, whole, rng, rows = len(scores), scores.mean(0).argmax(), np.random.default_rng(seed), []
    for size in [2**power for power in range(n.bit_length()) if 2**power < n] + [n]:
        chosen = scores[rng.integers(0, n, (draws, size))].mean(1).argmax(1)
        low, high = np.quantile(on_test[chosen], [0.025, 0.975])
        rows.append((size, float((chosen == whole).mean()), float(on_test[chosen].mean()), float(low), float(high)))
    return pd.DataFrame(rows, columns=["n", "same", "estimate", "low", "high"])


def published_peaks() -> pd.DataFrame:
    """The paper's layer peaks: model, layer (counted from 1), n_layers and depth (layer / n_layers)."""
    peaks = paper_numbers("layer_peak")
    table = pd.DataFrame({"model": peaks["model"], "layer": peaks["setting"].astype(int)})
    table["n_layers"] = table["model"].map(PUBLISHED_DEPTHS)
    return table.assign(depth=table["layer"] / table["n_layers"])


def rows_of(hide: HiDe, sample: Sample, layers: Sequence[int]) -> SearchAttention:
    """Attention rows of the search for a sample's reference entities, at some layers counted from 0."""
    return hide.open(sample.images).search(given_entities(sample.entities), layers)


def maps_by_layer(found: SearchAttention, sigma: float) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Maps of one sample at every captured layer, of each cell the most of all tokens, for `plots.layer_maps`.

    Args:
        found: the sample's attention rows.
        sigma: of the Gaussian that purified maps are smoothed with, in grid cells.

    Returns:
        Raw maps by name, (layers, h, w) in units of a flat map with as much attention, and purified maps in [0, 1].
    """
    raw = {}
    for name, rows in {"entity,\nraw": found.semantic, "instruction,\nraw": found.noise}.items():
        flat = rows.mean((2, 3), keepdims=True)
        raw[name] = (rows / np.where(flat > 0, flat, 1)).max(1)
    return raw, {"entity,\npurified": np.stack([found.maps(layer, sigma).max(0) for layer in found.layers])}
