"""Write the report from the results that are there: `hide report`. No notebook is run and none is changed."""

from __future__ import annotations

import argparse

from hide_utils import paths
from hide_utils.report import write_report


def main(argv: list[str] | None = None) -> int:
    """The command `hide report`. Prints the files it wrote and returns 0."""
    parser = argparse.ArgumentParser(prog="hide report", description=__doc__.split(":")[0])
    parser.add_argument("--preset", default=paths.DEFAULT_PRESET, help="whose figures are reported, or a run's name")
    figures = paths.figures_folder(parser.parse_args(argv).preset)
    if not figures.is_dir():
        parser.error(f"{figures} is not there; `hide list` shows the runs")
    for path in write_report(figures, into=figures):
        print(paths.portable(path))
    return 0
