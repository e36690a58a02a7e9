"""Prompts: ids of the stock route, user text that stays text, and where pictures and words are in them."""

import copy
import dataclasses

import pytest
import torch
from checkpoints import FAMILIES, INTERN_SPECIAL, QWEN_SPECIAL, UNMARKED, checkpoint, eager_model, tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st
from model_helpers import picture, stock_inputs
from PIL import Image
from tile_checkpoints import TILED

from hide_utils.models import load_model
from hide_utils.models.prompt import Prompt, PromptBuilder

SEARCH = "Search the following entities in the images: truck with blue color, dog"
TEXTS = [
    "What is the color of the truck?\nA. red\nB. green",
    "\n\n  leading and trailing white space \n",
    " ",
    "",
    "e\u0301 é 犬 🐕 \u00a0\t don't 12345 ...\r\n",
    "\ue0000\ue001 private-use characters",
]
CELLS = {name: 32 if name.startswith("qwen3") else 28 for name in FAMILIES} | {
    n: recipe.cell for n, recipe in TILED.items()
}
plain_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<"), max_size=30)


def expanded(model, image) -> str:
    """What the stock processor writes for a picture in place of the template's placeholder."""
    if model.family in TILED:
        return TILED[model.family].expand(model, image)
    before, after = model.wrap or ("", "")
    return before + model.image_token * model.n_image_tokens(image.size) + after


def stock_ids(model, parts) -> list[int]:
    """Chat template as text, placeholders expanded, tokenizer: what the stock processors do."""
    content = [
        {"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "image": "x"} for part in parts
    ]
    text = model.tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True, **model.template
    )
    pieces = text.split(model.placeholder or model.image_token)
    for part in (part for part in parts if not isinstance(part, str)):
        pieces[:2] = [pieces[0] + expanded(model, part) + pieces[1]]
    (text,) = pieces
    return model.tokenizer(text, add_special_tokens=False).input_ids


@pytest.mark.parametrize("family", FAMILIES)
def test_ids_are_those_of_the_stock_route(family):
    model = tiny_model(family)
    large, small, high = (picture(*size) for size in ((200, 130), (64, 64), (90, 160)))
    for text in TEXTS:
        for parts in ([large, text], [small, text, high, text], [text], [text, "dog", text]):
            assert model.prompt(*parts).ids.tolist() == stock_ids(model, parts), text


@settings(max_examples=15)
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
def test_special_tokens_in_user_text_stay_text(family):
    model, image = tiny_model(family), picture(64, 64)
    special, harmless = set(model.builder.special.values()), model.prompt(image, "Is it here?")
    for token in QWEN_SPECIAL + INTERN_SPECIAL + UNMARKED:
        text = f"Is {token} here? {token}{token}"
        prompt = model.prompt(image, text)
        (span,) = prompt.texts
        assert not special & set(prompt.ids[span.start : span.stop].tolist()), token
        assert len(prompt.images) == 1 and prompt.n_image_tokens == harmless.n_image_tokens, token
        outside = [i for i in prompt.ids.tolist() if i in special]
        assert outside == [i for i in harmless.ids.tolist() if i in special], token
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
    closing = {"int": "</img>", "glm": "<|end_of_image|>", "gem": "<end_of_image>"}.get(family[:3], "<|vision_end|>")
    closing = TILED[family].closing if family in TILED else closing
    assert model.tokenizer.convert_ids_to_tokens(int(one.ids[one.cut - 1])) == closing
    assert torch.equal(one.ids[: one.cut], two.ids[: one.cut])
    assert torch.equal(one.position_ids[:, : one.cut], two.position_ids[:, : one.cut])
    visual = two.ids == model.image_token_id
    for span in two.images:
        assert visual[span.positions].all() and visual[span.start : span.stop].sum() == span.picture.n_tokens
    assert visual.sum() == two.n_image_tokens, "none stands outside of the pictures"


def test_a_model_that_can_think_first_is_told_to_answer():
    """GLM-4.5V's template puts a word behind the user's text and an empty thought before the reply."""
    model = tiny_model("glm4v")
    ids, tokens = model.prompt(picture(64, 64), SEARCH).ids, model.tokenizer.convert_tokens_to_ids
    assert (ids == tokens("/nothink")).sum() == 1
    assert model.tokenizer.decode(ids).endswith("dog/nothink<|assistant|>\n<think></think>\n")


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
    cell = CELLS[family]
    grid_hw = TILED[family].grid_hw if family in TILED else (4, 8)  # of tiles of 2 x 2 tokens, 2 x 4
    grid_hw = (4, 4) if family == "gemma3" else grid_hw
    black = Image.new("RGB", (grid_hw[1] * cell, grid_hw[0] * cell))

    def features(image):
        picture = model.prepare(image)
        with torch.inference_mode():
            found = model.model.get_image_features(**model.inputs_of([picture])).pooler_output
        found = torch.cat(tuple(found)) if isinstance(found, tuple | list) else found.flatten(0, 1)
        assert len(found) == picture.n_tokens and tuple(picture.layout.shape) == grid_hw
        if picture.sequence is None:
            return found[picture.layout]
        return found[((picture.sequence == model.image_token_id).cumsum(0) - 1)[picture.layout]]

    empty = features(black)
    for row in range(grid_hw[0]):
        for column in range(grid_hw[1]):
            marked = black.copy()
            marked.paste((255, 255, 255), (column * cell, row * cell, (column + 1) * cell, (row + 1) * cell))
            change = (features(marked) - empty).norm(dim=-1)
            assert divmod(int(change.argmax()), grid_hw[1]) == (row, column)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pixel_budget_bounds_the_tokens(family):
    most = 16 * CELLS[family] ** 2
    model = load_model(checkpoint(family), device="cpu", max_pixels=most, min_pixels=most // 2)
    for size in ((20, 20), (900, 800), (800, 20)):
        prompt = model.prompt(picture(*size), "x")
        (span,) = prompt.images
        assert prompt.n_image_tokens == model.n_image_tokens(size)
        if size != (800, 20) or family in TILED:  # Qwen's own rule breaks its limits where a picture is this long
            assert span.positions.numel() <= 16
        assert span.positions.numel() >= 8 or size == (800, 20)
        model.generate(prompt, 1)  # the stock model takes as many features as there are tokens


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
    model = load_model(checkpoint("qwen3_vl"), device="cpu")
    model.tokenizer.chat_template = "{{ messages[0]['content'][0]['text'] }}"
    with pytest.raises(ValueError, match="chat template"):
        model.prompt("one", "two")


def with_markers(model):
    """A picture of two rows of three tokens, each row behind a marker, and where its visual tokens stand."""
    prepared = model.prepare(picture(3 * 32, 2 * 32))
    marker, visual = model.tokenizer.convert_tokens_to_ids("<|box_start|>"), model.image_token_id
    sequence = torch.tensor([marker, visual, visual, visual] * 2 + [marker])
    layout = torch.tensor([[1, 2, 3], [5, 6, 7]])
    return dataclasses.replace(prepared, layout=layout, n_tokens=6, sequence=sequence)


def test_image_tokens_in_several_runs_have_their_cells():
    model = tiny_model("qwen3_vl")
    marked, plain = with_markers(model), picture(64, 64)
    prompt = model.builder.build([marked, "and", marked, SEARCH])
    ids, images, (between, text) = torch.tensor(prompt[0]), *prompt[1:]
    assert len(images) == 2 and all(span.stop - span.start == marked.length == 9 for span in images)
    for span in images:
        assert torch.equal(ids[span.start : span.stop], marked.sequence)
        assert (ids[span.positions] == model.image_token_id).all() and span.grid_hw == (2, 3)
        assert model.tokenizer.convert_ids_to_tokens(int(ids[span.stop])) == "<|vision_end|>"
    assert model.tokenizer.decode(ids[between.start : between.stop]) == "and"
    assert model.tokenizer.decode(ids[text.start : text.stop]) == SEARCH
    built = Prompt(ids, torch.arange(len(ids))[None], images, [between, text])
    assert built.n_image_tokens == 12 == int((ids == model.image_token_id).sum())
    assert built.n_text_tokens == len(ids) - 12, "markers are text"
    assert built.cut == images[0].stop + 1
    with pytest.raises(ValueError, match="inside an image"):
        built.images_in(0, images[0].start + 4)
    assert model.prepare(plain).length == model.prepare(plain).n_tokens


TEMPLATE = (
    "{% for part in messages[0]['content'] %}{% if part['type'] == 'image' %}<|image_pad|>"
    "{% else %}{{ '\\n' + part['text'] }}{% endif %}{% endfor %}{{ '<|im_end|>\\n' }}"
)


@pytest.mark.parametrize("text", ["\n\nWhere?", "Where?"])
def test_text_behind_an_image_is_never_cut_in_two(text):
    """Behind the image the template has a line break, which merges with those of the text."""
    tokenizer = copy.deepcopy(tiny_model("qwen3_vl").tokenizer)
    tokenizer.chat_template = TEMPLATE
    builder, image = PromptBuilder(tokenizer, "<|image_pad|>"), tiny_model("qwen3_vl").prepare(picture(64, 64))
    one, two = (builder.build(parts) for parts in ([image, text], [image, image, text]))
    cuts = [
        Prompt(torch.tensor(ids), torch.arange(len(ids))[None], images, texts).cut for ids, images, texts in (one, two)
    ]
    assert cuts[0] == cuts[1] == one[1][0].stop, "another picture's token closes none"
    assert one[0][: cuts[0]] == two[0][: cuts[1]]
    assert one[0] == tokenizer(f"{'<|image_pad|>' * image.n_tokens}\n{text}<|im_end|>\n").input_ids


def test_a_family_may_put_text_around_an_image_and_name_it_by_another_token():
    tokenizer = copy.deepcopy(tiny_model("qwen3_vl").tokenizer)
    tokenizer.chat_template = TEMPLATE.replace("<|image_pad|>", "<|box_start|>")
    builder = PromptBuilder(
        tokenizer, "<|image_pad|>", wrap=("\n\n<|box_start|>", "<|box_end|>\n\n"), placeholder="<|box_start|>"
    )
    image = tiny_model("qwen3_vl").prepare(picture(64, 64))
    ids, (first, second), _ = builder.build(["dog\n", image, image, "Where?"])
    around = f"\n\n<|box_start|>{'<|image_pad|>' * image.n_tokens}<|box_end|>\n\n"
    assert ids == tokenizer(f"\ndog\n{around}{around}\nWhere?<|im_end|>\n").input_ids
    assert first.closed and second.closed
