"""What is found: a claim with its evidence, the rule of its verdict, and how it is shown.

Read `card` for a finding and its rule, `evidence` for how one is made of measured tables, `words` for sentences of
single comparisons.
"""

from hide_utils.findings.card import LEVEL, MARGINS, Finding, as_latex, as_table, corrected, in_words
from hide_utils.findings.evidence import of_answers, of_differences, of_measure
from hide_utils.findings.words import (
    agrees,
    difference_in_points,
    difference_in_words,
    in_points,
    paper_numbers,
    verdict,
)
