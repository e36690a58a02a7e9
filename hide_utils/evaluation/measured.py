"""Measures that need a pass of the model for each picture, kept on disk: a row a sample, with lists for its values.

Attention rows of hundreds of pictures take gigabytes, and minutes to capture anew. What a notebook says about them is a
few numbers for each picture, layer and setting. These are kept as answers are, in the same kind of file.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import pandas as pd
from tqdm.auto import tqdm

from hide_utils.baselines import NeedsOptions
from hide_utils.config import RunConfig
from hide_utils.evaluation.keys import contents, method_key, run_settings
from hide_utils.evaluation.shards import merge_shards
from hide_utils.evaluation.store import ResultStore, results_path
from hide_utils.files import only_writer
from hide_utils.method import HiDe, Session
from hide_utils.samples import Sample

Measure: TypeAlias = Callable[[HiDe, Session, Sample], dict[str, Any]]


def stored_measures(
    hide: HiDe,
    samples: Sequence[Sample],
    measure: Measure,
    config: RunConfig,
    name: str = "measures",
    *,
    progress: bool = True,
) -> pd.DataFrame:
    """What a function measures on each sample, read from disk or measured.

    Each row is stored as soon as it is measured, so that an interrupted run goes on where it was. Rows that the package
    ships in ``data/answers`` for the same settings are taken from there. A row of another picture, question or measure
    is made anew.

    Args:
        hide: the method's settings, with its model.
        samples: with unique ids.
        measure: takes the method, the sample's picture in a session, and the sample. Gives values of JSON types: text,
            numbers, None, and lists of them that are of one shape for all samples.
        config: the notebook's parameters.
        name: of the file and of the measure.
        progress: show a bar.

    Returns:
        One row a sample, in their order: sample_id, image_id, kind, and the measured values. A warning says how many
        samples are left out, because the measure compares letters and they have none.

    Raises:
        NeedsOptions: so it is with all of them.
    """
    settings = run_settings(hide, config.protocol) | {"measure": method_key(name, measure)}
    path, belongs = results_path(config.notebook, name, settings), contents(samples, {name: measure})
    with only_writer(path), ResultStore(path, settings) as store:
        merge_shards(store, belongs)
        fresh = [s for s in samples if (key := (s.id, name)) not in store or store.content(key) != belongs[key]]
        lacking: dict[str, NeedsOptions] = {}
        for sample in tqdm(fresh, desc=name, disable=not progress):
            began = time.perf_counter()
            try:
                values = measure(hide, hide.open(sample.images), sample)
            except NeedsOptions as error:
                lacking[sample.id] = error
                continue
            row = {"sample_id": sample.id, "method": name, "image_id": sample.image_id, "kind": sample.kind, **values}
            spent = {"seconds": time.perf_counter() - began, "error": None, "content": belongs[sample.id, name]}
            store.append([row | spent])
        table = store.load()
    if lacking:
        first = next(iter(lacking.values()))
        if len(lacking) == len(samples):
            raise first
        warnings.warn(f"{name}: {len(lacking)} of {len(samples)} samples are left out ({first})", stacklevel=2)
    table = table.set_index("sample_id").loc[[one.id for one in samples if one.id not in lacking]].reset_index()
    return table.drop(columns=["method", "seconds", "error", "content"])
