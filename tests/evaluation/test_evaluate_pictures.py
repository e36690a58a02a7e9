"""Questions about one picture, faulty samples, shares of a run, and what stands beside the rows."""

import json
import multiprocessing

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from benchmark_files import hrbench_rows, write_tsv
from checkpoints import tiny_model
from model_helpers import picture
from test_evaluate import samples

from hide_utils import HiDe, evaluate, load_benchmark
from hide_utils.baselines import METHODS
from hide_utils.evaluation.answers import COLUMNS, SCHEMA
from hide_utils.evaluation.keys import run_settings
from hide_utils.evaluation.shards import merge_shards, shard_path
from hide_utils.evaluation.store import ResultStore, SettingsError
from hide_utils.files import only_writer
from hide_utils.method.session import Session
from hide_utils.prompts import multiple_choice
from hide_utils.stats import mean_over_cycles

SAME = ["sample_id", "method", "reply", "letter", "correct", "entities", "calls", "text_tokens", "flops"]


def quick(model):
    """HiDe whose lists of entities are cut short: a random model never ends one."""
    hide = HiDe(model)
    hide.extractor.max_new_tokens = 6
    return hide


def same(table):
    return table[SAME].astype(object).where(table[SAME].notna(), None).to_dict("list")


# pictures with several questions --------------------------------------------------------------------------------------


def test_cycles_of_hrbench_share_prefill_and_localisation(tmp_path, monkeypatch):
    from benchmark_files import noise

    path = write_tsv(tmp_path / "hr_bench_4k.tsv", hrbench_rows(2, lambda i: noise(i, 96)))
    cycles, model, searches = load_benchmark(path), tiny_model("qwen3_vl"), []
    run = {"hide": quick(model), "progress": False}
    original = Session.searches
    monkeypatch.setattr(Session, "searches", lambda *given: searches.append(given) or original(*given))
    model.counts.clear()
    table = evaluate(model, cycles, ["direct", "hide"], **run)
    assert len(table) == 16 and len(searches) == 2 and model.counts["prefills"] == 2 + 1
    assert table["cycle"].tolist() == [f"cycle_{i % 4}" for i in range(8) for _ in range(2)]
    alone = [evaluate(model, [one], ["direct", "hide"], **run) for one in cycles]
    assert same(table) == {name: [v for t in alone for v in same(t)[name]] for name in SAME}  # charged as if alone
    scores = mean_over_cycles(table)
    by_cycle = table[table["method"] == "hide"].groupby("cycle")["correct"].mean()
    assert scores["hide"] == pytest.approx(by_cycle.mean())


def test_other_questions_about_a_picture_share_its_prefill_alone(monkeypatch):
    model, asked = tiny_model("qwen3_vl"), ["What is the dog?", "Where is the truck?", "What is the dog?"]
    several = [samples(1, id=f"q{i}", question=text, image_id="one")[0] for i, text in enumerate(asked)]
    run = {"hide": quick(model), "progress": False}
    # The first run has the prefix that lists of entities share to compute besides.
    for some, methods, prefills in ((several, ["direct", "hide"], 1 + 1), (several[:2], list(METHODS), 1)):
        model.counts.clear()
        table = evaluate(model, some, methods, **run)
        assert model.counts["prefills"] == prefills
        alone = [evaluate(model, [one], methods, **run) for one in some]
        assert same(table) == {name: [v for t in alone for v in same(t)[name]] for name in SAME}


def test_each_sample_is_asked_in_its_own_style(monkeypatch):
    texts = []
    model = tiny_model("qwen3_vl")
    original = type(model).prompt
    monkeypatch.setattr(type(model), "prompt", lambda self, *parts: texts.append(parts[-1]) or original(self, *parts))
    evaluate(model, samples(1, style="mme_realworld"), list(METHODS), hide=quick(model), progress=False)
    wanted = multiple_choice("What is the color of the dog?", ["red", "blue"], "mme_realworld")
    choices = [text for text in texts if isinstance(text, str) and "red" in text]
    assert len(choices) > len(METHODS) and set(choices) == {wanted}


def test_every_published_format_is_answered(tmp_path):
    from benchmark_files import BOOK, authors_row, noise, write_json, write_vstar

    vstar, model = write_vstar(tmp_path), tiny_model("qwen3_vl")
    table = hrbench_rows(1, lambda i: noise(i, 64))
    parquet = tmp_path / "hr.parquet"
    pq.write_table(pa.Table.from_pylist(table), parquet)
    mme = write_json(tmp_path / "MME.json", [BOOK])
    (tmp_path / BOOK["Image"]).write_bytes(noise(1, 64))
    listed = write_json(tmp_path / "list.json", [authors_row(0, box_json="vstar_bench/direct_attributes/sa_4690.json")])
    for path in (vstar, write_tsv(tmp_path / "hr.tsv", table), parquet, mme, listed):
        read = load_benchmark(path)
        usable = [name for name in ("direct", "hide", "rel_att", "oracle") if name != "oracle" or read[0].boxes_xyxy]
        for one in read:  # the fixtures' boxes are those of the published pictures, their pictures a few pixels
            one.boxes_xyxy = [(0, 0, 2, 2) for _ in one.boxes_xyxy]
        rows = evaluate(model, read, usable, hide=quick(model), progress=False)
        assert rows["error"].isna().all() and (rows["flops"] > 0).all() and len(rows) == len(read) * len(usable)


# faults ---------------------------------------------------------------------------------------------------------------


def faulty():
    raise ZeroDivisionError("a fault nobody thought of")


def test_a_poisoned_sample_is_recorded_and_the_run_goes_on(tmp_path):
    out = tmp_path / "rows.parquet"
    mixed = [*samples(1, id="bad", render=faulty), *samples(2)]
    with pytest.warns(UserWarning, match="2 of 6 rows have errors.*bad: ZeroDivisionError: a fault nobody"):
        model = tiny_model("qwen3_vl")
        table = evaluate(model, mixed, ["direct", "hide"], out, hide=quick(model), progress=False)
    assert table["error"].notna().tolist() == [True, True] + [False] * 4 and not table["correct"][:2].any()
    assert ResultStore(out).done == {(s.id, m) for s in mixed[1:] for m in ("direct", "hide")}


def test_a_sample_that_failed_is_tried_again_and_its_answer_takes_the_place_of_the_error(tmp_path, recwarn):
    out, model = tmp_path / "rows.parquet", tiny_model("qwen3_vl")
    run = {"out": out, "progress": False}
    bad, good = samples(1, id="mended", render=faulty), samples(2)
    evaluate(model, [*good, *bad], ["direct"], **run)
    evaluate(model, [*good, *bad], ["direct"], **run)  # still broken: said again
    assert [str(w.message)[:24] for w in recwarn] == ["1 of 3 rows have errors ", "1 of 1 rows have errors "]
    model.counts.clear()
    table = evaluate(model, [*good, *samples(1, id="mended")], ["direct"], **run)
    assert len(recwarn) == 2 and model.counts["prefills"] == 1  # the others were not run again
    fresh = evaluate(model, [*good, *samples(1, id="mended")], ["direct"], progress=False)
    assert table["error"].isna().all() and same(table) == same(fresh)
    assert ResultStore(out).done == {("s0", "direct"), ("s1", "direct"), ("mended", "direct")}
    assert len(ResultStore(out)) == 3


@pytest.mark.filterwarnings("ignore:.* rows have errors")
def test_a_run_that_goes_on_failing_ends_and_keeps_its_rows(tmp_path):
    out, model = tmp_path / "rows.parquet", tiny_model("qwen3_vl")
    run = {"out": out, "progress": False}
    broken = [samples(1, id=f"bad{i}", render=faulty)[0] for i in range(7)]
    with pytest.raises(RuntimeError, match=r"bad4 failed \(ZeroDivisionError.*last of 5 in a row.*rows.parquet: mend"):
        evaluate(model, [*samples(2), *broken], ["direct"], **run)
    assert ResultStore(out).done == {("s0", "direct"), ("s1", "direct")} and len(ResultStore(out)) == 7
    # what fails for good, among others that do not, keeps no later run from ending
    table = evaluate(model, [*samples(2), *broken], ["direct"], **run)
    assert table["error"].notna().sum() == 7


def test_an_error_after_which_the_gpu_cannot_be_used_ends_the_run_at_once(tmp_path):
    def poisoned():
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    out = tmp_path / "rows.parquet"
    with pytest.raises(RuntimeError, match="bad failed .*illegal memory access.*new process"):
        evaluate(
            tiny_model("qwen3_vl"), [*samples(1), *samples(1, id="bad", render=poisoned), *samples(1, id="next")],
            ["direct"], out, progress=False,
        )  # fmt: skip
    assert ResultStore(out).done == {("s0", "direct")}


def test_a_method_that_fails_on_one_sample_costs_that_row_alone():
    def fussy(hide, session, sample):
        if sample.id == "s1":
            raise OverflowError("too much")
        return METHODS["direct"](hide, session, sample)

    with pytest.warns(UserWarning, match="1 of 6 rows"):
        table = evaluate(
            tiny_model("qwen3_vl"), samples(3), {"direct": METHODS["direct"], "fussy": fussy}, progress=False
        )
    assert table["error"].notna().tolist() == [False, False, False, True, False, False]
    assert table["error"][3] == "OverflowError: too much"


def test_a_broken_method_raises_instead_of_filling_a_table_with_errors(tmp_path):
    calls = []

    def broken(hide, session, sample):
        calls.append(sample.id)
        raise KeyError("no such thing")

    model, out = tiny_model("qwen3_vl"), tmp_path / "rows.parquet"
    with pytest.raises(KeyError, match="no such thing"):
        evaluate(model, samples(9), {"direct": METHODS["direct"], "broken": broken}, out, progress=False)
    assert calls == ["s0", "s1", "s2"] and not ResultStore(out).done
    with pytest.raises(KeyError):
        evaluate(model, samples(1), {"broken": broken}, progress=False)


# the file -------------------------------------------------------------------------------------------------------------


def test_rows_have_the_documented_columns_and_a_sidecar(tmp_path):
    model, out = tiny_model("qwen3_vl"), tmp_path / "rows.parquet"
    table = evaluate(model, samples(1), list(METHODS), out, hide=quick(model), progress=False)
    assert set(table.columns) == set(COLUMNS) == set(pq.read_table(out).column_names)
    assert (table["calls"] > 0).all() and (table["flops"] > 0).all() and table["peak_bytes"].isna().all()
    told = json.loads(out.with_suffix(".json").read_text())
    assert told["columns"] == COLUMNS and told["settings"]["schema"] == SCHEMA
    assert told["settings"] == run_settings(HiDe(model), "strict") and list(told["files"]) == ["rows.parquet"]


def _hold(path, ready, release):
    with only_writer(path):
        ready.set()
        release.wait(60)


def test_a_second_process_is_refused_and_not_interleaved(tmp_path):
    out, context = tmp_path / "rows.parquet", multiprocessing.get_context("fork")
    ready, release = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(out, ready, release))
    other.start()
    assert ready.wait(60)
    with pytest.raises(RuntimeError, match=r"rows\.parquet: another process is writing.*shard="):
        evaluate(tiny_model("qwen3_vl"), samples(1), ["direct"], out, progress=False)
    release.set()
    other.join()
    assert len(evaluate(tiny_model("qwen3_vl"), samples(1), ["direct"], out, progress=False)) == 1
    other = context.Process(target=_hold, args=(out, ready := context.Event(), context.Event()))
    other.start()
    assert ready.wait(60)
    other.kill()  # a killed writer leaves no lock behind
    other.join()
    evaluate(tiny_model("qwen3_vl"), samples(1), ["direct"], out, progress=False)


# shares ---------------------------------------------------------------------------------------------------------------


def test_shares_are_disjoint_keep_pictures_whole_and_merge_without_duplicates(tmp_path):
    model, out = tiny_model("qwen3_vl"), tmp_path / "rows.parquet"
    ten = [one for i in range(5) for one in samples(2, image_id=f"p{i}", render=lambda i=i: picture(96, 96, i))]
    for number, one in enumerate(ten):
        one.id = f"s{number}"
    run = {"hide": quick(model), "progress": False}
    whole = evaluate(model, ten, ["direct", "hide"], **run)
    parts = [evaluate(model, ten, ["direct", "hide"], out, shard=(i, 3), **run) for i in range(2)]
    assert [sorted(set(part["image_id"])) for part in parts] == [["p0", "p3"], ["p1", "p4"]]
    assert shard_path(out, 0, 3).name == "rows.shard-0-of-3.parquet" and not out.exists()
    model.counts.clear()
    table = evaluate(model, ten, ["direct", "hide"], out, **run)  # takes both in, runs the third
    assert model.counts["images"] <= 1 + 2 and same(table) == same(whole)
    with ResultStore(out) as store:
        assert len(store) == 20 and merge_shards(store, {}) == 0  # nothing twice
    with pytest.raises(ValueError, match="want 0 <= i < n"):
        evaluate(model, ten, ["direct"], shard=(3, 3), progress=False)


def test_a_share_made_with_other_settings_is_refused(tmp_path):
    model, out = tiny_model("qwen3_vl"), tmp_path / "rows.parquet"
    evaluate(model, samples(2), ["hide"], out, shard=(0, 2), hide=HiDe(model, sigma=2.0), progress=False)
    with pytest.raises(SettingsError, match="sigma"):
        evaluate(model, samples(2), ["hide"], out, progress=False)


def test_a_share_whose_process_was_killed_counts_with_what_it_had(tmp_path):
    model, out = tiny_model("qwen3_vl"), tmp_path / "rows.parquet"
    share = shard_path(out, 0, 2)
    evaluate(model, samples(4), ["direct"], share, progress=False)
    with ResultStore(share) as store:  # as a kill leaves it: a journal and no Parquet file yet
        rows = store.load().astype(object).where(store.load().notna(), None).to_dict("records")
        settings = store.settings
    share.unlink()
    ResultStore(share, settings).append(rows[:3])
    assert not share.exists()
    with ResultStore(out, settings) as store:
        assert merge_shards(store, {}) == 3


def test_rows_written_through_a_link_go_where_it_leads(tmp_path):
    model, asked = tiny_model("qwen3_vl"), samples(4)
    run = {"hide": quick(model), "progress": False}
    far, link = tmp_path / "far" / "rows.parquet", tmp_path / "link.parquet"
    link.symlink_to(far)
    evaluate(model, asked, ["direct"], link, **run)
    assert link.is_symlink() and far.is_file() and not far.is_symlink()
    evaluate(model, asked, ["hide"], far, **run)
    evaluate(model, asked, ["direct_logits"], link, shard=(0, 2), **run)
    table = evaluate(model, asked, ["direct", "hide"], link, **run)
    assert link.is_symlink() and sorted(tmp_path.iterdir()) == [far.parent, link], "nothing lies beside the link"
    stored = pd.read_parquet(far)
    assert set(stored["method"]) == {"direct", "hide", "direct_logits"} and len(table) == 8 and len(stored) == 10
