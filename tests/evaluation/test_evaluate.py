"""The loop over samples and methods: what a row holds, resuming, refusing, sharing."""

import pytest
from checkpoints import tiny_model
from model_helpers import picture

from hide_utils import HiDe, evaluate
from hide_utils.baselines import METHODS
from hide_utils.evaluation.store import SettingsError
from hide_utils.samples import Sample


def samples(n=3, **changes):
    return [
        Sample(
            **{
                "id": f"s{i}",
                "question": "What is the color of the dog?",
                "options": ["red", "blue"],
                "label": "AB"[i % 2],
                "kind": "direct_attributes",
                "render": lambda i=i: picture(96, 96, i),
                "boxes_xyxy": [(10, 10, 40, 40)],
            }
            | changes
        )
        for i in range(n)
    ]


def test_rows_and_order():
    table = evaluate(tiny_model("qwen3_vl"), samples(), list(METHODS), progress=False)
    assert list(zip(table["sample_id"], table["method"], strict=True)) == [
        (f"s{i}", m) for i in range(3) for m in METHODS
    ]
    assert (table["correct"] == (table["letter"] == table["label"])).all()
    assert (table["seconds"] > 0).all()
    by = table.set_index(["sample_id", "method"])
    oracle = by.xs("oracle", level="method")
    assert (oracle["recall50"] == 1).all() and (oracle["iou"] == 1).all()
    cost = by["image_tokens"].unstack()
    assert (cost["oracle"] > cost["direct"]).all()  # the compact picture costs tokens
    assert (by["seconds"].unstack()["hide"] > by["seconds"].unstack()["direct"]).all()


def test_random_boxes_have_the_area_of_hides():
    model = tiny_model("qwen3_vl")
    table = evaluate(
        model,
        samples(4, render=lambda: picture(448, 448)),
        ["hide", "random"],
        hide=HiDe(model, sigma=0, alpha=1.0),
        progress=False,
    )
    regions = table.pivot(index="sample_id", columns="method", values="regions")

    def sizes(flat):
        return sorted((x1 - x0, y1 - y0) for x0, y0, x1, y1 in zip(*[iter(flat)] * 4, strict=True))

    for hide, random in zip(regions["hide"], regions["random"], strict=True):
        assert sizes(hide) == sizes(random) and hide != random


def test_one_prefill_serves_all_methods():
    model = tiny_model("qwen3_vl")
    model.counts.clear()
    evaluate(model, samples(2), list(METHODS), progress=False)
    # one for each picture, and one for the unchanging part of the extraction prompt
    assert model.counts["prefills"] == 2 + 1


def test_an_interrupted_run_resumes_without_repeating(tmp_path, monkeypatch):
    model, out = tiny_model("qwen3_vl"), tmp_path / "rows.parquet"
    whole = evaluate(model, samples(4), ["direct", "hide"], progress=False)
    opened = []
    original = HiDe.open

    def counting(self, image):
        opened.append(image)
        if len(opened) == 3:
            raise KeyboardInterrupt
        return original(self, image)

    monkeypatch.setattr(HiDe, "open", counting)
    with pytest.raises(KeyboardInterrupt):
        evaluate(model, samples(4), ["direct", "hide"], out, progress=False)
    resumed = evaluate(model, samples(4), ["direct", "hide"], out, progress=False)
    assert len(opened) == 3 + 2  # two were done, one was interrupted
    same = ["sample_id", "method", "reply", "letter", "correct", "regions"]
    assert resumed[same].to_dict("list") == whole[same].to_dict("list")
    evaluate(model, samples(4), ["direct", "hide"], out, progress=False)
    assert len(opened) == 5
    evaluate(model, samples(4), ["direct", "hide", "oracle"], out, progress=False)  # a further method runs alone
    assert len(opened) == 9


def test_rows_of_other_settings_are_refused(tmp_path):
    model, out = tiny_model("qwen3_vl"), tmp_path / "rows.parquet"
    evaluate(model, samples(1), ["hide"], out, progress=False)
    with pytest.raises(SettingsError, match="sigma"):
        evaluate(model, samples(1), ["hide"], out, hide=HiDe(model, sigma=2.0), progress=False)


def test_an_unusable_picture_ends_no_run():
    def broken():
        from hide_utils.images import ImageError

        raise ImageError("cut short")

    bad, good = samples(1, id="bad", render=broken), samples(1)
    table = evaluate(tiny_model("qwen3_vl"), [*bad, *good], ["direct", "hide"], progress=False)
    assert table["error"].notna().tolist() == [True, True, False, False]
    assert not table["correct"][:2].any() and table["letter"][:2].isna().all()


def test_refusals():
    model = tiny_model("qwen3_vl")
    with pytest.raises(ValueError, match="did you mean 'oracle'"):
        evaluate(model, samples(1), ["oracel"], progress=False)
    with pytest.raises(ValueError, match="unique"):
        evaluate(model, samples(1) * 2, ["direct"], progress=False)
    with pytest.raises(ValueError, match="no ground-truth boxes"):
        evaluate(model, samples(1, boxes_xyxy=[]), ["oracle"], progress=False)
