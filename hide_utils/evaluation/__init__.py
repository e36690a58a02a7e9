"""Rows for samples and methods: who answers them, where they are kept, what is measured on them, and how it is saved.

Read `answers`, `loop`, `workers`, `engines`, `keys`, `store` and `shards` for answers, then `captured`, `measured`,
`localisation`, `tad_variants`, `heads`, `layer_measures`, `calibration`, `tuning` and `failures` for what is made of
attention, `gates` for when to look, `procedures` to `profiling`, `counted`, `side_by_side`, `array_work` and
`machines` for cost, and `provenance` and `saving` for files.
"""

from hide_utils.evaluation.captured import RowCache
from hide_utils.evaluation.keys import run_settings
from hide_utils.evaluation.localisation import held_out_maps
from hide_utils.evaluation.loop import evaluate, stored_answers
from hide_utils.evaluation.measured import stored_measures
from hide_utils.evaluation.provenance import picture_entry, provenance_entry
from hide_utils.evaluation.saving import save_figure, save_findings, save_table
from hide_utils.evaluation.store import results_path
from hide_utils.evaluation.tables import styled
