"""Why HiDe failed on a sample: one cause for each, by definitions that leave none out and do not overlap."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hide_utils.edits.layouts import Places, order_kept
from hide_utils.evaluation import localisation
from hide_utils.evaluation.gallery import gallery_path, write_gallery
from hide_utils.images import composite_on_white
from hide_utils.method import lpd, the_only
from hide_utils.models import VLM
from hide_utils.plots import Panel, plain_text
from hide_utils.samples import Sample
from hide_utils.stats import accuracies
from hide_utils.stats.rows import answered, outcomes

# A sample has the first cause that applies. The last applies to all that are left.
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

    Args:
        regions: what was kept of the picture, in pixels.
        places: where each region lies in the compact image, in pixels.
        truth: the true boxes in pixels of the picture.
        token: side of a visual token in pixels.

    Raises:
        ValueError: there are no true boxes.
    """
    truth = lpd.as_boxes(truth)
    if not len(truth):
        raise ValueError("no true boxes: causes are told by comparison with them")
    if not len(regions) or localisation.coverage_recall(regions, truth) < 1:
        return "missed"
    boxes = lpd.as_boxes(regions)
    if _shared_area(boxes, truth + np.array([-token, -token, token, token])) < 0.5 * localisation.union_area(boxes):
        return "background"
    overlap = (boxes[:, None, :2] < truth[:, 2:]) & (truth[:, :2] < boxes[:, None, 2:])
    if (overlap.all(2).sum(0) > 1).any():
        return "fragmented"
    return "none" if order_kept(regions, places) else "layout"


def _shared_area(a: np.ndarray, b: np.ndarray) -> float:
    """Area that two unions of boxes have in common."""
    return localisation.union_area(a) + localisation.union_area(b) - localisation.union_area(np.concatenate([a, b]))


def causes(answers: pd.DataFrame, samples: Sequence[Sample], model: VLM, method: str = "hide") -> pd.DataFrame:
    """The cause of each sample that was answered, right or wrong. LPD's own layout is judged.

    The side of a visual token is that of a square whose area is the picture's over its number of tokens.

    Args:
        answers: rows of `evaluate`, with the method's regions.
        samples: those of the answers, with true boxes.
        model: counts a picture's tokens.
        method: whose regions are judged.

    Returns:
        Columns sample_id, cause, correct and regions. A warning says how many samples are left out for errors.
    """
    rows = answered(answers[answers["method"] == method], "failures").set_index("sample_id")
    gone = set(answers.loc[answers["method"] == method, "sample_id"]) - set(rows.index)
    found = []
    for sample in (sample for sample in samples if sample.id not in gone):
        row, size = rows.loc[[sample.id]], the_only(sample.images).size
        (regions,) = regions_in(row.assign(method=method), method) or [[]]
        token = math.sqrt(math.prod(size) / model.n_image_tokens(size))
        places = lpd.mapping(regions) if regions else []
        cause = cause_of(regions, places, sample.boxes_xyxy, token)
        found.append((sample.id, cause, bool(row["correct"].iloc[0]), regions))
    return pd.DataFrame(found, columns=["sample_id", "cause", "correct", "regions"])


def wrong_shares(found: pd.DataFrame, answers: pd.DataFrame, reference: str = "oracle") -> pd.DataFrame:
    """How often the samples of each cause are answered wrong, so that causes that differ in number can be compared.

    Args:
        found: from `causes`, for the method "hide".
        answers: rows of `evaluate`, with "hide", "direct" and the reference on the same samples.
        reference: method that has the best boxes there are. What it answers wrong too, no better boxes would save.

    Returns:
        Columns cause, method, n, wrong with its 95 % interval (low, high), and left_out where errors are. The causes
        stand in the order of `CAUSES` behind "none" and "any fault"; those of no sample are left out. The methods are
        "hide", "direct", and "both": wrong with HiDe's boxes, and with the reference's too.
    """
    of = found.set_index("sample_id")["cause"]
    rows = answers[answers["sample_id"].isin(of.index) & answers["method"].isin(["hide", "direct", reference])]
    wrong = (1 - outcomes(rows)).groupby([rows["sample_id"], rows["method"]]).first().unstack()
    shown = rows[rows["method"] == "hide"].assign(error=None)
    parts = []
    for method in ("hide", "both", "direct"):
        own = wrong["hide"] * wrong[reference] if method == "both" else wrong[method]
        part = shown.assign(method=method, cause=shown["sample_id"].map(of), correct=shown["sample_id"].map(own))
        parts += [part, part[part["cause"] != "none"].assign(cause="any fault")]
    table = accuracies(pd.concat(parts), ["cause", "method"]).rename(columns={"accuracy": "wrong"})
    order = ["none", "any fault", *CAUSES]
    return table.sort_values("cause", key=lambda names: names.map(order.index), kind="stable", ignore_index=True)


def regions_in(answers: pd.DataFrame, method: str) -> list[Places]:
    """Regions in pixels behind each answer of a method in rows of `evaluate`. Answers without regions are left out."""
    flat = answers.loc[answers["method"] == method, "regions"].dropna()
    return [[tuple(box) for box in np.reshape(row, (-1, 4)).astype(int).tolist()] for row in flat]


def write_page(answers: pd.DataFrame, samples: Sequence[Sample], target: str | Path, **words: Any) -> tuple[Path, int]:
    """Write the cases of a method as one HTML file, each with its cause where it is known.

    A cause needs true boxes, one picture, and the baseline's row, whose visual tokens are the picture's.

    Args:
        answers: rows of `evaluate`.
        samples: those of the answers.
        target: path of the file, or as text the name of one in ``data/results/galleries``.
        **words: the other arguments of `gallery.write_gallery`.

    Returns:
        The file, and how many cases it has.

    Raises:
        ValueError: as `write_gallery` does.
    """

    def told(regions: Sequence[lpd.Region], sample: Sample, token: float) -> str:
        return cause_of(regions, lpd.mapping(regions) if regions else [], sample.boxes_xyxy, token)

    file = target if isinstance(target, Path) else gallery_path(target)
    return write_gallery(answers, samples, file, causes=CAUSES, cause_of=told, **words)


def panels(
    found: pd.DataFrame, samples: Sequence[Sample], answers: pd.DataFrame, titles: Mapping[str, str], most: int = 2
) -> list[list[Panel]]:
    """The first wrongly answered samples of each cause, for `hide_utils.plots.gallery`.

    Args:
        found: from `causes`, for the method "hide".
        samples: those of the answers.
        answers: rows of `evaluate`.
        titles: cause -> its title.
        most: samples of one cause.

    Returns:
        A line for each cause that occurs. Of each sample it has the picture, with the regions solid and the true boxes
        dashed, and the compact image.
    """
    by_id = {sample.id: sample for sample in samples}
    replies = answers[answers["method"] == "hide"].set_index("sample_id").reindex(columns=["letter", "reply"])
    wrong, lines = found[~found["correct"]], []
    for cause, title in titles.items():
        line: list[Panel] = []
        for case in wrong[wrong["cause"] == cause].head(most).itertuples():
            sample, regions = by_id[case.sample_id], case.regions
            asked = textwrap.fill(plain_text(sample.question, 90), 26)
            told, answer = (plain_text(text, 24) for text in (sample.said(*replies.loc[sample.id]), sample.answer))
            right = f"{sample.label}\n({answer})" if sample.label else f"\n{answer}"
            compact = composite_on_white(lpd.compact_image(sample.image, regions)) if regions else None
            head = "" if line else title
            line += [
                Panel(sample.image, f"{head}\n{asked}", regions, sample.boxes_xyxy, flush=True),
                Panel(compact, f"said {told}, right: {right}", framed=bool(regions)),
            ]
        lines += [line + [Panel()] * (2 * most - len(line))] if line else []
    return lines or [[Panel(title="no sample was answered wrong"), *[Panel()] * (2 * most - 1)]]
