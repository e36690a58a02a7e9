"""Answers on a Ray cluster: the rows of one process, whatever dies on the way."""

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from checkpoints import tiny_model
from engine_methods import Dies, as_dict, samples

from hide_utils import evaluate
from hide_utils.baselines import METHODS
from hide_utils.evaluation import engines
from hide_utils.evaluation.store import ResultStore

# Before Ray is imported: it reports to nobody, lets no one else in, and writes no token into the home folder.
os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
os.environ["RAY_worker_niceness"] = "0"  # its own is 15, which starves actors beside other tests
ray = pytest.importorskip("ray")

# Actors import what the tests define.
PATH = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)])
DRIVER = """
import sys
from pathlib import Path
from checkpoints import tiny_model
from engine_methods import Dies, samples
from hide_utils import evaluate

out = Path(sys.argv[1])
methods = {"direct": Dies(None, begun=out.parent)}
evaluate(tiny_model("qwen3_vl"), samples(60), methods, out, engine="ray", workers=1, progress=False)
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster of two cores, made with Ray's own command; RAY_ADDRESS names it, and this process has joined it."""
    folder = tmp_path_factory.mktemp("ray")
    # Ray imports jsonschema, which compiles a grammar for three seconds in each of Ray's processes where it can.
    (folder / "rfc3987_syntax.py").write_text("raise ImportError")
    log = folder / "log"
    with pytest.MonkeyPatch.context() as patch:
        # Ray gives its own processes 15 seconds, which a busy machine may exceed (ray-project/ray, issue 65983).
        head = next((head for head in (_started(log) for _ in range(4)) if head.poll() is None), None)
        if head is None:
            pytest.skip(f"Ray does not start here: {log.read_text()[-500:]}")
        patch.setenv("RAY_ADDRESS", re.search(r"--address='(.+?)'", log.read_text())[1])
        try:
            engines._join(ray)
            yield
        finally:
            ray.shutdown()
            head.terminate()
            head.wait(60)


def _started(log: Path) -> subprocess.Popen:
    """The head of a cluster, running once it says so; ended where it could not start."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [Path(sys.executable).parent / "ray", "start", "--head", "--block", f"--port={port}", "--num-cpus=2"]
    command += ["--num-gpus=0", "--include-dashboard=false", "--object-store-memory=80000000"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(log.parent), PATH])}
    with log.open("w") as stream:
        head = subprocess.Popen(command, stdout=stream, stderr=stream, env=environment)
    while head.poll() is None and "--address='" not in log.read_text():
        time.sleep(0.1)
    return head


@pytest.mark.filterwarnings("ignore:.* rows have errors")
def test_two_actors_of_which_some_die_give_the_rows_of_one_process(cluster, tmp_path, monkeypatch):
    """One dies once, and another takes its picture over. A picture that kills at every try is recorded."""
    begun, out, ahead = tmp_path / "begun", tmp_path / "rows.parquet", []
    begun.mkdir()
    append = ResultStore.append

    def slowly(store, rows):  # while the driver is busy, actors must not run far ahead
        time.sleep(0.2)
        ahead.append(len(list(begun.iterdir())) - len(store) // 2)
        return append(store, rows)

    methods = {"direct": Dies("s9"), "dies once": Dies("s3", tmp_path / "flag", begun)}
    model, drawn = tiny_model("qwen3_vl"), samples(24)
    with monkeypatch.context() as patch:
        patch.setattr(engines, "RAY_RETRIES", 1)
        patch.setattr(ResultStore, "append", slowly)
        table = evaluate(model, drawn, methods, out, engine="ray", workers=2, progress=False)
    assert (tmp_path / "flag").exists()  # an actor did die
    assert max(ahead) <= 6, ahead  # two questions of each picture that is in work, or done and not yet taken
    poisoned, killing = (table["sample_id"].isin(some) for some in (["s4", "s5"], ["s8", "s9"]))
    assert (table["error"].notna() == poisoned | killing).all() and len(table) == 48
    assert table["error"][poisoned].str.contains("RuntimeError: this picture is poisoned").all()
    assert set(table["error"][killing]) == {"RuntimeError: its worker died 2 times, for lack of memory perhaps"}
    plain = {"direct": METHODS["direct"], "dies once": METHODS["direct"]}
    alone = evaluate(model, [sample for sample in drawn if sample.image_id != "p4"], plain, progress=False)
    assert as_dict(table[~killing].reset_index(drop=True)) == as_dict(alone)


@pytest.mark.filterwarnings("ignore:.* rows have errors")
@pytest.mark.long  # test_store has a killed process, and the test above rows that go on
def test_a_killed_run_goes_on_where_it_was(cluster, tmp_path):
    out = tmp_path / "rows.parquet"
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(out)], env=os.environ | {"PYTHONPATH": PATH})
    journal, until = out.with_suffix(".journal.jsonl"), time.monotonic() + 300
    while not journal.exists() or journal.read_bytes().count(b"\n") < 6:
        assert driver.poll() is None and time.monotonic() < until
        time.sleep(0.02)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    with ResultStore(out) as store:
        stored = {sample_id for sample_id, _ in store.done}
        assert 5 <= len(store) < 60  # one of them may be the row of a picture that cannot be read
    for path in tmp_path.glob("s*"):  # the folder is the same, since a method is the same only with all its values
        path.unlink()
    model, drawn, run = tiny_model("qwen3_vl"), samples(60), {"progress": False}
    table = evaluate(model, drawn, {"direct": Dies(None, begun=tmp_path)}, out, **run)
    assert {path.name for path in tmp_path.glob("s*")} == {s.id for s in drawn if s.image_id != "p2"} - stored
    assert as_dict(table) == as_dict(evaluate(model, drawn, {"direct": METHODS["direct"]}, **run))


@pytest.mark.parametrize(("named", "expected"), [("", "local"), ("auto", None)])
def test_a_cluster_is_joined_only_where_it_is_named(monkeypatch, named, expected):
    """The last one started by hand, whose address Ray keeps, is not: it may be gone."""
    asked = {}
    monkeypatch.setenv("RAY_ADDRESS", named)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **given: asked.update(given))
    engines._join(ray)
    assert asked.get("address") == expected
