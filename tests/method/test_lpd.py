"""Boxes, regions and the compact image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from hide_utils.edits.placement import random_boxes
from hide_utils.images import composite_on_white
from hide_utils.method import lpd
from hide_utils.method.lpd import boxes_grid, compact_image, mapping, merge_boxes, paste, token_boxes

MAPS = arrays(
    np.float32, st.tuples(st.integers(1, 3), st.integers(1, 8), st.integers(1, 8)), elements=st.floats(0, 1, width=32)
)
SIZE = (61, 47)


@st.composite
def normalised_boxes(draw, min_size=0):
    span = st.tuples(st.floats(0, 1), st.floats(0, 1)).filter(lambda ab: abs(ab[0] - ab[1]) > 1e-3).map(sorted)
    drawn = draw(st.lists(st.tuples(span, span), min_size=min_size, max_size=8))
    return [(x0, y0, x0 + (x1 - x0) / 3, y0 + (y1 - y0) / 3) for (x0, x1), (y0, y1) in drawn]


def numbered_picture(width, height):
    """Every pixel has a color of its own."""
    code = np.arange(width * height).reshape(height, width)
    return Image.fromarray(np.stack([code % 256, code // 256 % 256, code // 65536], axis=-1).astype(np.uint8))


def plain_merge(boxes):
    """The definition: join any two that overlap or touch, until none do."""
    boxes = [list(box) for box in boxes]
    for i, a in enumerate(boxes):
        for b in boxes[i + 1 :]:
            if a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]:
                rest = [c for c in boxes if c is not a and c is not b]
                return plain_merge([*rest, [*map(min, a[:2], b[:2]), *map(max, a[2:], b[2:])]])
    return sorted(map(tuple, boxes))


def test_parts_join_over_corners_and_the_heaviest_comes_first():
    map_hw = np.zeros((4, 5), np.float32)
    map_hw[0, 0] = 0.8
    map_hw[2, 2], map_hw[3, 3] = 0.7, 0.9  # joined by a corner
    assert token_boxes(map_hw, 0.7) == [(0.4, 0.5, 0.8, 1.0), (0.0, 0.0, 0.2, 0.25)]
    assert token_boxes(map_hw, 0.75) == [(0.6, 0.75, 0.8, 1.0), (0.0, 0.0, 0.2, 0.25)]
    assert token_boxes(map_hw, 0.85) == [(0.6, 0.75, 0.8, 1.0)]


def test_tokens_are_labelled_apart():
    maps = np.zeros((2, 3, 3), np.float32)
    maps[0, 0, 0] = maps[1, 0, 1] = maps[1, 1, 1] = 1  # neighbours across tokens
    assert boxes_grid(maps, [0.5]) == [[[(0, 0, 1 / 3, 1 / 3)], [(1 / 3, 0, 2 / 3, 2 / 3)]]]


@given(MAPS, st.lists(st.floats(0.01, 1), min_size=1, max_size=3))
@settings(max_examples=50)
def test_boxes_lie_inside_cover_all_hot_cells_and_equal_single_calls(maps, alphas):
    for alpha, per_token in zip(alphas, boxes_grid(maps, alphas), strict=True):
        assert len(per_token) == len(maps)
        for map_hw, boxes in zip(maps, per_token, strict=True):
            assert boxes == token_boxes(map_hw, alpha)
            assert all(0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1 for x0, y0, x1, y1 in boxes)
            height, width = map_hw.shape
            seen = np.zeros_like(map_hw, bool)
            for x0, y0, x1, y1 in boxes:
                seen[round(y0 * height) : round(y1 * height), round(x0 * width) : round(x1 * width)] = True
            assert seen[map_hw >= np.float32(alpha)].all()


def test_an_empty_map_has_no_box():
    assert token_boxes(np.zeros((3, 3), np.float32)) == []
    assert boxes_grid(np.zeros((0, 3, 3), np.float32), [0.5]) == [[]]


@pytest.mark.parametrize("alpha", [0.0, -0.1, 1.01, np.nan])
def test_alpha_out_of_range(alpha):
    with pytest.raises(ValueError, match=r"\(0, 1\]"):
        token_boxes(np.ones((2, 2), np.float32), alpha)


def test_nan_in_a_map_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        token_boxes(np.full((2, 2), np.nan, np.float32), 0.5)


@given(normalised_boxes())
@settings(max_examples=60)
def test_regions_equal_the_definition_and_keep_every_box(boxes):
    regions = merge_boxes(boxes, SIZE)
    width, height = SIZE
    pixels = [(int(x0 * width), int(y0 * height), int(x1 * width), int(y1 * height)) for x0, y0, x1, y1 in boxes]
    pixels = [p for p in pixels if p[0] < p[2] and p[1] < p[3]]
    assert regions == plain_merge(pixels)
    assert regions == merge_boxes(boxes[::-1], SIZE)
    for x0, y0, x1, y1 in pixels:
        assert any(a <= x0 and b <= y0 and x1 <= c and y1 <= d for a, b, c, d in regions)
    for i, (a, b, c, d) in enumerate(regions):
        assert 0 <= a < c <= width and 0 <= b < d <= height
        for e, f, g, h in regions[i + 1 :]:
            assert c < e or g < a or d < f or h < b, "disjoint, and not even touching"


def test_touching_counts_corners_too():
    assert merge_boxes([(0, 0, 0.5, 0.5), (0.5, 0.5, 1, 1)], (10, 10)) == [(0, 0, 10, 10)]
    assert merge_boxes([(0, 0, 0.4, 0.5), (0.5, 0.5, 1, 1)], (10, 10)) == [(0, 0, 4, 5), (5, 5, 10, 10)]


def test_thousands_of_boxes_are_merged_in_chunks():
    spots = [(x / 64, y / 64, (x + 0.5) / 64, (y + 0.5) / 64) for x in range(40) for y in range(40)]
    apart = sorted((2 * x, 2 * y, 2 * x + 1, 2 * y + 1) for x in range(40) for y in range(40))
    assert merge_boxes(spots, (128, 128)) == apart
    assert merge_boxes([*spots, (0, 0, 0.75, 0.75)], (128, 128)) == [(0, 0, 96, 96)]


def test_boxes_are_cut_at_the_picture_and_dropped_without_pixels():
    assert merge_boxes([(-0.5, 0.5, 0.5, 1.5)], (10, 10)) == [(0, 5, 5, 10)]
    assert merge_boxes([(1.1, 0, 1.2, 1), (0.1, 0.1, 0.15, 0.15)], (10, 10)) == []
    assert merge_boxes([], (10, 10)) == []


def test_bad_boxes_and_pictures():
    with pytest.raises(ValueError, match="no pixels"):
        merge_boxes([(0, 0, 1, 1)], (0, 10))
    for bad in ((0.5, 0, 0.4, 1), (np.nan, 0, 1, 1)):
        with pytest.raises(ValueError, match="x0 < x1"):
            merge_boxes([bad], (10, 10))


@given(normalised_boxes(min_size=1))
@settings(max_examples=40)
def test_the_compact_image_keeps_pixels_order_and_nothing_else(boxes):
    regions = merge_boxes(boxes, SIZE)
    if not regions:
        return
    picture = numbered_picture(*SIZE)
    compact, places = np.asarray(compact_image(picture, regions)), mapping(regions)
    opaque = np.zeros(compact.shape[:2], bool)
    for region, (x0, y0, x1, y1) in zip(regions, places, strict=True):
        np.testing.assert_array_equal(compact[y0:y1, x0:x1, :3], np.asarray(picture.crop(region)))
        opaque[y0:y1, x0:x1] = True
    assert (compact[..., 3] == 255 * opaque).all()
    assert opaque.any(0).all() and opaque.any(1).all(), "no empty row or column is left"
    for one, moved in zip(regions, places, strict=True):
        for other, other_moved in zip(regions, places, strict=True):
            for axis in (0, 1):
                assert moved[axis] - other_moved[axis] <= max(one[axis] - other[axis], 0)
                if one[axis + 2] <= other[axis]:
                    assert moved[axis + 2] <= other_moved[axis]


def test_the_whole_picture_stays_itself():
    picture = numbered_picture(*SIZE)
    assert compact_image(picture, [(0, 0, *SIZE)]).convert("RGB").tobytes() == picture.tobytes()


def test_gaps_are_transparent_and_become_white():
    compact = compact_image(numbered_picture(8, 8), [(0, 0, 2, 2), (5, 5, 8, 8)])
    assert compact.size == (5, 5)
    assert compact.getpixel((0, 4)) == (0, 0, 0, 0)
    assert composite_on_white(compact).getpixel((0, 4)) == (255, 255, 255)


def test_large_regions_copied_in_bands_are_the_same(monkeypatch):
    picture = numbered_picture(*SIZE)
    whole = compact_image(picture, [(3, 4, 50, 40)])
    monkeypatch.setattr(lpd, "_BAND_PIXELS", 100)
    assert compact_image(picture, [(3, 4, 50, 40)]).tobytes() == whole.tobytes()


def test_paste_masks_in_place():
    picture, region = numbered_picture(8, 8), (2, 3, 5, 6)
    masked = paste(picture, [region], [region], picture.size)
    assert masked.size == (8, 8) and masked.crop(region).convert("RGB").tobytes() == picture.crop(region).tobytes()
    assert masked.getpixel((0, 0)) == (0, 0, 0, 0)


def test_what_cannot_be_laid_out_is_refused():
    picture = numbered_picture(8, 8)
    with pytest.raises(ValueError, match="no regions.*original picture"):
        compact_image(picture, [])
    for region in ((0, 0, 9, 8), (-1, 0, 3, 3)):
        with pytest.raises(ValueError, match="leaves the picture"):
            compact_image(picture, [region])
    with pytest.raises(ValueError, match="read_image"):
        compact_image(Image.new("I;16", (8, 8)), [(0, 0, 4, 4)])


@given(st.integers(0, 2**32), st.integers(1, 6))
@settings(max_examples=40)
def test_random_boxes_have_the_same_sizes_inside_and_apart(seed, n):
    regions = [(20 * i, 5, 20 * i + 3 + i, 9 + i) for i in range(n)]
    boxes = random_boxes(regions, (200, 150), seed)

    def sizes(xyxy):
        return sorted((c - a, d - b) for a, b, c, d in xyxy)

    assert sizes(boxes) == sizes(regions)
    assert boxes == random_boxes(regions, (200, 150), seed) == plain_merge(boxes)
    assert all(0 <= a and 0 <= b and c <= 200 and d <= 150 for a, b, c, d in boxes)


def test_random_boxes_spread_over_the_picture_and_fill_it_if_they_must():
    corners = np.array([random_boxes([(0, 0, 10, 10)], (100, 50), seed)[0][:2] for seed in range(300)])
    assert corners.min(0).tolist() == pytest.approx([0, 0], abs=3) and corners.max(0).tolist() == pytest.approx(
        [90, 40], abs=3
    )
    assert random_boxes([(0, 0, 100, 50)], (100, 50), 0) == [(0, 0, 100, 50)]
    assert len(random_boxes([(0, 0, 60, 50), (61, 0, 100, 50)], (100, 50), 0)) == 2
    with pytest.raises(ValueError, match="not fit"):
        random_boxes([(0, 0, 101, 5)], (100, 50), 0)
    assert random_boxes([], (100, 50), 0) == []


@pytest.mark.parametrize("size", [(1344, 1344), (1001, 999), (4096, 2731), (1, 1)])
def test_every_true_box_in_whole_pixels_comes_back(size):
    """All edges of a side, as the left and as the right one: through normalised floats some of them lose a pixel."""
    width, height = size
    for x in range(width):
        box = (x, x * (height - 1) // width, x + 1, height)
        assert lpd.pixel_regions([box], size) == [box]
    for y in range(height):
        box = (y * (width - 1) // height, y, width, y + 1)
        assert lpd.pixel_regions(np.array([box], float), size) == [box]


def test_a_pixel_was_lost_through_normalised_floats():
    lost = [x for x in range(1, 1345) if merge_boxes([(0, 0, x / 1344, 1)], (1344, 1344)) != [(0, 0, x, 1344)]]
    assert len(lost) == 62


PIXELS = st.floats(-20, 80, allow_nan=False, width=32)


@given(st.lists(st.tuples(PIXELS, PIXELS, st.floats(0.001, 50), st.floats(0.001, 50)), max_size=6))
def test_true_boxes_with_fractions_lose_nothing(drawn):
    boxes = [(x, y, x + w, y + h) for x, y, w, h in drawn]
    found = lpd.pixel_regions(boxes, SIZE)
    inside = [(max(x0, 0), max(y0, 0), min(x1, SIZE[0]), min(y1, SIZE[1])) for x0, y0, x1, y1 in boxes]
    inside = [box for box in inside if box[0] < box[2] and box[1] < box[3]]
    for box in inside:
        assert any(r[0] <= box[0] and r[1] <= box[1] and r[2] >= box[2] and r[3] >= box[3] for r in found)
    outer = [(*np.floor(box[:2]).astype(int).tolist(), *np.ceil(box[2:]).astype(int).tolist()) for box in inside]
    assert found == plain_merge(outer)


def test_true_boxes_are_refused_as_normalised_ones_are():
    assert lpd.pixel_regions([], SIZE) == [] and lpd.pixel_regions([(70, 0, 80, 9)], SIZE) == []
    for boxes, size in (([(3, 3, 3, 9)], SIZE), ([(0, 0, np.nan, 9)], SIZE), ([(0, 0, 1, 1)], (0, 5))):
        with pytest.raises(ValueError, match="every box must be|no pixels"):
            lpd.pixel_regions(boxes, size)
