"""Measure how often the miniature's direct answers are right over scenes of rising difficulty, and choose three.

``python -m hide_utils.mini.difficulty`` writes ``difficulty.csv`` beside the weights. It looks at the calibration split
and at direct answers alone. `hide_utils.scenes.settings.DIFFICULTIES` holds what `nearest` chooses from that file,
which a test checks. Answers are kept, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
from itertools import product

import pandas as pd

from hide_utils import paths
from hide_utils.benchmarks import load_benchmark
from hide_utils.evaluation import evaluate, results_path, run_settings
from hide_utils.files import write_text
from hide_utils.method import HiDe
from hide_utils.models import load_model
from hide_utils.scenes.questions import KINDS
from hide_utils.stats import accuracy_table

# Resolution, and unnamed objects per 65 536 pixels. Larger pictures cost more than the easier scenes are worth.
GRID = (*product((512, 640, 768, 896, 1024), (12, 8)), (1120, 12), (1216, 12), (1344, 12))
TARGETS = {"easy": 0.95, "default": 0.67, "hard": 0.50}  # accuracy of direct answers
CHANCE = {"direct_attributes": 0.25, "relative_position": 0.50}
LEAST_ABOVE_CHANCE = 0.10  # of each kind, at the default


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


def main(argv: list[str] | None = None) -> None:
    """Command line; see ``--help``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=200, help="calibration samples at each point of the grid")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    hide, rows = HiDe(load_model("mini")), []
    for resolution, unnamed in GRID:
        knobs = {"resolution": resolution, "unnamed": unnamed}
        samples = load_benchmark("scenes", split="calibration", n=args.n, seed=args.seed, **knobs)
        out = results_path("mini", "difficulty", run_settings(hide, hide.protocol) | knobs | {"seed": args.seed})
        table = evaluate(hide.model, samples, ["direct"], out, hide=hide)
        by_kind = accuracy_table(table).set_index("kind")
        overall = by_kind.loc["all", ["n", "accuracy", "low", "high"]]
        rows.append(knobs | overall.to_dict() | by_kind.loc[list(KINDS), "accuracy"].to_dict())
    found = pd.DataFrame(rows).astype({"n": int})
    write_text(paths.MINI / "difficulty.csv", found.to_csv(index=False, float_format="%.4f"))
    print(found.to_string(index=False), *[f"{name}: {nearest(found, name)}" for name in TARGETS], sep="\n")


if __name__ == "__main__":
    main()
