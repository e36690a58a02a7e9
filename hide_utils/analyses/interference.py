"""Notebook 01. What more or less background changes: paired comparisons by kind, beside the paper's, and an index."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from hide_utils.findings import agrees, difference_in_points, paper_numbers
from hide_utils.stats import Interval, comparison_table, ratio_interval
from hide_utils.stats.rows import answered, outcomes, with_holm

NO_CHANGE = 0.03  # a published change below this has no direction that could be agreed with
KINDS = {"attribute": "direct_attributes", "spatial": "relative_position"}  # the paper's names -> `Sample.kind`


def published(experiment: str) -> pd.DataFrame:
    """The paper's accuracies of one experiment.

    Args:
        experiment: as in `paper_numbers`.

    Returns:
        Columns model, kind (as `Sample.kind`), value (the setting), accuracy in [0, 1], and note.
    """
    numbers = paper_numbers(experiment)
    return pd.DataFrame(
        {
            "model": numbers["model"],
            "kind": numbers["metric"].map(KINDS),
            "value": numbers["setting"].astype(float),
            "accuracy": (numbers["value"] / 100).round(4),
            "note": numbers["note"].fillna(""),
        }
    )


def comparisons(answers: pd.DataFrame, pairs: Sequence[tuple[str, str]], by_kind: bool = True) -> pd.DataFrame:
    """What changes from one method to another on the samples that both answered, by kind of question and over all.

    Args:
        answers: from `evaluate`.
        pairs: (before, after) methods.
        by_kind: False keeps the rows over all kinds alone.

    Returns:
        One row a pair and kind ("all" for all of them): before, after, kind and n. accuracy_before and accuracy_after
        with their intervals (before_low and so on). difference (after - before) with its interval (difference_low,
        difference_high), gained and lost samples and p, as `comparison_table` has them, and p_holm over the rows
        returned. left_out counts the samples that one of the two did not answer.

    Raises:
        ValueError: a pair names the same method twice, or no sample was run with both.
    """
    rows = []
    for before, after in pairs:
        if before == after:
            raise ValueError(f"{before!r} is compared with itself: give the grid at least two different settings")
        both = answers[answers["method"].isin([before, after])]
        both = both[both.groupby("sample_id")["method"].transform("nunique") == 2]
        if both.empty:
            raise ValueError(f"no sample was answered by both {before!r} and {after!r}: run them on the same samples")
        right = outcomes(both)
        paired = right.notna().groupby(both["sample_id"]).transform("all")
        both = comparison_table(both.assign(correct=right.where(paired)), before)
        accuracy = {name: both[both["method"] == name].set_index("kind") for name in (before, after)}
        one, two = accuracy[before], accuracy[after]
        table = pd.DataFrame({"before": before, "after": after, "n": two["n"]})
        for name, part in (("before", one), ("after", two)):
            table[[f"accuracy_{name}", f"{name}_low", f"{name}_high"]] = part[["accuracy", "low", "high"]]
        changes = ["difference", "difference_low", "difference_high", "gained", "lost", "p"]
        changes += [name for name in two if name == "left_out"]
        rows.append(table.join(two[changes]).reset_index())
    table = pd.concat(rows, ignore_index=True)
    table = table if by_kind else table[table["kind"] == "all"].reset_index(drop=True)
    return with_holm(table)


def beside_paper(answers: pd.DataFrame, settings: pd.DataFrame, marks: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The published changes and ours between the same two settings: do they agree?

    Args:
        answers: from `evaluate`.
        settings: from `background.conditions`.
        marks: experiment -> its `published` values. Of each model and kind the lowest and the highest setting are
            compared. What was not run here is left out.

    Returns:
        One row a published change: experiment, kind, model, before and after (settings), paper and ours (texts), and
        agrees. That is `findings.agrees` with the published sign, Holm-corrected over our distinct comparisons. It is
        "–" where the published change is smaller than `NO_CHANGE`.
    """
    methods = {(row.experiment, row.value): row.method for row in settings.itertuples()}
    changes: list[tuple] = []
    for experiment, table in marks.items():
        for (model, kind), part in table.sort_values("value").groupby(["model", "kind"], sort=False):
            first, last = part.iloc[0], part.iloc[-1]
            pair = tuple(methods.get((experiment, end["value"])) for end in (first, last))
            if all(pair) and (answers["kind"] == kind).any():
                changes.append((experiment, kind, model, first, last, pair))
    columns, rows = ["experiment", "kind", "model", "before", "after", "paper", "ours", "agrees"], []
    if not changes:
        return pd.DataFrame(columns=columns)
    ours = comparisons(answers, list(dict.fromkeys(change[-1] for change in changes)))
    needed = list(dict.fromkeys((*pair, kind) for _, kind, *_, pair in changes))
    ours = with_holm(ours.set_index(["before", "after", "kind"]).loc[needed])
    for experiment, kind, model, first, last, pair in changes:
        row = ours.loc[(*pair, kind)]
        change = last["accuracy"] - first["accuracy"]
        same = agrees(row, change) if abs(change) >= NO_CHANGE else "–"
        paper = f"{model}: {first['accuracy']:.1%} → {last['accuracy']:.1%}"
        change = f"{difference_in_points(row)}, p = {row['p_holm']:.2g}"
        text = f"{row['accuracy_before']:.1%} → {row['accuracy_after']:.1%}, {change}"
        rows.append((experiment, kind, model, first["value"], last["value"], paper, text, same))
    return pd.DataFrame(rows, columns=columns)


def interference_index(
    area: Collection[float],
    correct: Collection,
    unit: Collection,
    cluster: Collection,
    n_resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Background interference index: accuracy lost per doubling of the background's area, the object's pixels fixed.

    It is the negative slope of right (1) or wrong (0) on log2(area), by least squares within units. Every unit has a
    level of its own, so that only comparisons inside a unit count. 0.05 means five points of accuracy lost per
    doubling, about 0 that the model does not mind, and below 0 that it answers better with more around the object. It
    is an average over the areas that were tried: accuracy need not fall along a straight line.

    Args:
        area: pixels of the picture, or of what of it is shown, one an answer.
        correct: 1 or 0, one an answer. Missing ones are left out, and a warning says how many.
        unit: answers that differ in the area alone have the same.
        cluster: what is resampled for the percentile interval, with all its units: a picture or a scene index.
        n_resamples: number of resamples.
        level: of confidence, in (0, 1).
        seed: of the resampling.

    Returns:
        n counts answers in units with more than one area. The ends are NaN with fewer than two clusters, and everything
        is with no such unit.

    Raises:
        ValueError: an area is not positive, or the inputs differ in length.
    """
    if len({len(area), len(correct), len(unit), len(cluster)}) > 1 or not (np.asarray(area, float) > 0).all():
        raise ValueError("want one positive area, outcome, unit and cluster for each answer")
    table = pd.DataFrame({"x": np.log2(np.asarray(area, float)), "correct": list(correct)})
    table["unit"], table["cluster"] = list(unit), list(cluster)
    table = answered(table, "interference index")
    within = table[["x", "correct"]] - table.groupby("unit")[["x", "correct"]].transform("mean")
    sums = pd.DataFrame({"xy": within["x"] * within["correct"], "xx": within["x"] ** 2, "cluster": table["cluster"]})
    varied = int((table.groupby("unit")["x"].transform("nunique") > 1).sum())
    xy, xx = sums.groupby("cluster")[["xy", "xx"]].sum().to_numpy().T
    some = xx > 0
    return ratio_interval(-xy[some], xx[some], n_resamples, level, seed)._replace(n=varied)
