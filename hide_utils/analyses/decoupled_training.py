"""Notebook 10. What the study of decoupled training found: accuracies, paired differences, and harm.

Two things vary from one repetition to the next, the training scenes (seeds) and the test samples. So intervals resample
both. p values are of a sign-flip permutation test over samples, with seeds averaged. They are Holm-corrected over all
comparisons.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from pydantic import Field

from hide_utils.config import Margin, RunConfig
from hide_utils.findings import agrees, difference_in_words, non_inferiority
from hide_utils.looks import Look, self_labelled
from hide_utils.mini.study import ARMS, DECOUPLED, MIXED, ORDINARY, START
from hide_utils.stats import Interval, compare_answers, sign_flip_p
from hide_utils.stats.rows import answered, pictures_of, with_holm


class DecoupledTrainingConfig(RunConfig):
    """Parameters of notebook 10.

    Attributes:
        rerun_steps: optimiser steps of a short study that is trained anew. 0 reads the committed one.
        margin: loss of accuracy that would count as harm on ordinary scenes.
    """

    notebook: str = "10_decoupled_training"
    rerun_steps: Annotated[int, Field(ge=0)] = 0
    margin: Margin = 0.05


OUTCOMES = {
    ("large", "direct"): "direct, large scenes",
    ("large", "hide"): "HiDe, large scenes",
    ("ordinary", "direct"): "direct, ordinary scenes",
}
OUTCOME_LOOKS = self_labelled(dict(zip(OUTCOMES.values(), (3, 4, 7), strict=True)), "os^")
ARM_LOOKS = {START: Look(START, "0.35", "D")} | self_labelled({ORDINARY: 0, DECOUPLED: 1, MIXED: 2}, "os^")
PAIRS = (
    (ORDINARY, START), (DECOUPLED, START), (MIXED, START), (DECOUPLED, ORDINARY), (MIXED, ORDINARY),
)  # fmt: skip


def read_study(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Answers, training log and plan of a study's folder, of the seeds that all trained arms have.

    Raises:
        FileNotFoundError: there is no study in the folder.
        ValueError: no seed is complete, or the arms of a seed were not measured on the same samples.
    """
    if not (folder / "answers.csv").is_file():
        raise FileNotFoundError(f"{folder}: no answers.csv; run `make train-study` first")
    answers = pd.read_csv(folder / "answers.csv")
    log = pd.read_json(folder / "training_log.jsonl", lines=True)
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    trained = answers[answers["arm"] != START]
    complete = trained.groupby("seed")["arm"].nunique().loc[lambda arms: arms == len(ARMS) - 1].index
    if not len(complete):
        raise ValueError(f"{folder}: no seed has all arms yet; run `make train-study` on, it resumes")
    kept = answers[(answers["arm"] == START) | answers["seed"].isin(complete)].reset_index(drop=True)
    for (of_set, method), part in kept.groupby(["set", "method"]):
        if part.groupby(["arm", "seed"])["sample_id"].agg(frozenset).nunique() > 1:
            raise ValueError(f"{folder}: {of_set}, {method}: the runs were measured on different samples")
    return kept, log[log["seed"].isin(complete)].reset_index(drop=True), plan


def matrix(answers: pd.DataFrame, outcome: tuple[str, str], arm: str, value: str = "correct") -> pd.DataFrame:
    """One arm under one outcome of `OUTCOMES`, a row a seed and a column a picture: 1 for right, or another value.

    A missing value of an answer is 0. The questions of a picture are averaged. A picture with a question that any run
    of the outcome did not answer is left out of all arms, and a warning says how many.
    """
    part = answers[(answers["set"] == outcome[0]) & (answers["method"] == outcome[1])]
    part = answered(part.assign(picture=pictures_of), ", ".join(outcome), "picture")
    part = part[part["arm"] == arm]
    return part.assign(**{value: part[value].fillna(0).astype(float)}).pivot_table(value, "seed", "picture")


def two_level_bootstrap(
    values: Float[np.ndarray, "seeds samples"], n_resamples: int = 4000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Mean with a percentile interval that resamples seeds and samples, each with replacement.

    The two are crossed, since every seed is measured on every sample. So a resample is a set of rows and a set of
    columns (Owen 2007, the pigeonhole bootstrap). With a single seed only samples are resampled. Few seeds make the
    interval too short: the spread between three is known roughly at best.

    Args:
        values: finite numbers.
        n_resamples: number of resamples.
        level: of confidence, in (0, 1).
        seed: of the resampling.

    Returns:
        n counts samples.

    Raises:
        ValueError: there are no values, or one is not finite.
    """
    values = np.asarray(values, float)
    if values.ndim != 2 or not values.size or not np.isfinite(values).all():
        raise ValueError(f"values of shape {values.shape}: need finite ones, seeds by samples, and at least one")
    (rows, columns), rng = values.shape, np.random.default_rng(seed)
    of_seeds = rng.multinomial(rows, np.full(rows, 1 / rows), n_resamples) / rows
    of_samples = rng.multinomial(columns, np.full(columns, 1 / columns), n_resamples) / columns
    means = np.einsum("bs,sn,bn->b", of_seeds, values, of_samples, optimize=True)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(values.mean()), float(low), float(high), columns)


def accuracies(answers: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Mean accuracy of every arm and outcome over its seeds.

    Returns:
        Columns outcome, arm, seeds, n, accuracy with its two-level interval (low, high), and lowest and highest, the
        extremes of the seeds.
    """
    rows = []
    for outcome, label in OUTCOMES.items():
        for arm in ARMS:
            values = matrix(answers, outcome, arm)
            found, each = two_level_bootstrap(values.to_numpy(), seed=seed), values.mean(axis=1)
            rows.append((label, arm, len(values), found.n, *found[:3], each.min(), each.max()))
    columns = ["outcome", "arm", "seeds", "n", "accuracy", "low", "high", "lowest", "highest"]
    return pd.DataFrame(rows, columns=columns)


def differences(answers: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Every pair of `PAIRS` under every outcome, on the same samples and, between trained arms, the same seeds.

    Args:
        answers: from `read_study`.
        seed: of bootstrap and permutations.

    Returns:
        Columns outcome, arm, against, seeds, n, difference with its two-level interval (low, high), p of the sign-flip
        test over samples, and p_holm over all rows: what `hide_utils.findings` reads.
    """
    rows = []
    for outcome, label in OUTCOMES.items():
        wide = {arm: matrix(answers, outcome, arm) for arm in ARMS}
        for arm, against in PAIRS:
            base = wide[against].iloc[0] if against == START else wide[against]  # the start has no seeds of its own
            gain = (wide[arm] - base).to_numpy()
            found, p = two_level_bootstrap(gain, seed=seed), sign_flip_p(gain.mean(0), seed)
            rows.append((label, arm, against, len(gain), found.n, *found[:3], p))
    columns = ["outcome", "arm", "against", "seeds", "n", "difference", "low", "high", "p"]
    return with_holm(pd.DataFrame(rows, columns=columns))


def localisation(answers: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Share of the true boxes of which half lies in HiDe's regions on the large scenes. Without regions it is 0.

    Returns:
        Columns arm, seeds, n, recall50 with its two-level interval (low, high), and the difference to the start with
        its own (difference_low, difference_high).
    """
    wide = {arm: matrix(answers, ("large", "hide"), arm, "recall50") for arm in ARMS}
    rows = []
    for arm, values in wide.items():
        found = two_level_bootstrap(values.to_numpy(), seed=seed)
        gain = two_level_bootstrap(values.to_numpy() - wide[START].to_numpy(), seed=seed)
        rows.append((arm, len(values), found.n, *found[:3], *gain[:3]))
    columns = ["arm", "seeds", "n", "recall50", "low", "high", "difference", "difference_low", "difference_high"]
    return pd.DataFrame(rows, columns=columns)


def each_seed(answers: pd.DataFrame) -> pd.DataFrame:
    """Every trained arm against the start, seed by seed.

    Returns:
        Columns outcome, seed and those of `compare_answers`, with p_holm corrected over all rows.
    """
    parts = []
    for (of_set, method), label in OUTCOMES.items():
        part = answers[(answers["set"] == of_set) & (answers["method"] == method)]
        runs = part[part["arm"] != START][["arm", "seed"]].drop_duplicates().astype({"seed": str})
        names = [f"{run.arm} {run.seed}" for run in runs.itertuples()]
        own = part["arm"].where(part["arm"] == START, part["arm"] + " " + part["seed"].astype(str))
        tests = compare_answers(part.assign(method=own), [(name, START) for name in names])
        parts.append(tests.assign(outcome=label, seed=runs["seed"].astype(int).tolist(), arm=runs["arm"].tolist()))
    table = with_holm(pd.concat(parts, ignore_index=True).drop(columns="method"))
    first = ["outcome", "seed", "arm"]
    return table[[*first, *(c for c in table if c not in first)]]


def training_course(log: pd.DataFrame, window: int = 5) -> pd.DataFrame:
    """How a run of each arm went and what it cost, means over the seeds.

    Args:
        log: from `read_study`.
        window: steps of a running mean.

    Returns:
        Columns arm, seeds, and steps, image_tokens and cpu_seconds of a run. loss and accuracy of the replies' tokens
        over the first and the last `window` steps (loss_first, loss_last and so on). loss_highest, the highest running
        mean of the loss, and step_highest, where it is.
    """
    rows = []
    for arm in ARMS[1:]:
        part = log[log["arm"] == arm]
        runs, mean = part.groupby("seed"), part.groupby("step")[["loss", "accuracy"]].mean()
        smooth = mean["loss"].rolling(window, min_periods=1, center=True).mean()
        row = {
            "arm": arm,
            "seeds": runs.ngroups,
            "steps": int(part["step"].max()),
            "image_tokens": runs["image_tokens"].sum().mean(),
            "cpu_seconds": runs["cpu_seconds"].max().mean(),
        }
        first = {f"{name}_first": mean[name].head(window).mean() for name in mean}
        last = {f"{name}_last": mean[name].tail(window).mean() for name in mean}
        rows.append(row | first | {"loss_highest": smooth.max(), "step_highest": int(smooth.idxmax())} | last)
    return pd.DataFrame(rows)


def findings(table: pd.DataFrame, margin: float) -> pd.DataFrame:
    """The open question as claims about decoupled and mixed training, each with what was measured and whether it holds.

    Help is claimed against the start and against as many steps on ordinary pictures. Harm on ordinary scenes is judged
    by non-inferiority to the start.

    Args:
        table: from `differences`.
        margin: loss of accuracy that would count as harm.

    Returns:
        Columns finding, measured and holds ("yes", "no", "not shown").
    """
    rows, by = [], table.set_index(["outcome", "arm", "against"])
    large_direct, large_hide, ordinary = OUTCOMES.values()
    for outcome, what in ((large_direct, "direct answering"), (large_hide, "HiDe")):
        for arm, against in ((arm, against) for arm in (DECOUPLED, MIXED) for against in (START, ORDINARY)):
            row, claim = by.loc[(outcome, arm, against)], {START: "the start", ORDINARY: "ordinary training"}[against]
            said = f"{arm} training helps {what} on large scenes, against {claim}"
            rows.append((said, difference_in_words(row, "+.1%"), agrees(row)))
    for arm in (ORDINARY, DECOUPLED, MIXED):
        row = by.loc[(ordinary, arm, START)]
        reading = non_inferiority(row, margin)
        holds = {"non-inferior": "yes", "worse by more than the margin": "no"}.get(reading, "not shown")
        claim = f"{arm} training does no harm on ordinary scenes (margin {margin:.0%})"
        rows.append((claim, f"{difference_in_words(row, '+.1%')}; {reading}", holds))
    return pd.DataFrame(rows, columns=["finding", "measured", "holds"])


def answer(found: pd.DataFrame) -> str:
    """The open question's answer in a few sentences, put together from `findings` alone."""
    holds = found.set_index("finding")["holds"]
    said = []
    for what in ("direct answering", "HiDe"):
        marks = {
            arm: [holds[f] for f in holds.index if f.startswith(f"{arm} training helps {what}")] for arm in ARMS[2:]
        }
        parts = [f"{arm} pictures {_help(*of_arm)}" for arm, of_arm in marks.items()]
        said.append(f"For {what} on large scenes, {', and '.join(parts)}.")
    harm = {arm: holds[[f for f in holds.index if f.startswith(f"{arm} training does no harm")][0]] for arm in ARMS[1:]}
    words = {"yes": "do no harm", "no": "do harm", "not shown": "are not shown to be harmless"}
    clauses = ", ".join(f"{arm} pictures {words[mark]}" for arm, mark in harm.items())
    said.append(f"On ordinary scenes, within the margin, {clauses}.")
    return " ".join(said)


def _help(start: str, ordinary: str) -> str:
    words = {"yes": "are better than", "no": "are worse than", "not shown": "are not shown to differ from"}
    if start == ordinary:
        return f"{words[start]} the start {'or' if start == 'not shown' else 'and'} ordinary training"
    return f"{words[start]} the start and {words[ordinary]} ordinary training"
