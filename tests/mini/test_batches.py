"""Pictures and batches of the lessons: second pictures, first pictures that are no help, targets, weights, padding."""

from dataclasses import replace

import numpy as np
import pytest

from hide_utils import load_model
from hide_utils.mini import batches, lessons, pictures
from hide_utils.mini.batches import conversation, dense_targets, draw_batch
from hide_utils.mini.curriculum import LESSONS, TUNING, Lesson, lesson_at
from hide_utils.mini.pictures import Shown, drawn_pairs, second_picture, shown
from hide_utils.scenes.world import NOUNS, Thing

PAIR = TUNING.lessons[0]


@pytest.fixture(scope="module")
def tokenizer():
    return load_model("mini", device="cpu").tokenizer


@pytest.fixture(scope="module")
def scene():
    pairs = [("star", "red"), ("dog", "blue"), ("cat", "green"), ("key", "pink")]
    return pictures.draw(np.random.default_rng(0), 384, pairs, (36, 48), 0.5, 0.0)


def correlation(a, b):
    return np.corrcoef(a.astype(float).ravel(), b.astype(float).ravel())[0, 1]


def test_a_scene_shows_its_things_in_order_and_leaves_out_what_has_no_room(scene):
    image, things = scene
    assert image.shape == (384, 384, 3) and image.dtype == np.uint8 and image.flags.writeable
    assert [t.noun for t in things] == ["star", "dog", "cat", "key"]
    for t in things:
        x0, y0, x1, y1 = t.box_xyxy
        assert image[y0:y1, x0:x1].std() > 10
    _, few = pictures.draw(np.random.default_rng(0), 128, [(noun, "red") for noun in NOUNS], (50, 60), 0.0, 0.0)
    assert 1 <= len(few) < 6


def test_pairs_are_different_and_share_nouns_and_colors():
    drawn = [drawn_pairs(np.random.default_rng(seed), 12) for seed in range(100)]
    assert all(len(set(pairs)) == len(pairs) <= 12 for pairs in drawn)
    assert any(len({n for n, _ in pairs}) < len(pairs) for pairs in drawn)
    alone = [
        pairs[0][0] not in {n for n, _ in pairs[1:]} and pairs[0][1] not in {c for _, c in pairs[1:]} for pairs in drawn
    ]
    assert 0.4 < np.mean(alone) < 0.9


def test_second_pictures_are_close_ups_cut_outs_on_white_and_windows(scene):
    image, things = scene
    white, areas = [], []
    for seed in range(200):
        part, inside = second_picture(np.random.default_rng(seed), image, things, (6, 8))
        assert part.shape == (192, 256, 3) and part.dtype == np.uint8
        assert all(t in things for t in inside)
        white.append((part == 255).all(2).mean())
        areas.append(len(inside))
    assert 0.3 < np.mean(np.array(white) > 0.2) < 0.6, "cut-outs"
    assert min(areas) <= 1 < max(areas)


def test_a_close_up_shows_its_thing_large_and_whole(scene, monkeypatch):
    image, things = scene
    monkeypatch.setattr(pictures, "CLOSE_UP", 1.1)
    for seed in range(40):
        part, inside = second_picture(np.random.default_rng(seed), image, things[:1], (6, 6))
        assert inside == things[:1], "the focus is whole"
        assert (part != 255).any(2).mean() > 0.9


def test_a_cut_out_shows_boxes_of_its_things_and_white(scene, monkeypatch):
    image, things = scene
    monkeypatch.setattr(pictures, "CLOSE_UP", 0.0)
    monkeypatch.setattr(pictures, "CUT_OUT", 1.1)
    window = (0, 0, 384, 384)
    for seed in range(20):
        canvas = pictures._cut_out(np.random.default_rng(seed), image, window, things[:2])
        kept = np.zeros((384, 384), bool)
        for t in things[:2]:
            x0, y0, x1, y1 = t.box_xyxy
            assert (canvas[y0:y1, x0:x1] == image[y0:y1, x0:x1]).all()
            kept[max(0, y0 - 40) : y1 + 40, max(0, x0 - 40) : x1 + 40] = True
        assert (canvas[~kept] == 255).all()
        same = (canvas == image).all(2)
        assert (same | (canvas == 255).all(2)).all()
    drawn = [second_picture(np.random.default_rng(seed), image, things, (12, 12)) for seed in range(40)]
    assert any(len(inside) < 4 and (part == 255).all(2).mean() > 0.3 for part, inside in drawn)


def first_and_clean(seed, **shares):
    """A pair as it is taught, and the same pair with an untouched first picture."""
    plain = replace(PAIR, misled=0.0, lacking=0.0, blur=0.0)
    pair = shown(np.random.default_rng(seed), replace(plain, **shares), 256, (8, 8))
    return pair, shown(np.random.default_rng(seed), plain, 256, (8, 8))


def test_a_misleading_first_picture_shows_the_same_nouns_elsewhere_and_the_second_is_true():
    for seed in range(8):
        pair, clean = first_and_clean(seed, misled=1.0)
        assert pair.things == clean.things and pair.asked == clean.asked, "questions are about the scene of the second"
        assert (pair.second == clean.second).all()
        assert (pair.image != clean.image).any(2).mean() > 0.5


def test_a_blurred_first_picture_shows_the_scene_without_detail():
    for seed in range(8):
        pair, clean = first_and_clean(seed, blur=1.0)
        assert (pair.second == clean.second).all() and pair.asked == clean.asked
        assert correlation(pair.image, clean.image) > 0.5
        steps = [np.abs(np.diff(p.image.astype(int), axis=0)).mean() for p in (pair, clean)]
        assert steps[0] < 0.7 * steps[1]


def test_at_times_only_the_first_picture_shows_what_is_asked():
    elsewhere = 0
    for seed in range(40):
        pair, clean = first_and_clean(seed, lacking=1.0)
        assert (pair.image == clean.image).all()
        if pair.asked != clean.asked:
            elsewhere += 1
            values = {v for t in clean.asked for v in (t.noun, t.color)}
            assert all(values.isdisjoint((t.noun, t.color)) for t in pair.asked)
    assert elsewhere > 10
    large, clean = (shown(np.random.default_rng(3), replace(PAIR, misled=0.0, blur=0.0, lacking=share), 640, (8, 8))
                    for share in (1.0, 0.0))  # fmt: skip
    assert large.asked == clean.asked, "not where the first picture is too large to be read"


def test_turns_about_a_pair_ask_only_what_the_second_picture_shows(monkeypatch, tokenizer):
    asked = []
    monkeypatch.setattr(lessons, "attribute", lambda *a: asked.append(a[-1]) or ([("?", False)], " red"))
    monkeypatch.setattr(lessons, "relation", lambda *a: asked.append(a[-2]) or ([("?", False)], " left"))
    thing = Thing("dog", "red", (0, 0, 40, 40))
    one = Shown(np.zeros((256, 256, 3), np.uint8), [thing], np.zeros((192, 192, 3), np.uint8), [thing])
    assert len(batches.turns_for(np.random.default_rng(0), PAIR, one)) == PAIR.n_turns
    assert asked == [[thing]] * PAIR.n_turns


def test_large_single_pictures_are_for_looking_not_for_questions():
    image = np.zeros((640, 640, 3), np.uint8)
    things = [Thing("dog", "red", (0, 0, 40, 40)), Thing("cat", "blue", (300, 300, 340, 340))]
    for seed in range(20):
        for (text, _), *_ in (
            pieces for pieces, _ in batches.turns_for(np.random.default_rng(seed), PAIR, Shown(image, things))
        ):
            assert not text.startswith(("What", "Is "))


def test_dense_targets_name_what_a_token_covers():
    targets = dense_targets([Thing("key", "blue", (64, 32, 96, 64))], 128)
    assert targets.shape == (4, 4, 4) and targets.dtype == np.int64
    assert targets[1, 2, :2].tolist() == [NOUNS.index("key"), lessons.COLOR_NAMES.index("blue")]
    assert (targets[..., 0] == len(NOUNS)).sum() == 15 == (targets[..., 1] == len(lessons.COLOR_NAMES)).sum()
    assert targets[0, :, 2].tolist() == [1, 3, 5, 7] == targets[:, 0, 3].tolist()
    small = dense_targets([Thing("key", "blue", (60, 0, 76, 16))], 128)
    assert small[0, 2, 0] == NOUNS.index("key"), "three quarters of the object"
    assert small[0, 1, 0] == len(NOUNS), "one quarter of it"
    both = dense_targets([Thing("key", "blue", (0, 0, 20, 32)), Thing("dog", "red", (0, 0, 32, 32))], 128)
    assert both[0, 0, 0] == NOUNS.index("key"), "covered whole by one, and the other is not covered more"


def test_weights_cover_learned_words_replies_and_letters_most(tokenizer):
    ids, weights = conversation(tokenizer, [], [([("a", False), (" red", True)], " blue"), ([("b", False)], "A")])
    taught = {w: [tokenizer.decode([i]) for i, v in zip(ids, weights, strict=True) if v == w] for w in set(weights)}
    assert taught[1.0] == [" red", " blue"] and taught[2.0] == ["A"] and taught[0.2] == ["<|im_end|>"] * 2
    assert set(taught) == {0.0, 0.2, 1.0, 2.0}


def test_a_conversation_is_what_the_chat_template_makes_of_it(tokenizer):
    messages = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is the red object?"}]},
        {"role": "assistant", "content": " dog"},
    ]
    text = tokenizer.apply_chat_template(messages, tokenize=False).replace("<|image_pad|>", "<|image_pad|>" * 6)
    ids, _ = conversation(tokenizer, [(2, 3)], [([("What is the red object?", False)], " dog")])
    assert tokenizer.decode(ids) == text


@pytest.mark.parametrize("lesson", [*LESSONS.lessons, *TUNING.lessons], ids=lambda lesson: lesson.name)
def test_batches_of_every_lesson_are_drawn_from_their_number_alone(tokenizer, lesson):
    small = replace(lesson, sizes=((256, 1.0, 2),), pair_sizes=((256, 1.0, 2),))
    kinds = set()
    for number in range(6):
        one, two = (draw_batch(np.random.default_rng([0, number]), small, tokenizer, 0.02) for _ in range(2))
        assert one.keys() == two.keys() and all((one[k] == two[k]).all() for k in one)
        assert all(len(array) == 2 for array in one.values())
        kinds.add(("image" in one) + ("second" in one))
        assert ("ids" in one) == bool(lesson.turns)
        if lesson.turns:
            assert one["ids"].shape == one["weights"].shape and one["ids"].shape[1] % 16 == 0
            grids = sum(one[k].shape[1] * one[k].shape[2] // 1024 for k in ("image", "second") if k in one)
            image = tokenizer.convert_tokens_to_ids("<|image_pad|>")
            assert ((one["ids"] == image).sum(1) == grids).all()
            assert (one["weights"][one["ids"] == tokenizer.pad_token_id] == 0).all()
    assert kinds <= {0, 1, 2} and kinds & {1, 2}


def test_lessons_come_in_their_order():
    assert [lesson_at(LESSONS, share) for share in (0.0, 0.13, 0.3, 0.6, 1.0)] == [0, 1, 3, 6, 6]
    ends = [lesson.until for lesson in LESSONS.lessons]
    assert ends == sorted(ends) and ends[-1] == 1.0 and LESSONS.until in ends
    assert Lesson("x", 1.0, ((128, 1.0, 2),)).turns == {}
