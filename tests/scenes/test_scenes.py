"""The procedural benchmark: what its questions, boxes, splits and knobs promise."""

import re
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest

from hide_utils.scenes import questions as scenes
from hide_utils.scenes import world
from hide_utils.scenes.questions import COLORS, KINDS, SHAPES, SceneConfig, scene_rng, scene_samples
from hide_utils.scenes.world import PHOTOGRAPHS, SPLITS

SMALL = {"resolution": 128, "object_size": (12, 18), "n_distractors": 4, "clutter": 0.2}
CONFIG = SceneConfig(**SMALL)


@pytest.fixture
def drawn(monkeypatch):
    """Every object drawn from here on, in order."""
    things = []
    draw_thing = scenes.draw_thing

    def spy(*args, **kwargs):
        things.append(draw_thing(*args, **kwargs))
        return things[-1]

    monkeypatch.setattr(scenes, "draw_thing", spy)
    return things


@pytest.fixture(scope="module")
def many():
    return scene_samples("test", n=200, **SMALL)


def test_deterministic_whatever_n(many):
    again = scene_samples("test", n=6, **SMALL)
    for one, other in zip(again, many, strict=False):
        assert (one.id, one.question, one.options, one.label) == (other.id, other.question, other.options, other.label)
        assert one.boxes_xyxy == other.boxes_xyxy and one.entities == other.entities
        assert one.image.tobytes() == other.image.tobytes() == other.image.tobytes()
    assert len({s.id for s in many}) == len(many)
    assert len({s.image.tobytes() for s in again}) == 6


def test_seeds_and_splits_draw_other_scenes():
    def first(split, seed):
        sample = scene_samples(split, n=1, seed=seed, **SMALL)[0]
        return sample.id, sample.image.tobytes()

    drawn = [first(split, seed) for split in SPLITS for seed in (0, 1, 2)]
    assert len({name for name, _ in drawn}) == len({pixels for _, pixels in drawn}) == 9
    streams = {tuple(scene_rng(s, seed, i).integers(0, 2**32, 4)) for s in SPLITS for seed in (0, 1) for i in (0, 1)}
    assert len(streams) == 12


def test_splits_use_disjoint_photographs(monkeypatch):
    assert set(PHOTOGRAPHS) == {"train", "calibration", "test"}
    every = [name for names in PHOTOGRAPHS.values() for name in names]
    assert len(set(every)) == len(every)
    used = {split: set() for split in PHOTOGRAPHS}
    monkeypatch.setattr(scenes, "photograph", lambda name: used[split].add(name) or Image.new("RGB", (64, 64)))
    for split in PHOTOGRAPHS:
        for i in range(80):
            scenes.background(scene_rng(split, 0, i), split, 32)
        assert used[split] == set(PHOTOGRAPHS[split])


def test_photographs_are_different_pictures():
    small = {name: world.photograph(name).resize((8, 8)).tobytes() for names in PHOTOGRAPHS.values() for name in names}
    assert len(set(small.values())) == len(small)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_but_the_boxes_differs_from_the_bare_background(kind, drawn):
    for index in range(8):
        drawn.clear()
        image = scenes.make_question(scene_rng("test", 1, index), "test", CONFIG, kind)[0]
        boxes = [thing.box_xyxy for thing in drawn]

        def bare(rng, split, config, wanted, relation=None):
            canvas = scenes.background(rng, split, config.resolution)
            scenes.add_clutter(canvas, rng, config.clutter)
            raise StopIteration(canvas)

        with pytest.MonkeyPatch.context() as patch, pytest.raises(StopIteration) as stopped:
            patch.setattr(scenes, "draw_scene", bare)
            scenes.make_question(scene_rng("test", 1, index), "test", CONFIG, kind)
        changed = (np.asarray(image) != np.asarray(stopped.value.args[0])).any(-1)
        for x0, y0, x1, y1 in boxes:
            assert changed[y0:y1, x0:x1].mean() > 0.2
            changed[y0 - 1 : y1 + 1, x0 - 1 : x1 + 1] = (
                False  # the soft rim, fainter than a quarter, is up to 1 px wide
            )
        assert not changed.any()


@pytest.mark.parametrize("kind", KINDS)
def test_others_are_what_else_was_drawn(kind, drawn):
    for index in range(6):
        drawn.clear()
        (sample,) = scenes.scene_samples("test", 1, index, (kind,), resolution=256, n_distractors=5)
        asked = len(sample.entities)
        assert asked == len(sample.boxes_xyxy) and sample.others == [scenes.entity_name(t) for t in drawn[asked:]]
        assert [t.box_xyxy for t in drawn[:asked]] == sample.boxes_xyxy
        assert len(sample.others) == 5 and not set(sample.others) & set(sample.entities)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [8, 13, 40])
def test_box_is_exact_to_the_outline(shape, size):
    """Drawn on white and on black, the difference of the two gives each pixel's coverage."""
    pictures = []
    for ground in (255, 0):
        image = Image.new("RGB", (64, 64), (ground,) * 3)
        thing = scenes.draw_thing(image, np.random.default_rng(0), shape, "pink", (9, 7), size)
        pictures.append(np.asarray(image, float)[..., 0])
    coverage = 1 - (pictures[0] - pictures[1]) / 255
    x0, y0, x1, y1 = thing.box_xyxy
    inside = coverage[y0:y1, x0:x1]
    assert min(inside[0].max(), inside[-1].max(), inside[:, 0].max(), inside[:, -1].max()) > 0.2  # no side too far out
    outside = coverage.copy()
    outside[y0:y1, x0:x1] = 0
    assert outside.max() < 0.26  # none too far in
    assert abs((x1 - x0) - (size + 2)) <= 0.35 * size and abs((y1 - y0) - (size + 2)) <= max(3, 0.12 * size)


def test_samples_carry_the_boxes_of_what_is_asked(drawn):
    for index, kind in enumerate(KINDS * 10):
        drawn.clear()
        (sample,) = scene_samples("calibration", n=1, seed=index, kinds=(kind,), **SMALL)
        asked = drawn[: len(sample.boxes_xyxy)]
        assert [thing.box_xyxy for thing in asked] == sample.boxes_xyxy
        assert len(asked) == {"direct_attributes": 1, "relative_position": 2}[kind]
        for (x0, y0, x1, y1), entity, thing in zip(sample.boxes_xyxy, sample.entities, asked, strict=True):
            assert 0 <= x0 < x1 <= 128 and 0 <= y0 < y1 <= 128
            assert max(x1 - x0, y1 - y0) <= 18 + 4
            assert thing.shape in entity or f"{thing.color} color" in entity


def test_exactly_one_object_satisfies_the_question(drawn):
    for index, kind in enumerate(KINDS * 20):
        drawn.clear()
        (sample,) = scene_samples("test", n=1, seed=index, kinds=(kind,), **SMALL | {"n_similar": 4})
        if match := re.fullmatch(r"What is the color of the (\w+)\?", sample.question):
            assert [t.color for t in drawn if t.shape == match[1]] == [sample.answer]
        elif match := re.fullmatch(r"What is the shape of the (\w+) object\?", sample.question):
            assert [t.shape for t in drawn if t.color == match[1]] == [sample.answer]
        else:
            names = Counter(f"{t.color} {t.shape}" for t in drawn)
            asked = re.findall(r"the ((?:{}) (?:{}))".format("|".join(COLORS), "|".join(SHAPES)), sample.question)
            assert len(asked) == 2 and [names[name] for name in asked] == [1, 1]
            assert drawn[0].shape != drawn[1].shape and drawn[0].color != drawn[1].color


def test_options(many):
    for sample in many:
        assert len(set(sample.options)) == len(sample.options) == (4 if sample.kind == "direct_attributes" else 2)
        assert sample.options.count(sample.answer) == 1
        pools = {"color": set(COLORS), "shape": set(SHAPES), "left": {"left", "right"}, "above": {"above", "below"}}
        (pool,) = [pool for word, pool in pools.items() if re.search(rf"\b{word}\b", sample.question)]
        assert set(sample.options) <= pool


def test_labels_and_answers_are_balanced(many):
    for kind, letters in (("direct_attributes", "ABCD"), ("relative_position", "AB")):
        labels = [s.label for s in many if s.kind == kind]
        assert len(labels) == 100
        for letter in letters:
            assert binomtest(labels.count(letter), 100, 1 / len(letters)).pvalue > 0.001, (kind, letter)
    answers = [s.answer for s in many if s.kind == "relative_position"]
    for pair in (("left", "right"), ("above", "below")):
        counts = [answers.count(word) for word in pair]
        assert min(counts) > 12 and binomtest(counts[0], sum(counts), 0.5).pvalue > 0.001


def test_relations_agree_with_the_boxes(many):
    relations = [s for s in many if s.kind == "relative_position"]
    for sample in relations:
        (ax, ay), (bx, by) = ((np.add(box[:2], box[2:]) / 2).tolist() for box in sample.boxes_xyxy)
        right = {"left": ax < bx, "right": ax > bx, "above": ay < by, "below": ay > by}
        assert right[sample.answer]
        along = abs(ax - bx) if sample.answer in ("left", "right") else abs(ay - by)
        assert along >= 0.2 * 128 - 6  # corners are kept apart; sizes differ by up to 6 px


@pytest.mark.parametrize("n", [0, 1, 9])
@pytest.mark.parametrize(("kind", "asked"), [("direct_attributes", 1), ("relative_position", 2)])
def test_number_of_distractors(drawn, n, kind, asked):
    scene_samples("test", n=3, kinds=(kind,), **SMALL | {"n_distractors": n, "resolution": 256})
    assert len(drawn) == 3 * (asked + n)


def test_default_distractors_grow_with_the_area():
    assert [SceneConfig(resolution=r).distractors for r in (224, 448, 672, 1344)] == [3, 3, 6, 24]


@pytest.mark.parametrize("kind", KINDS)
def test_similar_distractors_share_one_attribute(drawn, kind):
    def similar(n_similar):
        counts = []
        for seed in range(12):
            drawn.clear()
            (sample,) = scene_samples("test", n=1, seed=seed, kinds=(kind,), **SMALL | {"n_similar": n_similar})
            asked, others = drawn[: len(sample.boxes_xyxy)], drawn[len(sample.boxes_xyxy) :]
            counts.append(sum(any((o.shape == a.shape) != (o.color == a.color) for a in asked) for o in others))
        return counts

    assert min(similar(4)) == 4 > min(similar(0))


def test_resolution_object_size_and_clutter():
    for resolution in (96, 200):
        sample = scene_samples("train", n=1, resolution=resolution, object_size=(16, 16), n_distractors=0)[0]
        assert sample.image.size == (resolution,) * 2 and sample.image.mode == "RGB"
        x0, y0, x1, y1 = sample.boxes_xyxy[0]
        assert 16 <= y1 - y0 <= 20
    bare, cluttered = (
        scenes.draw_scene(scene_rng("test", 0, 0), "test", SceneConfig(**SMALL | {"clutter": c}), [])[0]
        for c in (0, 10)
    )
    assert (np.asarray(bare) != np.asarray(cluttered)).any(-1).mean() > 0.1


@pytest.mark.parametrize(
    "bad",
    [
        {"split": "val"},
        {"kinds": ()},
        {"kinds": ("counting",)},
        {"n": 0},
        {"seed": -1},
        {"resolution": 0},
        {"resolution": 80},
        {"object_size": (4, 10)},
        {"object_size": (40, 20)},
        {"object_size": (20, 200)},
        {"clutter": -0.1},
        {"clutter": 21},
        {"separation": 0.7},
        {"n_distractors": -1},
        {"n_similar": -1},
        {"size": 3},
    ],
)
def test_bad_knobs(bad):
    with pytest.raises(ValueError):
        scene_samples(**{"n": 1, "resolution": 128} | bad)


@pytest.mark.parametrize(
    "knobs",
    [
        {"resolution": 104, "object_size": (52, 52)},
        {"resolution": 200, "object_size": (90, 90), "separation": 0.6},
    ],
)
def test_a_layout_that_cannot_be_is_refused(knobs):
    with pytest.raises(ValueError, match="no layout found"):
        scene_samples("test", 8, kinds=("relative_position",), **knobs)


@pytest.mark.parametrize("knobs", [{"n_distractors": -1}, {"n_similar": -1}])
def test_negative_counts_are_refused(knobs):
    with pytest.raises(ValueError, match="at least 0"):
        scene_samples("test", 1, **knobs)
