"""Choose the miniature's layer, sigma and alpha on the calibration split: ``python -m hide_utils.mini.calibrate``.

They are chosen by how well the boxes fit, never by answers. It writes ``hide.json``, which `load_model` reads, and
``calibration.csv`` beside the weights. It never looks at the test split.
"""

from __future__ import annotations

import argparse
import json

from hide_utils import paths
from hide_utils.benchmarks import load_benchmark
from hide_utils.evaluation.calibration import by_setting, search_rows, sweep_settings
from hide_utils.files import write_json, write_text
from hide_utils.models import load_model
from hide_utils.scenes import RECORD


def main(argv: list[str] | None = None) -> None:
    """Command line; see ``--help``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=200, help="calibration samples at the default difficulty")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    samples = load_benchmark("scenes", split="calibration", n=args.n, seed=args.seed)
    found = search_rows(load_model("mini"), samples)
    ranked = by_setting(sweep_settings(found, samples, [sample.image.size for sample in samples]))
    best = ranked.iloc[0]
    chosen = {"layer": int(best["layer"]), "sigma": float(best["sigma"]), "alpha": float(best["alpha"])}
    made = {"split": "calibration", "difficulty": "default", "n": len(samples), "seed": args.seed}
    record = json.loads((paths.MINI / "hide.json").read_text())
    write_json(paths.MINI / "hide.json", record | chosen | made | {"world": RECORD})
    by_layer = ranked.drop_duplicates("layer").sort_values("layer")
    write_text(paths.MINI / "calibration.csv", by_layer.to_csv(index=False, float_format="%.4f"))
    print(by_layer.to_string(index=False), chosen, sep="\n")


if __name__ == "__main__":
    main()
