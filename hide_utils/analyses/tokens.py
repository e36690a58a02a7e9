"""Notebook 03. Token-wise decoupling (TAD) taken apart: other tokens, its components one at a time, and other priors.

A *variant* turns the rows of one picture into maps. Its regions are those of all its maps together, as in LPD. Every
variant gets the threshold that the same rule chooses for it on the calibration split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial

import numpy as np
import pandas as pd
from jaxtyping import Float

from hide_utils.baselines import LOOKS, Method, of_regions, published
from hide_utils.config import Alpha, Count, RunConfig, Sigma
from hide_utils.evaluation import TokenRows, localisation
from hide_utils.findings import paper_numbers
from hide_utils.looks import Look
from hide_utils.method import HiDe, Session, lpd, tad
from hide_utils.samples import Sample
from hide_utils.stats import median_label


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


ALPHAS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
WEIGHTS = (0.25, 0.5, 0.75, 1.25, 1.5)  # of the prior, without 0 and 1, which are variants of their own

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

VARIANT_LOOKS = LOOKS | {PURIFIED: Look(PURIFIED, LOOKS["hide"].color)}
PRIOR_LOOKS = {True: VARIANT_LOOKS[PURIFIED], False: Look("no prior")}

VARIANT_MEASURES = {
    "iou": "IoU of regions and true boxes (the rule for α)",
    "recall50": "share of the true boxes of which at least half lies in the regions",
    "area": "share of the picture in the regions",
    "energy": "mass of the maps in the true boxes, mean over the maps",
    "pointing": "peak of the mean map in a true box",
}

Maps = Float[np.ndarray, "_maps _h _w"]
Variant = Callable[[TokenRows], Maps]


def scaled(rows: Maps, sigma: float) -> Maps:
    """Rows smoothed (Gaussian of `sigma` cells) and each scaled to [0, 1] by min-max."""
    return tad.minmax(tad.smooth(rows, sigma))


def components(sigma: float) -> dict[str, Variant]:
    """TAD's components switched on one at a time, and what the paper sets against it.

    * `FIRST`: the row that predicts the first answer token, smoothed and scaled. One map.
    * `RAW`: the mean of the rows of all text tokens behind the picture (instruction and entities), scaled. One map.
    * `SMOOTHED`: the same, smoothed before it is scaled.
    * `ENTITY`: the same of the entity tokens alone.
    * `DECOUPLED`: each entity token's row smoothed and scaled on its own. One map a token.
    * `PURIFIED`: from each of these the mean map of the instruction's tokens is subtracted. The rest is clipped at 0
      and scaled again, which is TAD.

    Args:
        sigma: of the Gaussian, in grid cells.
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
    """`FIRST` at each decoder layer. Names count layers from 1."""
    return {f"{FIRST}, layer {i + 1} of {n_layers}": partial(_first_map, layer=i, sigma=sigma) for i in range(n_layers)}


def _first_map(case: TokenRows, layer: int, sigma: float) -> Maps:
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
    """Mean quality of the regions of every variant at every alpha.

    Args:
        cases: the samples.
        variants: name -> variant.
        alphas: thresholds in (0, 1].

    Returns:
        Columns variant, alpha, recall50, iou, area.
    """
    rows = []
    for case in cases:
        for name, variant in variants.items():
            for alpha, boxes in zip(alphas, lpd.boxes_grid(variant(case), alphas), strict=True):
                quality = _quality([box for of_map in boxes for box in of_map], case)
                rows.append({"variant": name, "alpha": alpha} | quality)
    return pd.DataFrame(rows).groupby(["variant", "alpha"], sort=False).mean().reset_index()


def choose_alphas(table: pd.DataFrame) -> pd.DataFrame:
    """The rule: for each variant the alpha with the highest mean IoU over the samples, the smallest of equals.

    Args:
        table: from `sweep_alphas`, of the calibration split.

    Returns:
        The chosen rows, indexed by variant.
    """
    ordered = table.sort_values("alpha", kind="stable")
    best = ordered.groupby("variant", sort=False)["iou"].idxmax()
    return ordered.loc[best].set_index("variant").loc[table["variant"].unique()]


def measure_variants(cases: Sequence[TokenRows], variants: Mapping, alphas: Mapping) -> pd.DataFrame:
    """Every measure of `VARIANT_MEASURES` for every sample and variant, at the variant's alpha.

    Args:
        cases: the samples.
        variants: name -> variant.
        alphas: name -> threshold in (0, 1].

    Returns:
        One row a sample and variant: sample_id, image_id, variant, alpha, the measures, and what a flat map has. That
        is true_area for energy, and touched for pointing, the share of cells that touch a true box.
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
    """LPD on each variant's regions as methods for `evaluate`, named by `method_name`.

    Rows come from the cases, so that a method runs the model for its answer alone.

    Args:
        cases: the samples that will be answered.
        variants: name -> variant.
        alphas: name -> threshold in (0, 1].
        sigma: of the variants, for the names.
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


def published_sigma() -> float:
    """The paper's sigma in grid cells, set for Qwen2.5-VL-7B."""
    return float(paper_numbers("hyperparameters").query("setting == 'sigma'")["value"].iloc[0])


def typical_case(table: pd.DataFrame, cases: Sequence[TokenRows], variant: str = PURIFIED) -> TokenRows:
    """The rule for an example: of the samples with most true boxes, the one of (lower) median energy in them.

    Args:
        table: from `measure_variants`.
        cases: of the same samples.
        variant: whose energy.
    """
    most = max(len(case.sample.boxes_xyxy) for case in cases)
    by_id = {case.sample.id: case for case in cases if len(case.sample.boxes_xyxy) == most}
    energy = table[(table["variant"] == variant) & table["sample_id"].isin(by_id)].set_index("sample_id")["energy"]
    return by_id[median_label(energy)]
