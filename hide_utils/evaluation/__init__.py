"""Rows for samples and methods: who answers them, where they are kept, what is measured on them, and how it is saved.

Read `loop` first (`evaluate`), with `answers`, `engines`, `keys` and `store`: how answers are made and kept. `tables`,
`comparing`, `own_scores` and `gallery` are what they come to. `captured` and `measured` keep what is made of attention,
`calibration` and `tuning` choose settings by it, `failures` explain it. `fullsize` to `one_card` count what it costs.
`reproduced` sets the paper's numbers beside measured ones; `provenance` and `saving` are for files.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what runs, lists and saves needs few of these files: each is imported on first use
    from hide_utils.evaluation.captured import RowCache
    from hide_utils.evaluation.keeping import maps_file
    from hide_utils.evaluation.keys import run_settings
    from hide_utils.evaluation.localisation import held_out_maps
    from hide_utils.evaluation.loop import evaluate
    from hide_utils.evaluation.measured import stored_measures
    from hide_utils.evaluation.provenance import picture_entry, provenance_entry
    from hide_utils.evaluation.saving import save_figure, save_findings, save_table
    from hide_utils.evaluation.store import results_path
    from hide_utils.evaluation.stored import stored_answers
    from hide_utils.evaluation.tables import styled, summary

_HOMES = {
    "RowCache": "captured",
    "maps_file": "keeping",
    "run_settings": "keys",
    "held_out_maps": "localisation",
    "evaluate": "loop",
    "stored_measures": "measured",
    "picture_entry": "provenance",
    "provenance_entry": "provenance",
    "save_figure": "saving",
    "save_findings": "saving",
    "save_table": "saving",
    "results_path": "store",
    "stored_answers": "stored",
    "styled": "tables",
    "summary": "tables",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hide_utils.evaluation' has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
