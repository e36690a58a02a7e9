"""The example of notebook 00 and README is the one that the stated rule chooses, and prints what is said."""

import pandas as pd
import pytest
from checkpoints import tiny_model

from hide_utils import HiDe, load_benchmark, paths
from hide_utils.analyses.quickstart import EXAMPLE, cause, example_table, examples, hero_and_failure
from hide_utils.evaluation.saving import read_table
from hide_utils.samples import Sample

BOXES = [(10, 10, 20, 20), (50, 50, 60, 60)]
INSIDE = [10.0, 10.0, 20.0, 20.0, 48.0, 48.0, 64.0, 60.0]


def sample(number, boxes=BOXES):
    return Sample(f"s{number}", "?", ["a", "b"], "A", "k", render=lambda: None, boxes_xyxy=boxes)


def rows(*answers):
    """Rows of "direct" and "hide" from (direct is right, HiDe is right, regions) of each sample."""
    both = [
        {"sample_id": f"s{number}", "method": method, "correct": right, "regions": found}
        for number, (direct, hide, regions) in enumerate(answers)
        for method, right, found in (("direct", direct, None), ("hide", hide, regions))
    ]
    return pd.DataFrame(both).astype({"correct": "boolean"})


@pytest.mark.parametrize(
    "answer",
    [
        (True, True, INSIDE),
        (False, False, INSIDE),
        (pd.NA, True, INSIDE),
        (False, pd.NA, INSIDE),
        (False, True, INSIDE[:4]),
        (False, True, [*INSIDE[:4], 50.0, 50.0, 58.0, 60.0]),
        (False, True, None),
    ],
    ids=[
        "direct right",
        "HiDe wrong",
        "no direct answer",
        "no answer",
        "one box",
        "four fifths of a box",
        "no regions",
    ],
)
def test_no_example(answer):
    assert examples(rows(answer, (False, True, INSIDE)), [sample(0), sample(1)]) == [1]


def test_without_true_boxes_answers_decide():
    assert examples(rows((False, True, None)), [sample(0, boxes=[])]) == [0]


def test_the_table_holds_what_the_code_prints(capsys):
    samples = load_benchmark("scenes", split="calibration", n=3)
    code = EXAMPLE.format(n=2, index=1)
    exec(code, names := {})
    (row,) = example_table([1], samples, names["result"]).to_dict("records")
    assert row["printed"] == capsys.readouterr().out.strip()
    assert row["code"] == code and row["share"] == pytest.approx(1 / 3)


def test_the_committed_example_is_answered_rightly(capsys):
    chosen = read_table(paths.FIGURES / "00_quickstart" / "example.csv").iloc[0]
    names = {}
    exec(chosen["code"], names)
    assert chosen["printed"] == capsys.readouterr().out.strip()
    result, asked = names["result"], names["sample"]
    assert asked.id == chosen["sample_id"] and result.direct_letter != asked.label == result.letter
    assert chosen["examples"] >= 1 and chosen["share"] == pytest.approx(chosen["examples"] / chosen["n"])


def drawn(number):
    from PIL import Image

    image = Image.new("RGB", (100, 100))
    return Sample(f"s{number}", "?", ["a", "b"], "A", "k", render=lambda: image, boxes_xyxy=BOXES)


def test_the_hero_and_the_failure_are_the_first_that_fulfil_their_rules():
    table, samples = rows((True, True, None), (True, False, None), (False, True, INSIDE)), [drawn(i) for i in range(3)]
    hero, failure = hero_and_failure(table, samples)
    assert (hero.name, hero.answer, hero.boxes) == ("s2", "a", BOXES) and "HiDe right" in hero.rule
    assert failure.name == "s1" and "wrongly" in failure.rule


def test_without_an_example_or_a_failure_it_is_said():
    hero, failure = hero_and_failure(rows((True, True, None), (pd.NA, pd.NA, None)), [drawn(0), drawn(1)])
    assert hero.name == "s0" and "no sample fulfils" in hero.rule and failure is None


def test_the_cause_of_a_failure_is_named_and_defined():
    model = tiny_model("qwen3_vl")
    result = HiDe(model, 1, 1.0, 0.5).run(HiDe(model).open(drawn(0).image), "Where is the dog?", ["a", "b"])
    result.boxes = []
    assert cause(result, hero_and_failure(rows((False, True, INSIDE)), [drawn(0)])[0], model).startswith("missed (less")
