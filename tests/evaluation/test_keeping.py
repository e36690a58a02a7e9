"""Arrays and pictures of samples on disk: what they hold, whose they are, and when they are made anew."""

import json
import pickle
import warnings

import numpy as np
import pytest
from checkpoints import tiny_model
from engine_methods import Drawn
from model_helpers import picture
from PIL import Image

from hide_utils import HiDe, evaluate
from hide_utils.evaluation import engines, maps_file
from hide_utils.images import composite_on_white
from hide_utils.method import Result, lpd, tad
from hide_utils.samples import Sample

QUESTION, OPTIONS = "What is the color of the dog?", ["red", "blue"]
STRANGE = "../up/ü:1"


def sample(name="a", seed=0, **changes):
    return Sample(name, QUESTION, OPTIONS, "A", "color", Drawn(seed), **changes)


def kept(folder, name="a"):
    with np.load(maps_file(folder, name), allow_pickle=False) as arrays:
        return dict(arrays)


def evaluated(samples, folder, methods=("hide",), model=None, **changes):
    """Rows, and what was warned."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = model or tiny_model("qwen3_vl")
        rows = evaluate(model, samples, methods, progress=False, save_maps=folder, **changes)
    return rows, [str(one.message) for one in caught if "made anew" in str(one.message) or "kept" in str(one.message)]


def test_arrays_are_the_rows_of_the_model_and_the_maps_that_answered(tmp_path):
    """Rows from a full pass with every head, everything else worked out from them."""
    model = tiny_model("qwen3_vl")
    hide = HiDe(model, layer=1, sigma=0.5, alpha=0.6)
    rows, said = evaluated([sample()], tmp_path, hide=hide, save_heads=True, save_pictures=["a"])
    found = kept(tmp_path)
    assert not said and found["layer"] == 1 and found["tokens"].dtype.kind == "U"
    result = hide(sample().image, QUESTION, OPTIONS)
    prompt = model.prompt(result.image, f"{hide.prompts.search} {result.entities.text}")
    noise = prompt.texts[0].positions(0, len(hide.prompts.search))
    heads = model.capture(prompt, noise, [1], heads=True).maps[0][0]
    np.testing.assert_allclose(found["noise_heads"], heads, atol=1e-6)
    np.testing.assert_allclose(found["noise"], heads.mean(0), atol=1e-6)
    np.testing.assert_allclose(found["raw"], found["raw_heads"].mean(0), atol=1e-6)
    smooth = tad.minmax(tad.smooth(found["noise"], 0.5)).mean(0)
    np.testing.assert_allclose(found["prior"], smooth, atol=1e-6)
    both = np.concatenate([found["noise"], found["raw"]])
    np.testing.assert_allclose(found["maps"], tad.purify(both, len(noise), 0.5), atol=1e-6)
    for name, of in (("raw", result.raw_maps), ("noise", result.noise_rows), ("prior", result.prior)):
        np.testing.assert_allclose(found[name], of, atol=1e-6, err_msg=name)
    assert tuple(found["tokens"]) == result.tokens and len(found["raw"]) == len(result.tokens)
    assert [tuple(map(int, box)) for box in np.reshape(rows.loc[0, "regions"], (-1, 4))] == lpd.regions_of(
        found["maps"], 0.6, result.image.size
    )
    about = json.loads(str(found["about"]))
    stem = maps_file(tmp_path, "a").stem
    assert about["sample_id"] == "a" and about["entities"] == result.entities.text
    assert about["files"] == [f"{stem}.stages.png", f"{stem}.compact.png"]
    compact = Image.open(tmp_path / f"{stem}.compact.png")
    assert compact.mode == "RGBA" and compact.tobytes() == result.compact_image.tobytes()
    assert min(Image.open(tmp_path / f"{stem}.stages.png").size) > 300


def test_a_rerun_makes_what_is_missing_or_of_others_alone(tmp_path, monkeypatch):
    model, both = tiny_model("qwen3_vl"), [sample(), sample(STRANGE, 1)]
    evaluated(both, tmp_path / "maps", ["direct"], out=tmp_path / "rows.parquet")
    assert {file.parent for file in tmp_path.rglob("*.npz")} == {tmp_path / "maps"}, "an id led out of the folder"
    times = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.npz")}
    assert len(times) == 2

    def changed():
        now = {file: file.stat().st_mtime_ns for file in times}
        names = [one.id for one in both if now[f := maps_file(tmp_path / "maps", one.id)] != times[f]]
        times.update(now)
        return names

    def again(samples=both, **changes):
        return evaluated(samples, tmp_path / "maps", ["direct"], out=tmp_path / "rows.parquet", **changes)[1]

    with monkeypatch.context() as patch:
        patch.setattr("hide_utils.evaluation.answers.answer_picture", None)  # nothing may be asked again
        assert again() == [] and changed() == []
    maps_file(tmp_path / "maps", "a").write_bytes(b"half")
    assert (
        again() == ["maps: files are made anew: 1 damaged"]
        and changed() == ["a"]
        and len(kept(tmp_path / "maps")["raw"])
    )
    (said,) = again([sample(), sample(STRANGE, 2)])
    assert said == "maps: files are made anew: 1 of another picture" and changed() == [STRANGE]
    (said,) = evaluated(both[:1], tmp_path / "maps", ["direct"], hide=HiDe(model, sigma=2.5))[1]
    assert said == "maps: files are made anew: 1 of another sigma" and changed() == ["a"]
    assert evaluated(both[:1], tmp_path / "maps", ["direct"], hide=HiDe(model, sigma=2.5, alpha=0.3))[1] == []
    assert changed() == []  # rows and maps do not depend on alpha


@pytest.fixture
def unpainted(monkeypatch):
    """A figure of all stages takes a second to paint, and what is in it is tested elsewhere."""
    monkeypatch.setattr(Result, "_repr_png_", lambda result, truth=(): b"figure")


def test_pictures_go_with_what_they_belong_to(tmp_path, unpainted):
    model, one = tiny_model("qwen3_vl"), [sample()]
    stages = tmp_path / f"{maps_file(tmp_path, 'a').stem}.stages.png"
    evaluated(one, tmp_path)
    assert not list(tmp_path.glob("*.png"))
    (said,) = evaluated(one, tmp_path, save_pictures=["a"])[1]
    assert said.endswith(": files are made anew: 1 without their pictures")
    assert evaluated(one, tmp_path, save_pictures=["a"])[1] == [] and stages.exists()
    assert evaluated(one, tmp_path)[1] == [] and stages.exists()
    stages.unlink()
    assert len(evaluated(one, tmp_path, save_pictures=["a"])[1]) == 1 and stages.exists()
    assert len(evaluated(one, tmp_path, save_pictures=["a"], hide=HiDe(model, alpha=0.9))[1]) == 1
    evaluated(one, tmp_path, hide=HiDe(model, sigma=2.5))
    assert not list(tmp_path.glob("*.png")), "pictures of another sigma stayed"


def test_several_pictures_have_arrays_each(tmp_path, unpainted):
    large, tall = (lambda: picture(230, 170, 3)), (lambda: picture(130, 190, 4))
    two = Sample("both", QUESTION, OPTIONS, "A", "color", large, more=[tall])
    hide = HiDe(tiny_model("qwen3_vl"), sigma=0.5)
    evaluated([two], tmp_path, hide=hide, save_heads=True, save_pictures="both")
    found, result = kept(tmp_path, "both"), hide(two.images, QUESTION, OPTIONS)
    for mark, looked in zip(("", "_2"), result.looked, strict=True):
        assert tuple(found[f"tokens{mark}"]) == looked.tokens
        np.testing.assert_allclose(found[f"maps{mark}"], looked.maps, atol=1e-5)
        assert found[f"raw_heads{mark}"].shape[1:] == looked.raw_maps.shape
        if looked.compact_image:
            file = tmp_path / f"{maps_file(tmp_path, 'both').stem}.compact{mark}.png"
            assert composite_on_white(Image.open(file)).tobytes() == composite_on_white(looked.compact_image).tobytes()


def test_what_cannot_be_kept_is_said_and_loses_no_answer(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="need a folder"):
        evaluated([sample()], None, save_heads=True)
    with pytest.raises(ValueError, match="no sample has the id 'b'"):
        evaluated([sample()], tmp_path, save_pictures=["b"])
    monkeypatch.setattr(HiDe, "locate", lambda *_, **__: 1 / 0)
    rows, said = evaluated([sample()], tmp_path / "none", ["direct"])
    assert rows["error"].isna().all() and not (tmp_path / "none").exists()
    assert said == [
        "arrays of 1 samples were not kept; the same call tries them again. The first: a: ZeroDivisionError: division "
        "by zero"
    ]
    monkeypatch.undo()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="no space left"):
        evaluated([sample()], tmp_path / "full")
    assert not list((tmp_path / "full").glob("*"))


def test_workers_keep_the_same(tmp_path, monkeypatch, unpainted):
    """As in processes: the recipe is sent, and only what is missing is done, be it arrays alone."""

    def sent(tasks, recipe, _):
        worker = engines.Worker(pickle.loads(pickle.dumps(recipe)).on("cpu"))
        asked.append([names for task in tasks for _, names in task])
        for number, task in enumerate(tasks):
            assert worker.numbered(number, task)[0] == number
            yield from worker.answer(task)

    asked = []
    monkeypatch.setattr(engines, "over_processes", sent)
    both, out = [sample(), sample("b", 1)], tmp_path / "rows.parquet"
    evaluated(both, tmp_path / "here", ["direct"], out=out)
    rows, said = evaluated(both, tmp_path / "there", ["direct"], out=out, engine="processes", save_pictures=["b"])
    assert not said and rows["error"].isna().all() and asked == [[(), ()]]
    for one in both:
        here, there = (kept(tmp_path / place, one.id) for place in ("here", "there"))
        np.testing.assert_allclose(here["raw"], there["raw"], atol=1e-6)
    assert len(list((tmp_path / "there").glob("*.png"))) == 2
    assert evaluated(both, tmp_path / "there", ["direct"], out=out, save_pictures=["b"])[1] == []
