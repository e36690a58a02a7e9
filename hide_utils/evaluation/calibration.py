"""Choosing layer, sigma and alpha on a calibration split. Rows are captured once, then every setting is array work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import product
from typing import Any

import pandas as pd
from tqdm.auto import tqdm

from hide_utils.config import RunConfig
from hide_utils.evaluation import localisation
from hide_utils.evaluation.measured import stored_measures
from hide_utils.method import HiDe, SearchAttention, Session, given_entities, lpd
from hide_utils.models import VLM
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


def grid_quality(
    sigmas: Sequence[float], alphas: Sequence[float], hide: HiDe, session: Session, sample: Sample
) -> dict[str, list[float]]:
    """Box quality of one sample's entities at the method's layer, at every sigma and for each at every alpha."""
    sought = given_entities(sample.entities) if sample.entities else hide.extractor(sample.question)
    found = session.search(sought, [hide.settings.layer])
    table = sweep_settings([found], [sample], [session.image.size], sigmas, alphas)
    return {name: table[name].round(5).tolist() for name in ("recall50", "iou", "area")}


def stored_sweep(
    hide: HiDe, samples: Sequence[Sample], config: RunConfig, sigmas: Iterable[float], alphas: Iterable[float]
) -> pd.DataFrame:
    """What `sweep_settings` returns for the method's layer, read from disk or measured, by `grid_quality`."""
    grid = sorted(map(float, sigmas)), sorted(map(float, alphas))
    rows = stored_measures(hide, samples, partial(grid_quality, *grid), config, "settings", progress=False)
    setting = pd.DataFrame(product([hide.settings.layer], *grid), columns=["layer", "sigma", "alpha"])
    measures = ["recall50", "iou", "area"]
    table = rows.explode(measures, ignore_index=True).astype(dict.fromkeys(measures, float))
    return table.join(pd.concat([setting] * len(rows), ignore_index=True))


def by_setting(table: pd.DataFrame) -> pd.DataFrame:
    """Mean box quality of every setting, best first: the highest recall minus area.

    That is objects kept minus background kept. Answers play no part.

    Args:
        table: from `sweep_settings`.

    Returns:
        One row a setting: layer, sigma, alpha, recall50, iou, area and worth, which is recall50 - area.
    """
    mean = table.groupby(["layer", "sigma", "alpha"])[["recall50", "iou", "area"]].mean()
    mean["worth"] = mean["recall50"] - mean["area"]
    return mean.sort_values("worth", ascending=False, kind="stable").reset_index()


def settings_grid(
    sweep: Callable[[Sequence[float], Sequence[float]], pd.DataFrame],
    sigmas: Sequence[float] = SIGMAS,
    alphas: Sequence[float] = ALPHAS,
    most: int = 4,
) -> pd.DataFrame:
    """`by_setting` on a grid that is extended until the best setting does not lie at an end of it.

    Natural ends stay: no smoothing, and a threshold of 1.

    Args:
        sweep: makes of sigmas and alphas what `sweep_settings` returns, at one layer.
        sigmas: the grid to start with.
        alphas: the grid to start with.
        most: how often it is extended.
    """
    for _ in range(most + 1):
        means = by_setting(sweep(sigmas, alphas))
        sigma, alpha = means.loc[0, ["sigma", "alpha"]]
        wider = {*sigmas, *_beyond(sigma, sigmas, sigma / 2, 1.5 * sigma)}
        further = {*alphas, *_beyond(alpha, alphas, alpha / 2, (1 + alpha) / 2)}
        if wider == set(sigmas) and further == set(alphas):
            break
        sigmas, alphas = sorted(wider), sorted(further)
    return means


def _beyond(best: float, grid: Sequence[float], lower: float, higher: float) -> list[float]:
    """Where to go on from a best value that lies at an end of its grid. Empty for one inside."""
    return [lower] * (best == min(grid)) + [higher] * (best == max(grid))
