"""Samples with several pictures: rows, measures and files of theirs."""

import json

import numpy as np
import pytest
from checkpoints import tiny_model
from model_helpers import picture

from hide_utils import HiDe, evaluate, load_benchmark
from hide_utils.baselines import METHODS
from hide_utils.benchmarks.card import data_card
from hide_utils.evaluation.keys import differing, sample_content
from hide_utils.evaluation.localisation import box_quality
from hide_utils.images import composite_on_white
from hide_utils.method import lpd
from hide_utils.prompts import multiple_choice
from hide_utils.samples import Sample, side_by_side

BOXES = [(20.0, 30.0, 60.0, 70.0), (10.0, 80.0, 50.0, 120.0)]


def sample(**changes):
    fixed = {
        "question": "Is the truck the color of the dog?",
        "options": ["yes", "no"],
        "label": "A",
        "kind": "relative_position",
        "render": lambda: picture(230, 170, 3),
        "more": [lambda: picture(130, 190, 4)],
        "boxes_xyxy": BOXES,
        "box_images": [0, 1],
    }
    return Sample("both", **fixed | changes)


def test_direct_hide_oracle_and_random_answer_and_are_measured_over_all_pictures():
    model, one = tiny_model("qwen3_vl"), sample()
    hide = HiDe(model, sigma=0.5)
    rows = evaluate(model, [one], ["direct", "hide", "oracle", "random"], hide=hide, progress=False).set_index("method")
    assert rows["error"].isna().all() and rows["pointing"].isna().all()
    result = hide(one.images, one.question, one.options)
    assert rows.loc["hide", "reply"] == result.answer and rows.loc["direct", "reply"] == result.direct_answer
    found = [box for number, x in enumerate(result.looked) for box in np.add(x.boxes, [230 * number, 0] * 2).tolist()]
    assert np.reshape(rows.loc["hide", "regions"], (-1, 4)).tolist() == found
    truth = [BOXES[0], (240, 80, 280, 120)]
    quality = box_quality(found, truth, (1, 230 * 170 + 130 * 190))
    assert rows.loc["hide", ["recall50", "iou", "area"]].tolist() == pytest.approx(list(quality.values()))
    assert np.reshape(rows.loc["oracle", "regions"], (-1, 4)).tolist() == [list(box) for box in truth]
    assert rows.loc["oracle", "recall50"] == rows.loc["oracle", "iou"] == 1
    compacts = [
        composite_on_white(lpd.compact_image(image, [tuple(map(int, box))]))
        for image, box in zip(one.images, BOXES, strict=True)
    ]
    asked = multiple_choice(one.question, one.options)
    assert rows.loc["oracle", "reply"] == model.generate(model.prompt(*one.images, *compacts, asked), 16).text


def test_every_other_method_works_or_says_that_it_needs_one_picture():
    model = tiny_model("qwen3_vl")
    some = [sample(), sample(more=[], boxes_xyxy=BOXES[:1], box_images=[])]
    some[1].id = some[1].image_id = "one"
    rows = evaluate(model, some, list(METHODS), progress=False)
    assert rows[rows["sample_id"] == "one"]["error"].isna().all()
    errors = rows[rows["sample_id"] == "both"].set_index("method")["error"]
    gates = {"hide_gated", "hide_conformal"}
    assert set(errors.index[errors.isna()]) == {"direct", "hide", "oracle", "random", "direct_logits"} | gates
    assert errors.dropna().str.contains("2 pictures, .* works with one alone").all()


def test_boxes_of_the_first_picture_need_no_number():
    one = sample(box_images=[])
    assert one.boxes_of_each == [BOXES, []]
    assert side_by_side([[(1, 2, 3, 4)], [(1, 2, 3, 4)]], [10, 20]) == [(1, 2, 3, 4), (11, 2, 13, 4)]


@pytest.mark.parametrize(("numbers", "says"), [([0], "1 box_images for 2 boxes"), ([0, 2], "box_images has 2; its")])
def test_boxes_of_no_picture_are_refused(numbers, says):
    with pytest.raises(ValueError, match=says):
        sample(box_images=numbers)


def test_rows_belong_to_all_pictures_and_to_where_the_boxes_are():
    usual = " ".join(f"{k}={v}" for k, v in sample_content(sample()).items())
    for changes, part in (
        ({"more": [lambda: picture(130, 190, 5)]}, "picture"),
        ({"more": [sample().more[0]] * 2}, "picture"),
        ({"box_images": [1, 0]}, "boxes"),
    ):
        other = " ".join(f"{k}={v}" for k, v in sample_content(sample(**changes)).items())
        assert part in differing(usual, other)


def test_a_sample_is_shown_with_its_pictures_side_by_side():
    whole, boxes = sample().sheet
    assert whole.size == (360, 190) and boxes == [BOXES[0], (240.0, 80.0, 280.0, 120.0)]
    assert whole.crop((230, 0, 360, 190)).tobytes() == picture(130, 190, 4).tobytes()
    assert whole.getpixel((0, 180)) == (255, 255, 255)
    assert "data:image/jpeg" in sample()._repr_html_()


def written(folder, **changes):
    for number in (0, 1):
        picture(100 + number, 80, number).save(folder / f"{number}.png")
    fields = {"id": 1, "question": "Same?\n(A) yes\n(B) no", "labels": "A", "category": "pairs"}
    row = fields | {"image_path": ["0.png", "1.png"], "box_json": [[[5, 6, 10, 20]], []]} | changes
    (folder / "pairs.json").write_text(json.dumps([row, fields | {"id": 2, "image_path": "0.png"}]))
    return folder / "pairs.json"


def test_a_json_list_names_several_pictures(tmp_path):
    file = written(tmp_path, box_json=[[[5, 6, 10, 20]], [1, 2, 30, 40]], entities=["dog", "truck"])
    both, one = load_benchmark(file)
    assert [image.size for image in both.images] == [(100, 80), (101, 80)] and both.image.size == (100, 80)
    assert both.boxes_of_each == [[(5, 6, 15, 26)], [(1, 2, 31, 42)]] and both.entities == ["dog", "truck"]
    assert both.image_id != one.image_id, "they share a picture, but no prefill"
    card = data_card([both, one])
    assert (card["pictures"], card["with_boxes"]) == (3, 1)
    rows = evaluate(tiny_model("qwen3_vl"), [both, one], ["direct"], progress=False)
    assert rows["error"].isna().all() and rows["image_tokens"].is_monotonic_decreasing
    (limited, _) = load_benchmark(file, max_megapixels=0.001)
    for render in limited.renders:
        with pytest.raises(ValueError, match="max_megapixels"):
            render()


@pytest.mark.parametrize(
    ("changes", "kind", "says"),
    [
        ({"image_path": []}, ValueError, "field 'image_path'.*the list is empty"),
        ({"image_path": ["0.png", ""]}, ValueError, "entry 2 of 2 is empty"),
        ({"image_path": ["0.png", {"path": "1.png"}]}, ValueError, "field 'image_path'.*want a text"),
        ({"image_path": ["0.png", "no.png"]}, FileNotFoundError, r"'image_path', entry 2 of 2: no file .*no\.png"),
        ({"image_path": ["0.png", "../1.png"]}, ValueError, "entry 2 of 2: .* leads out of the data folder"),
        ({"box_json": [[5, 6, 10, 20]]}, ValueError, "field 'box_json'.*the boxes of each of 2 pictures"),
        ({"box_json": [[], [[200, 6, 10, 20]]]}, ValueError, "field 'box_json'.*no pixel of its picture of 101x80"),
    ],
)
def test_what_is_wrong_with_a_list_of_pictures_is_said(tmp_path, changes, kind, says):
    with pytest.raises(kind, match=says):
        load_benchmark(written(tmp_path, **changes))
