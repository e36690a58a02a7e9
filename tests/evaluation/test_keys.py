"""What a stored row belongs to: after a change of any of it, a row is answered anew, and the run says so."""

import json
import warnings
from dataclasses import replace
from functools import partial

import pytest
from checkpoints import tiny_model
from model_helpers import picture
from PIL import Image

from hide_utils import HiDe, evaluate, files, load_benchmark, paths
from hide_utils.baselines import METHODS
from hide_utils.evaluation import keys
from hide_utils.evaluation.keys import PARTS, contents, differing, hash_samples, method_key, run_settings, said_changes
from hide_utils.evaluation.shards import shipped_path
from hide_utils.evaluation.store import ResultStore, SettingsError, results_path
from hide_utils.prompts import STYLES
from hide_utils.samples import Sample


def draw(seed):
    return picture(96, 96, seed)


def sample(i=0, **changes):
    fixed = {
        "id": f"s{i}", "question": "What is the color of the dog?", "options": ["red", "blue"], "label": "A",
        "kind": "direct_attributes", "render": partial(draw, i), "boxes_xyxy": [(10, 10, 40, 40)],
    }  # fmt: skip
    return Sample(**fixed | changes)


def answer(out, asked, methods=("direct",), **more):
    return evaluate(tiny_model("qwen3_vl"), asked, methods, out, progress=False, **more)


def own_benchmark(folder, color=(255, 0, 0), **changes):
    """A benchmark of two questions in the authors' format. `color` is that of the first one's picture."""
    folder.mkdir(exist_ok=True)
    for name, paint in (("p.png", color), ("q.png", (0, 255, 0))):
        drawn = Image.new("RGB", (96, 96), (90, 90, 90))
        drawn.paste(paint, (40, 40, 60, 60))
        drawn.save(folder / name)
    rows = [
        {"id": i, "question": "Which color?\n(A) red\n(B) blue", "labels": "A", "image_path": name, "category": "c",
         "box_json": [[40, 40, 20, 20]]}
        for i, name in enumerate(("p.png", "q.png"))
    ]  # fmt: skip
    (folder / "signs.json").write_text(json.dumps([rows[0] | changes, rows[1]]))
    return load_benchmark(folder / "signs.json")


# samples --------------------------------------------------------------------------------------------------------------

EDITS = {
    "question": {"question": "Which tint?\n(A) red\n(B) blue"},
    "options": {"question": "Which color?\n(A) red\n(B) green"},
    "label": {"labels": "B"},
    "boxes": {"box_json": [[41, 40, 20, 20]]},
    "kind": {"category": "d"},
    "picture": {"color": (254, 0, 0)},
}


@pytest.mark.parametrize("part", EDITS)
def test_an_edited_benchmark_is_answered_anew_where_it_was_edited_and_only_there(tmp_path, part):
    out, folder = tmp_path / "rows.parquet", tmp_path / "b"
    answer(out, own_benchmark(folder), ["direct", "hide"])
    edited = own_benchmark(folder, **EDITS[part])
    model = tiny_model("qwen3_vl")
    model.counts.clear()
    with pytest.warns(UserWarning, match=f"2 of 4 rows are of another {PARTS[part]}: answered anew .*signs-0"):
        again = evaluate(model, edited, ["direct", "hide"], out, progress=False)
    assert model.counts["images"] <= 2, "one original and one compact image: the other sample was not run again"
    fresh = evaluate(model, edited, ["direct", "hide"], progress=False)
    told = ["sample_id", "method", "kind", "label", "letter", "reply", "correct", "iou"]
    assert again[told].equals(fresh[told]) and list(again["label"]) == [s.label for s in edited for _ in range(2)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate(model, edited, ["direct", "hide"], out, progress=False)  # nothing is left to say
    assert len(ResultStore(out)) == 4, "no row stands twice"


def test_two_benchmarks_of_one_name_are_never_mixed(tmp_path):
    out = tmp_path / "rows.parquet"
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, other = own_benchmark(tmp_path / "a" / "v"), own_benchmark(tmp_path / "b" / "v", color=(0, 0, 255), labels="B")
    answer(out, one)
    with pytest.warns(UserWarning, match="1 of 2 rows are of another label, 1 of another picture: answered anew"):
        table = answer(out, other)
    assert list(table["label"]) == ["B", "A"]


def test_a_picture_replaced_by_one_of_the_same_size_and_beginning_is_another(tmp_path):
    folder, out = tmp_path / "b", tmp_path / "rows.parquet"
    own_benchmark(folder)
    noise = picture(256, 256).tobytes()
    for last in (b"\x00", b"\x01"):  # a PPM file keeps pixels as they are, so that only its last byte differs
        (folder / "p.png").write_bytes(b"P6 256 256 255\n" + noise[:-1] + last)
        table = load_benchmark(folder / "signs.json")
        if last == b"\x00":
            answer(out, table)
    with pytest.warns(UserWarning, match="1 of 2 rows are of another picture"):
        answer(out, table)


def test_scenes_of_other_settings_and_a_picture_of_ones_own_are_told_apart():
    plain, cluttered = (load_benchmark("scenes", n=1, resolution=448, strokes=k)[0] for k in (6, 24))
    assert plain.id == cluttered.id
    (one,), (other,) = (contents([s], {"direct": METHODS["direct"]}).values() for s in (plain, cluttered))
    assert "picture" in differing(one, other)
    assert hash_samples([plain]) != hash_samples([replace(plain, render=cluttered.render)])
    # a function of one's own may read a file: its pixels count, whatever it is called with
    assert hash_samples([sample(0)]) != hash_samples([sample(0, render=partial(draw, 1))])
    assert hash_samples([sample(0)]) == hash_samples([sample(0, render=lambda: picture(96, 96, 0))])


def test_every_field_that_an_answer_may_depend_on_counts():
    plain = contents([sample()], {"direct": METHODS["direct"]})
    changes = {
        "question": {"question": "?"}, "options": {"options": ["blue", "red"]}, "label": {"label": "B"},
        "boxes": {"boxes_xyxy": []}, "entities": {"entities": ["dog"]}, "style": {"style": sorted(STYLES)[1]},
        "kind": {"cycle": "1"}, "picture": {"render": partial(draw, 5)},
    }  # fmt: skip
    assert "scorer" not in plain["s0", "direct"], "rows of questions with options keep the keys that they have"
    free = {"options": [], "label": "", "answers": ["red"]}
    asked = contents([sample(**free)], {"direct": METHODS["direct"]})
    of_free = {"answers": {"answers": ["red", "blue"]}, "scorer": {"scorer": "exact"}, "style": {"style": "short"}}
    assert {*changes, *of_free, "method"} == set(PARTS)
    for before, part, change in [(plain, *one) for one in changes.items()] + [
        (asked, part, free | change) for part, change in of_free.items()
    ]:
        (now,) = contents([sample(**change)], {"direct": METHODS["direct"]}).values()
        assert differing(before["s0", "direct"], now) == [part]
    assert set(differing(plain["s0", "direct"], asked["s0", "direct"])) >= {"options", "label", "answers", "scorer"}
    assert said_changes([["question"], ["question", "label"]], 7) == (
        "2 of 7 rows are of another question text, 1 of another label"
    )


def test_answers_stay_while_their_pictures_cannot_be_read(tmp_path):
    def gone():
        raise FileNotFoundError("the disk of the pictures is not mounted")

    out = tmp_path / "rows.parquet"
    first = answer(out, [sample(0), sample(1)])
    table = answer(out, [sample(0, render=gone), sample(1, render=gone)])
    assert table.equals(first)
    with pytest.warns(UserWarning, match="1 of 1 rows have errors"):  # what was never answered cannot be
        table = answer(out, [sample(0, render=gone), sample(2, render=gone)])
    assert table["error"].notna().tolist() == [False, True] and table["correct"].isna().tolist() == [False, True]


# methods --------------------------------------------------------------------------------------------------------------

LIMIT = 1


def limited(hide, session, sample):
    return METHODS["direct"](hide, session, sample) if LIMIT else None


def made(value):
    def method(hide, session, sample):
        return METHODS["direct"](hide, session, sample) if value else None

    return method


class Told:
    def __init__(self, value):
        self.value = value

    def __call__(self, hide, session, sample):
        return METHODS["direct"](hide, session, sample)

    def of(self, hide, session, sample):
        return self(hide, session, sample)


def test_a_method_is_its_code_and_the_values_it_carries(monkeypatch):
    same, other = (lambda *given: METHODS["direct"](*given)), (lambda *given: METHODS["hide"](*given))
    assert method_key("mine", same) == method_key("theirs", lambda *given: METHODS["direct"](*given))
    pairs = [
        (made(1), made(2)), (Told(1), Told(2)), (Told(1).of, Told(2).of), (same, other),
        (partial(limited, layer=1), partial(limited, layer=2)), (METHODS["direct"], METHODS["hide"]),
        (made([picture(8, 8, 0)]), made([picture(8, 8, 1)])), (made(made(1)), made(made(2))),
    ]  # fmt: skip
    for one, two in pairs:
        assert method_key("mine", one) != method_key("mine", two)
    before = method_key("mine", limited)
    monkeypatch.setitem(limited.__globals__, "LIMIT", 2)
    assert method_key("mine", limited) != before
    assert method_key("direct", METHODS["direct"]) != method_key("direct", METHODS["hide"])


def test_a_changed_method_of_the_same_name_is_run_again(tmp_path):
    out = tmp_path / "rows.parquet"
    answer(out, [sample()], {"mine": made(1)})
    with pytest.warns(UserWarning, match="1 of 1 rows are of another version of their method: answered anew"):
        answer(out, [sample()], {"mine": made(2)})


# settings -------------------------------------------------------------------------------------------------------------


def test_other_prompts_numerics_and_revisions_of_a_model_are_other_settings(monkeypatch, tmp_path):
    model = tiny_model("qwen3_vl")
    settings = run_settings(HiDe(model), "strict")
    out = tmp_path / "rows.parquet"
    answer(out, [sample()])
    for name, value in (("EXTRACTION_PROMPT", "List them."), ("SEARCH_INSTRUCTION", "Find:"), ("NUMERICS", -1)):
        with monkeypatch.context() as patch:
            patch.setattr(keys, name, value)
            assert run_settings(HiDe(model), "strict") != settings
            with pytest.raises(SettingsError, match="numerics: 1 there|prompts: '"):
                answer(out, [sample()])
    with monkeypatch.context() as patch:
        patch.setitem(STYLES, "letters", lambda question, options: f"{question} {options}")
        assert run_settings(HiDe(model), "strict")["prompts"] != settings["prompts"]
    monkeypatch.setattr(model, "folder", None)  # as one of the hub
    commits = []
    for commit in ("abc", "def"):
        monkeypatch.setattr(model.model.config, "_commit_hash", commit, raising=False)
        commits.append(run_settings(HiDe(model), "strict")["weights"])
    assert commits == ["abc", "def"]


# rows made elsewhere --------------------------------------------------------------------------------------------------


def test_shares_from_before_an_edit_take_no_answers_place(tmp_path):
    out, folder = tmp_path / "rows.parquet", tmp_path / "b"
    answer(out, own_benchmark(folder), shard=(0, 1))
    edited = own_benchmark(folder, labels="B")
    assert list(answer(out, edited)["label"]) == ["B", "A"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(answer(out, edited)["label"]) == ["B", "A"]
    edited = own_benchmark(folder, category="d")
    with pytest.warns(UserWarning, match=r"1 of 2 rows are of another category.* \(rows.shard-0-of-1.parquet"):
        answer(out, edited, shard=(0, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(answer(out, edited)["kind"]) == ["d", "c"], "now the share's row is the newer one"


def test_shipped_answers_are_taken_where_they_belong(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(paths, "ANSWERS", tmp_path / "answers")
    model, asked = tiny_model("qwen3_vl"), [sample(0), sample(1)]
    out = results_path("05_x", "answers", {"n": 1})
    first = answer(out, asked)
    shipped = shipped_path(out)
    shipped.parent.mkdir()
    out.rename(shipped)
    model.counts.clear()
    edited = [sample(0), sample(1, label="B")]
    table = evaluate(model, edited, ["direct"], out, progress=False)
    assert model.counts["prefills"] == 1 and list(table["label"]) == ["A", "B"] and shipped.is_file()
    assert table.loc[0, "seconds"] == first.loc[0, "seconds"], "the shipped row itself"
    monkeypatch.setenv("HIDE_RESULTS", str(tmp_path / "anew"))
    model.counts.clear()
    evaluate(model, asked, ["direct"], results_path("05_x", "answers", {"n": 1}), progress=False)
    assert model.counts["prefills"] == 2, "made anew"
    monkeypatch.delenv("HIDE_RESULTS")
    shipped.write_bytes(shipped.read_bytes()[:-9])
    out.unlink()
    with pytest.warns(UserWarning, match=r"05_x-answers-.*parquet is damaged .*: its rows are made anew"):
        answer(out, asked)


# hashes of files ------------------------------------------------------------------------------------------------------


def test_hashes_of_large_files_are_remembered_until_the_file_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(files, "LARGE", 4)
    large, small, memory = tmp_path / "large", tmp_path / "small", tmp_path / "cache" / "hashes.json"
    large.write_bytes(b"12345")
    small.write_bytes(b"123")
    first = files.hash_file(large)
    files.hash_file(small)
    kept = json.loads(memory.read_text())
    assert list(kept) == [str(large)] and kept[str(large)][-1] == first
    # the next program reads the file no more
    kept[str(large)][-1] = "remembered"
    memory.write_text(json.dumps(kept))
    files._hash_file.cache_clear()
    assert files.hash_file(large) == "remembered"
    large.write_bytes(b"54321")
    assert files.hash_file(large) not in ("remembered", first)
    memory.write_text("[]")
    files._hash_file.cache_clear()
    large.write_bytes(b"12345")
    assert files.hash_file(large) == first
