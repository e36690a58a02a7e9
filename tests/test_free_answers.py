"""Questions without options: their samples, how replies are scored, and strings that fool a scorer."""

import math

import numpy as np
import pytest
from PIL import Image

from hide_utils.prompts import FREE_STYLES, STYLES, multiple_choice
from hide_utils.samples import SCORERS, Sample
from hide_utils.scoring import check_answers, is_right


def _all(answers):
    return answers if isinstance(answers, list) else [answers]


def blank():
    return Image.new("RGB", (8, 8))


def free(answers="red", scorer="normalised", **more):
    return Sample("s", "What?", [], "", "kind", blank, answers=_all(answers), scorer=scorer, **more)


# Scorer, accepted answer, replies that are right, replies that are not; worked by hand.
CASES = [
    (
        "exact", "Toyota",
        ["Toyota", " Toyota\n", "**Toyota**", "Answer: Toyota", "<think>A Honda?</think>Toyota", "# Toyota",
         "\\boxed{\\text{Toyota}}", "It says <answer>Toyota</answer>", "The final answer is: `Toyota`"],
        ["toyota", "Toyota.", "a Toyota", "", "<think>Toyota", "Toyota or Honda"],
    ),
    ("exact", "C#", ["C#", "`C#`"], ["C", "C++"]),
    ("exact", "$5", ["$5"], ["5", "$5-$6"]),
    ("exact", "file_name", ["file_name", "__file_name__"], ["filename"]),
    (
        "normalised", "the red car",
        ["A red car.", "Red Car", "**Answer:** the red car!", "“red car”", "*red car*", "red_car"],
        ["red", "not the red car", "red car?", "red cars", "<think>red car", "a red car or a blue one"],
    ),
    ("normalised", "1,024", ["1024", "1,024."], ["1 024", "1.024", "10,24", "11,024"]),
    ("normalised", "3.5", ["3.5", "$3.5$"], ["35", "3 5", "3,5", "-3.5"]),
    ("normalised", "12", ["12"], ["twelve", "1 2"]),
    ("normalised", "no", ["No.", "the answer is no", "ＮＯ"], ["not", "none", "no one", "Answer: no\nAnswer: yes"]),
    ("normalised", "12:30", ["12:30"], ["1230"]),
    ("normalised", "C++", ["c++"], ["C", "C#"]),
    ("normalised", "A", ["a", "A."], ["an", "the A team"]),
    ("normalised", "don't walk", ["DON’T WALK"], ["do not walk"]),
    (
        "contains", "no", ["No, it is not.", "The answer: no"],
        ["not", "nothing", "I know", "no-one", "Is it a no?", "<think>no</think>yes"],
    ),
    (
        "contains", "red", ["It is not blue but red.", "The car is **red**.", "The sign: Red"],
        ["not red", "It isn't red", "a colored car", "red-haired", "Is it red?", "There is no red car", "whether red",
         "red is wrong", "without red", "<answer>blue</answer> not red"],
    ),
    ("contains", "3", ["There are 3 cars.", "3"], ["13", "3.5", "1,3", "-3", "3D", "33"]),
    ("contains", "hot dog stand", ["a hot-dog stand here", "the hot dog   stand"], ["hot dogs stand", "hot dog"]),
    ("contains", "C++", ["It uses C++."], ["It uses C", "C+", "C#"]),
    ("contains", "1,024", ["about 1024 px", "1,024"], ["11,024", "1,0245"]),
    (
        "number", "3",
        ["3", "There are 3 cars.", "3.0", "three", "There are three cars.", "The answer is 3, since 1 + 2 = 3", "**3**",
         "\\boxed{3}", "$3$", "3km", "Final answer: three", "I see only three, 3!"],
        ["13", "3.5", "-3", "3 or 4", "3 of 13", "3/4", "3-4", "A3", "3D", "the 3rd floor", "not 3", "3,5", "is it 3?",
         "The answer is not 3", "<answer>3</answer> or <answer>4</answer>", "thirty", "3 million", "three hundred", "",
         "none", "If it were 3", "nan", "three or four",
         "The answer is 3 or 4", "answer: three to four", "The answer is 3 million"],
    ),
    ("number", "1,024", ["1,024", "1024", "1024.0", "1024 px"], ["1 024", "1.024", "10,24", "1024.1", "11,024"]),
    ("number", "12", ["twelve", "Twelve.", "12 birds"], ["twelve hundred", "twenty", "12,000 million"]),
    ("number", "twenty-one", ["21", "Twenty one"], ["twenty", "one"]),
    ("number", "1", ["one"], ["No one is there", "one of the signs", "the left one"]),
    ("number", "-5", ["-5", "−5 °C"], ["5", "3-5"]),
    ("number", ".55", ["0.55"], ["55"]),
]  # fmt: skip


@pytest.mark.parametrize(("scorer", "answer", "right", "wrong"), CASES, ids=lambda one: str(one)[:20])
def test_what_a_scorer_takes_for_right(scorer, answer, right, wrong):
    asked = free(answer, scorer)
    check_answers(asked)
    assert [reply for reply in right if not is_right(reply, asked)] == []
    assert [reply for reply in wrong if is_right(reply, asked)] == []


def test_several_answers_and_a_tolerance():
    assert is_right("taxi", free(["cab", "taxi"])) and not is_right("cab taxi", free(["cab", "taxi"]))
    near = free(["0.2", 7], "number", tolerance=0.1)
    assert [is_right(reply, near) for reply in ("0.3", "0.31", "0.1", "6.9", "7.2")] == [True, False, True, True, False]
    assert {scorer for scorer, *_ in CASES} == set(SCORERS)


def test_a_function_of_ones_own_gets_the_reply_as_it_is_and_says_true_or_false():
    seen = []
    asked = free("red", lambda reply, sample: seen.append((reply, sample.answers)) or reply.endswith("!"))
    assert is_right("<think>a</think> **red**!", asked) and not is_right("red", asked)
    assert seen[0] == ("<think>a</think> **red**!", ["red"])
    assert is_right("red", free("red", lambda *_: np.True_))
    with pytest.raises(TypeError, match="returned None, want True or False"):
        is_right("red", free("red", lambda *_: None))
    with pytest.raises(TypeError):
        is_right(None, free())


@pytest.mark.parametrize("gap", [None, math.nan, "", " ", [], ["red", None], ["red", math.nan], np.float64("nan")])
def test_missing_answers_are_refused(gap):
    with pytest.raises(ValueError, match="sample s: .*(empty or NaN|no options, no answers); give options with"):
        free(gap)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"scorer": "contians"},
            "unknown scorer 'contians'; known: exact, normalised, contains, number, or a function",
        ),
        ({"tolerance": 1}, "a tolerance is for scorer 'number', not 'normalised'"),
        ({"scorer": "number", "tolerance": math.nan}, "tolerance nan must be a number >= 0"),
        ({"scorer": "number", "tolerance": -1.0}, "tolerance -1.0 must be"),
        ({"answers": [True]}, "True is no text: write what the reply should say, 'yes' or 'no' perhaps"),
        ({"answers": [{"a": 1}]}, "answers: want a text, not"),
        ({"label": "A"}, "label 'A', but no options"),
        ({"options": ["red", "blue"], "label": "A"}, "has options, whose letters a protocol reads: leave out answers"),
        ({"options": ["red", "blue"], "label": "A", "answers": [], "scorer": "exact"}, "leave out answers, scorer and"),
    ],
)
def test_samples_that_mean_nothing_are_refused(change, said):
    fixed = {"id": "s", "question": "What?", "options": [], "label": "", "kind": "k"}
    with pytest.raises(ValueError, match=f"sample s.*{said}"):
        Sample(**fixed | {"answers": ["red"], "render": lambda: None} | change)


def test_answers_that_no_reply_can_give_are_refused():
    for answers, scorer in ((["3", "three or four"], "number"), (["a dog"], "number"), ([".,"], "normalised")):
        with pytest.raises(ValueError, match="sample s: .*(needs one number in each answer|no word is left)"):
            check_answers(free(answers, scorer))
    check_answers(free(".,", "exact"))
    check_answers(free(".,", lambda reply, sample: True))


def test_a_sample_shows_what_is_accepted():
    asked = free(["<b>3</b>", 4], "number", tolerance=0.5)
    assert asked.answer == "<b>3</b>" and asked.options == [] and asked.label == ""
    assert str(asked).splitlines()[1:] == [
        "What?", "  <b>3</b>  (accepted: number, within 0.5)", "  4  (accepted: number, within 0.5)"
    ]  # fmt: skip
    shown = free(["<b>3</b>"], is_right)._repr_html_()
    assert "<ul><li>&lt;b&gt;3&lt;/b&gt;</li></ul>" in shown and "accepted (is_right)" in shown
    assert [asked.said(None, text) for text in (" 3 \n", "", None, math.nan)] == ["3", *["no reply"] * 3]
    lettered = Sample("l", "What?", ["red", "red"], "B", "k", blank)
    assert lettered.said(None, "red") == lettered.said(math.nan, "red") == "no letter" and lettered.said("B", "") == "B"
    assert lettered.truth == ["A. red", "B. red  (right)"] and lettered._repr_html_().count("<b>") == 1


def test_prompts_of_questions_without_options():
    alone, short = (multiple_choice(" What? ", None, style) for style in ("question", "short"))
    assert (alone, short) == ("What?", "What?\nAnswer the question using a single word or phrase.")
    assert [multiple_choice("What?", [], style) for style in STYLES] == ["What?"] * len(STYLES)
    for style in FREE_STYLES:
        with pytest.raises(ValueError, match=f"'{style}' is for questions without options; with them: letters"):
            multiple_choice("What?", ["red", "blue"], style)
