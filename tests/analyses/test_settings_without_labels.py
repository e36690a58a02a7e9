"""Settings without labels: statistics on maps whose answer is known, choices, and regret against hand-made tables."""

import numpy as np
import pandas as pd
import pytest

from hide_utils.analyses import settings_without_labels as unsupervised
from hide_utils.analyses.settings_without_labels import (
    SETTING,
    contrast,
    kappa,
    label_free,
    labelled,
    nearest,
    statistics,
    token_owners,
)
from hide_utils.method.session import SearchAttention
from hide_utils.samples import Sample


def test_kappa_of_known_masks():
    a = np.array([1, 1, 0, 0], bool)
    assert kappa(a, a) == 1 and kappa(a, ~a) == -1
    assert kappa(a, np.array([1, 0, 1, 0], bool)) == 0  # what chance gives
    assert kappa(np.ones(4, bool), np.ones(4, bool)) == 0  # says nothing


def test_contrast_of_known_maps():
    flat = np.zeros((1, 3, 10), np.float32)
    flat[0, 0, 0] = 1.0  # one cell of ten holds everything
    flat[0, 1] = 1.0  # all cells alike
    assert contrast(flat, 0.5)[0].tolist() == pytest.approx([0.9, 0.0, 0.0])


def test_tokens_belong_to_the_entity_they_spell():
    names = ["star with red color", "tent"]
    assert token_owners(["star", "with", "red", "color", "tent"], names) == [0, 0, 0, 0, 1]
    assert token_owners(["st", "ar", "with", "red", "col", "or", "ri", "ng"], names) == [0] * 6 + [1] * 2
    assert token_owners(["other", "words"], names) == [0, 0]
    assert token_owners(["star"], []) == [0]


def rows(pointing_layer, seed):
    """Two layers of noise; at one of them both tokens of the only entity point at the same place."""
    rng = np.random.default_rng(seed)
    noise, semantic = rng.random((2, 4, 12, 12)), rng.random((2, 2, 12, 12))
    y, x = rng.integers(2, 9, 2)
    semantic[pointing_layer, :, y : y + 2, x : x + 2] += 4
    return SearchAttention((0, 1), ("red", "star"), noise.astype(np.float32), semantic.astype(np.float32))


@pytest.mark.parametrize("layer", [0, 1])
def test_the_rule_finds_the_layer_that_points(layer):
    samples = [Sample(f"s{i}", "?", ["a", "b"], "A", "k", lambda: None, entities=["red star"]) for i in range(6)]
    table = statistics([rows(layer, i) for i in range(6)], samples)
    assert len(table) == 6 * 2 * len(unsupervised.SIGMAS) * len(unsupervised.ALPHAS)
    assert np.isfinite(table[list(unsupervised.STATISTICS)]).all(axis=None)
    chosen = label_free(table)
    assert set(chosen) == {*unsupervised.STATISTICS, unsupervised.COMBINED}
    assert chosen[unsupervised.RULE][0] == chosen["tokens agree"][0] == layer


def quality(shift=0.0):
    """IoU is highest at layer 1, sigma 1, alpha 0.5, by 0.2 over every other setting."""
    table = []
    for i in range(5):
        for layer in (0, 1):
            for sigma in (0.0, 1.0):
                for alpha in (0.5, 0.9):
                    best = (layer, sigma, alpha) == (1, 1.0, 0.5)
                    table.append((f"s{i}", layer, sigma, alpha, 0.3 + 0.2 * best + 0.01 * i + shift))
    return pd.DataFrame(table, columns=["sample_id", *SETTING, "iou"])


def test_choice_by_true_boxes_and_regret():
    table = quality()
    best = labelled(table)
    assert best == (1, 1.0, 0.5)
    lost = unsupervised.regret(table, (0, 0.0, 0.9), best)
    assert (lost.estimate, lost.low, lost.high) == pytest.approx((0.2,) * 3) and lost.n == 5
    assert unsupervised.regret(table, best, best).estimate == 0
    assert unsupervised.regret(table, None, best).estimate == pytest.approx(0.2 * 7 / 8)
    assert nearest((5, 3.0, 0.6), table) == (1, 1.0, 0.5)


def test_regrets_and_transfer_of_every_set():
    test = {"a": quality(), "b": quality(0.1)}
    best = {"a": (1, 1.0, 0.5), "b": (0, 0.0, 0.5)}
    table = unsupervised.regrets(test, best, {name: {"rule": (0, 0.0, 0.9)} for name in test})
    own = table[table["rule"] == "rule"].set_index("domain")["regret"]
    assert own.to_dict() == pytest.approx({"a": 0.2, "b": 0.0})
    assert set(table["rule"]) == {"rule", "any setting of the grid"}
    moved = unsupervised.transfer(test, best).set_index(["chosen_on", "used_on"])["regret"]
    assert moved["a", "a"] == moved["b", "b"] == 0
    assert moved["b", "a"] == pytest.approx(0.2) and moved["a", "b"] == pytest.approx(-0.2)
    table = unsupervised.transfer(test, best)
    assert table["p"].isna().sum() == 2 and (table["p_holm"].dropna() >= table["p"].dropna()).all()
    assert table["p"].dropna().tolist() == pytest.approx([2 / 2**5] * 2, abs=0.01)  # all five differ by the same
