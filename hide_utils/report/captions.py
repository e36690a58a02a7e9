"""Captions and printed tables of the report: every number in them is computed from the saved tables and sidecars."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from hide_utils.baselines import LOOKS
from hide_utils.findings import in_words
from hide_utils.looks import look_of
from hide_utils.report.items import Chapter, Item
from hide_utils.stats.rows import left_out_in_words

# The table that holds the numbers of a figure of another name.
TABLE_OF = {
    ("05_benchmarks", "accuracy"): "comparison",
}
MOST_NAMED = 4  # methods or groups that a caption names one by one
LEVEL = 0.05
NUMBER = r"[-+−<≥ ]*[\d.e+-]+( [%×])?( \[[^]]*\])?|−?∞|–|"  # a printed cell, an interval with it or not
COLUMNS = {"ame": "average marginal effect", "p_holm": "p (Holm)", "recall50": "recall at 50 %", "iou": "IoU"}
NAMES = {"tad": "TAD", "lpd": "LPD", "iou": "IoU", "hide": "HiDe"}  # words of a file's name


def column_in_words(column: str) -> str:
    """A column's name in words."""
    return COLUMNS.get(column, column.replace("_", " "))


def percent(value: float | np.number) -> str:
    """A share in per cent with one decimal."""
    return f"{100 * value:.1f} %"


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

    They follow their estimate in the table and are named `low` and `high`, with a prefix or without.
    """
    names, found = list(table.columns), {}
    for low in (name for name in names[1:] if name == "low" or name.endswith("_low")):
        if (high := low[: -len("low")] + "high") in names:
            found[names[names.index(low) - 1]] = (low, high)
    return found


def is_share(column: str, table: pd.DataFrame) -> bool:
    """Whether a column holds shares, printed in per cent: accuracies, shares, and differences of accuracies."""
    accuracies = any("accuracy" in name for name in table.columns)
    return "accuracy" in column or "share" in column or (column == "difference" and accuracies)


def printed_table(table: pd.DataFrame) -> pd.DataFrame:
    """A table with every cell as text.

    An estimate stands in one cell with its interval, shares are in per cent, and methods go by their labels. Finding
    cards are a row each.
    """
    if {"claim", "verdict"} <= set(table):
        return in_words(table)
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


# --- sentences ------------------------------------------------------------------------------------------------------


def caption(item: Item, chapter: Chapter) -> str:
    """What a figure or table shows: its name in words, what it was measured on, and the numbers of its table.

    Where a figure's caption has the numbers of a table already, the table's caption refers to that figure.
    """
    if item.missing:
        return f"Missing: {file_in_words(item.name)} ({item.kind}). Run {item.notebook}."
    title = str((item.entry or {}).get("caption") or f"{file_in_words(item.name)}.")
    if item.kind == "table":
        drawn = [i for i in chapter.items if i.kind == "figure" and not i.missing and _table_of(i, chapter) is item]
        if drawn:
            names = ", ".join(f"“{file_in_words(figure.name)}”" for figure in drawn)
            return f"{title} The numbers of figure {names}."
    table = item if item.kind == "table" else _table_of(item, chapter)
    if table:  # whose words say what is left out
        title = title.removesuffix(left_out_in_words(table.table)).rstrip()
    return " ".join(filter(None, [title, measured_on(item.entry), table_in_words(table.table) if table else ""]))


def _table_of(figure: Item, chapter: Chapter) -> Item | None:
    """The table that holds a figure's numbers, where there is one."""
    return chapter.item(TABLE_OF.get((figure.notebook, figure.name), figure.name))


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


def table_in_words(table: pd.DataFrame) -> str:
    """What the rows of a table say, in sentences that its columns decide, and how many it leaves out for errors.

    It is empty for an empty table.
    """
    return " ".join(filter(None, [_rows_in_words(table), left_out_in_words(table)]))


def _rows_in_words(table: pd.DataFrame) -> str:
    pairs = interval_columns(table)
    if table.empty:
        return ""
    if "agrees" in table:
        return _of_findings(table)
    if {"claim", "verdict"} <= set(table):
        counts = table["verdict"].value_counts()
        return f"{len(table)} claims: {', '.join(f'{n} {verdict}' for verdict, n in counts.items())}."
    if "accuracy" in pairs and "method" in table:
        return _of_methods(table)
    if "difference" in pairs and "p_holm" in table:
        return _of_differences(table)
    if pairs:
        return _of_estimates(table, next(iter(pairs)))
    return f"{len(table)} rows: {', '.join(column_in_words(column) for column in table.columns)}."


def _of_findings(table: pd.DataFrame) -> str:
    counts = table["agrees"].astype(str).value_counts()
    parts = [f"{counts[verdict]} “{verdict}”" for verdict in counts.index]
    return f"Of {len(table)} findings of the paper, agreement here: {', '.join(parts)}."


def _of_methods(table: pd.DataFrame) -> str:
    """Accuracies with intervals, and the differences to the baseline where the table has them."""
    if "kind" in table and (table["kind"] == "all").any():
        table = table[table["kind"] == "all"]
    if table["method"].duplicated().any():
        return _over_a_number(table)
    if len(table) > MOST_NAMED + 1:
        best, worst = table.loc[table["accuracy"].idxmax()], table.loc[table["accuracy"].idxmin()]
        said = f"Accuracy of {len(table)} methods from {_accuracy(worst)} to {_accuracy(best)}."
    else:
        said = f"Accuracy: {'; '.join(_accuracy(row) for _, row in table.iterrows())}."
    return f"{said} {_of_differences(table)}" if "difference" in interval_columns(table) and "p_holm" in table else said


def _accuracy(row: pd.Series) -> str:
    name = look_of(LOOKS, row["method"]).label
    return f"{name} {percent(row['accuracy'])} ({100 * row['low']:.1f} to {100 * row['high']:.1f}, n = {int(row['n'])})"


def _of_differences(table: pd.DataFrame) -> str:
    """Differences one by one where they are few; else how many of them are significant, in either direction."""
    compared = table[table["p_holm"].notna()]
    if compared.empty:
        return ""
    if len(compared) <= MOST_NAMED and {"method"} <= set(table.columns):
        return f"Differences: {'; '.join(_difference(row, table) for _, row in compared.iterrows())}."
    found = compared[compared["p_holm"] < LEVEL]
    up, down = int((found["difference"] > 0).sum()), int((found["difference"] < 0).sum())
    return f"Of {len(compared)} differences {up} are significantly above and {down} below zero (Holm-corrected, 5 %)."


def _difference(row: pd.Series, table: pd.DataFrame) -> str:
    """A difference with its interval and its verdict, and with the baseline where the table names it."""
    low, high = interval_columns(table)["difference"]
    share = is_share("difference", table)
    values = [points(row[c]) if share else number_text(float(row[c])) for c in ("difference", low, high)]
    name = look_of(LOOKS, row["method"]).label
    against = f" against {look_of(LOOKS, row['against']).label}" if "against" in table else ""
    p = f"Holm-corrected p {'' if row['p_holm'] < 1e-4 else '= '}{p_text(row['p_holm'])}"
    verdict = "significant" if row["p_holm"] < LEVEL else "not significant"
    unit = " points" if share else ""
    return f"{name}{against} {values[0]}{unit} ({values[1]} to {values[2]}; {p}, {verdict})"


def _over_a_number(table: pd.DataFrame) -> str:
    """Accuracy of each method at both ends of the first other numeric column."""
    rest = [c for c in table.select_dtypes("number").columns if c not in ("n", "accuracy", "low", "high")]
    if not rest:
        return f"{len(table)} rows of {table['method'].nunique()} methods."
    x = rest[0]
    ends = table[x].min(), table[x].max()
    said: list[str] = []
    for method, part in table.groupby("method", sort=False):
        at = part.groupby(x)["accuracy"].mean()
        if set(ends) <= set(at.index) and len(said) < MOST_NAMED:
            said.append(f"{look_of(LOOKS, method).label} {percent(at[ends[0]])} to {percent(at[ends[1]])}")
    if not said:
        return f"{len(table)} rows of {table['method'].nunique()} methods over {column_in_words(x)}."
    least, most = int(table["n"].min()), int(table["n"].max())
    n = f"n = {most}" if least == most else f"n = {least} to {most} a point"
    return f"Accuracy from {column_in_words(x)} {ends[0]:g} to {ends[1]:g}: {'; '.join(said)} ({n})."


def _of_estimates(table: pd.DataFrame, column: str) -> str:
    """The range of an estimate.

    It is given for each measure where the table has several, else for each of a few groups, else for the whole table.
    """
    table = table.dropna(subset=column)
    if table.empty:
        return ""
    groups = [name for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]
    groups = ["measure"] if "measure" in groups else groups
    parts = list(table.groupby(groups, sort=False)) if groups else []
    if len(parts) > 2 * MOST_NAMED or any(len(part) == 1 for _, part in parts):
        parts = []
    show = percent if is_share(column, table) else lambda value: number_text(float(value))
    ranges = []
    for name, part in parts or [((), table)]:
        label = " ".join(column_in_words(str(word)) for word in name)
        ranges.append(f"{label} {show(part[column].min())} to {show(part[column].max())}".strip())
    n = f", n = {int(table['n'].max())}" if "n" in table else ""
    return f"{column_in_words(column).capitalize()} over {len(table)} rows: {'; '.join(ranges)}{n}."
