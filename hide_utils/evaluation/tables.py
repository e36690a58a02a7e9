"""Accuracy beside cost for every method, and published numbers, which are kept apart from measured ones."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from hide_utils import paths
from hide_utils.evaluation.saving import write_sidecar
from hide_utils.files import replace_file
from hide_utils.plots.style import METHOD_LABELS
from hide_utils.stats.intervals import comparison_table, holm

# How columns are shown, besides three decimals; a p of "0.000" would say nothing.
SHOWN = {"{:.0f}": ("gained", "lost"), "{:.2g}": ("p", "p_holm"), "{:.3g}": ("flops",)}
COSTS = ("calls", "image_tokens", "text_tokens", "decoded", "flops", "seconds", "peak_bytes")
# Our name of a benchmark -> the paper's, and the peers' column.
PUBLISHED = {
    "vstar": ("V*", "vstar_overall"),
    "hrbench4k": ("HR-Bench 4K", "hr4k_overall"),
    "hrbench8k": ("HR-Bench 8K", "hr8k_overall"),
}


def cost_table(results: pd.DataFrame, baseline: str = "direct") -> pd.DataFrame:
    """Mean cost of an answer by method, each charged as if it had run alone; in order of first appearance.

    Returns columns method, n, those of `COSTS` (peak_bytes: the largest) and times_direct, FLOPs over the baseline's.
    Samples that could not be answered are left out. Raises ValueError without rows of the baseline.
    """
    known = results[results["error"].isna()] if "error" in results else results
    if baseline not in set(known["method"]):
        raise ValueError(f"no rows of the baseline {baseline!r}: run it too, or name another")
    groups = known.groupby("method", sort=False)
    rules = {name: "max" if name == "peak_bytes" else "mean" for name in COSTS}
    table = groups[list(COSTS)].agg(rules).astype(float)
    table.insert(0, "n", groups.size())
    table["times_direct"] = table["flops"] / table.loc[baseline, "flops"]
    return table.reset_index()


def pareto(cost: Collection, worth: Collection) -> np.ndarray:
    """Which points no other beats: none is at most as costly and at least as good, and better in one of the two."""
    cost, worth = np.asarray(cost, float), np.asarray(worth, float)
    no_worse = (cost[None] <= cost[:, None]) & (worth[None] >= worth[:, None])
    better = (cost[None] < cost[:, None]) | (worth[None] > worth[:, None])
    return ~np.any(no_worse & better, axis=1)


def main_table(results: pd.DataFrame, baseline: str = "direct") -> pd.DataFrame:
    """Accuracy, difference, test and cost of every method over all samples together, a row each.

    results: rows of `evaluate`, all methods on the same samples. Columns of `comparison_table`, whose intervals and
    tests they are, and of `cost_table`; Holm's correction is over the methods of this table.
    """
    compared = comparison_table(results.assign(kind="all samples"), baseline)
    table = compared[compared["kind"] == "all samples"].drop(columns="kind")
    others = table["method"] != baseline
    if others.any():
        table.loc[others, "p_holm"] = holm(table.loc[others, "p"].tolist())
    return table.merge(cost_table(results, baseline).drop(columns="n"), on="method")


def styled(table: pd.DataFrame) -> Styler:
    """A table of numbers as the notebooks show it: see `SHOWN`; a dash for what is missing, no index."""
    style = table.style.format(precision=3, na_rep="–")
    for text, names in SHOWN.items():
        style = style.format(text, subset=[name for name in names if name in table], na_rep="–")
    return style.hide(axis="index")


def readable(table: pd.DataFrame, baseline: str = "direct") -> pd.DataFrame:
    """`main_table` as texts for a reader: estimates with their intervals, costs as multiples of the baseline's."""
    return pd.DataFrame([_line(row, row["method"] == baseline) for row in table.to_dict("records")])


def _line(row: dict[str, Any], baseline: bool) -> dict[str, str]:
    against = "–" if baseline else "{difference:+.1%} ({difference_low:+.1%} to {difference_high:+.1%})".format(**row)
    return {
        "method": METHOD_LABELS.get(row["method"], row["method"]),
        "n": f"{row['n']}",
        "accuracy (95 % interval)": "{accuracy:.1%} ({low:.1%} to {high:.1%})".format(**row),
        "difference to direct": against,
        "p": "–" if baseline else f"{row['p']:.2g}",
        "p (Holm)": "–" if baseline else f"{row['p_holm']:.2g}",
        "no letter": f"{row.get('unread', 0)}",
        "calls": f"{row['calls']:.1f}",
        "visual tokens": f"{row['image_tokens']:.0f}",
        "FLOPs": f"{row['times_direct']:.2f}x",
    }


def published(benchmark: str = "vstar") -> pd.DataFrame:
    """Published overall accuracies (%) on a benchmark: method, backbone, accuracy, source; never measured here.

    Raises ValueError for a benchmark without published numbers in ``data/paper``.
    """
    if benchmark not in PUBLISHED:
        raise ValueError(f"no published numbers for {benchmark!r}; there are some for {', '.join(PUBLISHED)}")
    title, column = PUBLISHED[benchmark]
    paper = pd.read_csv(paths.PAPER / "hide_paper_numbers.csv")
    paper = paper[(paper["experiment"] == "main") & (paper["metric"] == "overall")]
    paper = paper[paper["setting"].str.startswith(f"{title} / ")]
    ours = {"method": paper["setting"].str.split(" / ").str[1], "backbone": paper["model"], "accuracy": paper["value"]}
    peers = pd.read_csv(paths.PAPER / "peer_numbers.csv").dropna(subset=[column])
    theirs = {name: peers[name] for name in ("method", "backbone", "source")} | {"accuracy": peers[column]}
    both = [pd.DataFrame(ours).assign(source="HiDe paper"), pd.DataFrame(theirs)]
    return pd.concat(both, ignore_index=True)[["method", "backbone", "accuracy", "source"]]


def beside(main: pd.DataFrame, reference: str, *, model: str, benchmark: str) -> pd.DataFrame:
    """Measured rows of `main_table`, then the published ones of a benchmark, told apart by the first column.

    What a publication does not say is "–". Raises ValueError as `published` does.
    """
    said = readable(main)
    names = ["method", "n", "accuracy (95 % interval)", "difference to direct", "p (Holm)", "FLOPs"]
    ours = said[names].assign(model=model, origin=f"measured here: {benchmark}")
    known = published(reference)
    theirs = pd.DataFrame(
        {
            "method": known["method"].map(lambda name: METHOD_LABELS.get(name, name)),
            "model": known["backbone"],
            "accuracy (95 % interval)": known["accuracy"].map("{:.1f}%".format),
            "origin": "published: " + PUBLISHED[reference][0] + ", " + known["source"],
        }
    )
    both = pd.concat([ours, theirs], ignore_index=True).fillna("–")
    return both[["origin", "model", *names]]


def save_texts(table: pd.DataFrame, name: str, notebook: str, provenance: dict[str, Any]) -> list[Path]:
    """A table of texts as Markdown and LaTeX for a paper, with a rule wherever the first column's first word changes.

    Writes `<figures>/<notebook>/<name>.md`, `.tex` (needs the package booktabs) and the sidecar `.json`; returns them.
    """
    folder = paths.figures_folder() / notebook
    texts = {".md": _markdown(table), ".tex": _latex(table)}
    for ending, text in texts.items():
        replace_file(folder / f"{name}{ending}", partial(Path.write_text, data=text, encoding="utf-8"))
    written = [folder / f"{name}{ending}" for ending in texts]
    return [*written, write_sidecar(written[0], provenance, written[1])]


def _blocks(table: pd.DataFrame) -> list[list[list[str]]]:
    kind = table.iloc[:, 0].str.split().str[0]
    return [part.to_numpy().tolist() for _, part in table.groupby((kind != kind.shift()).cumsum())]


def _markdown(table: pd.DataFrame) -> str:
    lines = [list(table.columns), ["---"] * len(table.columns)]
    for number, block in enumerate(_blocks(table)):
        lines += ([[""] * len(table.columns)] if number else []) + block
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _latex(table: pd.DataFrame) -> str:
    lines = table.to_latex(index=False, escape=True).splitlines(keepends=True)
    row = next(i for i, line in enumerate(lines) if line.startswith("\\midrule")) + 1
    for block in _blocks(table)[:-1]:
        row += len(block)
        lines.insert(row, "\\midrule\n")
        row += 1
    return "".join(lines)
