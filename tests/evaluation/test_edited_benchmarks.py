"""Rows of a benchmark that was edited since, or of another of its name, are answered anew, and it is said."""

import json
import shutil
import warnings
from dataclasses import replace

import pytest
from checkpoints import tiny_model
from model_helpers import picture

from hide_utils import evaluate, load_benchmark
from hide_utils.baselines import METHODS
from hide_utils.evaluation.store import ResultStore
from hide_utils.samples import Sample

EDITS = {
    "question": {"question": "Where is the cat?"},
    "options": {"options": ["blue", "red"]},
    "label": {"label": "B"},
    "boxes": {"boxes_xyxy": [(50, 30, 90, 70)]},
    "picture": {"render": lambda: picture(112, 84, 9)},
}


def asked(n=3):
    box = [(10.0, 10.0, 40.0, 40.0)]
    return [
        Sample(f"s{i}", "Where is the dog?", ["red", "blue"], "A", "any", lambda i=i: picture(112, 84, i), box)
        for i in range(n)
    ]


class Counting:
    """Answers directly, and notes which samples it was asked."""

    met: list[str] = []  # of the class, since a method with another value is another method

    def __call__(self, hide, session, sample):
        self.met.append(sample.id)
        return METHODS["direct"](hide, session, sample)


def run(samples, out, **more):
    """The table of a method and of others, the samples that it was asked, and what was said."""
    Counting.met.clear()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        table = evaluate(tiny_model("qwen3_vl"), samples, {"direct": Counting(), **more}, out, progress=False)
    return table, list(Counting.met), [str(one.message) for one in warned]


def verdicts(table):
    return table[["sample_id", "method", "label", "letter", "reply", "correct"]].astype(object).values.tolist()


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """File of the rows before any edit."""
    out = tmp_path_factory.mktemp("answered") / "rows.parquet"
    assert run(asked(), out, oracle=METHODS["oracle"])[1:] == (["s0", "s1", "s2"], [])
    assert run(asked(), out, oracle=METHODS["oracle"])[1:] == ([], [])  # nothing was edited
    return out


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_sample_alone_is_answered_anew_and_it_is_said(tmp_path, answered, edit):
    out, before = shutil.copy(answered, tmp_path), asked()
    after = [before[0], replace(before[1], **EDITS[edit]), before[2]]
    oracle = {"oracle": METHODS["oracle"]}
    for samples in (after, before):  # the edit, and the edit taken back
        table, met, said = run(samples, out, **oracle)
        assert met == ["s1"] and len(said) == 1 and "answered anew" in said[0]
        assert said[0].startswith("2 of 6 rows are of another ") and edit in said[0]
        assert verdicts(table) == verdicts(run(samples, None, **oracle)[0])
        assert len(ResultStore(out).load()) == 6


def test_a_picture_replaced_under_its_name_is_another(tmp_path):
    """As a file is mended in its place: id, path and text are as before."""
    out, path = tmp_path / "rows.parquet", tmp_path / "p.png"
    row = {"id": 1, "question": "Where?\n(A) red\n(B) blue", "labels": "A", "image_path": "p.png", "category": "c"}
    (tmp_path / "signs.json").write_text(json.dumps([row]))
    for seed in (1, 2):
        picture(112, 84, seed).save(path)
        samples = load_benchmark(tmp_path / "signs.json")
        table, met, said = run(samples, out)
        assert met == [samples[0].id]
        assert verdicts(table) == verdicts(run(samples, None)[0])
    assert len(said) == 1 and "1 of 1 rows are of another picture" in said[0]


def test_two_benchmarks_of_one_name_never_mix(tmp_path):
    out, tables = tmp_path / "rows.parquet", {}
    for place, seed in (("a", 1), ("b", 2)):
        folder = tmp_path / place / "vstar"
        folder.mkdir(parents=True)
        picture(112, 84, seed).save(folder / "p.png")
        rows = [
            {
                "id": i,
                "question": "Where?\n(A) red\n(B) blue",
                "labels": "AB"[(i + seed) % 2],
                "image_path": "p.png",
                "category": "c",
            }
            for i in range(3)
        ]
        (folder / "signs.json").write_text(json.dumps(rows))
        tables[place] = load_benchmark(folder / "signs.json")
    assert [s.id for s in tables["a"]] == [s.id for s in tables["b"]]
    for place in "aba":
        table, met, said = run(tables[place], out)
        assert len(met) == len(ResultStore(out).load()) == 3
        assert verdicts(table) == verdicts(run(tables[place], None)[0])
    assert len(said) == 1 and "3 of 3 rows are" in said[0] and "answered anew" in said[0]


def test_a_share_of_another_content_is_not_taken_in(tmp_path):
    """Rows of a shard that was answered before an edit."""
    out, before = tmp_path / "rows.parquet", asked(2)
    after = [replace(before[0], question="Where is the cat?"), before[1]]
    for i in (0, 1):
        evaluate(tiny_model("qwen3_vl"), before, {"direct": Counting()}, out, shard=(i, 2), progress=False)
    table, met, _ = run(after, out)
    assert met == ["s0"] and verdicts(table) == verdicts(run(after, None)[0])
