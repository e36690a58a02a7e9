"""A process that has everything loaded and forks a child for every call, so that killing a child costs little.

`Forks` is the side of the caller. The module itself, run as a script, is the server that forks.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
import uuid
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ended:
    """How a call ended.

    Attributes:
        state: "done", "raised" (an exception), "killed" (as asked for) or "died" (by itself).
        seconds: time that the call took.
        value: what the function returned; None unless the state is "done".
        error: type and text of the exception; empty without one.
        warned: texts of the warnings.
    """

    state: str
    seconds: float
    value: Any = None
    error: str = ""
    warned: list[str] = field(default_factory=list)


class Forks:
    """Calls of "module:function" with JSON arguments, each in a child of one process that has loaded the model."""

    def __init__(self, checkpoint: Path) -> None:
        environment = os.environ | {
            "OMP_NUM_THREADS": "1",  # only the thread that forks lives on in the child
            "TOKENIZERS_PARALLELISM": "false",
            "PYTHONWARNINGS": "ignore:resource_tracker",  # says that killed programs left semaphores, and removes them
            "HF_HUB_OFFLINE": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
        }
        command = [sys.executable, "-m", "faults.forks", str(checkpoint)]
        self.mark = f"FAULTS_MARK={uuid.uuid4()}"  # in the environment of all that the server starts
        environment |= dict([self.mark.split("=")])
        self.server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
        )

    def __enter__(self) -> Forks:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stdin.close()
        self.server.wait(timeout=60)

    def left_behind(self, patience: float = 120) -> list[int]:
        """Ids of processes that stem from earlier calls and have not ended by themselves after `patience` seconds."""
        until = time.monotonic() + patience
        while (found := self._offspring()) and time.monotonic() < until:
            time.sleep(0.1)
        return found

    def _offspring(self) -> list[int]:
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if self.mark.encode() in path.read_bytes() and int(path.parent.name) != self.server.pid:
                    found.append(int(path.parent.name))
        return found

    def call(self, do: str, *, kill_after: float | None = None, limits: dict[str, int] | None = None, **given) -> Ended:
        """One call of "module:function".

        Args:
            do: the function.
            kill_after: seconds until SIGKILL; None: never.
            limits: name of a limit in `resource` -> bytes; those of RLIMIT_AS are added to what the process has.
            given: arguments of the function.
        """
        return self.together([{"do": do, "with": given, "kill_after": kill_after, "limits": limits or {}}])[0]

    def together(self, calls: list[dict[str, Any]]) -> list[Ended]:
        """Several calls at once, each a mapping of `call`'s arguments, those of the function under "with".

        Raises:
            RuntimeError: the process that forks is gone.
        """
        self.server.stdin.write(json.dumps(calls, default=str) + "\n")
        self.server.stdin.flush()
        line = self.server.stdout.readline()
        if not line:
            raise RuntimeError("the process that forks is gone; its error stands above")
        return [Ended(**ended) for ended in json.loads(line)]


def _child(call: dict[str, Any], report: int) -> None:
    """Do the call in this process, write how it ended to the file descriptor `report`, and exit."""
    ended: dict[str, Any] = {"state": "done"}
    try:
        for name, size in (call.get("limits") or {}).items():
            if name == "RLIMIT_AS":
                size += int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(getattr(resource, name), (size, resource.RLIM_INFINITY))
        module, function = call["do"].split(":")
        with warnings.catch_warnings(record=True) as warned, contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("always")
            ended["value"] = getattr(importlib.import_module(module), function)(**call.get("with", {}))
        ended["warned"] = [str(one.message) for one in warned]
    except BaseException as error:
        ended |= {"state": "raised", "error": f"{type(error).__name__}: {error}"}
        if os.environ.get("FAULTS_TRACE"):
            traceback.print_exc()
    finally:
        for part in [json.dumps(ended, default=str).encode()]:
            while part:
                part = part[os.write(report, part) :]
        os._exit(0)


def _serve(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Fork a child for every call, kill those that are to be killed, and collect what the others wrote."""
    running = {}
    for number, call in enumerate(calls):
        reader, writer = os.pipe()
        started, pid = time.monotonic(), os.fork()
        if pid == 0:
            os.close(reader)
            _child(call, writer)
        os.close(writer)
        os.set_blocking(reader, False)
        running[number] = (pid, reader, started, call.get("kill_after"))
    written, ended = dict.fromkeys(running, b""), {}
    while running:
        for number, (pid, reader, started, kill_after) in list(running.items()):
            with contextlib.suppress(BlockingIOError):
                while part := os.read(reader, 65536):
                    written[number] += part
            gone, _ = os.waitpid(pid, os.WNOHANG)
            seconds = time.monotonic() - started
            if gone:
                with contextlib.suppress(BlockingIOError):
                    while part := os.read(reader, 65536):
                        written[number] += part
                os.close(reader)
                del running[number]
                killed = kill_after is not None and not written[number]
                how = json.loads(written[number] or json.dumps({"state": "killed" if killed else "died"}))
                ended[number] = how | {"seconds": seconds}
            elif kill_after is not None and seconds >= kill_after:
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)
    return [ended[number] for number in range(len(calls))]


if __name__ == "__main__":
    importlib.import_module("faults.work").answer(sys.argv[1], None, 1)  # so that forks find everything loaded
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        print(json.dumps(_serve(json.loads(line))), file=answers, flush=True)
