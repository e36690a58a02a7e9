"""The cases of a run as one HTML page: `hide gallery RUN`, all failures, gains or losses with their pictures."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from hide_utils import load_benchmark, paths
from hide_utils.benchmarks.loading import SCENE_KNOBS
from hide_utils.cli.compare import named_run
from hide_utils.evaluation import failures
from hide_utils.evaluation.comparing import ABOUT_SAMPLES, RowSet, row_sets, with_methods
from hide_utils.evaluation.gallery import WHICH
from hide_utils.evaluation.keys import PARTS, contents, differing
from hide_utils.evaluation.store import read_rows
from hide_utils.samples import Sample


def rows_of(name: str, notebook: str | None, method: str, runs: Path) -> tuple[RowSet, str | None]:
    """The first table of a run that has answers of a method, and the benchmark as the run was given it.

    Args:
        name: of a run, or a Parquet file that `evaluate` wrote.
        notebook: as for `named_run`.
        method: whose answers are wanted.
        runs: folder of the runs.

    Raises:
        ValueError: there is no such run, or it has no answers of the method.
    """
    if name.endswith(".parquet"):
        settings, rows = read_rows(Path(name))
        return RowSet(Path(name).stem, settings or {}, pd.DataFrame(rows)), None
    run = named_run(name, notebook, runs)
    found = with_methods(row_sets(run.record.parent.name, run.rows), [method])[0]
    return found, run.parameters.get("benchmark")


def samples_of(rows: RowSet, benchmark: str | None) -> tuple[list[Sample], dict[str, str]]:
    """The samples of a table, loaded anew, and why those that are not what was answered are left out.

    Args:
        rows: the table.
        benchmark: name or path. None: what the table's settings name.
    """
    ids, settings = list(dict.fromkeys(rows.table["sample_id"])), rows.settings
    name = benchmark or settings.get("benchmark")
    knobs = {knob: value for knob, value in (settings.get("draw") or {}).items() if knob in SCENE_KNOBS}
    drawn = name == "scenes"
    n = 1 + max((int(number) for id in ids if (number := id.rsplit("-", 1)[-1]).isdecimal()), default=0)
    try:
        if name is None:
            raise ValueError("the file does not say of which benchmark it is; give --benchmark")
        given = {"split": settings.get("split"), "seed": settings.get("seed", 0)}
        samples = load_benchmark(name, n=n if drawn else None, **given, **(knobs if drawn else {}))
    except (ValueError, OSError) as error:
        return [], dict.fromkeys(ids, f"no picture and no question: {error}")
    wanted = set(ids)
    return _unchanged(rows, [sample for sample in samples if sample.id in wanted])


def _unchanged(rows: RowSet, samples: Iterable[Sample]) -> tuple[list[Sample], dict[str, str]]:
    stored = rows.table.drop_duplicates("sample_id").set_index("sample_id")["content"]
    kept, gone = [], {}
    for sample in samples:
        ((_, now),) = contents([sample], {"hide": str}).items()
        parts = [name for name in differing(stored[sample.id], now) if name in ABOUT_SAMPLES]
        if stored[sample.id] and parts:
            said = ", ".join(PARTS[name] for name in parts)
            gone[sample.id] = f"no picture and no question: another {said} since it was answered"
        else:
            kept.append(sample)
    return kept, gone


def main(argv: list[str] | None = None, *, runs: Path = paths.RUNS) -> int:
    """The command `hide gallery`. `--help` says what it takes. Prints where the page is, and returns 0."""
    parser = argparse.ArgumentParser(prog="hide gallery", description="Write the cases of a run as one HTML page.")
    parser.add_argument("run", help="name as `hide list` shows it, or its beginning; or a Parquet file of `evaluate`")
    parser.add_argument("--which", choices=WHICH, default="failures", help="cases of the page (failures)")
    parser.add_argument("--method", default="hide", help="whose cases these are (hide)")
    parser.add_argument("--baseline", default="direct", help="method that gains and losses are told against (direct)")
    parser.add_argument("--notebook", help="name or number, where the run has several")
    parser.add_argument("--benchmark", help="name or path, where the run does not say it")
    parser.add_argument("--out", help="the file (below data/results/galleries)")
    args = parser.parse_args(argv)
    try:
        rows, benchmark = rows_of(args.run, args.notebook, args.method, runs)
        samples, gone = samples_of(rows, args.benchmark or benchmark)
        words = {"method": args.method, "baseline": args.baseline, "which": args.which, "title": rows.run, "gone": gone}
        target = Path(args.out) if args.out else f"{rows.run}-{args.method}-{args.which}"
        path, n = failures.write_page(rows.table, samples, target, about=_about(rows), **words)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    for why in dict.fromkeys(gone.values()):
        print(f"{sum(one == why for one in gone.values())} cases with {why}")
    print(f"{os.path.relpath(path)}: {n} cases, {path.stat().st_size / 1e6:.1f} MB; open it in a browser")
    return 0


def _about(rows: RowSet) -> str:
    of = rows.settings
    layer = f"layer {of['layer'] + 1} (counted from 1), σ {of['sigma']:g}, α {of['alpha']:g}" if "layer" in of else ""
    asked = f"{of['benchmark']}, {of['split'] or 'all'}" if "benchmark" in of else ""
    return " · ".join(filter(None, [of.get("model"), asked, layer, f"letters read by {of.get('protocol')}"]))
