"""What `hide calibrate` has written about a model: the method's settings, the world it knows, the prompts they suit."""

from __future__ import annotations

import json
import os
from pathlib import Path

from hide_utils.models.base import VLM
from hide_utils.models.outputs import Settings
from hide_utils.models.world import World
from hide_utils.prompts import Prompts


def settings_file(home: Path, given: str | os.PathLike | None) -> Path | None:
    """The file of settings that is asked for, else the one in a model's home; FileNotFoundError where it is missing."""
    place = Path(home if given is None else given)
    file = place / "hide.json" if given is None or place.is_dir() else place
    if given is not None and not file.is_file():
        raise FileNotFoundError(f"no settings at {file}: `hide calibrate` writes them; or leave settings out.")
    return file if file.is_file() else None


def calibrated(file: Path, vlm: VLM) -> tuple[Settings, World | None, Prompts]:
    """What a file of settings carries: these, the drawn world that the model was trained on or None, and prompts.

    The settings are layer (counted from 0), sigma in grid cells and alpha.

    Raises:
        ValueError: one of the three is absent, the model has no such layer, or the world or a prompt is none.
    """
    values = json.loads(file.read_text(encoding="utf-8"))
    if absent := {"layer", "sigma", "alpha"} - set(values):
        raise ValueError(f"{file} lacks {', '.join(sorted(absent))}; add them or remove the file.")
    if values["layer"] not in vlm.row_layers:
        known = f"0 to {vlm.n_layers - 1}" if vlm.only_full_attention else ", ".join(map(str, vlm.row_layers))
        raise ValueError(f"{file}: layer {values['layer']} is not among {known}, the model's own with attention rows.")
    on = f" on {values['benchmark']} (n = {values.get('n')})" if "benchmark" in values else ""
    source = f"calibrated{on}, {file.name}"
    settings = Settings(values["layer"], float(values["sigma"]), float(values["alpha"]), source)
    try:
        world = World.of_record(values["world"]) if "world" in values else None
        if not isinstance(words := values.get("prompts", {}), dict):  # a path would lead out of the folder
            raise ValueError(f"prompts want a mapping, not {words!r:.80}")
        return settings, world, Prompts.of(words)
    except ValueError as error:
        raise ValueError(f"{file}: {error}; correct it or leave it out.") from None
