"""Baselines: each does what its description says, and nothing that another is charged for."""

import json

import numpy as np
import pandas as pd
import pytest
from checkpoints import tiny_model
from model_helpers import picture

from hide_utils import HiDe, evaluate
from hide_utils.baselines import METHODS
from hide_utils.baselines import published as baselines
from hide_utils.baselines.published import best_window, gated, quarters, tuned
from hide_utils.evaluation import localisation, tuning
from hide_utils.method import lpd, tad
from hide_utils.method.session import Session
from hide_utils.prompts import CONTENT_FREE
from hide_utils.samples import Sample


def sample(i=0, **changes):
    return Sample(
        **{
            "id": f"s{i}", "question": "What is the color of the dog?", "options": ["red", "blue", "green"],
            "label": "ABC"[i % 3], "kind": "direct_attributes", "render": lambda: picture(320, 256, i),
            "boxes_xyxy": [(32, 32, 96, 96)],
        } | changes
    )  # fmt: skip


@pytest.fixture
def hide():
    return HiDe(tiny_model("qwen3_vl"), sigma=0.5, alpha=0.8)


def run(hide, name, one=None):
    one = one or sample()
    session = hide.open(one.image)
    method = METHODS[name] if isinstance(name, str) else name
    return method(hide, session, one), session


# ViCrop's window ------------------------------------------------------------------------------------------------------


def test_window_is_centred_on_the_only_bright_part():
    attention = np.zeros((20, 30), np.float32)
    attention[6:9, 21:24] = 1.0
    # 30 x 20 cells of 10 px; a base of 30 px holds the bright part exactly, and stands out most per cell
    assert best_window(attention, (300, 200), base=30) == (210, 60, 240, 90)


@pytest.mark.parametrize("seed", range(5))
def test_window_by_trying_them_all(seed):
    attention = np.random.default_rng(seed).random((9, 14)) ** 3
    found = {}
    for side in (3, 4, 5, 6):  # 30 px once to twice, in cells of 10 px
        sums = {(y, x): attention[y : y + side, x : x + side].sum() for y in range(10 - side) for x in range(15 - side)}
        y, x = max(sums, key=sums.get)
        near = [sums[y + i, x + j] for i in (-1, 0, 1) for j in (-1, 0, 1) if (i or j) and (y + i, x + j) in sums]
        found[(sums[y, x] - np.mean(near)) / side**2] = (10 * x, 10 * y, 10 * (x + side), 10 * (y + side))
    assert best_window(attention, (140, 90), base=30) == found[max(found)]


@pytest.mark.parametrize("size_wh", [(100, 80), (223, 50), (900, 700), (31, 3000)])
def test_window_stays_in_the_picture(size_wh):
    attention = np.random.default_rng(0).random((7, 11)).astype(np.float32)
    x0, y0, x1, y1 = best_window(attention, size_wh)
    assert 0 <= x0 < x1 <= size_wh[0] and 0 <= y0 < y1 <= size_wh[1]
    if min(size_wh) <= baselines.WINDOW_PX / 2:
        assert (y1 - y0 == size_wh[1]) or (x1 - x0 == size_wh[0])  # no side can be longer than the picture's


def test_relative_attention_is_the_ratio_of_two_prompts(hide, monkeypatch):
    texts = []
    original = Session.rows_of_last

    def spy(self, text, layers, step="last"):
        texts.append(text)
        return original(self, text, layers, step)

    monkeypatch.setattr(Session, "rows_of_last", spy)
    outcome, session = run(hide, "rel_att")
    assert texts[0].endswith("directly.") and texts[1] == CONTENT_FREE
    asked, plain = (original(session, text, [hide.settings.layer])[0] for text in texts)
    ratio = asked / plain
    expected = (ratio - ratio.min()) / (ratio.max() - ratio.min())
    np.testing.assert_allclose(outcome.maps[0], expected, atol=1e-4)
    assert outcome.regions == (best_window(expected, session.image.size),)
    assert {"look", "reference"} < set(outcome.steps) and "extract" not in outcome.steps


# attention of the answer, HiDe without its prior ----------------------------------------------------------------------


def test_first_token_thresholds_the_answers_own_attention(hide):
    outcome, session = run(hide, "first_token")
    from hide_utils.prompts import multiple_choice

    rows = session.rows_of_last(multiple_choice(sample().question, sample().options), [hide.settings.layer])
    maps = tad.minmax(tad.smooth(rows, 0.5))
    assert list(outcome.regions) == lpd.regions_of(maps, 0.8, session.image.size)
    assert not {"extract", "search"} & set(outcome.steps)


def test_no_prior_is_hide_with_nothing_subtracted(hide):
    outcome, session = run(hide, "hide_no_prior")
    entities = hide.locate(session, sample().question).entities
    rows = session.search(entities, [hide.settings.layer]).semantic[0]
    expected = tad.minmax(tad.smooth(rows, 0.5))
    np.testing.assert_allclose(outcome.maps, expected, atol=1e-6)
    assert list(outcome.regions) == lpd.regions_of(expected, 0.8, session.image.size)
    assert "decouple" not in outcome.steps


# the gate -------------------------------------------------------------------------------------------------------------


def test_gate_is_direct_when_open_and_hide_when_shut(hide):
    methods = {"open": gated(-1.0), "shut": gated(1e9), "direct": METHODS["direct"], "hide": METHODS["hide"]}
    table = evaluate(hide.model, [sample(i) for i in range(4)], methods, hide=hide, progress=False)
    by = table.pivot(index="sample_id", columns="method")
    for name, same in (("open", "direct"), ("shut", "hide")):
        assert by["reply"][name].tolist() == by["reply"][same].tolist()
    assert by["regions"]["open"].isna().all() and by["regions"]["shut"].tolist() == by["regions"]["hide"].tolist()
    assert (by["flops"]["shut"] > by["flops"]["hide"]).all()  # the direct answer comes on top
    assert (by["flops"]["open"] == by["flops"]["direct"]).all()


def test_gate_lies_between_the_margins_that_it_parts(hide):
    table = evaluate(hide.model, [sample(i) for i in range(6)], ["direct", "hide"], hide=hide, progress=False)
    margins = table[table["method"] == "direct"].set_index("sample_id")["margin"].sort_values()
    cut = (margins.iloc[2] + margins.iloc[3]) / 2
    mixed = evaluate(hide.model, [sample(i) for i in range(6)], {"g": gated(cut)}, hide=hide, progress=False)
    asked = set(mixed.loc[mixed["entities"].notna(), "sample_id"])
    assert asked == set(margins.index[:3])


# tree search ----------------------------------------------------------------------------------------------------------


def test_parts_overlap_and_cover():
    parts = quarters((10, 20, 110, 220))
    assert parts == [(10, 20, 70, 140), (50, 20, 110, 140), (10, 100, 70, 220), (50, 100, 110, 220)]
    assert localisation.union_area(parts) == 100 * 200 and quarters((0, 0, 1, 1)) == [(0, 0, 1, 1)] * 4


def test_tree_search_opens_the_surest_view_and_keeps_the_surest_reply(hide, monkeypatch):
    sure = iter([0.3, 0.4, 0.6, 0.5, 0.2] + [0.1, 0.7, 0.1, 0.1] + [0.2] * 4)
    monkeypatch.setattr(baselines, "confidence", lambda *_: next(sure))
    outcome, session = run(hide, "tree_search")
    second = quarters((0, 0, *session.image.size))[1]  # 0.6, the surest of the first four, is opened next
    assert outcome.regions == (quarters(second)[1],)  # 0.7
    assert len(outcome.steps) == 1 + 13 and len(set(outcome.steps)) == 14  # the whole picture and at most twelve views


def test_tree_search_stops_as_soon_as_it_is_sure(hide, monkeypatch):
    monkeypatch.setattr(baselines, "confidence", lambda *_: 0.95)
    outcome, _ = run(hide, "tree_search")
    assert outcome.steps == ("prefill", "view1") and outcome.regions == ()


# all of them ----------------------------------------------------------------------------------------------------------


def test_every_baseline_gives_a_whole_row_and_is_charged_as_if_alone(hide):
    together = evaluate(hide.model, [sample()], list(METHODS), hide=hide, progress=False).set_index("method")
    assert together["error"].isna().all() and set(together.index) == set(METHODS)
    for name in set(METHODS) - {"direct", "hide", "oracle", "random"}:
        (alone,) = evaluate(hide.model, [sample()], [name], hide=hide, progress=False).to_dict("records")
        for column in ("reply", "letter", "calls", "image_tokens", "text_tokens", "decoded", "flops"):
            there = together.loc[name, column]
            assert alone[column] == there or (pd.isna(alone[column]) and pd.isna(there)), (name, column)
        assert alone["flops"] >= together.loc["direct", "flops"]
    logits = together.loc["direct_logits"]
    assert logits["letter"] in "ABC" and logits["reply"] == together.loc["direct", "reply"]
    assert (together.loc[["rel_att", "first_token", "hide"], "pointing"].dropna() <= 1).all()


# settings of their own ------------------------------------------------------------------------------------------------


def test_settings_come_from_the_models_folder(tmp_path, monkeypatch):
    model = tiny_model("qwen3_vl")
    monkeypatch.setattr(model, "folder", tmp_path)
    assert tuned(model, "hide_gated", {"margin": 2.0}) == {"margin": 2.0}
    (tmp_path / "hide.json").write_text(json.dumps({"layer": 1, "methods": {"hide_gated": {"margin": 7, "n": 3}}}))
    assert tuned(model, "hide_gated", {"margin": 2.0}) == {"margin": 7}
    assert tuned(model, "rel_att", {"layer": 3}) == {"layer": 3}


def answers(direct, hide, margins):
    rows = [("direct", direct, margins), ("hide", hide, [0.0] * len(hide))]
    return pd.DataFrame(
        [
            {"sample_id": f"s{i}", "method": name, "correct": right, "margin": margin}
            for name, outcomes, all_margins in rows
            for i, (right, margin) in enumerate(zip(outcomes, all_margins, strict=True))
        ]
    )


@pytest.mark.parametrize(
    ("direct", "hide", "expected"),
    [
        ([0, 0, 1, 1], [1, 1, 0, 0], {"margin": 2.5, "accuracy": 1.0, "direct": 0.5}),  # sure is right
        ([1, 1, 1, 1], [1, 1, 1, 1], {"margin": 0.0, "accuracy": 1.0, "direct": 1.0}),  # of equals the cheapest
        ([0, 0, 0, 0], [1, 1, 1, 1], {"margin": 5.0, "accuracy": 1.0, "direct": 0.0}),
        ([1, 1, 0, 0], [0, 0, 1, 0], {"margin": 0.0, "accuracy": 0.5, "direct": 1.0}),
    ],
)
def test_gate_by_hand(direct, hide, expected):
    assert tuning.choose_margin(answers(direct, hide, [1.0, 2.0, 3.0, 4.0])) == expected


def test_gate_needs_both_methods():
    with pytest.raises(ValueError, match="'direct' and one of 'hide'"):
        tuning.choose_margin(answers([1], [1], [1.0]).query("method == 'direct'"))


def test_layers_are_chosen_where_the_attention_is_on_the_object():
    on, off = np.zeros((8, 10), np.float32), np.zeros((8, 10), np.float32)
    on[1:3, 1:3], off[6, 8] = 1.0, 1.0  # cells of 128 px
    large = sample(render=lambda: picture(1280, 1024), boxes_xyxy=[(128, 128, 384, 384)])
    asked, plain = np.stack([off, on, off]) + 0.01, np.full((3, 8, 10), 0.01, np.float32)
    chosen = tuning.choose_last(tuning.sweep_last([(asked, plain)] * 2, [large, large]))
    assert chosen["rel_att"] == {"layer": 1}
    assert chosen["first_token"]["layer"] == 1 and chosen["first_token"]["sigma"] == 0


def test_command_writes_beside_hides_own_settings(tmp_path, monkeypatch):
    (tmp_path / "hide.json").write_text(json.dumps({"layer": 1, "sigma": 0.5, "alpha": 0.8}))
    monkeypatch.setattr(tuning, "load_model", lambda name: tiny_model("qwen3_vl"))
    tuning.main(["--model", str(tmp_path), "--n", "3", "--resolution", "160"])
    written = json.loads((tmp_path / "hide.json").read_text())
    assert (written["layer"], written["sigma"], written["alpha"]) == (1, 0.5, 0.8)
    assert set(written["methods"]) == {"hide_gated", "hide_conformal", "hide_heads", "rel_att", "first_token"}
    for one in written["methods"].values():
        assert one["chosen_on"]["split"] == "calibration" and one["chosen_on"]["n"] == 3
    heads = written["methods"]["hide_heads"]["heads"]
    assert heads and written["methods"]["hide_conformal"]["margin"] is None, "three samples promise nothing"
    (tmp_path / "hide.json").write_text(json.dumps({"layer": 1, "methods": {"rel_att": {"layer": 3}}}))
    tuning.main(["--model", str(tmp_path), "--n", "3", "--resolution", "160", "--methods", "hide_heads"])
    again = json.loads((tmp_path / "hide.json").read_text())["methods"]
    assert (
        again["rel_att"] == {"layer": 3}
        and again["hide_heads"]["heads"] == heads
        and set(again) == {"rel_att", "hide_heads"}
    )
    with pytest.raises(SystemExit):
        tuning.main(["--model", str(tmp_path / "none")])
