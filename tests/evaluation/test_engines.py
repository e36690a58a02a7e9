"""Answers by several processes: the same rows as by one, whatever dies or fails on the way."""

import multiprocessing
import os
import subprocess
import sys
from dataclasses import replace
from multiprocessing import forkserver
from types import SimpleNamespace

import pytest
from checkpoints import tiny_model
from engine_methods import Dies, NotSendable, as_dict, samples

from hide_utils import HiDe, evaluate, paths
from hide_utils.baselines import METHODS
from hide_utils.evaluation import engines, maps_file, workers
from hide_utils.evaluation.answers import failed
from hide_utils.evaluation.store import ResultStore

PRELOADED = ["hide_utils.evaluation.workers", "transformers.models.qwen3_vl.modeling_qwen3_vl"]


@pytest.fixture(scope="module")
def server():
    """A start method by which all workers fork from one process that has imported what each of them would import."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    yield SimpleNamespace(get_context=lambda method: context)
    forkserver._forkserver._stop()  # it would keep its memory until the tests end


@pytest.fixture
def forked(server, monkeypatch):
    """Workers that start at once. How they start is nothing to what becomes of their pictures.

    As a program starts them, they do in `test_many_questions_on_a_picture_that_kills_are_one_failure`.
    """
    monkeypatch.setattr(engines, "multiprocessing", server)


@pytest.mark.filterwarnings("ignore:.* rows have errors")
def test_two_processes_of_which_one_dies_give_the_rows_of_one(forked, tmp_path):
    model, out = tiny_model("qwen3_vl"), tmp_path / "rows.parquet"
    methods = {"direct": METHODS["direct"], "hide": METHODS["hide"], "dies once": Dies("s3", tmp_path / "flag")}
    hide = HiDe(model, sigma=0.5, alpha=0.8)
    run = {"hide": hide, "progress": False, "save_maps": tmp_path / "maps"}
    table = evaluate(model, samples(8), methods, out, engine="processes", workers=2, **run)
    assert (tmp_path / "flag").exists()  # a worker did die
    assert table["error"].notna().tolist() == [i // 3 in (4, 5) for i in range(24)]
    assert table["error"].dropna().str.contains("RuntimeError: this picture is poisoned").all()
    files = {maps_file(tmp_path / "maps", sample.id) for sample in samples(8) if sample.image_id != "p2"}
    assert set((tmp_path / "maps").iterdir()) == files
    assert as_dict(table) == as_dict(evaluate(model, samples(8), methods, hide=hide, progress=False))
    before = model.counts["passes"]
    again = evaluate(model, samples(8), methods, out, **run)  # nothing is left to do
    assert model.counts["passes"] == before and as_dict(again) == as_dict(table)


def test_workers_that_always_die_end_the_run(monkeypatch):
    rounds = []
    monkeypatch.setattr(engines, "_round", lambda left, recipe, workers: iter(rounds.append(len(left)) or ()))
    with pytest.raises(RuntimeError, match=r"without finishing any of 4 pictures \(p0, p1, p2"):
        evaluate(tiny_model("qwen3_vl"), samples(8), engine="processes", progress=False)
    assert rounds == [4] * engines.ATTEMPTS


@pytest.mark.filterwarnings("ignore:.* rows have errors")
def test_a_picture_that_kills_every_worker_is_recorded(forked, tmp_path, monkeypatch):
    """Even the first one. What was in another worker's hands is answered, and each row is there once."""
    monkeypatch.setattr(engines, "RAY_RETRIES", 0)
    model, out = tiny_model("qwen3_vl"), tmp_path / "rows.parquet"
    drawn = [sample for sample in samples(8) if sample.image_id != "p2"]  # three failures at the start end a run
    run = {"engine": "processes", "workers": 2, "progress": False}
    table = evaluate(model, drawn, {"direct": Dies("s1")}, out, **run)
    assert table["error"].notna().tolist() == [i < 2 for i in range(6)]
    assert set(table["error"][:2]) == {"RuntimeError: its worker died 1 times, for lack of memory perhaps"}
    with ResultStore(out) as store:
        assert len(store) == len(store.load()) == 6 and len(store.done) == 4
    alone = evaluate(model, drawn[2:], ["direct"], progress=False)
    assert as_dict(table[2:].reset_index(drop=True)) == as_dict(alone)


@pytest.mark.filterwarnings("ignore:.* rows have errors")
def test_many_questions_on_a_picture_that_kills_are_one_failure(tmp_path, monkeypatch):
    """More than so many failures in a row as end a run. Rows that an earlier run answered stay."""
    monkeypatch.setattr(engines, "RAY_RETRIES", 0)
    model, out = tiny_model("qwen3_vl"), tmp_path / "rows.parquet"
    first = samples(1)[0]
    drawn = [replace(first, id=f"s{i}", image_id="few" if i < 2 else "many") for i in range(12)]
    methods = {"direct": Dies("s7")}
    alone = evaluate(model, drawn[:4], methods, progress=False)
    evaluate(model, drawn[2:4], methods, out, progress=False)
    table = evaluate(model, drawn, methods, out, engine="processes", workers=1, progress=False)
    assert table["error"].notna().tolist() == [i >= 4 for i in range(12)]
    assert as_dict(table[:4]) == as_dict(alone)


class Pools:
    """Stands for `engines._round`: workers take the pictures in order, and the pool breaks at those that kill."""

    def __init__(self, *killers: int) -> None:
        self.killers, self.died_alone = killers, []

    def __call__(self, left, recipe, workers):
        numbers = list(left)
        for place, number in enumerate(numbers):
            hands = numbers[place : place + workers]
            if set(hands) & set(self.killers):
                self.died_alone += hands if workers == 1 else []
                yield from ((one, None) for one in hands)
                return
            yield number, [failed(sample, names, OSError("nothing")) for sample, names in left[number]]


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("killers", [(0,), (5,), (2, 3), (0, 1, 2, 3, 4, 5)])
def test_only_the_pictures_that_kill_are_given_up(monkeypatch, workers, killers):
    pools, drawn = Pools(*killers), samples(12)
    monkeypatch.setattr(engines, "_round", pools)
    tasks = [[(sample, ("direct",)) for sample in drawn[i : i + 2]] for i in range(0, 12, 2)]
    found = list(engines.over_processes(tasks, engines.Recipe({}, {}, ["direct"], "direct"), workers))
    rows = {row["sample_id"]: row["error"] for one in found for row in one.rows}
    assert [sample.id for sample in drawn if "its worker died 3 times" in rows[sample.id]] == [
        sample.id for i, sample in enumerate(drawn) if i // 2 in killers
    ]
    assert sum(len(one.rows) for one in found) == 12, "each sample once"
    assert sorted(pools.died_alone) == sorted(killers * (engines.RAY_RETRIES + 1)), "as often as on Ray"


def test_where_every_picture_kills_the_run_ends_and_stores_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "_round", Pools(*range(6)))
    out = tmp_path / "rows.parquet"
    with pytest.raises(RuntimeError, match="its worker died 3 times, for lack of memory"):
        evaluate(tiny_model("qwen3_vl"), samples(12), ["direct"], out, engine="processes", workers=2, progress=False)
    assert len(ResultStore(out)) == 0


def test_workers_that_die_as_they_start_record_no_picture(forked, tmp_path, monkeypatch):
    """The model cannot be loaded by any of them, and no picture is to blame."""
    out = tmp_path / "rows.parquet"
    monkeypatch.setattr(engines, "ATTEMPTS", 1)
    monkeypatch.setattr(engines.Recipe, "on", lambda recipe, *_: replace(recipe, model={"name_or_path": "nowhere"}))
    with pytest.raises(RuntimeError, match="died 1 times as they started, without finishing any of 2 pictures"):
        evaluate(tiny_model("qwen3_vl"), samples(4), ["direct"], out, engine="processes", workers=2, progress=False)
    assert len(ResultStore(out)) == 0


def test_what_cannot_be_sent_is_refused():
    model = tiny_model("qwen3_vl")
    own = {"own": lambda hide, session, sample: METHODS["direct"](hide, session, sample)}
    with pytest.raises(ValueError, match="cannot send these methods"):
        evaluate(model, samples(2), own, engine="processes", progress=False)
    with pytest.raises(ValueError, match="unknown engine 'procesess'; did you mean 'processes'"):
        evaluate(model, samples(2), engine="procesess", progress=False)


def test_a_recipe_makes_the_same_method_again():
    model = tiny_model("qwen2_5_vl")
    hide = HiDe(model, 2, 0.5, 0.8, max_megapixels=7)
    worker = engines.Worker(engines.Recipe.of(hide, ["direct"], "last-char").on("cpu"))
    assert worker.hide.settings.layer == 2 and worker.hide.max_megapixels == 7 and worker.protocol == "last-char"
    for name in ("name", "family", "dtype", "min_pixels", "max_pixels"):
        assert getattr(worker.hide.model, name) == getattr(model, name)


def test_ray_missing_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"hide-utils\[ray\]"):
        evaluate(tiny_model("qwen3_vl"), samples(2), engine="ray", progress=False)


def test_an_error_that_cannot_be_sent_is_sent_in_words():
    error = workers._sendable(NotSendable(3))
    assert type(error) is RuntimeError and str(error) == "NotSendable: code 3"
    assert type(workers._sendable(KeyError("x"))) is KeyError


@pytest.mark.parametrize(
    "cores, workers, expected",
    [
        ([16], None, (4, 4)),
        ([2], None, (1, 2)),
        ([6, 6], None, (2, 4)),  # three would not find room
        ([0, 8], None, (2, 4)),
        ([2], 2, (2, 1)),
        ([6, 6], 3, (3, 3)),
        ([16], 3, (3, 5)),
        ([2], 4, (4, 0.5)),
        ([2, 1], 7, (7, 1 / 3)),
    ],
)
def test_every_worker_on_ray_finds_room(cores, workers, expected):
    found = engines.shares(cores, workers)
    assert found == expected
    assert sum(int(n / found[1] + 1e-9) for n in cores) >= found[0]


WITHOUT_GUARD = """
from functools import partial
from PIL import Image
from hide_utils.evaluation.engines import Recipe, over_processes
from hide_utils.samples import Sample
draw = partial(Image.new, "RGB", (64, 64))
tasks = [[(Sample(f"s{i}", "Where?", ["a", "b"], "A", "x", draw), ("direct",))] for i in range(2)]
list(over_processes(tasks, Recipe({}, {}, ["direct"], "direct"), workers=1))
"""


def test_a_script_without_a_main_guard_is_told_so_at_once(tmp_path):
    script = tmp_path / "plain.py"
    script.write_text(WITHOUT_GUARD)
    run = {"capture_output": True, "text": True, "env": os.environ | {"PYTHONPATH": str(paths.ROOT)}}
    said = subprocess.run([sys.executable, str(script)], **run)
    *_, last = said.stderr.strip().splitlines()
    assert said.returncode == 1 and last.startswith(f"RuntimeError: no worker process got past {script}")
    assert 'below a line `if __name__ == "__main__":`' in last
    assert said.stderr.count("An attempt has been made to start a new process") <= 1, "no second round"
