"""A view to take away: figures with a sidecar, and the arrays behind it."""

from __future__ import annotations

import io
import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from hide_utils.analyses.explorer import ExplorerConfig
from hide_utils.evaluation import picture_entry, provenance_entry, save_figure
from hide_utils.explorer.case import Shown
from hide_utils.explorer.galleries import STEPS
from hide_utils.explorer.said import figure
from hide_utils.files import hash_json


def _settings(shown: Shown) -> dict[str, Any]:
    case = shown.case
    return {"case": case.name, "question": case.question, "entities": case.entities.text} | asdict(shown.knobs)


def save_view(shown: Shown, config: ExplorerConfig, name: str | None = None) -> list[Path]:
    """Write a view as PDF and PNG with its sidecar, below the folder of figures.

    Args:
        shown: what a pane shows.
        config: parameters of the notebook.
        name: of the files, without suffix. None makes one of the case and the settings.

    Returns:
        Paths of the files.
    """
    case, seen = shown.case, _settings(shown)
    words = f"The explorer's view of {case.name}: {case.question}"
    own: dict[str, Any] = {"picture": picture_entry(case.path, case.question, case.options)} if case.path else {}
    samples = [case.sample] if case.sample else None
    entry = provenance_entry(config=config, samples=samples, view=seen, caption=words, **own)
    safe_name = re.sub(r"[^\w-]+", "-", case.name)[:60]
    fig = figure(shown)
    files = save_figure(fig, name or f"view-{safe_name}-{hash_json(seen)[:8]}", config.notebook, entry)
    plt.close(fig)
    return files


def arrays(shown: Shown) -> dict[str, np.ndarray]:
    """The arrays behind a view, by name.

    These are the rows of the instruction (`noise`) and of the tokens (`raw attention`) at the layer and heads that are
    read, the map of every step (tokens, h, w), the tokens, which of them count, regions and true boxes in pixels, and
    the settings as JSON. Where the model was asked, there are the rows of what was asked and replied at all layers.
    """
    case, view = shown.case, shown.view
    found = {name: step(view, shown.knobs.sigma) for name, step in STEPS.items()} | {"noise": view.noise}
    found |= {"tokens": np.array(case.attention.tokens, str), "counts": view.on}
    found |= {"regions": np.reshape(view.regions, (-1, 4)), "true boxes": np.reshape(case.boxes_xyxy, (-1, 4))}
    for name, reply in (("direct", case.answers.get(None)), ("second", case.answers.get(shown.knobs))):
        for part, rows in [("asked", reply.asked), ("replied", reply.said)] if reply else []:
            found |= {f"{name} {part} tokens": np.array(rows.tokens, str), f"{name} {part} rows": rows.rows}
    return found | {"settings": np.array(json.dumps({"model": shown.model} | _settings(shown)))}


def arrays_file(shown: Shown) -> bytes:
    """`arrays` as the bytes of an .npz file, which `numpy.load` reads."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays(shown))  # type: ignore[arg-type]  # none is called allow_pickle
    return stream.getvalue()
