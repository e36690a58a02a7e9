"""The embedded miniature: its folder, what it can do, what it is taught, and that its training script trains."""

import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from hide_utils import HiDe, load_model, paths
from hide_utils.evaluation.calibration import first_within_one_error
from hide_utils.method.entities import SEARCH_INSTRUCTION
from hide_utils.mini import crops, curriculum, lessons, train
from hide_utils.mini.batches import Lessons, Stage, conversation, dense_targets
from hide_utils.scenes.questions import COLORS, SHAPES, SceneConfig, Thing, draw_scene, scene_samples


@pytest.fixture(scope="module")
def mini():
    return load_model("mini", device="cpu", dtype="float32")


def test_folder_is_as_on_the_hub_and_small():
    names = {file.name for file in paths.MINI.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= names
    assert {"preprocessor_config.json", "hide.json", "training_log.jsonl", "README.md"} <= names
    assert (paths.MINI / "model.safetensors").stat().st_size <= 20_000_000
    weights = load_file(paths.MINI / "model.safetensors")
    assert 2e6 <= sum(w.size for w in weights.values()) <= 1e7
    assert all(np.isfinite(w).all() for w in weights.values())
    assert not [n for n in names if n.endswith((".bin", ".pt", ".pth", ".pkl"))]


def test_settings_are_the_calibrated_ones(mini):
    chosen = json.loads((paths.MINI / "hide.json").read_text())
    assert chosen["split"] == "calibration"
    assert (mini.defaults.layer, mini.defaults.sigma, mini.defaults.alpha) == (
        chosen["layer"],
        chosen["sigma"],
        chosen["alpha"],
    )


def test_the_choice_follows_from_the_calibration_table():
    chosen, table = json.loads((paths.MINI / "hide.json").read_text()), pd.read_csv(paths.MINI / "calibration.csv")
    row = table.iloc[first_within_one_error(table["accuracy"].tolist(), chosen["n"])]
    assert row[["layer", "sigma", "alpha"]].tolist() == [chosen["layer"], chosen["sigma"], chosen["alpha"]]


def test_every_taught_word_is_one_token(mini):
    for word in (*COLORS, *SHAPES, *lessons.COLUMNS, *lessons.ROWS, "none", "done", "entities"):
        assert len(mini.builder.encode(f" {word}")) == 1, word
    assert len(mini.builder.encode(SEARCH_INSTRUCTION)) == 8


def test_it_lists_the_entities_of_the_benchmarks_questions(mini):
    hide, samples = HiDe(mini), scene_samples("calibration", 24, resolution=256)
    listed = [hide.extractor(s.question) for s in samples]
    right = [e.source == "model" and list(e.names) == s.entities for e, s in zip(listed, samples, strict=True)]
    assert np.mean(right) >= 0.9


def test_it_answers_in_letters_and_better_than_chance_on_small_pictures(mini):
    hide, samples = HiDe(mini), scene_samples("calibration", 40, resolution=256)
    results = [hide(s.image, s.question, s.options) for s in samples]
    assert np.mean([r.direct_letter is not None for r in results]) >= 0.95
    chance = np.mean([1 / len(s.options) for s in samples])
    right = np.mean([r.direct_letter == s.label for r, s in zip(results, samples, strict=True)])
    assert right >= chance + 0.15


def scene(seed=0, side=192, pairs=(("star", "red"), ("ring", "blue"), ("cross", "red"))):
    config = SceneConfig(resolution=side, object_size=(26, 40))
    return draw_scene(np.random.default_rng(seed), "train", config, list(pairs))


def test_second_pictures_are_crops_of_the_first():
    image, things = scene()
    whole = np.asarray(image)
    for seed in range(20):
        part, inside = crops.crop_of(np.random.default_rng(seed), image, things, 80)
        rng = np.random.default_rng(seed)
        x, y = rng.integers(0, image.width - 80 + 1, 2)
        crop = whole[y : y + 80, x : x + 80]
        got = np.asarray(part)
        rows, columns = got.shape[0] - 80, got.shape[1] - 80
        hits = [
            (dy, dx)
            for dy in range(rows + 1)
            for dx in range(columns + 1)
            if np.array_equal(got[dy : dy + 80, dx : dx + 80], crop)
        ]
        assert hits
        outside = np.ones(got.shape[:2], bool)
        outside[hits[0][0] : hits[0][0] + 80, hits[0][1] : hits[0][1] + 80] = False
        assert (got[outside] == 255).all()
        assert all(x <= t.box_xyxy[0] and t.box_xyxy[2] <= x + 80 for t in inside)


def test_only_words_that_the_picture_determines_are_learned(mini):
    _, things = scene()
    free, learned = set(), set()
    for seed in range(60):
        pieces, _ = lessons.search(np.random.default_rng(seed), things, 192)
        for text, learn in pieces:
            (learned if learn else free).update(text.split())
    places = {w for t in things for w in lessons.place_words(t, 192).split()}
    assert places <= learned and not places & free
    assert {"star", "Search"} <= free and {"star", "Search"}.isdisjoint(learned - {"star"})
    ids, weights = conversation(mini.tokenizer, [], [([("a", False), (" red", True)], " blue")])
    taught = [mini.tokenizer.decode([i]) for i, w in zip(ids, weights, strict=True) if w == 1]
    assert taught == [" red", " blue"]


def test_answers_of_lessons_are_true():
    image, things = scene(pairs=(("star", "red"), ("ring", "blue"), ("cross", "red"), ("heart", "green")))
    by_shape = {t.shape: t for t in things}
    for seed in range(60):
        rng = np.random.default_rng(seed)
        ((text, _),), reply = lessons.attribute(rng, things, 192, False)
        if "color" in text:
            assert by_shape[text.split()[-1].strip("?")].color == reply.strip()
        else:
            assert "red" not in text  # two things are red: no such question has one answer
        asked = lessons.relation(rng, things, 192, False, apart=0.1)
        if asked is not None:
            ((text, _),), reply = asked
            names = [w.strip("?") for w in text.split() if w.strip("?") in SHAPES]
            a, b = (by_shape[n].centre for n in names)
            axis = 0 if reply.strip() in ("left", "right") else 1
            assert (a[axis] < b[axis]) == (reply.strip() in ("left", "above"))


def test_dense_targets_name_what_a_token_covers():
    targets = dense_targets([Thing("ring", "blue", (64, 32, 96, 64))], 128).reshape(4, 4, 4)
    assert targets[1, 2, 0] == list(COLORS).index("blue") and targets[1, 2, 1] == SHAPES.index("ring")
    assert (targets[..., 1] == len(SHAPES)).sum() == 15
    assert targets[0, :, 2].tolist() == [1, 3, 5, 7] and targets[:, 0, 3].tolist() == [1, 3, 5, 7]


def test_batches_are_drawn_from_their_step_alone(mini):
    stage = Stage("x", 9, 1e-3, curriculum.MIXTURE, batch=2, two_pictures=1.0, sizes=((192, 1, 1),))
    one, two = (Lessons(stage, mini.tokenizer, 5, 1).draw(3) for _ in range(2))
    assert all((one[k] == two[k]).all() for k in one)
    assert len(one["image_grid_thw"]) == 4  # two pictures a sample
    other = Lessons(stage, mini.tokenizer, 5, 1).draw(4)
    assert one["input_ids"].shape != other["input_ids"].shape or (one["input_ids"] != other["input_ids"]).any()


def test_the_script_trains_and_leaves_a_loadable_folder(tmp_path, monkeypatch):
    small = ((192, 1, 1),)
    stages = (
        Stage("dense", 3, 1e-3, batch=2, sizes=small),
        Stage("mixture", 3, 1e-3, curriculum.MIXTURE, batch=2, sizes=small, extraction=0.3, two_pictures=0.5),
    )
    monkeypatch.setattr(train, "STAGES", stages)
    train.main(["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out"), "--processes", "1", "--quiet"])
    log = [json.loads(line) for line in (tmp_path / "out" / "training_log.jsonl").read_text().splitlines()]
    assert [row["stage"] for row in log] == ["dense", "mixture"] and all(np.isfinite(row["loss"]) for row in log)
    model = load_model(tmp_path / "out", device="cpu", dtype="float32")
    assert model.family == "qwen3_vl"
    before = load_file(tmp_path / "work" / "dense" / "model.safetensors")
    after = load_file(tmp_path / "out" / "model.safetensors")
    assert any(not np.array_equal(before[k], after[k]) for k in after)  # the second stage began at the first's end
    assert np.mean([np.abs(before[k] - after[k]).mean() for k in after]) < 0.05


def test_parts_of_a_picture_show_what_they_say():
    image, things = scene(side=256, pairs=(("star", "red"), ("ring", "blue"), ("cross", "green"), ("heart", "pink")))
    whole = np.asarray(image).reshape(-1, 3)
    seen = {tuple(c) for c in whole} | {crops.WHITE}
    for seed in range(30):
        rng = np.random.default_rng(seed)
        part, inside = crops.close_up(rng, image, things)
        assert 1 <= len(inside) and max(part.size) <= 52 + 2 * 28
        part, inside = crops.cut_out(rng, image, things, 160)
        assert inside and max(part.size) <= 160 + 2 * 28
        assert {tuple(c) for c in np.asarray(part).reshape(-1, 3)} <= seen  # pixels of the picture, or white
        boxes = np.array([t.box_xyxy for t in inside])
        union = boxes[:, 2:].max(0) - boxes[:, :2].min(0)
        assert (np.array(part.size) >= union).all() and (np.array(part.size) <= union + 2 * 28).all()
    blurred = crops.degraded(np.random.default_rng(0), image)
    assert blurred.size == image.size and np.asarray(blurred).std() < np.asarray(image).std()


def test_a_zoomed_lesson_asks_only_about_what_its_second_picture_shows(mini, monkeypatch):
    stage = Stage("x", 9, 1e-3, curriculum.ZOOM, batch=2, two_pictures=1.0, zoomed=True, pair_sizes=((256, 1, 1),))
    shown = []
    monkeypatch.setattr(crops, "second_picture", lambda rng, image, things: (image.crop((0, 0, 64, 64)), things[:2]))
    monkeypatch.setattr(lessons, "attribute", lambda *a: shown.append(a[-1]) or ([("?", False)], " red"))
    monkeypatch.setattr(lessons, "relation", lambda *a: shown.append(a[-2]) or ([("?", False)], " left"))
    Lessons(stage, mini.tokenizer, 5, 1).draw(3)
    assert shown and all(len(asked) == 2 for asked in shown)


def test_accumulated_draws_make_one_step(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "STAGES", (Stage("dense", 2, 1e-3, batch=2, sizes=((192, 1, 1),), accumulate=3),))
    drawn = []
    original = Lessons.draw
    monkeypatch.setattr(Lessons, "draw", lambda self, step: drawn.append(step) or original(self, step))
    train.main(["--work", str(tmp_path / "w"), "--out", str(tmp_path / "o"), "--processes", "1", "--quiet"])
    assert [d for d in drawn if d < 99][-6:] == [0, 1, 2, 3, 4, 5]
