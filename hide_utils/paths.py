"""Where everything lies. Every path in the project comes from here, so notebooks run from any folder."""

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

    ``figures/`` is committed and belongs to the default preset alone. A run with another preset writes below
    ``data/results/runs/<preset>/figures``, so that it never overwrites the committed ones. The environment variable
    ``HIDE_FIGURES`` names the folder (the runner sets it). Without it the preset in ``HIDE_PRESET`` decides.
    """
    if folder := os.environ.get("HIDE_FIGURES"):
        return Path(folder)
    preset = os.environ.get("HIDE_PRESET") or DEFAULT_PRESET
    return FIGURES if preset == DEFAULT_PRESET else RUNS / Path(preset).stem / "figures"


def model_folder(name: str | Path) -> Path | None:
    """Folder that holds a model's files on this machine.

    Args:
        name: ``"mini"``, a path, or a hub id. A hub id is looked for in ``data/models`` under the model's own name.

    Returns:
        The folder. None where there is no such folder, as for a model that lies on the hub alone.
    """
    if str(name) == "mini":
        return MINI
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    here = MODELS / path.name
    return here if str(name).count("/") == 1 and any(here.glob("*.safetensors")) else None


def portable(path: str | Path) -> str:
    """Text of a path as it may be written into a committed file.

    A path within the repository is given relative to its root. Of any other absolute path only the last part stays,
    because the folders above it tell about the machine and not about the result. Relative paths, and ids of models on
    the hub, are unchanged.
    """
    path = Path(path)
    if not path.is_absolute():
        return path.as_posix()
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
