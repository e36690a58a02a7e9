"""Kill an evaluation (kill -9) at random moments, and let the next run go on where it was."""

from __future__ import annotations

import importlib.util
import os
import random
import signal
import threading
import time
from pathlib import Path

from faults import Outcome
from faults.forks import Forks
from faults.work import added, answer, compared, same, stored
from hide_utils.baselines import METHODS

ANSWER = "faults.work:answer"


def killed_runs(forks: Forks, folder: Path, checkpoint: Path, kills: int, n: int, **how) -> Outcome:
    """Kill an evaluation `kills` times. One that was killed is resumed until it is whole, then another begins."""
    given = {"checkpoint": str(checkpoint), "n": n, **how}
    whole = forks.call(ANSWER, out=None, **given)
    rng, done, survived, finished, orphans = random.Random(0), 0, 0, 0, 0
    counts: list[dict[str, int]] = []
    while done < kills:
        out, before, kept = folder / f"run-{finished}.parquet", 0, []
        while True:
            last = done >= kills
            after = None if last else rng.uniform(0, 1.1 * whole.seconds)
            ended = forks.call(ANSWER, out=str(out), kill_after=after, **given)
            if ended.state != "killed":
                break
            done += 1
            left = forks.left_behind()
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            rows, orphans = stored(out), orphans + len(left)
            found = compared(rows, whole.value, partly=True)
            found["lost"] += max(before - len(rows), 0)
            before = len(rows)
            counts.append(found)
            kept.append(not left and not any(found.values()))
        finished += 1
        equal = ended.state == "done" and same(ended.value, whole.value)
        counts.append(compared(ended.value or [], whole.value))
        survived += sum(kept) if equal else 0
        if not equal:
            break
    expected = "after each kill only whole rows, none gone; the resumed table equals the uninterrupted one"
    happened = (
        f"{finished} evaluations of {len(whole.value)} rows killed {done} times and resumed; "
        f"{'equal' if survived == done else ended.error or 'not equal'}"
        + (f"; {orphans} worker processes went on by themselves" if orphans else "")
    )
    return Outcome(done, survived, expected=expected, happened=happened, **added(*counts))


def killed_workers(forks: Forks, folder: Path, checkpoint: Path, times: int, n: int) -> Outcome:
    """Kill one of the two worker processes of an evaluation. Another takes its place, and the table is whole."""
    whole = forks.call(ANSWER, out=None, checkpoint=str(checkpoint), n=n).value
    rng, ok, counts, said = random.Random(0), 0, [], []
    for number in range(times):
        out = folder / f"{number}.parquet"
        given = {"checkpoint": str(checkpoint), "out": str(out), "n": n, "seed": rng.randrange(10**6)}
        ended = forks.call("faults.kills:with_a_worker_killed", **given)
        found = ended.value or {"rows": [], "killed": 0}
        counts.append(compared(found["rows"], whole))
        ok += same(found["rows"], whole) and found["killed"] == 1
        said += [ended.error] if ended.error else []
    expected = "its picture is answered by another worker, the table is whole"
    happened = "; ".join(said)[:300] or f"{times} tables of {len(whole)} rows, equal"
    return Outcome(times, ok, expected=expected, happened=happened, **added(*counts))


def with_a_worker_killed(checkpoint: str, out: str, n: int, seed: int) -> dict:
    """Evaluate in two processes, one of which is killed when the first rows are stored."""
    killed = []

    def kill() -> None:
        while not (journal := Path(out).with_suffix(".journal.jsonl")).exists() or not journal.stat().st_size:
            time.sleep(0.01)
        workers = [pid for pid in children() if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        killed.append(random.Random(seed).choice(workers))
        os.kill(killed[0], signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    return {"rows": answer(checkpoint, out, n, engine="processes", workers=2), "killed": len(killed)}


def children() -> list[int]:
    """Processes that this one has started."""
    me = os.getpid()
    return [int(child) for child in Path(f"/proc/{me}/task/{me}/children").read_text().split()]


def dying(forks: Forks, folder: Path, checkpoint: Path, engine: str, heavy: bool) -> Outcome:
    """Let the process that answers be killed at a sample: once, and where others can take its place at every try.

    Locally that is the program itself. A rerun without the fault completes the table.
    """
    if engine == "ray" and not importlib.util.find_spec("ray"):
        return Outcome(1, 1, 0, "", "not tried: Ray is not installed")
    call, switch = "faults.kills:with_a_deadly_sample", folder / "switch"
    given = {"checkpoint": str(checkpoint), "n": 8, "switch": str(switch)}
    whole = forks.call(call, out=None, **given).value
    deaths = ["once"] if engine == "local" else ["once", "always"] if heavy else ["always"]
    ok, bad, said = 0, [], []
    for death in deaths:
        out = folder / f"{death}.parquet"
        switch.write_text(death)
        first = forks.call(call, out=str(out), engine=engine, **given)
        kept = stored(out)
        if engine == "local":
            fine = first.state == "died" and 0 < len(kept) < len(whole)
        else:
            errors = {row["sample_id"] for row in kept if row["error"]}
            fine = first.state == "done" and errors == ({"s2", "s3"} if death == "always" else set())
        fine &= switch.exists() == (death == "always")  # the fault was done
        switch.unlink(missing_ok=True)
        again = forks.call(call, out=str(out), **given)
        bad += [compared(kept, whole, partly=engine == "local"), compared(again.value or [], whole)]
        bad.append(compared(stored(out), whole))
        ok += fine and same(again.value, whole)
        said += filter(None, [*first.warned, first.error, again.error])
    expected = "killed once: the table is whole; at every try: its rows say so; the rerun completes it"
    return Outcome(len(deaths), ok, expected=expected, happened="; ".join(said)[:300] or "so it was", **added(*bad))


class Deadly:
    """Answers directly, but kills its process at the sample s3 while the file `switch` says "once" or "always"."""

    def __init__(self, switch: Path) -> None:
        self.switch = switch

    def __call__(self, hide, session, sample):
        if sample.id == "s3" and self.switch.exists():
            if self.switch.read_text() == "once":
                self.switch.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return METHODS["direct"](hide, session, sample)


def with_a_deadly_sample(checkpoint: str, out: str | None, n: int, switch: str, engine: str = "local") -> list[dict]:
    """Evaluate with a method that kills its process at one sample."""
    from hide_utils.evaluation import engines

    engines.RAY_RETRIES = int(engine == "ray")  # each try loads a model, and Ray loses more than one without any
    os.environ["RAY_worker_niceness"] = "0"  # its own is 15, which starves actors beside other processes
    methods = {"direct": METHODS["direct"], "deadly": Deadly(Path(switch))}
    how = {} if engine == "local" else {"engine": engine, "workers": 1 if engine == "ray" else 2}
    try:
        return answer(checkpoint, out, n, methods, **how)
    finally:
        if engine == "ray":
            import ray

            ray.shutdown()
