"""Notebook 06. What HiDe costs beside a plain answer: FLOPs, time and memory, what each lever saves, on which machine.

FLOPs are counted and peak memory is the same at every run: they have no interval and are held against `TARGETS`. Time
is measured side by side, forwards and backwards, so that a drift of the machine meets all alike, and has `CLAIMS`.
`make bench` runs this module (``python -m hide_utils.analyses.cost``) and prints the ratios.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from hide_utils import findings, plots
from hide_utils.baselines import LOOKS, answered
from hide_utils.config import Count, Pixels, RunConfig
from hide_utils.evaluation import fullsize, machines, profiling
from hide_utils.evaluation.array_work import array_seconds, sweep_seconds
from hide_utils.evaluation.counted import by_side, calls_over_blocks, growth
from hide_utils.evaluation.floors import machine
from hide_utils.evaluation.machines import Machine, full_size, where_time_goes
from hide_utils.evaluation.side_by_side import METHODS, extraction, faster, over_plain, side_by_side
from hide_utils.findings import Finding, claims_beside, paper_numbers
from hide_utils.looks import PALETTE, Look
from hide_utils.method import Session
from hide_utils.models import VLM, load_model
from hide_utils.scenes.questions import scene_samples
from hide_utils.stats.rows import mean_interval


class CostConfig(RunConfig):
    """Parameters of notebook 06.

    Attributes:
        resolutions: further sides of drawn scenes, in pixels.
        n_questions: questions whose entities are listed in a batch.
        repeats: runs of each memory measurement.
        memory_side: side in pixels of the picture on which memory is measured.
    """

    notebook: str = "06_memory_and_latency"
    resolutions: tuple[Pixels, ...] = ()
    n_questions: Count = 32
    repeats: Count = 2
    memory_side: Pixels = 1120


PROCEDURES = {
    "plain": Look("plain answer", LOOKS["direct"].color, "o"),
    "hide": Look("HiDe", LOOKS["hide"].color, "s"),
    "three_passes": Look("full passes,\nearly exit", PALETTE[1], "^"),
    "released": Look("as released:\nfull passes", PALETTE[1], "^"),
    "hide, batched": Look("HiDe, entities in batches", PALETTE[0], "D"),
    "published": Look("published wall time", "0.5"),
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
HELD = {"held": Look("interpreter and weights", "0.75"), "added": Look("the question", PALETTE[3])}
MODELS = {name: Look(name, PALETTE[i], plots.MARKERS[i]) for i, name in enumerate(fullsize.ARCHITECTURES)}

_FLOPS, _FULL_SIZE = "FLOPs, HiDe over plain, {}", "{}, HiDe over plain, full size"
# What is measured -> the most that it may be. All are ratios but the last, which is in milliseconds.
TARGETS = {
    _FLOPS.format("Qwen2.5-VL-7B"): 1.07,
    _FLOPS.format("Qwen3-VL-8B"): 1.10,
    _FLOPS.format("InternVL3-8B"): 1.10,
    "growth of FLOPs with the picture's side, HiDe over plain": 1.0,
    "attention calls of the vision tower over its blocks": 1.0,
    "time, HiDe over plain, miniature": 1.35,
    _FULL_SIZE.format("time"): 1.35,
    "listing entities, in a batch over one at a time": 0.25,
    "peak memory, HiDe over plain": 1.05,
    _FULL_SIZE.format("peak memory"): 1.05,
    "memory added to a pass, captured rows over eager attention": 0.1,
    "maps, boxes and layout of one question (ms)": 4.0,
}

CLAIMS = claims_beside(__file__)


def flops_figure(costs: pd.DataFrame) -> Figure:
    """FLOPs of HiDe and the released procedure over a plain answer's, with targets and the published ratio of times.

    Args:
        costs: of `fullsize.cost_table`.
    """
    minutes = paper_numbers("cost").set_index("setting")["value"]
    rows = [
        (f"{row['model']}\n{label}", row[name], name, TARGETS[_FLOPS.format(row["model"])] if name == "hide" else None)
        for _, row in costs.iterrows()
        for label, name in (("HiDe", "hide"), ("as released", "released"))
    ]
    rows.append(
        ("Qwen2.5-VL-7B\npublished wall time", minutes["V* / hide"] / minutes["V* / direct"], "published", None)
    )
    table = pd.DataFrame(rows, columns=["label", "estimate", "procedure", "target"]).astype({"target": float})
    fig, ax = plots.new_figure(width=1.15 * plots.COLUMN_WIDTH, height=3.3)
    looks = {row.label: PROCEDURES[str(row.procedure)] for row in table.itertuples()}
    plots.ratio_rows(ax, table.assign(low=table["estimate"], high=table["estimate"]), looks=looks)
    ax.set(xlabel="FLOPs over a plain answer's", xlim=(0.9, 3.2))
    return fig


# --- measured on the model at hand -----------------------------------------------------------------------------------


def measured_times(model: VLM, cfg: CostConfig) -> pd.DataFrame:
    """`side_by_side` on drawn scenes of every side, the main one last, with a column side."""
    side_by_side(model, scene_samples("test", 1, cfg.seed, resolution=256))  # the first run is slower
    tables = []
    for side in (*cfg.resolutions, cfg.resolution):
        knobs: dict[str, Any] = {"resolution": side} if side else {}
        samples = scene_samples("test", cfg.n or 8, cfg.seed, **knobs)
        tables.append(side_by_side(model, samples).assign(side=samples[0].image.width))
    return pd.concat(tables, ignore_index=True)


def time_cards(times: pd.DataFrame) -> list[Finding]:
    """A card for each claim about times at the last side measured, and where there are several sides one about these.

    A single scene has no interval, so that there is no card.
    """
    over, main = over_plain(times), times["side"].iloc[-1]
    cards: list[Finding] = []
    if len(over.loc[main]) < 2:
        return cards
    for claim, words in CLAIMS["times"].items():
        words = dict(words)
        one, other = (over.loc[main, words.pop(name)] for name in ("method", "against"))
        cards.append(findings.of_differences(one - other, one.index, "× plain", claim=claim, **words))
    if (small := times["side"].min()) < (large := times["side"].max()):
        change, ((claim, words),) = over.loc[large, "hide"] - over.loc[small, "hide"], CLAIMS["sizes"].items()
        cards.append(findings.of_differences(change, change.index, "× plain", claim=claim, **words))
    return cards


def time_figure(times: pd.DataFrame) -> Figure:
    """Seconds by step at the last side measured, with quartiles of the scenes, and over a plain answer's by side."""
    main, best = times["side"].iloc[-1], faster(times)
    fig, (left, right) = plots.new_figure(1, 2, width=plots.PAGE_WIDTH, height=2.6, width_ratios=[1.4, 1])
    at = best[(best["side"] == main) & best["step"].isin(STEPS)]
    steps = at.groupby(["method", "step"])["seconds"].median().unstack().loc[list(METHODS)]
    spread = at.groupby(["method", "scene"])["seconds"].sum().groupby("method").quantile([0.25, 0.75]).unstack()
    spread = spread.set_axis(["min", "max"], axis=1)
    plots.stacked_bars(left, steps, STEPS, "{:.2f} s", spread, looks=PROCEDURES)
    left.set_xlabel(f"seconds a question, {main} px")
    plots.legend_above(left, 3, 0.4)
    over = over_plain(times).drop(columns="plain").rename_axis(columns="method").stack().rename("ratio").reset_index()
    rows = [
        (*key, *mean_interval(part["ratio"], part["scene"], shares=False))
        for key, part in over.groupby(["side", "method"])
    ]
    table = pd.DataFrame(rows, columns=["side", "method", "estimate", "low", "high", "n"])
    flat = {name: look._replace(label=look.label.replace("\n", " ")) for name, look in PROCEDURES.items()}
    plots.bands(right, table, "side", "method", looks=flat)
    plots.level(right, 1, "plain answer", across=True)
    right.set(xlabel="side of the picture (px)", ylabel="time over plain", ylim=(0.8, None))
    right.set_xticks(sorted(set(table["side"])))
    plots.legend_above(right, 2)
    return fig


def memory_figure(memory: pd.DataFrame) -> Figure:
    """Peak resident memory of each procedure: what the process held before, and what the question added."""
    names = list(dict.fromkeys(memory["procedure"]))
    of = memory.assign(**{name: memory[name] / 1e6 for name in ("start_bytes", "peak_bytes")}).groupby("procedure")
    peaks, spread = of[["start_bytes", "peak_bytes"]].median().loc[names], of["peak_bytes"].agg(["min", "max"])
    parts = pd.DataFrame({"held": peaks["start_bytes"], "added": peaks["peak_bytes"] - peaks["start_bytes"]})
    fig, ax = plots.new_figure(width=1.3 * plots.COLUMN_WIDTH, height=2.7)
    plots.stacked_bars(ax, parts, HELD, "{:.0f} MB", spread, looks=PROCEDURES)
    ax.set_xlabel("peak resident memory (MB)")
    plots.legend_above(ax, 2)
    return fig


def measured_memory(cfg: CostConfig) -> pd.DataFrame:
    """Peak memory of the model "middle" on a picture of `memory_side`, each question in a process of its own."""
    names = ["plain", "hide", "released", "pass", "rows", "eager"]
    return profiling.profile_in_children("middle", cfg.memory_side, cfg.memory_side // 5, names, cfg.repeats)


# --- measured on other machines --------------------------------------------------------------------------------------


def machine_figure(one: Machine) -> Figure:
    """Seconds of every step on one machine before and after the levers, with floors: a panel for each model."""
    models = list(one.speed.groupby("model", sort=False))
    size: dict[str, Any] = {"width": plots.PAGE_WIDTH, "height": 2.2 * len(models) + 0.9, "squeeze": False}
    fig, axes = plots.new_figure(len(models), 1, **size)
    for ax, (name, speed) in zip(axes[:, 0], models, strict=True):
        steps, spread = where_time_goes(speed)
        floor = one.floor[one.floor["model"] == name].groupby("procedure")["seconds"].sum()
        plots.stacked_bars(ax, steps, WHERE, "{:.2f} s", spread)
        named = floor.rename({"plain": "now, plain", "hide, batched": "now, HiDe, batched"})
        plots.floor_marks(ax, named, "floor")
        ax.set(title=machines.title(one, str(name)), xlabel="seconds a question (medians)")
    plots.shared_legend(fig, axes[:, 0], columns=5)
    return fig


def against_targets(
    model: VLM, cfg: CostConfig, times: pd.DataFrame, memory: pd.DataFrame, found: Sequence[Machine]
) -> dict[str, tuple[Sequence[float], str]]:
    """What is held against each of `TARGETS`: its values, one a run or scene, and what they were measured on.

    Args:
        model: that on which `times` were measured, which lists entities here.
        cfg: parameters.
        times: of `measured_times`.
        memory: of `measured_memory`.
        found: of `machines`.
    """
    here, cpu, counted = machine(model.device), machine(torch.device("cpu")), "counted, no weights"
    questions = [sample.question for sample in scene_samples("test", cfg.n_questions, cfg.seed, resolution=256)]
    peak = memory.pivot(index="repeat", columns="procedure", values="peak_bytes")
    rows = (peak["rows"] - peak["pass"]).clip(lower=1e6)  # below a megabyte, pages are noise
    flops = {_FLOPS.format(row.model): ([row.hide], counted) for row in fullsize.cost_table().itertuples()}
    values: dict[str, tuple[Sequence[float], str]] = {
        "growth of FLOPs with the picture's side, HiDe over plain": ([growth(by_side())], counted),
        "attention calls of the vision tower over its blocks": ([calls_over_blocks()], counted),
        "time, HiDe over plain, miniature": (over_plain(times).loc[times["side"].iloc[-1], "hide"].tolist(), here),
        "listing entities, in a batch over one at a time": (extraction(model, questions)["ratio"].tolist(), here),
        "peak memory, HiDe over plain": ((peak["hide"] / peak["plain"]).tolist(), cpu),
        "memory added to a pass, captured rows over eager attention": (
            (rows / (peak["eager"] - peak["pass"])).tolist(),
            cpu,
        ),
        "maps, boxes and layout of one question (ms)": ([1000 * one for one in array_seconds()], cpu),
    }
    return flops | values | {_FULL_SIZE.format(name): value for name, value in full_size(found).items()}


def targets(measured: Mapping[str, tuple[Sequence[float], str]]) -> pd.DataFrame:
    """Everything of `TARGETS` beside what was measured.

    Args:
        measured: target -> its values, one a run or scene, and what they were measured on.

    Returns:
        Columns target, at most, measured (median), state, least, largest, n, and measured on.
    """
    rows = []
    for name, most in TARGETS.items():
        values, where = measured.get(name, ((), "no machine was at hand"))
        low, middle, high = np.quantile(values, [0, 0.5, 1]) if len(values) else [np.nan] * 3
        state = ("met" if middle <= most else "not met") if len(values) else "open"
        rows.append((name, most, float(f"{middle:.3g}"), state, low, high, len(values), where))
    columns = ["target", "at most", "measured", "state", "least", "largest", "n", "measured on"]
    return pd.DataFrame(rows, columns=columns)


def main() -> None:
    """Print what the ratios are here: wall time at 1344 pixels, extraction, and the array work in milliseconds."""
    model, samples = load_model("mini"), scene_samples("test", 7, resolution=1344)
    answered(Session(model, samples[0].image), samples[0])  # the first run is slower
    for name, over in over_plain(side_by_side(model, samples)).drop(columns="plain").items():
        print(f"{name} / plain, 1344 px: {over.median():.2f} ({over.min():.2f} to {over.max():.2f}, n = {len(over)})")
    apart = extraction(model, [sample.question for sample in scene_samples("test", 32, resolution=256)])
    print(f"extraction batched / one at a time: {apart['ratio'].median():.2f}")
    print(f"maps, boxes and layout: {1000 * np.median(array_seconds()):.1f} ms")
    print(f"sweep of 5 layers, 9 sigmas and 9 alphas over 100 samples: {sweep_seconds(100):.0f} s")


if __name__ == "__main__":
    main()
