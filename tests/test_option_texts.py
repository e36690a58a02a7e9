"""Options as data sets give them."""

from collections import OrderedDict

import numpy as np
import pandas as pd
import pytest
from checkpoints import tiny_model
from PIL import Image

from hide_utils import HiDe
from hide_utils.prompts import multiple_choice, option_texts
from hide_utils.samples import Sample
from hide_utils.scoring import parse_letter

RED_BLUE = [
    {"A": "red", "B": "blue"},
    OrderedDict(B="blue", A="red"),
    {"a": "red", "b": "blue", "c": None},
    {"(A)": "red", "(B)": "blue"},
    np.array(["red", "blue"], dtype=object),
    np.array(["red", "blue"]),
    pd.Series(["red", "blue"], index=[7, 3]),
    ("red", " blue "),
    ["red", "blue", None, float("nan")],
]


@pytest.mark.parametrize("options", RED_BLUE, ids=repr)
def test_the_texts_of_options_reach_the_prompt_the_reader_and_the_sample(options):
    assert "?\nA. red\nB. blue\n" in multiple_choice("Color?", options)
    assert parse_letter("B blue", options) == "B"
    sample = Sample("1", "Color?", ["any", "other"], "B", "any", lambda: Image.new("RGB", (1, 1)))
    sample.options = options
    sample.__post_init__()
    assert sample.answer == "blue"


@pytest.mark.parametrize(
    ("options", "texts"),
    [([1, 2.0, 2.5], ["1", "2", "2.5"]), (np.array([1, 2, 3]), ["1", "2", "3"]), ([True, False], ["True", "False"]),
     ([0, 1], ["0", "1"]), (["None", "NA", "nan"], ["None", "NA", "nan"]), ([], []),
     (pd.Series([1, None], dtype="Int64"), ["1"])],
)  # fmt: skip
def test_numbers_become_texts_and_texts_stay(options, texts):
    assert option_texts(options) == texts


@pytest.mark.parametrize(
    "options",
    ["red or blue", {"text": ["red"], "label": ["A"]}, {"A": "red", "C": "blue"}, {"red"}, ["red", "", "blue"],
     [["red"], ["blue"]], ["red", "\ud83d"], np.array([["red", "blue"]])],
    ids=repr,
)  # fmt: skip
def test_anything_else_is_refused_at_once(options):
    for take in (option_texts, lambda given: multiple_choice("Color?", given)):
        with pytest.raises(ValueError, match="want a (list of )?text|half a character"):
            take(options)


@pytest.mark.parametrize("options", [np.array(["red", "blue"], dtype=object), {"A": 1, "B": 2}, [1, 2]], ids=repr)
def test_the_method_takes_them_and_saves_its_result(options, tmp_path):
    result = HiDe(tiny_model("qwen3_vl"), layer=1)(Image.new("RGB", (64, 64)), "Which?", options, ["square"])
    assert result.options == option_texts(options) and result.save(tmp_path)


@pytest.mark.parametrize("change", [{"kind": "signs \ud83d"}, {"id": "\udc00"}, {"image_id": "\ud800.png"}])
def test_a_sample_whose_names_cannot_be_stored_is_refused(change):
    given = {
        "id": "1",
        "question": "Color?",
        "options": ["a", "b"],
        "label": "A",
        "kind": "any",
        "render": lambda: Image.new("RGB", (1, 1)),
    }
    with pytest.raises(ValueError, match="half a character"):
        Sample(**given | change)
