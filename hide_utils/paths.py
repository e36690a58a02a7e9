"""Where everything lies. Every path in the project comes from here, so notebooks run from any folder.

In a checkout all of it lies in the checkout. An installed package has a copy of what it reads beside its modules
(`SHIPPED`), and what it writes goes below the working folder, or below the one that ``HIDE_HOME`` names.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path

# What the wheel takes along, as patterns below the root of a checkout; setup.py copies it into `SHIPPED`.
TRAVELS = (
    *("data/mini/*", "data/scenes/*", "data/answers/*", "data/paper/*", "data/samples/*", "data/study/*"),
    *("notebooks/*.ipynb", "notebooks/presets/*.yaml", "figures/06_memory_and_latency/*/*"),
)

PACKAGE = Path(__file__).resolve().parent
SHIPPED = PACKAGE / "shipped"
INSTALLED = SHIPPED.is_dir()
if INSTALLED:  # kernels and workers have other working folders, and write where the process that began them does
    os.environ.setdefault("HIDE_HOME", os.getcwd())

ROOT = SHIPPED if INSTALLED else PACKAGE.parent
NOTEBOOKS = ROOT / "notebooks"
PRESETS = NOTEBOOKS / "presets"
FIGURES = ROOT / "figures"
DATA = ROOT / "data"
MINI = DATA / "mini"
ANSWERS = DATA / "answers"
PAPER = DATA / "paper"
SAMPLES = DATA / "samples"
STUDY = DATA / "study"

# What is put there by hand, downloaded or made.
WRITTEN = Path(os.environ.get("HIDE_HOME") or ROOT).resolve() / "data"
MODELS = WRITTEN / "models"
BENCHMARKS = WRITTEN / "benchmarks"
CACHE = WRITTEN / "cache"
RESULTS = WRITTEN / "results"
RUNS = RESULTS / "runs"

DEFAULT_PRESET = "mini"
# Variables that the runner sets: values of a sweep as JSON, and the folder of a run's rows.
SWEEP, ROWS = "HIDE_SWEEP", "HIDE_ROWS"
# Folders below RUNS that belong to no preset: what other kernels than the runner's write, and what failed in place.
BY_HAND, IN_PLACE = "by-hand", "in-place"


def preset_file(preset: str | Path) -> Path:
    """Absolute path of a preset's file, from its name in ``notebooks/presets`` or the path of a YAML file."""
    named = Path(preset).suffix not in (".yaml", ".yml")
    return Path(os.path.abspath(PRESETS / f"{preset}.yaml" if named else preset))


def run_name(preset: str | Path) -> str:
    """Name of the folder below `RUNS` that belongs to a preset, and to no other.

    A file elsewhere than in ``notebooks/presets`` has a number behind its name, which is that of its folder: two files
    of one name are two presets.
    """
    file = preset_file(preset)
    ours = file == PRESETS / f"{file.stem}.yaml"
    return file.stem if ours else f"{file.stem}-{zlib.crc32(str(file).encode()):08x}"


def figures_folder(preset: str | None = None) -> Path:
    """Folder whose figures and tables are read: it holds one folder for each notebook.

    ``figures/`` is committed and belongs to the default preset, in a checkout. Those of a run lie below
    ``data/results/runs/<run>/figures``. The environment variable ``HIDE_FIGURES`` names the folder (the runner sets
    it). Without it the preset in ``HIDE_PRESET`` decides. Where a process writes says `saving.output_folder`.

    Args:
        preset: whose folder is meant, whatever the environment says. None: the folder of this run.
    """
    if preset is None and (folder := os.environ.get("HIDE_FIGURES")):
        return Path(folder)
    preset = preset or os.environ.get("HIDE_PRESET") or DEFAULT_PRESET
    return FIGURES if preset == DEFAULT_PRESET and not INSTALLED else RUNS / run_name(preset) / "figures"


def model_folder(name: str | Path) -> Path | None:
    """Folder that holds a model's files on this machine.

    Args:
        name: ``"mini"``, a path, or a hub id, which is looked for as ``data/models/OWNER/NAME``.

    Returns:
        The folder. None where there is no such folder, as for a model that lies on the hub alone.
    """
    if str(name) == "mini":
        return MINI
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    here = MODELS / path  # a folder without the owner's name could be anybody's
    return here if str(name).count("/") == 1 and any(here.glob("*.safetensors")) else None


def is_own(benchmark: str) -> bool:
    """Whether a benchmark is a file or folder on this machine. A bare name is that of a known one."""
    path = Path(benchmark).expanduser()
    return bool(path.suffix or len(path.parts) > 1) and path.exists()


def to_write(path: Path) -> Path:
    """The path, which must not be one of the installed package's own files.

    Raises:
        ValueError: it lies in `SHIPPED`.
    """
    if path.resolve().is_relative_to(SHIPPED):
        name = path.resolve().relative_to(SHIPPED).as_posix()
        todo = "name another place, or clone the repository"
        raise ValueError(f"{name} came with the installed package and stays: {todo}")
    return path


def portable(path: str | Path) -> str:
    """Text of a path as it may be written into a committed file.

    A path within the repository is given relative to its root, and one in the folder that is written to as
    ``data/...``. Of any other absolute path only the last part stays, because the folders above it tell about the
    machine and not about the result. Relative paths, and ids of models on the hub, are unchanged.
    """
    path = Path(path)
    if not path.is_absolute():
        return path.as_posix()
    if path.is_relative_to(ROOT):
        return path.relative_to(ROOT).as_posix()
    return path.relative_to(WRITTEN.parent).as_posix() if path.is_relative_to(WRITTEN) else path.name
