"""The picture of one answer: every stage of the method side by side."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hide_utils.images import composite_on_white
from hide_utils.method.result import Result
from hide_utils.plots.style import PAGE_WIDTH, draw_boxes, new_figure, overlay, plain_text


def stages(result: Result, most_tokens: int = 8) -> Figure:
    """Every stage of one answer: the picture with its regions, the tokens' purified maps, the compact image, answers.

    At most ``most_tokens`` maps are drawn, one a token; the title of the last says how many there are more.
    """
    shown = min(len(result.tokens), most_tokens)
    columns = min(shown + 2, 5)
    rows = -(-(shown + 2) // columns)
    fig, axes = new_figure(rows, columns, width=PAGE_WIDTH, height=rows * PAGE_WIDTH / columns * 1.12 + 0.55)
    panels = iter(np.atleast_1d(axes).flat)
    overlay(ax := next(panels), result.image, title="regions found")
    draw_boxes(ax, result.boxes)
    for number in range(shown):
        rest = f" (+{len(result.tokens) - shown} more)" if number == shown - 1 and shown < len(result.tokens) else ""
        overlay(next(panels), result.image, result.maps[number], title=f"“{plain_text(result.tokens[number])}”{rest}")
    ax = next(panels)
    if result.compact_image is None:
        ax.text(0.5, 0.5, "no region", ha="center", va="center")
        ax.set_axis_off()
    else:
        title = "compact, {} × {} px".format(*result.compact_image.size)
        overlay(ax, composite_on_white(result.compact_image), title=title)
        ax.add_patch(Rectangle((0, 0), 1, 1, transform=ax.transAxes, fill=False, edgecolor="0.7", linewidth=0.6))
    for ax in panels:
        ax.set_axis_off()
    fig.suptitle(_answers(result), fontsize=9)
    fig.supxlabel(_settings(result), fontsize=6, color="0.35")
    return fig


def _answers(result: Result) -> str:
    direct = ""
    if result.direct_answer is not None:
        direct = f"direct: {_with_option(result, result.direct_answer, result.direct_letter)}     "
    return f"{plain_text(result.question)}\n{direct}HiDe: {_with_option(result, result.answer, result.letter)}"


def _settings(result: Result) -> str:
    s = result.settings
    parts = [
        result.model_name,
        f"entities: {plain_text(result.entities.text, 80)}",
        f"layer {s.layer} (counted from 0), σ {s.sigma:g}, α {s.alpha:g}",
        *([result.fallback] if result.fallback else []),
    ]
    return textwrap.fill(" · ".join(parts), 150)


def _with_option(result: Result, answer: str, letter: str | None) -> str:
    """The reply with the text of the option it states."""
    text = plain_text(answer.strip(), 40) or "(empty reply)"
    return f"{text} ({plain_text(result.options[ord(letter) - ord('A')], 40)})" if letter and result.options else text
