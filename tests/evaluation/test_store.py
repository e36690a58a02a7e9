import errno
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from lean import WITHOUT_THE_FRONT

from hide_utils import paths
from hide_utils.evaluation.store import ResultStore, SettingsError, results_path

SETTINGS = {"model": "mini", "alpha": 0.7, "methods": ("direct", "hide")}

# A process that stores rows s<start>, s<start + 1>, ... one by one, saying each that is stored, and then merges.
WRITER = """
from hide_utils.evaluation.store import ResultStore
path, start, stop, pause = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
import time
store = ResultStore(path, {"model": "mini"})
for number in range(start, stop):
    store.append([{"sample_id": f"s{number}", "method": "hide", "reply": "x" * 5000, "value": number}])
    print(number, flush=True)
    time.sleep(pause)
    if number % 20 == 19:
        store.close()
"""


def row(number, method="hide", **more):
    return {"sample_id": f"s{number}", "method": method, "correct": True, "seconds": 0.5} | more


def writer(path, start, stop, pause=0.0):
    command = [sys.executable, "-c", WITHOUT_THE_FRONT + WRITER, str(path), str(start), str(stop), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=paths.ROOT)


def test_rows_come_back_as_they_went_in_before_and_after_merging(tmp_path):
    path = tmp_path / "deep" / "r.parquet"
    rows = [
        row(0, letter=None, boxes=[(1, 2, 3, 4)], score=np.float32(0.5), n=np.int64(3)),
        row(1, letter="B", boxes=[], score=float("nan"), extra="only here"),
    ]
    store = ResultStore(path, SETTINGS)
    assert store.append(rows) == 2
    before = store.load()
    store.close()
    after = ResultStore(path, SETTINGS).load()
    pd.testing.assert_frame_equal(before, after)
    assert list(after["sample_id"]) == ["s0", "s1"]
    assert after["boxes"][0] == [[1, 2, 3, 4]]
    assert after["boxes"][1] == []
    assert after["score"][0] == 0.5
    assert np.isnan(after["score"][1])
    assert not store.journal.exists()


def test_a_pair_is_stored_once(tmp_path):
    with ResultStore(tmp_path / "r.parquet", SETTINGS) as store:
        assert store.append([row(0), row(0, seconds=9.0), row(0, "direct")]) == 2
        assert store.append([row(0, seconds=9.0), row(1)]) == 1
        assert store.done == {("s0", "hide"), ("s0", "direct"), ("s1", "hide")}
    again = ResultStore(tmp_path / "r.parquet", SETTINGS)
    assert again.append([row(1), row(2)]) == 1
    table = again.load()
    assert len(table) == len(again) == 4
    assert list(table["seconds"]) == [0.5] * 4, "the first row of a pair stays"


def test_empty_store_loads_with_its_key_columns(tmp_path):
    with ResultStore(tmp_path / "r.parquet", SETTINGS) as store:
        assert list(store.load().columns) == ["sample_id", "method"]
        assert store.append([]) == 0
    assert not (tmp_path / "r.parquet").exists()


@pytest.mark.parametrize("merged", [True, False])
def test_other_settings_are_refused_with_what_differs(tmp_path, merged):
    path = tmp_path / "r.parquet"
    store = ResultStore(path, SETTINGS)
    store.append([row(0)])
    if merged:
        store.close()
        assert json.loads(pq.read_schema(path).metadata[b"hide_settings"])["alpha"] == 0.7
        assert pq.read_schema(path).metadata[b"hide_hash"]
    with pytest.raises(SettingsError, match="alpha: 0.7 there, 0.6 now"):
        ResultStore(path, SETTINGS | {"alpha": 0.6})
    assert len(ResultStore(path)) == 1, "without settings, what is there is read"
    assert len(ResultStore(path, SETTINGS)) == 1


def test_settings_of_a_store_made_meanwhile_are_compared_too(tmp_path):
    early = ResultStore(tmp_path / "r.parquet", SETTINGS | {"alpha": 0.6})
    ResultStore(tmp_path / "r.parquet", SETTINGS).append([row(0)])
    with pytest.raises(SettingsError, match="alpha"):
        early.append([row(1)])


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"sample_id": "s1"}, ValueError, "method"),
        ({"sample_id": 1, "method": "hide"}, ValueError, "sample_id"),
        (row(1, picture=object()), TypeError, "cannot store"),
    ],
)
def test_bad_row_stores_nothing(tmp_path, bad, error, message):
    store = ResultStore(tmp_path / "r.parquet", SETTINGS)
    store.append([row(0)])
    with pytest.raises(error, match=message):
        store.append([row(2), bad])
    assert len(ResultStore(tmp_path / "r.parquet", SETTINGS)) == 1


def test_a_column_of_several_types_is_named_and_loses_nothing(tmp_path):
    store = ResultStore(tmp_path / "r.parquet", SETTINGS)
    store.append([row(0, score=1), row(1, score="high")])
    with pytest.raises(ValueError, match="column 'score'"):
        store.close()
    assert len(ResultStore(tmp_path / "r.parquet", SETTINGS).load()) == 2


def test_path_must_be_parquet(tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.parquet"):
        ResultStore(tmp_path / "r.csv")


def test_torn_last_line_is_dropped_and_written_over(tmp_path):
    path = tmp_path / "r.parquet"
    store = ResultStore(path, SETTINGS)
    store.append([row(0), row(1)])
    whole = store.journal.read_bytes()
    for cut in range(1, len(whole) + 1):  # a kill may come after any byte
        store.journal.write_bytes(whole[:cut])
        again = ResultStore(path, SETTINGS)
        lines = whole[:cut].count(b"\n")
        assert len(again) == max(lines - 1, 0)  # the first line holds the settings
        if cut % 40 == 0:
            again.append([row(0), row(1), row(2)])
            assert set(ResultStore(path, SETTINGS).done) == {(f"s{i}", "hide") for i in range(3)}


def test_kill_between_merge_and_removal_of_the_journal_reads_rows_once(tmp_path):
    store = ResultStore(tmp_path / "r.parquet", SETTINGS)
    store.append([row(0), row(1)])
    journal = store.journal.read_bytes()
    store.close()
    store.journal.write_bytes(journal)
    again = ResultStore(tmp_path / "r.parquet", SETTINGS)
    assert len(again) == 2
    again.append([row(2)])
    again.close()
    assert list(ResultStore(tmp_path / "r.parquet", SETTINGS).load()["sample_id"]) == ["s0", "s1", "s2"]


def test_killed_process_leaves_every_row_it_reported(tmp_path):
    path = tmp_path / "r.parquet"
    start = 0
    for after in (5, 23, 40):  # before, just after and between merges
        process = writer(path, start, start + 500)
        reported = []
        for line in process.stdout:
            reported.append(int(line))
            if len(reported) >= after:
                os.kill(process.pid, signal.SIGKILL)
                break
        reported += [int(line) for line in process.stdout]
        assert process.wait() == -signal.SIGKILL
        stored = ResultStore(path, {"model": "mini"}).load()
        assert not stored.duplicated(["sample_id", "method"]).any()
        start = len(stored)
        assert start - 1 - reported[-1] in (0, 1), "all that was reported, and at most the row in hand"
        assert list(stored["value"]) == list(range(start))
        assert (stored["reply"].str.len() == 5000).all()


def test_two_processes_at_once_never_duplicate(tmp_path):
    path = tmp_path / "r.parquet"
    processes = [writer(path, 0, 60, 0.002), writer(path, 0, 60, 0.002)]
    while not path.exists():  # a third one joins while the two write and merge
        time.sleep(0.01)
    with ResultStore(path, {"model": "mini"}) as store:
        store.append([{"sample_id": f"s{i}", "method": "hide", "reply": "", "value": i} for i in range(70)])
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    stored = ResultStore(path).load()
    assert sorted(stored["value"]) == list(range(70))


def test_full_disk_is_said_and_earlier_rows_are_whole(tmp_path, monkeypatch):
    store = ResultStore(tmp_path / "r.parquet", SETTINGS)
    store.append([row(0)])
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises(OSError, match="no space left; nothing stored before is lost") as error:
            store.append([row(1)])
        assert error.value.errno == errno.ENOSPC
        with pytest.raises(OSError, match="no space left"):
            store.close()
    assert ResultStore(tmp_path / "r.parquet", SETTINGS).done == {("s0", "hide")}
    assert store.append([row(1)]) == 1
    store.close()
    assert [p.name for p in tmp_path.iterdir() if p.suffix not in {".parquet", ".lock"}] == [], "no leftovers"
    assert len(ResultStore(tmp_path / "r.parquet", SETTINGS)) == 2


def test_results_path_tells_settings_apart():
    one = results_path("05_benchmarks", "answers", SETTINGS)
    assert one == results_path("05_benchmarks", "answers", SETTINGS | {"methods": ["direct", "hide"]})
    assert one != results_path("05_benchmarks", "answers", SETTINGS | {"alpha": 0.6})
    assert one.parent == paths.RESULTS / "05_benchmarks"


LEAN = """
import hide_utils.evaluation.store, hide_utils.evaluation.saving
sys.exit("matplotlib" in sys.modules)
"""


def test_the_store_and_sidecars_need_no_matplotlib():
    assert subprocess.run([sys.executable, "-c", WITHOUT_THE_FRONT + LEAN], cwd=paths.ROOT).returncode == 0


@pytest.mark.parametrize("merged", [False, True])
def test_a_store_whose_files_are_gone_says_so_and_writes_no_others(tmp_path, merged):
    """As where its disk is unmounted: later rows would go into the folder below, and the earlier ones be missing."""
    folder, aside = tmp_path / "mounted", tmp_path / "aside"
    store = ResultStore(folder / "rows.parquet")
    store.append([{"sample_id": "s0", "method": "direct"}])
    if merged:
        store.close()
    folder.rename(aside)
    folder.mkdir()
    for use in (lambda: store.append([{"sample_id": "s1", "method": "direct"}]), store.load, store.close):
        with pytest.raises(OSError, match="rows.parquet: rows that were stored are gone: was the disk unmounted"):
            use()
    assert {path.suffix for path in folder.iterdir()} <= {".lock"}
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    aside.rename(folder)
    store.append([{"sample_id": "s1", "method": "direct"}])
    assert store.load()["sample_id"].tolist() == ["s0", "s1"]
