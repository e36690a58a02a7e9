"""The front door: `hide COMMAND ...`, the same as `python -m hide_utils COMMAND ...`."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from importlib import import_module, metadata

from hide_utils.config import nearest

# Command -> the module whose `main` it calls, words before the user's, and what it does. Modules are imported when
# they are called, so that `hide --help` answers at once.
COMMANDS: dict[str, tuple[str, list[str], str]] = {
    "run": ("hide_utils.cli.run", [], "run notebooks: all, or some with a preset and values of your own"),
    "sweep": ("hide_utils.cli.sweep", [], "run a notebook at several settings on shared prefills, and compare them"),
    "compare": ("hide_utils.cli.compare", [], "compare runs by name, sample by sample"),
    "gallery": ("hide_utils.cli.gallery", [], "write a run's failures, gains or losses as one HTML page"),
    "check": ("hide_utils.cli.run", ["--check"], "check parameters, time two samples and say how long a run takes"),
    "list": ("hide_utils.cli.records", [], "show notebooks, their parameters and last runs, then all runs"),
    "report": ("hide_utils.report", [], "write HTML, PDF and LaTeX tables from the results that are there"),
    "answers": ("hide_utils.cli.answers", [], "make the answers that ship with the package anew"),
    "card": ("hide_utils.benchmarks.card", [], "say what a benchmark holds"),
    "look": ("hide_utils.cli.look", [], "answer a question about one picture, and write every stage of it"),
    "reproduce": ("hide_utils.cli.reproduce", [], "set the paper's numbers beside those of a real checkpoint"),
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
    except ModuleNotFoundError as error:
        if not (extra := _extra_with(error.name or "")):
            raise
        todo = f"install hide-utils again with [{extra}] behind its folder or address"
        print(f"hide {words[0]}: needs {error.name}, of the extra {extra!r}: {todo}", file=sys.stderr)
        return 1
    return status


def _extra_with(module: str) -> str | None:
    """The extra of this package that brings a module, as its metadata says; None where none does."""
    with contextlib.suppress(metadata.PackageNotFoundError):  # a checkout that was never installed
        for wanted in metadata.requires("hide-utils") or ():
            name, _, extra = wanted.partition("; extra == ")
            if extra and re.split(r"[^\w-]", name)[0].replace("-", "_") == module.partition(".")[0]:
                return extra.strip("\"'")
    return None
