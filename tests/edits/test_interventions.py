import numpy as np
import pytest
from checkpoints import tiny_model
from hypothesis import given
from hypothesis import strategies as st
from model_helpers import picture
from PIL import Image

from hide_utils.edits import interventions as iv

BOXES = [(10, 20, 30, 40), (60, 50, 70, 90)]
SIZE = (100, 120)
ratios = st.floats(-1, 1)


@st.composite
def framed(draw):
    """A picture's size and a box of whole pixels in it."""
    width, height = draw(st.integers(2, 300)), draw(st.integers(2, 300))
    x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return (width, height), (x0, y0, draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height)))


def inside(inner, outer):
    return outer[0] <= inner[0] and outer[1] <= inner[1] and inner[2] <= outer[2] and inner[3] <= outer[3]


# --- windows ----------------------------------------------------------------------------------------------------------


def test_windows_worked_by_hand():
    box = (10, 20, 30, 40)
    assert iv.window(box, SIZE, 0) == (0, 0, *SIZE)
    assert iv.window(box, SIZE, 1) == box
    assert iv.window(box, SIZE, 0.5) == (5, 10, 65, 80)
    assert iv.window(box, SIZE, 0.25) == (2, 5, 83, 100), "2.5 and 82.5 are rounded outwards"
    assert iv.window(box, SIZE, -1) == (-10, -20, 170, 200), "twice the picture less the box: 180 by 220"


@given(framed(), ratios, ratios)
def test_windows_are_nested_and_hold_the_box(case, a, b):
    size, box = case
    wide, tight = (iv.window(box, size, ratio) for ratio in sorted((a, b)))
    assert inside(tight, wide) and inside(box, tight)
    if min(a, b) >= 0:
        assert inside(wide, (0, 0, *size))


@pytest.mark.parametrize("ratio", [-1.01, 1.01, float("nan")])
def test_ratio_out_of_range_is_refused(ratio):
    with pytest.raises(ValueError, match="from 0 .* to 1"):
        iv.window(BOXES[0], SIZE, ratio)


# --- edits ------------------------------------------------------------------------------------------------------------


def test_nothing_is_done_at_the_start_of_each_scale():
    image = picture(*SIZE)
    assert iv.upscaled(image, 1) is image and iv.masked(image, BOXES, 0) is image


def test_upscaling_keeps_colors_and_rounds_sides():
    image = Image.new("RGB", (101, 60), (10, 200, 30))
    large = iv.upscaled(image, 1.25)
    assert large.size == (126, 75) and large.getcolors() == [(126 * 75, (10, 200, 30))]
    with pytest.raises(ValueError, match="starts at 1"):
        iv.upscaled(image, 0.9)


@pytest.mark.parametrize("fill", iv.FILLS)
@pytest.mark.parametrize("ratio", [0.3, 0.9, 1.0])
def test_mask_shows_the_windows_and_nothing_else(fill, ratio):
    image = picture(*SIZE)
    pixels, edited = np.asarray(image), np.asarray(iv.masked(image, BOXES, ratio, fill))
    shown = np.zeros(SIZE[::-1], bool)
    for x0, y0, x1, y1 in (iv.window(box, SIZE, ratio) for box in BOXES):
        shown[y0:y1, x0:x1] = True
    np.testing.assert_array_equal(edited[shown], pixels[shown])
    np.testing.assert_array_equal(edited[~shown], np.asarray(iv.ground(image, fill))[~shown])
    if ratio == 1:
        assert shown.sum() == 20 * 20 + 10 * 40


def test_mask_leaves_the_picture_as_it_was():
    image = picture(*SIZE)
    before = image.tobytes()
    iv.masked(image, BOXES, 1, "blur")
    assert image.tobytes() == before


def test_grounds_are_what_they_say():
    image = Image.fromarray(np.repeat(np.uint8([[[0, 100, 50], [0, 200, 51]]]), 40, 0))
    assert iv.ground(image, "mean").getpixel((0, 0)) == (0, 150, 50)
    assert iv.ground(image, "white").getpixel((1, 5)) == (255,) * 3
    assert iv.ground(image, "black").getpixel((1, 5)) == (0,) * 3
    noise = picture(200, 200)
    blurred = np.asarray(iv.ground(noise, "blur"), float)
    assert blurred.std() < 0.1 * np.asarray(noise, float).std(), "no detail is left"
    assert blurred.mean() == pytest.approx(np.asarray(noise, float).mean(), abs=1)
    with pytest.raises(ValueError, match="known: white, black, mean, blur"):
        iv.ground(image, "grey")


def test_canvas_at_zero_is_the_fully_masked_picture():
    image = picture(*SIZE)
    assert iv.on_canvas(image, BOXES, 0).tobytes() == iv.masked(image, BOXES, 1).tobytes()


@pytest.mark.parametrize(
    ("ratio", "size"), [(1, (60, 70)), (0.5, (80, 95)), (0, SIZE), (-0.5, (120, 145)), (-1, (140, 170))]
)
def test_canvas_has_the_size_worked_by_hand_and_moves_no_pixel(ratio, size):
    image = picture(*SIZE)
    canvas = iv.on_canvas(image, BOXES, ratio)
    assert canvas.size == size
    left, top = iv.canvas_window(BOXES, SIZE, ratio)[:2]
    white = np.asarray(canvas).copy()
    for x0, y0, x1, y1 in BOXES:
        part = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
        np.testing.assert_array_equal(white[part], np.asarray(image)[y0:y1, x0:x1])
        white[part] = 255
    assert (white == 255).all(), "no background content anywhere"


@pytest.mark.parametrize("change", [iv.masked, iv.on_canvas])
def test_edits_without_boxes_are_refused(change):
    with pytest.raises(ValueError, match="region"):
        change(picture(*SIZE), [], 0.5)


def test_mask_ratios_below_zero_are_refused():
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        iv.masked(picture(*SIZE), BOXES, -0.5)


# --- scale ------------------------------------------------------------------------------------------------------------


def test_enlargement_by_hand():
    model = tiny_model("qwen2_5_vl")  # 28 pixels a token, at least 3136 = 56 * 56 pixels
    assert model.budget()["shortest_edge"] == 56 * 56
    assert iv.enlargement(model, (112, 56), (224, 224)) == pytest.approx(1)
    assert iv.enlargement(model, (28, 28), (224, 224)) == pytest.approx(2), "enlarged to 56 by 56"
    assert iv.enlargement(model, (896, 896), (224, 224)) == pytest.approx(0.5), "reduced to the budget of 448 by 448"


def test_unenlarged_ratio_is_the_largest_that_keeps_the_scale():
    model, size, box = tiny_model("qwen2_5_vl"), (224, 224), [(98, 98, 126, 126)]
    ratio = iv.unenlarged_ratio(model, box, size)

    def scale(ratio):
        x0, y0, x1, y1 = iv.canvas_window(box, size, ratio)
        return iv.enlargement(model, (x1 - x0, y1 - y0), size)

    assert 0.5 < ratio < 1 and scale(ratio) <= 1 + iv.TOLERANCE < scale(1)
    assert all(scale(tighter) > 1 + iv.TOLERANCE for tighter in np.arange(ratio + 0.01, 1, 0.01).round(2).tolist())
