import pandas as pd

from hide_utils.analyses.decoupled_training import detectable_differences


def test_every_pair_has_a_row_and_what_cannot_be_shown_is_missing():
    """Where four of twenty samples differ, even four to none would be found too seldom."""
    table = detectable_differences([20, 400], [0.2, 0.5])
    assert list(zip(table["n"], table["discordant"], strict=True)) == [(20, 0.2), (20, 0.5), (400, 0.2), (400, 0.5)]
    few, many = table["difference"][0], table["difference"][2]
    assert pd.isna(few) and 0 < many < 0.2
