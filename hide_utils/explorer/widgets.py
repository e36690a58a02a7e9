"""Two widgets that ipywidgets lacks: a picture with a text in its place, and a command that can be copied."""

from __future__ import annotations

import base64
import html
from pathlib import Path

import anywidget
import ipywidgets as w
import traitlets

FOLDER = Path(__file__).parent


class ImagePane(w.HTML):
    """A picture with a text for whoever cannot see it. `widgets.Image` has no such text and fails with a tooltip.

    Args:
        meaning: that text.
        side: largest width and height, in CSS pixels.
    """

    def __init__(self, meaning: str, side: int) -> None:
        super().__init__()
        self.meaning, self.side = meaning, side

    def show(self, jpeg: bytes) -> None:
        """Show an encoded picture."""
        data = base64.b64encode(jpeg).decode()
        style = f"width:100%;max-width:{self.side}px;max-height:{self.side}px"
        self.value = f'<img alt="{html.escape(self.meaning)}" style="{style}" src="data:image/jpeg;base64,{data}">'


class CommandPane(anywidget.AnyWidget):
    """A command with a button that selects it and, where the browser allows, copies it.

    While it is shown, it also names the handles of the explorer's sliders by the text of their labels. The keyboard and
    screen readers reach a handle, and ipywidgets leaves it without a name.
    """

    value = traitlets.Unicode().tag(sync=True)
    _esm = FOLDER / "command.js"
    _css = FOLDER / "explorer.css"
