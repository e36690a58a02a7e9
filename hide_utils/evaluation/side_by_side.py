"""A plain answer, HiDe and full passes on the same questions in turn, forwards and backwards, on the model at hand."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pandas as pd

from hide_utils.baselines import answered
from hide_utils.method import Extractor, HiDe, Result
from hide_utils.models import VLM
from hide_utils.samples import Sample

METHODS = ("plain", "hide", "three_passes")


def side_by_side(model: VLM, samples: Sequence[Sample]) -> pd.DataFrame:
    """Seconds of every step of plain answering, HiDe and full passes, each twice a sample, in mirrored order.

    Returns:
        Columns scene (its number), method, repeat, step, seconds. The step "whole" is the whole question, opening the
        picture included.

    Raises:
        AssertionError: full passes, which are the oracle, give another answer or other boxes.
    """
    ours, passes = HiDe(model), HiDe(model, reuse_prefix=False)
    rows: list[tuple] = []
    for scene, sample in enumerate(samples):
        results: dict[str, Result] = {}
        for place, method in enumerate(METHODS + METHODS[::-1]):
            started = time.perf_counter()
            session = (passes if method == "three_passes" else ours).open(sample.images)
            if method == "plain":
                answered(session, sample)
            else:
                hide = ours if method == "hide" else passes
                results[method] = hide.run(session, sample.question, sample.options, None, sample.style)
            steps = session.seconds | {"whole": time.perf_counter() - started}
            rows += [(scene, method, place // len(METHODS), *step) for step in steps.items()]
        one, other = results["hide"], results["three_passes"]
        assert (one.answer, one.boxes) == (other.answer, other.boxes), f"{sample.id}: full passes answer otherwise"
    return pd.DataFrame(rows, columns=["scene", "method", "repeat", "step", "seconds"])


def faster(times: pd.DataFrame) -> pd.DataFrame:
    """Of each scene's two runs of a method the faster one, which the machine disturbed least."""
    keys = [name for name in ("side", "scene", "method") if name in times]
    whole = times[times["step"] == "whole"].reset_index(drop=True)
    best = whole.loc[whole.groupby(keys)["seconds"].idxmin(), [*keys, "repeat"]]
    return times.merge(best, on=[*keys, "repeat"])


def over_plain(times: pd.DataFrame) -> pd.DataFrame:
    """Each scene's seconds over those of its plain answer, by the faster runs: a row a scene (and side)."""
    whole = faster(times).query("step == 'whole'")
    keys = [name for name in ("side", "scene") if name in whole]
    wide = whole.pivot(index=keys, columns="method", values="seconds")[list(METHODS)]
    return wide.div(wide["plain"], axis=0)


def extraction(model: VLM, questions: Sequence[str], repeats: int = 3) -> pd.DataFrame:
    """Seconds a question of listing its entities, all questions together and one at a time.

    Returns:
        Columns repeat, batched, single, ratio.

    Raises:
        AssertionError: the two list other entities.
    """
    extractor, rows = Extractor(model, batch=len(questions)), []
    extractor.many(questions[:1])  # the static prompt's own pass
    for repeat in range(repeats):
        marks = [time.perf_counter()]
        together = extractor.many(questions)
        marks.append(time.perf_counter())
        single = [extractor.many([question])[0] for question in questions]
        marks.append(time.perf_counter())
        assert [one.entities for one in together] == [one.entities for one in single]
        batched, alone = np.diff(marks) / len(questions)
        rows.append((repeat, batched, alone, batched / alone))
    return pd.DataFrame(rows, columns=["repeat", "batched", "single", "ratio"])
