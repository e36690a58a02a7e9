"""What notebook 05 makes of answers: cards with the paper's numbers, parts by coverage, and how the gain grows."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from hide_utils.analyses import benchmarks
from hide_utils.baselines import METHODS
from hide_utils.findings import corrected


def answers(right, recall=None, side=512):
    """Rows of methods -> whether each sample is right, with kinds in turn."""
    return pd.DataFrame(
        {"sample_id": f"scenes-{side}-{i:05d}", "image_id": f"p{i}", "method": method, "kind": ("$a", "b_c")[i % 2],
         "correct": bool(one), "error": None, "n_options": 4,
         "recall50": None if recall is None or method != "hide" else recall[i]}
        for method, values in right.items()
        for i, one in enumerate(values)
    ).astype({"correct": "boolean"})  # fmt: skip


def test_cards_have_the_papers_numbers_from_its_file_and_none_where_it_has_none():
    rows = answers({"direct": [0, 0, 1, 0], "hide": [1, 1, 1, 0], "rel_att": [0, 1, 1, 0]})
    direct, vicrop = benchmarks.cards_of(rows, benchmarks.ANSWERS)
    assert direct.claim == "HiDe over direct" and direct.estimate == pytest.approx(50) and direct.n == 4
    assert "V* overall HiDe 92.1 %, direct 79.1 %; V* attribute HiDe 94.8 %" in direct.paper and direct.source
    assert "V* spatial HiDe 88.2 %, ViCrop 71.1 %" in vicrop.paper and vicrop.estimate == pytest.approx(25)
    (place,) = benchmarks.cards_of(answers({"hide": [1, 1], "random": [0, 1]}), ["place of the boxes"])
    assert (place.paper, place.source) == ("", "") and place.taught


def test_every_claim_names_a_method_that_is_there_and_baselines_are_claims():
    for words in benchmarks.ANSWERS.values():
        benchmarks.BenchmarksConfig(methods=[words["method"], words["against"]])
    assert set(benchmarks.BASELINES) < set(benchmarks.ANSWERS)
    against = {words["against"] for words in benchmarks.ANSWERS.values()}
    assert against | {"oracle"} == {*METHODS}, "each method is compared with HiDe"


def test_a_forest_has_a_line_for_each_kind_whatever_its_name():
    rows = answers({"direct": [0, 0, 1, 0], "hide": [1, 1, 1, 0]})
    fig = benchmarks.forest(rows, benchmarks.cards_of(rows, ["HiDe over direct"]))
    assert [text.get_text() for text in fig.axes[0].get_yticklabels()] == ["HiDe − direct", r"\$a", "b c"]
    plain = benchmarks.forest(rows, benchmarks.cards_of(rows, ["HiDe over direct"]), by_kind=False)
    assert len(plain.axes[0].get_yticklabels()) == 1
    plt.close("all")


def test_samples_are_covered_where_every_true_box_is_and_errors_are_in_neither_part():
    right = {"direct": [0, 0, 1, 0, 0], "hide": [1, 1, 0, 0, 1]}
    rows = answers(right, recall=[1.0, 1.0, 0.5, None, 1.0])
    rows.loc[rows["sample_id"].str.endswith("4") & (rows["method"] == "direct"), ["correct", "error"]] = [None, "cut"]
    parts = {name: sorted(int(i[-1]) for i in ids) for name, ids in benchmarks.covered(rows).items()}
    assert parts == {"covered": [0, 1], "not covered": [2, 3]}
    inside, outside = benchmarks.coverage_cards(rows)
    assert (inside.n, inside.estimate, outside.n, outside.estimate) == (2, 100, 2, -50)
    assert [card.claim for card in benchmarks.coverage_cards(answers(right, recall=[1.0] * 5))] == ["covered"]


def test_growth_is_the_gain_at_the_largest_side_less_that_at_the_smallest():
    small = answers({"direct": [1] * 40, "hide": [1] * 40, "oracle": [1] * 40}, side=256).assign(resolution=256)
    large = answers({"direct": [0] * 40, "hide": [1, 0] * 20, "oracle": [1] * 40}, side=512).assign(resolution=512)
    more = answers({"direct": [0] * 60, "hide": [1] * 60, "oracle": [1] * 60}, side=400).assign(resolution=400)
    curve = pd.concat([large, more, small])
    card = benchmarks.growth(curve)
    assert (card.estimate, card.n) == (50, 40) and "HR-Bench 8K overall HiDe 75.4 %, direct 67.9 %" in card.paper
    assert corrected([card])[0].verdict == "holds here, as taught"
    _, gains = benchmarks.curve_figure(curve).axes
    assert gains.containers[0].lines[0].get_ydata().tolist() == pytest.approx([0, 100, 50])
    assert [text.get_text() for text in gains.get_xticklabels()] == ["256\nn = 40", "400\nn = 60", "512\nn = 40"]
    plt.close("all")
