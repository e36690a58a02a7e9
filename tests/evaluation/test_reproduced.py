"""The paper's cells beside measured ones: which rows a cell is made of, its interval, and its one word."""

import math

import numpy as np
import pandas as pd
import pytest
from checkpoints import tiny_model

from hide_utils import HiDe, paths
from hide_utils.evaluation import one_card
from hide_utils.evaluation.procedures import Work, direct_answer, flops
from hide_utils.evaluation.reproduced import attention_in_boxes, beside_paper, cells_of, shown
from hide_utils.samples import Sample
from hide_utils.scenes.questions import scene_samples

QWEN = "Qwen2.5-VL-7B"


def rows(method, right, kind="direct_attributes", cycles=1, **columns):
    """A row for each cycle of each picture, which is right or wrong in all its cycles."""
    return pd.DataFrame(
        [
            {"sample_id": f"{kind}{i}-{c}", "image_id": f"{kind}{i}", "method": method, "kind": kind, "error": None}
            | {"cycle": f"cycle_{c}" if cycles > 1 else "", "correct": bool(one), "seconds": 2.0, "peak_bytes": None}
            | columns
            for i, one in enumerate(right)
            for c in range(cycles)
        ]
    )


def vstar(method, attribute, spatial, **columns):
    both = {"direct_attributes": (attribute, 115), "relative_position": (spatial, 76)}
    return pd.concat([rows(method, [i < k for i in range(n)], kind, **columns) for kind, (k, n) in both.items()])


def found(answers, parts=("main",), looks=None, benchmark="vstar", **where):
    """The row of one cell."""
    cells = [cell for cell in cells_of(QWEN, parts) if all(getattr(cell, name) == one for name, one in where.items())]
    table = beside_paper(cells, {benchmark: answers}, pd.DataFrame() if looks is None else looks)
    (row,) = table.to_dict("records")
    return row


def wilson(k, n, z=1.959964):
    middle, half = (k + z * z / 2) / (n + z * z), z * math.sqrt(k * (n - k) / n + z * z / 4) / (n + z * z)
    return [100 * (middle - half), 100 * (middle + half)]


def test_every_published_number_is_a_cell_and_has_a_method_or_a_reason():
    csv = pd.read_csv(paths.PAPER / "hide_paper_numbers.csv")
    cells = cells_of(QWEN)
    assert len(cells) == len(csv) and {cell.experiment for cell in cells} == set(csv["experiment"])
    assert all(bool(cell.reason) != bool(cell.method) or cell.reason for cell in cells)
    measured = [cell for cell in cells if not cell.reason]
    assert (
        len(measured)
        == (
            csv["model"].isin([QWEN, "not stated"])
            & ~csv["setting"].str.contains("deepeyes|unopt")
            & (csv["experiment"] != "hyperparameters")
        ).sum()
    )
    assert {cell.benchmark for cell in measured} == {"vstar", "hrbench4k", "hrbench8k"}
    other = cells_of("InternVL3-8B")
    assert {cell.published for cell in other if cell.setting == "V* / hide" and not cell.reason} == {91.6}
    with pytest.raises(KeyError):
        found(pd.DataFrame(), setting="V* / hide", metric="overall")


@pytest.mark.parametrize(
    ("right", "metric", "published", "word"),
    [
        ((109, 67), "overall", 92.1, "agrees"),  # 87.4 to 95.2 lies within 5 points of 92.1
        ((109, 67), "attribute", 94.8, "undecided"),  # as published, but 89.1 is further off than 5 points
        ((60, 40), "overall", 92.1, "differs"),
        ((60, 67), "spatial", 88.2, "undecided"),
    ],
)
def test_accuracies_have_wilson_s_interval_and_the_word_follows_from_it(right, metric, published, word):
    row = found(vstar("hide", *right), setting="V* / hide", metric=metric)
    k, n = {"overall": (sum(right), 191), "attribute": (right[0], 115), "spatial": (right[1], 76)}[metric]
    assert row["published"] == published and row["measured"] == pytest.approx(100 * k / n) and row["n"] == n
    assert [row["low"], row["high"]] == pytest.approx(wilson(k, n), abs=0.01)
    assert row["word"] == word


def test_hr_bench_s_score_is_the_mean_over_cycles_with_pictures_as_units():
    answers = rows("hide", [i < 96 for i in range(100)], "single", 4)
    where = {"setting": "HR-Bench 4K / hide", "metric": "FSP", "benchmark": "hrbench4k"}
    row = found(answers, **where)
    half = 196 * math.sqrt(0.96 * 0.04 / 100)  # of 100 pictures, not of 400 questions
    assert (row["measured"], row["n"], row["pictures"]) == (pytest.approx(96), 400, 100)
    assert row["low"] == pytest.approx(96 - half, abs=1) and row["high"] == pytest.approx(96 + half, abs=1)
    assert row["word"] == "agrees"
    # Errors in one cycle alone: 6 of the 10 that are left in it are right, and it counts as much as the others.
    answers["error"] = np.where((answers["cycle"] == "cycle_3") & (answers.index < 360), "OSError: gone", None)
    row = found(answers, **where)
    assert row["measured"] == pytest.approx((3 * 96 + 60) / 4) and row["left_out"] == 90


def test_few_pictures_or_such_as_are_all_alike_decide_nothing():
    where = {"setting": "HR-Bench 4K / hide", "metric": "FSP", "benchmark": "hrbench4k"}
    for pictures in (2, 20):
        row = found(rows("hide", [True] * pictures, "single", 4), **where)
        assert [row["low"], row["high"]] == pytest.approx(wilson(pictures, pictures), abs=0.01)
        assert row["word"] == "undecided"


def test_words_are_corrected_over_the_table():
    """57 of 76 on the spatial questions has p = 0.004 against 88.2 alone, and is one of three tests."""
    answers = pd.concat([vstar("hide", 109, 57), vstar("direct", 93, 58)])
    cells = [cell for cell in cells_of(QWEN, ["main"]) if cell.setting in ("V* / hide", "V* / direct")]
    table = beside_paper(cells, {"vstar": answers}, pd.DataFrame()).set_index(["setting", "metric"])
    alone = found(answers, setting="V* / hide", metric="spatial")
    p = table["p_corrected"].loc[[("V* / hide", "spatial")]].item()
    assert p > 2 * alone["p_corrected"] and alone["p_corrected"] < 0.05


@pytest.mark.parametrize(
    ("columns", "setting", "measured", "word"),
    [
        ({"seconds": 7 * 60 / 191}, "V* / direct", 7, "agrees"),
        ({"seconds": 60 / 191}, "V* / direct", 1, "differs"),
        ({"peak_bytes": 20.4e9}, "attention / optimised", 20.4, "agrees"),
        ({"peak_bytes": 30e9}, "attention / optimised", 30, "differs"),
        ({}, "attention / optimised", None, None),
    ],
)
def test_time_and_memory_are_compared_as_ratios(columns, setting, measured, word):
    method = "direct" if "direct" in setting else "hide"
    row = found(vstar(method, 50, 50, **columns), ("cost",), setting=setting)
    if word is None:
        assert "CUDA" in row["reason"] and math.isnan(row["measured"])
    else:
        assert row["measured"] == pytest.approx(measured) and row["word"] == word


@pytest.mark.parametrize(("n", "peak", "word"), [(40, 14, "agrees"), (40, 3, "differs"), (5, 14, "undecided")])
def test_the_layer_of_the_peak_counts_from_1(n, peak, word):
    shares = np.full(28, 0.01)
    shares[peak] = 0.1
    looks = pd.DataFrame(
        {"image_id": map(str, range(n)), "layers": [list(range(28))] * n, "attention": [list(shares)] * n}
    )
    row = found(pd.DataFrame(), ("ablations",), looks, experiment="layer_peak", reason="")
    assert (row["published"], row["measured"], row["word"]) == (15, peak + 1, word)


def test_attention_in_boxes_is_a_share_of_the_picture_s():
    hide, sample = HiDe(tiny_model("qwen2_5_vl")), scene_samples("test", 1, resolution=224)[0]
    session = hide.open(sample.images)
    found = attention_in_boxes(hide, session, sample, [0, 2])
    rows = session.search(hide.locate(session, "", entities=sample.entities).entities, [0, 2]).semantic
    sample.boxes_xyxy = [(0, 0, 224, 224)]
    assert attention_in_boxes(hide, session, sample, [0, 2])["attention"] == pytest.approx([1, 1])
    assert found["layers"] == [0, 2] and all(0 < one < 1 for one in found["attention"]) and len(rows) == 2
    sample.entities = []
    with pytest.raises(ValueError, match="reference entities"):
        attention_in_boxes(hide, session, sample, [0])


def test_what_is_not_measured_is_listed_with_its_reason():
    cells = cells_of(QWEN, ["main"])
    texts, lines = shown(
        beside_paper(cells, {name: vstar("hide", 9, 9) for name in ("vstar", "hrbench4k", "hrbench8k")}, pd.DataFrame())
    )
    assert len(texts) == 3 + 2 and set(texts["word"]) <= {"agrees", "differs", "undecided"}
    below = "\n".join(lines)
    for said in (
        "V* / deepeyes (trained): attribute, spatial, overall",
        "V* / hide (InternVL3-8B)",
        "sigma",
        "V* / vicrop",
    ):
        assert said in below


class Blank:
    """A picture whose size alone is known."""

    def __init__(self, size):
        self.size_wh = lambda: size

    def __call__(self):
        pytest.fail("the picture was read")


def asked(number, picture=None, size=(224, 224)):
    return Sample(
        str(number), "?", ["a", "b"], "A", "single", Blank(size), image_id=f"{picture}" * (picture is not None)
    )


def test_what_a_run_takes_is_counted_for_a_usual_picture_and_scaled_to_one_card(monkeypatch):
    hide = HiDe(tiny_model("qwen2_5_vl"))
    config, sizes = hide.model.model.config, [(112, 112), (224, 224), (448, 448)]
    samples = [asked(i, size=size) for i, size in enumerate(sizes)]
    table, largest = one_card.needed(hide, {"vstar": (samples, ["direct"])})
    usual = one_card._visual(hide.model, (224, 224))
    by_hand = 3 * flops(config, direct_answer(Work(usual, usual, 1)))
    assert table["pflop"].item() == pytest.approx(by_hand / 1e15) and largest == 64 == usual.n_tokens
    _, largest = one_card.needed(hide, {"vstar": (samples, ["direct", "hide", "upscale 1.5", "canvas 1.0", "layers"])})
    assert largest == hide.model.n_image_tokens((336, 336))
    apart, shared = (
        one_card.needed(hide, {"hrbench4k": ([asked(i, i // per) for i in range(8)], ["hide"])})[0]["pflop"].item()
        for per in (1, 4)
    )
    assert shared < apart
    rate = one_card.Rate("NVIDIA H200", QWEN, 300.0, 989, 4e9, 16384, 2)
    monkeypatch.setattr(one_card, "measured_rate", lambda: rate)
    counted = pd.DataFrame([("vstar", 191, 4480, "direct", 1000.0)], columns=table.columns)
    monkeypatch.setattr(one_card, "needed", lambda *_: (counted, 16384))
    said = "\n".join(one_card.estimate(hide, {}))
    assert f"about {1e18 / (300e12 * 312 / 989) / 3600:.1f} hours and 4 GB" in said and "300" in said
    monkeypatch.setattr(one_card, "measured_rate", lambda: None)
    assert "hide gpu-check" in "\n".join(one_card.estimate(hide, {}))


def test_the_rate_is_that_of_whole_questions_on_the_card_that_was_measured():
    folder = next(paths.FIGURES.glob("06_memory_and_latency/nvidia*"))
    speed, floor = (pd.read_csv(folder / f"{name}.csv") for name in ("speed", "floor"))
    seconds = speed[(speed["procedure"] == "hide, batched") & (speed["step"] == "whole")]["seconds"].median()
    rate = one_card.measured_rate()
    assert rate.tflops == pytest.approx(floor[floor["procedure"] == "hide, batched"]["tflop"].sum() / seconds)
    assert rate.card.startswith("NVIDIA") and rate.peak > rate.tflops and 1e9 < rate.added < 1e10
