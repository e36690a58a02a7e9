"""Compare runs of one notebook by name: `hide compare RUN RUN ...`, a table with tests, and a forest."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from hide_utils import paths, plots
from hide_utils.cli.records import Run, read
from hide_utils.config import nearest
from hide_utils.evaluation import provenance_entry, save_figure, save_table
from hide_utils.evaluation.comparing import RowSet, cards, comparable, comparison, row_sets, with_methods
from hide_utils.evaluation.saving import writing_to
from hide_utils.files import crc

FILE = "comparison"  # name of table and figure
METHOD_HELP = "whose answers are compared; give it several times for several methods (hide)"


def named_run(name: str, notebook: str | None, runs: Path) -> Run:
    """The record of a run that went through.

    Args:
        name: of its folder below `runs`, or as much of it as no other has; or the folder's path.
        notebook: name or number of the notebook that is meant. None: the folder's only one, else the first.
        runs: folder of the runs.

    Raises:
        ValueError: there is no such run, or several, or none that went through.
    """
    folders = {path.name: path for path in sorted(runs.glob("*")) if any(path.glob("*.json"))}
    exact = [name] if name in folders else [one for one in folders if one.startswith(name)]
    if Path(name).is_dir() and not exact:
        folders, exact = {name: Path(name)}, [name]
    if len(exact) != 1:
        said = f"several runs begin so: {', '.join(exact)}" if exact else nearest(name, folders)
        raise ValueError(f"no run {name!r}; {said}")
    records = [read(path) for path in sorted(folders[exact[0]].glob("[0-9]*.json"))]
    whole = [run for run in records if isinstance(run, Run) and run.status == "ok"]
    wanted = [run for run in whole if notebook is None or notebook in (run.notebook.stem, run.notebook.stem[:2])]
    if not wanted:
        there = ", ".join(run.notebook.stem for run in whole) or "none"
        raise ValueError(f"run {exact[0]!r} has no good run of {notebook or 'a notebook'}; there is {there}")
    return next((run for run in wanted if run.rows.is_dir()), wanted[0])


def compared(runs: Sequence[Run], methods: Sequence[str], against: str | None, name: str) -> tuple[pd.DataFrame, Path]:
    """Compare runs, print what is left out, and write table and forest.

    Args:
        runs: in the order in which they are shown.
        methods: that are compared.
        against: folder's name of the run that the others are compared with. None: the first.
        name: of the folder below `data/results/comparisons`.

    Returns:
        The table of the first set of samples, and the folder that holds the files.

    Raises:
        NotComparable, ValueError: as `comparing` says.
    """
    if len({run.notebook.stem for run in runs}) > 1:
        raise ValueError("the runs are of several notebooks; --notebook says which one is meant")
    every = [with_methods(row_sets(run.record.parent.name, run.rows), methods) for run in runs]
    together, left = comparable(every)
    for reason in left:
        print(f"not compared: {reason}")
    against = against or every[0][0].run
    folder = paths.RESULTS / "comparisons"
    tables = [comparison(sets, methods, against) for sets in together]
    for old in (folder / name).glob(f"{FILE}*"):
        old.unlink()
    with writing_to(folder):
        for number, (sets, table) in enumerate(zip(together, tables, strict=True)):
            file = f"{FILE}_{number + 1}" if number else FILE
            entry = provenance_entry(against=against, runs={one.run: one.settings for one in sets})
            save_table(table, file, name, entry)
            save_figure(forest(table, sets, against), file, name, entry)
    return tables[0], folder / name


def forest(table: pd.DataFrame, sets: Sequence[RowSet], against: str) -> Figure:
    """The differences of a comparison with their intervals; the band is the margin within which none matters."""
    plots.set_style()
    fig = plots.findings_forest(cards(table))
    settings, first = sets[0].settings, table.set_index("run")["label"][against]
    benchmark = ", ".join(filter(None, [settings["benchmark"], settings["split"] and f"{settings['split']} split"]))
    models = ", ".join(dict.fromkeys(one.settings["model"] for one in sets))
    more = f"less {first}; bars: 95 % intervals, band: the margin"
    plots.source_line(fig, model=models, benchmark=benchmark, n="n at each line", more=more)
    return fig


def shown(table: pd.DataFrame) -> str:
    """The table as a terminal shows it: accuracies and differences in percent and points, p corrected."""
    lines = []
    for row in table.to_dict("records"):
        points = [100 * row[f"difference{end}"] for end in ("", "_low", "_high")]
        reference = pd.isna(row["p"])
        line = {"settings": row["label"], "method": row["method"], "n": row["n"]}
        line["accuracy"] = "{accuracy:.1%} [{low:.1%}, {high:.1%}]".format(**row)
        line["points"] = "" if reference else "{:+.1f} [{:+.1f}, {:+.1f}]".format(*points)
        line["p (Holm)"] = "" if reference else f"{row['p_holm']:.2g}"
        lines.append(line | {"run": row["run"]})
    return pd.DataFrame(lines).to_string(index=False)


def show(table: pd.DataFrame, against: str, folder: Path) -> None:
    """Print a comparison and where its files lie."""
    print(f"\nDifferences in points to {against}, on the same samples:\n")
    print(shown(table))
    print(f"\ntable and forest: {os.path.relpath(folder)}")


def main(argv: list[str] | None = None, *, runs: Path = paths.RUNS) -> int:
    """The command `hide compare`. `--help` says what it takes.

    Returns:
        0. Runs that cannot be compared end the program with 2 and the reason.
    """
    parser = argparse.ArgumentParser(prog="hide compare", description="Compare runs of a notebook, sample by sample.")
    parser.add_argument("runs", nargs="+", metavar="RUN", help="names as `hide list` shows them, or their beginnings")
    parser.add_argument("--notebook", help="name or number, where runs have several")
    parser.add_argument("--method", action="append", help=METHOD_HELP)
    parser.add_argument("--against", help="run that the others are compared with (the first)")
    parser.add_argument("--name", help="of the folder for table and forest, below data/results/comparisons")
    args = parser.parse_args(argv)
    try:
        if len(args.runs) < 2:
            raise ValueError("name at least two runs; `hide list` shows them")
        found = [named_run(name, args.notebook, runs) for name in args.runs]
        names = [run.record.parent.name for run in found]
        if len(set(names)) < len(names):
            raise ValueError("a run is named twice")
        against = named_run(args.against, args.notebook, runs).record.parent.name if args.against else names[0]
        if against not in names:
            raise ValueError(f"--against {args.against}: want one of the runs that are compared")
        name = args.name or f"{found[0].notebook.stem}-{crc(names):08x}"
        table, folder = compared(found, args.method or ["hide"], against, name)
    except ValueError as error:
        parser.error(str(error))
    show(table, against, folder)
    return 0
