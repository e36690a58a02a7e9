"""Notebook 06. Times on the machine at hand, side by side: HiDe, plain answers, full passes, and the array work.

`make bench` runs this module (``python -m hide_utils.analyses.cost``) and prints the ratios. Whatever is compared runs
in turn, forwards and backwards, so that a drift of the machine meets all alike.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float32
from PIL import Image

from hide_utils.baselines import LOOKS, answered
from hide_utils.config import Count, Pixels, RunConfig
from hide_utils.evaluation import evaluate
from hide_utils.looks import PALETTE, Look
from hide_utils.method import Extractor, HiDe, Result, Session, lpd, tad
from hide_utils.models import VLM, load_model
from hide_utils.samples import Sample
from hide_utils.scenes.questions import scene_samples


class CostConfig(RunConfig):
    """Parameters of notebook 06.

    Attributes:
        resolutions: further sides of drawn scenes, in pixels.
        n_questions: questions whose entities are listed in a batch.
        repeats: runs of each memory measurement.
        memory_side: side in pixels of the picture on which memory is measured.
        sizes: models with random weights, names of `hide_utils.evaluation.random_models.SIZES`.
        speed_side: side in pixels of the picture on which the levers are measured.
    """

    notebook: str = "06_memory_and_latency"
    resolutions: tuple[Pixels, ...] = ()
    n_questions: Count = 32
    repeats: Count = 3
    memory_side: Pixels = 1120
    sizes: tuple[Literal["small", "middle", "large"], ...] = ("small", "middle", "large")
    speed_side: Pixels = 896


METHODS = ("plain", "hide", "three_passes")
PROCEDURES = {
    "plain": Look("plain answer", LOOKS["direct"].color, "o"),
    "hide": Look("HiDe", LOOKS["hide"].color, "s"),
    "three_passes": Look("full passes,\nearly exit", PALETTE[1], "^"),
    "released": Look("as released:\nfull passes", PALETTE[1], "^"),
    "pass": Look("one pass"),
    "rows": Look("rows captured"),
    "eager": Look("eager attention"),
}
STEPS = {
    "extract": Look("entities", PALETTE[2]),
    "prefill": Look("picture (prefill)", "0.75"),
    "search": Look("search", PALETTE[0]),
    "decouple": Look("maps, boxes", PALETTE[4]),
    "compact": Look("compact image", PALETTE[5]),
    "answer": Look("answer", PALETTE[1]),
}
WHERE = {
    "stock": Look("stock transformers", "0.5"),
    "patches": Look("picture to patches", PALETTE[9]),
    "tower": Look("vision tower", PALETTE[3]),
    "language": Look("language model", "0.75"),
    **{step: STEPS[step] for step in ("extract", "search", "decouple", "compact", "answer")},
}
GRID, TOKENS, NOISE, SIDE = 64, 12, 8, 1792  # of the array work: cells a side, tokens, noise rows, pixels
SIGMAS, ALPHAS, LAYERS = np.linspace(0, 4, 9), np.linspace(0.1, 0.9, 9), 5  # of the sweep


def machine() -> str:
    """The machine's class for a caption: processor, cores, memory and GPU, without its name."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").is_file() else ""
    names = [line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")]
    cpu = names[0] if names else platform.processor() or platform.machine()
    parts = [cpu, f"{os.cpu_count()} cores, {torch.get_num_threads()} in use"]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        parts.append(f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB")
    return ", ".join([*parts, torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"])


def side_by_side(model: VLM, samples: Sequence[Sample]) -> pd.DataFrame:
    """Seconds of every step of plain answering and HiDe, twice a sample in mirrored order, and full passes in between.

    Returns:
        Columns sample_id, method, repeat, step, seconds. The step "whole" is the whole question, opening the picture
        included, and "cpu" its processor seconds.

    Raises:
        AssertionError: full passes, which are the oracle, give another answer or other boxes.
    """
    ours, passes = HiDe(model), HiDe(model, reuse_prefix=False)
    rows: list[tuple] = []
    for sample in samples:
        results: dict[str, Result] = {}
        for place, method in enumerate(METHODS + METHODS[-2::-1]):
            cpu, started = time.process_time(), time.perf_counter()
            session = (passes if method == "three_passes" else ours).open(sample.image)
            if method == "plain":
                answered(session, sample)
            else:
                hide = ours if method == "hide" else passes
                results[method] = hide.run(session, sample.question, sample.options, None, sample.style)
            whole, cpu = time.perf_counter() - started, time.process_time() - cpu
            steps = session.seconds | {"whole": whole, "cpu": cpu}
            rows += [(sample.id, method, place // len(METHODS), *step) for step in steps.items()]
        one, other = results["hide"], results["three_passes"]
        assert (one.answer, one.boxes) == (other.answer, other.boxes), f"{sample.id}: full passes answer otherwise"
    return pd.DataFrame(rows, columns=["sample_id", "method", "repeat", "step", "seconds"])


def ratios(table: pd.DataFrame, step: str = "whole") -> pd.DataFrame:
    """Each sample's seconds over plain answering's, both means of its repeats.

    Args:
        table: from `side_by_side`.
        step: one of its steps.

    Returns:
        Columns method, n, median, low, high. low and high are the smallest and the largest sample's.
    """
    mean = table[table["step"] == step].groupby(["sample_id", "method"])["seconds"].mean().unstack()
    over = mean.div(mean["plain"], axis=0)[[name for name in METHODS if name != "plain"]]
    found = over.agg(["count", "median", "min", "max"]).T.reset_index()
    return found.set_axis(["method", "n", "median", "low", "high"], axis=1).astype({"n": int})


def where_time_goes(speed: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Seconds of every step before and after the levers, a row for each way of answering.

    What the picture takes is split into patches, vision tower and language model by what the first two take alone. A
    plain answer is one pass, so its "language model" holds the question and the answer too.

    Args:
        speed: of one model, from `hide_utils.evaluation.speed.measure`.

    Returns:
        Medians with the columns of `WHERE`, and the smallest and largest whole question as columns min and max. Rows
        are named by their labels.
    """
    last = speed["variant"].iloc[-1]
    bars = {
        "stock, plain": ("stock", "plain"),
        "before, plain": ("before", "plain"),
        "before, HiDe": ("before", "hide"),
        "now, plain": (last, "plain"),
        "now, HiDe": (last, "hide"),
        "now, HiDe, batched": (last, "hide, batched"),
        "now, as released": (last, "released"),
    }
    steps = speed.groupby(["variant", "procedure", "step"])["seconds"].median().unstack()
    rows = {}
    for label, (variant, procedure) in bars.items():
        row = steps.loc[(variant, procedure)].drop("whole").dropna()
        if variant == "stock":
            row = row.rename({"answer": "stock"})
        elif procedure != "released":  # whose prompts run the picture again and again
            picture = steps.loc[(variant, "picture"), ["patches", "tower"]]
            whole_picture = ["prefill", "answer"] if procedure == "plain" else ["prefill"]
            language = row[whole_picture].sum() - picture.sum()
            row = pd.concat([row.drop(whole_picture), picture, pd.Series({"language": language})])
        rows[label] = row.rename({"prefill": "patches"})
    whole = speed[speed["step"] == "whole"].groupby(["variant", "procedure"])["seconds"].agg(["min", "max"])
    spread = pd.DataFrame({label: whole.loc[key] for label, key in bars.items()}).T
    return pd.DataFrame(rows).T.reindex(columns=list(WHERE)), spread


def seconds_a_sample(model: VLM, samples: Sequence[Sample], methods: Sequence[str]) -> float:
    """Wall clock of one sample answered by all methods, its entities listed alone. The mean over the samples."""
    evaluate(model, samples[:1], methods, progress=False)
    started = time.perf_counter()
    for sample in samples:
        evaluate(model, [sample], methods, progress=False)
    return (time.perf_counter() - started) / len(samples)


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


def typical_rows(grid: int = GRID, tokens: int = TOKENS, seed: int = 0) -> Float32[np.ndarray, "rows h w"]:
    """Noisy attention as models have it: each token looks at one of three objects, the instruction at a sink."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:grid, :grid] * (GRID / grid)
    bump = lambda cy, cx, s: np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * s**2))  # noqa: E731
    objects = [bump(12, 15, 3), bump(40, 50, 2), bump(55, 8, 4)]
    rows = [bump(0, 0, 2)] * NOISE + [objects[token % 3] for token in range(tokens)]
    return (np.stack(rows) + rng.random((NOISE + tokens, grid, grid))).astype(np.float32) / grid**2


def noise_picture(side: int = SIDE) -> Image.Image:
    """A square RGB picture of noise."""
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (side, side, 3), dtype=np.uint8))


def array_work(rows: Float32[np.ndarray, "rows h w"], picture: Image.Image) -> Image.Image:
    """Everything of the method that is no model: maps, boxes and compact image at the published sigma and alpha."""
    maps = tad.purify(rows, n_noise=NOISE, sigma=3.0)
    boxes = [box for token in lpd.boxes_grid(maps, [0.7])[0] for box in token]
    return lpd.compact_image(picture, lpd.merge_boxes(boxes, picture.size))


def array_seconds(repeats: int = 100) -> list[float]:
    """Processor seconds of `array_work` on one core: 64 x 64 cells, 12 tokens, a picture of 1792 pixels a side."""
    rows, picture, found = typical_rows(), noise_picture(), []
    for _ in range(repeats):
        started = time.process_time()
        array_work(rows, picture)
        found.append(time.process_time() - started)
    return found


def sweep_seconds(n: int) -> float:
    """Processor seconds, one core, of the regions of 5 layers, 9 sigmas, 9 alphas and n samples of 42 x 42 cells."""
    size, rows = (1344, 1344), [[typical_rows(42, 6, s * LAYERS + layer) for layer in range(LAYERS)] for s in range(n)]
    started = time.process_time()
    for of_sample in rows:
        for of_layer in of_sample:
            for maps in (tad.purify(of_layer, NOISE, float(sigma)) for sigma in SIGMAS):
                for boxes in lpd.boxes_grid(maps, ALPHAS):
                    lpd.merge_boxes([box for token in boxes for box in token], size)
    return time.process_time() - started


def main() -> None:
    """Print what the ratios are here: wall time at 1344 pixels, extraction, and the array work in milliseconds."""
    model, samples = load_model("mini"), scene_samples("test", 7, resolution=1344)
    answered(Session(model, samples[0].image), samples[0])  # the first run is slower
    for row in ratios(side_by_side(model, samples)).itertuples():
        print(f"{row.method} / plain, 1344 px: {row.median:.2f} ({row.low:.2f} to {row.high:.2f}, n = {row.n})")
    apart = extraction(model, [sample.question for sample in scene_samples("test", 32, resolution=256)])
    print(f"extraction batched / one at a time: {apart['ratio'].median():.2f}")
    print(f"maps, boxes and layout: {1000 * np.median(array_seconds()):.1f} ms")
    print(f"sweep of 5 layers, 9 sigmas and 9 alphas over 100 samples: {sweep_seconds(100):.0f} s")


if __name__ == "__main__":
    main()
