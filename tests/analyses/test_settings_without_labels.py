"""Settings without labels: statistics on maps whose answer is known, choices and cards on hand-made measures."""

import numpy as np
import pandas as pd
import pytest

from hide_utils import HiDe, load_benchmark, load_model
from hide_utils.analyses import settings_without_labels as unlabelled
from hide_utils.analyses.settings_without_labels import (
    RULE,
    RULES,
    STATISTICS,
    SettingsConfig,
    contrast,
    kappa,
    statistics,
    token_owners,
)
from hide_utils.evaluation.calibration import sweep_settings
from hide_utils.method.session import SearchAttention


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


SIGMAS, ALPHAS = (0.0, 1.0), (0.3, 0.5, 0.9)
GRID = [(layer, sigma, alpha) for layer in (0, 1) for sigma in SIGMAS for alpha in ALPHAS]


def rows(pointing_layer, seed):
    """Two layers of noise; at one of them both tokens of the only entity point at the same place."""
    rng = np.random.default_rng(seed)
    noise, semantic = rng.random((2, 4, 12, 12)), rng.random((2, 2, 12, 12))
    y, x = rng.integers(2, 9, 2)
    semantic[pointing_layer, :, y : y + 2, x : x + 2] += 4
    return SearchAttention((0, 1), ("red", "star"), noise.astype(np.float32), semantic.astype(np.float32))


def measures(best=(1, 1.0, 0.5), n=8, unlabelled_too=True):
    """Regions at one setting are better by 0.2 than at every other; all statistics prefer the last setting."""
    values = {"sample_id": [f"s{i}" for i in range(n)], "image_id": [f"p{i}" for i in range(n)]}
    for name in ("worth", "iou"):
        values[name] = [[0.3 + 0.2 * (one == best) + 0.01 * i for one in GRID] for i in range(n)]
    if unlabelled_too:
        values |= {name: [list(range(len(GRID)))] * n for name in STATISTICS}
    return pd.DataFrame(values)


@pytest.mark.parametrize("layer", [0, 1])
def test_the_rule_finds_the_layer_that_points(layer):
    found = [statistics(rows(layer, i), ["red star"], SIGMAS, ALPHAS) for i in range(6)]
    assert all(one[name].shape == (2, 2, 3) and np.isfinite(one[name]).all() for one in found for name in STATISTICS)
    table = pd.DataFrame({name: [one[name].ravel().tolist() for one in found] for name in STATISTICS})
    table["worth"] = table["iou"] = [[0.0] * len(GRID)] * 6
    chosen = unlabelled.choices(unlabelled.setting_means(table, GRID), 2)
    assert set(chosen) == {"calibrated", "published", *RULES}
    assert chosen[RULE][0] == chosen["tokens agree"][0] == layer


def test_true_boxes_choose_the_best_setting_and_statistics_their_own():
    means = unlabelled.setting_means(measures(), GRID)
    chosen = unlabelled.choices(means, 28)
    assert chosen["calibrated"] == (1, 1.0, 0.5) and chosen["published"] == (14, 3.0, 0.7)
    assert {chosen[rule] for rule in RULES} == {(1, 1.0, 0.9)}
    without = unlabelled.setting_means(measures(unlabelled_too=False), GRID)
    assert not {*RULES} & set(without)
    assert unlabelled.said((8, 0.75, 0.4)) == "layer 9, σ 0.75, α 0.4"  # layers are counted from 1


def test_cards_say_what_a_choice_loses():
    chosen = {"calibrated": (1, 1.0, 0.5), "published": (0, 0.0, 0.3)} | dict.fromkeys(RULES, (0, 0.0, 0.9))
    table = unlabelled.at_settings(measures(), GRID, chosen)
    cards = {card.claim: card for card in unlabelled.map_cards(table, "calibrated")}
    assert len(cards) == len(RULES) + 1 and {card.n for card in cards.values()} == {8}
    assert [card.estimate for card in cards.values()] == pytest.approx([-0.2] * len(cards))
    assert cards[f"{RULE} against calibrated, IoU"].unit == "IoU"
    assert set(unlabelled.labels(cards.values(), chosen)) == set(cards)
    label = unlabelled.labels(cards.values(), chosen)[f"{RULE} against calibrated, IoU"]
    assert label == f"{RULE} (layer 1, σ 0, α 0.9) against calibrated"
    (card, _) = unlabelled.map_cards(table, "any setting", [RULE])
    assert card.estimate == pytest.approx(-0.2 / len(GRID))
    assert unlabelled.map_cards(table, "published", [RULE])[0].estimate == pytest.approx(0.0)


def test_transfer_compares_with_the_choice_of_the_place_where_it_is_used():
    tests = {512: measures(), 1024: measures((0, 0.0, 0.3))}
    best = {512: (1, 1.0, 0.5), 1024: (0, 0.0, 0.3)}
    cards = unlabelled.transfer_cards(tests, GRID, best)
    assert [card.claim for card in cards] == ["1024 px to 512 px", "512 px to 1024 px"]
    assert [card.estimate for card in cards] == pytest.approx([-0.2, -0.2])
    said = [text.get_text() for text in unlabelled.transfer_figure(cards).axes[0].texts]
    assert said.count("its own") == 2 and len(said) == 4
    assert unlabelled.transfer_cards({512: measures()}, GRID, {512: best[512]}) == []


def test_answers_of_equal_settings_are_shared():
    hide = HiDe(load_model("mini", device="cpu", dtype="float32"))
    chosen = {"calibrated": (8, 0.75, 0.4), "published": (5, 3.0, 0.7)} | dict.fromkeys(RULES, (8, 0.75, 0.4))
    methods = unlabelled.setting_methods(hide, chosen)
    assert list(methods) == ["direct", "layer 8 sigma 0.75 alpha 0.4", "layer 5 sigma 3 alpha 0.7"]
    settings = methods["layer 5 sigma 3 alpha 0.7"].keywords["settings"]
    assert (settings.layer, settings.sigma, settings.alpha) == (5, 3.0, 0.7)
    right = {"direct": [0] * 4, "layer 8 sigma 0.75 alpha 0.4": [1, 1, 1, 0], "layer 5 sigma 3 alpha 0.7": [1, 0, 0, 0]}
    parts = [pd.DataFrame({"sample_id": list("abcd"), "method": name, "correct": v}) for name, v in right.items()]
    cards = {card.claim: card for card in unlabelled.answer_cards(pd.concat(parts), chosen)}
    assert cards[f"{RULE} against calibrated, answers"].estimate == 0
    assert cards[f"{RULE} against published, answers"].estimate == pytest.approx(50)


def test_measures_of_a_picture_stand_in_the_order_of_the_grid():
    hide = HiDe(load_model("mini", device="cpu", dtype="float32"))
    (sample,) = load_benchmark("scenes", split="calibration", n=1, resolution=256)
    grid = unlabelled.grid_of(hide, SettingsConfig(sigmas=(1.0,), alphas=(0.3,)))
    assert len(grid) == hide.model.n_layers * 2 * 2 and (5, 3.0, 0.7) in grid
    session = hide.open(sample.image)
    found = unlabelled.grid_measures([1.0, 3.0], [0.3, 0.7], True, hide, session, sample)
    assert set(found) == {"worth", "iou", *STATISTICS} and {len(v) for v in found.values()} == {len(grid)}
    rows_of = session.search(unlabelled.given_entities(sample.entities), [5])
    (alone,) = sweep_settings([rows_of], [sample], [session.image.size], [3.0], [0.7]).itertuples()
    at = grid.index((5, 3.0, 0.7))
    assert found["iou"][at] == pytest.approx(alone.iou, abs=6e-4)
    assert found["worth"][at] == pytest.approx(alone.recall50 - alone.area, abs=6e-4)
    of_one = statistics(
        session.search(unlabelled.given_entities(sample.entities), range(12)), sample.entities, [3.0], [0.7]
    )
    assert found[RULE][at] == pytest.approx(of_one[RULE][5, 0, 0], abs=6e-4)
