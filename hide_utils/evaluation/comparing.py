"""Runs of one notebook compared on the samples that all of them answered, or the reason why that cannot be done."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from hide_utils.evaluation.keys import PARTS, differing, said_changes
from hide_utils.evaluation.store import read_rows
from hide_utils.evaluation.tables import summary
from hide_utils.findings import Finding
from hide_utils.findings.evidence import MCNEMAR
from hide_utils.stats.rows import with_holm

# Settings that make two runs another experiment, and what their difference is called.
FIXED = {
    "rows": "another table of the notebook",
    "benchmark": "another benchmark",
    "benchmark_revision": "another revision of the benchmark",
    "split": "other samples",
    "seed": "other samples",
    "draw": "other samples",
    "protocol": "another protocol",
}
ABOUT_SAMPLES = PARTS.keys() - {"method"}
NO_LABEL = ("prompts", "schema", "weights", "own_prompts")  # settings whose values say nothing to a reader


class NotComparable(ValueError):
    """Runs that did not answer the same questions by the same rule."""


@dataclass(frozen=True)
class RowSet:
    """One table of answers of a run, as the run used it.

    Attributes:
        run: name of the run.
        settings: what the rows depend on.
        table: rows of `evaluate`.
    """

    run: str
    settings: dict[str, Any]
    table: pd.DataFrame

    @property
    def key(self) -> str:
        """Which of a notebook's tables it is."""
        return json.dumps([self.settings.get("rows"), self.settings.get("draw")], sort_keys=True)


def row_sets(run: str, folder: Path) -> list[RowSet]:
    """The tables of answers that a run kept, in the order in which its notebook asked for them.

    Raises:
        ValueError: there are none, or a file is damaged.
    """
    found = [read_rows(path) for path in sorted(folder.glob("*.parquet"))]
    if not found:
        raise ValueError(f"{run} kept no answers of {folder.name}: it is of an older version, or asks no questions")
    return [RowSet(run, settings or {}, pd.DataFrame(rows)) for settings, rows in found]


def with_methods(sets: Sequence[RowSet], methods: Sequence[str]) -> list[RowSet]:
    """The tables of a run that have answers of all the methods.

    Raises:
        ValueError: there is none.
    """
    found = [one for one in sets if set(methods) <= set(one.table["method"])]
    if not found:
        there = sorted({str(name) for one in sets for name in one.table["method"]})
        raise ValueError(f"{sets[0].run} has no answers of {', '.join(methods)}; there are some of {', '.join(there)}")
    return found


def refusal(one: RowSet, other: RowSet) -> str | None:
    """Why two tables of answers cannot be compared sample by sample, in words. None where they can."""
    for name, word in FIXED.items():
        values = [rows.settings.get(name) for rows in (one, other)]
        if values[0] != values[1]:
            return f"{word}: {name} is {values[0]!r} in {one.run}, {values[1]!r} in {other.run}"
    ids = [set(rows.table["sample_id"]) for rows in (one, other)]
    if ids[0] != ids[1]:
        n = [len(part) for part in (*ids, ids[0] & ids[1])]
        return f"other samples: {n[0]} in {one.run}, {n[1]} in {other.run}, {n[2]} in both"
    contents = [rows.table.drop_duplicates("sample_id").set_index("sample_id")["content"] for rows in (one, other)]
    parts = {id: set(differing(contents[0][id], contents[1][id])) & ABOUT_SAMPLES for id in contents[0].index}
    if changed := {id: sorted(names) for id, names in parts.items() if names}:
        said = said_changes(changed.values(), len(parts)).replace("rows", "questions")
        return f"the benchmark was changed between them: {said} in {other.run} (the first: {next(iter(changed))})"
    return None


def comparable(runs: Sequence[Sequence[RowSet]]) -> tuple[list[list[RowSet]], list[str]]:
    """The tables that all runs have of the same samples.

    Args:
        runs: the tables of each run. The first table of the first run decides whether they are comparable.

    Returns:
        For each table that can be compared the `RowSet` of every run; and in words why others cannot.

    Raises:
        NotComparable: the first table cannot be compared.
    """
    together, left = [], []
    for number, first in enumerate(runs[0]):
        others = [next((rows for rows in run if rows.key == first.key), run[0]) for run in runs[1:]]
        reasons = [reason for other in others if (reason := refusal(first, other))]
        if reasons and number == 0:
            raise NotComparable("; ".join(dict.fromkeys(reasons)))
        if reasons:
            left.append(f"{first.settings.get('rows')} {first.settings.get('draw')}: {reasons[0]}")
        else:
            together.append([first, *others])
    return together, left


def labels(sets: Sequence[RowSet]) -> dict[str, str]:
    """What each run is called: the settings in which the runs differ; its name too where that does not tell it apart.

    Layers are shown as parameters have them, from 0, and as the paper counts them, from 1.
    """
    names = [name for name in dict.fromkeys(name for one in sets for name in one.settings) if name not in NO_LABEL]
    values = {name: [one.settings.get(name) for one in sets] for name in names}
    differ = [name for name in names if any(value != values[name][0] for value in values[name])]
    texts = [", ".join(_said(name, one.settings.get(name)) for name in differ) for one in sets]
    return {one.run: text if texts.count(text) == 1 else one.run for one, text in zip(sets, texts, strict=True)}


def _said(name: str, value: Any) -> str:
    return f"layer={value} (from 1: {value + 1})" if name == "layer" and value is not None else f"{name}={value}"


def comparison(sets: Sequence[RowSet], methods: Sequence[str], against: str) -> pd.DataFrame:
    """Accuracy of each run by each method, and its difference to one of the runs on the same samples.

    Args:
        sets: the same table of every run.
        methods: names in the column method, which every run has in this table.
        against: name of the run that the others are compared with.

    Returns:
        A row a method and run: method, run, label, and the columns of `evaluation.summary`. p_holm is corrected over
        all comparisons of the table.
    """
    said, parts = labels(sets), []
    for method in methods:
        own = [one.table[one.table["method"] == method] for one in sets]
        together = pd.concat([rows.assign(method=one.run) for one, rows in zip(sets, own, strict=True)])
        parts.append(summary(together, against).rename(columns={"method": "run"}).assign(method=method))
    table = pd.concat(parts, ignore_index=True)
    table.insert(0, "label", table["run"].map(said))
    table.insert(0, "method", table.pop("method"))
    return with_holm(table)


def cards(table: pd.DataFrame) -> list[Finding]:
    """A card for each run of a `comparison` but the one that the others are compared with, for a forest."""
    several = table["method"].nunique() > 1
    return [_card(row, several) for row in table.dropna(subset=["difference"]).to_dict("records")]


def _card(row: Mapping[str, Any], several: bool) -> Finding:
    estimate, low, high = (100 * row[f"difference{end}"] for end in ("", "_low", "_high"))
    name, n = f"{row['method']}: {row['label']}" if several else row["label"], row.get("compared", row["n"])
    return Finding(name, "", estimate, low, high, unit="points", n=int(n), test=MCNEMAR, p=row["p"])
