"""What HiDe is compared with besides direct answers and true boxes, each after its published description.

All share the session's prefill, the prompt and greedy decoding. A setting that a method has of its own is chosen on the
calibration split as HiDe's are (`hide_utils.evaluation.tuning`). It is read from ``hide.json`` in the model's folder,
and where that holds none the default stated here applies.
"""

from __future__ import annotations

import heapq
import json
import math
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
from jaxtyping import Float

from hide_utils import scoring
from hide_utils.baselines.outcome import Method, Outcome, answered, n_letters, with_found, with_regions
from hide_utils.method import HIDE_STEPS, HiDe, Session, lpd, tad
from hide_utils.models import VLM, Reply
from hide_utils.prompts import CONTENT_FREE
from hide_utils.samples import Sample

WINDOW_PX, WINDOW_FACTORS = 224, (1.0, 1.2, 1.4, 1.6, 1.8, 2.0)  # ViCrop: the encoder's input size, once to twice
GATE_MARGIN = 2.0  # logits: the best letter is e^2 = 7 times as likely as the second
TREE_DEPTH, TREE_VIEWS, TREE_SURE, TREE_SIDE = 2, 12, 0.9, 0.6


def tuned(model: VLM, method: str, default: dict[str, Any]) -> dict[str, Any]:
    """A method's settings: the default ones, replaced by those that were chosen on the calibration split."""
    chosen = chosen_settings(model).get(method, {})
    return default | {name: value for name, value in chosen.items() if name in default}


def chosen_settings(model: VLM) -> dict[str, Any]:
    """What stands under ``methods`` in the hide.json of the model's folder; empty where there is no such file."""
    file = model.folder and model.folder / "hide.json"
    return json.loads(file.read_text()).get("methods", {}) if file and file.is_file() else {}


def _own_settings(hide: HiDe) -> dict[str, Any]:
    return {name: getattr(hide.settings, name) for name in ("layer", "sigma", "alpha")}


def direct_logits(hide: HiDe, session: Session, sample: Sample) -> Outcome:
    """The direct answer, read as the letter with the highest logit whatever the run's protocol."""
    n_letters(sample, "direct_logits")
    return Outcome(answered(session, sample, step="direct"), (), ("prefill", "direct"), protocol="logits")


def relative_attention(
    attention: Float[np.ndarray, "tokens h w"], reference: Float[np.ndarray, "h w"], sigma: float
) -> Float[np.ndarray, "tokens h w"]:
    """ViCrop's relative attention: attention divided by that of a content-free prompt.

    Cells where the reference has less than a thousandth of its mean are held at that, so that no ratio explodes.

    Args:
        attention: raw rows of the tokens in question.
        reference: raw row of the content-free prompt.
        sigma: standard deviation in grid cells of the Gaussian that smooths both. 0 smooths nothing.

    Returns:
        Maps in [0, 1].
    """
    base = tad.smooth(tad.checked_rows(reference[None]), sigma)[0]
    least = max(1e-3 * base.mean(), 1e-12)
    return tad.minmax(tad.smooth(tad.checked_rows(attention), sigma) / np.maximum(base, least))


def relative_attention_crop(hide: HiDe, session: Session, sample: Sample) -> Outcome:
    """ViCrop's rel-att (Zhang et al., ICLR 2025): one window of the picture, enlarged, as the second picture.

    The window lies where the attention of the position that answers the question exceeds that of a content-free prompt.
    By default it is read at HiDe's own layer.
    """
    layer = tuned(hide.model, "rel_att", {"layer": hide.settings.layer})["layer"]
    asked = session.prompts.for_answer(sample.question, sample.options, sample.style)
    rows = session.rows_of_last(asked, [layer], "look")
    reference = session.rows_of_last(CONTENT_FREE, [layer], "reference")
    with session.timed("crop"):
        maps = relative_attention(rows, reference[0], 0.0)
        window = best_window(maps[0], session.image.size)
        crop = session.image.crop(window)
    steps = ("prefill", "look", "reference", "crop", "rel_att")
    return Outcome(answered(session, sample, crop, "rel_att"), (window,), steps, maps=maps)


def best_window(map_hw: Float[np.ndarray, "h w"], image_size_wh: tuple[int, int], base: int = WINDOW_PX) -> lpd.Region:
    """ViCrop's choice of a window: windows of several sizes slide over a map.

    Of each size the window with the largest sum counts. Of these the one is chosen that stands out most from its
    neighbours: its sum minus the mean of the windows one cell away, per cell. That prefers neither small windows nor
    large ones.

    Args:
        map_hw: where to look, on the picture's grid.
        image_size_wh: width and height of the picture in pixels.
        base: side in pixels of the smallest window. The largest is twice that.

    Returns:
        The window in pixels, half-open xyxy.
    """
    (height, width), (w_px, h_px) = map_hw.shape, image_size_wh
    best: tuple[float, lpd.Region] = (float("-inf"), (0, 0, w_px, h_px))
    for factor in WINDOW_FACTORS:
        rows = int(np.clip(round(base * factor * height / h_px), 1, height))
        columns = int(np.clip(round(base * factor * width / w_px), 1, width))
        sums = np.lib.stride_tricks.sliding_window_view(map_hw.astype(np.float64), (rows, columns)).sum((2, 3))
        y, x = np.unravel_index(sums.argmax(), sums.shape)
        around = sums[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
        neighbours = (around.sum() - sums[y, x]) / max(around.size - 1, 1)
        score = float((sums[y, x] - neighbours) / (rows * columns))
        if score > best[0]:
            edges = (x * w_px // width, y * h_px // height, (x + columns) * w_px // width, (y + rows) * h_px // height)
            left, top, right, bottom = (int(edge) for edge in edges)
            best = score, (left, top, right, bottom)
    return best[1]


def first_token(hide: HiDe, session: Session, sample: Sample) -> Outcome:
    """LPD on the attention of the position that predicts the answer's first token: no entities, no noise prior.

    Layer, sigma and alpha are HiDe's own by default.
    """
    chosen = tuned(hide.model, "first_token", _own_settings(hide))
    asked = session.prompts.for_answer(sample.question, sample.options, sample.style)
    rows = session.rows_of_last(asked, [chosen["layer"]], "look")
    with session.timed("binarise"):
        maps = tad.minmax(tad.smooth(rows, chosen["sigma"]))
        regions = lpd.regions_of(maps, chosen["alpha"], session.image.size)
    steps = ("prefill", "look", "binarise", "compact", "first")
    return with_regions(session, sample, [regions], "first", steps, maps=maps)


def hide_no_prior(hide: HiDe, session: Session, sample: Sample) -> Outcome:
    """HiDe without subtracting the noise prior: what the decoupling of instruction and entities is worth."""
    settings = hide.settings
    entities = hide.locate(session, sample.question).entities
    found = session.search(entities, [settings.layer])
    with session.timed("no_prior"):
        maps = tad.purify(found.semantic[0], 0, settings.sigma)
        regions = lpd.regions_of(maps, settings.alpha, session.image.size)
    steps = ("prefill", "extract", "search", "no_prior", "compact", "unpurified")
    return with_regions(session, sample, [regions], "unpurified", steps, entities.fallback, maps=maps)


def gated(margin: float | None = None) -> Method:
    """HiDe for those questions alone whose direct answer is unsure.

    Args:
        margin: logit of the best letter minus that of the second, above which the direct answer stands. None takes the
            tuned one, else `GATE_MARGIN`.
    """

    def method(hide: HiDe, session: Session, sample: Sample) -> Outcome:
        least = tuned(hide.model, "hide_gated", {"margin": GATE_MARGIN})["margin"] if margin is None else margin
        return _where_unsure(hide, session, sample, least)

    return method


def _where_unsure(hide: HiDe, session: Session, sample: Sample, least: float) -> Outcome:
    letters = n_letters(sample, "the gate by margin")
    reply = answered(session, sample, step="gate")
    if scoring.margin(hide.model.letter_logits(reply, letters)) > least:
        return Outcome(reply, (), ("prefill", "gate"))
    located = hide.locate(session, sample.question)
    return with_found(session, sample, located, "answer", ("prefill", "gate", *HIDE_STEPS[1:]))


def conformal(hide: HiDe, session: Session, sample: Sample) -> Outcome:
    """HiDe where the direct answer is unsure, by a margin that keeps a stated share of what looking mends.

    In the manner of LazyMCoT's router (Wang et al. 2026, arXiv 2606.16158), which weighs several statistics of the
    first token with a trained classifier. Here the margin alone is read, and nothing is trained. Conformal risk control
    chooses the threshold (`hide_utils.evaluation.gates.conformal`). Where hide.json has none, nothing can be promised
    but by looking at every question, and the outcome says so.
    """
    margin = tuned(hide.model, "hide_conformal", {"margin": None})["margin"]
    outcome = _where_unsure(hide, session, sample, math.inf if margin is None else margin)
    if margin is not None:
        return outcome
    said = "looked at every question: hide.json has no calibrated margin"
    return replace(outcome, fallback="; ".join(filter(None, [said, outcome.fallback])))


def tree_search(hide: HiDe, session: Session, sample: Sample) -> Outcome:
    """Zooming by trial, the expensive reference: after ZoomEye (Shen et al. 2024), with the letters as its confidence.

    Every view is answered together with the whole picture. Its confidence is the probability of its best letter among
    the letters. The most confident view is opened next, into four overlapping ones of `TREE_SIDE` its sides. The search
    ends when a view is `TREE_SURE`, when `TREE_DEPTH` is reached everywhere, or when `TREE_VIEWS` views were seen. The
    most confident reply counts.
    """
    n_letters(sample, "tree_search")
    image, order, steps = session.image, count(), ["prefill"]

    def look(region: lpd.Region | None, depth: int) -> tuple[float, int, int, Reply, lpd.Region | None]:
        steps.append(f"view{len(steps)}")
        reply = answered(session, sample, region and image.crop(region), steps[-1])
        return -confidence(hide.model, reply, sample), next(order), depth, reply, region

    best = look(None, 0)
    waiting = [best]
    while waiting and -best[0] < TREE_SURE and len(steps) - 1 + 4 <= 1 + TREE_VIEWS:
        _, _, depth, _, region = heapq.heappop(waiting)
        for part in quarters(region or (0, 0, *image.size)):
            view = look(part, depth + 1)
            best = min(best, view)
            if depth + 1 < TREE_DEPTH:
                heapq.heappush(waiting, view)
    return Outcome(best[3], (best[4],) if best[4] else (), tuple(steps))


def confidence(model: VLM, reply: Reply, sample: Sample) -> float:
    """Probability in [0, 1] of the most likely letter among the sample's letters, at the reply's first token."""
    return max(scoring.probabilities(model.letter_logits(reply, len(sample.options))).values())


def quarters(region: lpd.Region) -> list[lpd.Region]:
    """Four parts of `TREE_SIDE` the sides at a region's corners. They overlap, so that no small thing is cut in all."""
    x0, y0, x1, y1 = region
    w, h = max(round((x1 - x0) * TREE_SIDE), 1), max(round((y1 - y0) * TREE_SIDE), 1)
    return [(x, y, x + w, y + h) for y in (y0, y1 - h) for x in (x0, x1 - w)]
