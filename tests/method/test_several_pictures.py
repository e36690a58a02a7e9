"""Several pictures a question: each token belongs to one of them, and the answer sees a compact image of each."""

import json

import numpy as np
import pytest
from checkpoints import FAMILIES, KINDS_OF_FAMILY, tiny_model
from model_helpers import picture
from PIL import Image

from hide_utils import HiDe
from hide_utils.images import ImageError, composite_on_white
from hide_utils.method import Session, given_entities, lpd, tad
from hide_utils.prompts import ANSWER_INSTRUCTION, SEARCH_INSTRUCTION

QUESTION, OPTIONS = "Is the truck the color of the dog?", ["yes", "no"]
ENTITIES = ["truck with blue color", "dog", "red star", "scooter"]
TEXT = f"{QUESTION}\nA. yes\nB. no\n{ANSWER_INSTRUCTION}"


def two():
    return [picture(230, 170, 3), picture(130, 190, 4)]


@pytest.mark.parametrize("family", KINDS_OF_FAMILY)
def test_stages_are_those_of_the_modules(family):
    """All by hand, from full passes over both pictures."""
    model, images = tiny_model(family), two()
    hide = HiDe(model, layer=1, sigma=0.5, alpha=0.6)
    result = hide(images, QUESTION, OPTIONS, ENTITIES)
    prompt = model.prompt(*images, f"{SEARCH_INSTRUCTION} {', '.join(ENTITIES)}")
    span, at, named = prompt.texts[0], len(SEARCH_INSTRUCTION) + 1, []
    for name in ENTITIES:
        named += span.positions(at, at + len(name))
        at += len(name) + 2
    noise = span.positions(0, len(SEARCH_INSTRUCTION))
    rows = [maps[0] for maps in model.capture(prompt, noise + named, [1]).maps]
    words = [model.decode([prompt.ids[i].item()]).strip() for i in named]
    owners = [int(np.argmax([one[len(noise) + t].max() for one in rows])) for t in range(len(named))]
    assert {0, 1} == set(owners), "else nothing is divided"
    compacts = []
    for number, (one, image, looked) in enumerate(zip(rows, images, result.looked, strict=True)):
        mine = [t for t, owner in enumerate(owners) if owner == number]
        maps = tad.purify(one, len(noise), 0.5)[mine]
        np.testing.assert_allclose(looked.maps, maps, atol=1e-4)
        assert looked.tokens == tuple(words[t] for t in mine)
        assert looked.boxes == lpd.merge_boxes([b for m in maps for b in lpd.token_boxes(m, 0.6)], image.size)
        assert looked.compact_image.tobytes() == lpd.compact_image(image, looked.boxes).tobytes()
        compacts.append(composite_on_white(looked.compact_image))
    assert result.answer == model.generate(model.prompt(*images, *compacts, TEXT), 16).text
    assert result.direct_answer == model.generate(model.prompt(*images, TEXT), 16).text
    assert (result.image.size, result.boxes, result.tokens) == (
        (230, 170),
        result.looked[0].boxes,
        result.looked[0].tokens,
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_one_prefill_of_all_pictures_gives_what_full_passes_give(family):
    model = tiny_model(family)
    shared, full = HiDe(model), HiDe(model, reuse_prefix=False)
    sessions = [hide.open(two()) for hide in (shared, full)]
    one, other = (h.run(s, QUESTION, OPTIONS, ENTITIES) for h, s in zip((shared, full), sessions, strict=True))
    assert (one.answer, [x.boxes for x in one.looked]) == (other.answer, [x.boxes for x in other.looked])
    for ours, theirs in zip(one.looked, other.looked, strict=True):
        np.testing.assert_allclose(ours.maps, theirs.maps, atol=1e-3)  # rounding, enlarged by min-max
    prefix = sessions[0].shared.prefix
    assert len(prefix.pictures) == 2 and sessions[1].shared.prefix is None
    assert sessions[0].counts["prefill"]["images"] == 2 and sessions[0].counts["search"].get("images", 0) == 0
    replies = [sessions[0].answer(QUESTION, OPTIONS, step=str(i)).ids for i in range(3)]
    assert replies == [sessions[1].answer(QUESTION, OPTIONS).ids] * 3


def test_the_prefix_ends_behind_the_last_picture_and_its_closing_token():
    model = tiny_model("qwen3_vl")
    session = Session(model, two())
    _, prefix = session.prefill()
    assert model.decode(prefix.ids[-1:].tolist()) == "" and prefix.ids[-1] == model.builder.special["<|vision_end|>"]
    assert (prefix.ids == model.image_token_id).sum() == sum(model.n_image_tokens(one.size) for one in two())


def test_a_list_of_one_is_the_picture():
    hide, image = HiDe(tiny_model("qwen3_vl")), two()[0]
    one, other = hide(image, QUESTION, OPTIONS, ENTITIES), hide([image], QUESTION, OPTIONS, ENTITIES)
    assert other.others == () and (one.boxes, one.counts, str(one)[:40]) == (other.boxes, other.counts, str(other)[:40])
    np.testing.assert_array_equal(one.maps, other.maps)


def test_a_picture_without_a_token_has_no_compact_image(monkeypatch):
    model = tiny_model("qwen3_vl")
    monkeypatch.setattr(tad, "assign_images", lambda maps: np.ones(maps[0].shape[0], int))
    result = HiDe(model)(two(), QUESTION, OPTIONS, ENTITIES)
    first, second = result.looked
    assert first.boxes == [] and first.compact_image is None and first.tokens == () and len(first.maps) == 0
    assert second.boxes and result.fallback is None
    shown = composite_on_white(second.compact_image)
    assert result.answer == model.generate(model.prompt(*two(), shown, TEXT), 16).text
    assert "regions   0 of 230 x 170 px" in str(result) and "of 130 x 190 px" in str(result)
    assert repr([[], second.boxes]) in repr(result)


def test_no_box_in_any_picture_is_answered_directly_and_said(monkeypatch):
    nothing = lambda rows, n, sigma: np.zeros((len(rows) - n, *rows.shape[1:]), np.float32)  # noqa: E731
    monkeypatch.setattr(tad, "purify", nothing)
    result = HiDe(tiny_model("qwen3_vl"))(two(), QUESTION, OPTIONS, ENTITIES)
    assert result.fallback == "no box survived: answered from the original pictures alone"
    assert result.answer == result.direct_answer and "direct" not in result.timings


def test_saved_and_shown(tmp_path):
    result = HiDe(tiny_model("qwen3_vl"))(two(), QUESTION, OPTIONS, ENTITIES)
    names = {path.name for path in result.save(tmp_path)}
    assert {"image.png", "image_2.png", "maps.npz", "maps_2.npz", "stages.png", "result.json"} <= names
    record = json.loads((tmp_path / "result.json").read_text())
    assert [[tuple(box) for box in one["boxes"]] for one in record["pictures"]] == [x.boxes for x in result.looked]
    np.testing.assert_array_equal(np.load(tmp_path / "maps_2.npz")["maps"], result.looked[1].maps)
    assert Image.open(tmp_path / "image_2.png").tobytes() == two()[1].tobytes()
    titles = [ax.get_title() for ax in result.figure([[(1, 2, 30, 40)], []]).axes]
    assert "picture 1, regions, dashed: true" in titles and "picture 2, regions" in titles
    drawn = sum(len(ax.patches) for ax in result.figure().axes)
    assert drawn >= sum(len(one.boxes) for one in result.looked)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], "list is empty"),
        ([picture(9, 9), 3], "picture 2 of 2: want a path or a PIL picture, not int"),
        ([None], "want a path or a PIL picture, not NoneType"),
        ([picture(9, 9), picture(900, 9)], "picture 2 of 2: .* max_megapixels"),
    ],
)
def test_what_is_no_picture_is_refused_with_its_number(given, says):
    with pytest.raises(ValueError, match=says):
        HiDe(tiny_model("qwen3_vl"), max_megapixels=0.001)(given, QUESTION, OPTIONS)


def test_a_missing_file_and_a_damaged_one_are_named_with_their_number(tmp_path):
    hide, image = HiDe(tiny_model("qwen3_vl")), picture(9, 9)
    with pytest.raises(FileNotFoundError, match=r"picture 2 of 2: .*absent\.png"):
        hide([image, tmp_path / "absent.png"], QUESTION, OPTIONS)
    (tmp_path / "no.png").write_bytes(b"not a picture")
    with pytest.raises(ImageError, match="picture 1 of 2"):
        hide([tmp_path / "no.png", image], QUESTION, OPTIONS)


def test_what_works_with_one_picture_alone_refuses_several():
    session = Session(tiny_model("qwen3_vl"), two())
    for refused in (
        lambda: session.image,
        lambda: session.search(given_entities(["dog"]), [1]),
        lambda: session.rows_of_last("Where?", [1]),
        lambda: HiDe(session.model).locate(session, QUESTION, ENTITIES).regions,
    ):
        with pytest.raises(ValueError, match="2 pictures, .* works with one alone"):
            refused()


def test_rotations_are_answered_together_behind_all_pictures():
    session, alone = (Session(tiny_model("qwen3_vl"), two()) for _ in range(2))
    rotations = [OPTIONS, OPTIONS[::-1]]
    session.expect(session.prompts.for_answer(QUESTION, options) for options in rotations)
    for second in (None, [picture(60, 60, 1), picture(80, 50, 2)]):
        replies = [session.answer(QUESTION, options, second).ids for options in rotations]
        assert replies == [alone.answer(QUESTION, options, second).ids for options in rotations]
    assert len(session.batches) == 2
