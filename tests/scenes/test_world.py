"""The world's icons, objects, places and grounds: exact boxes and masks, and the same pixels for the same stream."""

import runpy

import numpy as np
import pytest
from PIL import Image, ImageFilter, ImageFont

from hide_utils.scenes import COLORS, GROUNDS, NOUNS, PHOTOGRAPHS, SPLITS, Thing, drawing, thing_mask, world

ICONS = [*NOUNS, *world.unnamed_icons()[::40]]


def rng(*seed):
    return np.random.default_rng(list(seed))


# --- icons ------------------------------------------------------------------------------------------------------------


def test_the_file_holds_every_noun_and_what_no_question_names():
    assert len(NOUNS) == len(set(NOUNS)) == 74 and len(COLORS) == 8
    listed = (world.FOLDER / "unnamed.txt").read_text().split()
    assert list(world.unnamed_icons()) == sorted(listed) and len(listed) == 468
    assert not set(listed) & {*NOUNS, *world.ICONS.values()}
    assert (world.FOLDER / "icons.npz").stat().st_size <= 2_000_000
    with np.load(world.FOLDER / "icons.npz", allow_pickle=False) as stored:
        assert len(stored.files) == 74 + 468
        for name in stored.files:
            mask = stored[name]
            assert mask.dtype == np.uint8 and max(mask.shape) == 256 and mask.ndim == 2
            assert all(edge.any() for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1])), name
            assert 0.03 < mask.mean() / 255 < 0.99


def test_no_two_icons_look_alike():
    small = {name: drawing.masks(name, 32)[0].resize((16, 16)).tobytes() for name in (*NOUNS, *world.unnamed_icons())}
    assert len(set(small.values())) == len(small)


def test_font_awesome_is_credited_beside_the_file():
    said = " ".join((world.FOLDER / "README.md").read_text().split())
    assert all(word in said for word in ("Font Awesome Free 6.6.0", "CC BY 4.0", "OFL 1.1", "data/scenes/icons.py"))


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(world.FOLDER / "icons.py")


def test_the_script_says_what_it_needs(script, tmp_path):
    with pytest.raises(FileNotFoundError, match="pip install --no-deps --target .* fontawesomefree==6.6.0"):
        script["read_icons"](tmp_path, ["dog"])
    (tmp_path / "fontawesomefree-6.6.0.dist-info").mkdir()
    metadata = tmp_path / "fontawesomefree" / "static" / "fontawesomefree" / "metadata"
    metadata.mkdir(parents=True)
    (metadata / "icons.json").write_text('{"dog": {"unicode": "f6d3"}}')
    with pytest.raises(ValueError, match="has no icons unicorn"):
        script["read_icons"](tmp_path, ["dog", "unicorn"])


@pytest.mark.parametrize("letter", ["A", "l", "—"])
def test_the_script_scales_a_glyph_to_its_longer_side(script, letter):
    mask = script["_mask"](ImageFont.load_default(256), letter)
    assert max(mask.shape) == 256 and mask.dtype == np.uint8 and mask.max() == 255


def test_an_unknown_icon_is_refused():
    with pytest.raises(ValueError, match="no icon 'unicorn'"):
        world.icon("unicorn")


# --- objects ----------------------------------------------------------------------------------------------------------


def on_both_grounds(thing, side=80):
    """Coverage of each pixel by an object: the difference between it on white and on black."""
    pictures = []
    for ground in (255, 0):
        image = Image.new("RGB", (side, side), (ground,) * 3)
        drawing.draw_thing(image, thing)
        pictures.append(np.asarray(image, int)[..., 0])
    return 255 - (pictures[0] - pictures[1]), pictures[0]


@pytest.mark.parametrize("noun", ICONS)
@pytest.mark.parametrize("size", [8, 21, 60])
def test_boxes_and_masks_are_exact_to_the_outline(noun, size):
    for mirrored in (False, True):
        w, h = drawing.masks(noun, size)[0].size
        thing = Thing(noun, "pink", (9, 7, 9 + w, 7 + h), size, mirrored)
        coverage, _ = on_both_grounds(thing)
        mask = np.zeros(coverage.shape, bool)
        mask[7 : 7 + h, 9 : 9 + w] = thing_mask(thing)
        assert ((coverage >= drawing.COVERED - 2) >= mask).all()  # two roundings
        assert (coverage[~mask] <= drawing.COVERED + 2).all()
        outside = coverage.copy()
        outside[7 : 7 + h, 9 : 9 + w] = 0
        assert outside.max() == 0
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) == thing.box_xyxy
        assert size <= max(w, h) <= size + 4


def test_objects_are_filled_outlined_shaded_and_mirrored():
    w, h = drawing.masks("dog", 60)[0].size
    plain = Thing("dog", "red", (5, 5, 5 + w, 5 + h), 60)
    image = Image.new("RGB", (80, 80), (255, 255, 255))
    drawing.draw_thing(image, plain)
    colors = {color for _, color in image.getcolors(10_000)}
    assert {COLORS["red"], drawing.DARK, (255, 255, 255)} <= colors
    shaded = image.copy()
    drawing.draw_thing(shaded, Thing("dog", "red", plain.box_xyxy, 60, shade=16))
    assert (230, 46, 52) in {color for _, color in shaded.getcolors(10_000)}
    _, one = on_both_grounds(plain)
    _, other = on_both_grounds(Thing("dog", "red", plain.box_xyxy, 60, mirrored=True))
    assert (one[5 : 5 + h, 5 : 5 + w] == other[5 : 5 + h, 5 : 5 + w][:, ::-1]).all() and (one != other).any()


def test_the_outline_is_a_pixel_and_a_half_wide():
    fill, outline = (np.asarray(mask, int)[22] for mask in drawing.masks("box", 40))  # whose sides are straight
    assert fill[:4].tolist() == fill[:-5:-1].tolist() == [0, 0, 255, 255]
    assert outline[:4].tolist() == outline[:-5:-1].tolist() == [128, 255, 255, 255]


def test_masks_are_those_of_a_square_filter():
    """The outline grows by the largest value within three half pixels, corners included, at sizes small and large."""
    for noun in ICONS[::6]:
        for size in (8, 30, 61):
            fill, _ = drawing.masks(noun, size)
            large = world.icon(noun)
            width, height = (round(side * size / max(large.size)) for side in large.size)
            twice = Image.new("L", (2 * width + 40, 2 * height + 40))
            twice.paste(large.resize((2 * width, 2 * height), Image.Resampling.BOX), (20, 20))
            grown = np.asarray(twice.filter(ImageFilter.MaxFilter(7)).reduce(2))
            rows, columns = (np.flatnonzero((grown >= drawing.COVERED).any(axis)) for axis in (1, 0))
            wanted = grown[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            assert (np.asarray(drawing.masks(noun, size)[1]) == wanted).all() and fill.size == wanted.shape[::-1]


# --- places -----------------------------------------------------------------------------------------------------------


def test_things_stand_apart_and_inside():
    pairs = [(noun, "red") for noun in NOUNS[:30]]
    for seed in range(5):
        things = drawing.lay_out(rng(seed), pairs, (16, 40), (640, 320))
        unnamed = drawing.scatter(rng(seed, 1), 40, things, (16, 40), (640, 320), ("blue",))
        assert [(t.noun, t.color) for t in things] == pairs and 20 < len(unnamed) <= 40
        assert {t.color for t in unnamed} == {"blue"} and {t.noun for t in unnamed} <= set(world.unnamed_icons())
        every, named = [t.box_xyxy for t in (*things, *unnamed)], len(things)
        for i, (x0, y0, x1, y1) in enumerate(every):
            assert 0 < x0 < x1 < 640 and 0 < y0 < y1 < 320
            for a0, b0, a1, b1 in every[:i]:
                gap = 6 if i < named else 2
                assert a1 + gap <= x0 or x1 + gap <= a0 or b1 + gap <= y0 or y1 + gap <= b0
        assert len({t.mirrored for t in things}) == 2 and len({t.shade for t in things}) > 5
        assert {t.size for t in things} <= set(range(16, 41))


def test_where_there_is_no_room():
    assert drawing.place(rng(0), [], (40, 40), (39, 10)) is None
    assert drawing.place(rng(0), [(0, 0, 100, 100)], (100, 100), (10, 10)) is None
    with pytest.raises(ValueError, match="no layout found for 9 objects of 40 to 60 px in a picture of 100 x 100 px"):
        drawing.lay_out(rng(0), [("dog", "red")] * 9, (40, 60), (100, 100))
    assert drawing.scatter(rng(0), 3, [Thing("dog", "red", (0, 0, 100, 100))], (20, 20), (100, 100)) == []


# --- grounds ----------------------------------------------------------------------------------------------------------


def test_photographs_are_different_pictures_and_no_two_splits_share_one():
    every = [name for names in PHOTOGRAPHS.values() for name in names]
    assert set(PHOTOGRAPHS) == set(SPLITS) == {"train", "calibration", "test"} and len(set(every)) == len(every)
    small = {name: world.photograph(name).resize((8, 8)).tobytes() for name in every}
    assert len(set(small.values())) == len(small)


def test_splits_use_their_own_photographs(monkeypatch):
    used = {split: set() for split in SPLITS}
    monkeypatch.setattr(drawing, "photograph", lambda name: used[split].add(name) or Image.new("RGB", (64, 64)))
    for split in SPLITS:
        for seed in range(80):
            drawing.draw_ground(rng(seed), "photographs", split, (32, 48))
        assert used[split] == set(PHOTOGRAPHS[split])


@pytest.mark.parametrize("kind", GROUNDS)
@pytest.mark.parametrize("size_wh", [(64, 64), (300, 180), (1000, 90)])
def test_grounds_fill_the_picture_and_follow_the_stream(kind, size_wh):
    drawn = [drawing.draw_ground(rng(seed), kind, "test", size_wh) for seed in (*range(12), *range(12))]
    assert all(image.size == size_wh and image.mode == "RGB" for image in drawn)
    assert len({image.tobytes() for image in drawn}) == 12
    assert [one.tobytes() for one in drawn[:12]] == [one.tobytes() for one in drawn[12:]]


def test_procedural_grounds_need_no_photograph_and_are_not_plain(monkeypatch):
    monkeypatch.setattr(drawing, "photograph", None)
    for texture in (drawing._clouds, drawing._stripes, drawing._tiles):
        spread = [np.asarray(texture(rng(seed), (200, 120))).std() for seed in range(8)]
        assert np.median(spread) > 10
    drawn = [np.asarray(drawing.draw_ground(rng(seed), "procedural", "test", (96, 96)), int) for seed in range(20)]
    assert min(image.std() for image in drawn) > 5
    distances = [abs(one - other).mean() for i, one in enumerate(drawn) for other in drawn[:i]]
    assert min(distances) > 5


def test_strokes_take_the_grounds_own_colors():
    image = Image.new("RGB", (200, 200), (10, 20, 30))
    image.paste((200, 100, 0), (0, 0, 100, 200))
    before = np.asarray(image).copy()
    drawing.add_strokes(rng(0), image, 0)
    assert (np.asarray(image) == before).all()
    drawing.add_strokes(rng(0), image, 60)
    assert (np.asarray(image) != before).any(-1).mean() > 0.01
    assert {color for _, color in image.getcolors()} == {(10, 20, 30), (200, 100, 0)}
