"""Choosing layer, sigma and alpha on a calibration split. Rows are captured once, then every setting is array work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import product
from typing import Any

import pandas as pd

from hide_utils.config import RunConfig
from hide_utils.evaluation import localisation
from hide_utils.evaluation.measured import stored_measures
from hide_utils.method import HiDe, SearchAttention, Session, given_entities
from hide_utils.samples import Sample
from hide_utils.stats.rows import mean_interval

SIGMAS = (0.0, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
ALPHAS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def sweep_settings(
    found: Sequence[SearchAttention],
    samples: Sequence[Sample],
    sizes_wh: Sequence[tuple[int, int]],
    sigmas: Sequence[float] = SIGMAS,
    alphas: Sequence[float] = ALPHAS,
) -> pd.DataFrame:
    """Box quality of every layer, sigma and alpha, from captured rows alone.

    Args:
        found: rows of every sample, as from `RowCache.load`.
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
                found_at = localisation.quality_at(one.maps(layer, sigma), alphas, sample.boxes_xyxy, size)
                for alpha, quality in zip(alphas, found_at, strict=True):
                    rows.append(who | {"layer": layer, "sigma": sigma, "alpha": alpha} | quality)
    return pd.DataFrame(rows)


def layers_quality(
    layers: Sequence[int],
    sigmas: Sequence[float],
    alphas: Sequence[float],
    hide: HiDe,
    session: Session,
    sample: Sample,
) -> dict[str, list[float]]:
    """Box quality of one sample's entities at every layer, for each at every sigma, and for each at every alpha.

    They are its reference entities, or those that the model lists where it has none.
    """
    sought = given_entities(sample.entities) if sample.entities else hide.extractor(sample.question)
    found = session.search(sought, layers)
    table = sweep_settings([found], [sample], [session.image.size], sigmas, alphas)
    return {name: table[name].round(5).tolist() for name in ("recall50", "iou", "area")}


def grid_quality(
    sigmas: Sequence[float], alphas: Sequence[float], hide: HiDe, session: Session, sample: Sample
) -> dict[str, list[float]]:
    """Box quality of one sample's entities at the method's layer, at every sigma and for each at every alpha."""
    return layers_quality([hide.settings.layer], sigmas, alphas, hide, session, sample)


def stored_sweep(
    hide: HiDe,
    samples: Sequence[Sample],
    config: RunConfig,
    sigmas: Iterable[float],
    alphas: Iterable[float],
    layers: Sequence[int] | None = None,
    *,
    progress: bool = False,
) -> pd.DataFrame:
    """What `sweep_settings` returns, read from disk or measured: an interrupted sweep goes on where it was.

    Args:
        hide: the method, whose model searches.
        samples: with true boxes.
        config: of the notebook or command that sweeps.
        sigmas: standard deviations in grid cells.
        alphas: thresholds in (0, 1].
        layers: counted from 0 and ascending. None: the method's own.
        progress: show a bar.
    """
    grid = sorted(map(float, sigmas)), sorted(map(float, alphas))
    measure = partial(grid_quality, *grid) if layers is None else partial(layers_quality, list(layers), *grid)
    rows = stored_measures(hide, samples, measure, config, "settings", progress=progress)
    swept = product([hide.settings.layer] if layers is None else layers, *grid)
    setting = pd.DataFrame(swept, columns=["layer", "sigma", "alpha"])
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


def best_with_intervals(table: pd.DataFrame, most: int = 8) -> pd.DataFrame:
    """The best settings of `by_setting`, with the 95 % interval of their worth: low and high.

    The interval is that of one setting on these samples. The best of many looks better here than it is elsewhere.

    Args:
        table: from `sweep_settings`.
        most: number of settings.
    """
    ranked = by_setting(table).head(most)
    per_sample = table.assign(worth=table["recall50"] - table["area"]).set_index(["layer", "sigma", "alpha"])
    found = []
    for layer, sigma, alpha in ranked[["layer", "sigma", "alpha"]].itertuples(index=False):
        of = per_sample.loc[[(layer, sigma, alpha)]]
        found.append(mean_interval(of["worth"], of["image_id"], shares=False))
    return ranked.assign(low=[one.low for one in found], high=[one.high for one in found])


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
