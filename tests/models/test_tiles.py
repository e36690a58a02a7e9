"""Families with markers, tiles and breaks: where cells lie, what the processor's switches change, odd checkpoints."""

import numpy as np
import pytest
import torch
from checkpoints import checkpoint, tiny_model
from model_helpers import picture
from PIL import Image
from tile_checkpoints import TILED

from hide_utils.models import load_model


@pytest.mark.parametrize("family", TILED)
def test_a_familys_own_markers_in_user_text_stay_text(family):
    model = tiny_model(family)
    for token in TILED[family].special:
        text = f"Is {token} here? {token}{token}"
        prompt = model.prompt(picture(64, 64), text)
        (span,) = prompt.texts
        inside = prompt.ids[span.start : span.stop]
        assert not set(model.tokenizer.get_added_vocab().values()) & set(inside.tolist())
        assert model.tokenizer.decode(inside) == text
        assert int((prompt.ids == model.image_token_id).sum()) == prompt.n_image_tokens


def grid_features(model, image):
    """What the stock tower makes of each cell: (h, w, features)."""
    prepared = model.prepare(image)
    with torch.inference_mode():
        found = torch.cat(tuple(model.model.get_image_features(**model.inputs_of([prepared])).pooler_output))
    assert len(found) == prepared.n_tokens, "the model takes as many features as there are image tokens"
    return found[prepared.layout]


@pytest.mark.parametrize("size", [(300, 100), (100, 300), (126, 60), (700, 600), (400, 10)])
def test_a_place_in_the_picture_is_at_its_cell_without_the_padding(size):
    """LLaVA cuts the canvas to the picture in whole cells and averages many tiles: a mark moves a cell at most."""
    model = tiny_model("llava_onevision")
    black = Image.new("RGB", size)
    empty = grid_features(model, black)
    h, w = empty.shape[:2]
    assert 0.5 < (w / h) / (size[0] / size[1]) < 2 or size == (400, 10)
    for across, down in [(0.2, 0.3), (0.5, 0.5), (0.9, 0.7), (0.1, 0.9)]:
        x, y = across * size[0], down * size[1]
        cell_w, cell_h = size[0] / w, size[1] / h
        marked = black.copy()
        marked.paste((255, 255, 255), tuple(map(int, (x - cell_w / 2, y - cell_h / 2, x + cell_w / 2, y + cell_h / 2))))
        change = (grid_features(model, marked) - empty).norm(dim=-1)
        row, column = divmod(int(change.argmax()), w)
        assert abs(row + 0.5 - down * h) <= 1.5 and abs(column + 0.5 - across * w) <= 1.5


def test_many_tiles_are_averaged_down_to_nine():
    model = tiny_model("llava_onevision")
    assert model.canvas((700, 700))[0] == (168, 168)  # 16 tiles of 3 x 3 cells
    assert model.grid((168, 168), (700, 700)) == (9, 9)


def test_newlines_and_overviews_are_no_cells():
    llava = tiny_model("llava_onevision").prepare(picture(126, 84))
    assert llava.n_tokens == 9 + 6 * 10 and llava.layout.tolist()[1] == list(range(9 + 10, 9 + 19))
    whole = tiny_model("smolvlm").prepare(picture(224, 112))
    assert whole.layout.shape == (4, 8) and whole.n_tokens == 9 * 4
    overview = (whole.sequence == tiny_model("smolvlm").image_token_id).nonzero().flatten()[-4:]
    assert not set(overview.tolist()) & set(whole.layout.flatten().tolist())


def test_a_picture_that_is_not_split_has_its_overview_as_grid():
    model = load_model(checkpoint("smolvlm"), device="cpu", max_pixels=56**2)
    prepared = model.prepare(picture(300, 300))
    assert prepared.layout.shape == (2, 2) and prepared.n_tokens == 4 == model.n_image_tokens((300, 300))
    around = "<fake_token_around_image>"
    assert model.tokenizer.decode(prepared.sequence) == f"{around}<global-img>{'<image>' * 4}{around}"


@pytest.mark.parametrize("switch", ["do_image_splitting", "do_resize"])
@pytest.mark.parametrize("size", [(300, 200), (57, 130)])
def test_switches_of_the_processor_are_kept_to(switch, size):
    model, image = load_model(checkpoint("idefics3"), device="cpu"), picture(*size)
    setattr(model.image_processor, switch, False)
    wanted = model.image_processor(images=[image], return_tensors="pt", **model.stock_options(image.size))
    found = model.inputs_of([model.prepare(image)])
    assert torch.equal(found["pixel_values"], wanted["pixel_values"])
    assert model.n_image_tokens(size) == found["pixel_values"].shape[1] * 4


@pytest.mark.parametrize("limits", [(None, 42 * 42), (None, 100), (10**9, None), (6 * 42**2, 6 * 42**2)])
@pytest.mark.parametrize("size", [(300, 200), (30, 200), (40, 40)])
def test_a_limited_canvas_is_the_one_that_the_model_chooses(limits, size):
    fewest, most = limits
    model = load_model(checkpoint("llava_onevision"), device="cpu", min_pixels=fewest, max_pixels=most)
    (height, width), _ = model.canvas(size)
    assert height * width <= max(most or 168**2, 42**2)
    if size == (300, 200):
        assert (height, width) == {100: (42, 42), None: (126, 168), 42**2: (42, 42)}.get(most, (84, 126))
    model.generate(model.prompt(picture(*size), "Where?"), 1)  # fails where features and tokens differ in number


def test_a_picture_of_which_nothing_would_be_left_is_refused():
    """Only of a canvas of an even number of rows all can be cut off."""
    model = tiny_model("llava_onevision")
    with pytest.raises(ValueError, match="pad_to_aspect"):
        model.grid((84, 84), (1, 1000))
    assert model.prepare(picture(1000, 1)).layout.shape == (1, 3)


def test_uniform_pictures_in_another_arrangement_are_told_apart():
    model = tiny_model("llava_onevision")
    wide, high = (model.prepare(Image.new("RGB", size)) for size in ((84, 42), (42, 84)))
    assert torch.equal(wide.pixels, high.pixels) and not wide.same_as(high)
    assert wide.same_as(model.prepare(Image.new("RGB", (84, 42))))


def test_breaks_are_no_cells():
    model = tiny_model("mistral3")
    prepared = model.prepare(picture(3 * 28, 2 * 28))
    assert model.tokenizer.decode(prepared.sequence) == "[IMG][IMG][IMG][IMG_BREAK][IMG][IMG][IMG][IMG_END]"
    np.testing.assert_array_equal(prepared.layout, [[0, 1, 2], [4, 5, 6]])
    assert (prepared.n_tokens, prepared.length) == (6, 8)
