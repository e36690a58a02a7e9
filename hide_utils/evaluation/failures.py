"""Why HiDe failed on a sample: one cause each, by definitions that leave none out and overlap nowhere."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from hide_utils.edits.layouts import Places, order_kept
from hide_utils.evaluation import localisation
from hide_utils.method import lpd
from hide_utils.models import VLM
from hide_utils.samples import Sample
from hide_utils.stats.intervals import wilson

# In the order in which they are asked: a sample has the first that applies, and the last applies to all that are left.
CAUSES = {
    "missed": "less than half of some true box lies in the regions",
    "background": "more than half of the area kept lies farther than one visual token from every true box",
    "fragmented": "some true box is cut: two or more regions overlap it",
    "layout": "the compact image does not keep the order of some two regions",
    "none": "well localised",
}


def cause_of(
    regions: Sequence[lpd.Region],
    places: Sequence[lpd.Region],
    truth: lpd.BoxesXYXY,
    token: float,
) -> str:
    """The first of `CAUSES` that applies.

    regions: kept of the picture; places: where each lies in the compact image; truth: the true boxes; all in pixels.
    token: side of a visual token in pixels. Raises ValueError without true boxes.
    """
    truth = lpd.as_boxes(truth)
    if not len(truth):
        raise ValueError("no true boxes: causes are told by comparison with them")
    if not len(regions) or localisation.coverage_recall(regions, truth) < 1:
        return "missed"
    boxes = lpd.as_boxes(regions)
    if _shared(boxes, truth + np.array([-token, -token, token, token])) < 0.5 * localisation.union_area(boxes):
        return "background"
    overlap = (boxes[:, None, :2] < truth[:, 2:]) & (truth[:, :2] < boxes[:, None, 2:])
    if (overlap.all(2).sum(0) > 1).any():
        return "fragmented"
    return "none" if order_kept(regions, places) else "layout"


def _shared(a: np.ndarray, b: np.ndarray) -> float:
    """Area that two unions of boxes have in common."""
    return localisation.union_area(a) + localisation.union_area(b) - localisation.union_area(np.concatenate([a, b]))


def causes(answers: pd.DataFrame, samples: Sequence[Sample], model: VLM, method: str = "hide") -> pd.DataFrame:
    """Cause of each sample with its answer, right or wrong: columns sample_id, cause, correct, regions.

    answers: from `evaluate`, with the method's regions. The side of a visual token is that of a square whose area is
    the picture's over its number of tokens. LPD's own layout is judged.
    """
    rows = answers[answers["method"] == method].set_index("sample_id")
    found = []
    for sample in samples:
        row, size = rows.loc[[sample.id]], sample.image.size
        (regions,) = regions_in(row.assign(method=method), method) or [[]]
        token = math.sqrt(math.prod(size) / model.n_image_tokens(size))
        places = lpd.mapping(regions) if regions else []
        cause = cause_of(regions, places, sample.boxes_xyxy, token)
        found.append((sample.id, cause, bool(row["correct"].iloc[0]), regions))
    return pd.DataFrame(found, columns=["sample_id", "cause", "correct", "regions"])


def cause_table(found: pd.DataFrame, answers: pd.DataFrame, reference: str = "oracle") -> pd.DataFrame:
    """Counts by cause: n samples, how many answered wrong, and of these how many the reference got wrong too.

    Shares have Wilson intervals; what the reference got wrong too no better boxes would have saved.
    found: from `causes`; answers: with rows of the reference on the same samples.
    """
    other = answers[answers["method"] == reference].set_index("sample_id")["correct"].astype(bool)
    rows = []
    for cause, meaning in CAUSES.items():
        part = found[found["cause"] == cause]
        wrong = part[~part["correct"]]
        share = wilson(len(wrong), len(part))
        hopeless = int((~other[wrong["sample_id"]]).sum())
        rows.append((cause, meaning, len(part), len(wrong), share.estimate, share.low, share.high, hopeless))
    columns = ["cause", "definition", "n", "wrong", "share_wrong", "low", "high", f"wrong_with_{reference}_too"]
    return pd.DataFrame(rows, columns=columns)


def regions_in(answers: pd.DataFrame, method: str) -> list[Places]:
    """The regions behind each of a method's answers (rows of `evaluate`); answers without regions are left out."""
    flat = answers.loc[answers["method"] == method, "regions"].dropna()
    return [[tuple(box) for box in np.reshape(row, (-1, 4)).astype(int).tolist()] for row in flat]
