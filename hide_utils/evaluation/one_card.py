"""What a run would take on a card: FLOPs counted for its pictures, over a rate that was measured on another card.

`estimate` is for the benchmarks and the model at hand, `on_cards` for published architectures without their weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import pandas as pd
from PIL import Image

from hide_utils import paths
from hide_utils.benchmarks.loading import SOURCES
from hide_utils.benchmarks.rows import StoredImage
from hide_utils.evaluation.fullsize import ARCHITECTURES, meta_model, work_for
from hide_utils.evaluation.machines import machines
from hide_utils.evaluation.procedures import OURS, Pass, Visual, Work, direct_answer, direct_besides, flops, hide
from hide_utils.files import data_of
from hide_utils.method import HiDe
from hide_utils.models import VLM
from hide_utils.samples import Sample

_DATA = data_of(__file__)
ON_PAGE = ("A100", "H100")  # the cards of docs/real_models.md
Size = tuple[int, int]


class Rate(NamedTuple):
    """What a model of full size reached on a card that was measured.

    Attributes:
        card, model: their names.
        tflops: FLOPs of whole questions over their seconds, in 10^12.
        peak: the most that the card can do, as published, in 10^12 FLOPs a second.
        added: bytes that a question held besides the weights.
        tokens: of the picture.
        n: runs.
    """

    card: str
    model: str
    tflops: float
    peak: float
    added: float
    tokens: int
    n: int

    def on(self, card: str) -> float:
        """10^12 FLOPs a second on another card: what was reached, times the ratio of the published peaks."""
        return self.tflops * _DATA["cards"][card]["tflops"] / self.peak

    def memory(self, weights: float, tokens: int) -> float:
        """Bytes in use: the weights', and for each token of the picture what was added where it was measured."""
        return weights + self.added * tokens / self.tokens


def measured_rate(procedure: str = "hide, batched", figures: Path = paths.FIGURES) -> Rate | None:
    """The rate of the first model of full size that was measured on a card whose peak is known. None without any.

    Args:
        procedure: of the questions, as `hide_utils.evaluation.speed.measure` names it.
        figures: folder with what was measured.
    """
    for one in machines(figures):
        card = next((name for name in _DATA["cards"] if name in one.card), None)
        for model, speed in one.speed.groupby("model", sort=False):
            if card is None or model not in ARCHITECTURES:
                continue
            last = speed[(speed["variant"] == speed["variant"].iloc[-1]) & (speed["procedure"] == procedure)]
            whole = last[last["step"] == "whole"]
            counted = one.floor.query("model == @model and procedure == @procedure")["tflop"].sum()
            tokens = one.kernels.query("model == @model and case == 'prefill'")["keys"].item()
            added = whole["peak_bytes"].max() - speed["peak_bytes"].min()  # the least is the weights alone
            reached = counted / whole["seconds"].median()
            return Rate(one.card, str(model), reached, _DATA["cards"][card]["tflops"], added, tokens, len(whole))
    return None


def needed(hide: HiDe, asked: Mapping[str, tuple[Sequence[Sample], Sequence[str]]]) -> tuple[pd.DataFrame, int]:
    """FLOPs of every method on every benchmark.

    Args:
        hide: the method with its model.
        asked: benchmark -> its samples, and names of methods as of `hide_utils.evaluation.reproduced.Cell`.

    Returns:
        Columns benchmark, questions, tokens (of a usual picture), method and pflop; and the largest picture's tokens.
    """
    rows, largest = [], 0
    for benchmark, (samples, methods) in asked.items():
        size, cycles = usual_size(samples), len(samples) // len({sample.image_id for sample in samples})
        side = [min(_DATA["compact_side"], length) for length in size]
        work = Work(
            _visual(hide.model, size), _visual(hide.model, (side[0], side[1])), hide.settings.layer, cycles=cycles
        )
        for method in methods:
            passes = _passes(hide.model, method, size, work, prefilled="hide" in methods)
            largest = max(largest, *(visual.n_tokens for one in passes for visual in one.visuals), work.image.n_tokens)
            pflop = flops(hide.model.model.config, passes) * len(samples) / 1e15
            rows.append((benchmark, len(samples), work.image.n_tokens, method, pflop))
    return pd.DataFrame(rows, columns=["benchmark", "questions", "tokens", "method", "pflop"]), largest


def usual_size(samples: Sequence[Sample]) -> Size:
    """Width and height in pixels of the picture of median area among the first few."""
    pictures = list({sample.image_id: sample for sample in samples}.values())[: _DATA["looked_at"]]
    sizes = [cast(StoredImage, sample.render).size_wh() for sample in pictures]
    return sorted(sizes, key=lambda size: size[0] * size[1])[len(sizes) // 2]


def _visual(vlm: VLM, size: Size) -> Visual:
    picture = vlm.prepare(Image.new("RGB", size))
    return Visual(picture.n_tokens, vlm.shapes_of([picture]))


def _passes(vlm: VLM, method: str, size: Size, work: Work, *, prefilled: bool) -> Sequence[Pass]:
    """What one question runs by a method. On a prefilled picture direct and relative attention are suffixes."""
    ours = hide(work, OURS.but(shared_questions=work.cycles > 1))
    steps = {one.step: one for one in ours}
    if method == "hide":
        return ours
    if method == "rel_att":
        return [steps["search"], steps["search"], steps["answer"], *([] if prefilled else [steps["prefill"]])]
    if method == "layers":
        return [steps["prefill"], replace(steps["search"], early_exit=False)]
    if method == "direct":
        return direct_besides(work) if prefilled else direct_answer(work)
    kind, _, value = method.partition(" ")
    if kind not in ("upscale", "canvas"):  # masks keep the picture's size; a layout alone is a compact image
        return direct_answer(work if kind == "mask" else replace(work, image=work.compact))
    scale = float(value) if kind == "upscale" else 1 - float(value)
    scaled = (round(size[0] * scale), round(size[1] * scale))
    return direct_answer(replace(work, image=_visual(vlm, scaled) if min(scaled) >= 28 else work.compact))


def estimate(hide: HiDe, asked: Mapping[str, tuple[Sequence[Sample], Sequence[str]]]) -> list[str]:
    """What `needed` would take on one A100, in lines with all that is assumed."""
    table, largest = needed(hide, asked)
    said, card, rate = _DATA["said"], _DATA["cards"][_DATA["target"]], measured_rate()
    per = table.groupby(["benchmark", "questions", "tokens"], sort=False).agg(
        methods=("method", "size"), pflop=("pflop", "sum")
    )
    counted = said["counted"].format(looked_at=_DATA["looked_at"])
    if rate is None:
        return [per.reset_index().to_string(index=False, float_format="%.3g"), counted, said["unmeasured"]]
    reached = rate.on(_DATA["target"])
    per["hours"] = per["pflop"] * 1000 / reached / 3600
    weights = 2 * sum(weight.numel() for weight in hide.model.model.parameters())
    values: dict[str, Any] = {
        "target": _DATA["target"], **card, "hours": per["hours"].sum(), "rate": reached, "reached": rate.tflops,
        "memory": rate.memory(weights, largest) / 1e9, "others": f"{rate.peak:g}", "largest": largest,
        "model": rate.model, "card": rate.card, "tokens": rate.tokens, "n": rate.n,
    }  # fmt: skip
    lines = [said[name].format(**values) for name in ("total", "rate", "memory")]
    return [lines[0], per.reset_index().to_string(index=False, float_format="%.3g"), counted, *lines[1:]]


def on_cards(cards: Sequence[str] = ON_PAGE, figures: Path = paths.FIGURES) -> pd.DataFrame:
    """What published architectures take, with pictures of the most tokens that their presets let through.

    Args:
        cards: names of cards whose peak is known.
        figures: folder with what was measured.

    Returns:
        One row an architecture and card: model, files_gb (weights in bfloat16), tokens, memory_gb, card, direct and
        hide (seconds a question), and hours of each of `SOURCES` whose number of questions is known, by HiDe with the
        direct answer besides. No rows where no card was measured.
    """
    rates, rows = [rate for name in ("plain", "hide, batched") if (rate := measured_rate(name, figures))], []
    for name, one in ARCHITECTURES.items() if len(rates) == 2 else ():
        config, work = one.config(), work_for(one)
        direct, ours = flops(config, direct_answer(work)), flops(config, hide(work))
        besides = flops(config, direct_besides(work))
        shared = flops(config, hide(work, OURS.but(shared_questions=True)))  # HR-Bench's four questions a picture
        files = 2 * sum(weight.numel() for weight in meta_model(config).parameters())
        memory = max(rate.memory(files, work.image.n_tokens) for rate in rates)
        for card in cards:
            plain, whole = (1e12 * rate.on(card) for rate in rates)
            row = {"model": name, "files_gb": files / 1e9, "tokens": work.image.n_tokens, "memory_gb": memory / 1e9}
            row |= {"card": card, "direct": direct / plain, "hide": ours / whole}
            for benchmark, source in SOURCES.items():
                cost = (shared if benchmark.startswith("hrbench") else ours) + besides
                row |= {benchmark: source.size * cost / whole / 3600} if source.size else {}
            rows.append(row)
    return pd.DataFrame(rows)


def assumed(figures: Path = paths.FIGURES) -> str:
    """The sentences that stand below `on_cards`: what was measured, and how it is scaled."""
    if not (rate := measured_rate(figures=figures)):
        return _DATA["said"]["unmeasured"]
    peaks = {f"{name}_peak": _DATA["cards"][name]["tflops"] for name in ON_PAGE}
    return _DATA["said"]["on_cards"].format(**rate._asdict(), **peaks)
