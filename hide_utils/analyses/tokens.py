"""Token-wise decoupling (TAD) taken apart: other tokens, its components one at a time, and other priors.

A *variant* turns the rows of one picture into maps; its regions are those of all its maps together, as in LPD. Every
variant gets the threshold that the same rule chooses for it on the calibration split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from hide_utils import paths
from hide_utils.baselines import published
from hide_utils.baselines.methods import Method, of_regions
from hide_utils.config import Alpha, Count, RunConfig, Sigma
from hide_utils.evaluation import localisation
from hide_utils.evaluation.captured import RowCache
from hide_utils.method import lpd, tad
from hide_utils.method.entities import SEARCH_INSTRUCTION
from hide_utils.method.hide import HiDe
from hide_utils.method.session import Session
from hide_utils.models import VLM
from hide_utils.prompts import multiple_choice
from hide_utils.samples import Sample


class TokensConfig(RunConfig):
    """Parameters of notebook 03.

    Attributes:
        n_calibration: samples of the calibration split. None takes all.
        alphas: thresholds from which that of a variant is chosen.
        sigmas: grid of the sweep of sigma, in grid cells.
    """

    notebook: str = "03_token_decoupling"
    n_calibration: Count | None = None
    alphas: tuple[Alpha, ...] = ()
    sigmas: tuple[Sigma, ...] = ()


CONTENT_FREE = "Write a general description of the image."  # ViCrop's reference prompt (Zhang et al., ICLR 2025)
PROMPTS: dict[str, Callable[[Sample], str]] = {
    "answer": lambda sample: multiple_choice(sample.question, sample.options),
    "content_free": lambda sample: CONTENT_FREE,
}
ALPHAS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
WEIGHTS = (0.25, 0.5, 0.75, 1.25, 1.5)  # of the prior; 0 and 1 are variants of their own

FIRST = "first answer token"
RAW = "all text tokens, raw"
SMOOTHED = "all text tokens, smoothed"
ENTITY = "entity tokens, mean"
DECOUPLED = "entity tokens, a map each"
PURIFIED = "prior subtracted (HiDe)"
RATIO = "content-free, ratio"
SUBTRACTED = "content-free, subtracted"
STEPS = {
    "smoothing": (SMOOTHED, RAW),
    "entity tokens only": (ENTITY, SMOOTHED),
    "a map for each token": (DECOUPLED, ENTITY),
    "subtracting the prior": (PURIFIED, DECOUPLED),
}  # what each of TAD's components adds: the variant with it and the one without

VARIANT_MEASURES = {
    "iou": "IoU of regions and true boxes (the rule for α)",
    "recall50": "share of the true boxes of which at least half lies in the regions",
    "area": "share of the picture in the regions",
    "energy": "mass of the maps in the true boxes, mean over the maps",
    "pointing": "peak of the mean map in a true box",
}

Maps = Float[np.ndarray, "_maps _h _w"]


@dataclass(frozen=True)
class TokenRows:
    """One sample and the rows over its picture at one layer.

    noise, semantic: rows of the search prompt's instruction and entity tokens; tokens: texts of the latter.
    answer: row of the position that predicts the first answer token, at every layer; layer: that of all other rows.
    content_free: the same position's row after `CONTENT_FREE`. size_wh: pixels of the picture as the model sees it.
    """

    sample: Sample
    size_wh: tuple[int, int]
    layer: int
    tokens: tuple[str, ...]
    noise: Float[np.ndarray, "noise h w"] = field(repr=False)
    semantic: Float[np.ndarray, "tokens h w"] = field(repr=False)
    answer: Float[np.ndarray, "layers h w"] = field(repr=False)
    content_free: Float[np.ndarray, "h w"] = field(repr=False)

    @property
    def truth(self) -> Float[np.ndarray, "boxes 4"]:
        """True boxes, normalised."""
        return np.array(self.sample.boxes_xyxy) / [*self.size_wh, *self.size_wh]


Variant = Callable[[TokenRows], Maps]


def load_token_rows(rows: RowCache, model: VLM, samples: Sequence[Sample], layer: int) -> list[TokenRows]:
    """Rows of all three prompts for every sample, read or captured (see `RowCache.load_with_last`).

    Raises ValueError without samples and for one without ground-truth boxes.
    """
    if not samples:
        raise ValueError("no samples with ground-truth boxes: localisation is measured on a benchmark that has them")
    if bare := [sample.id for sample in samples if not sample.boxes_xyxy]:
        raise ValueError(f"{len(bare)} samples have no ground-truth boxes ({bare[0]}, ...): leave them out")
    found, sizes, last = rows.load_with_last(model, samples, PROMPTS, [layer], range(model.n_layers))
    return [
        TokenRows(sample, size, layer, one.tokens, one.noise[0], one.semantic[0], answer, content_free[layer])
        for sample, size, one, answer, content_free in zip(samples, sizes, found, *last.values(), strict=True)
    ]


def instruction_tokens(model: VLM) -> list[str]:
    """Texts of the search instruction's tokens, in the order of `TokenRows.noise`."""
    prompt = model.prompt(f"{SEARCH_INSTRUCTION} it")
    positions = prompt.texts[0].positions(0, len(SEARCH_INSTRUCTION))
    return [model.decode([int(prompt.ids[i])]).strip() for i in positions]


def scaled(rows: Maps, sigma: float) -> Maps:
    """Rows smoothed (Gaussian of `sigma` cells) and each scaled to [0, 1] by min-max."""
    return tad.minmax(tad.smooth(rows, sigma))


def components(sigma: float) -> dict[str, Variant]:
    """TAD's components switched on one at a time, and what the paper sets against it.

    `FIRST`: the row that predicts the first answer token, smoothed and scaled: one map. `RAW`: the mean of the rows of
    all text tokens behind the picture (instruction and entities), scaled: one map. `SMOOTHED`: the same, smoothed
    before it is scaled. `ENTITY`: the same of the entity tokens alone. `DECOUPLED`: each entity token's row smoothed
    and scaled on its own: one map a token. `PURIFIED`: from each of these the mean map of the instruction's tokens
    subtracted, clipped at 0 and scaled again, which is TAD.
    """

    def everything(case: TokenRows) -> Maps:
        return np.concatenate([case.noise, case.semantic]).mean(0, keepdims=True)

    return {
        FIRST: lambda case: scaled(case.answer[[case.layer]], sigma),
        RAW: lambda case: scaled(everything(case), 0.0),
        SMOOTHED: lambda case: scaled(everything(case), sigma),
        ENTITY: lambda case: scaled(case.semantic.mean(0, keepdims=True), sigma),
        DECOUPLED: lambda case: scaled(case.semantic, sigma),
        PURIFIED: lambda case: weighted(case, sigma),
    }


def weighted(case: TokenRows, sigma: float, weight: float = 1.0) -> Maps:
    """TAD with `weight` times the instruction's prior."""
    prior = np.float32(weight) * tad.noise_prior(case.noise, sigma)
    return tad.subtract_prior(scaled(case.semantic, sigma), prior)


def weights(sigma: float, values: Iterable[float] = WEIGHTS) -> dict[str, Variant]:
    """The instruction's prior adapted by one number: a variant for each weight."""
    return {f"instruction × {w:g}": partial(weighted, sigma=sigma, weight=w) for w in values}


def answer_layers(sigma: float, n_layers: int) -> dict[str, Variant]:
    """`FIRST` at each decoder layer; names count layers from 1."""
    return {f"{FIRST}, layer {i + 1} of {n_layers}": partial(_answer_at, layer=i, sigma=sigma) for i in range(n_layers)}


def _answer_at(case: TokenRows, layer: int, sigma: float) -> Maps:
    return scaled(case.answer[[layer]], sigma)


def learned_prior(calibration: Sequence[TokenRows], sigma: float, grid_hw: tuple[int, int]) -> Float[np.ndarray, "h w"]:
    """Mean of the calibration pictures' priors, resized to a grid."""
    return localisation.average_prior([tad.noise_prior(case.noise, sigma) for case in calibration], grid_hw)


def other_priors(sigma: float, calibration: Sequence[TokenRows]) -> dict[str, Variant]:
    """What could stand in place of the instruction's prior: one learned from other pictures, or a content-free prompt.

    The learned one is the mean of the calibration pictures' priors, resized to the picture's grid. The content-free
    prompt's map is subtracted as the instruction's is, or divides the rows before they are scaled (ViCrop).
    """
    average = cache(partial(learned_prior, calibration, sigma))
    return {
        f"averaged over {len(calibration)} pictures": lambda case: tad.subtract_prior(
            scaled(case.semantic, sigma), average(case.semantic.shape[1:])
        ),
        SUBTRACTED: lambda case: tad.subtract_prior(
            scaled(case.semantic, sigma), scaled(case.content_free[None], sigma)[0]
        ),
        RATIO: lambda case: published.relative_attention(case.semantic, case.content_free, sigma),
    }


def _quality(boxes: Sequence[lpd.Box], case: TokenRows) -> dict[str, float]:
    return localisation.box_quality(lpd.merge_boxes(boxes, case.size_wh), case.sample.boxes_xyxy, case.size_wh)


def sweep_alphas(cases: Sequence[TokenRows], variants: Mapping, alphas: Sequence[float] = ALPHAS) -> pd.DataFrame:
    """Mean quality of the regions of every variant at every alpha: columns variant, alpha, recall50, iou, area."""
    rows = []
    for case in cases:
        for name, variant in variants.items():
            for alpha, boxes in zip(alphas, lpd.boxes_grid(variant(case), alphas), strict=True):
                quality = _quality([box for of_map in boxes for box in of_map], case)
                rows.append({"variant": name, "alpha": alpha} | quality)
    return pd.DataFrame(rows).groupby(["variant", "alpha"], sort=False).mean().reset_index()


def choose_alphas(table: pd.DataFrame) -> pd.DataFrame:
    """The rule: for each variant the alpha with the highest mean IoU over the samples; the smallest of equals.

    table: from `sweep_alphas`, of the calibration split. Returns its chosen rows, indexed by variant.
    """
    ordered = table.sort_values("alpha", kind="stable")
    best = ordered.groupby("variant", sort=False)["iou"].idxmax()
    return ordered.loc[best].set_index("variant").loc[table["variant"].unique()]


def measure_variants(cases: Sequence[TokenRows], variants: Mapping, alphas: Mapping) -> pd.DataFrame:
    """Every measure_variants of `VARIANT_MEASURES` for every sample and variant, at the variant's alpha.

    Returns one row a sample and variant: sample_id, image_id, variant, alpha, the measures, and what a flat map has of
    energy and pointing: true_area and touched (share of cells that touch a true box).
    """
    rows = []
    for case in cases:
        who = {"sample_id": case.sample.id, "image_id": case.sample.image_id}
        touched = localisation.box_coverage(case.truth, case.content_free.shape) > 1e-9
        flat = {"true_area": localisation.union_area(case.truth), "touched": float(touched.mean())}
        for name, variant in variants.items():
            maps = variant(case)
            boxes = [box for of_map in lpd.boxes_grid(maps, [alphas[name]])[0] for box in of_map]
            peaks = {
                "energy": float(np.nan_to_num(localisation.energy_in_boxes(maps, case.truth)).mean()),
                "pointing": float(np.nan_to_num(localisation.pointing(maps.mean(0), case.truth))),
            }
            rows.append(who | {"variant": name, "alpha": alphas[name]} | _quality(boxes, case) | peaks | flat)
    return pd.DataFrame(rows)


def answer_methods(
    cases: Sequence[TokenRows], variants: Mapping[str, Variant], alphas: Mapping[str, float], sigma: float
) -> dict[str, Method]:
    """LPD on each variant's regions as methods for `evaluate`; a name says variant, sigma and alpha (`method_name`).

    Rows come from the cases, so that a method runs the model for its answer alone.
    """
    by_id = {case.sample.id: case for case in cases}

    def find(variant: Variant, alpha: float, hide: HiDe, session: Session, sample: Sample) -> list[lpd.Region]:
        return lpd.regions_of(variant(by_id[sample.id]), alpha, session.image.size)

    return {
        method_name(name, alphas[name], sigma): of_regions(partial(find, variant, alphas[name]), steps=("prefill",))
        for name, variant in variants.items()
    }


def method_name(variant: str, alpha: float, sigma: float) -> str:
    """Under which the answers of a variant are stored."""
    return f"{variant} · σ {sigma:g} · α {alpha:g}"


def published_sigma(path: str | Path | None = None) -> float:
    """The paper's sigma in grid cells, set for Qwen2.5-VL-7B."""
    numbers = pd.read_csv(path or paths.PAPER / "hide_paper_numbers.csv")
    return float(numbers.query("experiment == 'hyperparameters' and setting == 'sigma'")["value"].iloc[0])


def typical_rows(table: pd.DataFrame, cases: Sequence[TokenRows], variant: str = PURIFIED) -> TokenRows:
    """The rule for an example: of the samples with most true boxes, the one of (lower) median energy in them."""
    most = max(len(case.sample.boxes_xyxy) for case in cases)
    by_id = {case.sample.id: case for case in cases if len(case.sample.boxes_xyxy) == most}
    energy = table[(table["variant"] == variant) & table["sample_id"].isin(by_id)].set_index("sample_id")["energy"]
    return by_id[energy.sort_values(kind="stable").index[(len(energy) - 1) // 2]]
