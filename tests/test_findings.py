import pandas as pd
import pytest

from hide_utils import findings


def row(difference, low, high, p):
    return {"difference": difference, "low": low, "high": high, "p_holm": p}


@pytest.mark.parametrize(
    ("given", "word"),
    [
        (row(0.2, 0.1, 0.3, 0.01), "higher"),
        (row(-0.2, -0.3, -0.1, 0.01), "lower"),
        (row(0.2, 0.1, 0.3, 0.05), "not shown to differ"),
        (row(0.2, -0.1, 0.5, 0.01), "not shown to differ"),
        (row(0.2, 0.7, 0.8, 0.01) | {"difference_low": -0.1, "difference_high": 0.5}, "not shown to differ"),
    ],
)
def test_a_difference_is_shown_by_the_corrected_p_and_the_interval(given, word):
    assert findings.verdict(given) == findings.verdict(pd.Series(given)) == word


@pytest.mark.parametrize(
    ("difference", "p", "expected", "word"),
    [(0.2, 0.01, 1, "yes"), (0.2, 0.01, -0.3, "no"), (-0.2, 0.01, -0.3, "yes"), (0.2, 0.2, 1, "not shown")],
)
def test_a_claim_agrees_by_its_sign(difference, p, expected, word):
    assert findings.agrees(row(difference, difference - 0.1, difference + 0.1, p), expected) == word


def test_a_row_in_words_holds_its_numbers():
    given = row(0.9, 0.5, 1.0, 0.004)
    assert findings.difference_in_words(given, "+.0%") == "+90% (+50% to +100%), p = 0.004: higher"
    assert findings.difference_in_points(given) == "+90.0 points (+50.0 to +100.0)"


def test_the_papers_numbers_are_read_by_experiment():
    assert len(findings.paper_numbers("upscale")) == 20 and findings.paper_numbers("no such").empty
