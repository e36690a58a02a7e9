"""Rows for samples and methods: who answers them, where they are kept, what is measured on them, and how it is saved.

Read `answers`, `loop`, `engines` and `store` for answers, then `captured`, `localisation`, `calibration`, `tuning` and
`failures` for what is made of attention, `procedures` to `profiling` for cost, and `provenance` and `saving` for files.
"""

from hide_utils.evaluation.captured import RowCache
from hide_utils.evaluation.loop import evaluate, stored_answers
from hide_utils.evaluation.provenance import hash_folder, provenance
from hide_utils.evaluation.saving import save_figure, save_table
from hide_utils.evaluation.tables import styled

__all__ = [
    "RowCache",
    "evaluate",
    "hash_folder",
    "provenance",
    "save_figure",
    "save_table",
    "stored_answers",
    "styled",
]
