"""A view as text, and as a figure to keep."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from PIL import Image

from hide_utils.baselines import LOOKS
from hide_utils.evaluation import localisation
from hide_utils.explorer.case import Answer, Case, Knobs, Shown, View
from hide_utils.explorer.widgets import BOX_COLORS, colors
from hide_utils.images import composite_on_white
from hide_utils.looks import look_of
from hide_utils.plots import BOX_COLOR, Panel, gallery, plain_text, source_line
from hide_utils.samples import Sample
from hide_utils.scoring import is_right

MOST_COLUMNS = 6  # of a figure
QUALITY = {
    "recall50": "true boxes at least half covered",
    "iou": "IoU with the true boxes",
    "energy": "mass of the maps in the true boxes",
    "area": "share of the picture kept",
}


def heated(picture: Image.Image, map_hw: Float[np.ndarray, "h w"]) -> Image.Image:
    """A map in [0, 1] over a picture, colored cell by cell.

    Colors and opacities are those of `hide_utils.plots.overlay`.
    """
    level = np.clip(map_hw, 0, 1)
    color = Image.fromarray(colors()[(level * 255).round().astype(np.uint8)])
    opacity = Image.fromarray((255 * (0.2 + 0.6 * level)).round().astype(np.uint8))
    over, mask = (part.resize(picture.size, Image.Resampling.NEAREST) for part in (color, opacity))
    result = picture.copy()
    result.paste(over, mask=mask)
    return result


def legend_html(shown: Shown, compared: bool = False) -> str:
    """What the lines mean, what was searched for, notes on it, and the layer, counted from 1 and from 0.

    Args:
        shown: what a pane shows.
        compared: whether another pane stands beside it, so that differences are marked.
    """
    case, knobs = shown.case, shown.knobs
    kinds = {"own" if knobs.own_boxes else "regions": "regions of your own" if knobs.own_boxes else "regions"}
    kinds |= {"truth": "true boxes"} if len(case.boxes_xyxy) else {}
    kinds |= {"differs": "only here (hatched: cells above α only here)"} if compared else {}
    marks = " &nbsp; ".join(
        f'<span style="color:{BOX_COLORS[kind]}">{"╍╍" if kind == "truth" else "▬"}</span> {said}'
        for kind, said in kinds.items()
    )
    said = f"entities ({case.entities.source}): {case.entities.text}"
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in (case.entities.note, *case.notes) if note)
    layer = f"layer {knobs.layer + 1} of {shown.n_layers}, {knobs.layer} counted from 0; {_heads(knobs)}"
    return f"<p>{marks}</p><p>{html.escape(said)}</p>{notes}<p>{layer}</p>"


def _heads(knobs: Knobs) -> str:
    if not knobs.heads:
        return "mean of all heads"
    return f"head{'s' * (len(knobs.heads) > 1)} {', '.join(str(head + 1) for head in knobs.heads)}"


def caption_html(view: View, knobs: Knobs) -> str:
    """What the second picture is."""
    if view.compact is None:
        return "<p>no region: the answer is the direct one</p>"
    return "<p>second picture, {}: {} × {} px</p>".format(knobs.layout.replace("_", " "), *view.compact.size)


def numbers_html(case: Case, view: View) -> str:
    """Table of the numbers of regions and tokens, the sizes of the pictures and the quality of the regions."""
    values = view.quality | {"energy": view.energy}
    rows = [("regions", len(view.regions)), ("tokens", f"{int(view.on.sum())} of {len(view.on)}")]
    size = "none" if view.compact is None else "{} × {} px".format(*view.compact.size)
    rows += [("picture", "{} × {} px".format(*case.image.size)), ("second picture", size)]
    rows += [
        (name, "–" if np.isnan(values[key]) or not (case.boxes_xyxy or key == "area") else f"{values[key]:.1%}")
        for key, name in QUALITY.items()
    ]
    return _table(rows)


def timings_html(case: Case, seconds: float) -> str:
    """Table of what each stage that has run took, and the last redraw (`seconds`)."""
    rows = [(step, f"{1000 * took:.0f} ms") for step, took in case.session.seconds.items()]
    return _table([*rows, ("last redraw", f"{1000 * seconds:.0f} ms")])


def answers_html(case: Case, knobs: Knobs, stored: dict[str, str | None]) -> str:
    """The answers under these settings with the probabilities of their letters, and the right one.

    Args:
        case: with the answers given so far.
        knobs: settings of the second picture.
        stored: method -> letter of an earlier evaluation at the method's own settings. It is shown where the model has
            not been asked.
    """
    given = {"direct": case.answers.get(None), "hide": case.answers.get(knobs)}
    blocks = []
    for method, reply in given.items():
        text = "not asked yet" if method == "direct" else "not asked with these settings"
        if reply is not None:
            text = f"{_option(case, reply.letter, reply.text)}{_verdict(case, reply.letter, reply.text)}"
        elif stored.get(method):
            text += (
                f" (evaluation: {_option(case, stored[method], '')}{_verdict(case, stored[method], stored[method])})"
            )
        name = look_of(LOOKS, method).label
        blocks.append(f"<p><b>{html.escape(name)}</b>: {html.escape(text)}</p>{_bars(case, reply)}")
    truth = f"<p><b>truth</b>: {html.escape(_truth(case))}</p>" if _truth(case) else ""
    return "".join(blocks) + truth


def _option(case: Case, letter: str | None, text: str) -> str:
    """The letter with its option's text, or the reply itself where it states no letter."""
    if not letter or not case.options:
        return (text or letter or "").strip() or "no letter stated"
    return f"{letter} ({case.options[ord(letter) - ord('A')]})"


def _free(case: Case) -> Sample | None:
    """The sample of a case that has no options, but accepted answers."""
    return case.sample if case.sample and not case.sample.options else None


def _truth(case: Case) -> str:
    """The right option, or the accepted answers; empty where neither is known."""
    if sample := _free(case):
        return " / ".join(sample.answers)
    return _option(case, case.label, "") if case.label else ""


def _verdict(case: Case, letter: str | None, text: str | None) -> str:
    """Whether the letter, or without options the reply, is right: a mark and a word; empty where that is not known."""
    if sample := _free(case):
        right = is_right(text or "", sample)
    elif case.label is None:
        return ""
    else:
        right = letter == case.label
    return " ✓ right" if right else " ✗ wrong"


def _bars(case: Case, reply: Answer | None) -> str:
    """A bar and a number for the probability of each letter; empty where there is none."""
    if reply is None or not reply.probabilities:
        return ""
    cells = "".join(
        f'<div style="display:flex;gap:6px;align-items:center"><span style="width:1.2em">{letter}</span>'
        f'<span style="display:inline-block;height:.7em;width:{100 * p:.0f}px;background:{BOX_COLOR}"></span>'
        f"<span>{p:.0%}</span></div>"
        for letter, p in reply.probabilities.items()
    )
    return f'<div role="group" aria-label="probability of each letter">{cells}</div>'


def _table(rows: Sequence[tuple[object, ...]]) -> str:
    lines = ("".join(f"<td>{html.escape(str(value))}</td>" for value in row) for row in rows)
    return f'<table class="hide-table">{"".join(f"<tr>{line}</tr>" for line in lines)}</table>'


def differences_html(one: Shown, other: Shown) -> str:
    """Table of what differs between two views: what was asked, the settings, what came of them.

    Between views of pictures of one size it has the IoU of their regions too.
    """
    sides = [_facts(shown) for shown in (one, other)]
    both = [(name, *(side.get(name, "not known") for side in sides)) for name in sides[0] | sides[1]]
    rows = [row for row in both if row[1] != row[2]]
    if one.case.image.size == other.case.image.size:
        overlap = localisation.iou(one.view.regions, other.view.regions)
        rows.append(("IoU of the regions", f"{overlap:.2f}", ""))
    return _table([("", "pinned", "now"), *rows])


def _facts(shown: Shown) -> dict[str, str]:
    """What can differ between two views, by name."""
    case, knobs, view = shown.case, shown.knobs, shown.view
    answers = {"direct": case.answers.get(None), "HiDe": case.answers.get(knobs)}
    said = {
        f"{name} answer": _option(case, one.letter, one.text) if one else "not asked" for name, one in answers.items()
    }
    quality = {
        QUALITY[name]: f"{value:.1%}" for name, value in view.quality.items() if name == "area" or case.boxes_xyxy
    }
    off = ", ".join(case.attention.tokens[i] for i in knobs.tokens_off)
    return {
        "model": shown.model,
        "picture": case.name,
        "question": case.question,
        "entities": case.entities.text,
        "layer": str(knobs.layer + 1),
        "heads": _heads(knobs),
        "σ": f"{knobs.sigma:g}",
        "α": f"{knobs.alpha:g}",
        "noise prior": "subtracted" if knobs.noise_prior else "left in",
        "tokens left out": off or "none",
        "layout": knobs.layout.replace("_", " "),
        "boxes": "drawn by hand" if knobs.own_boxes else "found",
        "regions": str(len(view.regions)),
        **quality,
        **said,
    }


def figure(shown: Shown, most_tokens: int = 8) -> Figure:
    """The view to keep: the picture, the maps of tokens that are on, the second picture, the answers and the notes.

    Args:
        shown: what a pane shows.
        most_tokens: maps that are drawn at most.
    """
    case, knobs, view = shown.case, shown.knobs, shown.view
    on = np.flatnonzero(view.on)[:most_tokens].tolist()
    title = "regions; dashed: truth" if case.boxes_xyxy else "regions"
    panels = [Panel(heated(case.image, view.union), title, view.regions, case.boxes_xyxy)]
    tokens = [f"“{plain_text(token, 20)}”" for token in case.attention.tokens]
    panels += [Panel(heated(case.image, view.maps[number]), tokens[number]) for number in on]
    second = None if view.compact is None else composite_on_white(view.compact)
    title = "second, {} × {} px".format(*second.size) if second else "no region"
    panels.append(Panel(second, title, framed=second is not None))
    columns = math.ceil(len(panels) / math.ceil(len(panels) / MOST_COLUMNS))
    fig = gallery([panels[start : start + columns] for start in range(0, len(panels), columns)])
    said = [_said(case, knobs), *(plain_text(note, 500) for note in (case.entities.note, *case.notes) if note)]
    fig.suptitle("\n".join(textwrap.fill(line, 110) for line in said), fontsize=8)
    source_line(fig, model=shown.model, benchmark=plain_text(case.name, 60), n=1, more=_settings(case, knobs))
    return fig


def _said(case: Case, knobs: Knobs) -> str:
    """The question, the answers and the right option in one line."""
    parts = [plain_text(case.question)]
    for name, reply in (("direct", case.answers.get(None)), ("HiDe", case.answers.get(knobs))):
        if reply is not None:
            parts.append(f"{name}: {plain_text(_option(case, reply.letter, reply.text), 40)}")
    parts += [f"truth: {plain_text(_truth(case))}"] if _truth(case) else []
    return "   ".join(parts)


def _settings(case: Case, knobs: Knobs) -> str:
    """The settings in one line."""
    parts = [f"layer {knobs.layer + 1} (counted from 1), σ {knobs.sigma:g}, α {knobs.alpha:g}"]
    parts += [_heads(knobs)] if knobs.heads else []
    parts += ["regions drawn by hand"] if knobs.own_boxes else []
    parts += [] if knobs.noise_prior else ["no noise prior"]
    parts += [f"{len(knobs.tokens_off)} of {len(case.attention.tokens)} tokens off"] if knobs.tokens_off else []
    return ", ".join([*parts, knobs.layout.replace("_", " ")])
