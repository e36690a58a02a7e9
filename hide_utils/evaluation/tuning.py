"""Settings that the baselines have of their own, chosen on the calibration split. The test split is never looked at.

`hide tune` writes them under ``methods`` into hide.json of the model's folder, beside HiDe's layer, sigma and alpha.
`hide_utils.baselines.published.tuned` reads them there. Run it after HiDe's own settings are chosen. Each says what it
was chosen on, so that stored rows of other methods stay valid (`files.of_one_method`).
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from hide_utils import paths
from hide_utils.baselines import best_window, published
from hide_utils.benchmarks import load_benchmark
from hide_utils.evaluation import gates, heads, localisation
from hide_utils.evaluation.calibration import ALPHAS, SIGMAS
from hide_utils.evaluation.keys import hash_samples
from hide_utils.evaluation.loop import evaluate
from hide_utils.files import write_json
from hide_utils.method import HiDe, tad
from hide_utils.models import VLM, load_model
from hide_utils.prompts import CONTENT_FREE
from hide_utils.samples import Sample
from hide_utils.stats.rows import answered

LEFT_ALONE = 0.1  # share of the answers that looking would mend which "hide_conformal" may leave alone
N_HEADS = (1, 2, 3, 5, 8, 12, 16, 24)  # numbers of heads from which "hide_heads" takes one


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
    both = _both(table)
    margins, right = both["margin"].to_numpy(), {name: both[name].to_numpy() for name in ("direct", "hide")}
    seen = np.unique(margins[np.isfinite(margins)])
    cuts = [0.0, *((seen[1:] + seen[:-1]) / 2), float(seen[-1]) + 1] if len(seen) else [0.0]
    accuracies = [np.where(margins > cut, right["direct"], right["hide"]).mean() for cut in cuts]
    best = int(np.argmax(accuracies))
    return {
        "margin": round(float(cuts[best]), 4),
        "accuracy": float(accuracies[best]),
        "direct": float((margins > cuts[best]).mean()),
    }


def _both(table: pd.DataFrame) -> pd.DataFrame:
    """Of every sample whether "direct" and "hide" are right, and the margin of the direct answer.

    Raises:
        ValueError: as in `choose_margin`.
    """
    table = answered(table, "margin", "sample_id")
    wide = table.pivot(index="sample_id", columns="method", values=["correct", "margin"])
    if not {"direct", "hide"} <= set(table["method"]) or wide["correct"][["direct", "hide"]].isna().any(axis=None):
        raise ValueError("need a row of 'direct' and one of 'hide' for every sample, and samples that both answered")
    right = wide["correct"][["direct", "hide"]].astype(bool)
    return right.assign(margin=wide["margin"]["direct"].astype(float))


def choose_conformal(table: pd.DataFrame, level: float = LEFT_ALONE) -> dict[str, Any]:
    """Margin above which the direct answer stands, by `gates.conformal`.

    Args:
        table: as for `choose_margin`.
        level: share of the answers that looking would mend which may be left alone.

    Returns:
        margin (None where these samples are too few to leave any answer alone), level, and mended, the number of
        answers that looking mended.
    """
    both = _both(table)
    least = -gates.conformal("margin", both, level).least
    margin = math.ceil(1e4 * least) / 1e4 if math.isfinite(least) else None  # upwards, so that no answer is lost
    return {"margin": margin, "level": level, "mended": int(gates.mended(both).sum())}


def choose_heads(hide: HiDe, samples: Sequence[Sample], *, progress: bool = True) -> dict[str, Any]:
    """Heads and alpha of "hide_heads": of the heads that `heads.ranked_heads` puts first, how many are read.

    Number and alpha are those with the highest mean of recall50 - area, of equals the smallest alpha and the fewest
    heads.

    Args:
        hide: the method, whose sigma smooths.
        samples: with true boxes, each about one picture.
        progress: show a bar.
    """
    bar = partial(tqdm, samples, disable=not progress)
    measured = pd.DataFrame([heads.measure_heads(hide, hide.open(one.images), one) for one in bar(desc="heads")])
    order = heads.ranked_heads(heads.head_table(measured, hide.model.row_layers))
    numbers, rows = [n for n in N_HEADS if n <= len(order)], []
    for sample in bar(desc="their number"):
        session = hide.open(sample.images)
        found = session.search(heads.sought(hide, session, sample), {layer for layer, _ in order[: numbers[-1]]}, True)
        for n in numbers:
            maps = found.of_heads(order[:n])
            quality = localisation.quality_at(
                maps.maps(maps.layers[-1], hide.settings.sigma), ALPHAS, sample.boxes_xyxy, session.image.size
            )
            rows += [{"alpha": alpha, "n": n} | one for alpha, one in zip(ALPHAS, quality, strict=True)]
    mean = pd.DataFrame(rows).groupby(["alpha", "n"])[["recall50", "area"]].mean()
    alpha, n = (mean["recall50"] - mean["area"]).idxmax()
    return {"heads": [list(head) for head in order[:n]], "alpha": float(alpha)}


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


BY_ANSWERS: dict[str, Callable[[pd.DataFrame], dict[str, Any]]] = {
    "hide_gated": choose_margin,
    "hide_conformal": choose_conformal,
}
TUNED = (*BY_ANSWERS, "hide_heads", "rel_att", "first_token")


def tune(
    model: VLM, samples: Sequence[Sample], methods: Sequence[str] = TUNED, *, progress: bool = True
) -> dict[str, dict[str, Any]]:
    """Settings of methods from calibration samples.

    Left out are those that need true boxes, where a sample has none or several pictures, and margins, where no question
    has options.
    """
    chosen: dict[str, dict[str, Any]] = {}
    gated = {name: choose for name, choose in BY_ANSWERS.items() if name in methods}
    if gated and (lettered := [sample for sample in samples if sample.options]):
        answers = evaluate(model, lettered, ["direct", "hide"], progress=progress)
        chosen |= {name: choose(answers) for name, choose in gated.items()}
    if not all(sample.boxes_xyxy and not sample.more for sample in samples):
        return chosen
    if "hide_heads" in methods:
        chosen["hide_heads"] = choose_heads(HiDe(model), samples, progress=progress)
    if {"rel_att", "first_token"} & set(methods):
        last = choose_last(sweep_last(last_rows(model, samples, progress=progress), samples))
        chosen |= {name: one for name, one in last.items() if name in methods}
    return chosen


def main(argv: list[str] | None = None) -> None:
    """Command line, see ``--help``: choose the settings and write them into hide.json of the model's folder."""
    parser = argparse.ArgumentParser(prog="hide tune", description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="mini", help='"mini" or a local folder')
    parser.add_argument("--benchmark", default="scenes", help="a name or path that load_benchmark knows")
    parser.add_argument("--n", type=int, default=80, help="calibration samples")
    parser.add_argument("--resolution", type=int, help="side of the scenes in pixels (the default difficulty's)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--methods", nargs="+", choices=TUNED, default=TUNED, help="whose settings are chosen (all)")
    args = parser.parse_args(argv)
    folder = paths.model_folder(args.model)
    if folder is None or not (folder / "hide.json").is_file():
        parser.error(f"no hide.json of {args.model}: choose HiDe's layer, sigma and alpha first, they are kept there")
    try:
        file = paths.to_write(folder / "hide.json")
    except ValueError as error:
        parser.error(str(error))
    knobs = {"resolution": args.resolution} if args.benchmark == "scenes" and args.resolution else {}
    samples = load_benchmark(args.benchmark, split="calibration", n=args.n, seed=args.seed, **knobs)
    chosen = tune(load_model(args.model), samples, args.methods)
    made = {"split": "calibration", "benchmark": paths.portable(args.benchmark), "n": len(samples), "seed": args.seed}
    made |= knobs | {"samples": hash_samples(samples)}
    chosen = {name: one | {"chosen_on": made} for name, one in chosen.items()}
    record = json.loads(file.read_text())
    write_json(file, record | {"methods": record.get("methods", {}) | chosen})
    print(json.dumps(chosen, indent=1))


if __name__ == "__main__":
    main()
