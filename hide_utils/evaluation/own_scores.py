"""The scores that benchmarks publish for themselves, beside the plain share of right answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from hide_utils.benchmarks import SOURCES
from hide_utils.benchmarks.grids import agreement
from hide_utils.evaluation.localisation import mean_best_iou
from hide_utils.samples import Sample
from hide_utils.stats import mean_over_cycles
from hide_utils.stats.rows import answered

SOURCES_2D, SOURCES_3D = ("ADE20K", "COCO"), ("Omni3D",)  # of CV-Bench's pictures


def own_scores(benchmark: str, answers: pd.DataFrame, samples: Sequence[Sample]) -> pd.DataFrame | None:
    """What the benchmark's authors report, for each method.

    Args:
        benchmark: a name in `hide_utils.benchmarks.SOURCES`, or the path of a file, which is scored by what its rows
            have: by cycles where all have one.
        answers: rows of `evaluate` on `samples`. A warning says how many are left out for errors.
        samples: of the benchmark.

    Returns:
        A row a method with a column for each number, named as the authors name it. None where the score is the share of
        right answers, or
        takes a judge.
    """
    score = SOURCES[benchmark].score if benchmark in SOURCES else "accuracy"
    if score == "accuracy" and answers["cycle"].fillna("").astype(bool).all():
        score = "cycles"
    if score not in _SCORES:  # the share of right answers, or what nobody can compute here
        return None
    by_id = {sample.id: sample for sample in samples}
    methods = answers["method"].unique()
    table = pd.DataFrame(_SCORES[score](answered(answers, f"score {score!r}"), by_id)).reindex(methods)
    return table.rename_axis("method").reset_index()


def _cycles(rows: pd.DataFrame, by_id: Mapping[str, Sample]) -> dict[str, pd.Series]:
    return {"mean over cycles": mean_over_cycles(rows)}


def _boxes(rows: pd.DataFrame, by_id: Mapping[str, Sample]) -> dict[str, pd.Series]:
    """TreeBench's: accuracy, and the mean IoU of a method's regions; NaN for a method that never has any."""
    found = [
        mean_best_iou([] if regions is None else np.reshape(regions, (-1, 4)), by_id[sample_id].boxes_xyxy)
        for sample_id, regions in zip(rows["sample_id"], rows["regions"], strict=True)
    ]
    of = rows.assign(iou=found, any=rows["regions"].notna()).groupby("method")
    return {"accuracy": of["correct"].mean(), "mIoU": of["iou"].mean().where(of["any"].any())}


def _sources(rows: pd.DataFrame, by_id: Mapping[str, Sample]) -> dict[str, pd.Series]:
    """CV-Bench's: the mean of 2D, itself that of ADE20K and COCO, and 3D. NaN where a source was not asked about."""
    source = rows["kind"].str.split("/").str[1]
    by_source = rows.assign(source=source).pivot_table("correct", "method", "source")
    by_source = by_source.reindex(columns=[*SOURCES_2D, *SOURCES_3D])
    flat, deep = (by_source[list(names)].mean(axis=1, skipna=False) for names in (SOURCES_2D, SOURCES_3D))
    return {"2D": flat, "3D": deep, "combined": (flat + deep) / 2}


def _agreement(rows: pd.DataFrame, by_id: Mapping[str, Sample]) -> dict[str, pd.Series]:
    """HRScene's for WhiteBackground: the mean of `agreement`, over all places, of each grid."""
    shares = [
        agreement(reply, by_id[sample_id].answers)
        for sample_id, reply in zip(rows["sample_id"], rows["reply"], strict=True)
    ]
    by_grid = rows.assign(share=shares).pivot_table("share", "method", "kind", sort=False)
    return {str(grid): by_grid[grid] for grid in by_grid}


_SCORES: dict[str, Callable[[pd.DataFrame, Mapping[str, Sample]], dict[str, pd.Series]]] = {
    "cycles": _cycles,
    "boxes": _boxes,
    "sources": _sources,
    "agreement": _agreement,
}
