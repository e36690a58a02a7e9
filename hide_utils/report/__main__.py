"""`python -m hide_utils.report` (`make report`): run notebook 09, and write HTML, PDF and the tables for a paper."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hide_utils import paths
from hide_utils.cli.run import main as run_notebooks
from hide_utils.report import report_folder, write_html
from hide_utils.report.items import OWN


def main(argv: list[str] | None = None) -> int:
    """Run notebook 09 and write the HTML; the notebook itself writes the PDF and the tables. 1 where it failed."""
    parser = argparse.ArgumentParser(prog="python -m hide_utils.report", description=main.__doc__)
    parser.add_argument("--preset", default=paths.DEFAULT_PRESET, help="whose figures are reported")
    args = parser.parse_args(argv)
    default = args.preset == paths.DEFAULT_PRESET
    runs = paths.RUNS / Path(args.preset).stem
    if status := run_notebooks([OWN, "--preset", args.preset, *(["--inplace"] if default else [])]):
        return status
    notebook = paths.NOTEBOOKS / f"{OWN}.ipynb" if default else runs / f"{OWN}.ipynb"
    folder = report_folder(paths.FIGURES if default else runs / "figures")
    for path in (write_html(notebook, folder / "report.html"), folder / "report.pdf"):
        print(paths.portable(path))
    return 0


if __name__ == "__main__":
    sys.exit(main())
