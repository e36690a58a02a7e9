"""Measure the miniature on the test split: ``python -m hide_utils.mini.measure`` (half an hour on two cores).

Run it after `hide_utils.mini.calibrate`: nothing may be chosen by what it finds. It writes the tables beside the
weights that the card shows. Answers are kept under ``data/results``, so that an interrupted run goes on where it was.

- ``attention.csv``: where the tokens of the search line look, by layer.
- ``localisation.csv``: how well the boxes fit, by layer.
- ``accuracy.csv``: right answers over resolution, similar and unnamed objects.
- ``extraction.csv``: entities that the model lists by itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from hide_utils import paths
from hide_utils.benchmarks import load_benchmark
from hide_utils.evaluation import evaluate, localisation, results_path, run_settings
from hide_utils.evaluation.calibration import search_rows, sweep_settings
from hide_utils.files import write_text
from hide_utils.method import HiDe, SearchAttention
from hide_utils.method.entities import Extractor
from hide_utils.models import VLM, load_model
from hide_utils.samples import Sample
from hide_utils.scenes.settings import DIFFICULTIES
from hide_utils.stats import accuracies, wilson

PARTS = ("noun", "with", "value", "property")  # words of an entity, in their order: "hammer with orange color"
SETTINGS = {"resolution": (512, 768, 1024, 1344), "similar": (0, 1.375, 2.25), "unnamed": (0, 6, 12, 24)}
METHODS = ("direct", "hide", "oracle")


def attention_table(found: Sequence[SearchAttention], samples: Sequence[Sample]) -> pd.DataFrame:
    """Concentration of attention on the true boxes: its share in them over their share of the picture.

    An entity's words are held against its own box, the instruction's tokens against all true boxes. Rows are raw.

    Args:
        found: rows of the reference entities, as from `search_rows`.
        samples: those of the rows.

    Returns:
        One row a layer (counted from 0) and part: concentration, a mean over tokens, 1 where attention is flat, and n,
        the number of these tokens.
    """
    rows = []
    for one, sample in zip(found, samples, strict=True):
        boxes = np.array(sample.boxes_xyxy) / [*sample.image.size, *sample.image.size]
        looks = [("instruction", localisation.concentration(one.noise, boxes).T)]
        words = [(PARTS[i], box) for name, box in zip(sample.entities, boxes, strict=True) for i in _places(name)]
        for (part, box), maps in zip(words, one.semantic.swapaxes(0, 1), strict=True):
            looks.append((part, localisation.concentration(maps, box[None])[None]))
        rows += [(layer, part, v) for part, values in looks for row in values for layer, v in enumerate(row)]
    by_part = pd.DataFrame(rows, columns=["layer", "part", "value"]).groupby(["layer", "part"])["value"]
    return by_part.agg(concentration="mean", n="count").reset_index()


def _places(entity: str) -> range:
    """Numbers of an entity's words in `PARTS`. Each word is one token of the miniature."""
    return range(len(entity.split()))


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


def accuracy_table(hide: HiDe, n: int, methods: Sequence[str] = METHODS) -> pd.DataFrame:
    """Accuracy with its Wilson interval over each of `SETTINGS`, the others being those of the default difficulty."""
    tables = []
    for setting, values in SETTINGS.items():
        for value in values:
            knobs: dict[str, Any] = {setting: value}
            samples = load_benchmark("scenes", split="test", n=n, **knobs)
            changed = {name: v for name, v in knobs.items() if v != DIFFICULTIES["default"][name]}
            out = results_path("mini", "accuracy", run_settings(hide, hide.protocol) | changed)
            rows = evaluate(hide.model, samples, methods, out, hide=hide)
            tables.append(accuracies(rows, ["method"]).assign(setting=setting, value=value))
    columns = ["setting", "value", "method", "n", "accuracy", "low", "high"]
    return pd.concat(tables)[columns]


def extraction_table(model: VLM, samples: Iterable[Sample]) -> pd.DataFrame:
    """Whether the entities that the model lists are exactly the reference ones, and where a fallback was used."""
    samples = list(samples)
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


def main(argv: list[str] | None = None) -> None:
    """Command line; see ``--help``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=400, help="test samples at the default difficulty")
    parser.add_argument("--n-curve", type=int, default=100, help="test samples at each point of the curves")
    args = parser.parse_args(argv)
    hide = HiDe(load_model("mini"))
    samples = load_benchmark("scenes", split="test", n=args.n)
    listed = extraction_table(hide.model, samples)
    print(listed[~listed["exact"]].to_string(index=False))
    found = search_rows(hide.model, samples)
    tables = {
        "extraction": extraction_summary(listed),
        "attention": attention_table(found, samples),
        "localisation": localisation_table(found, samples, pd.read_csv(paths.MINI / "calibration.csv")),
        "accuracy": accuracy_table(hide, args.n_curve),
    }
    for name, table in tables.items():
        write_text(paths.MINI / f"{name}.csv", table.to_csv(index=False, float_format="%.4f"))
        print(table.to_string(index=False))


if __name__ == "__main__":
    main()
