"""Choose a model's layer, sigma and alpha on pictures with true boxes: `hide calibrate MODEL BENCHMARK`.

They are chosen by how well the boxes fit (`hide_utils.evaluation.calibration.by_setting`), never by answers, on the
benchmark's calibration part alone, so that the test part stays fair. They are written into ``hide.json``, which
`load_model` reads.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from hide_utils import paths
from hide_utils.benchmarks import load_benchmark
from hide_utils.config import RunConfig
from hide_utils.evaluation.calibration import (
    ALPHAS,
    SIGMAS,
    best_with_intervals,
    by_setting,
    settings_grid,
    stored_sweep,
)
from hide_utils.evaluation.keys import hash_samples
from hide_utils.files import write_json
from hide_utils.method import HiDe
from hide_utils.models import load_model
from hide_utils.samples import Sample

NAMES = ["layer", "sigma", "alpha"]


def main(argv: list[str] | None = None) -> int:
    """Command line; see ``--help``.

    Returns:
        0.
    """
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        file = _place(args.model, args.out)
        samples = _annotated(load_benchmark(args.benchmark, split="calibration", n=args.n, seed=args.seed))
        hide = HiDe(load_model(args.model, max_pixels=args.max_pixels), prompts=args.prompts)
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    config = RunConfig(
        notebook="calibrate", model=args.model, benchmark=args.benchmark, split="calibration", n=args.n, seed=args.seed
    )
    swept = sweep(hide, samples, config)
    best = by_setting(swept).iloc[0]
    chosen = {name: int(best[name]) if name == "layer" else float(best[name]) for name in NAMES}
    print(*_report(hide, swept, len(samples)), sep="\n")
    made = {"split": "calibration", "benchmark": paths.portable(args.benchmark), "n": len(samples), "seed": args.seed}
    made |= {"samples": hash_samples(samples), "max_pixels": args.max_pixels, "prompts": hide.prompts.own}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, _kept(file) | chosen | made)
    beside = (paths.model_folder(args.model) or paths.MODELS / args.model) / "hide.json" == file
    reads = f"load_model({args.model!r}" + (")" if beside else f", settings={str(file)!r})")
    print(f"written to {file}, which {reads} reads")
    return 0


def sweep(hide: HiDe, samples: Sequence[Sample], config: RunConfig) -> pd.DataFrame:
    """Box quality of every sample at every layer, sigma and alpha; at the best layer on a grid that holds its best.

    Args:
        hide: the method, whose model searches.
        samples: with true boxes.
        config: says where what is measured is kept.

    Returns:
        What `hide_utils.evaluation.calibration.sweep_settings` returns.
    """
    swept = stored_sweep(hide, samples, config, SIGMAS, ALPHAS, hide.model.row_layers, progress=True)
    layer = int(by_setting(swept).loc[0, "layer"])
    wider: dict[tuple, pd.DataFrame] = {(SIGMAS, ALPHAS): swept[swept["layer"] == layer]}

    def at_layer(sigmas: Sequence[float], alphas: Sequence[float]) -> pd.DataFrame:
        key = tuple(sigmas), tuple(alphas)
        if key not in wider:
            wider[key] = stored_sweep(hide, samples, config, sigmas, alphas, [layer], progress=True)
        return wider[key]

    settings_grid(at_layer)
    return pd.concat([swept[swept["layer"] != layer], list(wider.values())[-1]], ignore_index=True)


def _annotated(samples: Sequence[Sample]) -> list[Sample]:
    """The samples that can tell good settings from bad ones: those about one picture with true boxes.

    Raises:
        ValueError: there are none.
    """
    kept = [sample for sample in samples if sample.boxes_xyxy and not sample.more]
    if not kept:
        raise ValueError(f"none of the {len(samples)} calibration samples is about one picture with true boxes")
    if len(kept) < len(samples):
        print(f"{len(samples) - len(kept)} of {len(samples)} samples have no true boxes, or several pictures: left out")
    return kept


def _place(model: str, out: str | None) -> Path:
    """The file to write. A model of the hub has no folder here, so that one must be named.

    Raises:
        ValueError: no place is named for such a model, or for one that came with the installed package.
    """
    folder = paths.model_folder(model)
    if out is None and folder is None:
        raise ValueError(
            f"{model} is no folder here: say --out FOLDER; load_model finds the settings of a model of the hub by "
            f"itself in {paths.MODELS / model}"
        )
    place = Path(out) if out is not None else folder
    assert place is not None  # as was just seen
    return paths.to_write(place if place.suffix == ".json" else place / "hide.json")


def _kept(file: Path) -> dict[str, Any]:
    """What else stands in the file and stays: the world of a drawn one, and the baselines' settings."""
    there = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return {name: there[name] for name in ("world", "methods") if name in there}


def _report(hide: HiDe, swept: pd.DataFrame, n: int) -> list[str]:
    """The best settings as a table, and beside them the one in use so far."""
    last = hide.model.n_layers - 1
    about = f"worth = recall of true boxes - area kept, mean of {n} samples with its 95 % interval"
    table = best_with_intervals(swept)
    lines = [f"layers 0 to {last} (counted from 0); {about}", table.to_string(index=False, float_format="%.3f")]
    used = hide.settings
    at = (swept["layer"] == used.layer) & (swept["sigma"] == used.sigma) & (swept["alpha"] == used.alpha)
    so_far = f"so far layer {used.layer}, sigma {used.sigma:g}, alpha {used.alpha:g} ({used.source})"
    worth = f"worth {(swept['recall50'] - swept['area'])[at].mean():.3f}" if at.any() else "not on this grid"
    return [*lines, f"{so_far}: {worth}"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hide calibrate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", help='"mini", a local folder, or a hub id')
    parser.add_argument("benchmark", help="a name or path that load_benchmark knows, with true boxes")
    parser.add_argument("-n", type=int, default=200, help="calibration samples at most (200)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--out", help="file or folder to write to, in place of the model's own folder")
    parser.add_argument("--prompts", help="YAML file with some of search, answer and extraction, which are kept too")
    parser.add_argument("--max-pixels", type=int, help="most pixels of a picture, as for load_model")
    return parser
