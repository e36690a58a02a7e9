"""A sample's prompt style reaches every prompt that is made of its question and options."""

import ast
from contextlib import contextmanager
from pathlib import Path

import pytest
from checkpoints import tiny_model
from model_helpers import picture

import hide_utils
from hide_utils import HiDe, evaluate
from hide_utils.analyses.explorer import ExplorerConfig
from hide_utils.baselines import METHODS, of_pictures, of_regions
from hide_utils.evaluation import tuning
from hide_utils.evaluation.side_by_side import side_by_side
from hide_utils.explorer.asking import ask_model
from hide_utils.explorer.case import Knobs, view_of
from hide_utils.explorer.opening import open_first, open_sample, open_typed
from hide_utils.explorer.sample_list import SampleList
from hide_utils.method import given_entities
from hide_utils.prompts import multiple_choice
from hide_utils.samples import Sample

QUESTION, OPTIONS = "What is the color of the dog?", ["red", "blue"]
SAMPLE = Sample(
    "s", QUESTION, OPTIONS, "A", "kind", lambda: picture(112, 112),
    boxes_xyxy=[(10.0, 10.0, 40.0, 50.0)], entities=["dog"], style="mme_realworld",
)  # fmt: skip
STYLED, USUAL = multiple_choice(QUESTION, OPTIONS, "mme_realworld"), multiple_choice(QUESTION, OPTIONS)


@pytest.fixture
def model():
    return tiny_model("qwen3_vl")


@contextmanager
def texts_of(model, monkeypatch):
    """Texts of the prompts that are made in the block."""
    seen, prompt = [], type(model).prompt

    def spy(self, *parts):
        seen.extend(part for part in parts if isinstance(part, str))
        return prompt(self, *parts)

    with monkeypatch.context() as patch:
        patch.setattr(type(model), "prompt", spy)
        yield seen


def explored(hide):
    listed, knobs = SampleList([SAMPLE]), Knobs(1, 0.5, 0.6)
    own = ExplorerConfig(sample="s", question=QUESTION, options=OPTIONS, entities=["dog"])
    shown = open_sample(hide, SAMPLE, given_entities(["dog"]))
    reworded = (f"{QUESTION} ", OPTIONS, "dog")  # no longer the sample's own question
    for case in (shown, open_first(hide, listed, own), open_typed(hide, shown, reworded)):
        ask_model(hide, case, knobs, view_of(case, knobs))


PLACES = {
    "methods": lambda hide, folder: evaluate(hide.model, [SAMPLE], list(METHODS), hide=hide, progress=False),
    "changed pictures": lambda hide, folder: of_pictures(lambda s, _: [s.image.rotate(90)])(
        hide, hide.open(SAMPLE.image), SAMPLE
    ),
    "other regions": lambda hide, folder: of_regions(lambda *_: [(0, 0, 28, 28)])(
        hide, hide.open(SAMPLE.image), SAMPLE
    ),
    "tuning": lambda hide, folder: tuning.last_rows(hide.model, [SAMPLE], progress=False),
    "timing": lambda hide, folder: side_by_side(hide.model, [SAMPLE]),
    "a call": lambda hide, folder: hide(SAMPLE.image, QUESTION, OPTIONS, ["dog"], style=SAMPLE.style),
    "explorer": lambda hide, folder: explored(hide),
}


@pytest.mark.parametrize("place", PLACES)
def test_every_prompt_has_the_samples_style(model, monkeypatch, tmp_path, place):
    with texts_of(model, monkeypatch) as texts:
        PLACES[place](HiDe(model, 1, 0.5, 0.6), tmp_path)
    asked = [text for text in texts if "red" in text and "blue" in text]
    assert asked and set(asked) == {STYLED}


def test_a_call_without_a_style_has_the_papers_words(model, monkeypatch):
    with texts_of(model, monkeypatch) as texts:
        result = HiDe(model, 1, 0.5, 0.6)(SAMPLE.image, QUESTION, OPTIONS, ["dog"])
    assert result.letter == result.letter and {text for text in texts if "red" in text} == {USUAL}
    with pytest.raises(ValueError, match="unknown prompt style 'mme'"):
        HiDe(model)(SAMPLE.image, QUESTION, OPTIONS, style="mme")


def test_no_code_asks_a_samples_options_without_its_style():
    """Wherever question and options of a sample or case go into a call that asks, so does its style."""
    asking, bare = {"multiple_choice", "answer", "answer_from", "run"}, []
    for path in Path(hide_utils.__file__).parent.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call) or getattr(call.func, "attr", getattr(call.func, "id", "")) not in asking:
                continue
            named = {node.attr for node in ast.walk(call) if isinstance(node, ast.Attribute)}
            names = {node.id for node in ast.walk(call) if isinstance(node, ast.Name)}
            if {"question", "options"} <= named and not {"style"} & (named | names):
                bare.append(f"{path.name}:{call.lineno}")
    assert not bare
