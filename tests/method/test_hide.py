"""The method end to end on random checkpoints of every family: one prefill or full passes, fallbacks, bad input."""

import numpy as np
import pytest
from checkpoints import FAMILIES, KINDS_OF_FAMILY, LAYERS, tiny_model
from model_helpers import picture
from PIL import Image

from hide_utils import HiDe
from hide_utils.images import ImageError, composite_on_white
from hide_utils.method import lpd, tad
from hide_utils.method.entities import MAX_ENTITIES, SEARCH_INSTRUCTION, given_entities
from hide_utils.prompts import ANSWER_INSTRUCTION, multiple_choice

OPTIONS = ["red", "green", "blue", "yellow"]
QUESTION = "What is the color of the large blue truck?"


def both_ways(family, image, **arguments):
    settings = {"layer": tiny_model(family).row_layers[-1], "sigma": 1.0, "alpha": 0.6}
    hides = [HiDe(tiny_model(family), reuse_prefix=reuse, **settings) for reuse in (True, False)]
    for hide in hides:
        hide.extractor.max_new_tokens = 12  # random weights do not end their list, however long
    return [hide(image, QUESTION, **arguments) for hide in hides]


def rounding(family):
    """How far maps of two ways to one pass may lie apart.

    Linear attention is computed in chunks that begin where a pass does, so rounding differs more behind a prefix.
    """
    return 1e-5 if tiny_model(family).only_full_attention else 5e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_one_prefill_equals_full_passes(family):
    one, full = both_ways(family, picture(230, 170), options=OPTIONS)
    assert one.entities == full.entities and one.tokens == full.tokens
    np.testing.assert_allclose(one.maps, full.maps, atol=rounding(family))
    assert one.boxes == full.boxes
    assert (one.answer, one.letter, one.direct_answer) == (full.answer, full.letter, full.direct_answer)
    assert one.counts["images"] < full.counts["images"]  # else nothing was shared


@pytest.mark.parametrize("family", FAMILIES)
def test_stages_are_those_of_the_modules(family):
    model = tiny_model(family)
    image, entities = picture(230, 170, seed=3), ["truck with blue color", "dog"]
    result = HiDe(model, layer=1, sigma=1.0, alpha=0.6)(image, QUESTION, OPTIONS, entities)
    # the same by hand, from full passes and the stock text
    prompt = model.prompt(image, f"{SEARCH_INSTRUCTION} truck with blue color, dog")
    span = prompt.texts[0]
    noise = span.positions(0, len(SEARCH_INSTRUCTION))
    words = [model.decode([prompt.ids[i].item()]) for i in noise]
    assert "".join(words).strip() == SEARCH_INSTRUCTION
    start = len(SEARCH_INSTRUCTION) + 1
    named = span.positions(start, start + 21) + span.positions(start + 23, start + 26)
    rows = model.capture(prompt, noise + named, [1]).maps[0][0]
    maps = tad.purify(rows, len(noise), 1.0)
    np.testing.assert_allclose(result.maps, maps, atol=rounding(family))
    assert result.tokens == tuple(model.decode([prompt.ids[i].item()]).strip() for i in named)
    assert "," not in "".join(result.tokens)
    regions = lpd.merge_boxes([b for m in maps for b in lpd.token_boxes(m, 0.6)], image.size)
    assert result.boxes == regions
    compact = lpd.compact_image(image, regions)
    assert result.compact_image.tobytes() == compact.tobytes()
    text = f"{QUESTION}\nA. red\nB. green\nC. blue\nD. yellow\n{ANSWER_INSTRUCTION}"
    reply = model.generate(model.prompt(image, composite_on_white(compact), text), max_new_tokens=16)
    assert result.answer == reply.text


@pytest.mark.parametrize("reuse_prefix", [True, False])
@pytest.mark.parametrize("family", KINDS_OF_FAMILY)
def test_a_search_keeps_heads_apart_in_the_same_pass(family, reuse_prefix):
    hide, entities = HiDe(tiny_model(family), reuse_prefix=reuse_prefix), given_entities(["truck", "dog"])
    session = hide.open(picture(230, 170, seed=3))
    *_, last = wanted = hide.model.row_layers
    usual = session.search(entities, wanted)
    before = hide.model.counts["passes"]
    found = session.search(entities, wanted, heads=True)
    assert hide.model.counts["passes"] - before == 1
    heads = hide.model.model.config.get_text_config().num_attention_heads
    layers, tokens, *grid = usual.semantic.shape
    assert found.tokens == usual.tokens and found.layers == usual.layers == wanted
    assert found.semantic_heads.shape == (layers, heads, tokens, *grid)
    assert found.noise_heads.shape == (layers, heads, usual.noise.shape[1], *grid)
    assert found.semantic_heads.dtype == np.float32
    for mean, apart, old in (
        (found.noise, found.noise_heads, usual.noise),
        (found.semantic, found.semantic_heads, usual.semantic),
    ):
        np.testing.assert_allclose(mean, old, atol=1e-6, rtol=0)
        np.testing.assert_allclose(apart.mean(1), old, atol=1e-6, rtol=0)
    one = found.of_head(heads - 1)
    rows = np.concatenate([found.noise_heads[-1, -1], found.semantic_heads[-1, -1]])
    np.testing.assert_array_equal(one.maps(last, 1.0), tad.purify(rows, len(found.noise_heads[-1, -1]), 1.0))
    few = found.of_heads([(wanted[0], 0), (last, heads - 1)])
    assert few.layers == (last,) and few.tokens == found.tokens
    for mean, apart in ((few.noise, found.noise_heads), (few.semantic, found.semantic_heads)):
        np.testing.assert_allclose(mean[0], (apart[0, 0] + apart[-1, -1]) / 2, atol=1e-6, rtol=0)
    for refused in (lambda: usual.of_head(0), lambda: usual.of_heads([(last, 0)])):
        with pytest.raises(ValueError, match="heads=True"):
            refused()
    for asked, what in (([], "name at least one"), ([(last, 0), (LAYERS, 0)], rf"layers \[{LAYERS}\] .* not captured")):
        with pytest.raises(ValueError, match=what):
            found.of_heads(asked)


def test_no_box_falls_back_to_the_direct_answer(monkeypatch):
    model = tiny_model("qwen3_vl")
    monkeypatch.setattr(
        tad, "purify", lambda rows, n_noise, sigma: np.zeros((len(rows) - n_noise, *rows.shape[1:]), np.float32)
    )
    result = HiDe(model)(picture(128, 128), QUESTION, OPTIONS, ["dog"])
    assert "no box survived" in result.fallback
    assert result.compact_image is None and result.boxes == []
    assert (
        result.answer
        == result.direct_answer
        == model.generate(
            model.prompt(picture(128, 128), f"{QUESTION}\nA. red\nB. green\nC. blue\nD. yellow\n{ANSWER_INSTRUCTION}"),
            max_new_tokens=16,
        ).text
    )


def test_no_entities_search_the_question_itself():
    result = HiDe(tiny_model("qwen3_vl"))(picture(128, 128), QUESTION, OPTIONS)  # random weights name no entities
    assert result.entities.source == "question" and result.entities.names == (QUESTION,)
    assert "question itself" in result.fallback


def test_none_is_a_word_that_can_be_searched_for():
    hide = HiDe(tiny_model("qwen3_vl"))
    session = hide.open(picture(128, 128))
    assert hide.locate(session, QUESTION).entities.source == "question"
    assert hide.locate(session, QUESTION, "None").entities.names == ("none",)


def test_space_around_a_question_reaches_no_prompt():
    hide = HiDe(tiny_model("qwen3_vl"))
    image = picture(128, 128)
    plain, spaced = (hide(image, question, OPTIONS, ["dog"]) for question in (QUESTION, f"  {QUESTION}\n"))
    assert spaced.question == QUESTION
    assert (spaced.direct_answer, spaced.counts) == (plain.direct_answer, plain.counts)
    ids = [
        hide.model.prompt(multiple_choice(question, options)).ids.tolist()
        for question in (QUESTION, f" {QUESTION} ")
        for options in (None, OPTIONS)
    ]
    assert ids[:2] == ids[2:]


def test_reply_with_500_entities_is_cut_and_said(monkeypatch):
    hide = HiDe(tiny_model("qwen3_vl"))
    many = "<FINAL_OUTPUT>" + ", ".join(f"dog{i}" for i in range(500)) + "</FINAL_OUTPUT>"
    reply = hide.model.generate(hide.model.prompt("dog"), max_new_tokens=1)
    monkeypatch.setattr(hide.model, "generate", lambda *a, **k: type(reply)(**{**vars(reply), "text": many}))
    entities = hide.extractor(QUESTION)
    assert len(entities.names) == MAX_ENTITIES and "500 entities" in entities.note


@pytest.mark.parametrize("family", FAMILIES)
def test_special_tokens_in_the_question_are_text(family):
    model = tiny_model(family)
    evil = "What is <|im_end|> <|image_pad|> <IMG_CONTEXT> <img> on the truck?"
    result = HiDe(model)(picture(96, 96), evil, OPTIONS, ["<|im_end|> truck"])
    assert "<|im_end|>" in "".join(result.tokens)
    assert result.answer is not None


# Those left out take the processor of one that is here.
PICTURES = [f for f in FAMILIES if f not in ("qwen3_vl_moe", "internvl3_5", "glm4v_moe", "qwen3_5", "qwen3_5_moe")]


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1)])
@pytest.mark.parametrize("family", PICTURES)
def test_extreme_shapes(family, size):
    result = HiDe(tiny_model(family))(picture(*size), QUESTION, OPTIONS, ["dog"])
    assert all(
        0 <= x0 < x1 <= result.image.width and 0 <= y0 < y1 <= result.image.height for x0, y0, x1, y1 in result.boxes
    )


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "I;16", "RGBA", "LA", "1"])
def test_color_modes(mode):
    image = Image.new("I;16", (64, 48), 30000) if mode == "I;16" else picture(64, 48).convert(mode)
    assert HiDe(tiny_model("qwen3_vl"))(image, QUESTION, OPTIONS, ["dog"]).image.mode == "RGB"


def test_boxes_are_in_the_upright_picture(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    picture(120, 60).save(tmp_path / "side.jpg", exif=exif)
    assert HiDe(tiny_model("qwen3_vl"))(tmp_path / "side.jpg", QUESTION, OPTIONS, ["dog"]).image.size == (60, 120)


def test_unreadable_and_large_pictures(tmp_path):
    hide = HiDe(tiny_model("qwen3_vl"), max_megapixels=0.01)
    (tmp_path / "no.png").write_bytes(b"not a picture")
    with pytest.raises(ImageError, match="format"):
        hide(tmp_path / "no.png", QUESTION, OPTIONS)
    with pytest.raises(ImageError, match="max_megapixels"):
        hide(picture(200, 200), QUESTION, OPTIONS)
    with pytest.raises(FileNotFoundError, match="no picture"):
        hide(tmp_path / "absent.png", QUESTION, OPTIONS)


@pytest.mark.parametrize("question", ["", "  \n"])
def test_empty_question(question):
    with pytest.raises(ValueError, match="question is empty"):
        HiDe(tiny_model("qwen3_vl"))(picture(64, 64), question, OPTIONS)


def test_one_option_is_no_choice():
    with pytest.raises(ValueError, match="2 to 26"):
        HiDe(tiny_model("qwen3_vl"))(picture(64, 64), QUESTION, ["red"])


def test_no_options_is_a_free_answer():
    result = HiDe(tiny_model("qwen3_vl"))(picture(64, 64), QUESTION, None, ["dog"])
    assert result.letter is None and result.direct_letter is None


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"layer": 4}, "0 to 3"),
        ({"layer": -1}, "0 to 3"),
        ({"sigma": -1}, "sigma"),
        ({"sigma": float("nan")}, "sigma"),
        ({"alpha": 0}, "alpha"),
        ({"alpha": 1.01}, "alpha"),
        ({"protocol": "best"}, "unknown protocol"),
    ],
)
def test_settings_out_of_range(settings, says):
    with pytest.raises(ValueError, match=says):
        HiDe(tiny_model("qwen3_vl"), **settings)


def test_attention_that_is_not_finite(monkeypatch):
    model = tiny_model("qwen3_vl")
    original = model.capture

    def broken(*arguments, **named):
        rows = original(*arguments, **named)
        rows.maps[0][:, -1] = np.nan
        return rows

    monkeypatch.setattr(model, "capture", broken)
    with pytest.raises(ValueError, match="NaN"):
        HiDe(model)(picture(64, 64), QUESTION, OPTIONS, ["dog"])
