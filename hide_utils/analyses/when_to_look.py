"""Notebook 07. When to look: HiDe for those questions alone where signals without a label expect it to help.

Which answer a gate gives, and what it costs, follows from answers that are there already, direct and with HiDe. So a
threshold is chosen, and a whole curve drawn, without running the model again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float

from hide_utils.baselines import LOOKS, Method, Outcome, answered, named
from hide_utils.looks import PALETTE, Look
from hide_utils.method import HiDe, Session
from hide_utils.samples import Sample
from hide_utils.stats.rows import answered as known_rows
from hide_utils.stats.rows import mean_interval, paired_test, pictures_of

SIGNALS = {
    "margin": "the direct answer is unsure: low margin of its best two letters' logits",
    "maps": "the maps point: high concentration of the most concentrated token's attention",
    "both": "sum of the two, each in standard deviations on the calibration split",
}
SIGNAL_LOOKS = {
    "direct": LOOKS["direct"]._replace(marker="s"),
    "hide": LOOKS["hide"]._replace(marker="D"),
    "margin": Look("gate: margin", PALETTE[9]),
    "maps": Look("gate: maps", PALETTE[1]),
    "both": Look("gate: both", PALETTE[0]),
}
LOCALISATION = ("prefill", "extract", "search", "decouple")


def charged(*steps: str) -> Method:
    """The direct answer, charged for these steps alone: what a part of a method costs."""

    def method(hide: HiDe, session: Session, sample: Sample) -> Outcome:
        if "search" in steps:
            hide.locate(session, sample.question)
        return Outcome(answered(session, sample, step="direct"), (), steps)

    return method


PARTS: dict[str, Method] = {
    **named(["direct", "hide"]),
    "cost: prefill": charged("prefill"),
    "cost: maps, then direct": charged(*LOCALISATION, "direct"),
}  # what `gate_table` needs the answers of


def gate_table(answers: pd.DataFrame, pointing: Mapping[str, float]) -> pd.DataFrame:
    """One row a sample that all `PARTS` answered: outcomes, the two signals, and what each way costs in FLOPs.

    Args:
        answers: rows of `evaluate` for `PARTS`.
        pointing: sample id -> `token_selection.strongest_score`.

    Returns:
        Columns sample_id, image_id, direct and hide (right or wrong), margin, maps, flops_direct and flops_hide. Each
        signal has flops_<signal>_look and flops_<signal>_stay. "both" needs both signals, so that it costs what
        localisation and the direct answer do, and one more answer where it looks. A warning says how many samples are
        left out for errors.

    Raises:
        ValueError: a sample lacks the row of a method.
    """
    answers = known_rows(answers, "when to look", "sample_id").assign(picture=pictures_of)
    wide = answers.pivot(index="sample_id", columns="method", values=["correct", "flops", "margin", "picture"])
    if wide["correct"].isna().any(axis=None):
        raise ValueError("some samples lack the row of a method: run all parts on all samples")
    flops = wide["flops"].astype(float)
    direct, hide = flops["direct"], flops["hide"]
    prefill, mapped = flops["cost: prefill"], flops["cost: maps, then direct"]
    table = {
        "image_id": wide["picture"]["direct"],
        "direct": wide["correct"]["direct"].astype(bool),
        "hide": wide["correct"]["hide"].astype(bool),
        "margin": wide["margin"]["direct"].astype(float),
        "maps": pd.Series(pointing, dtype=float),
        "flops_direct": direct,
        "flops_hide": hide,
        "flops_margin_look": direct + hide - prefill,
        "flops_margin_stay": direct,
        "flops_maps_look": hide,
        "flops_maps_stay": mapped,
        "flops_both_look": direct + hide - prefill,
        "flops_both_stay": mapped,
    }
    return pd.DataFrame(table).loc[list(dict.fromkeys(answers["sample_id"]))].reset_index(names="sample_id")


@dataclass(frozen=True)
class Gate:
    """Looks where a score is at least `least`.

    Attributes:
        signal: a key of `SIGNALS`.
        least: threshold of the score.
        centre: means of "margin" and "maps" on the calibration split.
        spread: their standard deviations there.
    """

    signal: str
    least: float
    centre: tuple[float, float]
    spread: tuple[float, float]

    def score(self, margins: Float[np.ndarray, " n"], maps: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """The higher, the more there is to expect from looking."""
        unsure = -(np.asarray(margins, float) - self.centre[0]) / self.spread[0]
        pointing = (np.asarray(maps, float) - self.centre[1]) / self.spread[1]
        return {"margin": unsure, "maps": pointing, "both": unsure + pointing}[self.signal]

    def looks(self, table: pd.DataFrame) -> np.ndarray:
        """For each row of `gate_table` whether HiDe is asked."""
        return self.score(table["margin"].to_numpy(), table["maps"].to_numpy()) >= self.least

    def __str__(self) -> str:
        if self.signal == "margin":
            return f"margin ≤ {self.centre[0] - self.least * self.spread[0]:.3g}"
        if self.signal == "maps":
            return f"concentration ≥ {self.centre[1] + self.least * self.spread[1]:.3g}"
        return f"margin and maps, sum ≥ {self.least:.3g} standard deviations"


def fitted(signal: str, calibration: pd.DataFrame, least: float = 0.0) -> Gate:
    """A gate in the units of the calibration split.

    Args:
        signal: a key of `SIGNALS`.
        calibration: from `gate_table`.
        least: threshold of the score.

    Raises:
        ValueError: the signal is unknown.
    """
    if signal not in SIGNALS:
        raise ValueError(f"unknown signal {signal!r}; known: {', '.join(SIGNALS)}")
    columns = calibration[["margin", "maps"]]
    spread = columns.std(ddof=0).replace(0, 1.0).fillna(1.0)
    return Gate(signal, least, tuple(columns.mean().tolist()), tuple(spread.tolist()))


def curve(gate: Gate, table: pd.DataFrame) -> pd.DataFrame:
    """Every threshold of a gate's signal, from never to always looking.

    Args:
        gate: of which the threshold is replaced.
        table: from `gate_table`.

    Returns:
        Columns least, looked (share of the samples), accuracy, and times_direct (FLOPs over the direct answer's).
    """
    score = gate.score(table["margin"].to_numpy(), table["maps"].to_numpy())
    seen = np.unique(score)
    cuts = [float(seen[-1]) + 1, *((seen[1:] + seen[:-1]) / 2)[::-1], float(seen[0]) - 1]
    rows = []
    for cut in cuts:
        applied = applied_to(replace(gate, least=float(cut)), table)
        times = applied["flops"].sum() / table["flops_direct"].sum()
        rows.append((float(cut), applied["looked"].mean(), applied["correct"].mean(), times))
    return pd.DataFrame(rows, columns=["least", "looked", "accuracy", "times_direct"])


def choose_gate(signal: str, calibration: pd.DataFrame) -> Gate:
    """The threshold with the highest accuracy on the calibration split, of equal ones the one that looks least."""
    gate = fitted(signal, calibration)
    found = curve(gate, calibration)
    return replace(gate, least=float(found.loc[found["accuracy"].idxmax(), "least"]))


def applied_to(gate: Gate, table: pd.DataFrame) -> pd.DataFrame:
    """What a gate does on a `gate_table`: columns sample_id, looked, correct and flops."""
    looked = gate.looks(table)
    look, stay = (table[f"flops_{gate.signal}_{what}"] for what in ("look", "stay"))
    found = {
        "sample_id": table["sample_id"],
        "looked": looked,
        "correct": np.where(looked, table["hide"], table["direct"]),
        "flops": np.where(looked, look, stay),
    }
    return pd.DataFrame(found)


def summary(gates: Mapping[str, Gate], table: pd.DataFrame) -> pd.DataFrame:
    """Direct, HiDe and every gate on the same samples, a row each.

    Args:
        gates: name -> gate.
        table: from `gate_table`.

    Returns:
        Columns method, n, accuracy (low, high), looked and times_direct. `difference` to HiDe with its interval
        (difference_low, difference_high) and p, of `stats.rows.paired_test`. `harmed`, the number of right direct
        answers that HiDe turned wrong, with the share that the method kept right (saved, saved_low, saved_high).
        `helped`, the number of wrong ones that HiDe turned right, with the share kept (gains, gains_low, gains_high).
        Intervals of shares are those of `stats.rows.mean_interval`.
    """
    ways = {"direct": (table["direct"], table["flops_direct"], 0.0), "hide": (table["hide"], table["flops_hide"], 1.0)}
    for name, gate in gates.items():
        applied = applied_to(gate, table)
        ways[name] = (applied["correct"].astype(bool), applied["flops"], applied["looked"].mean())
    harmed, helped = table["direct"] & ~table["hide"], ~table["direct"] & table["hide"]
    rows, pictures = [], pictures_of(table)
    for name, (right, flops, looked) in ways.items():
        accuracy, (gap, test) = mean_interval(right, pictures), paired_test(right, table["hide"], pictures)
        saved = mean_interval(right[harmed], pictures[harmed])
        gains = mean_interval(right[helped], pictures[helped])
        row = {
            "method": name,
            "n": accuracy.n,
            "accuracy": accuracy.estimate,
            "low": accuracy.low,
            "high": accuracy.high,
        }
        row |= {"looked": looked, "times_direct": flops.sum() / table["flops_direct"].sum()}
        row |= gap.columns("difference") | {"p": test.p}
        row |= {"harmed": saved.n} | saved.columns("saved") | {"helped": gains.n} | gains.columns("gains")
        rows.append(row)
    return pd.DataFrame(rows)
