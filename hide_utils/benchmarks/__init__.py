"""Published benchmarks as lists of `Sample`, and the drawn scenes by the same call.

Read `rows` (what all formats share), `formats` (folders and lists), `tables` (whose columns stand in `tables.yaml`),
`cells` and `grids`, `loading` (names, folders, draws), then `card`.
"""

from hide_utils.benchmarks.card import LICENCES, card_text, data_card
from hide_utils.benchmarks.loading import SOURCES, load_benchmark, revision_of
