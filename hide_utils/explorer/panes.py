"""The explorer's panes: a view as pictures, made fast enough to follow a slider, as text, and as a figure to keep."""

from __future__ import annotations

import html
import io
import math
import textwrap
from collections.abc import Sequence
from functools import cache

import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from hide_utils.baselines import LOOKS
from hide_utils.explorer.case import Answer, Case, Knobs, View
from hide_utils.images import composite_on_white
from hide_utils.looks import look_of
from hide_utils.plots import BOX_COLOR, MAP_COLORS, TRUTH_COLOR, Panel, gallery, plain_text, source_line

PICTURE, THUMB = 640, 150  # longer side in pixels of the picture and of a token's map
MOST_COLUMNS = 6  # of a figure
MOST_THUMBS = 24  # maps of tokens that are drawn, since a longer list would be slow and illegible
QUALITY = {
    "recall50": "true boxes at least half covered",
    "iou": "IoU with the true boxes",
    "energy": "mass of the maps in the true boxes",
    "area": "share of the picture kept",
}


def fitted(image: Image.Image, side: int) -> Image.Image:
    """The picture as RGB with its longer side at most `side` pixels."""
    image = composite_on_white(image) if image.mode != "RGB" else image
    scale = min(side / max(image.size), 1)
    size = [max(round(edge * scale), 1) for edge in image.size]
    return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)


@cache
def _colors() -> UInt8[np.ndarray, "256 3"]:
    return (matplotlib.colormaps[MAP_COLORS](np.arange(256))[:, :3] * 255).round().astype(np.uint8)


def heated(picture: Image.Image, map_hw: Float[np.ndarray, "h w"]) -> Image.Image:
    """A map in [0, 1] over a picture, colored cell by cell.

    Colors and opacities are those of `hide_utils.plots.overlay`.
    """
    level = np.clip(map_hw, 0, 1)
    color = Image.fromarray(_colors()[(level * 255).round().astype(np.uint8)])
    opacity = Image.fromarray((255 * (0.2 + 0.6 * level)).round().astype(np.uint8))
    over, mask = (part.resize(picture.size, Image.Resampling.NEAREST) for part in (color, opacity))
    result = picture.copy()
    result.paste(over, mask=mask)
    return result


def outlined(picture: Image.Image, boxes: Sequence[Sequence[float]], scale: float, color: str, dash: int = 0) -> None:
    """Outline boxes on a picture, in place.

    The line has a dark edge, so that it stands out from the map's bright end too.

    Args:
        picture: that is drawn on.
        boxes: (x0, y0, x1, y1) in pixels of the full picture, half-open.
        scale: size of `picture` relative to the full one.
        color: of the line.
        dash: length of a dash in pixels; 0 draws a whole line.
    """
    draw, rgb = ImageDraw.Draw(picture), tuple(round(255 * c) for c in to_rgb(color))
    for box in boxes:
        x0, y0, x1, y1 = (round(v * scale) for v in box)
        x1, y1 = max(x1 - 1, x0), max(y1 - 1, y0)
        sides = [(x0, y0, x1, y0), (x1, y0, x1, y1), (x0, y1, x1, y1), (x0, y0, x0, y1)]
        for line, width in (((20, 20, 20), 4), (rgb, 2)):
            for side in sides:
                for part in _dashes(side, dash):
                    draw.line(part, line, width)


def _dashes(side: tuple[int, int, int, int], dash: int) -> list[tuple[int, int, int, int]]:
    """A horizontal or vertical line as dashes, with gaps as long as they; the whole line where `dash` is 0."""
    x0, y0, x1, y1 = side
    if not dash:
        return [side]
    if y0 == y1:
        return [(x, y0, min(x + dash, x1), y0) for x in range(x0, x1 + 1, 2 * dash)]
    return [(x0, y, x0, min(y + dash, y1)) for y in range(y0, y1 + 1, 2 * dash)]


def encoded(picture: Image.Image) -> bytes:
    """The picture as JPEG, which takes a tenth of the time and of the bytes of PNG for a photograph."""
    stream = io.BytesIO()
    picture.save(stream, format="JPEG", quality=90)
    return stream.getvalue()


def picture_pane(base: Image.Image, case: Case, view: View) -> bytes:
    """The fitted picture `base` with the map of all tokens, the regions and, dashed, the true boxes; as JPEG."""
    shown, scale = heated(base, view.union), base.width / case.image.width
    outlined(shown, case.boxes_xyxy, scale, TRUTH_COLOR, dash=4)
    outlined(shown, view.regions, scale, BOX_COLOR)
    return encoded(shown)


def token_panes(base: Image.Image, view: View) -> list[bytes]:
    """Every token's purified map over the fitted picture `base`, as JPEG.

    A token that is off has a grey picture without its map. At most `MOST_THUMBS` tokens are drawn.
    """
    grey = base.convert("L").convert("RGB")
    return [
        encoded(heated(base, one) if on else heated(grey, np.zeros_like(one)))
        for one, on in zip(view.maps[:MOST_THUMBS], view.on, strict=False)
    ]


def compact_pane(view: View) -> bytes:
    """The second picture as JPEG; a blank one where there is none."""
    return encoded(Image.new("RGB", (64, 64), "white") if view.compact is None else fitted(view.compact, PICTURE))


def legend_html(case: Case, knobs: Knobs, n_layers: int) -> str:
    """What the lines mean, what was searched for, notes on it, and the layer, counted from 0 and from 1."""
    marks = f'<span style="color:{BOX_COLOR}">▬</span> regions'
    if case.boxes_xyxy:
        marks += f' &nbsp; <span style="color:{TRUTH_COLOR}">╍╍</span> true boxes'
    said = f"entities ({case.entities.source}): {case.entities.text}"
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in (case.entities.note, *case.notes) if note)
    layer = f"layer {knobs.layer} counted from 0, the paper's {knobs.layer + 1} of {n_layers}"
    return f"<p>{marks}</p><p>{html.escape(said)}</p>{notes}<p>{layer}</p>"


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
            text = f"{_option(case, reply.letter, reply.text)}{_verdict(case, reply.letter)}"
        elif stored.get(method):
            text += f" (evaluation: {_option(case, stored[method], '')}{_verdict(case, stored[method])})"
        name = look_of(LOOKS, method).label
        blocks.append(f"<p><b>{html.escape(name)}</b>: {html.escape(text)}</p>{_bars(case, reply)}")
    truth = f"<p><b>truth</b>: {html.escape(_option(case, case.label, ''))}</p>" if case.label else ""
    return "".join(blocks) + truth


def _option(case: Case, letter: str | None, text: str) -> str:
    """The letter with its option's text, or the reply itself where it states no letter."""
    if not letter or not case.options:
        return text.strip() or "no letter stated"
    return f"{letter} ({case.options[ord(letter) - ord('A')]})"


def _verdict(case: Case, letter: str | None) -> str:
    """Whether the letter is right, as a mark and a word; empty where that is not known."""
    return "" if case.label is None else (" ✓ right" if letter == case.label else " ✗ wrong")


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


def _table(rows: Sequence[tuple[str, object]]) -> str:
    cells = "".join(
        f'<tr><td style="padding:0 8px 0 0">{html.escape(str(name))}</td>'
        f'<td style="text-align:right">{html.escape(str(value))}</td></tr>'
        for name, value in rows
    )
    return f'<table style="line-height:1.35">{cells}</table>'


def figure(model: str, case: Case, knobs: Knobs, view: View, most_tokens: int = 8) -> Figure:
    """The view to keep: the picture, the maps of tokens that are on, the second picture, the answers and the notes.

    Args:
        model: its name.
        case: that is shown.
        knobs: its settings.
        view: what they give.
        most_tokens: maps that are drawn at most.
    """
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
    source_line(fig, model=model, benchmark=plain_text(case.name, 60), n=1, more=_settings(case, knobs))
    return fig


def _said(case: Case, knobs: Knobs) -> str:
    """The question, the answers and the right option in one line."""
    parts = [plain_text(case.question)]
    for name, reply in (("direct", case.answers.get(None)), ("HiDe", case.answers.get(knobs))):
        if reply is not None:
            parts.append(f"{name}: {plain_text(_option(case, reply.letter, reply.text), 40)}")
    parts += [f"truth: {plain_text(_option(case, case.label, ''))}"] if case.label else []
    return "   ".join(parts)


def _settings(case: Case, knobs: Knobs) -> str:
    """The settings in one line."""
    parts = [f"layer {knobs.layer + 1} (counted from 1), σ {knobs.sigma:g}, α {knobs.alpha:g}"]
    parts += [] if knobs.noise_prior else ["no noise prior"]
    parts += [f"{len(knobs.tokens_off)} of {len(case.attention.tokens)} tokens off"] if knobs.tokens_off else []
    return ", ".join([*parts, knobs.layout.replace("_", " ")])
