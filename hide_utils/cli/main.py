"""The front door: `hide COMMAND ...`, the same as `python -m hide_utils COMMAND ...`."""

from __future__ import annotations

import sys
from collections.abc import Callable

from hide_utils.config import nearest


def _run(words: list[str]) -> int:
    from hide_utils.cli.run import main

    return main(words)


def _list(words: list[str]) -> int:
    return _run(["--list", *words])


def _report(words: list[str]) -> int:
    from hide_utils.cli.report import main

    return main(words)


def _card(words: list[str]) -> int:
    from hide_utils.benchmarks.card import main

    main(words)
    return 0


def _tune(words: list[str]) -> int:
    from hide_utils.evaluation.tuning import main

    main(words)
    return 0


# Each imports what it needs when it is called, so that `hide --help` answers at once.
COMMANDS: dict[str, tuple[Callable[[list[str]], int], str]] = {
    "run": (_run, "run notebooks: all, or some with a preset and values of your own"),
    "list": (_list, "show the notebooks with their parameters, defaults and last runs"),
    "report": (_report, "write HTML, PDF and LaTeX tables from the results that are there"),
    "card": (_card, "say what a benchmark holds"),
    "tune": (_tune, "choose the baselines' own settings on the calibration split"),
}


def main(argv: list[str] | None = None) -> int:
    """Hand the words behind a command to it.

    Returns:
        The command's exit status; 2 for an unknown command.
    """
    words = sys.argv[1:] if argv is None else argv
    if not words or words[0] in ("-h", "--help"):
        lines = [f"  {name:<8} {about}" for name, (_, about) in COMMANDS.items()]
        print("usage: hide COMMAND ...", "", *lines, "", "hide COMMAND --help says more about each.", sep="\n")
        return 0 if words else 2
    if words[0] not in COMMANDS:
        print(f"hide: no command {words[0]!r}; {nearest(words[0], COMMANDS)}", file=sys.stderr)
        return 2
    return COMMANDS[words[0]][0](words[1:])
