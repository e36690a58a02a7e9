"""Grids of pictures: galleries of any panels, cases, the stages of an answer, edits of one picture."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from hide_utils.images import composite_on_white
from hide_utils.looks import NO_LOOKS, Looks, look_of
from hide_utils.plots.pictures import PANEL_PIXELS, draw_boxes, frame, overlay, thumbnail, without_ticks
from hide_utils.plots.style import BOX_COLOR, PAGE_WIDTH, TRUTH_COLOR, new_figure, plain_text
from hide_utils.stats.rows import outcomes

Box = Sequence[float]
Maps = Float[np.ndarray, "maps h w"]
Answers = Mapping[str, tuple[str | None, str | None]]  # method -> reply and the letter that it states


class Panel(NamedTuple):
    """One panel of a gallery.

    Attributes:
        picture: None leaves the panel empty, but for its title.
        title: written above.
        boxes: outlined solid, pixel xyxy of the picture.
        truth: true boxes, outlined dashed.
        color: of `boxes`.
        framed: whether the panel has a frame, which white pictures need.
        flush: whether the title starts at the panel's left edge.
    """

    picture: Image.Image | None = None
    title: str = ""
    boxes: Sequence[Box] = ()
    truth: Sequence[Box] = ()
    color: str = BOX_COLOR
    framed: bool = False
    flush: bool = False


def gallery(
    lines: Sequence[Sequence[Panel]],
    *,
    titles: float = 0.4,
    title_size: float = 7,
    most_pixels: int | None = PANEL_PIXELS,
) -> Figure:
    """Panels in lines, over the width of the page.

    Args:
        lines: from top to bottom; a line may be shorter than the longest.
        titles: height that a line leaves for its titles, in inches.
        title_size: of the titles, in points.
        most_pixels: longer side to which pictures are scaled down, which keeps the figure's file small; None shows
            them as they are.
    """
    columns = max(len(panels) for panels in lines)
    height = len(lines) * (PAGE_WIDTH / columns + titles) + 0.2
    fig, axes = new_figure(len(lines), columns, width=PAGE_WIDTH, height=height, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for line, panels in zip(axes, lines, strict=True):
        for ax, panel in zip(line, panels, strict=False):
            ax.set_title(panel.title, fontsize=title_size, loc="left" if panel.flush else "center")
            if panel.picture is not None:
                scale = thumbnail(ax, panel.picture, most_pixels)
                draw_boxes(ax, (np.reshape(panel.boxes, (-1, 4)) * scale).tolist(), color=panel.color)
                draw_boxes(ax, (np.reshape(panel.truth, (-1, 4)) * scale).tolist(), color=TRUTH_COLOR, dashed=True)
            if panel.framed:
                frame(ax)
    return fig


def case_gallery(
    results: pd.DataFrame,
    samples: Sequence[Any],
    *,
    baseline: str,
    method: str,
    looks: Looks = NO_LOOKS,
    most: int = 3,
) -> Figure:
    """The first samples that both of two methods answered and only one got right, with the regions.

    Solid boxes are the method's regions, dashed ones the ground truth. Titles give question, replies and truth.

    Args:
        results: one row a sample and method, with columns sample_id, method, correct, letter, reply (of questions
            without options) and regions (flat xyxy).
        samples: those of the results, as `hide_utils.samples.Sample`.
        baseline: the method of which the lower row shows the samples that it alone got right.
        method: the method of the upper row.
        looks: of the methods.
        most: samples in a row.
    """
    wide = results.assign(correct=outcomes(results)).pivot(index="sample_id", columns="method", values="correct")
    rows = results.set_index(["sample_id", "method"])
    lines = []
    for better, worse in ((method, baseline), (baseline, method)):
        cases = [s for s in samples if wide.loc[s.id, better] > wide.loc[s.id, worse]][:most]
        none = Panel(title=f"none that only {look_of(looks, better).label} got right")
        line = [_case(sample, rows.loc[sample.id], (baseline, method), looks) for sample in cases] or [none]
        lines.append(line + [Panel()] * (most - len(line)))
    return gallery(lines, title_size=8, most_pixels=None)


def _case(sample: Any, rows: pd.DataFrame, methods: tuple[str, str], looks: Looks) -> Panel:
    replies = rows.reindex(columns=["letter", "reply"])
    told = {name: plain_text(sample.said(*replies.loc[name]), 20) for name in methods}
    said = [f"{look_of(looks, name).label}: {told[name]}" for name in methods]
    regions, answer = rows.loc[methods[1], "regions"], plain_text(sample.answer, 20)
    said.append(f"truth: {sample.label} ({answer})" if sample.label else f"truth: {answer}")
    title = f"{textwrap.fill(plain_text(sample.question, 120), 36)}\n{' · '.join(said)}"
    picture, truth = sample.sheet
    return Panel(picture, title, () if regions is None else regions, truth)


def stages(
    image: Image.Image,
    boxes: Sequence[Box],
    tokens: Sequence[str],
    maps: Maps,
    compact_image: Image.Image | None,
    *,
    question: str,
    options: Sequence[str] | None,
    answers: Answers,
    details: Sequence[str | None],
    truth: Sequence[Box] = (),
    most_tokens: int = 8,
) -> Figure:
    """Every stage of one answer: the picture with its regions, the tokens' maps, the compact image.

    Args:
        image: the picture.
        boxes: the regions, pixel xyxy.
        tokens: texts of the tokens.
        maps: one for each token, in [0, 1].
        compact_image: RGBA; None where there is none.
        question: as asked.
        options: texts of the options, from A on.
        answers: method -> reply and the letter that it states; without a reply it is left out.
        details: what was run, for the small print; None is left out.
        truth: true boxes, pixel xyxy; dashed.
        most_tokens: maps that are drawn; the title of the last says how many there are more.
    """
    shown = min(len(tokens), most_tokens)
    if 0 < shown <= 2:  # then maps have room beside the picture
        fig, axes = new_figure(1, 2 + shown, width=PAGE_WIDTH, height=PAGE_WIDTH / (2 + shown) + 1.4)
        picture, *of_maps, second = axes
    else:
        fig, axes = new_figure(2, 1, width=PAGE_WIDTH, height=5.0, height_ratios=[3.2, 1])
        (picture, second), of_maps = (_row_of(ax, n) for ax, n in zip(axes, (2, max(shown, 5)), strict=True))
    _regions(picture, image, boxes, truth)
    for number, ax in zip(range(shown), of_maps, strict=False):
        rest = f" (+{len(tokens) - shown} more)" if number == shown - 1 and shown < len(tokens) else ""
        overlay(ax, image, maps[number], title=f"“{plain_text(tokens[number])}”{rest}")
    second_picture(second, compact_image, "compact")
    _said(fig, question, options, answers, details)
    return fig


def stages_of_several(
    looked: Sequence[Any], truth: Sequence[Sequence[Box]] = (), most_tokens: int = 4, **said: Any
) -> Figure:
    """Every stage of one answer about several pictures: a line for each picture.

    Args:
        looked: what was found in each picture, as `hide_utils.method.result.Looked`.
        truth: true boxes of each picture, pixel xyxy; dashed.
        most_tokens: maps that are drawn of a picture.
        said: question, options, answers and details, as for `stages`.
    """
    columns = 2 + max(min(len(one.tokens), most_tokens) for one in looked)
    height = len(looked) * (PAGE_WIDTH / columns + 0.25) + 0.9
    fig, axes = new_figure(len(looked), columns, width=PAGE_WIDTH, height=height, squeeze=False)
    for number, (one, (picture, *of_maps, second)) in enumerate(zip(looked, axes, strict=True)):
        _regions(picture, one.image, one.boxes, truth[number] if len(truth) else ())
        picture.set_title(f"picture {number + 1}, {picture.get_title()}")
        for ax, token, map_hw in zip(of_maps, one.tokens, one.maps, strict=False):
            overlay(ax, one.image, map_hw, title=f"“{plain_text(token)}”")
        second_picture(second, one.compact_image, "compact")
        for ax in (picture, *of_maps, second):
            ax.set_axis_off()
            ax.set_title(ax.get_title(), fontsize=7)
    _said(fig, **said)
    return fig


def _said(fig: Figure, question: str, options: Sequence[str] | None, answers: Answers, details: Sequence) -> None:
    """Question and answers above the panels, and the small print below."""
    said = [f"{name}: {_with_option(*answer, options)}" for name, answer in answers.items() if answer[0] is not None]
    fig.suptitle(f"{plain_text(question)}\n{'     '.join(said)}", fontsize=9)
    fig.supxlabel(textwrap.fill(" · ".join(filter(None, details)), 130), fontsize=7, color="0.35")


def _row_of(ax: Axes, n: int) -> list[Axes]:
    """A line of `n` panels without axes in the place of one."""
    ax.set_axis_off()
    place = ax.get_subplotspec()
    assert place is not None  # which axes of `new_figure` have
    grid = place.subgridspec(1, n)
    panels = [ax.figure.add_subplot(grid[0, number]) for number in range(n)]
    for panel in panels:
        panel.set_axis_off()
    return panels


def _regions(ax: Axes, image: Image.Image, boxes: Sequence[Box], truth: Sequence[Box]) -> None:
    overlay(ax, image, title="regions" + (", dashed: true" if truth else ""))
    draw_boxes(ax, boxes)
    draw_boxes(ax, truth, color=TRUTH_COLOR, dashed=True)


def picture_and_compact(
    image: Image.Image, boxes: Sequence[Box], truth: Sequence[Box], compact: Image.Image | None
) -> Figure:
    """A picture with its regions and true boxes (pixel xyxy), and beside it the compact image."""
    fig, axes = new_figure(1, 2, width=PAGE_WIDTH, height=3.3, width_ratios=[1.4, 1])
    _regions(axes[0], image, boxes, truth)
    second_picture(axes[1], compact, "compact image")
    return fig


def question(
    image: Image.Image, asked: str, options: Sequence[str] | None, truth: Sequence[Box], reply: str, answer: str
) -> Figure:
    """A picture with its true boxes, beside it the question, its options, what the model replies, and the answer.

    Args:
        image: the picture.
        asked: the question.
        options: texts of the options. None without any.
        truth: true boxes, pixel xyxy.
        reply: the model's direct answer.
        answer: text of the right option; empty where it is not known.
    """
    fig, axes = new_figure(1, 2, width=PAGE_WIDTH, height=3.4, width_ratios=[1.3, 1])
    overlay(axes[0], image)
    draw_boxes(axes[0], truth, color=TRUTH_COLOR, dashed=True)
    axes[1].set_axis_off()
    lettered = [f"{ascii_uppercase[i]}. {plain_text(text, 60)}" for i, text in enumerate(options or ())]
    said = ["", f"the model alone: {plain_text(reply, 60)}", f"right: {plain_text(answer, 60) or 'not known'}"]
    lines = [textwrap.fill(plain_text(asked), 40), "", *lettered, *said]
    axes[1].text(0, 0.5, "\n".join(lines), va="center", fontsize=9, linespacing=1.5)
    return fig


def _with_option(reply: str | None, letter: str | None, options: Sequence[str] | None) -> str:
    """The reply with the text of the option that it states."""
    text = plain_text((reply or "").strip(), 40) or "(empty reply)"
    return f"{text} ({plain_text(options[ord(letter) - ord('A')], 40)})" if letter and options else text


def second_picture(ax: Axes, image: Image.Image | None, name: str) -> None:
    """The second picture on white, in a frame and with its size, or a word where there is none."""
    ax.set_axis_off()
    if image is None:
        ax.text(0.5, 0.5, "no region", ha="center", va="center")
        return
    overlay(ax, composite_on_white(image), title="{}, {} × {} px".format(name, *image.size))
    frame(ax)


def edit_gallery(lines: Mapping[str, Sequence[tuple[str, Image.Image, Box]]], boxes: Sequence[Box]) -> Figure:
    """Edited pictures of one picture, in its coordinates: a line of panels for each name.

    Within a line all panels have the scale of the largest. Grey is outside the edited picture.

    Args:
        lines: name -> title, edited picture, and where that lies in the original, pixel xyxy.
        boxes: outlined in each panel.
    """
    columns = max(len(panels) for panels in lines.values())
    height = len(lines) * (PAGE_WIDTH / (columns + 0.25) + 0.12) + 0.2
    fig, axes = new_figure(len(lines), columns, width=PAGE_WIDTH, height=height, squeeze=False)
    for line, (name, panels) in zip(axes, lines.items(), strict=True):
        limits = np.array([place for *_, place in panels])
        for ax, (title, shown, place) in zip(line, panels, strict=False):
            x0, y0, x1, y1 = place
            ax.imshow(shown, extent=(x0 - 0.5, x1 - 0.5, y1 - 0.5, y0 - 0.5), interpolation="antialiased")
            draw_boxes(ax, [place], color="0.55")
            draw_boxes(ax, boxes, color=TRUTH_COLOR)
            ax.set(xlim=(limits[:, 0].min() - 2, limits[:, 2].max() + 1), facecolor="0.82")
            ax.set_ylim(limits[:, 3].max() + 1, limits[:, 1].min() - 2)
            without_ticks(ax)
            ax.set_title(title, fontsize=7, pad=2)
        line[0].set_ylabel(name)
        for ax in line[len(panels) :]:
            ax.set_axis_off()
    return fig
