"""One panel with a picture: the picture itself, a map over it or alone, boxes, and a frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke
from PIL import Image

from hide_utils.plots.style import BOX_COLOR, MAP_COLORS

PANEL_PIXELS = 420  # pictures are scaled down to this before they go into a figure, which keeps its file small

Map = Float[np.ndarray, "h w"]


def overlay(ax: Axes, image: Image.Image, map_hw: Map | None = None, *, title: str | None = None) -> None:
    """Show a picture without axes and a map of any grid over it, in pixel coordinates.

    The map is the more opaque the higher its value, so that the picture stays visible, in grey, where nothing is found.

    Args:
        ax: panel to draw in.
        image: the picture.
        map_hw: the map in [0, 1], (h, w); None shows the picture alone.
        title: written above.
    """
    # Under a map the picture is grey, so that all color is the map's.
    ax.imshow(image if map_hw is None else image.convert("L").convert("RGB"))
    if map_hw is not None:
        opacity = 0.2 + 0.6 * np.clip(map_hw, 0, 1)
        ax.imshow(map_hw, cmap=MAP_COLORS, vmin=0, vmax=1, alpha=opacity, extent=_extent(image.size))
    ax.set_axis_off()
    if title is not None:
        ax.set_title(title)


def show_map(ax: Axes, map_hw: Map, image_size_wh: tuple[int, int], vmax: float = 1.0) -> AxesImage:
    """A map alone on a scale from 0 to `vmax`, in pixel coordinates of its picture and without ticks.

    Returns:
        What was drawn, for a color bar.
    """
    drawn = ax.imshow(
        map_hw, cmap=MAP_COLORS, vmin=0, vmax=vmax, extent=_extent(image_size_wh), interpolation="nearest"
    )
    without_ticks(ax)
    return drawn


def without_ticks(ax: Axes) -> None:
    """Leave of a panel's axes only the place for a label."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def _extent(image_size_wh: tuple[int, int]) -> tuple[float, float, float, float]:
    """Edges of a picture: the centre of a pixel is its whole number, its edge half a pixel before."""
    width, height = image_size_wh
    return -0.5, width - 0.5, height - 0.5, -0.5


def draw_boxes(
    ax: Axes,
    boxes_xyxy: Iterable[Sequence[float]],
    *,
    color: str = BOX_COLOR,
    dashed: bool = False,
) -> None:
    """Outline half-open pixel boxes (x0, y0, x1, y1) on a picture.

    The line lies on a wider one in black, so that it shows on any picture.
    """
    style: dict[str, Any] = {"fill": False, "edgecolor": color, "linewidth": 1.2, "linestyle": "--" if dashed else "-"}
    style["path_effects"] = [Stroke(linewidth=2.4, foreground="black"), Normal()]
    for x0, y0, x1, y1 in boxes_xyxy:
        ax.add_patch(Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, **style))


def frame(ax: Axes) -> None:
    """A thin frame around a panel, without which white fill would look like the page."""
    ax.add_patch(Rectangle((0, 0), 1, 1, transform=ax.transAxes, fill=False, edgecolor="0.7", linewidth=0.6))


def thumbnail(ax: Axes, image: Image.Image, most_pixels: int | None = PANEL_PIXELS) -> float:
    """A picture of at most `most_pixels` a side, in pixel coordinates of what is shown.

    Returns:
        The factor by which it was scaled, at most 1.
    """
    scale = min(1.0, (most_pixels or max(image.size)) / max(image.size))
    overlay(ax, image.resize([max(1, round(side * scale)) for side in image.size]) if scale < 1 else image)
    ax.set_anchor("N")  # pictures of a row begin at the same height
    return scale
