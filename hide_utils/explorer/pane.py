"""A pane: one view's picture with its map and boxes, the answers, the second picture."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence

import ipywidgets as w
import numpy as np
from PIL import Image

from hide_utils.explorer import said
from hide_utils.explorer.case import Case, Shown
from hide_utils.explorer.galleries import only_here
from hide_utils.explorer.widgets import MapPane, jpeg, update

PICTURE, SECOND = 1536, 640  # most pixels of a side that go to the browser: zooming in shows more than fits
WRAPPED = {"display": "flex", "flex_flow": "row wrap", "grid_gap": "12px", "align_items": "flex-start"}


class ImagePane(w.HTML):
    """A picture with a text for whoever cannot see it. `widgets.Image` has no such text and fails with a tooltip.

    Args:
        meaning: that text.
        side: largest width and height, in CSS pixels.
    """

    def __init__(self, meaning: str, side: int) -> None:
        super().__init__()
        self.meaning, self.side = meaning, side
        self._shown: Image.Image | None = None

    def show(self, image: Image.Image | None) -> None:
        """Show a picture, or nothing. What is shown already is not made anew."""
        if image is self._shown:
            return
        self._shown = image
        if image is None:
            self.value = ""
            return
        data = base64.b64encode(jpeg(image, SECOND)).decode()
        style = f"max-width:100%;max-height:{self.side}px"
        self.value = f'<img alt="{html.escape(self.meaning)}" style="{style}" src="data:image/jpeg;base64,{data}">'


class Pane:
    """The widgets of one view.

    Args:
        name: what it is called.
        fixed: whether nothing can be drawn on it by hand.

    Attributes:
        map: the picture with its map.
        box: holds all widgets.
    """

    def __init__(self, name: str, fixed: bool = False) -> None:
        meaning = f"{name}: picture with a map over it, regions (solid) and true boxes (dashed)"
        self.map, self.name = MapPane(meaning=meaning, fixed=fixed), name
        self.title, self.legend, self.answers, self.caption = (w.HTML() for _ in range(4))
        self.compact = ImagePane(f"{name}, second picture: the regions in their layout", 320)
        first = w.VBox([self.map, self.legend], layout={"flex": "3 1 260px", "min_width": "240px"})
        beside = [self.answers, w.VBox([self.compact, self.caption])]
        second = w.Box(beside, layout=WRAPPED | {"flex": "2 1 180px", "min_width": "180px"})
        body = w.Box([first, second], layout=WRAPPED)
        self.box = w.VBox([self.title, body], layout={"flex": "1 1 280px", "min_width": "240px"})

    def show_picture(self, image: Image.Image, truth: Sequence[Sequence[float]] = ()) -> None:
        """Show a picture alone, before anything was searched in it."""
        empty: dict[str, list] = {name: [] for name in ("regions", "differs", "own", "asked")}
        update(
            self.map,
            picture=jpeg(image, PICTURE),
            size_wh=list(image.size),
            truth=[list(box) for box in truth],
            values=b"",
            marked=b"",
            shown="no map yet",
            zoom=[1, 0.5, 0.5],
            **empty,
        )
        self.compact.show(None)
        self.legend.value = self.answers.value = self.caption.value = ""

    def show_case(self, case: Case) -> None:
        """Show a case's picture and true boxes, before its view."""
        self.show_picture(case.image, case.boxes_xyxy)

    def show(self, shown: Shown, beside: Shown | None, map_hw: np.ndarray, words: str, top: float | None) -> None:
        """Show a view, and mark where it differs from the one beside it.

        Args:
            shown: the view.
            beside: what the other pane shows; None where there is none.
            map_hw: the map to draw.
            words: what the map is.
            top: value of the brightest color; None is the largest.
        """
        view, knobs = shown.view, shown.knobs
        differing, marked = _differences(shown, beside) if beside else ([], b"")
        with self.map.hold_sync():
            regions = [list(region) for region in view.regions if region not in differing]
            self.map.regions = [] if knobs.own_boxes else regions
            self.map.differs = [list(region) for region in differing]
            self.map.marked = marked
            self.map.own = [list(box) for box in knobs.own_boxes]
            self.map.show_map(map_hw, words, top)
        question = html.escape(shown.case.question)
        self.title.value = f"<h4>{self.name}</h4><p>{question}</p>" if beside else ""
        self.legend.value = said.legend_html(shown, compared=bool(beside))
        self.caption.value = said.caption_html(view, knobs)
        self.compact.show(view.compact)

    def show_answers(self, shown: Shown, stored: Mapping[str, str | None]) -> None:
        """Show the answers so far; `stored` is as in `said.answers_html`."""
        self.answers.value = said.answers_html(shown.case, shown.knobs, dict(stored))


def _differences(shown: Shown, beside: Shown) -> tuple[list, bytes]:
    """Regions that the view beside lacks, and a byte for each cell that this view alone keeps."""
    mine, other = shown.view, beside.view
    if shown.case.image.size != beside.case.image.size or shown.knobs.own_boxes or beside.knobs.own_boxes:
        return [], b""
    cells: np.ndarray = only_here(mine, other, (shown.knobs.alpha, beside.knobs.alpha))
    return [region for region in mine.regions if region not in other.regions], cells.astype(np.uint8).tobytes()
