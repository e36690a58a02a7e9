"""Measures of single pictures for a notebook, kept as its answers are: one row a sample and measure, resumable.

Attention rows are too large to ship with the package. What a notebook makes of them for each sample is small. Kept in
this way it lets the notebook run without capturing them again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any, TypeAlias

import pandas as pd
from tqdm.auto import tqdm

from hide_utils.config import RunConfig
from hide_utils.evaluation.keys import contents
from hide_utils.evaluation.loop import results_of
from hide_utils.evaluation.shards import merge_shards
from hide_utils.evaluation.store import ResultStore
from hide_utils.files import only_writer
from hide_utils.method import HiDe, Session
from hide_utils.samples import Sample

Measure: TypeAlias = Callable[[HiDe, Session, Sample], Mapping[str, Any]]


def stored_measures(
    hide: HiDe,
    samples: Sequence[Sample],
    measures: Mapping[str, Measure],
    config: RunConfig,
    name: str = "measures",
    *,
    progress: bool = True,
    **draw: Any,
) -> pd.DataFrame:
    """What each measure says of each sample, read where it is kept or ships with the package, else computed.

    The measures of one sample share the session, so its picture is run once.

    Args:
        hide: the method's settings, with its model.
        samples: with unique ids.
        measures: name -> function that gives values of JSON types; nothing that it depends on may be left out of what
            it carries.
        config: the notebook's parameters.
        name: of the file, where a notebook keeps several tables.
        progress: show a bar.
        **draw: what else distinguishes these samples from others of the same benchmark, split and seed.

    Returns:
        One row a sample and measure, in the order of both: sample_id, method (the measure's name), image_id, seconds,
        and a column for each value.
    """
    out, settings = results_of(hide, config, name, draw)
    belongs = contents(samples, measures)
    with ExitStack() as stack:
        stack.enter_context(only_writer(out))
        store = stack.enter_context(closing(ResultStore(out, settings)))
        merge_shards(store, belongs)
        kept = {key for key in belongs if key in store and store.content(key) == belongs[key]}
        missing = [sample for sample in samples if any((sample.id, method) not in kept for method in measures)]
        for sample in tqdm(missing, desc="measures", disable=not progress or not missing):
            session, rows = hide.open(sample.image), []
            for method, measure in measures.items():
                if (sample.id, method) in kept:
                    continue
                began = time.perf_counter()
                values = dict(measure(hide, session, sample))
                key = {"sample_id": sample.id, "method": method, "image_id": sample.image_id, "error": None}
                spent = {"seconds": time.perf_counter() - began, "content": belongs[sample.id, method]}
                rows.append(key | spent | values)
            store.append(rows)
        table = store.load().set_index(["sample_id", "method"])
    return table.loc[list(belongs)].reset_index().drop(columns=["error", "content"])
