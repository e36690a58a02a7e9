"""Accuracy beside cost for every method, and published numbers, which are kept apart from measured ones."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd

from hide_utils import paths
from hide_utils.plots import METHOD_LABELS
from hide_utils.stats import comparison_table, holm

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
