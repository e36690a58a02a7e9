"""What is found: a claim with its evidence, the rule of its verdict, and how it is shown.

Read `card` for a finding and its rule, `evidence` for how one is made of measured tables, `published` for what the
paper reports, `claims` for what an analysis claims.
"""

from hide_utils.findings.card import (
    LEVEL,
    MARGINS,
    VERDICTS,
    Finding,
    as_html,
    as_latex,
    as_table,
    color_of,
    corrected,
    in_words,
)
from hide_utils.findings.claims import Claims, by_kind, cards_of, claims_beside, compared
from hide_utils.findings.evidence import of_answers, of_differences, of_groups, of_measure
from hide_utils.findings.published import paper_numbers, published, quoted
