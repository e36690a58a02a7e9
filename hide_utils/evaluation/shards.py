"""Rows that were made elsewhere for the same run: those of its shards, and those that ship with the package."""

from __future__ import annotations

import glob
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hide_utils import paths
from hide_utils.evaluation.store import ResultStore, read_rows, row_key
from hide_utils.samples import Sample


def shard_path(path: Path | None, i: int, n: int) -> Path | None:
    """File of share `i` (counted from 0) of the `n` shares of a run whose rows go to `path`; None for None."""
    return path and path.with_name(f"{path.stem}.shard-{i}-of-{n}{path.suffix}")


def share(samples: Sequence[Sample], i: int, n: int) -> list[Sample]:
    """The i-th of n shares, made of whole pictures so that no prefill is run on two machines.

    Raises:
        ValueError: i is not among 0 to n - 1.
    """
    if not 0 <= i < n:
        raise ValueError(f"shard=({i}, {n}): want 0 <= i < n, the shares are counted from 0")
    number = {image: place for place, image in enumerate(dict.fromkeys(sample.image_id for sample in samples))}
    return [sample for sample in samples if number[sample.image_id] % n == i]


def merge_shards(store: ResultStore, contents: Mapping[tuple[str, str], str]) -> int:
    """Copy rows of the shards that lie beside a store into it, and of the rows that ship with the package.

    Copied are answers to what is asked for now, and rows of other keys where the store has none. The files stay.

    Args:
        store: takes the rows.
        contents: column ``content`` of the rows that are asked for, by their keys.

    Returns:
        How many rows were new.

    Raises:
        SettingsError: a shard was made with other settings.
    """
    beside = store.path.parent.glob(f"{glob.escape(store.path.stem)}.shard-*-of-*")
    names = {match[0] for path in beside if (match := re.match(r".*\.shard-\d+-of-\d+", path.name))}
    shards = [ResultStore(store.path.with_name(f"{name}.parquet"), store.settings) for name in sorted(names)]
    rows = [row for shard in shards for row in shard.rows()] + _shipped(store)
    wanted = [row for row in rows if contents.get(row_key(row), row["content"]) == row["content"]]
    return store.append([row for row in wanted if row_key(row) in contents or row_key(row) not in store])


def shipped_path(path: Path) -> Path:
    """File in ``data/answers`` that holds the rows of a notebook's `results_path`, where the package ships them."""
    return paths.ANSWERS / f"{path.parent.name}-{path.name}"


def _shipped(store: ResultStore) -> list[dict[str, Any]]:
    """Rows that the package ships for a store; none where ``HIDE_RESULTS`` says that all are made anew."""
    path = shipped_path(store.path)
    if os.environ.get("HIDE_RESULTS") or not path.is_file():
        return []
    try:
        settings, rows = read_rows(path)
    except ValueError as error:
        warnings.warn(f"{error}: its rows are made anew", stacklevel=4)
        return []
    return rows if settings == store.settings else []
