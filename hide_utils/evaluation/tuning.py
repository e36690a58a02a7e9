"""Settings that the baselines have of their own, chosen on the calibration split. The test split is never looked at.

`python -m hide_utils.evaluation.tuning` writes them under ``methods`` into hide.json of the model's folder, beside
HiDe's layer, sigma and alpha. `hide_utils.baselines.published.tuned` reads them there. Run it after HiDe's own settings
are chosen.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from hide_utils import paths
from hide_utils.baselines import best_window, published
from hide_utils.benchmarks import load_benchmark
from hide_utils.evaluation import localisation
from hide_utils.evaluation.calibration import ALPHAS, SIGMAS
from hide_utils.evaluation.keys import hash_samples
from hide_utils.evaluation.loop import evaluate
from hide_utils.files import write_json
from hide_utils.method import HiDe, tad
from hide_utils.models import VLM, load_model
from hide_utils.prompts import CONTENT_FREE
from hide_utils.samples import Sample
from hide_utils.stats.rows import answered


def choose_margin(table: pd.DataFrame) -> dict[str, float]:
    """Margin above which the direct answer stands: the one with the highest accuracy of the gated method.

    Of equal ones the smallest is taken, which asks HiDe least often.

    Args:
        table: rows of `evaluate` for "direct" and "hide". A warning says how many samples are left out for errors.

    Returns:
        margin; accuracy; and direct, the share of questions that are answered directly.

    Raises:
        ValueError: a sample lacks a row of one of the methods, or none was answered by both.
    """
    table = answered(table, "margin", "sample_id")
    wide = table.pivot(index="sample_id", columns="method", values=["correct", "margin"])
    if not {"direct", "hide"} <= set(table["method"]) or wide["correct"][["direct", "hide"]].isna().any(axis=None):
        raise ValueError("need a row of 'direct' and one of 'hide' for every sample, and samples that both answered")
    margins = wide["margin"]["direct"].astype(float).to_numpy()
    right = {method: wide["correct"][method].astype(bool).to_numpy() for method in ("direct", "hide")}
    seen = np.unique(margins[np.isfinite(margins)])
    cuts = [0.0, *((seen[1:] + seen[:-1]) / 2), float(seen[-1]) + 1] if len(seen) else [0.0]
    accuracies = [np.where(margins > cut, right["direct"], right["hide"]).mean() for cut in cuts]
    best = int(np.argmax(accuracies))
    return {
        "margin": round(float(cuts[best]), 4),
        "accuracy": float(accuracies[best]),
        "direct": float((margins > cuts[best]).mean()),
    }


def last_rows(model: VLM, samples: Sequence[Sample], *, progress: bool = True) -> list[tuple[np.ndarray, np.ndarray]]:
    """Attention rows of the position that answers, for each sample.

    Returns:
        A pair a sample: `(layers, h, w)` rows for the question, and the same for the content-free prompt.
    """
    hide, layers, found = HiDe(model), range(model.n_layers), []
    for sample in tqdm(samples, desc="rows", disable=not progress):
        session = hide.open(sample.images)
        asked = hide.prompts.for_answer(sample.question, sample.options, sample.style)
        found.append((session.rows_of_last(asked, layers), session.rows_of_last(CONTENT_FREE, layers)))
    return found


def sweep_last(rows: Sequence[tuple[np.ndarray, np.ndarray]], samples: Sequence[Sample]) -> pd.DataFrame:
    """Box quality of "rel_att" at every layer and of "first_token" at every layer, sigma and alpha. No model runs.

    Args:
        rows: from `last_rows`.
        samples: those of the rows, with true boxes.

    Returns:
        One row a sample and setting: method, layer (counted from 0), sigma, alpha, and the three of
        `localisation.box_quality`.
    """
    table = []
    for (asked, content_free), sample in zip(rows, samples, strict=True):
        size = sample.image.size
        for layer in range(len(asked)):
            ratio = published.relative_attention(asked[layer : layer + 1], content_free[layer], 0.0)[0]
            setting = {"method": "rel_att", "layer": layer, "sigma": 0.0, "alpha": 0.0}
            table.append(setting | localisation.box_quality([best_window(ratio, size)], sample.boxes_xyxy, size))
            for sigma in SIGMAS:
                maps = tad.minmax(tad.smooth(asked[layer : layer + 1], sigma))
                setting = {"method": "first_token", "layer": layer, "sigma": sigma}
                found = localisation.quality_at(maps, ALPHAS, sample.boxes_xyxy, size)
                table += [setting | {"alpha": alpha} | one for alpha, one in zip(ALPHAS, found, strict=True)]
    return pd.DataFrame(table)


def choose_last(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Settings of "rel_att" and "first_token": those with the highest mean of recall50 - area, of equals the first.

    That is objects kept minus background kept, a rule by which HiDe's own candidates are ranked too.

    Args:
        table: from `sweep_last`.
    """
    mean = table.groupby(["method", "layer", "sigma", "alpha"])[["recall50", "area"]].mean()
    worth = mean["recall50"] - mean["area"]
    layer, *_ = worth["rel_att"].idxmax()
    first = dict(zip(("layer", "sigma", "alpha"), worth["first_token"].idxmax(), strict=True))
    chosen: dict[str, dict[str, float]] = {"rel_att": {"layer": int(layer)}}
    return chosen | {"first_token": {name: int(v) if name == "layer" else float(v) for name, v in first.items()}}


def tune(model: VLM, samples: Sequence[Sample], *, progress: bool = True) -> dict[str, Any]:
    """All settings from calibration samples. Those that need true boxes are left out where a sample has none."""
    answers = evaluate(model, samples, ["direct", "hide"], progress=progress)
    chosen: dict[str, Any] = {"hide_gated": choose_margin(answers)}
    if all(sample.boxes_xyxy for sample in samples):
        chosen |= choose_last(sweep_last(last_rows(model, samples, progress=progress), samples))
    return chosen


def main(argv: list[str] | None = None) -> None:
    """Command line, see ``--help``: choose the settings and write them into hide.json of the model's folder."""
    parser = argparse.ArgumentParser(prog="hide tune", description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="mini", help='"mini" or a local folder')
    parser.add_argument("--benchmark", default="scenes", help="a name or path that load_benchmark knows")
    parser.add_argument("--n", type=int, default=80, help="calibration samples")
    parser.add_argument("--resolution", type=int, help="side of the scenes in pixels (the default difficulty's)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    folder = paths.model_folder(args.model)
    if folder is None or not (folder / "hide.json").is_file():
        parser.error(f"no hide.json of {args.model}: choose HiDe's layer, sigma and alpha first, they are kept there")
    file = folder / "hide.json"
    knobs = {"resolution": args.resolution} if args.benchmark == "scenes" and args.resolution else {}
    samples = load_benchmark(args.benchmark, split="calibration", n=args.n, seed=args.seed, **knobs)
    chosen = tune(load_model(args.model), samples)
    made = {"split": "calibration", "benchmark": paths.portable(args.benchmark), "n": len(samples), "seed": args.seed}
    chosen["chosen_on"] = made | knobs | {"samples": hash_samples(samples)}
    record = json.loads(file.read_text()) | {"methods": chosen}
    write_json(file, record)
    print(json.dumps(chosen, indent=1))


if __name__ == "__main__":
    main()
