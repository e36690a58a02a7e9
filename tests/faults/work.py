"""The evaluation that the faults are done to, small enough to be run a hundred times."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from model_helpers import picture

from hide_utils import HiDe, evaluate, load_model
from hide_utils.baselines import Method
from hide_utils.evaluation.store import ResultStore
from hide_utils.samples import Sample

METHODS = ("direct", "oracle")
VOLATILE = ("seconds", "peak_bytes", "content")  # differ from run to run, or say where the row came from
SETTINGS = {"layer": 1, "sigma": 1.0, "alpha": 0.6}
PARAMETERS = 'n = 1\nmodel = "mini"\nbenchmark = "scenes"'  # cell of a notebook that takes what the default preset sets


@functools.cache
def load(checkpoint: str):
    """The model, loaded once for a process and its forks."""
    return load_model(checkpoint, device="cpu", dtype="float32")


def samples(n: int) -> list[Sample]:
    """Two questions about each of n / 2 pictures of noise."""
    asked = ("What is the color of the dog?", "Is the dog on the left of the scooter?")
    return [
        Sample(
            id=f"s{i}",
            question=asked[i % 2],
            options=["red", "blue", "green"],
            label="ABC"[i % 3],
            kind="direct_attributes",
            render=partial(picture, 112, 84, i // 2),
            boxes_xyxy=[(10, 10, 40, 40)],
            image_id=f"p{i // 2}",
        )
        for i in range(n)
    ]


def answer(
    checkpoint: str,
    out: str | None,
    n: int,
    methods: Sequence[str] | Mapping[str, Method] = METHODS,
    asked: Sequence[Sample] | None = None,
    **how,
) -> list[dict]:
    """Evaluate n samples, or those asked, and give the rows without what differs from run to run."""
    model = load(checkpoint)
    hide = HiDe(model, protocol="logits", **SETTINGS)
    some = samples(n) if asked is None else asked
    return comparable(evaluate(model, some, methods, out, hide=hide, protocol="logits", progress=False, **how))


def comparable(table: pd.DataFrame) -> list[dict]:
    """Rows as JSON types, sorted by their keys, without what differs from run to run."""
    table = table.drop(columns=list(VOLATILE), errors="ignore").sort_values(["sample_id", "method"])
    rows = table.astype(object).to_dict("records")
    return [{name: _comparable(value) for name, value in row.items()} for row in rows]


def _comparable(value):
    if value is pd.NA:
        return None
    if isinstance(value, float):
        if value.is_integer():  # a count, which stands as a float in a table that has rows without one
            return int(value)
        return None if value != value else value
    if isinstance(value, (list, tuple)) or hasattr(value, "tolist"):
        value = value.tolist() if hasattr(value, "tolist") else list(value)
        return [_comparable(one) for one in value] if isinstance(value, list) else _comparable(value)
    return value


def stored(out: Path) -> list[dict]:
    """Rows in the store, as `comparable` gives them."""
    return comparable(ResultStore(out).load())


def differences(rows: list[dict], expected: list[dict]) -> int:
    """How many rows are there twice, or differ from the row that is expected under their key."""
    found = compared(rows, expected, partly=True)
    return found["doubled"] + found["wrong"]


def compared(rows: list[dict], expected: list[dict], partly: bool = False) -> dict[str, int]:
    """How many rows are lost, doubled and wrong, given those of a run without a fault.

    A row with an error is not wrong as long as it does not pass for an answer. With `partly` the rows need not all be
    there yet, and none counts as lost.
    """
    by_key = {(row["sample_id"], row["method"]): row for row in expected}
    keys = [(row["sample_id"], row["method"]) for row in rows]
    good = [
        row.get("correct") is row.get("letter") is None if row.get("error") else _alike(row, by_key.get(key))
        for key, row in zip(keys, rows, strict=True)
    ]
    return {
        "lost": 0 if partly else len(by_key.keys() - set(keys)),
        "doubled": sum(Counter(keys).values()) - len(set(keys)),
        "wrong": len(rows) - sum(good),
    }


def same(rows: list[dict] | None, expected: list[dict]) -> bool:
    """Whether the rows are those that are expected, each once and without an error."""
    return bool(rows) and not any(compared(rows, expected).values()) and not any(row.get("error") for row in rows)


def _alike(one, other) -> bool:
    """Whether values are equal, numbers but for what batches of other sizes and other threads round differently."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(one[name], other[name]) for name in one)
    if isinstance(one, float) and isinstance(other, (float, int)):
        return math.isclose(one, other, rel_tol=1e-3, abs_tol=1e-5)
    return one == other


def added(*counts: dict[str, int]) -> dict[str, int]:
    """Sums of what `compared` counts."""
    return {name: sum(one[name] for one in counts) for name in ("lost", "doubled", "wrong")}
