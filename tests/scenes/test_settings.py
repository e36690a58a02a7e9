"""Settings of drawn scenes: numbers that grow with the area, difficulties, and what is refused in words."""

import subprocess
import sys
from dataclasses import fields, replace

import pytest

from hide_utils import load_benchmark, paths
from hide_utils.scenes import (
    DIFFICULTIES,
    KINDS,
    SceneConfig,
    scene_samples,
)
from hide_utils.scenes.questions import draw

SMALL = {"resolution": 160, "object_size": (12, 18), "named": 16, "similar": 8, "unnamed": 20, "strokes": 4}


def test_numbers_follow_the_area():
    names = ("named", "similar", "unnamed", "strokes")
    counts = [tuple(SceneConfig(resolution=r).count(name) for name in names) for r in (128, 512, 1024, 2048)]
    assert counts == [(4, 0, 3, 2), (9, 6, 48, 24), (36, 22, 192, 96), (144, 88, 768, 384)]
    assert SceneConfig(named=0).count("named") == 4


def test_difficulties_are_one_table_and_single_settings_come_first():
    assert list(DIFFICULTIES) == ["easy", "default", "hard"]
    assert SceneConfig(**DIFFICULTIES["default"]) == SceneConfig()
    for name, settings in DIFFICULTIES.items():
        (sample,) = load_benchmark("scenes", n=1, difficulty=name)
        assert sample.render.args[0].config == SceneConfig(**settings)
        assert sample.image.size == (settings["resolution"],) * 2
        (other,) = load_benchmark("scenes", n=1, difficulty=name, unnamed=0, object_size=[20, 24])
        assert other.render.args[0].config == SceneConfig(**settings | {"unnamed": 0, "object_size": (20, 24)})
    assert load_benchmark("scenes", n=1)[0].render.args[0].config == SceneConfig()


def test_every_setting_changes_the_picture():
    config = SceneConfig(**SMALL)
    changes = {"resolution": 176, "named": 10, "similar": 0, "unnamed": 2, "strokes": 40, "object_size": (14, 15),
               "separation": 0.6, "ground": "procedural"}  # fmt: skip
    assert set(changes) == {field.name for field in fields(SceneConfig)}

    def pixels(config):
        settings = {field.name: getattr(config, field.name) for field in fields(config)}
        return {sample.image.tobytes() for sample in scene_samples("test", 4, kinds=KINDS[1:], **settings)}

    plain = pixels(config)
    for name, value in changes.items():
        assert pixels(replace(config, **{name: value})) != plain, name


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"split": "val"}, "the scenes have train, calibration, test"),
        ({"kinds": ()}, "unknown kinds"),
        ({"kinds": ("counting",)}, "the scenes have direct_attributes, relative_position"),
        ({"n": 0}, "n must be at least 1"),
        ({"seed": -1}, "seed at least 0"),
        ({"difficulty": "hrad"}, "unknown difficulty 'hrad'; the scenes have easy, default, hard"),
        ({"resolution": 0}, "resolution 0 must be a whole number from 64 to 8192"),
        ({"resolution": True}, "resolution True must be a whole number"),
        ({"object_size": (4, 10)}, "object_size .* from 8 to half the resolution, 256"),
        ({"object_size": (40, 20)}, "smallest and largest"),
        ({"object_size": (20, 300)}, "smallest and largest"),
        ({"named": -1}, "named -1 must be a number from 0 to 16 per 65 536 pixels"),
        ({"named": 36}, "named 36 must be a number from 0 to 16"),
        ({"similar": -0.5}, "similar -0.5 must be"),
        ({"unnamed": float("nan")}, "unnamed nan must be a number from 0 to 64"),
        ({"unnamed": True}, "unnamed True must be a number"),
        ({"strokes": 1000}, "strokes 1000 must be a number from 0 to 256"),
        ({"separation": 0.7}, "separation 0.7 must be a number from 0 to 0.6"),
        ({"ground": "photograph"}, "unknown ground 'photograph'; the scenes have photographs, procedural, plain"),
        ({"clutter": 0.5}, "unknown scene settings clutter; the scenes have resolution, named"),
    ],
    ids=str,
)
def test_bad_settings_are_refused_in_words(bad, said):
    with pytest.raises(ValueError, match=said):
        scene_samples(**{"n": 1, "resolution": 512} | bad)


def test_settings_of_another_type_are_refused_in_words():
    """In a process of its own, since annotations are checked in this one before anything is said."""
    bad = [{"resolution": 512.0}, {"object_size": (20.0, 30)}, {"object_size": [20]}, {"object_size": 20},
           {"named": "36"}, {"ground": 3}, {"difficulty": 1}]  # fmt: skip
    code = f"""
from hide_utils.scenes import scene_samples
for bad in {bad!r}:
    try:
        scene_samples("test", 1, **bad)
    except ValueError as error:
        print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=paths.ROOT).stdout
    for line, words in zip(said.splitlines(), [
        "resolution 512.0 must be a whole number", "object_size (20.0, 30) must be two whole numbers",
        "object_size (20,) must be two", "object_size 20 must be two", "named '36' must be a number",
        "unknown ground 3", "unknown difficulty 1",
    ], strict=True):  # fmt: skip
        assert line.startswith(words)


@pytest.mark.parametrize(
    "knobs",
    [
        {"resolution": 104, "object_size": (52, 52)},
        {"resolution": 512, "object_size": (60, 60), "named": 16},
    ],
)
def test_a_layout_that_cannot_be_is_refused(knobs):
    with pytest.raises(ValueError, match="no layout found for .* take fewer or smaller objects"):
        scene_samples("test", 4, kinds=("relative_position",), **knobs)


def test_a_scene_is_its_own_description():
    sample = scene_samples("calibration", 1, **SMALL)[0]
    (scene,) = sample.render.args
    assert draw(scene).tobytes() == sample.image.tobytes() and list(scene.things) == sample.things
