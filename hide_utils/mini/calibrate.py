"""Choose the miniature's layer, sigma and alpha on the calibration split: ``python -m hide_utils.mini.calibrate``.

Writes ``hide.json`` (read by `load_model`) and ``calibration.csv`` beside the weights. Never looks at the test split.
"""

from __future__ import annotations

import argparse

from hide_utils import paths
from hide_utils.benchmarks import load_benchmark
from hide_utils.evaluation.calibration import candidates, choose_settings, search_rows, sweep_settings
from hide_utils.files import write_json, write_text
from hide_utils.models import load_model


def main(argv: list[str] | None = None) -> None:
    """Command line; see ``--help``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=120, help="calibration samples")
    parser.add_argument("--resolution", type=int, nargs="+", default=[896, 1120], help="sides of the scenes, in turn")
    parser.add_argument("--candidates", type=int, default=12, help="settings that are compared by answer accuracy")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    model = load_model("mini")
    share = -(-args.n // len(args.resolution))
    samples = [
        s
        for r in args.resolution
        for s in load_benchmark("scenes", split="calibration", resolution=r, n=share, seed=args.seed)
    ]
    sizes = [s.image.size for s in samples]
    found = search_rows(model, samples)
    quality = sweep_settings(found, samples, sizes)
    settings, table = choose_settings(model, samples, found, candidates(quality, args.candidates))
    chosen = {"layer": settings.layer, "sigma": settings.sigma, "alpha": settings.alpha}
    record = chosen | {"split": "calibration", "n": len(samples), "resolution": args.resolution, "seed": args.seed}
    write_json(paths.MINI / "hide.json", record)
    write_text(paths.MINI / "calibration.csv", table.to_csv(index=False, float_format="%.4f"))
    print(table.to_string(index=False), record, sep="\n")


if __name__ == "__main__":
    main()
