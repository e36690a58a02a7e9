"""A claim with its evidence, the verdict that one rule gives it, and how it is shown.

The rule is the same for every `Finding`. A change that is claimed is borne out where its corrected test is below
`LEVEL` and the interval lies on the claimed side of 0. It is refuted where the interval leaves no room for a change as
large as the margin. "No difference" is borne out where the interval lies within the margin on both sides, and refuted
where the corrected test says that there is one. "No gain" and "no harm" are the same of one side: a loss is no gain.
All else is undecided, and the finding says how many samples it takes. Point estimates decide nothing.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import pandas as pd
from scipy import stats as distributions

from hide_utils.stats import holm

LEVEL = 0.05  # of a corrected p, below which a difference is shown
POWER = 0.8
# Unit -> the smallest difference that matters. "× plain" is time in units of a plain answer's: a tenth is what two
# runs of one question differ by on a shared machine. "× published" is what was measured over what the paper says. A
# layer may be one off.
MARGINS = {"points": 5.0, "recall": 0.05, "IoU": 0.05, "AUC": 0.05, "× plain": 0.1, "× published": 0.1, "layers": 1.5}
COLUMNS = (
    *("claim", "statement", "estimate", "low", "high", "unit", "n", "test", "p", "p_corrected"),
    *("paper", "source", "verdict", "taught", "n_to_decide", "holds"),
)
Verdict = Literal[
    "as in the paper",
    "not as in the paper",
    "undecided",
    "no claim in the paper",
    "holds here, as taught",
    "does not hold here",
]
VERDICTS: tuple[str, ...] = get_args(Verdict)
COLORS = {  # how a decision begins -> its color
    "as in the paper": "#029e73",
    "holds here, as taught": "#029e73",
    "undecided": "#767676",
    "no claim in the paper": "#0173b2",
    "verdict": "#0173b2",
}


@dataclass(frozen=True)
class Finding:
    """A claim with its evidence.

    Attributes:
        claim: its short name, unique in a notebook.
        statement: what is claimed, as a sentence.
        estimate: the measured difference, in `unit`.
        low, high: ends of its 95 % interval.
        unit: of estimate and ends, a key of `MARGINS`.
        n: samples, or pairs of them.
        test: name of the test that `p` is from.
        p: of the test, before the correction.
        expected: sign of the change that the statement claims. 0 claims that there is none, "no gain" that there is
            none upwards, "no harm" that there is none downwards.
        paper: what the paper says, in its words or numbers. Empty where it says nothing.
        source: where the paper says it.
        taught: how the embedded model's training bears on the claim. Empty where it does not.
        refuted: whether the claim fails for a reason that is no test, such as a peak at an end of the layers.
        p_corrected: Holm's p over all cards of the notebook. None until `corrected`.

    Raises:
        ValueError: the unit is unknown, or the estimate lies outside its interval.
    """

    claim: str
    statement: str
    estimate: float
    low: float
    high: float
    unit: str
    n: int
    test: str
    p: float
    expected: Literal[-1, 0, 1, "no gain", "no harm"] = 1
    paper: str = ""
    source: str = ""
    taught: str = ""
    refuted: bool = False
    p_corrected: float | None = None

    def __post_init__(self) -> None:
        if self.unit not in MARGINS:
            raise ValueError(f"finding {self.claim!r}: unit {self.unit!r} has no margin; known: {', '.join(MARGINS)}")
        if not self.low <= self.estimate <= self.high:
            raise ValueError(f"finding {self.claim!r}: {self.estimate} is not within {self.low} to {self.high}")

    @property
    def margin(self) -> float:
        """The smallest difference that matters, in the unit."""
        return MARGINS[self.unit]

    @property
    def holds(self) -> bool | None:
        """Whether the statement is borne out (True), refuted (False), or neither (None). See the module for the rule.

        Raises:
            ValueError: the p is not corrected yet.
        """
        if self.p_corrected is None:
            raise ValueError(f"finding {self.claim!r} has no verdict before `corrected` was called on all cards")
        differs = self.p_corrected < LEVEL and (self.low > 0 or self.high < 0)
        if self.refuted:
            return False
        if self.expected in (0, "no gain", "no harm"):
            low_enough = self.expected == "no harm" or self.high < self.margin
            high_enough = self.expected == "no gain" or -self.margin < self.low
            against = {"no gain": self.estimate > 0, "no harm": self.estimate < 0}.get(str(self.expected), True)
            return True if low_enough and high_enough else (False if differs and against else None)
        upwards = self.expected == 1
        claimed_side = self.estimate > 0 if upwards else self.estimate < 0
        most = self.high if upwards else -self.low
        return True if differs and claimed_side else (False if most < self.margin else None)

    @property
    def verdict(self) -> Verdict:
        """What the evidence says about the paper's claim, or about what the model was taught."""
        if self.holds is None:
            return "undecided"
        if self.taught:
            return "holds here, as taught" if self.holds else "does not hold here"
        if not self.paper:
            return "no claim in the paper"
        return "as in the paper" if self.holds else "not as in the paper"

    @property
    def n_to_decide(self) -> int | None:
        """Samples with which a difference as large as the margin is found with 80 % power. None where decided."""
        if self.holds is not None:
            return None
        error = (self.high - self.low) / (2 * distributions.norm.isf(LEVEL / 2))
        needed = distributions.norm.isf(LEVEL / 2) + distributions.norm.isf(1 - POWER)
        return math.ceil(self.n * (needed * error / self.margin) ** 2)

    @property
    def evidence(self) -> str:
        """Estimate, interval, n and test in words."""
        return _evidence(self)

    @property
    def decision(self) -> str:
        """The verdict in words, with what was found where the paper claims nothing, or the n that would decide."""
        if self.p_corrected is None:
            return "verdict: with all cards, at the end"
        if self.n_to_decide is not None:
            return _undecided(self.n, self.n_to_decide)
        return _decided(self.verdict, self.holds)

    def _repr_html_(self) -> str:
        return as_html(self.statement, self.evidence, _sourced(self), self.taught, self.decision)

    def markdown(self) -> str:
        """The card as a list item of Markdown."""
        paper = f" Paper: {_sourced(self)}." if self.paper else ""
        taught = f" Taught: {self.taught}." if self.taught else ""
        return f"- **{self.statement}** *{self.decision}*. {self.evidence}.{paper}{taught}"

    def __repr__(self) -> str:
        return f"{self.statement} [{self.decision}] {self.evidence}"


def as_html(claim: str, evidence: str, paper: str, taught: str, decision: str) -> str:
    """A card in HTML, from its words as in `in_words`."""
    color = color_of(decision)
    lines = [evidence, *([f"Paper: {paper}"] if paper else []), *([f"Taught: {taught}"] if taught else [])]
    body = "".join(f"<div style='font-size:90%;opacity:.8'>{html.escape(line)}</div>" for line in lines)
    return (
        f"<div style='border-left:5px solid {color};padding:.4em .9em;margin:.6em 0;max-width:60em'>"
        f"<b>{html.escape(claim)}</b> <span style='color:{color}'>{html.escape(decision)}</span>{body}</div>"
    )


def color_of(decision: str) -> str:
    """The color of a decision, by its first words: one for what is borne out, one for what is not."""
    return next((color for words, color in COLORS.items() if decision.startswith(words)), "#d55e00")


def _sourced(one: Any) -> str:
    """What the paper says, with the place where it does."""
    return f"{one.paper} ({one.source})" if one.paper and one.source else one.paper


def _undecided(n: int, needed: int) -> str:
    """What it would take. Of the tests that have the samples they need, one in five is undecided all the same."""
    more = f"; n = {needed} would decide" if needed > n else f", though n = {needed} decides four cases of five"
    return f"undecided{more}"


def _decided(verdict: str, holds: bool | None) -> str:
    if holds is None or verdict != "no claim in the paper":
        return verdict
    return f"{verdict}; {'holds' if holds else 'does not hold'} here"


def _evidence(one: Any) -> str:
    """Estimate, interval, n and test of a finding, or of its row in a table."""
    form = "+.1f" if one.unit == "points" else "+.3f"
    p = f"{one.test}, p = {one.p:.2g}" + (f", corrected {one.p_corrected:.2g}" if one.p_corrected is not None else "")
    return f"{one.estimate:{form}} {one.unit} ({one.low:{form}} to {one.high:{form}}), n = {one.n}; {p}"


def corrected(findings: Sequence[Finding]) -> list[Finding]:
    """The cards of a notebook with Holm's correction over all of them.

    Raises:
        ValueError: two cards have one name.
    """
    names = [finding.claim for finding in findings]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"cards named {', '.join(sorted(twice))} are there twice: give each claim a name of its own")
    adjusted = holm([finding.p for finding in findings])
    return [replace(finding, p_corrected=p) for finding, p in zip(findings, adjusted, strict=True)]


def as_table(findings: Iterable[Finding]) -> pd.DataFrame:
    """Corrected cards as rows with `COLUMNS`, for ``findings.csv``. n_to_decide is missing where a claim is decided."""
    rows = [
        asdict(one) | {name: getattr(one, name) for name in ("verdict", "n_to_decide", "holds")} for one in findings
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"n_to_decide": "Int64"})


def in_words(table: pd.DataFrame) -> pd.DataFrame:
    """A table of `as_table`, also one read from its file, for readers.

    Returns:
        Columns claim (the statement), evidence, paper, taught and verdict, which are a card's words.
    """
    rows = []
    for one in table.astype(object).where(table.notna(), "").itertuples():
        holds = {"True": True, "False": False}.get(str(getattr(one, "holds", "")))
        undecided = _undecided(one.n, int(one.n_to_decide)) if one.n_to_decide != "" else ""
        rows.append(
            (one.statement, _evidence(one), _sourced(one), one.taught, undecided or _decided(one.verdict, holds))
        )
    return pd.DataFrame(rows, columns=["claim", "evidence", "paper", "taught", "verdict"])


def as_latex(findings: Iterable[Finding]) -> str:
    """Corrected cards as a LaTeX table: statement, evidence and verdict."""
    rows = [(one.statement, one.evidence, one.decision) for one in findings]
    table = pd.DataFrame(rows, columns=["Claim", "Evidence", "Verdict"])
    return (
        table.style.format(escape="latex").hide(axis="index").to_latex(hrules=True, column_format="p{5cm}p{7cm}p{3cm}")
    )
