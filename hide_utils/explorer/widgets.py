"""What is drawn in the browser: the picture with its map, rows of small maps, colored words, the command.

Python hands over arrays and boxes; colors, zoom, opacity, the value under the pointer and drawing by hand are the
browser's. Everything stands in this folder's scripts, without a build step or anything fetched.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import matplotlib
import numpy as np
import traitlets as t
from PIL import Image

from hide_utils.images import composite_on_white
from hide_utils.looks import PALETTE
from hide_utils.plots import BOX_COLOR, MAP_COLORS, TRUTH_COLOR

FOLDER = Path(__file__).parent
BOX_COLORS = {"regions": BOX_COLOR, "truth": TRUTH_COLOR, "differs": PALETTE[6], "own": PALETTE[9], "asked": "#ffffff"}


@cache
def colors() -> np.ndarray:
    """The 256 colors of a map, as (256, 3) bytes."""
    return (matplotlib.colormaps[MAP_COLORS](np.arange(256))[:, :3] * 255).round().astype(np.uint8)


def script(name: str) -> str:
    """A widget's script with what all share before it, since a script without a server can import no other."""
    parts = [(FOLDER / file).read_text(encoding="utf-8") for file in ("common.js", name)]
    return "\n".join([f"const COLORS = {colors().ravel().tolist()};", *parts])


def jpeg(image: Image.Image, side: int) -> bytes:
    """The picture with its longer side at most `side` pixels, as JPEG."""
    image = composite_on_white(image) if image.mode != "RGB" else image
    scale, stream = min(side / max(image.size), 1), io.BytesIO()
    size = [max(round(edge * scale), 1) for edge in image.size]
    image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0).save(stream, format="JPEG", quality=90)
    return stream.getvalue()


def _shared(default: Any) -> Any:
    """A trait of a default value's type that Python and the browser share."""
    kinds = {bytes: t.Bytes, str: t.Unicode, bool: t.Bool, int: t.Int, float: t.Float, list: t.List, dict: t.Dict}
    return kinds[type(default)](default).tag(sync=True)


def update(widget: anywidget.AnyWidget, **values: Any) -> None:
    """Set several traits of a widget, which go to the browser as one message."""
    with widget.hold_sync():
        for name, value in values.items():
            setattr(widget, name, value)


class MapPane(anywidget.AnyWidget):
    """A picture with a map over it and boxes on it.

    Attributes:
        picture: JPEG.
        size_wh: of the full picture, in whose pixels the boxes are.
        values: of the map, float32, row by row; empty for no map.
        grid_hw: rows and columns of the map.
        top: value of the brightest color.
        shown: what the map is, in words, with its unit.
        regions, truth, differs, own: xyxy of what was found, what is true, what the other pane lacks, what was drawn.
        marked: a byte for each cell, 1 where this pane keeps it and the other does not.
        asked: xyxy of a marked place, in parts of the picture's sides; empty without one.
        opacity: of the map, in [0, 1].
        zoom: factor, and the middle of what is shown in parts of the picture's sides.
        fixed: whether nothing can be drawn by hand.
        meaning: text for whoever cannot see it.
    """

    picture, values, marked = _shared(b""), _shared(b""), _shared(b"")
    size_wh, grid_hw, zoom = _shared([1, 1]), _shared([1, 1]), _shared([1, 0.5, 0.5])
    regions, truth, differs, own, asked = (_shared([]) for _ in range(5))
    top, opacity, shown, meaning = _shared(1.0), _shared(0.8), _shared(""), _shared("")
    box_colors, fixed = _shared(BOX_COLORS), _shared(False)
    _esm = script("picture.js")

    def show_map(self, map_hw: np.ndarray, shown: str, top: float | None = None) -> None:
        """Show another map. Its brightest color stands for `top`, or else for its largest value."""
        highest = float(map_hw.max(initial=0.0)) if top is None else top
        values = np.ascontiguousarray(map_hw, np.float32).tobytes()
        update(self, values=values, grid_hw=list(map_hw.shape), top=highest or 1.0, shown=shown)


class Thumbs(anywidget.AnyWidget):
    """Small maps in a row, each a button.

    Attributes:
        picture: JPEG that stands under each map; empty for maps alone.
        size_wh: of the full picture.
        maps: of all, a byte for each cell.
        grid_hw: rows and columns of each.
        labels, below: texts under each.
        chosen: numbers of those that are pressed, counted from 0.
        multiple: whether several can be.
        dims: whether those that are not pressed are grey and without their map.
        playable: whether a button goes through all.
        line: a value for each, drawn under all; empty for none.
        said: what the line or the texts mean.
        does: what pressing one does, in words before its label.
        side: of each, in CSS pixels.
    """

    picture, maps = _shared(b""), _shared(b"")
    size_wh, grid_hw = _shared([1, 1]), _shared([1, 1])
    labels, below, chosen, line = (_shared([]) for _ in range(4))
    multiple, dims, playable, disabled = (_shared(False) for _ in range(4))
    said, does, side = _shared(""), _shared(""), _shared(64)
    _esm = script("thumbs.js")

    def show(self, maps: np.ndarray, labels: Sequence[str], **more: Any) -> None:
        """Show maps in [0, 1] with their labels; `more` are other traits."""
        cells = (np.clip(maps, 0, 1) * 255).round().astype(np.uint8)
        update(self, maps=cells.tobytes(), grid_hw=list(maps.shape[-2:]), labels=list(labels), **more)


class Words(anywidget.AnyWidget):
    """Texts by token, colored.

    Attributes:
        groups: title and tokens of each text. Tokens are counted over all texts.
        shares: what each token is colored by.
        ends: shares of no color and of the strongest.
        unit: of the shares, in words.
        said: what the colors mean.
        chosen, hovered: number of the token that was clicked, and that the pointer is on; -1 for none.
    """

    groups, shares, ends = _shared([]), _shared([]), _shared([0.0, 1.0])
    unit, said = _shared(""), _shared("")
    chosen, hovered = _shared(-1), _shared(-1)
    _esm = script("words.js")


class CommandPane(anywidget.AnyWidget):
    """A command with a button that copies it where the browser allows, and one that asks for the arrays.

    While it is shown, it also names the handles of the explorer's sliders by the text of their labels. The keyboard and
    screen readers reach a handle, and ipywidgets leaves it without a name.
    """

    value = _shared("")
    _esm = script("command.js")
    _css = FOLDER / "explorer.css"
