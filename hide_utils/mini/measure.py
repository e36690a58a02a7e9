"""Measure the miniature on the test split at high resolution: ``python -m hide_utils.mini.measure`` (10 minutes).

Writes ``accuracy.csv`` beside the weights, which the card shows. Rows are kept under ``data/results``, so that an
interrupted run goes on where it was. Run it after `hide_utils.mini.calibrate`: nothing may be chosen by what it finds.
"""

from __future__ import annotations

import argparse

from hide_utils import paths
from hide_utils.benchmarks import load_benchmark
from hide_utils.evaluation import evaluate, results_path, run_settings
from hide_utils.files import write_text
from hide_utils.method import HiDe
from hide_utils.models import load_model
from hide_utils.stats import comparison_table


def main(argv: list[str] | None = None) -> None:
    """Command line; see ``--help``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=400, help="test samples")
    parser.add_argument("--resolution", type=int, default=1344, help="side of the scenes in pixels")
    parser.add_argument("--methods", nargs="+", default=["direct", "hide", "oracle"])
    args = parser.parse_args(argv)
    hide = HiDe(load_model("mini"))
    samples = load_benchmark("scenes", split="test", resolution=args.resolution, n=args.n, seed=0)
    out = results_path("mini", "accuracy", run_settings(hide, hide.protocol) | {"resolution": args.resolution})
    table = comparison_table(evaluate(hide.model, samples, args.methods, out, hide=hide))
    table.insert(0, "resolution", args.resolution)
    write_text(paths.MINI / "accuracy.csv", table.to_csv(index=False, float_format="%.4g"))
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
