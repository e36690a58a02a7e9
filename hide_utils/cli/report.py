"""Write the report from the results that are there: `hide report`. No notebook is run and none is changed."""

from __future__ import annotations

import argparse

from hide_utils import paths
from hide_utils.report import write_report


def main(argv: list[str] | None = None) -> int:
    """The command `hide report`. Prints the files it wrote and returns 0."""
    parser = argparse.ArgumentParser(prog="hide report", description=__doc__.split(":")[0])
    parser.add_argument("--preset", default=paths.DEFAULT_PRESET, help="whose figures are reported")
    args = parser.parse_args(argv)
    for path in write_report(paths.figures_folder(args.preset)):
        print(paths.portable(path))
    return 0
