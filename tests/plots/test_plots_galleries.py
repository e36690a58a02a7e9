"""Galleries show the pictures, boxes and words that they are given."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from model_helpers import picture

from hide_utils import plots
from hide_utils.baselines import LOOKS
from hide_utils.evaluation import failures
from hide_utils.samples import Sample


@pytest.fixture(autouse=True)
def style():
    plots.set_style()
    yield
    plt.close("all")


def sample(name):
    box = (10.0, 10.0, 30.0, 30.0)
    return Sample(name, "What is red?", ["star", "dog"], "A", "drawn", lambda: picture(900, 600), [box])


def test_panels_are_shown_small_with_their_boxes_to_scale():
    regions = [(100, 50, 150, 90), (400, 300, 480, 350)]
    fig = plots.gallery([[plots.Panel(picture(900, 600), "picture", regions)], [plots.Panel(title="none")]])
    first, empty = fig.axes
    assert first.get_title() == "picture" and len(first.patches) == 2 and not empty.images
    assert max(first.images[0].get_array().shape) <= plots.PANEL_PIXELS
    x0, y0 = first.patches[0].get_xy()
    scale = plots.PANEL_PIXELS / 900
    assert (x0 + 0.5, y0 + 0.5) == pytest.approx((100 * scale, 50 * scale))


def test_failures_are_shown_by_cause():
    samples = [sample(name) for name in "abcd"]
    regions = [(5, 5, 40, 40)]
    found = pd.DataFrame(
        {
            "sample_id": list("abcd"),
            "cause": ["missed", "none", "missed", "none"],
            "correct": [False, False, False, True],
            "regions": [[], regions, regions, regions],
        }
    )
    answers = pd.DataFrame({"sample_id": list("abcd"), "method": "hide", "letter": ["B", None, "B", "A"]})
    titles = {"missed": "missed", "background": "background", "none": "well localised"}
    fig = plots.gallery(failures.panels(found, samples, answers, titles, most=2))
    panels = np.array(fig.axes).reshape(2, 4)
    assert [bool(panel.images) for panel in panels[0]] == [True, False, True, True]
    assert [bool(panel.images) for panel in panels[1]] == [True, True, False, False]
    assert panels[0, 0].get_title(loc="left").startswith("missed\n")
    assert panels[1, 1].get_title() == "said no letter, right: A\n(star)"
    none = plots.gallery(failures.panels(found.assign(correct=True), samples, answers, titles))
    assert none.axes[0].get_title() == "no sample was answered wrong"


def test_cases_that_one_method_alone_got_right():
    samples = [sample(name) for name in "abc"]
    right = {"direct": [True, False, True], "hide": [False, True, True]}
    rows = [
        (
            s.id,
            method,
            right[method][i],
            "A" if right[method][i] else None,
            None if method == "direct" else [5, 5, 40, 40],
        )
        for i, s in enumerate(samples)
        for method in right
    ]
    results = pd.DataFrame(rows, columns=["sample_id", "method", "correct", "letter", "regions"])
    fig = plots.case_gallery(results, samples, baseline="direct", method="hide", looks=LOOKS)
    panels = np.array(fig.axes).reshape(2, 3)
    assert [bool(panel.images) for panel in panels.flat] == [True, False, False] * 2
    assert panels[0, 0].get_title() == "What is red?\ndirect: no letter · HiDe: A · truth: A (star)"
    assert [patch.get_linestyle() for patch in panels[0, 0].patches] == ["-", "--"]
    assert panels[0, 0].images[0].get_array().shape == (600, 900, 3), "at its own resolution"
    none = plots.case_gallery(results.assign(correct=True), samples, baseline="direct", method="hide", looks=LOOKS)
    assert none.axes[0].get_title() == "none that only HiDe got right"


@pytest.mark.parametrize(("n_tokens", "shown"), [(0, 0), (1, 1), (3, 3), (11, 8)])
def test_stages_show_every_step_and_say_what_is_left_out(n_tokens, shown):
    image, maps = picture(90, 60), np.zeros((n_tokens, 6, 9), np.float32)
    answers = {"direct": (None, None), "HiDe": ("B", "B")}
    said = {
        "question": "What costs $5?",
        "options": ["star", "dog"],
        "answers": answers,
        "details": ["mini", None, "x"],
    }
    fig = plots.stages(image, [(1, 2, 30, 40)], ["t"] * n_tokens, maps, image.convert("RGBA"), **said)
    titles = [ax.get_title() for ax in fig.axes if ax.get_title()]
    assert len(titles) == shown + 2 and {"regions", "compact, 90 × 60 px"} < {*titles, ""}
    assert any("(+3 more)" in title for title in titles) == (n_tokens > shown)
    assert fig.get_suptitle() == "What costs \\$5?\nHiDe: B (dog)" and fig.get_supxlabel() == "mini · x"
    none = plots.stages(image, [], [], maps[:0], None, **said)
    assert [text.get_text() for ax in none.axes for text in ax.texts] == ["no region"]


def test_a_case_needs_answers_of_both_methods():
    """An error is no wrong answer that the other method could be better than."""
    rows = [("a", "direct", None, "no memory"), ("a", "hide", True, None), ("b", "direct", False, None)]
    table = pd.DataFrame([*rows, ("b", "hide", True, None)], columns=["sample_id", "method", "correct", "error"])
    table = table.assign(letter="A", regions=None)
    shown = picture(84, 84)
    cases = [
        Sample("a", "question a", ["x", "y"], "A", "k", lambda: shown),
        Sample("b", "question b", [], "", "k", lambda: shown, answers=["Toyota"]),
    ]
    table = table.assign(reply=table["method"] + " says")
    for correct in (table["correct"].astype("boolean"), table["correct"].eq(True)):
        fig = plots.case_gallery(table.assign(correct=correct), cases, baseline="direct", method="hide")
        titles = " ".join(ax.get_title() for ax in fig.axes)
        assert "question b" in titles and "question a" not in titles
        assert "direct: direct says · hide: hide says · truth: Toyota" in titles
        plt.close(fig)


def test_a_question_stands_beside_its_picture_with_options_and_answers():
    image = picture(80, 60)
    fig = plots.question(image, "What is $red$?", ["the sky", "a dog"], [(1, 2, 30, 40)], "B", "the sky")
    (text,) = (text.get_text() for text in fig.axes[1].texts)
    assert "A. the sky\nB. a dog" in text and "the model alone: B" in text and "right: the sky" in text
    assert len(fig.axes[0].patches) == 1
    unknown = plots.question(image, "What?", None, [], "a dog", "")
    assert "not known" in unknown.axes[1].texts[0].get_text() and "A." not in unknown.axes[1].texts[0].get_text()


def test_a_compact_image_stands_beside_its_picture():
    image = picture(80, 60)
    fig = plots.picture_and_compact(image, [(1, 2, 30, 40)], [(3, 4, 9, 9)], image.crop((0, 0, 20, 10)))
    assert len(fig.axes[0].patches) == 2 and "20 × 10" in fig.axes[1].get_title()
    assert plots.picture_and_compact(image, [], [], None).axes[1].texts[0].get_text() == "no region"
