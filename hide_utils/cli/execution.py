"""Notebooks executed by papermill: one or several at a time, each with how it went."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import papermill
import psutil
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from hide_utils.config import RunConfig
from hide_utils.evaluation.notebooks import strip, without_widgets
from hide_utils.files import replace_file

SOURCE_LINES = 8  # of a failing cell, to recognise it by
# Run after all others, one at a time: the first measures time, the second reads what every other one wrote.
ALONE = ("06_memory_and_latency", "09_report")
# Without it every kernel warns that its local connection is not encrypted.
KERNEL = Config({"KernelManager": {"transport_encryption": "auto"}})


@dataclass
class Run:
    """One notebook to be run: where it lies, what is injected, where the executed one goes, and how it went."""

    notebook: Path
    parameters: dict[str, Any]
    output: Path
    notes: Sequence[str] = ()  # what the console says of its parameters
    config: RunConfig | None = None  # what the notebook makes of them; None for one that hide_utils does not know
    state: str = "not run"
    seconds: float = 0.0
    error: str = ""


def executed(planned: Sequence[Run], jobs: int, *, inplace: bool) -> Iterator[Run]:
    """The runs as they end, `jobs` at a time, those of `ALONE` last.

    An interrupt ends what runs and begins no more.
    """

    def begin(run: Run) -> None:
        print(f"{run.notebook.stem} begins", *run.notes, sep="\n    ", flush=True)
        execute(run, inplace=inplace)

    together = [run for run in planned if run.notebook.stem not in ALONE]
    apart = [run for run in planned if run.notebook.stem in ALONE]
    for group in [together, *([run] for run in apart)]:
        pool = ThreadPoolExecutor(jobs)
        futures = {pool.submit(begin, run): run for run in group}
        try:
            for future in as_completed(futures):
                yield futures[future]
        except KeyboardInterrupt:
            begun = [run for future, run in futures.items() if future.running()]
            _stop(pool, futures)
            for run in begun:
                run.state, run.error = "interrupted", ""
            yield from begun
            return
        finally:
            _stop(pool, futures)


def execute(run: Run, *, inplace: bool) -> None:
    """Execute one notebook in its own folder and fill in state, seconds and, where it failed, the error.

    In place, a notebook that ran through replaces the committed one. One that failed stays at `run.output`.
    """
    run.output.parent.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    try:
        papermill.execute_notebook(
            run.notebook,
            run.output,
            run.parameters,
            kernel_name="python3",
            cwd=run.notebook.parent,
            progress_bar={"desc": run.notebook.stem, "disable": None},  # None: shown on a terminal only
            config=KERNEL,
            # jupyter_client interrupts a kernel before it asks it to end, which some log as an error.
            extra_arguments=["--log-level=CRITICAL"],
        )
        book = nbformat.read(run.output, as_version=4)
        book, target = (strip(book), run.notebook) if inplace else (without_widgets(book), run.output)
        replace_file(target, lambda temporary: nbformat.write(book, temporary))
        if inplace:
            run.output.unlink()
            run.output = run.notebook
        run.state = "done"
    except PapermillExecutionError as error:
        run.state = "failed"
        lines = error.source.strip().splitlines()
        head = [f"    {line}" for line in lines[:SOURCE_LINES]] + ["    ..."] * (len(lines) > SOURCE_LINES)
        where = f"In [{error.exec_count}] of {os.path.relpath(run.output)}:"
        run.error = "\n".join([where, *head, f"  {error.ename}: {error.evalue}".rstrip(": ")])
    except Exception as error:  # a dead kernel, an unreadable notebook, a full disk: the other notebooks still run
        run.state = "failed"
        run.error = f"{type(error).__name__}: {error}"
    finally:
        run.seconds = time.perf_counter() - start


def _stop(pool: ThreadPoolExecutor, futures: Iterable[Future]) -> None:
    """Begin no more notebooks and end the kernels of those that run: their threads wait for nothing else."""
    pool.shutdown(wait=False, cancel_futures=True)
    while any(future.running() for future in futures):
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.Error):
                if any("ipykernel" in word for word in child.cmdline()):
                    child.kill()
        time.sleep(0.1)


@contextlib.contextmanager
def kernel_environment(figures: Path | None, jobs: int) -> Iterator[None]:
    """What kernels inherit: no preset over the injected values, the folder for figures, this Python, its cores.

    A backend of matplotlib that the shell names, as clusters do, would leave notebooks without pictures.
    """
    before = dict(os.environ)
    if jobs > 1:  # more threads than cores make small models many times slower
        os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // jobs, 1)))
    for name in ("HIDE_PRESET", "HIDE_FIGURES", "MPLBACKEND"):
        os.environ.pop(name, None)
    if figures:
        os.environ["HIDE_FIGURES"] = str(figures)
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
