"""Notebooks executed by papermill: one or several at a time, each with how it went."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path

import psutil

from hide_utils import paths
from hide_utils.cli.records import Run
from hide_utils.files import replace_files
from hide_utils.notebooks import strip, without_widgets

SOURCE_LINES = 8  # of a failing cell, to recognise it by
# Run after all others, one at a time: the first measures time, the second reads what every other one wrote.
ALONE = ("06_memory_and_latency", "09_report")


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
                run.status, run.error = "interrupted", ""
            yield from begun
            return
        finally:
            _stop(pool, futures)


def execute(run: Run, *, inplace: bool) -> None:
    """Execute one notebook in its own folder and fill in state, seconds and, where it failed, the error.

    The executed notebook, the figures and, but in place, the rows that it used take the place of earlier ones when all
    of it ran through, and together. In place the notebook is the committed one. Of a failed run the notebook alone
    stays, beside, as `<name>.failed.ipynb`.
    """
    import nbformat  # here and below: slow to load, and what is refused executes nothing
    from papermill.exceptions import PapermillExecutionError

    failed, start = run.output.with_suffix(".failed.ipynb"), time.perf_counter()
    done = run.notebook if inplace else run.output
    run.output, run.status, run.started = failed, "running", datetime.now(UTC)
    try:
        failed.parent.mkdir(parents=True, exist_ok=True)
        failed.unlink(missing_ok=True)
        run.keep()
        with tempfile.TemporaryDirectory() as folder:
            staging, rows, whole = (Path(folder) / name for name in ("figures", "rows", "whole.ipynb"))
            staging.mkdir()
            _papermill(run, failed, {"HIDE_STAGING": staging} | ({} if inplace else {paths.ROWS: rows}))
            book = nbformat.read(failed, as_version=4)
            nbformat.write(strip(book) if inplace else without_widgets(book), whole)
            kept = {run.rows / path.name: path for path in rows.glob(f"{run.notebook.stem}/*.parquet")}
            _publish(run, staging, {done: whole} | kept)
            for old in set(run.rows.glob("*.parquet")) - set(kept) if not inplace else ():
                old.unlink()
        failed.unlink()
        run.output, run.status = done, "ok"
    except PapermillExecutionError as error:
        run.status = "failed"
        lines = error.source.strip().splitlines()
        head = [f"    {line}" for line in lines[:SOURCE_LINES]] + ["    ..."] * (len(lines) > SOURCE_LINES)
        where = f"In [{error.exec_count}] of {os.path.relpath(failed)}:"
        run.error = "\n".join([where, *head, f"  {error.ename}: {error.evalue}".rstrip(": ")])
    except Exception as error:  # a dead kernel, an unreadable notebook, a full disk: the other notebooks still run
        run.status = "failed"
        run.error = f"{type(error).__name__}: {error}"
    finally:
        run.seconds = time.perf_counter() - start


def _papermill(run: Run, output: Path, folders: Mapping[str, Path]) -> None:
    """Execute a notebook in its own folder, in a kernel that writes to folders of its own, by variable of environment.

    Papermill's own `cwd` would move this program, and with several notebooks at a time leave it where none was called.
    """
    import papermill
    from traitlets.config import Config

    places, folder = {name: str(place) for name, place in folders.items()}, str(run.notebook.parent)
    first = f"import os as _os; _os.environ.update({places!r}); _os.chdir({folder!r}); del _os"
    papermill.execute_notebook(
        run.notebook,
        output,
        run.parameters,
        kernel_name="python3",
        progress_bar={"desc": run.notebook.stem, "disable": None},  # None: shown on a terminal only
        # Without it every kernel warns that its local connection is not encrypted.
        config=Config({"KernelManager": {"transport_encryption": "auto"}}),
        # jupyter_client interrupts a kernel before it asks it to end, which some log as an error.
        extra_arguments=["--log-level=CRITICAL", f"--IPKernelApp.exec_lines={first}"],
    )


def _publish(run: Run, staging: Path, sources: dict[Path, Path]) -> None:
    """Put what a notebook wrote in its place, with the files in `sources` (place -> file): all of it or none.

    A sidecar stays as it is where the new one says the same. Tables of the report that it no longer has are deleted.
    """
    from hide_utils.evaluation.saving import same_sidecar

    for source in sorted(path for path in staging.rglob("*") if path.is_file()):
        part = source.relative_to(staging)
        readme = part == Path("README.md") and run.figures == paths.FIGURES
        target = paths.ROOT / part if readme else run.figures / part
        if not same_sidecar(source, target):
            sources[target] = source
    replace_files(sources)
    for old in (run.figures / "tables").glob("*.*") if (staging / "tables").is_dir() else ():
        if old.suffix in (".csv", ".tex") and not (staging / "tables" / old.name).exists():
            old.unlink()


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
def kernel_environment(figures: Path, jobs: int) -> Iterator[None]:
    """What kernels inherit: no preset over the injected values, the folder for figures, this Python, its cores.

    A backend of matplotlib that the shell names, as clusters do, would leave notebooks without pictures.
    """
    before = dict(os.environ)
    if jobs > 1:  # more threads than cores make small models many times slower
        os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // jobs, 1)))
    for name in ("HIDE_PRESET", "HIDE_STAGING", "MPLBACKEND", paths.SWEEP, paths.ROWS):
        os.environ.pop(name, None)
    os.environ["HIDE_FIGURES"] = str(figures)
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
