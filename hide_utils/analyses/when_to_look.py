"""Notebook 11. When to look: HiDe for those questions alone whose direct answer is unsure.

Which answer a gate gives, and what it costs, follows from two answers that are there already, direct and with HiDe. So
a threshold is chosen, and a whole curve drawn, without running the model again. `CLAIMS` says what decides each claim.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hide_utils import findings, plots
from hide_utils.baselines import LOOKS as METHOD_LOOKS
from hide_utils.config import Count, RunConfig, Share
from hide_utils.evaluation import stored_answers, stored_measures
from hide_utils.evaluation.gates import (
    SIGNALS,
    Gate,
    applied,
    case_table,
    choose,
    conformal,
    curve,
    doubt,
    mended,
    outcome_counts,
    random_share,
    sureness,
)
from hide_utils.findings import Finding, claims_beside
from hide_utils.looks import PALETTE, Look
from hide_utils.method import HiDe
from hide_utils.samples import Sample
from hide_utils.stats import accuracies
from hide_utils.stats.rows import mean_interval, pictures_of


class WhenToLookConfig(RunConfig):
    """Parameters of notebook 11.

    Attributes:
        n_calibration: samples of the calibration split. None takes all.
        n_easy: easy scenes on which the gates are tried.
        slack: accuracy that a gate may lose on the calibration split for looking less.
        level: share of the answers that looking would mend which the conformal gate may leave alone.
    """

    notebook: str = "11_when_to_look"
    n_calibration: Count | None = None
    n_easy: Count | None = None
    slack: Share = 0.01
    level: Share = 0.1


DEFAULT, EASY = "default", "easy"  # names of the two sets of samples
LOOKS = {
    "direct": METHOD_LOOKS["direct"]._replace(marker="s"),
    "hide": METHOD_LOOKS["hide"]._replace(marker="D"),
    "margin gate": Look("gate by margin", PALETTE[9], "o"),
    "entropy gate": Look("gate by entropy", PALETTE[0], "^"),
    "conformal gate": METHOD_LOOKS["hide_conformal"]._replace(label="conformal gate", marker="o"),
    "random share": Look("a random share looked at", "0.45"),
}
LEVELS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)  # promised shares of the figure
OUTCOMES = {
    "right both ways": Look("right both ways", PALETTE[2]),
    "gained": Look("gained by looking", PALETTE[9]),
    "spoilt": Look("spoilt by looking", PALETTE[3]),
    "wrong both ways": Look("wrong both ways", PALETTE[7]),
}
SHARES = {"stayed": "pictures not\nlooked at again", "gains": "HiDe's gains\nkept", "saved": "HiDe's losses\navoided"}

CLAIMS = claims_beside(__file__)  # by the set of samples


def chosen_gates(calibration: pd.DataFrame, slack: float) -> dict[str, Gate]:
    """The gates that `choose` takes on `cases` of the calibration split, by name: "margin gate" and "entropy gate"."""
    return {f"{signal} gate": choose(signal, calibration, slack) for signal in SIGNALS}


def halves(calibration: pd.DataFrame) -> dict[str, Gate]:
    """Gates that look at the less sure half of the calibration split, by name: "margin half" and "entropy half"."""
    return {f"{signal} half": Gate(signal, float(np.median(doubt(signal, calibration)))) for signal in SIGNALS}


def promised_gate(calibration: pd.DataFrame, level: float) -> dict[str, Gate]:
    """The gate by margin that `conformal` takes on the calibration split, by its name."""
    return {"conformal gate": conformal("margin", calibration, level)}


def promise_card(gates: Mapping[str, Gate], table: pd.DataFrame, level: float) -> list[Finding]:
    """The card of the share of answers that looking would mend and the conformal gate leaves alone, less the promised.

    Without answers that looking would mend there is none.
    """
    of = table[mended(table)]
    ((claim, words),) = CLAIMS["promise"].items()
    left = ~gates["conformal gate"].looks(of)
    excess = 100 * (left.astype(float) - level)
    return [] if of.empty else [findings.of_differences(excess, pictures_of(of), "points", claim=claim, **words)]


def promises(calibration: pd.DataFrame, table: pd.DataFrame, levels: Sequence[float] = LEVELS) -> pd.DataFrame:
    """What conformal gates of several levels do on other samples.

    Returns:
        Columns level (the promised share), margin (above which an answer is left alone), n (answers that looking would
        mend), estimate, low and high (the share of them that is left alone), looked (share of all samples), accuracy.
    """
    rows, of = [], table[mended(table)]
    for level in levels:
        gate = conformal("margin", calibration, level)
        left, found = mean_interval(~gate.looks(of), pictures_of(of)), applied(gate, table)
        rows.append((level, -gate.least, left.n, *left[:3], found["looked"].mean(), found["correct"].mean()))
    columns = ["level", "margin", "n", "estimate", "low", "high", "looked", "accuracy"]
    return pd.DataFrame(rows, columns=columns)


def promise_figure(kept: pd.DataFrame, level: float) -> Figure:
    """`promises` against what was promised: the share left alone with its intervals, and the share looked at."""
    fig, axes = plots.new_figure(1, 2, width=plots.PAGE_WIDTH, height=2.4)
    ends = [0, kept["level"].max()]
    axes[0].plot(ends, ends, color="0.45", linestyle="--", linewidth=1.0, label="as promised", zorder=0)
    plots.band(axes[0], kept, "level", LOOKS["conformal gate"])
    axes[1].plot(kept["level"], kept["looked"], "o-", color=LOOKS["conformal gate"].color, markersize=3, linewidth=1.2)
    axes[0].set(ylabel="share left alone", title=f"answers that looking would mend, n = {kept['n'].max()}")
    axes[1].set(ylabel="share looked at", title="all questions", ylim=(0, 1.03))
    for ax in axes:
        plots.setting(ax, level, "level in use", color="0.6")
        ax.set(xlabel="promised: share left alone at most")
    plots.shared_legend(fig, axes, columns=3)
    return fig


def cases(hide: HiDe, samples: Sequence[Sample], config: WhenToLookConfig, **draw: Any) -> pd.DataFrame:
    """The `case_table` of samples, from stored rows.

    Args:
        hide: the method's settings, with its model.
        samples: of one draw.
        config: the notebook's parameters.
        **draw: what distinguishes the samples from others of the benchmark, as for `stored_answers`.
    """
    answers = stored_answers(hide, samples, ["direct", "hide"], config, **draw)
    return case_table(answers, stored_measures(hide, samples, sureness, config, "sureness"))


def answers_of(gates: Mapping[str, Gate], table: pd.DataFrame) -> pd.DataFrame:
    """Rows of direct answers, of HiDe and of every gate by its name, as for `findings.of_answers`."""
    ways = {"direct": table["direct"], "hide": table["hide"]}
    ways |= {name: applied(gate, table)["correct"].astype(bool) for name, gate in gates.items()}
    of_all = [table[["sample_id", "image_id", "kind"]].assign(method=name, correct=way) for name, way in ways.items()]
    return pd.concat(of_all, ignore_index=True)


def cards_of(
    claims: Sequence[str], gates: Mapping[str, Gate], tables: Mapping[str, pd.DataFrame], on: str = DEFAULT
) -> list[Finding]:
    """A card for each of these `CLAIMS` on a set of samples. Without samples for it there is none."""
    cards = []
    for name in claims if on in tables else ():
        words, table = dict(CLAIMS[on][name]), tables[on]
        if direct := words.pop("direct", None):
            table = table[table["direct"] == (direct == "right")]
        if table.empty:
            continue
        if words["against"] != "random share":
            cards.append(findings.of_answers(answers_of(gates, table), claim=name, **words))
            continue
        gate = gates[words.pop("method")]
        words.pop("against")
        gains = 100 * (applied(gate, table)["correct"].to_numpy(float) - random_share(gate, table))
        cards.append(findings.of_differences(gains, pictures_of(table), "points", claim=name, **words))
    return cards


def summary(gates: Mapping[str, Gate], tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Direct, HiDe and every gate on each set of samples, a row each.

    Returns:
        Columns scenes, method, n, accuracy, low, high, looked (share), and times_direct (FLOPs).
    """
    rows = []
    for name, table in tables.items():
        costs = {"direct": (0.0, table["flops_direct"]), "hide": (1.0, table["flops_hide"])}
        for way, gate in gates.items():
            found = applied(gate, table)
            costs[way] = found["looked"].mean(), found["flops"]
        times = {method: flops.sum() / table["flops_direct"].sum() for method, (_, flops) in costs.items()}
        of = accuracies(answers_of(gates, table), ["method"]).assign(scenes=name)
        looked = of["method"].map({method: share for method, (share, _) in costs.items()})
        rows.append(of.assign(looked=looked, times_direct=of["method"].map(times)))
    columns = ["scenes", "method", "n", "accuracy", "low", "high", "looked", "times_direct"]
    return pd.concat(rows, ignore_index=True)[columns]


def outcome_figure(table: pd.DataFrame) -> Figure:
    """`outcome_counts` of every signal as stacked bars."""
    names = {0: "surest quarter", 1: "second", 2: "third", 3: "least sure"}
    fig, axes = plots.new_figure(1, len(SIGNALS), width=plots.PAGE_WIDTH, height=2.0, sharey=True)
    for ax, (signal, label) in zip(axes, SIGNALS.items(), strict=True):
        counts = outcome_counts(table, signal).rename(index=names)
        ends = pd.DataFrame(dict.fromkeys(("min", "max"), counts.sum(axis=1)))
        plots.stacked_bars(ax, counts, OUTCOMES, "n = {:.0f}", ends)
        ax.set(title=f"by the {label}", xlabel="questions")
    plots.shared_legend(fig, axes, columns=4)
    return fig


def kept_shares(gates: Mapping[str, Gate], tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Of every gate: the share of pictures that are not looked at, of HiDe's gains kept, and of its losses avoided.

    Returns:
        Columns scenes, what (a key of `SHARES`), method, n, estimate, low and high. Shares of nothing are left out.
    """
    rows = []
    for name, table in tables.items():
        helped, harmed = ~table["direct"] & table["hide"], table["direct"] & ~table["hide"]
        for way, gate in gates.items():
            found = applied(gate, table)
            right = found["correct"].astype(bool).to_numpy()
            of_all = np.ones(len(table), bool)
            parts = {
                "stayed": (~found["looked"].to_numpy(), of_all),
                "gains": (right, helped),
                "saved": (right, harmed),
            }
            for what, (values, among) in parts.items():
                if np.any(among):
                    share = mean_interval(values[among], pictures_of(table[among]))
                    rows.append((name, what, way, share.n, *share[:3]))
    return pd.DataFrame(rows, columns=["scenes", "what", "method", "n", "estimate", "low", "high"])


def kept_figure(gates: Mapping[str, Gate], tables: Mapping[str, pd.DataFrame]) -> Figure:
    """`kept_shares` as dots, a panel for each set of samples."""
    shares = kept_shares(gates, tables)
    fig, axes = plots.new_figure(
        1, len(tables), width=plots.PAGE_WIDTH * (0.35 + 0.3 * len(tables)), height=2.1, squeeze=False, sharey=True
    )
    for ax, name in zip(axes[0], tables, strict=True):
        of = shares[shares["scenes"] == name]
        n = of.drop_duplicates("what").set_index("what")["n"]
        plots.dot_rows(ax, of, "what", "method", rows=SHARES, looks=LOOKS, markersize=4)
        for y, what in enumerate(SHARES):
            ax.annotate(
                f"n = {n.get(what, 0)}",
                (1, y),
                (4, 0),
                ("axes fraction", "data"),
                "offset points",
                va="center",
                fontsize=7,
            )
        ax.set(title=f"{name} scenes", xlabel="share", xlim=(-0.03, 1.03))
    plots.shared_legend(fig, axes[0], columns=len(gates))
    return fig


def cost_figure(gates: Mapping[str, Gate], tables: Mapping[str, pd.DataFrame], chosen: pd.DataFrame) -> Figure:
    """Accuracy against cost of every threshold, and of the gates in `chosen` (from `summary`), a panel for each set."""
    fig, axes = plots.new_figure(1, len(tables), width=plots.PAGE_WIDTH, height=2.7, squeeze=False)
    for ax, (name, table) in zip(axes[0], tables.items(), strict=True):
        of = chosen[chosen["scenes"] == name]
        curves = {way: curve(gate.signal, table) for way, gate in gates.items()}
        ends = of[of["method"].isin(["direct", "hide"])]
        plots.cost_curves(ax, curves, of, ends, looks=LOOKS)
        ax.set(title=f"{name} scenes, n = {len(table)}", xlabel="FLOPs, times direct")
    axes[0, 0].set_ylabel("accuracy")
    plots.shared_legend(fig, axes[0], columns=5)
    return fig


def by_kind(card: Finding, gates: Mapping[str, Gate], tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Forest of a card on the usual samples, and of the same difference for each kind of question."""
    kinds = findings.by_kind(tables[DEFAULT])
    parts = {kind: cards_of([card.claim], gates, {DEFAULT: rows})[0] for kind, rows in kinds.items()}
    return plots.findings_forest([card], parts={card.claim: parts})
