"""What a number of right answers shows: intervals, paired tests, and tables of them.

Read `tests_and_intervals` first, which holds one function for each statistic. `rows` says which rows are answers
and takes pictures as the units. `tables` applies both to the rows that `evaluate` returns, group by group and pair by
pair.
"""

from hide_utils.stats.tables import (
    accuracies,
    accuracy_table,
    compare,
    compare_answers,
    comparison_table,
    mean_over_cycles,
    means,
    median_label,
)
from hide_utils.stats.tests_and_intervals import (
    cluster_bootstrap,
    clustered_mcnemar,
    holm,
    mcnemar_exact,
    paired_difference,
    ratio_interval,
    unpaired_test,
    wilson,
)
