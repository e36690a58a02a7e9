"""Pictures are opened ahead of the model: the same rows, errors where they belong, one picture ahead, nothing left."""

import gc
import re
import threading
import time
import warnings
import weakref

import pytest
from benchmark_files import write_vstar
from checkpoints import tiny_model
from model_helpers import picture
from test_evaluate import samples

from hide_utils import HiDe, evaluate, load_benchmark
from hide_utils.baselines import METHODS, Outcome
from hide_utils.evaluation import loop
from hide_utils.evaluation.ahead import Ahead
from hide_utils.evaluation.answers import answer_picture
from hide_utils.evaluation.store import ResultStore
from hide_utils.evaluation.tally import Tally
from hide_utils.images import ImageError

SECONDS = 10  # longest that a test waits for the thread


@pytest.fixture
def made(monkeypatch):
    """Has `evaluate` read ahead as it does on a GPU; the list holds what opened the pictures of each run."""
    made = []

    def make(hide, firsts):
        made.append(Ahead(hide, firsts, thread=True))
        return made[-1]

    monkeypatch.setattr(loop, "Ahead", make)
    return made


def quick(model):
    hide = HiDe(model)
    hide.extractor.max_new_tokens = 6
    return hide


def canned(model, then=lambda sample: None):
    """A method that never shows the model its picture; `then` is what it does instead."""
    reply = HiDe(model).open(picture(56, 56)).answer("What is it?", ["red", "blue"])

    def method(hide, session, sample):
        then(sample)
        return Outcome(reply, (), ())

    return method


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("picture-ahead")]


def known(table):
    return table.drop(columns="seconds").astype(object).where(table.notna(), None).to_dict("records")


# rows -----------------------------------------------------------------------------------------------------------------


# Reading ahead is the same for all families. These differ in what a prepared picture is: patches of any shape with
# states of experts, tiles, one size with sliding windows, patches that are padded.
@pytest.mark.parametrize("family", ["qwen3_5_moe", "internvl", "gemma3", "mistral3"])
def test_rows_are_those_of_a_plain_loop(family, made, tmp_path):
    drawn = load_benchmark("scenes", split="test", n=2, resolution=448)
    asked, model = [*drawn, *load_benchmark(write_vstar(tmp_path))], tiny_model(family)
    names = ["direct", "hide", "oracle"]
    table = evaluate(model, asked, names, hide=quick(model), progress=False)
    jobs = [[(sample, {name: METHODS[name] for name in names})] for sample in asked]
    plain = [row for job in jobs for one in answer_picture(quick(model), job, "strict") for row in one.rows]
    assert known(table) == [{name: row[name] for name in table if name != "seconds"} for row in plain]
    assert table["error"].isna().all() and made[0].waited > 0 and not threads()


def test_a_cpu_is_left_to_the_model():
    readers, model = [], tiny_model("qwen3_vl")
    asked = samples(3, render=lambda: readers.append(threading.current_thread()) or picture(56, 56))
    evaluate(model, asked, ["direct"], progress=False)
    assert set(readers) == {threading.main_thread()}


def test_another_thread_reads_all_pictures_but_the_first(made):
    readers, model = [], tiny_model("qwen3_vl")
    asked = samples(3, render=lambda: readers.append(threading.current_thread()) or picture(56, 56))
    evaluate(model, asked, ["direct"], progress=False)
    assert [one is threading.main_thread() for one in readers] == [True, False, False]


@pytest.mark.parametrize("thread", [False, True])
def test_seconds_include_preparing(thread, monkeypatch):
    model = tiny_model("qwen3_vl")
    original = model.prepare
    monkeypatch.setattr(model, "prepare", lambda *given: time.sleep(0.4) or original(*given))
    asked, hide = samples(2), HiDe(model)
    with Ahead(hide, asked, thread) as ahead:
        for sample in asked:
            session = ahead.open(sample)
            assert session.shared.pictures, "prepared before it is needed"
            for one in (session, session.beside()):
                began = time.perf_counter()
                one.prefill()
                assert time.perf_counter() - began < 0.4 < one.seconds["prefill"], "charged, and not run again"


# errors ---------------------------------------------------------------------------------------------------------------


def raising(error):
    def render():
        raise error

    return render


def test_an_error_belongs_to_the_rows_of_its_picture(made):
    model, order = tiny_model("qwen3_vl"), ["good", "cut", "gone", "other", "odd", "last"]
    faults = {"cut": ImageError("cut short"), "gone": FileNotFoundError("no picture"), "odd": ZeroDivisionError("odd")}
    asked = [samples(1, id=name)[0] for name in order]
    for sample in asked:
        sample.render = raising(faults[sample.id]) if sample.id in faults else sample.render
    with pytest.warns(UserWarning, match="6 of 12 rows have errors"):
        table = evaluate(model, asked, ["direct", "direct_logits"], progress=False)
    said = {name: f"{type(error).__name__}: {error}" for name, error in faults.items()}
    assert table["error"].dropna().tolist() == [said[name] for name in order if name in said for _ in range(2)]
    assert table.set_index("sample_id")["error"].notna().groupby(level=0).all().to_dict() == {
        name: name in faults for name in order
    }


def test_the_next_question_about_a_picture_that_was_not_read_reads_it_again(made):
    model, tries = tiny_model("qwen3_vl"), []

    def render():
        tries.append(0)
        return picture(56, 56) if len(tries) > 1 else raising(FileNotFoundError("not yet"))()

    asked = [*samples(1), *[samples(1, id=f"q{i}", image_id="p", render=render)[0] for i in range(3)]]
    with pytest.warns(UserWarning, match="1 of 4 rows"):
        table = evaluate(model, asked, ["direct"], progress=False)
    assert table["error"].notna().tolist() == [False, True, False, False] and len(tries) == 2


def test_an_error_of_preparing_belongs_to_the_methods_that_need_it(made, monkeypatch):
    model = tiny_model("qwen3_vl")
    original = model.prepare

    def prepare(image, most=None):
        if image.size == (140, 56):
            raise MemoryError("too large for this model")
        return original(image, most)

    monkeypatch.setattr(model, "prepare", prepare)
    asked = samples(3)
    asked[1].render = lambda: picture(140, 56)
    methods = {"direct": METHODS["direct"], "canned": canned(model)}
    with pytest.warns(UserWarning, match="1 of 6 rows"):
        table = evaluate(model, asked, methods, progress=False)
    errors = {(row.sample_id, row.method): row.error for row in table.dropna(subset="error").itertuples()}
    assert errors == {("s1", "direct"): "MemoryError: too large for this model"}


def test_warnings_of_the_thread_are_heard(made):
    asked = samples(2)
    asked[1].render = lambda: warnings.warn("almost black", stacklevel=2) or picture(56, 56)
    with pytest.warns(UserWarning, match="almost black"):
        evaluate(tiny_model("qwen3_vl"), asked, ["direct"], progress=False)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ZeroDivisionError])
def test_an_interrupt_leaves_no_thread_and_loses_no_row(made, monkeypatch, tmp_path, error):
    model, out, reading = tiny_model("qwen3_vl"), tmp_path / "rows.parquet", threading.Event()
    asked = samples(4)
    original, append = asked[3].render, ResultStore.append

    def drawing():
        if threading.current_thread() in threads():  # and not where the picture's hash is taken
            reading.set()
            time.sleep(0.3)
        return original()

    def interrupted(self, rows):
        stored = append(self, rows)
        if rows and rows[0]["sample_id"] == "s2":
            assert reading.wait(SECONDS) and threads(), "the thread has the next picture in hand"
            raise error
        return stored

    asked[3].render = drawing
    with monkeypatch.context() as patch, pytest.raises(error):
        patch.setattr(ResultStore, "append", interrupted)
        evaluate(model, asked, ["direct"], out, progress=False)
    assert not threads()
    assert ResultStore(out).done == {(f"s{i}", "direct") for i in range(3)}
    table = evaluate(model, asked, ["direct"], out, progress=False)
    whole = evaluate(model, asked, ["direct"], progress=False)
    assert known(table.drop(columns="content")) == known(whole.drop(columns="content")) and not threads()


def test_an_interrupt_in_the_thread_ends_the_run(made):
    with pytest.raises(KeyboardInterrupt):
        evaluate(
            tiny_model("qwen3_vl"),
            [*samples(1), *samples(1, id="stop", render=raising(KeyboardInterrupt()))],
            ["direct"],
            progress=False,
        )
    assert not threads()


# bounds ---------------------------------------------------------------------------------------------------------------


def test_one_picture_is_read_ahead_and_no_more(made, monkeypatch):
    model, asked, opened, behind, alive = tiny_model("qwen3_vl"), samples(6), [], [], []
    original = HiDe.open

    def counting(self, image):
        session = original(self, image)
        opened.append(weakref.ref(session))
        return session

    def answering(sample):
        place = asked.index(sample) + 1
        until = time.monotonic() + SECONDS
        while len(opened) < min(place + 1, len(asked)) and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.1)  # time to open more, which it must not
        gc.collect()
        behind.append(len(opened) - place)
        alive.append(sum(session() is not None for session in opened))

    method = canned(model, answering)
    monkeypatch.setattr(HiDe, "open", counting)
    evaluate(model, asked, {"slow": method}, progress=False)
    assert behind == [1] * 5 + [0] and alive == [2] * 5 + [1]


def test_without_a_thread_a_picture_is_let_go_before_the_next_is_read(monkeypatch):
    opened, alive = [], []
    original = HiDe.open

    def render():
        gc.collect()
        alive.append(sum(session() is not None for session in opened))
        return picture(56, 56)

    def counting(self, image):
        session = original(self, image)
        opened.append(weakref.ref(session))
        return session

    monkeypatch.setattr(HiDe, "open", counting)
    evaluate(tiny_model("qwen3_vl"), samples(3, render=render), ["direct"], progress=False)
    assert len(opened) == 3 and alive == [0, 0, 0]


def test_pictures_that_no_method_shows_the_model_are_soon_left_unprepared(made, monkeypatch):
    model, prepared = tiny_model("qwen3_vl"), []
    methods = {"canned": canned(model)}
    original = model.prepare
    monkeypatch.setattr(model, "prepare", lambda *given: prepared.append(given) or original(*given))
    evaluate(model, samples(6), methods, progress=False)
    assert len(prepared) <= 2
    prepared.clear()
    evaluate(model, samples(6), ["direct"], progress=False)
    assert len(prepared) == 6


# waiting --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("drawing", "answering", "least", "most"), [(0.0, 0.5, 0.0, 0.3), (0.5, 0.0, 0.6, 1.0), (0.4, 0.8, 0.05, 0.25)]
)
def test_the_share_of_waiting(made, drawing, answering, least, most):
    """In the last case each picture but the first is drawn while another is answered; one after another it is 0.38."""
    model, shares = tiny_model("qwen3_vl"), []
    asked = samples(5, render=lambda: time.sleep(drawing) or picture(56, 56))
    method = canned(model, lambda sample: shares.append(made[0].share) or time.sleep(answering))
    evaluate(model, asked, {"canned": method}, progress=False)
    assert least <= shares[-1] <= most


def test_the_bar_says_the_share_of_waiting_and_only_where_it_is_known(made, capsys):
    model = tiny_model("qwen3_vl")
    evaluate(model, samples(2, render=lambda: time.sleep(0.4) or picture(56, 56)), {"canned": canned(model)})
    last = re.findall(r"2/2 .*canned \d+%, waited (\d+)%", capsys.readouterr().err)
    assert int(last[-1]) > 60
    unused = Ahead(HiDe(model), [], True)
    assert unused.share is None and Tally(None, unused).so_far() == ""
