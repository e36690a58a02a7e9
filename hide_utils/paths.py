"""Where everything lies: every path in the project comes from here, so notebooks run from any folder."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
PRESETS = NOTEBOOKS / "presets"
FIGURES = ROOT / "figures"
DATA = ROOT / "data"
MINI = DATA / "mini"
PAPER = DATA / "paper"
SAMPLES = DATA / "samples"
MODELS = DATA / "models"
CACHE = DATA / "cache"
RESULTS = DATA / "results"
RUNS = RESULTS / "runs"

DEFAULT_PRESET = "mini"


def figures_folder() -> Path:
    """Folder that holds one folder of figures and tables for each notebook.

    ``figures/`` (committed) belongs to the default preset alone. Any other run writes below
    ``data/results/runs/<preset>/figures``, so that it never overwrites it: the runner names that folder in
    ``HIDE_FIGURES``, and the preset laid over a notebook by ``HIDE_PRESET`` implies it.
    """
    if folder := os.environ.get("HIDE_FIGURES"):
        return Path(folder)
    preset = os.environ.get("HIDE_PRESET") or DEFAULT_PRESET
    return FIGURES if preset == DEFAULT_PRESET else RUNS / Path(preset).stem / "figures"


def portable(path: str | Path) -> str:
    """Path as it may be written into a committed file: from the repository's root, else its last part alone.

    A path within the repository is given relative to its root; of any other absolute path only the name stays, for
    the folders above it tell about the machine and not about the result. Relative ones (hub ids too) are unchanged.
    """
    path = Path(path)
    if not path.is_absolute():
        return path.as_posix()
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
