"""Make the answers that ship with the package anew: `hide answers`, which runs their notebooks without stored rows."""

from __future__ import annotations

import argparse
import os
import shutil
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq

from hide_utils import paths
from hide_utils.cli import run
from hide_utils.evaluation.shards import shipped_path
from hide_utils.evaluation.store import read_rows
from hide_utils.files import replace_file

NOTEBOOKS = (  # whose rows ship
    *("00_quickstart", "01_background_interference", "02_layer_sweep", "03_token_decoupling", "04_layout_ablations"),
    *("05_benchmarks", "07_extraction_robustness", "11_when_to_look", "12_settings_without_labels"),
    "13_robustness_and_failures",
)
LARGEST = 20_000_000  # bytes of all files together


def main(argv: list[str] | None = None, *, notebooks: tuple[str, ...] = NOTEBOOKS) -> int:
    """Run the notebooks whose rows ship, as `hide run` does, and put their rows into ``data/answers``.

    Rows are made in a folder of their own, so that an interrupted run goes on where it was. What ships is replaced only
    when every notebook has run through.

    Returns:
        The exit status of `hide run`; 1 where a row has an error, or the files are too large.
    """
    parser = argparse.ArgumentParser(prog="hide answers", description="Make the answers that ship anew.")
    parser.add_argument("--jobs", default="1", help="notebooks at a time, which share the cores (1)")
    args = parser.parse_args(argv)
    try:
        paths.to_write(paths.ANSWERS)
    except ValueError as error:
        parser.error(str(error))
    making = paths.RESULTS / "anew"
    print(*_estimate(making), sep="\n", flush=True)
    before = os.environ.get("HIDE_RESULTS")
    os.environ["HIDE_RESULTS"] = str(making)
    try:
        if status := run.main([*notebooks, "--preset", paths.DEFAULT_PRESET, "--jobs", args.jobs]):
            return status
    finally:
        os.environ.pop("HIDE_RESULTS")
        if before:
            os.environ["HIDE_RESULTS"] = before
    made = [path for name in notebooks for path in sorted((making / name).glob("*.parquet"))]
    if refusal := _refusal(made):
        print(f"{refusal}: data/answers stays as it was")
        return 1
    for old in paths.ANSWERS.glob("*.parquet"):
        old.unlink()
    for path in made:
        table = pq.read_table(path)
        replace_file(shipped_path(path), partial(pq.write_table, table, compression="zstd"))
    shutil.rmtree(making)
    size = sum(path.stat().st_size for path in paths.ANSWERS.glob("*.parquet"))
    print(f"{len(made)} files of {size / 1e6:.2f} MB in all are in {paths.portable(paths.ANSWERS)}")
    return 0


def _estimate(making: Path) -> list[str]:
    """What is going to be made, from the rows that ship now, and what an interrupted run has left."""
    shipped = [row for path in sorted(paths.ANSWERS.glob("*.parquet")) for row in read_rows(path)[1]]
    minutes = sum(row["seconds"] or 0 for row in shipped) / 60
    done = [pq.read_metadata(path).num_rows for path in making.rglob("*.parquet")]
    there = [f"{sum(done)} rows are there from a run that was interrupted"] if done else []
    if not shipped:
        return ["no rows ship yet, which would tell how long it takes", *there]
    return [f"{len(shipped)} rows; at most {minutes:.0f} minutes on the machine that made them last", *there]


def _refusal(made: list[Path]) -> str | None:
    """Why rows cannot ship, in words."""
    if bad := [row for path in made for row in read_rows(path)[1] if row["error"]]:
        return f"{len(bad)} rows have errors, the first: {bad[0]['sample_id']}: {bad[0]['error']}"
    size = sum(path.stat().st_size for path in made)
    return f"{size / 1e6:.1f} MB are more than {LARGEST / 1e6:.0f}" if size > LARGEST else None


if __name__ == "__main__":
    raise SystemExit(main())
