"""Run methods over samples: a row for each of both, resumable, one prefill a picture, on one machine or many.

The columns of a row are documented in `hide_utils.evaluation.answers.COLUMNS`.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm.auto import tqdm

from hide_utils import paths
from hide_utils.baselines import METHODS, Method, named
from hide_utils.benchmarks import revision_of
from hide_utils.config import RunConfig, nearest
from hide_utils.evaluation import engines
from hide_utils.evaluation.answers import COLUMNS, SCHEMA, Answered, answer_picture
from hide_utils.evaluation.provenance import hash_folder, provenance_entry
from hide_utils.evaluation.saving import free_sidecar, write_sidecar
from hide_utils.evaluation.store import ResultStore, merge_shards, results_path, shard_path
from hide_utils.files import only_writer
from hide_utils.method.hide import HiDe
from hide_utils.models import VLM
from hide_utils.samples import Sample

FIRST_FAILURES = 3  # when so many samples fail at the start of a run, it is no single sample's fault
FAILURES_IN_A_ROW = 5  # nor is it later on
POISONED = "CUDA error"  # in the message of an error after which a process can use its GPU no more


def evaluate(
    model: VLM,
    samples: Sequence[Sample],
    methods: Sequence[str] | Mapping[str, Method] = ("direct", "hide"),
    out: str | Path | None = None,
    *,
    hide: HiDe | None = None,
    protocol: str = "strict",
    progress: bool = True,
    shard: tuple[int, int] | None = None,
    engine: str = "local",
    workers: int | None = None,
) -> pd.DataFrame:
    """Answer every sample by every method.

    Args:
        model: from `load_model`.
        samples: with unique ids. Those of one picture share its prefill where they follow one another. They share the
            localisation too where their question is the same, as in HR-Bench's cycles.
        methods: names from `hide_utils.baselines.METHODS`, or a mapping of own names to methods.
        out: Parquet file to keep rows in. What it holds already is not run again, except for rows with an error, which
            are tried again. None keeps nothing.
        hide: the method's settings. None takes the model's defaults.
        protocol: how letters are read, the same for every method.
        progress: show a bar with the accuracy so far and the time left.
        shard: ``(i, n)`` answers one of n shares of the pictures, the i-th counted from 0, into a file of its own
            beside ``out``. A later run without it takes in all shares and answers what is missing.
        engine: ``"local"``; ``"processes"``, one a GPU of this machine; ``"ray"``, on a cluster (extra ``[ray]``).
        workers: how many processes or actors. None takes one a GPU, or one for every four cores.

    Returns:
        One row a sample and method, in the order of ``samples`` and ``methods``, with the columns of
        `hide_utils.evaluation.answers.COLUMNS`. With ``shard`` it has the rows of that share. A reply that states no
        letter counts as wrong and has ``letter`` None. A sample that could not be answered counts as wrong and has an
        ``error``.

    Raises:
        ValueError: a method or the engine is unknown, sample ids repeat, "oracle" is asked for without true boxes, or
            another's file lies where the sidecar of ``out`` would be written.
        SettingsError: rows in ``out`` were made with other settings. It is a ValueError.
        RuntimeError: another process is writing ``out``, or `FAILURES_IN_A_ROW` samples fail one after another, or one
            with an error of CUDA. Rows so far are stored.
        Exception: what a method raises, where the first samples all fail.
    """
    hide = hide or HiDe(model, protocol=protocol)
    wanted = _checked(samples, methods, engine)
    out = None if out is None else free_sidecar(Path(out).resolve())
    if shard is not None:
        samples, out = _share(samples, *shard), shard_path(out, *shard)
    ids = [sample.id for sample in samples]
    settings = run_settings(hide, protocol)
    with ExitStack() as stack:
        store = None
        if out is not None:
            stack.enter_context(only_writer(out))
            store = stack.enter_context(closing(ResultStore(out, settings)))
            if shard is None:
                merge_shards(store)
        done = set() if store is None else store.done
        tasks = _tasks(samples, list(wanted), done)
        missing = {name for task in tasks for _, names in task for name in names}
        proven = any(method in missing for _, method in done)
        stream = _stream(hide, tasks, methods, protocol, engine, workers)
        tried = set() if store is None else {sample for sample, _ in store.failed}
        kept = _collect(stream, store, sum(map(len, tasks)), progress, proven, tried)
        table = pd.DataFrame(kept, columns=list(COLUMNS)) if store is None else store.load()
    if out is not None and tasks:
        entry = provenance_entry(model=model.name, samples=samples, settings=settings, columns=COLUMNS)
        write_sidecar(out.with_suffix(".json"), entry, out)
    order = pd.MultiIndex.from_product([ids, list(wanted)], names=["sample_id", "method"])
    return table.set_index(["sample_id", "method"]).reindex(order).reset_index()


def stored_answers(
    hide: HiDe,
    samples: Sequence[Sample],
    methods: Sequence[str] | Mapping[str, Method],
    config: RunConfig,
    name: str = "answers",
    **draw: Any,
) -> pd.DataFrame:
    """`evaluate` for a notebook: rows are kept under ``data/results`` by a hash of all they depend on.

    The methods of a mapping are known by their names alone. A name has to say all that the answer depends on, so a
    method that is changed needs another name, or another value in ``draw``.

    Args:
        hide: the method's settings, with its model.
        samples: as for `evaluate`.
        methods: as for `evaluate`.
        config: the notebook's parameters.
        name: of the file, where a notebook keeps several tables.
        **draw: what else distinguishes these samples from others of the same benchmark, split and seed, as a
            resolution does.

    Raises:
        ValueError, RuntimeError: as for `evaluate`.
    """
    commit = revision_of(config.benchmark)
    settings = {
        **run_settings(hide, config.protocol),
        **draw,
        "benchmark": paths.portable(config.benchmark),
        "split": config.split,
        "seed": config.seed,
        **({"benchmark_revision": commit} if commit else {}),
    }
    out = results_path(config.notebook, name, settings)
    return evaluate(
        hide.model, samples, methods, out,
        hide=hide, protocol=config.protocol, engine=config.engine, workers=config.workers,
    )  # fmt: skip


def run_settings(hide: HiDe, protocol: str) -> dict[str, Any]:
    """What an answer depends on besides sample and method. Rows that were made with other values are never mixed in."""
    model, settings = hide.model, hide.settings
    return {
        **({"compact_pixels": hide.compact_pixels} if hide.compact_pixels else {}),
        "schema": SCHEMA,
        "model": paths.portable(model.name),
        "weights": hash_folder(model.folder) if model.folder else None,
        "layer": settings.layer,
        "sigma": settings.sigma,
        "alpha": settings.alpha,
        "protocol": protocol,
        "min_pixels": model.min_pixels,
        "max_pixels": model.max_pixels,
        "dtype": str(model.dtype),
    }


def _checked(
    samples: Sequence[Sample], methods: Sequence[str] | Mapping[str, Method], engine: str
) -> dict[str, Method]:
    """Methods by name. Errors that every sample would meet are raised before any is answered.

    Raises:
        ValueError: as `evaluate` for methods, engine, sample ids and true boxes.
    """
    if engine not in engines.ENGINES:
        raise ValueError(f"unknown engine {engine!r}; {nearest(engine, engines.ENGINES)}")
    if len({sample.id for sample in samples}) < len(samples):
        raise ValueError("sample ids repeat: results are keyed by them, so make them unique")
    wanted = named(methods)
    if METHODS["oracle"] in wanted.values():
        for sample in samples:
            if not sample.boxes_xyxy:
                raise ValueError(
                    f"sample {sample.id} has no ground-truth boxes: leave out the method 'oracle' for this benchmark"
                )
    return wanted


def _share(samples: Sequence[Sample], i: int, n: int) -> list[Sample]:
    """The i-th of n shares, made of whole pictures so that no prefill is run on two machines.

    Raises:
        ValueError: i is not among 0 to n - 1.
    """
    if not 0 <= i < n:
        raise ValueError(f"shard=({i}, {n}): want 0 <= i < n, the shares are counted from 0")
    number = {image: place for place, image in enumerate(dict.fromkeys(sample.image_id for sample in samples))}
    return [sample for sample in samples if number[sample.image_id] % n == i]


def _tasks(samples: Sequence[Sample], methods: Sequence[str], done: set[tuple[str, str]]) -> list[engines.Task]:
    """The samples that lack answers, each with the methods that are missing, grouped by picture."""
    missing = [(s, tuple(m for m in methods if (s.id, m) not in done)) for s in samples]
    missing = [(sample, names) for sample, names in missing if names]
    return [list(group) for _, group in groupby(missing, key=lambda job: job[0].image_id)]


def _stream(hide, tasks, methods, protocol, engine, workers) -> Iterator[Answered]:
    if engine == "local":
        known = named(methods)
        hide.extractor.expect(sample.question for task in tasks for sample, _ in task)
        for task in tasks:
            yield from answer_picture(hide, [(s, {m: known[m] for m in names}) for s, names in task], protocol)
    elif tasks:
        over = engines.over_processes if engine == "processes" else engines.over_ray
        yield from over(tasks, engines.Recipe.of(hide, methods, protocol), workers)


def _collect(
    stream: Iterable[Answered], store: ResultStore | None, n: int, progress: bool, proven: bool, tried: set[str]
) -> list[dict[str, Any]]:
    """Store rows as they come, and return them.

    Failures are held back until one sample succeeds, so that a broken method raises and leaves no row.

    Args:
        stream: answers as they are done.
        store: where rows are kept. None keeps none.
        n: samples in all, for the bar.
        progress: show the bar.
        proven: one of the methods has succeeded before.
        tried: samples that failed in an earlier run. They do not count as failures in a row, since they come together.
    """
    kept: list[dict[str, Any]] = []
    held: list[Answered] = []
    tally: dict[str, list[int]] = {}
    in_a_row = 0
    with tqdm(total=n, desc="samples", disable=not progress) as bar:
        for answered in stream:
            proven = proven or answered.error is None
            held.append(answered)
            if proven:
                rows = [row for one in held for row in one.rows]
                held = []
                if store is not None:
                    store.append(rows)
                kept += rows
                _count(tally, rows)
                in_a_row = 0 if any(row["error"] is None for row in answered.rows) else in_a_row + 1
                in_a_row -= bool(in_a_row) and answered.rows[0]["sample_id"] in tried
                if store is not None:
                    _stop_where_all_fails(answered, in_a_row, store.path)
            elif len(held) == FIRST_FAILURES:
                break
            bar.update()
            bar.set_postfix_str(_so_far(tally), refresh=False)
    if held and held[0].error is not None:
        raise held[0].error
    if bad := [row for row in kept if row["error"]]:
        kinds = Counter(row["error"].split(":")[0] for row in bad)
        said = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common())
        warnings.warn(
            f"{len(bad)} of {len(kept)} rows have errors ({said}) and count as wrong; the same run again tries them "
            f"again; the first: {bad[0]['sample_id']}: {bad[0]['error']}",
            stacklevel=3,
        )
    return kept


def _stop_where_all_fails(answered: Answered, in_a_row: int, out: Path) -> None:
    """End a run that goes on failing, before it fills the table with errors.

    Raises:
        RuntimeError: too many samples failed in a row, or an error of CUDA says that all later ones will.
    """
    errors = [row["error"] for row in answered.rows if row["error"]]
    if in_a_row >= FAILURES_IN_A_ROW or any(POISONED in error for error in errors):
        raise RuntimeError(
            f"{answered.rows[0]['sample_id']} failed ({errors[0]}), the last of {max(in_a_row, 1)} in a row. Rows so "
            f"far are in {out}: mend the cause and run again in a new process, which tries the failed ones again"
        )


def _count(tally: dict[str, list[int]], rows: Iterable[Mapping[str, Any]]) -> None:
    """Add rows to each method's numbers of right answers, rows and errors."""
    for row in rows:
        of_method = tally.setdefault(row["method"], [0, 0, 0])
        for i, add in enumerate((row["correct"], 1, row["error"] is not None)):
            of_method[i] += add


def _so_far(tally: Mapping[str, Sequence[int]]) -> str:
    """Accuracy so far of the first methods, and the number of errors."""
    said = [f"{method} {right / n:.0%}" for method, (right, n, _) in list(tally.items())[:4]]
    bad = sum(errors for _, _, errors in tally.values())
    return ", ".join(said + ([f"{bad} errors"] if bad else []))
