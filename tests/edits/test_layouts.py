"""Layouts, fills and sizes: exact small cases, invariants, agreement with the processor and with LPD."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from checkpoints import tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st
from model_helpers import picture
from PIL import Image

from hide_utils.edits import layouts, placement
from hide_utils.edits.interventions import FILLS
from hide_utils.edits.layouts import ARRANGEMENTS
from hide_utils.evaluation import failures
from hide_utils.images import composite_on_white
from hide_utils.method import lpd

SIZE = (90, 70)
TWO = [(10, 40, 20, 45), (50, 5, 70, 25)]  # the second lies above and to the right of the first


BOXES = st.lists(
    st.tuples(st.integers(0, SIZE[0] - 2), st.integers(0, SIZE[1] - 2), st.integers(2, 20), st.integers(2, 20)),
    min_size=1,
    max_size=6,
)


def merged(boxes_xywh):
    x, y, width, height = np.array(boxes_xywh).T
    return lpd.merge_boxes(np.stack([x, y, x + width, y + height], axis=1) / (*SIZE, *SIZE), SIZE)


def overlapping(boxes):
    return any(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for a, b in itertools.combinations(boxes, 2))


def test_arrangements_of_two_regions_worked_by_hand():
    # reading order: the upper one first
    assert layouts.sequential_tiling(TWO) == [(20, 0, 30, 5), (0, 0, 20, 20)]
    assert layouts.random_tiling(TWO) in ([(20, 0, 30, 5), (0, 0, 20, 20)], [(0, 0, 10, 5), (10, 0, 30, 20)])
    assert layouts.masked_in_place(TWO) == TWO
    assert layouts.bounding_crop(TWO) == [(0, 35, 10, 40), (40, 0, 60, 20)]
    assert lpd.mapping(TWO) == [(0, 20, 10, 25), (10, 0, 30, 20)]


def test_order_is_kept_by_some_arrangements_only():
    def kept(name, boxes=TWO):
        return layouts.order_kept(boxes, ARRANGEMENTS[name](boxes))

    assert kept("spatial_aggregate") and kept("masked_in_place") and kept("bounding_crop")
    assert not kept("sequential_tiling")  # nothing is above anything in one row
    assert not layouts.order_kept(TWO, [(10, 20, 20, 25), (0, 0, 20, 20)])  # left and right swapped
    level = [(0, 0, 5, 5), (20, 0, 25, 5)]
    assert kept("sequential_tiling", level)


@given(BOXES)
@settings(max_examples=60)
def test_every_arrangement_keeps_sizes_and_overlaps_nothing(drawn):
    boxes = merged(drawn)
    canvas = np.max(lpd.mapping(boxes), axis=0)[2:]
    for name, arrange in ARRANGEMENTS.items():
        places = arrange(boxes)
        assert [(c - a, d - b) for a, b, c, d in places] == [(c - a, d - b) for a, b, c, d in boxes], name
        assert np.min(places) >= 0 and places == arrange(boxes), name
        assert not overlapping(places) or name == "spatial_aggregate", name
        if name in ("spatial_aggregate", "masked_in_place", "bounding_crop"):
            assert layouts.order_kept(boxes, places), name
    steps = math.log(max((np.max(layouts.random_aggregate(boxes), axis=0)[2:] / canvas).max(), 1), 1.1)
    assert steps < 8, "the canvas of random places grows little beyond the compact image"


def test_random_order_takes_both_orders():
    sets = [[(x, 0, x + 3, 3), (x + 10, 0, x + 13, 3)] for x in range(40)]
    first = [layouts.random_tiling(boxes)[0][0] for boxes in sets]
    assert 8 < sum(left == 0 for left in first) < 32


@given(BOXES)
@settings(max_examples=40)
def test_each_layout_shows_the_regions_own_pixels(drawn):
    boxes = merged(drawn)
    image = picture(*SIZE)
    for name, arrange in ARRANGEMENTS.items():
        shown = composite_on_white(layouts.lay_out(name, image, boxes))
        for region, place in zip(boxes, arrange(boxes), strict=True):
            assert image.crop(region).tobytes() == shown.crop(place).tobytes(), name
    assert layouts.lay_out("masked_in_place", image, boxes).size == SIZE
    crop = layouts.lay_out("bounding_crop", image, boxes)
    assert crop.tobytes() == image.crop(layouts.bounding_box(boxes)).tobytes()


@given(BOXES)
@settings(max_examples=40)
def test_fills_change_what_no_region_covers_and_nothing_else(drawn):
    boxes = merged(drawn)
    image = picture(*SIZE)
    compact = lpd.compact_image(image, boxes)
    covered = np.asarray(compact)[..., 3] > 0
    pictures = {fill: np.asarray(layouts.filled(fill, image, boxes)) for fill in FILLS}
    assert (pictures["white"] == np.asarray(composite_on_white(compact))).all()
    for shown in pictures.values():
        assert (shown[covered] == np.asarray(compact)[covered, :3]).all()
    assert (pictures["black"][~covered] == 0).all()
    assert np.abs(pictures["mean"][~covered] - np.asarray(image).mean((0, 1))).max(initial=0) <= 0.5 + 1e-6


def test_blur_shows_the_cell_s_own_place_in_the_picture():
    image = Image.new("RGB", SIZE, "white")
    image.paste((200, 0, 0), (45, 28, 90, 70))  # the lower right cell of the four that the two regions cut out
    shown = layouts.filled("blur", image, TWO)
    right_below, left_above = shown.getpixel((25, 23)), shown.getpixel((3, 5))
    assert right_below[0] > 180 and right_below[1] < 20, right_below
    assert left_above == (255, 255, 255)
    with pytest.raises(ValueError, match="unknown fill 'grey'"):
        layouts.filled("grey", image, TWO)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_native_size_takes_the_tokens_of_the_enlarged_and_is_not_resized(family):
    model = tiny_model(family)
    budget = layouts.model_budget(model)
    enlarged = 0
    for width, height in itertools.product((9, 20, 33, 47), (8, 21, 40, 90)):
        image = picture(100, 100)
        box = [(2, 3, 2 + width, 3 + height)]
        padded = layouts.native_size(budget, image, box)
        grid = np.array(model.prepare(padded).layout.shape[::-1]) * budget[1]
        plain = model.prepare(image.crop(box[0]))
        resized = np.array(plain.layout.shape[::-1]) * budget[1]
        if (
            math.prod(resized) > width * height
            and (resized >= (width, height)).all()
            and padded.size != (width, height)
        ):
            enlarged += 1
            assert padded.size == tuple(grid) == tuple(resized), (width, height)
            left, top = ((new - old) // 2 for new, old in zip(padded.size, (width, height), strict=True))
            assert padded.crop((left, top, left + width, top + height)).tobytes() == image.crop(box[0]).tobytes()
        else:
            assert padded.size == (width, height)
    assert enlarged >= 6


def test_family_without_a_budget_has_none():
    assert layouts.model_budget(tiny_model("internvl")) is None


def test_scattered_boxes_keep_their_distance():
    rng = np.random.default_rng(0)
    sizes, avoid = [(5, 5), (12, 3), (5, 5)], [(0, 0, 30, 10)]
    for _ in range(20):
        places = placement.scatter(sizes, (40, 40), rng, avoid, gap=1)
        assert [(x1 - x0, y1 - y0) for x0, y0, x1, y1 in places] == sizes
        grown = [(x0, y0, x1 + 1, y1 + 1) for x0, y0, x1, y1 in [*places, *avoid]]
        assert not overlapping(grown) and np.max(places) <= 40
    assert placement.scatter([(30, 30), (30, 30)], (40, 40), rng) is None
    with pytest.raises(ValueError, match="do not fit"):
        placement.scatter([(50, 5)], (40, 40), rng)


def test_small_pictures_are_enlarged_to_the_budget():
    # 30 x 25 pixels to at least 64 x 64: sides of 73.9 and 61.6 pixels, rounded up to multiples of 32
    assert layouts.budget_size((30, 25), 4096, 32) == (96, 64)
    assert layouts.enlargement(TWO, (4096, 32)) == pytest.approx(math.sqrt(96 * 64 / 750))
    assert layouts.enlargement([(0, 0, 64, 64)], (4096, 32)) == 1


def test_regions_are_read_from_rows_and_missing_ones_left_out():
    rows = pd.DataFrame({"method": ["a", "a", "b"], "regions": [[1.0, 2.0, 3.0, 4.0] * 2, None, [0.0, 0.0, 1.0, 1.0]]})
    assert failures.regions_in(rows, "a") == [[(1, 2, 3, 4), (1, 2, 3, 4)]]
