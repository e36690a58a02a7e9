"""Run methods over samples: a row for each of both, resumable, one prefill a picture, on one machine or many.

The columns of a row are documented in `hide_utils.evaluation.answers.COLUMNS`.
"""

from __future__ import annotations

import warnings
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm.auto import tqdm

from hide_utils.baselines import METHODS, Method, named
from hide_utils.config import nearest
from hide_utils.evaluation import engines
from hide_utils.evaluation.ahead import Ahead
from hide_utils.evaluation.answers import COLUMNS, Answered, answer_picture
from hide_utils.evaluation.keeping import Keeper
from hide_utils.evaluation.keys import SCORED, contents, differing, run_settings, said_changes
from hide_utils.evaluation.provenance import provenance_entry
from hide_utils.evaluation.saving import free_sidecar, write_sidecar
from hide_utils.evaluation.scored import Scorer, score_anew, with_scorer
from hide_utils.evaluation.shards import merge_shards, shard_path, share
from hide_utils.evaluation.store import ResultStore, row_key
from hide_utils.evaluation.tally import Tally
from hide_utils.evaluation.variants import Wanted, with_objects
from hide_utils.files import only_writer
from hide_utils.method.hide import HiDe
from hide_utils.models import VLM
from hide_utils.samples import Sample
from hide_utils.scoring import check_answers

FIRST_FAILURES = 3  # when so many samples fail at the start of a run, it is no single sample's fault


def evaluate(
    model: VLM,
    samples: Sequence[Sample],
    methods: Wanted = ("direct", "hide"),
    out: str | Path | None = None,
    *,
    hide: HiDe | None = None,
    protocol: str = "strict",
    scorer: Scorer | None = None,
    progress: bool = True,
    shard: tuple[int, int] | None = None,
    engine: str = "local",
    workers: int | None = None,
    save_maps: str | Path | None = None,
    save_heads: bool = False,
    save_pictures: Iterable[str] = (),
) -> pd.DataFrame:
    """Answer every sample by every method.

    Args:
        model: from `load_model`.
        samples: with unique ids. Those of one picture share its prefill where they follow one another. They share the
            localisation too where their question is the same, as in HR-Bench's cycles. With a GPU a thread draws or
            reads the next picture while one is answered.
        methods: names from `hide_utils.baselines.METHODS` and `HiDe` objects of this model, whose rows are called by
            what is not the model's default, "HiDe(layer=8)". Or a mapping of own names to names, objects and methods.
        out: Parquet file to keep rows in. An answer that it holds already is not made again, unless it belongs to
            another question, picture or method of that name: then it is replaced, with a warning. Rows with an error
            are tried again. None keeps nothing.
        hide: the method's settings. None takes the model's defaults.
        protocol: how letters are read, the same for every method.
        scorer: how replies to questions without options are scored, in place of their own scorers: a name in
            `hide_utils.scoring.SCORERS`, or a function ``(reply, sample) -> bool``. Stored replies of another scorer
            are scored anew, with a warning, and the model is not asked again.
        progress: show a bar with the accuracy so far, the share of time in which the model waited for pictures (see
            `hide_utils.evaluation.ahead`), and the time left.
        shard: ``(i, n)`` answers one of n shares of the pictures, the i-th counted from 0, into a file of its own
            beside ``out``. A later run without it takes in all shares and answers what is missing.
        engine: ``"local"``; ``"processes"``, one a GPU of this machine; ``"ray"``, on a cluster (extra ``[ray]``).
        workers: how many processes or actors. None takes one a GPU, or one for every four cores.
        save_maps: folder for attention rows, noise prior and purified maps of HiDe's search for each question, one
            ``.npz`` a sample at `hide_utils.evaluation.maps_file`, with the names of `SearchAttention.arrays`. What is
            there for these settings, picture and question is not made again. A search is run where no method ran it.
        save_heads: keep the rows of each head in these files too; that takes a search of its own.
        save_pictures: ids of samples of which the compact images and a figure of all stages are kept there as PNG.

    Returns:
        One row a sample and method, in the order of ``samples`` and ``methods``, with the columns of
        `hide_utils.evaluation.answers.COLUMNS`. With ``shard`` it has the rows of that share. A reply that states no
        letter counts as wrong and has ``letter`` None. A sample that could not be answered has an ``error``, and its
        ``correct`` is missing.

    Raises:
        ValueError: a method, the engine or a scorer is unknown, sample ids or methods repeat, an object does not go
            with the run, "oracle" is asked for without true boxes, letters are asked for where no question has any, or
            a scorer where all have, an accepted answer can never be given, another's file lies where the sidecar of
            ``out`` would be written, or something is to be kept without `save_maps` or of no sample.
        SettingsError: rows in ``out`` were made with other settings. It is a ValueError.
        RuntimeError: another process is writing ``out``, or `tally.FAILURES_IN_A_ROW` samples fail one after another,
            or one with an error of CUDA. Rows so far are stored.
        Exception: what a method raises, where the first samples all fail.
    """
    methods = with_objects(methods, hide := hide or HiDe(model, protocol=protocol), protocol)
    samples = samples if scorer is None else with_scorer(samples, scorer)
    settings, wanted = run_settings(hide, protocol), _checked(samples, methods, engine, protocol)
    keeper = Keeper.of(save_maps, settings, save_heads, save_pictures, [sample.id for sample in samples])
    out = None if out is None else free_sidecar(Path(out).resolve())
    if shard is not None:
        samples, out = share(samples, *shard), shard_path(out, *shard)
    keeper = keeper and keeper.lacking(samples)
    with ExitStack() as stack:
        belongs = {} if out is None else contents(samples, wanted, model)
        store = _opened(stack, out, settings, belongs if shard is None else None)
        done = set() if store is None else _up_to_date(store, belongs, samples)
        tasks = _tasks(samples, list(wanted), done, keeper.wanted if keeper else ())
        proven = not {name for task in tasks for _, names in task for name in names}.isdisjoint(m for _, m in done)
        ahead = stack.enter_context(Ahead(hide, [task[0][0] for task in tasks]))
        stream = _stream(hide, tasks, methods, protocol, engine, workers, ahead, keeper)
        kept = _collect(stream, Tally(store, ahead), belongs, sum(map(len, tasks)), progress, proven)
        table = pd.DataFrame(kept, columns=list(COLUMNS)) if store is None else store.load()
    if out is not None and tasks:
        _say_what_made(out, model, samples, settings)
    return _ordered(table, [sample.id for sample in samples], list(wanted))


def _say_what_made(out: Path, model: VLM, samples: Sequence[Sample], settings: dict[str, Any]) -> None:
    entry = provenance_entry(model=model.name, samples=samples, settings=settings, columns=COLUMNS)
    write_sidecar(out.with_suffix(".json"), entry, out)


def _checked(
    samples: Sequence[Sample], methods: Sequence[str] | Mapping[str, Method | str], engine: str, protocol: str
) -> dict[str, Method]:
    """Methods by name. Errors that every sample would meet are raised before any is answered.

    Raises:
        ValueError: as `evaluate` for methods, engine, protocol, sample ids, accepted answers and true boxes.
    """
    for sample in samples:
        check_answers(sample)
    if samples and protocol == "logits" and not any(sample.options for sample in samples):
        raise ValueError("protocol 'logits' compares option letters, and no sample has options: use 'strict'")
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


def _opened(
    stack: ExitStack, out: Path | None, settings: dict[str, Any], merged: Mapping[tuple[str, str], str] | None
) -> ResultStore | None:
    """The store of a run, which no other run writes meanwhile; with the rows of its shares that belong to `merged`."""
    if out is None:
        return None
    stack.enter_context(only_writer(out))
    store = stack.enter_context(ResultStore(out, settings))
    if merged is not None:
        merge_shards(store, merged)
    return store


def _ordered(table: pd.DataFrame, ids: Sequence[str], methods: Sequence[str]) -> pd.DataFrame:
    """Rows in the order of samples and methods, with all `COLUMNS`; a row or column that is not there is empty."""
    order = pd.MultiIndex.from_product([ids, methods], names=["sample_id", "method"])
    table = table.reindex(columns=list(dict.fromkeys([*table, *COLUMNS])))
    table = table.set_index(["sample_id", "method"]).reindex(order).reset_index()
    return table.astype({"correct": "boolean"})


def _tasks(
    samples: Sequence[Sample], methods: Sequence[str], done: set[tuple[str, str]], unkept: Container[str]
) -> list[engines.Task]:
    """The samples that lack answers or arrays, each with the methods that are missing, grouped by picture."""
    missing = [(s, tuple(m for m in methods if (s.id, m) not in done)) for s in samples]
    missing = [(sample, names) for sample, names in missing if names or sample.id in unkept]
    return [list(group) for _, group in groupby(missing, key=lambda job: _shown(job[0]))]


def _shown(sample: Sample) -> tuple[str, ...]:
    """What samples of one picture have in common. Pictures that statistics take as one may share ``image_id``."""
    return sample.image_id, *(getattr(render, "key", "") for render in sample.renders)


def _up_to_date(
    store: ResultStore, belongs: Mapping[tuple[str, str], str], samples: Sequence[Sample]
) -> set[tuple[str, str]]:
    """Keys of stored answers, less those to another content than is asked for now, which a warning counts.

    Where nothing but the scorer or the accepted answers are others, the stored reply is scored anew and counts.
    """
    done = store.done
    stored = [key for key in belongs if key in done]
    changed = {key: parts for key in stored if (parts := differing(store.content(key), belongs[key]))}
    if anew := score_anew(store, belongs, samples, [key for key, parts in changed.items() if SCORED >= set(parts)]):
        said = said_changes([changed.pop(key) for key in anew], len(stored))
        warnings.warn(f"{said}: their replies are scored anew ({store.path.name}; the first: {anew[0]})", stacklevel=3)
    if changed:
        said = said_changes(changed.values(), len(stored))
        warnings.warn(f"{said}: answered anew ({store.path.name}; the first: {next(iter(changed))[0]})", stacklevel=3)
    return done - set(changed)


def _stream(hide, tasks, methods, protocol, engine, workers, ahead, keeper) -> Iterator[Answered]:
    if engine == "local":
        known = named(methods)
        hide.extractor.expect(sample.question for task in tasks for sample, _ in task)
        for task in tasks:
            jobs = [(sample, {name: known[name] for name in names}) for sample, names in task]
            yield from answer_picture(hide, jobs, protocol, ahead.open, None if keeper is None else keeper.tried)
    elif tasks:
        over = engines.over_processes if engine == "processes" else engines.over_ray
        yield from over(tasks, engines.Recipe.of(hide, methods, protocol, keeper), workers)


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
                tally.unkept += [one.unkept for one in held if one.unkept]
                held = []
                if tally.store is not None:
                    tally.store.append(rows)
                tally.add(rows)
                tally.stop_where_all_fails()
            elif len(held) == FIRST_FAILURES:
                break
            bar.update(len({row["sample_id"] for row in answered.rows}) or 1)  # a sample may lack its arrays alone
            bar.set_postfix_str(tally.so_far(), refresh=False)
    if held and held[0].error is not None:
        raise held[0].error
    tally.warn_of_errors()
    return tally.rows
