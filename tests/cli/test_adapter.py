"""HiDe behind prompts that other toolkits word: what is searched for, what is shown, what is said."""

import pytest
from checkpoints import tiny_model
from model_helpers import picture

from hide_utils import HiDe
from hide_utils.cli import adapter
from hide_utils.images import composite_on_white
from hide_utils.method import lpd

QUESTION = "What is the color of the bag?"
LMMS_VSTAR = f"{QUESTION}\nA. red\nB. blue\nAnswer with the option's letter from the given choices directly."
LMMS_HRBENCH = f"{QUESTION}\nA. red\nB. blue\nAnswer the option letter directly."
KIT = f"Question: {QUESTION}\nOptions:\nA. red\nB. blue\nPlease select the correct answer from the options above. \n"


@pytest.fixture
def prompted(monkeypatch):
    """The adapter on a tiny model, with HiDe unless told otherwise."""
    monkeypatch.setattr(adapter, "load_model", lambda *_, **__: tiny_model("qwen3_vl"))
    return lambda method="hide": adapter.Prompted(method=method, sigma=0.5)


@pytest.mark.parametrize(
    ("prompt", "found"),
    [
        (LMMS_VSTAR, QUESTION),
        (LMMS_HRBENCH, QUESTION),
        (KIT, QUESTION),
        (f"Hint: look twice.\n{KIT}", QUESTION),
        (f"Question: {QUESTION}\n", QUESTION),
        ("Describe the bag.", "Describe the bag."),
        ("Which?\nA. red\nC. blue", "Which?\nA. red\nC. blue"),  # letters that do not follow one another
    ],
)
def test_the_question_is_found_in_the_prompts_of_the_toolkits(prompt, found):
    assert adapter.question_of(prompt) == found


def test_the_pictures_and_a_compact_image_of_each_are_shown_under_the_prompt_word_for_word(prompted):
    """By hand: regions from a call of HiDe with the question alone, then one full pass."""
    pictures = [picture(130, 100, 3), picture(100, 130, 4)]
    model, one = tiny_model("qwen3_vl"), prompted()
    looked = HiDe(model, sigma=0.5)(pictures, QUESTION, ["red", "blue"]).looked
    second = [composite_on_white(lpd.compact_image(x.image, x.boxes)) for x in looked if x.boxes]
    assert second, "else nothing is shown"
    assert one.answer(KIT, pictures, 9) == model.generate(model.prompt(*pictures, *second, KIT.strip()), 9).text
    plain = model.generate(model.prompt(*pictures, KIT.strip()), 9).text
    assert prompted("direct").answer(KIT, pictures, 9) == plain and not +one.notes


def test_what_is_done_instead_is_counted(prompted, monkeypatch):
    one, model = prompted(), tiny_model("qwen3_vl")
    assert one.answer(KIT, [], 4) == model.generate(model.prompt(KIT.strip()), 4).text
    monkeypatch.setattr(lpd, "regions_of", lambda *_: [])
    assert one.answer(KIT, [picture(60, 60)], 4) == prompted("direct").answer(KIT, [picture(60, 60)], 4)
    assert +one.notes == {
        "no picture: answered directly": 1,
        "no box survived: answered from the original pictures alone": 1,
    }
    with pytest.raises(ValueError, match="unknown method 'zoom'; known: hide, direct"):
        prompted("zoom")
