"""Variants of the compact image answer from what their names say, and every claim finds its two variants."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from checkpoints import tiny_model
from model_helpers import picture, search_rows

from hide_utils import HiDe, evaluate, paths, plots
from hide_utils.analyses import layouts as variants
from hide_utils.baselines import METHODS
from hide_utils.edits import layouts
from hide_utils.evaluation.calibration import sweep_settings
from hide_utils.findings import MARGINS
from hide_utils.images import composite_on_white
from hide_utils.samples import Sample

SIZE = (192, 160)
TWO = [(10, 40, 20, 45), (50, 5, 70, 25)]  # the second lies above and to the right of the first


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def sample(name="s0", boxes=TWO, kind="relative_position"):
    boxes = [tuple(float(v) for v in box) for box in boxes]
    return Sample(name, "What is red?", ["star", "dog"], "A", kind, lambda: picture(*SIZE), boxes, entities=["star"])


def answered(**right):
    """Answers of two kinds of question, a sample each, by method: whether each is right."""
    kinds = ["direct_attributes", "relative_position"]
    rows = [(f"s{i}", m, kinds[i % 2], bool(r), 2) for m, rights in right.items() for i, r in enumerate(rights)]
    table = pd.DataFrame(rows, columns=["sample_id", "method", "kind", "correct", "n_options"])
    return table.astype({"correct": "boolean"}).replace({"method": {"sequential": "true sequential_tiling"}})


def test_every_claim_names_two_variants_that_are_answered():
    methods = variants.layout_methods(tiny_model("qwen3_vl"))
    for claim, words in variants.CLAIMS["answers"].items():
        assert {words["method"], words["against"]} <= set(methods) and words["method"] != words["against"], claim
        assert words["statement"].endswith(".") and bool(words["paper"]) == ("source" in words), claim
    assert {words["unit"] for words in variants.CLAIMS["maps"].values()} <= set(MARGINS)
    assert methods["oracle"] is METHODS["oracle"] and methods["hide"] is METHODS["hide"]


def test_a_family_without_a_budget_lacks_what_is_not_enlarged_and_its_claims():
    lacking = set(variants.layout_methods(tiny_model("qwen3_vl"))) - set(
        variants.layout_methods(tiny_model("internvl"))
    )
    assert lacking == {"true native_size", "hide native_size"}
    answers = answered(oracle=[1, 1], sequential=[1, 0])
    cards = variants.decided(answers, variants.CLAIMS["answers"], tiny_model("qwen3_vl"))[0]
    assert [card.claim for card in cards] == ["sequential tiling"] and cards[0].estimate == 50


def test_variants_answer_from_the_pictures_that_their_names_say():
    model = tiny_model("qwen3_vl")
    hide, one = HiDe(model, None, 1.0, 0.6), sample()
    methods = variants.layout_methods(model)
    table = evaluate(model, [one], methods, hide=hide, progress=False).set_index("method")
    session, budget = hide.open(one.image), layouts.model_budget(model)
    found = {"true": TWO, "hide": hide.locate(session, one.question).regions}
    for name in set(methods) - {"direct", "hide", "oracle"}:
        boxes, layout, *alone = name.split()
        make = layouts.LAYOUTS.get(layout) or (lambda image, regions: layouts.native_size(budget, image, regions))
        shown = composite_on_white(make(session.image, found[boxes]))
        reply = session.answer_from([*([] if alone else [session.image]), shown], one.question, one.options)
        assert table.loc[name, "reply"] == reply.text, name
        assert np.reshape(table.loc[name, "regions"], (-1, 4)).tolist() == [list(box) for box in found[boxes]], name


def test_without_boxes_the_direct_answer_is_given_and_said_so(monkeypatch):
    model = tiny_model("qwen3_vl")
    alone = variants.layout_methods(model)["true spatial_aggregate alone"]
    hide, none = HiDe(model), sample(boxes=[])
    outcome = alone(hide, hide.open(none.image), none)
    assert outcome.fallback == "no box survived" and "direct" in outcome.steps


def test_the_forest_has_a_grey_line_for_each_kind_under_each_card():
    answers = answered(oracle=[1] * 8, sequential=[1, 0] * 4)
    model = tiny_model("qwen3_vl")
    _, fig = variants.decided(answers, ["sequential tiling"], model)
    names = fig.axes[0].get_yticklabels()
    assert [name.get_text() for name in names] == ["sequential tiling", "direct attributes", "relative position"]
    assert [name.get_color() == "0.5" for name in names] == [False, True, True]
    assert [bar[0].get_xdata()[0] for bar in fig.axes[0].containers] == [50, 0, 100]
    one_kind = answers[answers["kind"] == "relative_position"]
    _, fig = variants.decided(one_kind, ["sequential tiling"], model)
    assert len(fig.axes[0].containers) == 1
    assert variants.decided(answers, ["random tiling"], model) == ([], None)


def test_what_is_not_enlarged_has_a_line_for_the_samples_that_would_be():
    model = tiny_model("qwen3_vl")
    small, large = [0, 0, 9, 9], [0, 0, 4000, 4000]
    answers = answered(oracle=[1] * 4, native=[1, 0] * 2).replace({"method": {"native": "true native_size"}})
    answers["regions"] = [small, large, None, large] * 2
    _, fig = variants.decided(answers, ["native size, true boxes"], model)
    names = [name.get_text() for name in fig.axes[0].get_yticklabels()]
    assert names == ["native size, true boxes", "direct attributes", "relative position", "where LPD is enlarged"]
    assert [bar[0].get_xdata()[0] for bar in fig.axes[0].containers] == [-50, 0, -100, 0]


def test_the_typical_sample_has_two_boxes_and_the_median_area():
    samples = [sample(f"s{i}", TWO if i else TWO[:1]) for i in range(4)]
    areas = pd.DataFrame({"sample_id": ["s0", "s1", "s2", "s3"], "method": "hide", "area": [0.2, 0.9, 0.1, 0.3]})
    assert variants.typical(areas, samples).id == "s3"
    assert variants.typical(areas, samples[:1]).id == "s0"


def test_what_the_model_is_shown_stands_in_two_lines():
    lines = variants.examples(HiDe(tiny_model("qwen3_vl"), None, 1.0, 0.3), sample())
    assert [line[0].title for line in lines] == ["true boxes", "HiDe's boxes"] and len(lines[0]) == 6
    assert lines[0][1].title == "LPD\n30 × 25" and len(lines[0][0].boxes) == len(lines[0][0].truth) == 2
    assert plots.gallery(lines).axes


def test_layouts_alone_stand_beside_the_published_ones():
    tables = {f"true {name} alone": [1, 1, 1, 0] for name in variants.OF_PAPER}
    ax = variants.accuracy_alone(answered(**tables)).axes[0]
    said = ax.get_legend_handles_labels()[1]
    assert "relative position, n = 2" in said and sum("published" in label for label in said) == 2
    assert [text.get_text() for text in ax.get_yticklabels()][0] == "LPD"


def test_lpd_keeps_the_order_and_a_region_without_pixels_counts_nowhere():
    rows = pd.DataFrame({"method": ["oracle", "hide"], "regions": [np.ravel(TWO).tolist(), None]})
    assert variants.order_holds(rows)


def test_cards_of_maps_compare_the_choice_with_what_is_published(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RESULTS", tmp_path)
    hide, samples = HiDe(tiny_model("qwen3_vl"), 1), [sample(f"s{i}") for i in range(3)]
    cfg = variants.LayoutsConfig(sigmas=[0, 1, 2], alphas=[0.4, 0.6, 0.8])
    means = variants.calibrated(hide, samples, cfg)
    assert {0, 1, 2, 3} <= set(means["sigma"]) and means["worth"].is_monotonic_decreasing
    recall, iou = variants.map_cards(hide, samples, cfg, means)
    assert (recall.unit, iou.unit, recall.n) == ("recall", "IoU", 3)
    published = means.assign(sigma=[3.0, *means["sigma"][1:]], alpha=[0.7, *means["alpha"][1:]])
    same, _ = variants.map_cards(hide, samples, cfg, published)
    assert same.estimate == 0 == same.low == same.high
    direct = sweep_settings(search_rows(hide.model, samples, [1]), samples, [SIZE] * 3, [1.0], [0.6])
    stored = variants._swept(hide, samples, cfg, [1.0], [0.6]).query("sigma == 1 and alpha == 0.6")
    assert stored[["sample_id", "layer"]].to_numpy().tolist() == direct[["sample_id", "layer"]].to_numpy().tolist()
    assert np.allclose(stored[["recall50", "iou", "area"]], direct[["recall50", "iou", "area"]], atol=1e-5)
