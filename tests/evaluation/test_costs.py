"""A row is charged as if its method had run alone: whatever ran before it on the picture, in whatever order."""

import itertools
import time

import pytest
from checkpoints import tiny_model
from model_helpers import picture

from hide_utils import HiDe, evaluate
from hide_utils.baselines import METHODS
from hide_utils.baselines.methods import with_hide
from hide_utils.evaluation import entity_variants
from hide_utils.evaluation.token_selection import Rule, question_itself, reading
from hide_utils.models import Settings
from hide_utils.samples import Sample

COUNTS = ["calls", "image_tokens", "text_tokens", "decoded", "flops"]
SAMPLES = [
    Sample(
        f"s{i}", f"What is the color of the {noun}?", ["red", "blue"], "A", "kind", lambda i=i: picture(168, 112, i),
        boxes_xyxy=[(10.0, 10.0, 60.0, 80.0)], entities=[noun], image_id="one" if i else "",
    )
    for i, noun in enumerate(["dog", "truck", "truck"])
]  # fmt: skip
# Methods of analyses, which share steps of the same names: a search at another layer, for given entities, of other
# tokens.
OTHERS = {
    "other layer": lambda *a: with_hide(*a, settings=Settings(3, 1.0, 0.5)),
    "given": entity_variants.hide_with(lambda sample: ["dog", "large blue truck", "scooter"]),
    "question": reading(Rule(None, 0.0, 0.5), question_itself),
    "listed": reading(
        Rule(None, 0.0, 0.5), lambda hide, session, sample: hide.locate(session, sample.question).entities, ("extract",)
    ),
}
EVERY = METHODS | OTHERS


@pytest.fixture
def clock(monkeypatch):
    """Time that passes by being looked at, so that seconds depend on what is run alone."""
    ticks = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))


def method(kind=HiDe):
    """A tiny method. The seconds of a batch of questions are shared, so that each is listed by itself here."""
    hide = kind(tiny_model("qwen3_vl"), 1, 1.0, 0.6)
    hide.extractor.batch, hide.extractor.max_new_tokens = 1, 4
    hide.extractor("?")  # its unchanging part is run with the first question, and charged to none
    return hide


def rows(hide, names, samples=SAMPLES):
    """Counts, seconds and entities of each sample and method."""
    table = evaluate(hide.model, samples, {name: EVERY[name] for name in names}, hide=hide, progress=False)
    assert table["error"].isna().all()
    table["entities"] = table["entities"].fillna("")
    return table.set_index(["sample_id", "method"])[[*COUNTS, "seconds", "entities"]].T.to_dict("list")


def test_costs_do_not_depend_on_the_order_of_methods(clock):
    hide = method()
    of_one_picture = SAMPLES[1:]
    alone = {key: row for name in EVERY for key, row in rows(hide, [name], of_one_picture).items()}
    for order in (list(EVERY), list(EVERY)[::-1]):
        assert rows(hide, order, of_one_picture) == alone


@pytest.mark.parametrize("between", OTHERS)
def test_a_localisation_that_is_taken_over_is_charged_as_it_was(clock, between):
    hide = method()
    alone = {key: row for name in ("hide", "random") for key, row in rows(hide, [name]).items()}
    found = rows(hide, ["hide", between, "random"])
    assert {key: row for key, row in found.items() if key[1] != between} == alone


def test_a_search_is_charged_at_its_own_layer(clock):
    """The next method takes HiDe's localisation over, after another one searched at a later layer."""
    hide = method()
    found = rows(hide, ["hide", "other layer", "random"])
    assert found["s0", "random"] == rows(hide, ["random"])["s0", "random"]
    assert found["s0", "hide"][COUNTS.index("flops")] < found["s0", "other layer"][COUNTS.index("flops")]


def test_where_no_box_survives_no_ones_compact_image_is_charged(clock):
    class Nothing(HiDe):
        """A method whose maps hold nothing."""

        def locate(self, session, *args, **kwargs):
            located = super().locate(session, *args, **kwargs)
            located.regions.clear()
            return located

    hide = method(Nothing)
    assert rows(hide, ["oracle", "hide"])["s0", "hide"] == rows(hide, ["hide"])["s0", "hide"]


def test_the_second_picture_is_charged_to_whoever_makes_one():
    hide = method()
    for name in ("hide", "oracle", "random"):
        session = hide.open(SAMPLES[0].image)
        outcome = METHODS[name](hide, session, SAMPLES[0])
        assert outcome.regions and set(session.costs) == set(outcome.steps)
