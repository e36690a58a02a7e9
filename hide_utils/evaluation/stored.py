"""`evaluate` for notebooks: rows lie where their settings say, and a run of its own keeps a copy of those it used.

`hide sweep` runs one notebook at several values of HiDe's settings. The first of its runs answers for all of them in
one pass over the pictures (`together`), so that they share prefills, and the others find their rows stored.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from hide_utils import paths
from hide_utils.baselines import METHODS, Method, named
from hide_utils.benchmarks import revision_of
from hide_utils.config import RunConfig
from hide_utils.evaluation.keys import contents, run_settings
from hide_utils.evaluation.loop import evaluate
from hide_utils.evaluation.shards import merge_shards
from hide_utils.evaluation.store import ResultStore, results_path, row_key
from hide_utils.evaluation.variants import WITHOUT_SETTINGS, At, Wanted, at, label, with_objects
from hide_utils.files import only_writer
from hide_utils.method import HiDe
from hide_utils.samples import Sample

SWEPT = ("layer", "sigma", "alpha")  # parameters at whose values one prefill serves


def stored_answers(
    hide: HiDe,
    samples: Sequence[Sample],
    methods: Wanted,
    config: RunConfig,
    name: str = "answers",
    *,
    shard: tuple[int, int] | None = None,
    **draw: Any,
) -> pd.DataFrame:
    """`evaluate` for a notebook: rows are kept under ``data/results`` by a hash of their settings.

    Rows that the package ships in ``data/answers`` for the same settings are taken from there. In a sweep the rows of
    its other settings are made in the same pass.

    Args:
        hide: the method's settings, with its model.
        samples: as for `evaluate`.
        methods: as for `evaluate`.
        config: the notebook's parameters.
        name: of the file, where a notebook keeps several tables.
        shard: as for `evaluate`.
        **draw: what else distinguishes these samples from others of the same benchmark, split and seed, as a
            resolution does.

    Raises:
        ValueError, RuntimeError: as for `evaluate`.
    """
    commit = revision_of(config.benchmark)
    of = {
        **draw,
        "benchmark": paths.portable(config.benchmark),
        "split": config.split,
        "seed": config.seed,
        **({"benchmark_revision": commit} if commit else {}),
    }
    methods = with_objects(methods, hide, config.protocol)
    swept = of_sweep(hide, os.environ.get(paths.SWEEP))
    if len(swept) > 1:
        together(swept, samples, methods, config, name, of)
    settings = run_settings(hide, config.protocol) | of
    out = results_path(config.notebook, name, settings)
    table = _answer(hide, samples, methods, config, out, shard)
    if folder := os.environ.get(paths.ROWS):
        _keep(table, Path(folder) / config.notebook, name, settings | {"rows": name, "draw": draw})
    return table


def _answer(
    hide: HiDe,
    samples: Sequence[Sample],
    methods: Wanted,
    config: RunConfig,
    out: Path,
    shard: tuple[int, int] | None = None,
) -> pd.DataFrame:
    return evaluate(
        hide.model, samples, methods, out,
        hide=hide, protocol=config.protocol, engine=config.engine, workers=config.workers, shard=shard,
    )  # fmt: skip


def of_sweep(hide: HiDe, values: str | None) -> list[HiDe]:
    """The run's HiDe at every setting of its sweep, itself where there is no sweep or it is none of them.

    Args:
        hide: as the run has it.
        values: JSON, a list of values by name for some of `SWEPT`; None stands for the model's own.
    """
    found = []
    for given in json.loads(values or "[]"):
        own = copy.copy(hide)
        chosen = {key: getattr(hide.model.defaults, key) if given[key] is None else given[key] for key in given}
        whole = {key: float(value) for key, value in chosen.items() if key != "layer"}  # as `HiDe` makes them
        own.settings = replace(hide.settings, **chosen | whole)
        found.append(own)
    return found if any(label(one) == label(hide) for one in found) else [hide]


def together(
    hides: Sequence[HiDe],
    samples: Sequence[Sample],
    methods: Sequence[str] | Mapping[str, Method | str],
    config: RunConfig,
    name: str,
    of: dict[str, Any],
) -> None:
    """Answer at all settings in one pass over the pictures, and put the rows of each where its own run looks for them.

    Rows that are stored for a setting are not made again. Those of the pass lie in a file of their own besides, so that
    an interrupted one goes on where it was. What `WITHOUT_SETTINGS` holds is answered once for all settings.

    Args:
        hides: HiDe at each of the settings.
        samples, methods, config, name: as for `stored_answers`.
        of: what distinguishes the samples.
    """
    wanted = named(methods)
    belongs = contents(samples, wanted, hides[0].model)
    settings = [run_settings(hide, config.protocol) for hide in hides]
    outs = [results_path(config.notebook, name, one | of) for one in settings]
    copies: dict[str, list[tuple[int, str]]] = {}  # method of the pass -> whose rows these are, and what they call it
    answering: dict[str, Any] = {}
    for number, (hide, out, one) in enumerate(zip(hides, outs, settings, strict=True)):
        with only_writer(out), ResultStore(out, one) as store:
            merge_shards(store, belongs)
            done = {key for key in store.done & belongs.keys() if store.content(key) == belongs[key]}
        lacking = {method for _, method in belongs.keys() - done}
        for method in (method for method in wanted if method in lacking):
            known = method if METHODS.get(method) is wanted[method] else wanted[method]
            alike = isinstance(known, At) or (isinstance(known, str) and known in WITHOUT_SETTINGS)
            mine = method if alike else f"{method} @ {label(hide)}"
            answering[mine] = known if alike else at(hide, known)
            copies.setdefault(mine, []).append((number, method))
    if len({number for places in copies.values() for number, _ in places}) < 2:
        return  # nothing is missing, or rows of one setting alone
    base = copy.copy(hides[0])
    base.settings = base.model.defaults
    shared = results_path(config.notebook, f"{name}-together", run_settings(base, config.protocol) | of)
    _answer(base, samples, answering, config, shared)
    with ResultStore(shared) as store:
        found = [row for row in store.rows() if not row["error"] and row["method"] in copies]
    for number, (out, one) in enumerate(zip(outs, settings, strict=True)):
        names = {mine: theirs for mine, places in copies.items() for i, theirs in places if i == number}
        own = [row | {"method": names[row["method"]]} for row in found if row["method"] in names]
        with only_writer(out), ResultStore(out, one) as store:
            store.append([row | {"content": belongs[row_key(row)]} for row in own if row_key(row) in belongs])


def _keep(table: pd.DataFrame, folder: Path, name: str, settings: dict[str, Any]) -> None:
    """Add a table to the rows of a run, in files that are numbered as the notebook asked for them."""
    known = results_path(folder.name, name, settings).name
    there = sorted(folder.glob("*.parquet"))
    path = next((one for one in there if one.name.split("-", 1)[1] == known), folder / f"{len(there):02d}-{known}")
    with ResultStore(path, settings) as store:
        store.append(table.astype(object).where(table.notna(), None).to_dict("records"))
