"""Run methods over samples: a row for each of both, resumable, one prefill a picture, on one machine or many.

The columns of a row are documented in `hide_utils.evaluation.answers.COLUMNS`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
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
from hide_utils.evaluation.ahead import Ahead
from hide_utils.evaluation.answers import COLUMNS, Answered, answer_picture
from hide_utils.evaluation.keys import contents, differing, run_settings, said_changes
from hide_utils.evaluation.provenance import provenance_entry
from hide_utils.evaluation.saving import free_sidecar, write_sidecar
from hide_utils.evaluation.shards import merge_shards, shard_path
from hide_utils.evaluation.store import ResultStore, results_path, row_key
from hide_utils.evaluation.tally import Tally
from hide_utils.files import only_writer
from hide_utils.method.hide import HiDe
from hide_utils.models import VLM
from hide_utils.samples import Sample

FIRST_FAILURES = 3  # when so many samples fail at the start of a run, it is no single sample's fault


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
            localisation too where their question is the same, as in HR-Bench's cycles. With a GPU a thread draws or
            reads the next picture while one is answered.
        methods: names from `hide_utils.baselines.METHODS`, or a mapping of own names to methods.
        out: Parquet file to keep rows in. An answer that it holds already is not made again, unless it belongs to
            another question, picture or method of that name: then it is replaced, with a warning. Rows with an error
            are tried again. None keeps nothing.
        hide: the method's settings. None takes the model's defaults.
        protocol: how letters are read, the same for every method.
        progress: show a bar with the accuracy so far, the share of time in which the model waited for pictures (see
            `hide_utils.evaluation.ahead`), and the time left.
        shard: ``(i, n)`` answers one of n shares of the pictures, the i-th counted from 0, into a file of its own
            beside ``out``. A later run without it takes in all shares and answers what is missing.
        engine: ``"local"``; ``"processes"``, one a GPU of this machine; ``"ray"``, on a cluster (extra ``[ray]``).
        workers: how many processes or actors. None takes one a GPU, or one for every four cores.

    Returns:
        One row a sample and method, in the order of ``samples`` and ``methods``, with the columns of
        `hide_utils.evaluation.answers.COLUMNS`. With ``shard`` it has the rows of that share. A reply that states no
        letter counts as wrong and has ``letter`` None. A sample that could not be answered has an ``error``, and its
        ``correct`` is missing.

    Raises:
        ValueError: a method or the engine is unknown, sample ids repeat, "oracle" is asked for without true boxes, or
            another's file lies where the sidecar of ``out`` would be written.
        SettingsError: rows in ``out`` were made with other settings. It is a ValueError.
        RuntimeError: another process is writing ``out``, or `tally.FAILURES_IN_A_ROW` samples fail one after another,
            or one with an error of CUDA. Rows so far are stored.
        Exception: what a method raises, where the first samples all fail.
    """
    hide = hide or HiDe(model, protocol=protocol)
    wanted = _checked(samples, methods, engine)
    out = None if out is None else free_sidecar(Path(out).resolve())
    if shard is not None:
        samples, out = _share(samples, *shard), shard_path(out, *shard)
    settings = run_settings(hide, protocol)
    with ExitStack() as stack:
        store, belongs = None, {}
        if out is not None:
            stack.enter_context(only_writer(out))
            store = stack.enter_context(ResultStore(out, settings))
            belongs = contents(samples, wanted)
            if shard is None:
                merge_shards(store, belongs)
        done = set() if store is None else _up_to_date(store, belongs)
        tasks = _tasks(samples, list(wanted), done)
        proven = not {name for task in tasks for _, names in task for name in names}.isdisjoint(m for _, m in done)
        ahead = stack.enter_context(Ahead(hide, [task[0][0] for task in tasks]))
        stream = _stream(hide, tasks, methods, protocol, engine, workers, ahead)
        kept = _collect(stream, Tally(store, ahead), belongs, sum(map(len, tasks)), progress, proven)
        table = pd.DataFrame(kept, columns=list(COLUMNS)) if store is None else store.load()
    if out is not None and tasks:
        entry = provenance_entry(model=model.name, samples=samples, settings=settings, columns=COLUMNS)
        write_sidecar(out.with_suffix(".json"), entry, out)
    order = pd.MultiIndex.from_product([[sample.id for sample in samples], list(wanted)], names=["sample_id", "method"])
    table = table.set_index(["sample_id", "method"]).reindex(order).reset_index()
    return table.astype({"correct": "boolean"})


def stored_answers(
    hide: HiDe,
    samples: Sequence[Sample],
    methods: Sequence[str] | Mapping[str, Method],
    config: RunConfig,
    name: str = "answers",
    **draw: Any,
) -> pd.DataFrame:
    """`evaluate` for a notebook: rows are kept under ``data/results`` by a hash of their settings.

    Rows that the package ships in ``data/answers`` for the same settings are taken from there.

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


def _up_to_date(store: ResultStore, belongs: Mapping[tuple[str, str], str]) -> set[tuple[str, str]]:
    """Keys of stored answers, less those to another content than is asked for now, which a warning counts."""
    done = store.done
    stored = [key for key in belongs if key in done]
    changed = {key: parts for key in stored if (parts := differing(store.content(key), belongs[key]))}
    if changed:
        said = said_changes(changed.values(), len(stored))
        warnings.warn(f"{said}: answered anew ({store.path.name}; the first: {next(iter(changed))[0]})", stacklevel=3)
    return done - set(changed)


def _stream(hide, tasks, methods, protocol, engine, workers, ahead) -> Iterator[Answered]:
    if engine == "local":
        known = named(methods)
        hide.extractor.expect(sample.question for task in tasks for sample, _ in task)
        for task in tasks:
            jobs = [(sample, {name: known[name] for name in names}) for sample, names in task]
            yield from answer_picture(hide, jobs, protocol, ahead.open)
    elif tasks:
        over = engines.over_processes if engine == "processes" else engines.over_ray
        yield from over(tasks, engines.Recipe.of(hide, methods, protocol), workers)


def _collect(
    stream: Iterable[Answered],
    tally: Tally,
    belongs: Mapping[tuple[str, str], str],
    n: int,
    progress: bool,
    proven: bool,
) -> list[dict[str, Any]]:
    """Store rows as they come, and return them.

    Failures are held back until one sample succeeds, so that a broken method raises and leaves no row.

    Args:
        stream: answers as they are done.
        tally: counts them, and knows where they are kept.
        belongs: column ``content`` of the rows that are kept, by their keys.
        n: samples in all, for the bar.
        progress: show the bar.
        proven: one of the methods has succeeded before.
    """
    held: list[Answered] = []
    with tqdm(total=n, desc="samples", disable=not progress) as bar:
        for answered in stream:
            proven = proven or answered.error is None
            held.append(answered)
            if proven:
                rows = [row | {"content": belongs.get(row_key(row))} for one in held for row in one.rows]
                held = []
                if tally.store is not None:
                    tally.store.append(rows)
                tally.add(rows)
                tally.stop_where_all_fails()
            elif len(held) == FIRST_FAILURES:
                break
            bar.update(len({row["sample_id"] for row in answered.rows}))
            bar.set_postfix_str(tally.so_far(), refresh=False)
    if held and held[0].error is not None:
        raise held[0].error
    tally.warn_of_errors()
    return tally.rows
