"""The front door: `hide COMMAND ...`, the same as `python -m hide_utils COMMAND ...`."""

from __future__ import annotations

import os
import sys
from importlib import import_module

from hide_utils.config import nearest

# Command -> the module whose `main` it calls, words before the user's, and what it does. Modules are imported when
# they are called, so that `hide --help` answers at once.
COMMANDS: dict[str, tuple[str, list[str], str]] = {
    "run": ("hide_utils.cli.run", [], "run notebooks: all, or some with a preset and values of your own"),
    "check": ("hide_utils.cli.run", ["--check"], "check parameters, time two samples and say how long a run takes"),
    "list": ("hide_utils.cli.records", [], "show notebooks, their parameters and last runs, then all runs"),
    "report": ("hide_utils.report", [], "write HTML, PDF and LaTeX tables from the results that are there"),
    "answers": ("hide_utils.cli.answers", [], "make the answers that ship with the package anew"),
    "card": ("hide_utils.benchmarks.card", [], "say what a benchmark holds"),
    "check-model": ("hide_utils.cli.check_model", [], "try what of the method holds for a checkpoint"),
    "gpu-check": ("hide_utils.evaluation.speed", [], "time full-size models with random weights on a GPU"),
    "calibrate": (
        "hide_utils.cli.calibrate",
        [],
        "choose a model's layer, sigma and alpha on pictures with true boxes",
    ),
    "tune": ("hide_utils.evaluation.tuning", [], "choose the baselines' own settings on the calibration split"),
}


def main(argv: list[str] | None = None) -> int:
    """Hand the words behind a command to it.

    Returns:
        The command's exit status; 2 for an unknown command.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal may lack characters of titles and messages
            stream.reconfigure(errors="replace")
    words = sys.argv[1:] if argv is None else argv
    if not words or words[0] in ("-h", "--help"):
        lines = [f"  {name:<11} {about}" for name, (*_, about) in COMMANDS.items()]
        print("usage: hide COMMAND ...", "", *lines, "", "hide COMMAND --help says more about each.", sep="\n")
        return 0 if words else 2
    if words[0] not in COMMANDS:
        print(f"hide: no command {words[0]!r}; {nearest(words[0], COMMANDS)}", file=sys.stderr)
        return 2
    module, first, _ = COMMANDS[words[0]]
    try:
        status = import_module(module).main([*first, *words[1:]]) or 0
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads the output, as `head` does, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status
