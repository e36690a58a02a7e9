import pickle

import numpy as np
import pandas as pd
import pytest
from checkpoints import LAYERS, tiny_model
from model_helpers import picture

from hide_utils.analyses import layers as loc
from hide_utils.baselines import named, of_pictures, of_regions
from hide_utils.evaluation import localisation
from hide_utils.evaluation.loop import evaluate
from hide_utils.method import tad
from hide_utils.method.hide import HiDe
from hide_utils.method.session import SearchAttention
from hide_utils.samples import Sample
from hide_utils.stats import means

SIDE = 160
BOX = (16.0, 16.0, 48.0, 48.0)  # of 160 pixels: cells 2 to 5 of 20, 4 % of the area


def sample(name="s0", boxes=(BOX,), entities=("red star",)):
    return Sample(
        name, "What is red?", ["star", "dog"], "A", "drawn", lambda: picture(84, 84), list(boxes), list(entities)
    )


def peaked(cells, share=0.5, side=20):
    """A row whose attention to the picture sums to `share`, all of it in the given (rows, columns)."""
    row = np.zeros((side, side), np.float32)
    row[cells] = 1
    return row * np.float32(share / row.sum())


def found_at(layers, good):
    """One sample's rows: entity tokens look into the box at layer `good`, else away from it; the rest looks left."""
    left = np.stack([peaked(np.s_[i : i + 3, :]) for i in range(8, 12)])
    inside, away = peaked(np.s_[2:6, 2:6]), peaked(np.s_[12:16, 12:16])
    semantic = np.stack([np.stack([inside if layer == good else away] * 2) for layer in layers])
    return SearchAttention(tuple(layers), ("red", "star"), np.stack([left] * len(layers)), semantic)


@pytest.fixture
def table():
    found = [found_at([0, 1, 2], 1) for _ in range(3)]
    samples = [sample(f"s{i}") for i in range(3)]
    return loc.layer_measures(found, samples, [(SIDE, SIDE)] * 3, sigma=0.0)


def row(table, layer, tokens):
    return table[(table["layer"] == layer) & (table["tokens"] == tokens)].iloc[0]


def test_measures_of_maps_that_can_be_worked_out_by_hand(table):
    right, wrong, instruction = row(table, 1, "entity"), row(table, 0, "entity"), row(table, 1, "instruction")
    assert right["attention"] == pytest.approx(0.5)
    assert right["concentration"] == pytest.approx(25)
    assert (right["pointing"], right["energy"], right["iou"]) == (1, pytest.approx(1), pytest.approx(1))
    assert (wrong[list(loc.LAYER_MEASURES)] == 0).all()
    assert instruction["attention"] == instruction["pointing"] == 0
    assert (right["area"], right["touched"]) == (pytest.approx(0.04), pytest.approx(0.04))
    assert len(table) == 3 * 3 * 2


def test_token_of_which_nothing_is_left_counts_as_zero():
    emptied = found_at([0], 0)
    emptied.semantic[0, 1] = 0.001  # prefers no place
    assert emptied.maps(0, 0.0)[1].max() == 0
    half = row(loc.layer_measures([emptied], [sample()], [(SIDE, SIDE)], 0.0), 0, "entity")
    assert (half["energy"], half["pointing"]) == (pytest.approx(0.5), 1)


def test_instruction_tokens_are_purified_by_the_others():
    noise = np.stack([peaked(np.s_[0:2, 0:2]), peaked(np.s_[0:2, 0:2]), peaked(np.s_[5:7, 5:7])])
    held_out = localisation.held_out_maps(noise, 0.0)
    for number in range(3):
        others = np.delete(noise, number, 0)
        expected = tad.purify(np.concatenate([others, noise[[number]]]), 2, 0.0)[0]
        np.testing.assert_allclose(held_out[number], expected, atol=1e-6)
    with pytest.raises(ValueError, match="at least two"):
        localisation.held_out_maps(noise[:1], 0.0)


def test_sample_without_boxes_is_refused():
    with pytest.raises(ValueError, match="s0 has no ground-truth boxes"):
        loc.layer_measures([found_at([0], 0)], [sample(boxes=())], [(SIDE, SIDE)], 0.0)


def test_summary_has_wilson_for_pointing_and_contains_the_mean(table):
    pointing = means(table, ["layer", "tokens"], ["pointing"]).set_index(["layer", "tokens"])
    assert pointing.loc[(1, "entity"), "estimate"] == 1 and pointing.loc[(1, "entity"), "low"] < 0.5
    energy = means(table, ["layer", "tokens"], ["energy"])
    assert ((energy["low"] <= energy["estimate"]) & (energy["estimate"] <= energy["high"])).all()
    assert (energy["n"] == 3).all()


def scores_table(values):
    """A table as from `layer_measures`; values[layer] are the samples' scores of the entity tokens."""
    rows = []
    for layer, of_layer in enumerate(values):
        for number, value in enumerate(of_layer):
            who = {"sample_id": f"s{number}", "image_id": f"s{number}", "layer": layer}
            rows += [who | {"tokens": "entity", "energy": value}, who | {"tokens": "instruction", "energy": 0.0}]
    return pd.DataFrame(rows)


def test_groups_are_tested_in_each_layer_with_holm():
    rng = np.random.default_rng(0)
    table = scores_table([rng.normal(1, 0.1, 20), rng.normal(0, 1, 20), np.zeros(20)])
    tests = loc.entity_against_instruction(table, "energy")
    assert tests["p_holm"].tolist() == pytest.approx([3 * tests["p"][0], min(2 * tests["p"][1], 1), 1.0])
    assert tests["p_holm"][0] < 0.001 and tests["p"][2] == 1
    assert tests["difference"][0] == pytest.approx(1, abs=0.1) and (tests["n"] == 20).all()


def test_choice_is_the_highest_mean_and_the_earliest_of_equals():
    assert loc.choose_layer(loc.entity_scores(scores_table([[0.1, 0.1], [0.4, 0.2], [0.3, 0.3]]))) == 1
    assert loc.choose_layer(pd.DataFrame({3: [0.2], 5: [0.7]})) == 5


def test_choices_settle_with_more_samples():
    rng = np.random.default_rng(1)
    calibration = pd.DataFrame({0: rng.normal(0.4, 0.3, 64), 1: rng.normal(0.6, 0.3, 64)})
    test = pd.DataFrame({0: [0.4] * 5, 1: [0.6] * 5})
    sizes = loc.calibration_sizes(64)
    by_size = loc.choices_by_size(calibration, test, sizes, draws=500).set_index("n")
    assert sizes == [1, 2, 4, 8, 16, 32, 64]
    assert by_size.loc[1, "same"] < 0.85 and by_size.loc[64, "same"] > 0.97
    assert by_size.loc[1, "estimate"] < by_size.loc[64, "estimate"] <= 0.6
    assert by_size.loc[1, "estimate"] == pytest.approx(0.4 + 0.2 * by_size.loc[1, "same"])
    with pytest.raises(ValueError, match="different layers"):
        loc.choices_by_size(calibration, test[[1]], [1])


@pytest.mark.parametrize(("n", "sizes"), [(1, [1]), (4, [1, 2, 4]), (60, [1, 2, 4, 8, 16, 32, 60])])
def test_sizes_double_and_end_with_all(n, sizes):
    assert loc.calibration_sizes(n) == sizes


def test_local_maxima_count_the_ends():
    assert loc.local_maxima(pd.Series([3, 1, 2, 5, 4], index=[0, 1, 2, 3, 4])) == [0, 3]
    assert loc.local_maxima(pd.Series([1.0, 2.0], index=[4, 6])) == [6]


def test_published_peaks_are_read_with_their_depths():
    peaks = loc.published_peaks().set_index("model")
    assert peaks.loc["Qwen2.5-VL-7B", "depth"] == pytest.approx(15 / 28)
    assert peaks["layer"].to_dict() == {"Qwen2.5-VL-7B": 15, "InternVL3-8B": 17}


def test_answers_share_a_prefill_and_equal_those_of_separate_runs(tmp_path):
    model = tiny_model("qwen3_vl")
    hide, samples, layers = HiDe(model, None, 1.0, 0.6), [sample("a"), sample("b")], [0, LAYERS - 1]
    methods = named(["direct", "oracle"]) | loc.layer_methods(hide, layers)
    before = model.counts["images"]
    table = evaluate(model, samples, methods, tmp_path / "a.parquet", hide=hide, progress=False)
    assert table["method"].tolist() == ["direct", "oracle", "layer 0", f"layer {LAYERS - 1}"] * 2
    # one prefill a sample, and a compact picture for every answer that found regions, the oracle's among them
    assert model.counts["images"] - before == 2 + int(table["regions"].notna().sum())
    for layer in layers:
        alone = HiDe(model, layer, 1.0, 0.6)(samples[0].image, samples[0].question, samples[0].options, compare=False)
        stored = table[(table["sample_id"] == "a") & (table["method"] == f"layer {layer}")].iloc[0]
        regions = [] if stored["regions"] is None else np.reshape(stored["regions"], (-1, 4)).tolist()
        assert (stored["letter"], regions) == (alone.letter, [list(box) for box in alone.boxes])
    before = sum(model.counts.values())
    evaluate(model, samples, methods, tmp_path / "a.parquet", hide=hide, progress=False)
    assert sum(model.counts.values()) == before, "nothing is run twice"


def test_a_layers_method_can_be_sent_to_a_worker():
    hide, one = HiDe(tiny_model("qwen3_vl"), None, 1.0, 0.6), sample("a")
    method = pickle.loads(pickle.dumps(loc.layer_methods(hide, [1])["layer 1"]))
    session = hide.open(one.image)
    with_its_own = HiDe(hide.model, 1, 1.0, 0.6)
    regions = with_its_own.locate(with_its_own.open(one.image), one.question).regions
    assert method(hide, session, one).regions == tuple(regions)
    assert {settings.layer for _, settings, _ in session.localisations} == {1}, "the run's own layer was not searched"


def test_edited_pictures_use_the_shared_prefill_only_behind_the_original():
    model = tiny_model("qwen3_vl")
    hide, one = HiDe(model, None, 1.0, 0.6), sample("a")
    session = hide.open(one.image)
    before = model.counts["prefills"]
    grey = of_pictures(lambda session, sample: [session.image.convert("L").convert("RGB")])(hide, session, one)
    assert (grey.steps, model.counts["prefills"] - before) == (("pictures",), 1)
    both = of_pictures(lambda session, sample: [session.image, session.image.rotate(90)])(hide, session, one)
    alone = HiDe(model, reuse_prefix=False).open(one.image)
    again = alone.answer_from([alone.image, alone.image.rotate(90)], one.question, one.options)
    assert both.steps == ("prefill", "pictures") and both.reply.ids == again.ids
    layout = of_regions(lambda *_: [(0, 0, 28, 28)], lambda image, regions: image.crop(regions[0]), ("prefill",))
    assert layout(hide, session, one).regions == ((0, 0, 28, 28),)
