"""Captions and printed tables of the report, from the saved tables and their sidecars."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from hide_utils.baselines import LOOKS
from hide_utils.looks import look_of
from hide_utils.report.items import Item

NUMBER = r"[-+−<≥ ]*[\d.e+-]+( [%×])?( \[[^]]*\])?|−?∞|–|"  # a printed cell, an interval with it or not
COLUMNS = {"ame": "average marginal effect", "p_holm": "p (Holm)", "recall50": "recall at 50 %", "iou": "IoU"}
NAMES = {"tad": "TAD", "lpd": "LPD", "iou": "IoU", "hide": "HiDe"}  # words of a file's name


def column_in_words(column: str) -> str:
    """A column's name in words."""
    return COLUMNS.get(column, column.replace("_", " "))


def points(value: float | np.number) -> str:
    """A difference of shares in percentage points, with its sign."""
    return f"{100 * value:+.1f}"


def p_text(value: float | np.number) -> str:
    """A p value with two digits, or that it is below 0.0001."""
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def number_text(value: Any) -> str:
    """A cell as text: numbers with three significant digits, a dash for what is missing."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "–"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return str(value)
    if isinstance(value, (float, np.floating)):
        size = abs(float(value))
        if size == np.inf:
            return "∞" if value > 0 else "−∞"
        whole = 100 <= size < 1e6 or (value == int(value) and size < 1e6)
        return f"{value:.0f}" if whole else f"{value:.3g}"
    return str(value)


def interval_columns(table: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """The columns that hold intervals: estimate -> (low, high).

    They follow their estimate in the table and are named `low` and `high`, with a prefix or without. Words are no
    estimates.
    """
    names, found = list(table.columns), {}
    for low in (name for name in names[1:] if name == "low" or name.endswith("_low")):
        estimate, high = names[names.index(low) - 1], low[: -len("low")] + "high"
        if high in names and not any(
            table[name].map(lambda cell: isinstance(cell, str)).any() for name in (estimate, low)
        ):
            found[estimate] = (low, high)
    return found


def is_share(column: str, table: pd.DataFrame) -> bool:
    """Whether a column holds shares, printed in per cent: accuracies, shares, and differences of accuracies."""
    accuracies = any("accuracy" in name for name in table.columns)
    return "accuracy" in column or "share" in column or (column == "difference" and accuracies)


def printed_table(table: pd.DataFrame) -> pd.DataFrame:
    """A table with every cell as text.

    An estimate stands in one cell with its interval, shares are in per cent, and methods go by their labels.
    """
    pairs = interval_columns(table)
    ends = {end for pair in pairs.values() for end in pair}
    shown = {}
    for column in (name for name in table.columns if name not in ends):
        share, name = is_share(column, table), column_in_words(column)
        if column in pairs:
            rows = table[[column, *pairs[column]]].to_numpy(float)
            shown[f"{name}{' %' if share else ''} [95 % interval]"] = [
                _interval(value, low, high, share) for value, low, high in rows
            ]
        elif column in ("p", "p_holm"):
            shown[name] = ["–" if np.isnan(p) else p_text(p) for p in table[column]]
        elif column in ("method", "against"):
            shown[column] = [look_of(LOOKS, m).label for m in table[column]]
        elif share and pd.api.types.is_numeric_dtype(table[column]):
            shown[f"{name} %"] = [number_text(round(100 * value, 1)) for value in table[column].tolist()]
        else:
            shown[name] = [number_text(value) for value in table[column].tolist()]
    return pd.DataFrame(shown)


def alignment(frame: pd.DataFrame) -> list[str]:
    """The side on which the cells of each column of a printed table stand: "right" for numbers, "left" for words."""
    return ["right" if frame[name].str.fullmatch(NUMBER).all() else "left" for name in frame]


def _interval(estimate: float, low: float, high: float, share: bool) -> str:
    if np.isnan(estimate):
        return "–"
    if share:
        return f"{100 * estimate:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
    return f"{number_text(estimate)} [{number_text(low)}, {number_text(high)}]"


def caption(item: Item) -> str:
    """What a figure or table shows: its sidecar's caption or its name in words, and what it was measured on."""
    if item.missing:
        return f"Missing: {file_in_words(item.name)} ({item.kind}). Run {item.notebook}."
    title = str((item.entry or {}).get("caption") or f"{file_in_words(item.name)}.")
    return f"{title} {measured_on(item.entry)}".rstrip()


def file_in_words(name: str) -> str:
    """A file's name as the beginning of a sentence."""
    text = " ".join(NAMES.get(word, word) for word in re.sub(r"[_-]+", " ", name).split())
    return text[:1].upper() + text[1:]


def measured_on(entry: Mapping[str, Any] | None) -> str:
    """Model, benchmark, split and number of samples that a sidecar names, or a picture; empty without a sidecar."""
    if not entry:
        return ""
    own = entry.get("picture")
    used, model = {} if own else entry.get("parameters", {}), entry.get("model", {}).get("name")
    side = f" {used['resolution']} px" if used.get("resolution") and used.get("benchmark") == "scenes" else ""
    parts = [
        "embedded miniature" if model == "mini" else model,
        f"{own['file']}, “{own['question']}”" if own else None,
        f"{used['benchmark']}{side}" if used.get("benchmark") else None,
        f"{used['split']} split" if used.get("split") else None,
        f"n = {entry['benchmark']['n']}" if entry.get("benchmark") else None,
    ]
    known = ", ".join(part for part in parts if part)
    return f"{known[:1].upper()}{known[1:]}." if known else ""
