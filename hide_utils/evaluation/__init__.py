"""Rows for samples and methods: who answers them, where they are kept, what is measured on them, and how it is saved.

Read `loop` first (`evaluate`), with `answers`, `engines`, `keys` and `store`: how answers are made and kept. `tables`,
`comparing`, `own_scores` and `gallery` are what they come to. `captured` and `measured` keep what is made of attention,
`calibration` and `tuning` choose settings by it, `failures` explain it. `fullsize` to `one_card` count what it costs.
`reproduced` sets the paper's numbers beside measured ones; `provenance` and `saving` are for files.
"""

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
