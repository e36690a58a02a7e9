"""Measure the miniature: ``python -m hide_utils.mini.measure TASK``, for each of the tasks in their order.

- ``difficulty``: how often direct answers are right over scenes of rising difficulty. `DIFFICULTIES` holds what
  `nearest` chooses from ``difficulty.csv``, which a test checks.
- ``settings``: layer, sigma and alpha, chosen by how well the boxes fit, never by answers. Writes ``hide.json``, which
  `load_model` reads, and ``calibration.csv``.
- ``test``: what the card shows. Nothing may be chosen by what it finds.

The first two look at the calibration split alone, the last at the test split (half an hour on two cores). Tables lie
beside the weights. Answers are kept under ``data/results``, so that an interrupted run goes on where it was. Tables of
the test split:

- ``attention.csv``: where the tokens of the search line look, by layer.
- ``localisation.csv``: how well the boxes fit, by layer.
- ``accuracy.csv``: right answers over resolution, similar and unnamed objects.
- ``extraction.csv``: entities that the model lists by itself.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from hide_utils import paths
from hide_utils.benchmarks import load_benchmark
from hide_utils.evaluation import RowCache, evaluate, localisation, results_path, run_settings
from hide_utils.evaluation.calibration import by_setting, sweep_settings
from hide_utils.files import write_json, write_text
from hide_utils.method import HiDe, SearchAttention
from hide_utils.method.entities import Extractor
from hide_utils.models import VLM, load_model
from hide_utils.samples import Sample
from hide_utils.scenes import DIFFICULTIES, KINDS, RECORD
from hide_utils.stats import accuracies, accuracy_table, wilson

# Resolution, and unnamed objects per 65 536 pixels. Larger pictures cost more than the easier scenes are worth.
GRID = (*product((512, 640, 768, 896, 1024), (12, 8)), (1120, 12), (1216, 12), (1344, 12))
TARGETS = {"easy": 0.95, "default": 0.67, "hard": 0.50}  # accuracy of direct answers
CHANCE = {"direct_attributes": 0.25, "relative_position": 0.50}
LEAST_ABOVE_CHANCE = 0.10  # of each kind, at the default
PARTS = ("noun", "with", "value", "property")  # words of an entity, in their order: "hammer with orange color"
SETTINGS = {"resolution": (512, 768, 1024, 1344), "similar": (0, 1.375, 2.25), "unnamed": (0, 6, 12, 24)}
METHODS = ("direct", "hide", "oracle")


def nearest(table: pd.DataFrame, name: str) -> dict[str, int]:
    """Resolution and unnamed objects of the grid point whose direct accuracy is nearest to what a difficulty wants.

    At the default both kinds of question must be `LEAST_ABOVE_CHANCE` above chance.

    Args:
        table: with the columns of ``difficulty.csv``.
        name: of the difficulty.
    """
    if name == "default":
        above = [table[kind] >= chance + LEAST_ABOVE_CHANCE for kind, chance in CHANCE.items()]
        table = table[above[0] & above[1]]
    best = table.loc[(table["accuracy"] - TARGETS[name]).abs().idxmin()]
    return {"resolution": int(best["resolution"]), "unnamed": int(best["unnamed"])}


def attention_table(found: Sequence[SearchAttention], samples: Sequence[Sample]) -> pd.DataFrame:
    """Concentration of attention on the true boxes: its share in them over their share of the picture.

    An entity's words are held against its own box, the instruction's tokens against all true boxes. Rows are raw.

    Args:
        found: rows of the reference entities, as from `RowCache.load`.
        samples: those of the rows.

    Returns:
        One row a layer (counted from 0) and part: concentration, a mean over tokens, 1 where attention is flat, and n,
        the number of these tokens.
    """
    rows = []
    for one, sample in zip(found, samples, strict=True):
        boxes = np.array(sample.boxes_xyxy) / [*sample.image.size, *sample.image.size]
        looks = [("instruction", localisation.concentration(one.noise, boxes).T)]
        named = zip(sample.entities, boxes, strict=True)  # each word of an entity is one token of the miniature
        words = [(PARTS[i], box) for name, box in named for i in range(len(name.split()))]
        for (part, box), maps in zip(words, one.semantic.swapaxes(0, 1), strict=True):
            looks.append((part, localisation.concentration(maps, box[None])[None]))
        rows += [(layer, part, v) for part, values in looks for row in values for layer, v in enumerate(row)]
    by_part = pd.DataFrame(rows, columns=["layer", "part", "value"]).groupby(["layer", "part"])["value"]
    return by_part.agg(concentration="mean", n="count").reset_index()


def localisation_table(
    found: Sequence[SearchAttention], samples: Sequence[Sample], settings: pd.DataFrame
) -> pd.DataFrame:
    """Box quality of every layer at the sigma and alpha that were calibrated for it.

    Args:
        found: rows of the reference entities.
        samples: those of the rows.
        settings: ``calibration.csv``.
    """
    sizes = [sample.image.size for sample in samples]
    grid = sweep_settings(found, samples, sizes, sorted(set(settings["sigma"])), sorted(set(settings["alpha"])))
    chosen = grid.merge(settings[["layer", "sigma", "alpha"]], on=["layer", "sigma", "alpha"])
    means = chosen.groupby(["layer", "sigma", "alpha"])[["recall50", "iou", "area"]].mean().reset_index()
    return means.assign(n=len(samples))


def accuracy_curves(hide: HiDe, n: int) -> pd.DataFrame:
    """Accuracy with its Wilson interval over each of `SETTINGS`, the others being those of the default difficulty."""
    tables = []
    for setting, values in SETTINGS.items():
        for value in values:
            knobs: dict[str, Any] = {setting: value}
            samples = load_benchmark("scenes", split="test", n=n, **knobs)
            changed = {name: v for name, v in knobs.items() if v != DIFFICULTIES["default"][name]}
            out = results_path("mini", "accuracy", run_settings(hide, hide.protocol) | changed)
            rows = evaluate(hide.model, samples, METHODS, out, hide=hide)
            tables.append(accuracies(rows, ["method"]).assign(setting=setting, value=value))
    columns = ["setting", "value", "method", "n", "accuracy", "low", "high"]
    return pd.concat(tables)[columns]


def extraction_table(model: VLM, samples: Sequence[Sample]) -> pd.DataFrame:
    """Whether the entities that the model lists are exactly the reference ones, and where a fallback was used."""
    extractor = Extractor(model)
    extractor.expect(sample.question for sample in samples)
    listed = [extractor(sample.question) for sample in samples]
    rows = [
        (sample.kind, one.names == tuple(sample.entities), one.fallback is not None, sample.question, one.text)
        for one, sample in zip(listed, samples, strict=True)
    ]
    return pd.DataFrame(rows, columns=["kind", "exact", "fallback", "question", "listed"])


def extraction_summary(table: pd.DataFrame) -> pd.DataFrame:
    """One row a kind of question and one for all: n, exact with its Wilson interval, and fallbacks."""
    groups = [*table.groupby("kind"), ("all", table)]
    rows = []
    for kind, part in groups:
        share = wilson(int(part["exact"].sum()), len(part))
        rows.append((kind, len(part), share.estimate, share.low, share.high, int(part["fallback"].sum())))
    return pd.DataFrame(rows, columns=["kind", "n", "exact", "low", "high", "fallbacks"])


def measure_difficulty(hide: HiDe, n: int, seed: int) -> None:
    """Answer `n` calibration samples directly at each point of the grid, and say what is chosen."""
    rows = []
    for resolution, unnamed in GRID:
        knobs = {"resolution": resolution, "unnamed": unnamed}
        samples = load_benchmark("scenes", split="calibration", n=n, seed=seed, **knobs)
        out = results_path("mini", "difficulty", run_settings(hide, hide.protocol) | knobs | {"seed": seed})
        by_kind = accuracy_table(evaluate(hide.model, samples, ["direct"], out, hide=hide)).set_index("kind")
        overall = by_kind.loc["all", ["n", "accuracy", "low", "high"]]
        rows.append(knobs | overall.to_dict() | by_kind.loc[list(KINDS), "accuracy"].to_dict())
    found = pd.DataFrame(rows).astype({"n": int})
    _write("difficulty", found)
    print(*[f"{name}: {nearest(found, name)}" for name in TARGETS], sep="\n")


def choose_settings(hide: HiDe, n: int, seed: int) -> None:
    """Write the settings that fit the boxes of `n` calibration samples best, and the best ones of each layer."""
    samples = load_benchmark("scenes", split="calibration", n=n, seed=seed)
    found, sizes = RowCache().load(hide.model, samples)
    ranked = by_setting(sweep_settings(found, samples, sizes))
    best = ranked.iloc[0]
    chosen = {"layer": int(best["layer"]), "sigma": float(best["sigma"]), "alpha": float(best["alpha"])}
    made = {"split": "calibration", "difficulty": "default", "n": len(samples), "seed": seed}
    record = json.loads((paths.MINI / "hide.json").read_text())
    write_json(paths.MINI / "hide.json", record | chosen | made | {"world": RECORD})
    _write("calibration", ranked.drop_duplicates("layer").sort_values("layer"))


def measure_test(hide: HiDe, n: int, seed: int) -> None:
    """Measure `n` test samples at the default difficulty, and a quarter of them at each point of the curves."""
    samples = load_benchmark("scenes", split="test", n=n, seed=seed)
    listed = extraction_table(hide.model, samples)
    print(listed[~listed["exact"]].to_string(index=False))
    found, _ = RowCache().load(hide.model, samples)
    _write("extraction", extraction_summary(listed))
    _write("attention", attention_table(found, samples))
    _write("localisation", localisation_table(found, samples, pd.read_csv(paths.MINI / "calibration.csv")))
    _write("accuracy", accuracy_curves(hide, n // 4))


def _write(name: str, table: pd.DataFrame) -> None:
    write_text(paths.MINI / f"{name}.csv", table.to_csv(index=False, float_format="%.4f"))
    print(table.to_string(index=False))


TASKS: dict[str, tuple[Callable[[HiDe, int, int], None], int]] = {
    "difficulty": (measure_difficulty, 200),
    "settings": (choose_settings, 200),
    "test": (measure_test, 400),
}  # name -> what is done, and with how many samples


def main(argv: list[str] | None = None) -> None:
    """Command line; see ``--help``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--n", type=int, help="samples; 400 of the test split, else 200")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    task, usual = TASKS[args.task]
    task(HiDe(load_model("mini")), args.n or usual, args.seed)


if __name__ == "__main__":
    main()
