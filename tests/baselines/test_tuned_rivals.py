"""Rivals whose settings are measured on calibration samples: HiDe with a few heads, and the conformal gate."""

import json

import numpy as np
import pandas as pd
import pytest
from checkpoints import tiny_model
from model_helpers import eager_rows, picture
from scipy.ndimage import gaussian_filter

from hide_utils import HiDe, paths
from hide_utils.baselines import METHODS
from hide_utils.baselines.heads import spatial_entropy
from hide_utils.baselines.outcome import answered
from hide_utils.evaluation import gates, tuning
from hide_utils.evaluation.heads import head_table, ranked_heads
from hide_utils.evaluation.keys import contents
from hide_utils.evaluation.store import read_rows
from hide_utils.files import hash_folder, write_json
from hide_utils.method import lpd
from hide_utils.method.entities import SEARCH_INSTRUCTION
from hide_utils.method.rows import entity_positions
from hide_utils.samples import Sample


def sample():
    return Sample(
        "s0", "What is the color of the dog?", ["red", "blue", "green"], "A", "direct_attributes",
        lambda: picture(320, 256, 0), boxes_xyxy=[(32, 32, 96, 96)],
    )  # fmt: skip


@pytest.fixture
def hide():
    return HiDe(tiny_model("qwen3_vl"), sigma=0.5, alpha=0.8)


def run(hide, name):
    session = hide.open(sample().image)
    return METHODS[name](hide, session, sample()), session


# the conformal gate ---------------------------------------------------------------------------------------------------


def mending(margins, mends):
    """A calibration table: HiDe mends the answers that `mends` says, and changes no other."""
    return pd.DataFrame({"direct": ~np.array(mends), "hide": True, "margin": margins})


@pytest.mark.parametrize("level", [0.05, 0.1, 0.25])
@pytest.mark.parametrize("m", [3, 9, 10, 28])
def test_conformal_threshold_by_trying_them_all(level, m):
    rng = np.random.default_rng(m)
    table = mending(rng.permutation(60).astype(float), np.arange(60) < m)
    of = table.loc[table["hide"] & ~table["direct"], "margin"]
    # the smallest threshold at which (n * risk + 1) / (n + 1), the bound of conformal risk control, keeps the level
    kept = [t for t in [*sorted(of), np.inf] if ((of > t).sum() + 1) / (m + 1) <= level or t == np.inf]
    gate = gates.conformal("margin", table, level)
    assert -gate.least == kept[0]
    assert gate.looks(table).tolist() == (table["margin"] <= kept[0]).tolist()


def test_conformal_gate_keeps_its_promise_on_answers_to_come():
    """Each of 20 answers in turn is the one to come. Two of them may be left alone, and not one more."""
    margins = np.random.default_rng(0).gamma(2.0, size=20)
    left = []
    for i in range(20):
        gate = gates.conformal("margin", mending(np.delete(margins, i), [True] * 19), 0.1)
        left.append(not gate.looks(mending(margins[i : i + 1], [True]))[0])
    assert np.mean(left) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="level 1 must lie in"):
        gates.conformal("margin", mending([1.0], [True]), 1)


def test_conformal_method_reads_its_margin_and_says_where_there_is_none(hide, monkeypatch, tmp_path):
    outcome, session = run(hide, "hide_conformal")
    assert "search" in outcome.steps and outcome.fallback.startswith("looked at every question")
    asked = answered(session, sample(), step="x")
    (letters,) = [hide.model.letter_logits(asked, 3)]
    first, second, _ = sorted(letters.values(), reverse=True)
    monkeypatch.setattr(hide.model, "folder", tmp_path)
    for margin, steps in ((first - second + 0.01, 7), (first - second - 0.01, 2)):
        (tmp_path / "hide.json").write_text(json.dumps({"methods": {"hide_conformal": {"margin": margin}}}))
        outcome, _ = run(hide, "hide_conformal")
        assert len(outcome.steps) == steps and "looked at every" not in (outcome.fallback or "")


# a few heads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("heads", [[[0, 1], [1, 0]], None])
def test_few_heads_are_read_as_eager_attention_has_them(hide, monkeypatch, tmp_path, heads):
    """Their mean row goes through TAD: from eager attention, by the paper's steps in plain numpy and scipy."""
    chosen = {"methods": {"hide_heads": {"heads": heads, "alpha": 0.4}}} if heads else {}
    (tmp_path / "hide.json").write_text(json.dumps(chosen))
    with monkeypatch.context() as patch:
        patch.setattr(hide.model, "folder", tmp_path)
        outcome, session = run(hide, "hide_heads")
    entities = hide.locate(session, sample().question).entities
    text = f"{SEARCH_INSTRUCTION} {entities.text}"
    prompt = hide.model.prompt(session.image, text)
    (image,), (span,) = prompt.images, prompt.texts
    attention = eager_rows(hide.model, prompt)
    noise = span.positions(0, len(SEARCH_INSTRUCTION))
    own = entity_positions(span.positions, len(SEARCH_INSTRUCTION) + 1, entities)
    rows = np.stack([layer[:, noise + own][..., image.positions].float().numpy() for layer in attention.values()])
    if heads is None:  # of this picture: of the heads above the elbow of attention the three of lowest entropy
        seen = rows[:, :, len(noise) :]
        mass = seen.sum((-2, -1)).mean(2)
        order = np.sort(mass.ravel())
        bend = order[np.abs((order - order[0]) / np.ptp(order) - np.linspace(0, 1, len(order))).argmax()]
        entropy = np.array([[np.mean([spatial_entropy(one) for one in head]) for head in layer] for layer in seen])
        able = np.argwhere(mass >= bend - 1e-6).tolist()
        heads = sorted(able, key=lambda place: entropy[tuple(place)])[:3]
        assert outcome.fallback.startswith("heads of this picture") and "pick" in outcome.steps
    mean = np.mean([rows[layer, head] for layer, head in heads], axis=0)
    smooth = np.stack([gaussian_filter(one, 0.5, mode="reflect") for one in mean])
    scaled = (smooth - smooth.min((1, 2), keepdims=True)) / np.ptp(smooth, axis=(1, 2), keepdims=True)
    left = np.maximum(scaled[len(noise) :] - scaled[: len(noise)].mean(0), 0)
    maps = left / left.max((1, 2), keepdims=True)
    np.testing.assert_allclose(outcome.maps, maps, atol=2e-3)
    alpha = 0.4 if chosen else hide.settings.alpha
    assert list(outcome.regions) == lpd.regions_of(outcome.maps, alpha, session.image.size)
    assert set(outcome.steps) == set(session.costs) and session.costs["search"].counts["flops"] > 0


def test_the_miniatures_settings_are_what_its_calibration_rows_choose():
    """Rows that notebooks 03 and 11 ship of the same calibration scenes, and what 03 chose of its variants there."""
    own = json.loads((paths.MINI / "hide.json").read_text())["methods"]
    rows = {name: [] for name in ("03_token_decoupling-heads", "11_when_to_look-answers")}
    for name in rows:
        for file in paths.ANSWERS.glob(f"{name}-*.parquet"):
            rows[name] += [row for row in read_rows(file)[1] if row["sample_id"].startswith("scenes-calibration-1024-")]
    measured, answers_of = (pd.DataFrame(found) for found in rows.values())
    assert len(measured) == 200 and len(answers_of) == 400
    order = ranked_heads(head_table(measured, range(12)))
    heads = own["hide_heads"]["heads"]
    assert [tuple(head) for head in heads] == list(order[: len(heads)])
    variants = pd.read_csv(paths.FIGURES / "03_token_decoupling" / "variants.csv").set_index("method")
    read = variants.loc["heads of low entropy"]  # by the same rule, on the same calibration scenes
    assert (f"{len(heads)} heads", own["hide_heads"]["alpha"]) == (read["own"], read["alpha"])
    chosen = tuning.choose_conformal(answers_of.astype({"correct": "boolean"}))
    assert chosen.items() <= own["hide_conformal"].items()


def test_tuning_one_method_leaves_the_rows_of_the_others(tmp_path, monkeypatch):
    """The folder's hash and the other methods' keys stay as they were, and those of its own rows change."""
    model, file = tiny_model("qwen3_vl"), tmp_path / "hide.json"
    monkeypatch.setattr(model, "folder", tmp_path)
    (tmp_path / "weights").write_text("w")
    methods = {name: METHODS[name] for name in ("direct", "rel_att", "hide_heads")} | {"mine": METHODS["hide_heads"]}
    found = []
    old = {"layer": 1, "methods": {"rel_att": {"layer": 3}, "chosen_on": {"n": 3}}}
    made = {"hide_heads": {"heads": [[0, 1]], "chosen_on": {"n": 4}}}
    other = {"hide_heads": {"heads": [[1, 1]], "chosen_on": {"n": 4}}}
    for more in ({}, made, other):
        write_json(file, old | {"methods": old["methods"] | more})
        found.append((hash_folder(tmp_path), contents([sample()], methods, model)))
    hashes, keys = zip(*found, strict=True)
    assert len(set(hashes)) == 1
    for name in methods:
        assert len({of["s0", name] for of in keys}) == (3 if name in ("hide_heads", "mine") else 1), name
    write_json(file, {"layer": 1, "methods": {"rel_att": {"layer": 4}, "chosen_on": {"n": 3}}})
    assert hash_folder(tmp_path) != hashes[0], "an entry that says nothing itself counts for every row"
    assert keys[0] == contents([sample()], methods), "without settings of its own a method is known by its name"
