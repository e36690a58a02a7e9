"""Tables of a comparison: accuracy beside cost for every method, and published numbers apart from measured ones.

`cost_table` and `main_table` hold numbers, `readable` and `beside` hold texts, `save_texts` writes texts for a paper.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from hide_utils import paths
from hide_utils.baselines import LOOKS
from hide_utils.evaluation.saving import output_folder, write_sidecar
from hide_utils.files import write_text
from hide_utils.looks import look_of
from hide_utils.samples import NO_MATHEMATICS
from hide_utils.stats import comparison_table
from hide_utils.stats.rows import outcomes, with_holm

# Columns that are not shown with three decimals: a p of "0.000" would say nothing.
SHOWN = {"{:.0f}": ("gained", "lost"), "{:.2g}": ("p", "p_holm"), "{:.3g}": ("flops",)}
BOXES = ("recall50", "area")  # shares of the true boxes that the regions hold, and of the picture that they keep
COSTS = ("calls", "image_tokens", "text_tokens", "decoded", "flops", "seconds", "peak_bytes")
# Our name of a benchmark -> the paper's, and the peers' column.
PUBLISHED = {
    "vstar": ("V*", "vstar_overall"),
    "vstar_lmms": ("V*", "vstar_overall"),
    "hrbench4k": ("HR-Bench 4K", "hr4k_overall"),
    "hrbench8k": ("HR-Bench 8K", "hr8k_overall"),
}


def cost_table(results: pd.DataFrame, baseline: str = "direct") -> pd.DataFrame:
    """Mean cost of an answer by method, each charged as if it had run alone.

    Args:
        results: rows of `evaluate`. Those with errors are left out; a method that has no others has NaN.
        baseline: method whose FLOPs the others' are divided by.

    Returns:
        A row a method, in the order in which methods first appear. Columns: method, n, those of `COSTS` (of peak_bytes
        the largest instead of the mean), tokens (all of them together) and times_direct, the FLOPs over the baseline's.

    Raises:
        ValueError: there are no rows of the baseline.
    """
    if baseline not in set(results["method"]):
        raise ValueError(f"no rows of the baseline {baseline!r}: run it too, or name another")
    counted = results.assign(n=1)
    known = counted.assign(**{name: outcomes(counted, name) for name in ("n", *COSTS)})
    rules = {"n": "count"} | dict.fromkeys(COSTS, "mean") | {"peak_bytes": "max"}
    table = known.groupby("method", sort=False)[list(rules)].agg(rules)
    table["tokens"] = table[["image_tokens", "text_tokens", "decoded"]].sum(axis=1)
    table["times_direct"] = table["flops"] / table.loc[baseline, "flops"]
    return table.reset_index()


def pareto(cost: Collection, worth: Collection) -> np.ndarray:
    """Mask of the points on the Pareto front, those that no other point beats.

    A point beats another if it costs no more, is worth no less, and is better in one of the two.
    """
    cost, worth = np.asarray(cost, float), np.asarray(worth, float)
    no_worse = (cost[None] <= cost[:, None]) & (worth[None] >= worth[:, None])
    better = (cost[None] < cost[:, None]) | (worth[None] > worth[:, None])
    return ~np.any(no_worse & better, axis=1)


def summary(results: pd.DataFrame, baseline: str | None = None) -> pd.DataFrame:
    """Accuracy of every method over all samples together, and how it differs from the first method's.

    Args:
        results: rows of `evaluate`, all methods on the same samples.
        baseline: method that the others are compared with. None: the first.

    Returns:
        A row a method: n, accuracy with its 95 % interval (low, high), and the other columns of
        `stats.comparison_table`. Intervals and tests are by picture where pictures carry several questions. Holm's
        correction is over the methods of this table.

    Raises:
        ValueError: there are no rows, or none of the baseline; or a method lacks some of the samples.
    """
    if results.empty:
        raise ValueError("no results to sum up: run the methods first")
    baseline = results["method"].iloc[0] if baseline is None else baseline
    table = comparison_table(results.assign(kind="every"), baseline).query("kind == 'all'").drop(columns="kind")
    return with_holm(table.reset_index(drop=True))


def main_table(results: pd.DataFrame, baseline: str = "direct") -> pd.DataFrame:
    """Accuracy, difference, test and cost of every method over all samples together.

    Args:
        results: rows of `evaluate`, all methods on the same samples.
        baseline: method that the others are compared with.

    Returns:
        A row a method, with the columns of `summary` and of `cost_table`, and the means of `BOXES`, NaN where there are
        none.

    Raises:
        ValueError: there are no rows of the baseline.
    """
    boxes = results.reindex(columns=["method", *BOXES]).astype(dict.fromkeys(BOXES, float))
    found = boxes.groupby("method", sort=False).mean().reset_index()
    costs = cost_table(results, baseline).drop(columns="n")
    return summary(results, baseline).merge(found, on="method").merge(costs, on="method")


def styled(table: pd.DataFrame) -> Styler:
    """A table of numbers as the notebooks show it: digits as in `SHOWN`, a dash for what is missing, no index.

    Texts are shown as they are, brackets and dollars too.
    """
    style = table.style.format(precision=3, na_rep="–", escape="html").format_index(escape="html", axis="columns")
    for text, names in SHOWN.items():
        style = style.format(text, subset=[name for name in names if name in table], na_rep="–")
    return style.hide(axis="index").set_table_attributes(f'class="{NO_MATHEMATICS}"')


def readable(table: pd.DataFrame, baseline: str = "direct") -> pd.DataFrame:
    """The table of `main_table` as texts: estimates with their intervals, FLOPs as multiples of the baseline's."""
    return pd.DataFrame([_line(row, row["method"] == baseline) for row in table.to_dict("records")])


def _line(row: dict[str, Any], baseline: bool) -> dict[str, str]:
    baseline = baseline or np.isnan(row["p"])  # or no sample was answered by both
    against = "–" if baseline else "{difference:+.1%} ({difference_low:+.1%} to {difference_high:+.1%})".format(**row)
    return {
        "method": look_of(LOOKS, row["method"]).label,
        "n": f"{row['n']}" + (f" ({row['left_out']} left out for errors)" if row.get("left_out") else ""),
        "accuracy (95 % interval)": "{accuracy:.1%} ({low:.1%} to {high:.1%})".format(**row)
        if row["n"]
        else "no answer",
        "difference to direct": against,
        "p (Holm)": "–" if baseline else f"{row['p_holm']:.2g}",
        "boxes: recall, kept": "–" if np.isnan(row["recall50"]) else "{recall50:.2f}, {area:.1%}".format(**row),
        "tokens": f"{row['tokens']:.0f}",
        "FLOPs": f"{row['times_direct']:.2f}x",
    }


def published(benchmark: str = "vstar") -> pd.DataFrame:
    """Published overall accuracies on a benchmark; none of them is measured here.

    Args:
        benchmark: a key of `PUBLISHED`.

    Returns:
        Columns method, backbone, accuracy (in percent) and source.

    Raises:
        ValueError: there are no published numbers for the benchmark in ``data/paper``.
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
    """Measured rows, then the published ones of a benchmark; the first column, origin, tells them apart.

    Args:
        main: from `main_table`.
        reference: benchmark of the published rows, a key of `PUBLISHED`.
        model: name of the model that was measured.
        benchmark: name of the benchmark that it was measured on.

    Returns:
        A table of texts; what a publication does not say is "–".

    Raises:
        ValueError: there are no published numbers for `reference`.
    """
    said = readable(main)
    names = ["method", "n", "accuracy (95 % interval)", "difference to direct", "p (Holm)", "FLOPs"]
    ours = said[names].assign(model=model, origin=f"measured here: {benchmark}")
    known = published(reference)
    theirs = pd.DataFrame(
        {
            "method": known["method"].map(lambda name: look_of(LOOKS, name).label),
            "model": known["backbone"],
            "accuracy (95 % interval)": known["accuracy"].map("{:.1f}%".format),
            "origin": "published: " + PUBLISHED[reference][0] + ", " + known["source"],
        }
    )
    both = pd.concat([ours, theirs], ignore_index=True).fillna("–")
    return both[["origin", "model", *names]]


def save_texts(table: pd.DataFrame, name: str, notebook: str, provenance: dict[str, Any]) -> list[Path]:
    """Write a table of texts as Markdown and LaTeX for a paper, with a sidecar; returns the three paths.

    The files are `<figures>/<notebook>/<name>.md`, `.tex` and `.json`; the LaTeX needs the package booktabs. A rule (in
    Markdown an empty line) stands wherever the first word of the first column changes.
    """
    folder = output_folder() / notebook
    md, latex, sidecar = (folder / f"{name}.{ending}" for ending in ("md", "tex", "json"))
    write_text(md, markdown(table))
    write_text(latex, _latex(table))
    return [md, latex, write_sidecar(sidecar, provenance, md, latex)]


def _rules(table: pd.DataFrame) -> list[int]:
    """Rows before which a rule stands, from the last to the first, so that inserting one moves no other."""
    kind = table.iloc[:, 0].str.split().str[0]
    return np.flatnonzero((kind != kind.shift()).to_numpy())[:0:-1].tolist()


def markdown(table: pd.DataFrame) -> str:
    """A table of texts as Markdown, with an empty line wherever the first word of the first column changes."""
    lines = [list(table.columns), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    for row in _rules(table):
        lines.insert(2 + row, [""] * len(table.columns))
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _latex(table: pd.DataFrame) -> str:
    lines = table.to_latex(index=False, escape=True).splitlines(keepends=True)
    first = lines.index("\\midrule\n") + 1
    for row in _rules(table):
        lines.insert(first + row, "\\midrule\n")
    return "".join(lines)
