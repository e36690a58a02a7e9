"""Choosing layer, sigma and alpha on a calibration split. Rows are captured once, then every setting is array work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from hide_utils.baselines import answered
from hide_utils.evaluation import localisation
from hide_utils.images import composite_on_white
from hide_utils.method import HiDe, SearchAttention, given_entities, lpd, read_letter
from hide_utils.models import VLM, Settings
from hide_utils.samples import Sample

SIGMAS = (0.0, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
ALPHAS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def search_rows(
    model: VLM, samples: Sequence[Sample], layers: Sequence[int] | None = None, *, progress: bool = True
) -> list[SearchAttention]:
    """Attention rows of every sample's reference entities, in one pass each.

    Args:
        model: from `load_model`.
        samples: with reference entities.
        layers: to capture, counted from 0. None captures all.
        progress: show a bar.

    Raises:
        ValueError: a sample has no reference entities.
    """
    hide, layers = HiDe(model), list(range(model.n_layers)) if layers is None else list(layers)
    found = []
    for sample in tqdm(samples, desc="rows", disable=not progress):
        if not sample.entities:
            raise ValueError(f"sample {sample.id} has no reference entities: calibrate on a benchmark that has them")
        found.append(hide.open(sample.image).search(given_entities(sample.entities), layers))
    return found


def sweep_settings(
    found: Sequence[SearchAttention],
    samples: Sequence[Sample],
    sizes_wh: Sequence[tuple[int, int]],
    sigmas: Sequence[float] = SIGMAS,
    alphas: Sequence[float] = ALPHAS,
) -> pd.DataFrame:
    """Box quality of every layer, sigma and alpha, from captured rows alone.

    Args:
        found: rows of every sample, as from `search_rows`.
        samples: those of the rows, with true boxes.
        sizes_wh: width and height in pixels of the samples' pictures as the session has them.
        sigmas: standard deviations in grid cells.
        alphas: thresholds in (0, 1].

    Returns:
        One row a sample (sample_id, image_id), layer, sigma and alpha, with the three of `localisation.box_quality` for
        the merged regions.
    """
    rows = []
    for one, sample, size in zip(found, samples, sizes_wh, strict=True):
        who: dict[str, Any] = {"sample_id": sample.id, "image_id": sample.image_id}
        for layer in one.layers:
            for sigma in sigmas:
                for alpha, boxes in zip(alphas, lpd.boxes_grid(one.maps(layer, sigma), alphas), strict=True):
                    regions = lpd.merge_boxes([b for of_token in boxes for b in of_token], size)
                    setting = {"layer": layer, "sigma": sigma, "alpha": alpha}
                    rows.append(who | setting | localisation.box_quality(regions, sample.boxes_xyxy, size))
    return pd.DataFrame(rows)


def candidates(table: pd.DataFrame, most: int = 8) -> list[Settings]:
    """The settings worth answering with, best first by two rules in turn.

    One rule is the highest mean of recall minus area, which is objects kept minus background kept. The other is the
    highest mean IoU, which counts distractors that are kept too.

    Args:
        table: from `sweep_settings`.
        most: how many settings.
    """
    mean = table.groupby(["layer", "sigma", "alpha"])[["recall50", "iou", "area"]].mean()
    rules = (mean["recall50"] - mean["area"], mean["iou"])
    ranked = [rule.sort_values(ascending=False, kind="stable").index for rule in rules]
    chosen = dict.fromkeys(setting for pair in zip(*ranked, strict=True) for setting in pair)
    return [Settings(int(layer), float(sigma), float(alpha)) for layer, sigma, alpha in list(chosen)[:most]]


def choose_settings(
    model: VLM,
    samples: Sequence[Sample],
    found: Sequence[SearchAttention],
    settings: Sequence[Settings],
    *,
    progress: bool = True,
) -> tuple[Settings, pd.DataFrame]:
    """The first candidate whose answer accuracy lies within one standard error of the best one's.

    The candidates come with the best boxes first, so differences that the samples cannot tell apart do not decide. Each
    picture is prefilled once for all candidates.

    Args:
        model: from `load_model`.
        samples: of the calibration split.
        found: captured rows of the samples, with every candidate's layer among them.
        settings: the candidates, as from `candidates`.
        progress: show a bar.

    Returns:
        The choice, and one row a candidate with layer, sigma, alpha, accuracy, recall50, iou and area.
    """
    hide, rows = HiDe(model), []
    for sample, one in zip(tqdm(samples, desc="candidates", disable=not progress), found, strict=True):
        session = hide.open(sample.image)
        for number, s in enumerate(settings):
            regions = lpd.regions_of(one.maps(s.layer, s.sigma), s.alpha, session.image.size)
            compact = composite_on_white(lpd.compact_image(session.image, regions)) if regions else None
            reply = answered(session, sample, compact)
            right = read_letter(model, reply, sample.options, hide.protocol) == sample.label
            quality = localisation.box_quality(regions, sample.boxes_xyxy, session.image.size)
            rows.append({"number": number, "accuracy": right} | quality)
    mean = pd.DataFrame(rows).groupby("number").mean()
    table = pd.DataFrame([(s.layer, s.sigma, s.alpha) for s in settings], columns=["layer", "sigma", "alpha"])
    table = table.join(mean)
    pictures = len({sample.image_id for sample in samples})  # questions of one picture are no further evidence
    return settings[first_within_one_error(table["accuracy"].tolist(), pictures)], table


def first_within_one_error(accuracies: Sequence[float], n: int) -> int:
    """Index of the first accuracy within one standard error of the highest, each of `n` pictures."""
    best = max(accuracies)
    least = best - np.sqrt(best * (1 - best) / n)
    return next(i for i, accuracy in enumerate(accuracies) if accuracy >= least)
