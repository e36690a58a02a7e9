"""Curves, and points over a number, show the values of their tables with their intervals."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from hide_utils import plots
from hide_utils.analyses import robustness
from hide_utils.analyses.cost import PROCEDURES, STEPS
from hide_utils.baselines import LOOKS


@pytest.fixture
def ax():
    fig, ax = plt.subplots()
    yield ax
    plt.close(fig)


def points(ax):
    return [bar[0].get_xdata().tolist() for bar in ax.containers]


def test_error_curves_and_own_errors(ax):
    table = pd.DataFrame(
        [("absent", r, "accuracy", 0.9 - r / 2, 0.8 - r / 2, 1 - r / 2) for r in (1.0, 0.0)],
        columns=["corruption", "rate", "measure", "estimate", "low", "high"],
    )
    plots.error_curves(ax, table)
    line = ax.containers[0][0]
    assert line.get_xdata().tolist() == [0, 1] and line.get_ydata().tolist() == pytest.approx([0.9, 0.4])
    plots.error_curves(ax, table[:0])  # nothing measured: nothing drawn
    assert len(ax.containers) == 1


def test_gates_with_what_a_random_share_reaches(ax):
    curves = {"gate": pd.DataFrame({"times_direct": [1.0, 2.0], "accuracy": [0.5, 0.8]})}
    chosen = pd.DataFrame({"method": ["direct", "hide", "gate"], "times_direct": [1.0, 1.9, 1.5]})
    chosen = chosen.assign(accuracy=[0.5, 0.8, 0.7], low=0.4, high=0.9)
    plots.cost_curves(ax, curves, chosen, chosen[:2])
    dashed = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert [line.get_xdata().tolist() for line in dashed] == [[1.0, 1.9]]
    assert set(ax.get_legend_handles_labels()[1]) == {"random share", "direct", "hide", "gate"}


def test_curves_have_a_band_each(ax):
    table = pd.DataFrame({"kind": ["wrong", "wrong", "extra"], "rate": [1.0, 0.0, 0.0], "accuracy": [0.5, 0.6, 0.5]})
    table = table.assign(low=0.4, high=0.7)
    looks = robustness.CORRUPTION_LOOKS
    plots.bands(ax, table, "rate", "kind", looks=looks, values=plots.ACCURACY, markers=plots.MARKERS)
    assert ax.get_legend_handles_labels()[1] == ["wrong", "extra"] and len(ax.collections) == 2
    assert ax.lines[0].get_color() == looks["wrong"].color
    assert ax.lines[0].get_xdata().tolist() == [0.0, 1.0], "joined in order"
    assert [line.get_marker() for line in ax.lines] == ["o", "s"]


def test_setting_in_use_has_its_line(ax):
    plots.setting(ax, 0.5, "the model's own: σ 0.5")
    assert ax.get_legend_handles_labels()[1] == ["the model's own: σ 0.5"] and ax.lines[0].get_xdata() == [0.5, 0.5]


def test_accuracy_over_a_number_returns_what_it_draws(ax):
    rows = [(m, x, i < 2 + x, 4) for m in ("direct", "hide") for x in (2, 1) for i in range(4)]
    results = pd.DataFrame(rows, columns=["method", "side", "correct", "n_options"])
    table = plots.accuracy_curve(ax, results, "side", xlabel="side", looks=LOOKS)
    assert table["side"].tolist() == [1, 1, 2, 2] and table["accuracy"].tolist() == [0.75, 0.75, 1, 1]
    assert list(table.columns) == ["side", "method", "n", "accuracy", "low", "high"]
    assert ax.get_legend_handles_labels()[1] == ["direct", "HiDe", "chance"]
    assert ax.lines[-1].get_ydata()[0] == 0.25


def test_ratios_over_the_side_have_a_panel_for_each_model():
    table = pd.DataFrame({"model": ["a", "a", "b"], "side": [448, 896, 448], "plain": [1.0, 4.0, 2.0]})
    table = table.assign(hide=1.5 * table["plain"], released=2 * table["plain"])
    fig = plots.ratios_by_side(table, looks=PROCEDURES)
    assert [ax.get_title() for ax in fig.axes] == ["a", "b"] and fig.axes[0].get_xscale() == "log"
    assert fig.axes[0].lines[0].get_ydata().tolist() == [1.5, 1.5]
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["HiDe", "as released: full passes"]


def test_levers_stand_on_an_axis_that_holds_nothing_saved():
    table = pd.DataFrame({"lever": ["one", "one", "other"], "model": ["a", "b", "a"], "saved": [0.5, 0.4, 0.0]})
    (ax,) = plots.levers_rows(table).axes
    assert ax.get_xscale() == "symlog" and ax.get_xlim()[0] < 0
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["one", "other"]


def test_bars_are_stacked_of_their_parts_with_the_sum_behind(ax):
    table = pd.DataFrame({"extract": [1.0, None], "answer": [2.0, 4.0]}, index=["plain", "hide"])
    sums = pd.DataFrame({"min": [2.5, 3.0], "max": [3.5, 4.5]}, index=["plain", "hide"])
    plots.stacked_bars(ax, table, STEPS, "{:.1f} s", sums, looks=PROCEDURES)
    assert [text.get_text().strip() for text in ax.texts] == ["3.0 s", "4.0 s"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["plain answer", "HiDe"]
    assert [bar.get_label() for bar in ax.containers if bar.get_label() in ("entities", "answer")] == [
        "entities",
        "answer",
    ]


def test_floors_are_marked_on_their_bars():
    fig, ax = plots.new_figure()
    table = pd.DataFrame({"answer": [2.0, 3.0]}, index=["one", "other"])
    plots.stacked_bars(ax, table, STEPS, "{:.1f} s", pd.DataFrame({"min": [2, 3], "max": [2, 3]}, index=table.index))
    plots.floor_marks(ax, pd.Series({"other": 1.5}), "floor")
    ((low, high),) = ax.collections[-1].get_segments()
    assert low[0] == high[0] == 1.5 and (low[1] + high[1]) / 2 == 1
    plots.shared_legend(fig, [ax])
    assert "floor" in [text.get_text() for text in fig.legends[0].get_texts()]
