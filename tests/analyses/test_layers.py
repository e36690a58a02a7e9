import pickle

import numpy as np
import pandas as pd
import pytest
from checkpoints import LAYERS, tiny_model
from model_helpers import picture

from hide_utils.analyses import layers as layerwise
from hide_utils.evaluation.layer_measures import ALPHAS, WORDS, measure_layers, word_places
from hide_utils.evaluation.loop import evaluate
from hide_utils.method.hide import HiDe
from hide_utils.method.session import SearchAttention, Session
from hide_utils.samples import Sample
from hide_utils.scenes.world import Thing

SIDE = 160
BOX = (16.0, 16.0, 48.0, 48.0)  # of 160 pixels: cells 2 to 5 of 20, 4 % of the area


def sample(name="s0", boxes=(BOX,), entities=("red star",), things=None):
    shown = picture(84, 84)
    asked = ["star", "dog"], "A", "drawn", lambda: shown, list(boxes), list(entities)
    return Sample(name, "What is red?", *asked, things=things)


def peaked(cells, side=20):
    """A row whose attention to the picture lies in the given (rows, columns) alone."""
    row = np.zeros((side, side), np.float32)
    row[cells] = 0.5 / row[cells].size
    return row


INSIDE, AWAY = peaked(np.s_[2:6, 2:6]), peaked(np.s_[12:16, 12:16])


class Rows(Session):
    """A session whose rows are given: entities look into the box at one layer, and the first token at another."""

    def __init__(self, layers, good, first):
        self.layers, self.good, self.first = layers, good, first
        self.images = (picture(SIDE, SIDE),)

    def search(self, entities, layers):
        left = np.stack([peaked(np.s_[i : i + 3, :]) for i in range(8, 12)])
        words = [word for name in entities.names for word in name.split()]
        at = {layer: [INSIDE if layer == self.good else AWAY] * len(words) for layer in self.layers}
        semantic = np.stack([np.stack(at[layer]) for layer in self.layers])
        if "with" in words:  # at the good layer, only nouns and values look into the box
            semantic[:, [i for i, word in enumerate(words) if word in ("with", "color")]] = AWAY
        return SearchAttention(tuple(layers), tuple(words), np.stack([left] * len(self.layers)), semantic)

    def rows_of_last(self, text, layers):
        return np.stack([INSIDE if layer == self.first else AWAY for layer in self.layers])


def measured(good=1, first=2, things=None, layers=(0, 1, 2)):
    return measure_layers(HiDe(tiny_model("qwen3_vl")), Rows(layers, good, first), sample(things=things), layers, 0.0)


def test_measures_of_rows_that_can_be_worked_out_by_hand():
    found = measured()
    worth, first = np.array(found["worth_entity"]), np.array(found["worth_first"])
    assert worth.shape == (3, len(ALPHAS))
    np.testing.assert_allclose(worth[1], 1 - 0.04, atol=1e-5)  # all of the box, for 4 % of the picture
    assert (worth[[0, 2]] < 0).all(), "the regions lie elsewhere"
    assert (first[2] == worth[1]).all() and (first[:2] < 0).all()
    assert found["auc_entity"][1] == 1 and found["auc_entity"][0] < 0.5
    assert found["auc_first"].index(1) == 2
    assert found["auc_noun"] is None, "nothing is known about the things"


def test_words_are_held_against_their_own_things():
    box = tuple(map(int, BOX))
    found = measured(things=[Thing("star", "red", box)])
    assert [found[f"auc_{word}"][1] == 1 for word in WORDS] == [True, False, True, False]
    with pytest.raises(ValueError, match="true boxes or reference entities"):
        measure_layers(HiDe(tiny_model("qwen3_vl")), Rows((0,), 0, 0), sample(boxes=()), (0,), 0.0)


def test_words_of_several_tokens_and_of_several_names():
    names = ["star with red color", "dog with blue color"]
    tokens = ["st", "ar", "with", "red", "color", "dog", "with", "bl", "ue", "color"]
    assert word_places(tokens, names) == [[[0, 1], [2], [3], [4]], [[5], [6], [7, 8], [9]]]
    with pytest.raises(ValueError, match="do not spell 'star'"):
        word_places(["sta", "rfish"], names)
    with pytest.raises(ValueError, match="do not spell 'color'"):
        word_places(tokens[:4], names[:1])


def test_rows_of_a_model_are_measured_at_the_layers_that_are_asked_for():
    model = tiny_model("qwen3_vl")
    hide, one = HiDe(model, None, 1.0, 0.6), sample(things=[Thing("dog", "red", (16, 16, 48, 48))])
    found = measure_layers(hide, hide.open(one.image), one, (1, LAYERS - 1), 1.0)
    assert found["layers"] == [1, LAYERS - 1]
    assert all(0 <= value <= 1 for name, of in found.items() if name.startswith("auc") for value in of)
    rows = layerwise.maps_by_layer(layerwise.rows_of(hide, one, [1]), 1.0)
    assert [maps.shape[0] for kind in rows for maps in kind.values()] == [1, 1, 1]


def table(worths, layers=None):
    """Measures in which the worth at α 0.2 is worths[sample][layer], and less at the other thresholds."""
    layers = layers or list(range(len(worths[0])))
    rows = [
        {"layers": layers, "alphas": [0.1, 0.2, 0.3], "worth_entity": [[v - 0.2, v, v - 0.1] for v in of_sample]}
        for of_sample in worths
    ]
    who = [f"s{number}" for number in range(len(rows))]
    return pd.DataFrame(rows).assign(sample_id=who, image_id=who)


def test_choice_is_the_highest_mean_and_the_earliest_of_equals():
    choice = layerwise.choose(table([[0.1, 0.4, 0.3], [0.1, 0.2, 0.3]]))
    assert (choice.layer, choice.alphas) == (1, {0: 0.2, 1: 0.2, 2: 0.2})
    assert choice.worths == pytest.approx({0: 0.1, 1: 0.3, 2: 0.3})
    assert choice.best_of([0, 2]) == 2
    assert layerwise.choose(table([[0.2, 0.7]], [3, 5])).layer == 5
    worth = layerwise.worth_by_layer(table([[0.2, 0.7]], [3, 5]), layerwise.choose(table([[0.2, 0.7]], [3, 5])))
    assert worth[["layer", "worth", "tokens"]].values.tolist() == [[3, 0.2, "entity"], [5, 0.7, "entity"]]


@pytest.mark.parametrize(
    ("n", "parts"),
    [(12, (range(4), range(4, 8), range(8, 12))), (28, (range(9), range(9, 19), range(19, 28))), (2, ([0], [], [1]))],
)
def test_thirds_are_told_by_the_middles_of_layers(n, parts):
    assert layerwise.thirds(range(n), n) == tuple(map(list, parts))


def peaks(means, noise=0.05, n=60):
    rng = np.random.default_rng(0)
    test = table((np.array(means) + noise * rng.standard_normal((n, len(means)))).tolist())
    choice = layerwise.choose(table([list(means)] * 2))
    return layerwise.peak(layerwise.worth_by_layer(test, choice), choice, len(means))


def test_a_peak_in_the_middle_has_to_beat_both_outer_thirds():
    (card,) = peaks([0.2, 0.3, 0.9, 0.5, 0.7, 0.1])
    assert not card.refuted and card.estimate == pytest.approx(0.2, abs=0.03), "the nearer of the two"
    (card,) = peaks([0.2, 0.9, 0.89, 0.5, 0.3, 0.1])
    assert card.refuted and card.estimate < 0.02, "layer 2 of 6 lies in an outer third"
    assert layerwise.findings.corrected([card])[0].holds is False
    (card,) = peaks([0.2, 0.88, 0.9, 0.5, 0.3, 0.1], noise=0.3)
    assert not card.refuted and card.p > 0.05, "one difference is not shown, however clear the other is"
    assert peaks([0.5, 0.6]) == [], "no layer lies in the middle third"


def answers(right):
    rows = [(f"s{i}", f"layer {layer}", i < n) for layer, n in right.items() for i in range(10)]
    return pd.DataFrame(rows, columns=["sample_id", "method", "correct"])


def test_the_layer_to_compare_with_is_the_best_for_answers_or_the_second_best():
    choice = layerwise.Choice(2, dict.fromkeys((1, 2, 3), 0.4), {1: 0.1, 2: 0.9, 3: 0.5})
    assert layerwise.rival(answers({1: 3, 2: 5, 3: 7}), choice) == (3, "another layer")
    assert layerwise.rival(answers({1: 3, 2: 9, 3: 7}), choice) == (3, "same layer")
    assert layerwise.rival(answers({1: 9, 2: 9, 3: 7}), choice) == (1, "another layer"), "the earliest of equals"
    assert {"same layer", "another layer"} <= set(layerwise.CLAIMS)


def test_words_are_compared_with_their_noun_at_one_layer():
    rng = np.random.default_rng(1)
    level = {"noun": 0.9, "with": 0.6, "value": 0.9, "property": 0.99}
    values = {f"auc_{w}": [[0.5, v] for v in level[w] + 0.01 * rng.standard_normal(40)] for w in WORDS}
    names = [f"s{i}" for i in range(40)]
    measures = pd.DataFrame({"sample_id": names, "image_id": names, "layers": [[4, 7]] * 40, **values})
    cards = layerwise.word_cards(layerwise.auc_by_layer(measures, WORDS), 7)
    assert [round(card.estimate, 1) for card in cards] == [-0.3, 0.0, 0.1]
    assert [card.holds for card in layerwise.findings.corrected(cards)] == [True, False, False]
    bare = measures.assign(**{name: None for name in values})
    assert layerwise.word_cards(layerwise.auc_by_layer(bare, WORDS), 7) == []


def test_choices_settle_with_more_samples():
    rng = np.random.default_rng(1)
    worths = np.stack([rng.normal(0.4, 0.3, 64), rng.normal(0.6, 0.3, 64)], 1)
    choice = layerwise.Choice(1, {0: 0.2, 1: 0.2}, {})
    calibration, test = (layerwise.worth_by_layer(table(v), choice) for v in (worths.tolist(), [[0.4, 0.6]] * 5))
    by_size = layerwise.choices_by_size(calibration, test, draws=500).set_index("n")
    assert by_size.index.tolist() == [1, 2, 4, 8, 16, 32, 64]
    assert by_size.loc[1, "same"] < 0.85 and by_size.loc[64, "same"] > 0.97
    assert by_size.loc[1, "estimate"] == pytest.approx(0.4 + 0.2 * by_size.loc[1, "same"])
    assert layerwise.choices_by_size(calibration[calibration["sample_id"] == "s0"], test)["n"].tolist() == [1]


def test_published_peaks_are_read_with_their_depths():
    found = layerwise.published_peaks().set_index("model")
    assert found.loc["Qwen2.5-VL-7B", "depth"] == pytest.approx(15 / 28)
    assert found["layer"].to_dict() == {"Qwen2.5-VL-7B": 15, "InternVL3-8B": 17}


def test_answers_share_a_prefill_and_equal_those_of_separate_runs(tmp_path):
    model = tiny_model("qwen3_vl")
    hide, samples, alphas = HiDe(model, None, 1.0, 0.6), [sample("a"), sample("b")], {0: 0.6, LAYERS - 1: 0.3}
    methods = layerwise.layer_methods(hide, alphas, also=["direct", "oracle"])
    before = model.counts["images"]
    found = evaluate(model, samples, methods, tmp_path / "a.parquet", hide=hide, progress=False)
    assert found["method"].tolist() == ["direct", "oracle", "layer 0", f"layer {LAYERS - 1}"] * 2
    # one prefill a sample, and a compact picture for every answer that found regions, the oracle's among them
    assert model.counts["images"] - before == 2 + int(found["regions"].notna().sum())
    for layer, alpha in alphas.items():
        alone = HiDe(model, layer, 1.0, alpha)(samples[0].image, samples[0].question, samples[0].options, compare=False)
        stored = found[(found["sample_id"] == "a") & (found["method"] == f"layer {layer}")].iloc[0]
        regions = [] if stored["regions"] is None else np.reshape(stored["regions"], (-1, 4)).tolist()
        assert (stored["letter"], regions) == (alone.letter, [list(box) for box in alone.boxes])
    before = sum(model.counts.values())
    evaluate(model, samples, methods, tmp_path / "a.parquet", hide=hide, progress=False)
    assert sum(model.counts.values()) == before, "nothing is run twice"
    accuracies = layerwise.by_layer(pd.DataFrame({"method": list(methods)}))
    assert accuracies["layer"].tolist()[2:] == [0, LAYERS - 1] and accuracies["layer"][:2].isna().all()


def test_a_layers_method_can_be_sent_to_a_worker():
    hide, one = HiDe(tiny_model("qwen3_vl"), None, 1.0, 0.6), sample("a")
    method = pickle.loads(pickle.dumps(layerwise.layer_methods(hide, {1: 0.6})["layer 1"]))
    session = hide.open(one.image)
    with_its_own = HiDe(hide.model, 1, 1.0, 0.6)
    regions = with_its_own.locate(with_its_own.open(one.image), one.question).regions
    assert method(hide, session, one).regions == tuple(regions)
    assert {settings.layer for _, settings, _ in session.localisations} == {1}, "the run's own layer was not searched"
