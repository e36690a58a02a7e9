"""The explorer on a question without options: replies with a verdict, and the accepted answers as the truth."""

import pandas as pd
from checkpoints import tiny_model
from model_helpers import picture

from hide_utils import HiDe
from hide_utils.explorer.asking import ask_model
from hide_utils.explorer.case import Knobs, view_of
from hide_utils.explorer.opening import open_sample
from hide_utils.explorer.said import answers_html
from hide_utils.explorer.sample_list import SampleList
from hide_utils.method import given_entities
from hide_utils.samples import Sample


def test_a_question_without_options_has_replies_a_verdict_and_its_accepted_answers():
    hide, knobs = HiDe(tiny_model("qwen3_vl"), 1, 0.5, 0.6), Knobs(1, 0.5, 0.6)
    given = {"answers": ["3", "three"], "scorer": lambda reply, sample: reply == "three <b>"}
    sample = Sample("f", "How many?", [], "", "count", lambda: picture(112, 112), **given)
    rows = pd.DataFrame(
        {"sample_id": ["f", "f"], "method": ["direct", "hide"], "letter": None, "reply": ["three <b>", "13"],
         "correct": [True, False], "error": None}
    )  # fmt: skip
    listed = SampleList([sample], rows)
    assert listed.right("f") == {"direct": True, "hide": False}
    assert listed.letters("f") == {"direct": "three <b>", "hide": "13"}
    case = open_sample(hide, sample, given_entities(["dog"]))
    assert case.options is None and case.label is None
    before = answers_html(case, knobs, listed.letters("f"))
    assert "(evaluation: three &lt;b&gt; ✓ right)" in before and "(evaluation: 13 ✗ wrong)" in before
    assert "<b>truth</b>: 3 / three" in before
    ask_model(hide, case, knobs, view_of(case, knobs))
    said = case.answers[None]
    assert said.letter is None and said.probabilities == {} and said.text
    assert answers_html(case, knobs, {}).count("✗ wrong") == 2
