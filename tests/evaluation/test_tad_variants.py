"""Variants of TAD: each is what its name says, and its regions are those that are answered from."""

from functools import partial

import numpy as np
import pytest
from checkpoints import FAMILIES, tiny_model
from made_rows import BOX, SIDE, made_rows, sample

from hide_utils import HiDe
from hide_utils.evaluation import localisation, tad_variants
from hide_utils.evaluation.keys import described
from hide_utils.evaluation.tad_variants import LearnedPrior, Rows, Variant
from hide_utils.method import given_entities, lpd, tad
from hide_utils.prompts import CONTENT_FREE

SIGMA = 1.0


def test_each_variant_is_what_its_name_says():
    rows = made_rows()
    every = np.concatenate([rows.noise, rows.semantic])
    np.testing.assert_array_equal(tad_variants.tad_maps(rows, SIGMA), tad.purify(every, 2, SIGMA))
    np.testing.assert_array_equal(tad_variants.unpurified(rows, SIGMA), tad.purify(rows.semantic, 0, SIGMA))
    one = np.concatenate([rows.noise, rows.semantic.mean(0, keepdims=True)])
    np.testing.assert_array_equal(tad_variants.mean_map(rows, SIGMA), tad.purify(one, 2, SIGMA))
    ratio = tad.smooth(rows.semantic, SIGMA) / tad.smooth(rows.content_free, SIGMA)
    np.testing.assert_allclose(tad_variants.content_free_ratio(rows, SIGMA), tad.minmax(ratio), atol=1e-5)


def test_weight_runs_from_no_prior_to_more_than_hides():
    rows = made_rows()
    none, whole, half = (tad_variants.tad_maps(rows, SIGMA, weight) for weight in (0, 1, 0.5))
    np.testing.assert_allclose(none, tad_variants.unpurified(rows, SIGMA), atol=1e-6)
    np.testing.assert_array_equal(whole, tad_variants.tad_maps(rows, SIGMA))
    assert (whole == 0).sum() > (half == 0).sum() > (none == 0).sum()


def test_masked_sinks_have_nothing_left_and_other_cells_are_as_they_were():
    noise, semantic = np.zeros((2, 20, 20), np.float32), np.full((1, 20, 20), 0.001, np.float32)
    noise[:, 0, :4] = 1.0
    semantic[0, 0, :4], semantic[0, 10, 10] = 0.9, 0.3
    maps = tad_variants.sinks_masked(Rows(("a",), noise, semantic, lambda: noise[0]), 0.0, 0.01)
    assert not maps[0, 0, :4].any() and maps[0, 10, 10] == 1, "the sink would have been the peak"


def test_content_free_prompt_is_run_when_it_is_asked_for_and_once():
    runs = []
    rows = Rows(("a",), *np.ones((2, 1, 4, 4), np.float32), lambda: runs.append(0) or np.ones((4, 4), np.float32))
    tad_variants.tad_maps(rows, 0.0)
    assert not runs
    tad_variants.content_free_ratio(rows, 0.0)
    tad_variants.content_free_ratio(rows, 0.0)
    assert runs == [0]


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_are_those_of_the_search(family):
    hide, one = HiDe(tiny_model(family), 1), sample(entities=("dog", "red star"))
    session = hide.open(one.image)
    rows = tad_variants.read_rows(hide, session, one)
    found = session.search(given_entities(["dog", "red star"]), [1])
    np.testing.assert_array_equal(rows.semantic, found.semantic[0])
    np.testing.assert_array_equal(rows.noise, found.noise[0])
    np.testing.assert_array_equal(rows.content_free, session.rows_of_last(CONTENT_FREE, [1])[0])
    few = tad_variants.read_rows(hide, session, one, [(1, 1), (3, 0)])
    apart = session.search(given_entities(["dog", "red star"]), [1, 3], heads=True)
    wanted = (apart.semantic_heads[0, 1] + apart.semantic_heads[1, 0]) / 2
    np.testing.assert_allclose(few.semantic, wanted, atol=1e-6)
    assert np.abs(few.semantic - rows.semantic).max() > 1e-4


def test_learned_prior_is_the_mean_of_other_pictures_and_known_by_them():
    hide, others = HiDe(tiny_model("qwen3_vl"), 1, SIGMA), [sample("a"), sample("b", side=112)]
    prior = LearnedPrior(hide, others)
    noises = [tad_variants.read_rows(hide, hide.open(one.image), one).noise for one in others]
    wanted = localisation.average_prior([tad.noise_prior(noise, SIGMA) for noise in noises], (5, 7))
    before = described(partial(tad_variants.learned, sigma=SIGMA, prior=prior))
    np.testing.assert_array_equal(prior.on((5, 7)), wanted)
    assert described(partial(tad_variants.learned, sigma=SIGMA, prior=prior)) == before, "captured or not"
    fewer = partial(tad_variants.learned, sigma=SIGMA, prior=LearnedPrior(hide, others[:1]))
    assert described(fewer) != before
    rows = made_rows(side=7)
    rows.semantic = rows.semantic[:, :5]
    wanted = tad.subtract_prior(tad.minmax(tad.smooth(rows.semantic, SIGMA)), wanted)
    np.testing.assert_array_equal(tad_variants.learned(rows, SIGMA, prior), wanted)


def test_settings_are_measured_on_the_regions_that_are_answered_from():
    hide, one = HiDe(tiny_model("qwen3_vl"), 1, SIGMA, 0.6), sample(boxes=[(8.0, 8.0, 40.0, 40.0)])
    whole = hide(one.image, one.question, one.options, one.entities, compare=False)
    tad_as_it_is = Variant(partial(tad_variants.tad_maps, sigma=SIGMA))
    few = Variant(tad_as_it_is.maps, ((0, 1),))
    session = hide.open(one.image)
    assert tad_variants.find_regions(tad_as_it_is, 0.6, hide, session, one) == list(whole.boxes)
    candidates = {"TAD": {"": tad_as_it_is}, "heads": {"1 heads": few}}
    measured = tad_variants.measure_settings(candidates, (0.3, 0.6), hide, session, one)
    assert [np.shape(values) for values in measured.values()] == [(2, 2)] * 3
    for number, variant in enumerate((tad_as_it_is, few)):
        regions = tad_variants.find_regions(variant, 0.6, hide, session, one)
        quality = localisation.box_quality(regions, one.boxes_xyxy, session.image.size)
        assert {name: of[number][1] for name, of in measured.items()} == pytest.approx(quality, abs=1e-5)


def test_regions_of_a_row_that_looks_into_the_box_are_the_box():
    semantic = np.zeros((1, 20, 20), np.float32)
    semantic[0, 2:6, 2:6] = 1.0
    maps = tad_variants.unpurified(Rows(("a",), semantic, semantic, lambda: semantic[0]), 0.0)
    assert lpd.regions_of(maps, 0.5, (SIDE, SIDE)) == [tuple(int(edge) for edge in BOX)]
