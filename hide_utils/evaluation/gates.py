"""Gates: HiDe for those questions alone whose direct answer is unsure. They follow from two stored answers a question.

`case_table` puts both answers of each question, the sureness of the direct one and their costs side by side. A `Gate`
says where to look, `curve` tries every threshold, `choose` takes one on the calibration split.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hide_utils import scoring
from hide_utils.baselines import answered, n_letters
from hide_utils.method import HiDe, Session
from hide_utils.samples import Sample
from hide_utils.stats.rows import answered as known_rows

OUTCOMES = ["right both ways", "gained", "spoilt", "wrong both ways"]  # of a question, directly and with HiDe
SIGNALS = {"margin": "margin of the direct answer", "entropy": "entropy of its letters"}


def sureness(hide: HiDe, session: Session, sample: Sample) -> dict[str, float]:
    """How sure the direct answer is, for `stored_measures`, and what the prefill costs that it shares with HiDe.

    Returns:
        margin (the best letter's logit less the second's), entropy of the letters in bits, flops_prefill.

    Raises:
        NeedsOptions: the sample has no options.
    """
    letters = n_letters(sample, "how sure an answer is")
    reply = answered(session, sample, step="direct")
    logits = hide.model.letter_logits(reply, letters)
    shares = np.array(list(scoring.probabilities(logits).values()))
    entropy = -(shares * np.log2(np.maximum(shares, 1e-12))).sum()
    prefill = session.cost(["prefill"])[1]["flops"]
    return {
        "margin": round(scoring.margin(logits), 5), "entropy": round(float(entropy), 5), "flops_prefill": float(prefill)
    }  # fmt: skip


def case_table(answers: pd.DataFrame, measures: pd.DataFrame) -> pd.DataFrame:
    """Both answers of each sample, how sure the direct one is, and what each way costs in FLOPs.

    Args:
        answers: rows of "direct" and "hide".
        measures: of `sureness`, for the same samples.

    Returns:
        Columns sample_id, image_id, kind, direct and hide (right or wrong), margin, entropy, flops_direct, flops_hide,
        and flops_look, what a gate costs where it looks: both answers on one prefill. A warning says how many samples
        are left out for errors.
    """
    known = known_rows(answers, "when to look", "sample_id")
    right = known.pivot(index="sample_id", columns="method", values="correct").astype(bool)
    flops = known.pivot(index="sample_id", columns="method", values="flops").astype(float).add_prefix("flops_")
    table = measures.set_index("sample_id").join([right, flops], how="inner").reset_index()
    return table.assign(flops_look=table["flops_direct"] + table["flops_hide"] - table["flops_prefill"])


@dataclass(frozen=True)
class Gate:
    """Looks where the direct answer is unsure.

    Attributes:
        signal: a key of `SIGNALS`.
        least: of `doubt`, from which on it looks.
    """

    signal: str
    least: float

    def looks(self, table: pd.DataFrame) -> np.ndarray:
        """For each row of `case_table` whether HiDe is asked."""
        return doubt(self.signal, table) >= self.least


def doubt(signal: str, table: pd.DataFrame) -> np.ndarray:
    """A signal of `case_table` turned so that more of it says that the answer is less sure."""
    return (-1 if signal == "margin" else 1) * table[signal].to_numpy(float)


def applied(gate: Gate, table: pd.DataFrame) -> pd.DataFrame:
    """What a gate does on `case_table`: columns looked, correct and flops, in their order."""
    looked = gate.looks(table)
    flops = np.where(looked, table["flops_look"], table["flops_direct"])
    correct = np.where(looked, table["hide"], table["direct"])
    return pd.DataFrame({"looked": looked, "correct": correct, "flops": flops}, index=table.index)


def curve(signal: str, table: pd.DataFrame) -> pd.DataFrame:
    """Every threshold of a signal, from never to always looking.

    Returns:
        Columns least, looked (share of the samples), accuracy, and times_direct (FLOPs over the direct answer's).
    """
    seen = np.unique(doubt(signal, table))
    rows = []
    for least in [float(seen[-1]) + 1, *((seen[1:] + seen[:-1]) / 2)[::-1], float(seen[0]) - 1]:
        found = applied(Gate(signal, float(least)), table)
        times = found["flops"].sum() / table["flops_direct"].sum()
        rows.append((float(least), found["looked"].mean(), found["correct"].mean(), times))
    return pd.DataFrame(rows, columns=["least", "looked", "accuracy", "times_direct"])


def choose(signal: str, calibration: pd.DataFrame, slack: float) -> Gate:
    """The gate that looks least among those whose accuracy is at most `slack` below that of the best gate.

    Args:
        signal: a key of `SIGNALS`.
        calibration: `case_table` of the calibration split.
        slack: a share of the answers.
    """
    found = curve(signal, calibration)
    enough = found[found["accuracy"] >= found["accuracy"].max() - slack - 1e-9]
    return Gate(signal, float(enough["least"].iloc[0]))


def mended(table: pd.DataFrame) -> np.ndarray:
    """For each row of `case_table` whether the direct answer is wrong and that of HiDe is right."""
    return ~table["direct"].to_numpy(bool) & table["hide"].to_numpy(bool)


def conformal(signal: str, calibration: pd.DataFrame, level: float) -> Gate:
    """The gate that looks least among those that leave alone at most a share of what looking mends.

    Conformal risk control with the loss "looking would mend the answer, and it is left alone" (Angelopoulos et al.,
    arXiv 2208.02814), among the answers that looking mends. Of m of them on the calibration split k may be left alone
    where (k + 1) / (m + 1) <= level. The one that is added stands for the question that is not answered yet. Then a
    further question that looking would mend is left alone with a probability of at most `level`, over the draw of the
    calibration split too, if it is drawn like these.

    Args:
        signal: a key of `SIGNALS`.
        calibration: columns direct and hide (right or wrong) and the signal, as in `case_table`.
        level: in (0, 1). With fewer than 1 / level - 1 mended answers nothing can be left alone: the gate always looks.
    """
    if not 0 < level < 1:
        raise ValueError(f"level {level} must lie in (0, 1): it is a share of the answers that looking would mend")
    doubts = np.sort(doubt(signal, calibration)[mended(calibration)])
    left = math.floor(level * (len(doubts) + 1) + 1e-9) - 1
    return Gate(signal, float(doubts[left]) if left >= 0 else -math.inf)


def random_share(gate: Gate, table: pd.DataFrame) -> np.ndarray:
    """Expected outcome of each sample where a random share of the pictures is looked at, at a gate's cost.

    Who looks at random pays for no direct answer there, so that the share is larger than that of the gate. Where even
    looking at all costs less than the gate, it is all of them.
    """
    never, always = table["flops_direct"].mean(), table["flops_hide"].mean()
    share = float(np.clip((applied(gate, table)["flops"].mean() - never) / (always - never), 0, 1))
    return share * table["hide"].to_numpy(float) + (1 - share) * table["direct"].to_numpy(float)


def outcome_counts(table: pd.DataFrame, signal: str, parts: int = 4) -> pd.DataFrame:
    """How often looking gains and spoils in equal parts of the samples, from the surest to the least sure.

    Returns:
        One row a part, with the numbers of its `OUTCOMES`.
    """
    order = np.argsort(doubt(signal, table), kind="stable")
    rows = []
    for part in np.array_split(order, parts):
        direct, hide = (table[way].to_numpy(bool)[part] for way in ("direct", "hide"))
        rows.append([(direct & hide).sum(), (~direct & hide).sum(), (direct & ~hide).sum(), (~direct & ~hide).sum()])
    return pd.DataFrame(rows, columns=OUTCOMES)
