"""Figures of the open questions show the numbers of their tables, with their intervals."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from hide_utils.analyses import when_to_look as gating
from hide_utils.plots import robustness as plots_robustness


@pytest.fixture
def ax():
    fig, ax = plt.subplots()
    yield ax
    plt.close(fig)


def points(ax):
    return [bar[0].get_xdata().tolist() for bar in ax.containers]


def test_dots_stand_at_their_estimates(ax):
    table = pd.DataFrame(
        [("t1", "a", 0.5, 0.2, 0.7), ("t1", "b", 0.1, 0.0, 0.3), ("t2", "a", 0.9, 0.8, 1.0)],
        columns=["row", "series", "estimate", "low", "high"],
    )
    plots_robustness.dots(ax, table, "row", "series", {"a": "C0", "b": "C1"})
    assert points(ax)[0] == [0.5, 0.9] and points(ax)[1][0] == 0.1 and np.isnan(points(ax)[1][1])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["t1", "t2"]


def test_error_curves_and_own_errors(ax):
    table = pd.DataFrame(
        [("absent", r, "accuracy", 0.9 - r / 2, 0.8 - r / 2, 1 - r / 2) for r in (1.0, 0.0)],
        columns=["corruption", "rate", "measure", "estimate", "low", "high"],
    )
    plots_robustness.error_curves(ax, table, "accuracy")
    line = ax.containers[0][0]
    assert line.get_xdata().tolist() == [0, 1] and line.get_ydata().tolist() == pytest.approx([0.9, 0.4])
    own = {"extractor": ["rules"], "rate": [0.3], "rate_low": [0.1], "rate_high": [0.5]}
    plots_robustness.own_errors(ax, pd.DataFrame(own | {"estimate": [0.7], "low": [0.6], "high": [0.8]}), {})
    assert points(ax)[1:] == [[0.3]]
    plots_robustness.error_curves(ax, table, "iou")  # nothing of this measure: nothing drawn
    assert len(ax.containers) == 2


def test_tokens_with_the_threshold(ax):
    table = pd.DataFrame({"token": ["star", "with"], "n": [4, 9], "score": [0.1, -0.1], "kept": [1.0, 0.0]})
    plots_robustness.token_bars(ax, table, 0.05)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["star (4)", "with (9)"]
    assert any(np.allclose(line.get_xdata(), 0.05) for line in ax.lines)


def test_gates_and_their_curves(ax):
    flops = {
        f"flops_{name}": [2.0] * 3 for name in ("hide", *(f"{s}_{w}" for s in gating.SIGNALS for w in ("look", "stay")))
    }
    outcomes = {"direct": [True, True, False], "hide": [False, True, True], "margin": [3.0, 2.0, 1.0]}
    cases = pd.DataFrame(
        {"sample_id": list("abc"), "maps": [1.0, 3.0, 2.0], "flops_direct": [1.0] * 3} | outcomes | flops
    )
    gates = {"margin": gating.choose_gate("margin", cases)}
    curves = {name: gating.curve(gate, cases) for name, gate in gates.items()}
    plots_robustness.gate_curves(ax, curves, gating.summary(gates, cases))
    assert len(ax.lines) > len(curves) and set(ax.get_legend_handles_labels()[1]) == {"direct", "HiDe", "gate: margin"}


def test_the_matrix_says_every_cell(ax):
    rows = [(a, b, 0.1 * (a != b), 0.0, 0.2) for a in "xy" for b in "xy"]
    table = pd.DataFrame(rows, columns=["chosen_on", "used_on", "regret", "low", "high"])
    plots_robustness.matrix(ax, table)
    said = [text.get_text() for text in ax.texts]
    assert said.count("0") == 2 and sum(text.startswith("+0.100") for text in said) == 2
