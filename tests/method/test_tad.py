"""Purified maps and localisation measures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from hide_utils.baselines import published
from hide_utils.evaluation import localisation
from hide_utils.method import tad

BOX = [(0.25, 0.25, 0.75, 0.5)]
ROWS = arrays(
    np.float32, st.tuples(st.integers(3, 6), st.integers(1, 7), st.integers(1, 7)), elements=st.floats(0, 1, width=32)
)


def plain_purify(attention, n_noise, sigma):
    """The definition, one token at a time."""

    def scale(m):
        return (m - m.min()) / (m.max() - m.min())

    maps = [scale(ndimage.gaussian_filter(row, sigma)) for row in attention]
    return np.stack([scale(np.clip(m - np.mean(maps[:n_noise], axis=0), 0, None)) for m in maps[n_noise:]])


def rows(n=12, h=9, w=13):
    return np.random.default_rng(0).random((n, h, w)).astype(np.float32)


@pytest.mark.parametrize("sigma", [0, 0.7, 3.0])
def test_equals_the_definition(sigma):
    np.testing.assert_allclose(tad.purify(rows(), 8, sigma), plain_purify(rows(), 8, sigma), atol=2e-6)


@given(ROWS, st.integers(0, 3), st.sampled_from([0, 0.5, 2.0]))
@settings(max_examples=40)
def test_maps_lie_in_0_1_and_reach_1_or_are_empty(attention, n_noise, sigma):
    maps = tad.purify(attention, n_noise, sigma)
    assert maps.shape == (len(attention) - n_noise, *attention.shape[1:]) and maps.dtype == np.float32
    assert maps.min(initial=0) >= 0 and maps.max(initial=1) <= 1
    assert set(maps.max((1, 2))) <= {0, 1}


@given(ROWS, st.floats(1e-6, 1e3))
@settings(max_examples=30)
def test_the_scale_of_the_attention_does_not_matter(attention, factor):
    attention = np.round(attention, 2)  # otherwise a span of one unit in the last place is flat at one scale only
    np.testing.assert_allclose(tad.purify(attention * np.float32(factor), 2, 0), tad.purify(attention, 2, 0), atol=1e-3)


def test_tokens_do_not_influence_each_other():
    attention = rows()
    np.testing.assert_array_equal(tad.purify(attention[:10], 8), tad.purify(attention, 8)[:2])


def test_no_noise_rows_subtract_nothing():
    attention = rows(3)
    np.testing.assert_array_equal(tad.purify(attention, 0, 1.0), tad.minmax(tad.smooth(attention, 1.0)))


def test_a_token_like_the_noise_is_empty():
    attention = np.repeat(rows(1), 12, axis=0)
    assert not tad.purify(attention, 11, 2.0).any()  # the mean of 11 equal maps differs from them by rounding


@pytest.mark.parametrize("sigma", [0, 3.0])
def test_flat_rows_are_empty_not_nan(sigma):
    assert not tad.purify(np.full((4, 6, 6), 0.1, np.float32), 2, sigma).any()
    assert not tad.purify(np.zeros((4, 6, 6)), 2, sigma).any()
    mixed = np.concatenate([np.full((2, 6, 6), 0.1), rows(2, 6, 6)])
    assert tad.purify(mixed, 2, sigma).max((1, 2)).tolist() == [1, 1]


def test_one_cell_grid():
    assert tad.purify(rows(4, 1, 1), 2).tolist() == [[[0]], [[0]]]


def test_only_noise_rows_give_no_maps():
    assert tad.purify(rows(8), 8).shape == (0, 9, 13)


def test_prior_as_high_as_the_maps_leaves_nothing():
    scaled = tad.minmax(tad.smooth(rows()[8:], 2.0))
    assert not tad.subtract_prior(scaled, np.ones((9, 13), np.float32)).any()
    with pytest.raises((TypeError, ValueError), match="prior"):
        tad.subtract_prior(scaled, np.ones((3, 3), np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_are_named(bad):
    attention = rows()
    attention[3, 2, 2] = attention[9, 0, 0] = bad
    with pytest.raises(ValueError, match=r"rows \[3, 9\] hold NaN or infinity"):
        tad.purify(attention)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sigma": -1.0}, "sigma=-1.0"),
        ({"sigma": np.nan}, "sigma"),
        ({"n_noise": 13}, "n_noise=13"),
        ({"n_noise": -1}, "n_noise"),
    ],
)
def test_settings_out_of_range(changes, message):
    with pytest.raises(ValueError, match=message):
        tad.purify(rows(), **changes)


def test_wrong_shape_is_refused():
    with pytest.raises((TypeError, ValueError)):
        tad.purify(rows()[0])
    with pytest.raises(ValueError, match="h and w at least 1"):
        tad.purify(np.zeros((9, 0, 4), np.float32))


def test_average_prior_resizes():
    left = np.zeros((4, 4), np.float32)
    left[:, :2] = 1
    prior = localisation.average_prior([left, np.zeros((7, 3), np.float32)], (8, 6))
    assert prior.shape == (8, 6)
    np.testing.assert_allclose(prior[:, 0], 0.5, atol=1e-6)
    np.testing.assert_allclose(prior[:, -1], 0, atol=1e-6)


def test_relative_attention_removes_what_every_prompt_looks_at():
    reference = np.full((8, 8), 0.01, np.float32)
    reference[0, 0] = 1  # a sink
    attention = reference.copy()
    attention[5, 5] = 0.05
    assert np.unravel_index(published.relative_attention(attention[None], reference, 0)[0].argmax(), (8, 8)) == (5, 5)


def test_assign_images_by_largest_raw_maximum():
    first, second = np.zeros((3, 4, 4), np.float32), np.zeros((3, 2, 6), np.float32)
    first[0, 1, 1], second[0, 0, 0] = 0.3, 0.2
    first[1, 1, 1], second[1, 0, 0] = 0.1, 0.2
    assert tad.assign_images([first, second]).tolist() == [0, 1, 0]


def test_coverage_counts_parts_of_cells_and_overlaps_once():
    np.testing.assert_allclose(localisation.box_coverage(BOX, (4, 4)), [[0] * 4, [0, 1, 1, 0], [0] * 4, [0] * 4])
    np.testing.assert_allclose(localisation.box_coverage([(0, 0, 0.5, 0.25)], (1, 1)), [[0.125]])
    np.testing.assert_allclose(localisation.box_coverage([(0, 0, 0.6, 1), (0.4, 0, 1, 1)], (3, 5)), np.ones((3, 5)))
    assert not localisation.box_coverage([], (2, 3)).any()


@st.composite
def boxes(draw, max_size=4):
    """Boxes whose corners lie on a raster of 1/12."""
    span = st.tuples(st.integers(0, 12), st.integers(0, 12)).filter(lambda ab: ab[0] != ab[1]).map(sorted)
    return [
        (x[0] / 12, y[0] / 12, x[1] / 12, y[1] / 12)
        for x, y in draw(st.lists(st.tuples(span, span), max_size=max_size))
    ]


def raster(boxes_xyxy):
    mask = np.zeros((12, 12), bool)
    for x0, y0, x1, y1 in np.rint(np.array(boxes_xyxy).reshape(-1, 4) * 12).astype(int):
        mask[y0:y1, x0:x1] = True
    return mask


@given(boxes(), boxes(), st.integers(1, 7), st.integers(1, 7))
@settings(max_examples=40)
def test_areas_equal_those_counted_on_a_raster(one, other, height, width):
    a, b = raster(one), raster(other)
    assert localisation.union_area(one) == pytest.approx(a.mean(), abs=1e-9)
    assert localisation.box_coverage(one, (height, width)).mean() == pytest.approx(a.mean(), abs=1e-9)
    assert localisation.iou(one, other) == pytest.approx((a & b).sum() / max((a | b).sum(), 1), abs=1e-9)
    if other:
        covered = [(a & raster([box])).sum() / raster([box]).sum() for box in other]
        assert localisation.coverage_recall(one, other) == pytest.approx(np.mean([c >= 0.5 for c in covered]))


def test_energy_concentration_and_pointing():
    maps = np.zeros((3, 4, 4), np.float32)
    maps[0, 1, 1], maps[0, 3, 3] = 3, 1  # largest cell inside, three quarters of the mass
    maps[1] = 1  # flat
    np.testing.assert_allclose(localisation.energy_in_boxes(maps, BOX), [0.75, 0.125, np.nan])
    np.testing.assert_allclose(localisation.concentration(maps, BOX), [6, 1, np.nan])
    np.testing.assert_allclose(localisation.pointing(maps, BOX), [1, 0, np.nan])
    assert localisation.energy_in_boxes(maps[:, None], BOX).shape == (3, 1)
    assert np.isnan(localisation.concentration(maps, [])).all()


def test_recall_needs_half_of_a_true_box():
    truth = [(0, 0, 0.5, 1), (0.5, 0, 1, 1)]
    assert localisation.coverage_recall([(0.25, 0, 0.7, 1)], truth) == 0.5
    assert (
        localisation.coverage_recall([(0.25, 0, 0.4, 1), (0.3, 0, 0.5, 1)], truth) == 0.5
    )  # several boxes count together
    assert localisation.coverage_recall([], truth) == 0
    assert np.isnan(localisation.coverage_recall(truth, []))


@pytest.mark.parametrize("bad", [[(0.5, 0, 0.5, 1)], [(0.6, 0, 0.5, 1)], [(0, 0, np.nan, 1)], [(0, 0, np.inf, 1)]])
def test_boxes_without_area_are_refused(bad):
    with pytest.raises(ValueError, match="x0 < x1"):
        localisation.union_area(bad)


def test_box_quality_is_in_pixels_and_zero_without_regions():
    quality = localisation.box_quality([(0, 0, 10, 20)], [(0, 0, 10, 10), (50, 50, 60, 60)], (100, 50))
    assert quality == pytest.approx({"recall50": 0.5, "iou": 100 / 300, "area": 200 / 5000})
    assert localisation.box_quality([], [(0, 0, 10, 10)], (100, 50)) == {"recall50": 0.0, "iou": 0.0, "area": 0.0}
