"""Claims of notebook 13 find their variants, and what stands under its figures is what was measured."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from model_helpers import picture

from hide_utils.analyses import robustness
from hide_utils.baselines import METHODS
from hide_utils.samples import Sample

BOXES = {"a": [(10, 10, 20, 20)], "b": [(10, 10, 20, 20), (40, 10, 50, 20)]}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def answered(**right):
    """Answers of four samples, the last two with two boxes; `right` has for each method which of them it got right."""
    rows = [
        {
            "sample_id": f"s{i}",
            "image_id": f"p{i}",
            "kind": "one" if i < 2 else "two",
            "method": method.replace("_x_", " x "),
            "correct": bool(value),
            "n_options": 4 if i < 2 else 2,
            "area": 0.5,
            "regions": [float(v) for box in BOXES["a" if i < 2 else "b"] for v in box],
        }
        for method, values in right.items()
        for i, value in enumerate(values)
    ]
    return pd.DataFrame(rows).astype({"correct": "boolean"})


def test_every_claim_names_two_variants_that_are_answered():
    states = {f"{kind} 100%" for kind in ("wrong", "extra", "missing")}
    for claim, words in robustness.CLAIMS["answers"].items():
        assert {words["method"], words["against"]} <= set(METHODS) | states and words["statement"].endswith("."), claim
    enlarged = robustness.box_methods(0, [2, 4.5])
    cards = robustness.growth_cards(answered(oracle=[1] * 4, **{name: [1, 1, 0, 0] for name in enlarged}), [2, 4.5])
    assert [card.claim for card in cards] == ["boxes × 2", "boxes × 4.5"] and "4.5 times" in cards[1].statement
    assert [card.estimate for card in cards] == [-50, -50] and cards[0].expected == -1


def test_faulty_boxes_are_compared_with_good_ones_and_with_the_true_ones():
    answers = answered(hide=[1, 1, 0, 1], oracle=[1, 1, 1, 1])
    found = pd.DataFrame({"sample_id": ["s0", "s1", "s2", "s3"], "correct": [True, True, False, True]})
    groups, paired = robustness.failure_cards(found.assign(cause=["none", "none", "missed", "background"]), answers)
    assert (groups.claim, groups.estimate, groups.n) == ("faulty boxes", 50, 4)
    assert (paired.claim, paired.estimate, paired.n) == ("better boxes", 50, 2)
    (alone,) = robustness.failure_cards(found.assign(cause="missed"), answers)
    assert alone.claim == "better boxes" and robustness.failure_cards(found.assign(cause="none"), answers) == []
    one_picture = answers.assign(image_id="p")
    (first,) = robustness.failure_cards(found.assign(cause=["missed", "none", "none", "none"]), one_picture)
    assert first.n == 1, "no picture stands in both groups"


def test_regions_that_enlarging_joined_are_counted_among_the_pairs():
    answers = answered(oracle=[1] * 4, direct=[0] * 4, hide=[1] * 4, true_x_4=[1, 1, 0, 0])
    last = answers.index[answers["method"] == "true x 4"][-1]
    answers.at[last, "regions"] = [10.0, 10.0, 50.0, 20.0]
    table = robustness.growth_table(answers, [4])
    assert table["joined"].tolist() == [0, 0.5] and table["factor"].tolist() == [1, 4]
    fig = robustness.over_growths(answers, table)
    assert [tick.get_text() for tick in fig.axes[0].get_xticklabels()] == [*("1\n50.0%\n0%", "4\n50.0%\n50%")]


def test_crowds_stand_at_their_numbers_of_objects():
    answers = answered(oracle=[1] * 4, direct=[0] * 4, hide=[1] * 4, wrong=[0] * 4)
    fig = robustness.over_densities({4.0: answers, 2.25: answers}, None)
    assert [tick.get_text() for tick in fig.axes[0].get_xticklabels()] == ["36", "64"]
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["oracle boxes", "direct", "HiDe", "chance"]


def test_the_control_says_which_accuracies_it_compares():
    easy = answered(direct=[1, 1, 1, 0], hide=[1] * 4, random=[0, 1, 1, 0])
    fig = robustness.control_forest({"easy": easy, "default": easy[easy["method"] != "random"]})
    assert [label.get_text() for label in fig.axes[0].get_yticklabels()] == [
        "easy: HiDe 100.0%, direct 75.0%",
        "easy: random boxes 50.0%, direct 75.0%",
        "default: HiDe 100.0%, direct 75.0%",
    ]


def test_failures_are_drawn_as_rates_with_their_n():
    answers = answered(hide=[1, 1, 0, 1], oracle=[1, 1, 0, 1], direct=[0] * 4)
    found = pd.DataFrame({"sample_id": ["s0", "s1", "s2", "s3"], "cause": ["none", "none", "missed", "background"]})
    fig, table = robustness.failure_rates(found, answers)
    assert [label.get_text() for label in fig.axes[0].get_yticklabels()] == [
        *("well localised, n = 2", "any fault, n = 2", "object missed, n = 1", "mostly background, n = 1")
    ]
    assert table.set_index(["cause", "method"]).loc[("any fault", "both"), "wrong"] == 0.5


def test_the_example_has_the_most_boxes():
    boxes = {name: [tuple(map(float, box)) for box in own] for name, own in BOXES.items()}
    samples = [Sample(name, "?", ["x", "y"], "A", "drawn", lambda: picture(90, 70), own) for name, own in boxes.items()]
    spoilt, grown = robustness.examples(samples, [2.0])
    assert [len(panel.boxes) for panel in spoilt] == [2, 0, 0, 0, 0] and len(spoilt[0].truth) == 2
    assert [panel.title.splitlines()[0] for panel in spoilt[1:]] == [
        "true boxes",
        "all wrong",
        "all extra",
        "all missing:",
    ]
    assert spoilt[-1].picture is None and len(grown) == 2
    assert len(robustness.examples(samples, [])) == 1
