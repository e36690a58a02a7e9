"""Prompts: ids of the stock route, user text that stays text, and where pictures and words are in them."""

import pytest
import torch
from checkpoints import FAMILIES, INTERN_SPECIAL, QWEN_SPECIAL, UNMARKED, eager_model, tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st
from model_helpers import picture, stock_inputs
from PIL import Image

SEARCH = "Search the following entities in the images: truck with blue color, dog"
TEXTS = [
    "What is the color of the truck?\nA. red\nB. green",
    "\n\n  leading and trailing white space \n",
    " ",
    "",
    "e\u0301 é 犬 🐕 \u00a0\t don't 12345 ...\r\n",
    "\ue0000\ue001 private-use characters",
]
plain_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<"), max_size=30)


def stock_ids(model, parts) -> list[int]:
    """Chat template as text, placeholders expanded, tokenizer: what the stock processors do."""
    content = [
        {"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "image": "x"} for part in parts
    ]
    text = model.tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    before, after = model.wrap or ("", "")
    pieces = text.split(model.image_token)
    for part in (part for part in parts if not isinstance(part, str)):
        image = before + model.image_token * model.n_image_tokens(part.size) + after
        pieces[:2] = [pieces[0] + image + pieces[1]]
    (text,) = pieces
    return model.tokenizer(text).input_ids


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("text", TEXTS)
def test_ids_are_those_of_the_stock_route(family, text):
    model = tiny_model(family)
    for parts in (
        [picture(200, 130), text],
        [picture(64, 64), text, picture(90, 160), text],
        [text],
        [text, "dog", text],
    ):
        assert model.prompt(*parts).ids.tolist() == stock_ids(model, parts)


@settings(max_examples=40)
@given(parts=st.lists(st.one_of(plain_text, st.just(picture(64, 64))), min_size=1, max_size=4))
def test_ids_are_those_of_the_stock_route_for_any_plain_text(parts):
    for family in FAMILIES:
        model = tiny_model(family)
        prompt = model.prompt(*parts)
        assert prompt.ids.tolist() == stock_ids(model, parts)
        texts = [part for part in parts if isinstance(part, str)]
        assert [span.text for span in prompt.texts] == texts
        for span in prompt.texts:
            assert len(span.offsets) == span.stop - span.start
            assert all(0 <= a < b <= len(span.text) for a, b in span.offsets)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("token", QWEN_SPECIAL + INTERN_SPECIAL + UNMARKED)
def test_special_tokens_in_user_text_stay_text(family, token):
    model = tiny_model(family)
    text = f"Is {token} here? {token}{token}"
    prompt, harmless = model.prompt(picture(64, 64), text), model.prompt(picture(64, 64), "Is it here?")
    (span,) = prompt.texts
    special = set(model.tokenizer.get_added_vocab().values())
    assert not special & set(prompt.ids[span.start : span.stop].tolist())
    assert len(prompt.images) == 1 and prompt.n_image_tokens == harmless.n_image_tokens
    outside = [i for i in prompt.ids.tolist() if i in special]
    assert outside == [i for i in harmless.ids.tolist() if i in special]
    assert model.tokenizer.decode(prompt.ids[span.start : span.stop]) == text


@pytest.mark.parametrize("family", FAMILIES)
def test_positions_are_those_of_the_stock_model(family):
    """The stock forward that works out positions by itself agrees with ours to rounding."""
    model = tiny_model(family)
    prompt = model.prompt(picture(200, 130), "and", picture(90, 160), SEARCH)
    with torch.inference_mode():
        wanted = eager_model(family)(**stock_inputs(model, prompt)).logits[0, -1]
    torch.testing.assert_close(model.generate(prompt, 1).first_logits, wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_cut_is_behind_the_closing_token(family):
    model = tiny_model(family)
    one, two = model.prompt(picture(200, 130), SEARCH), model.prompt(picture(200, 130), picture(64, 64), "Where?")
    closing = "</img>" if family == "internvl" else "<|vision_end|>"
    assert model.tokenizer.convert_ids_to_tokens(int(one.ids[one.cut - 1])) == closing
    assert torch.equal(one.ids[: one.cut], two.ids[: one.cut])
    assert torch.equal(one.position_ids[:, : one.cut], two.position_ids[:, : one.cut])
    for span in two.images:
        assert set(two.ids[span.start : span.stop].tolist()) == {model.image_token_id}
        assert two.ids[span.start - 1] != model.image_token_id != two.ids[span.stop]


@pytest.mark.parametrize("family", FAMILIES)
def test_words_are_found_at_their_tokens(family):
    model = tiny_model(family)
    prompt = model.prompt(picture(64, 64), SEARCH)
    (span,) = prompt.texts
    for word in ("truck with blue color", "dog", "images", "blue"):
        start = SEARCH.index(word)
        positions = span.positions(start, start + len(word))
        assert model.tokenizer.decode(prompt.ids[positions]).strip() == word
    assert span.positions(0, len(SEARCH)) == list(range(span.start, span.stop))
    assert span.positions(3, 3) == []
    assert span.positions(0, 2) == []  # less than half of "Search"
    instruction, entity = span.positions(0, SEARCH.index(": ") + 2), span.positions(SEARCH.index("truck"), len(SEARCH))
    assert instruction + entity == list(range(span.start, span.stop))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [(1, 1), (3, 3), (3, 500), (150, 1), (64, 3), (200, 130), (700, 600), (61, 300)])
def test_any_size_is_read_and_counted(family, size):
    model = tiny_model(family)
    prompt = model.prompt(picture(*size), SEARCH)
    (span,) = prompt.images
    h, w = span.grid_hw
    assert span.image_size_wh == size and model.n_image_tokens(size) == span.picture.n_tokens == prompt.n_image_tokens
    assert h * w <= span.picture.n_tokens and len(set(span.positions.flatten().tolist())) == h * w
    assert span.start <= span.positions.min() and span.positions.max() < span.stop
    assert (w >= h) if size[0] > size[1] else (h >= w)
    model.generate(prompt, 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_grid_cells_are_where_their_pixels_are(family):
    """A white square over one cell changes that cell's token most, for every cell of a picture of several tiles."""
    model = tiny_model(family)
    cell = {"qwen2_5_vl": 28, "qwen3_vl": 32, "internvl": 28}[family]
    grid_hw = (4, 6)  # for InternVL 2 x 3 tiles of 2 x 2 tokens
    black = Image.new("RGB", (grid_hw[1] * cell, grid_hw[0] * cell))

    def features(image):
        picture = model.prepare(image)
        with torch.inference_mode():
            found = model.model.get_image_features(**model.inputs_of([picture])).pooler_output
        found = torch.cat(tuple(found)) if isinstance(found, tuple | list) else found.flatten(0, 1)
        assert len(found) == picture.n_tokens and tuple(picture.layout.shape) == grid_hw
        return found[picture.layout]

    empty = features(black)
    for row in range(grid_hw[0]):
        for column in range(grid_hw[1]):
            marked = black.copy()
            marked.paste((255, 255, 255), (column * cell, row * cell, (column + 1) * cell, (row + 1) * cell))
            change = (features(marked) - empty).norm(dim=-1)
            assert divmod(int(change.argmax()), grid_hw[1]) == (row, column)


def test_a_pixel_budget_bounds_the_tokens():
    from checkpoints import checkpoint

    from hide_utils.models import load_model

    for family, cell in (("qwen2_5_vl", 28), ("qwen3_vl", 32), ("internvl", 28)):
        model = load_model(checkpoint(family), device="cpu", max_pixels=16 * cell**2, min_pixels=8 * cell**2)
        thumbnail = 4 if family == "internvl" else 0
        for size in ((20, 20), (900, 800)):
            n = model.prompt(picture(*size), "x").n_image_tokens
            assert 8 <= n <= 16 + thumbnail and n == model.n_image_tokens(size)


def test_images_that_are_not_rgb_are_read_on_white():
    model = tiny_model("qwen3_vl")
    clear = model.prepare(Image.new("RGBA", (64, 64), (0, 0, 0, 0)))
    white = model.prepare(Image.new("RGB", (64, 64), "white"))
    assert torch.equal(clear.pixels, white.pixels)


def test_bad_parts_are_refused():
    model = tiny_model("qwen3_vl")
    with pytest.raises(ValueError, match="at least one"):
        model.prompt()
    with pytest.raises(TypeError, match="Path"):
        from pathlib import Path

        model.prompt(Path("picture.png"), "Where?")
    with pytest.raises(ValueError, match="pad_to_aspect"):
        model.prompt(picture(201, 1), "Where?")


def test_a_template_that_loses_parts_is_refused(monkeypatch):
    from checkpoints import checkpoint

    from hide_utils.models import load_model

    model = load_model(checkpoint("qwen3_vl"), device="cpu")
    model.tokenizer.chat_template = "{{ messages[0]['content'][0]['text'] }}"
    with pytest.raises(ValueError, match="chat template"):
        model.prompt("one", "two")
