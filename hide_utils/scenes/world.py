"""What the drawn world consists of: shapes, colors, and the photographs behind them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from PIL import Image
from skimage import data as photographs

PHOTOGRAPHS = {
    "train": (
        "astronaut",
        "rocket",
        "hubble_deep_field",
        "immunohistochemistry",
        "grass",
        "stereo_motorcycle",
        "coins",
        "camera",
        "page",
    ),
    "calibration": ("chelsea", "brick", "moon"),
    "test": ("coffee", "gravel", "retina", "text"),
}

SPLITS = tuple(PHOTOGRAPHS)


COLORS = {
    "red": (214, 30, 36),
    "green": (34, 158, 52),
    "blue": (36, 72, 222),
    "yellow": (244, 220, 32),
    "purple": (136, 36, 160),
    "cyan": (40, 208, 224),
    "orange": (246, 132, 20),
    "pink": (250, 140, 190),
}


SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "heart", "diamond")


@dataclass(frozen=True)
class Thing:
    """One drawn object.

    Attributes:
        shape: one of `SHAPES`.
        color: one of `COLORS`.
        box_xyxy: in pixels, half-open, exact to the drawn outline.
    """

    shape: str
    color: str
    box_xyxy: tuple[int, int, int, int]

    @property
    def centre(self) -> tuple[float, float]:
        """Centre of the box in pixels."""
        return (self.box_xyxy[0] + self.box_xyxy[2]) / 2, (self.box_xyxy[1] + self.box_xyxy[3]) / 2


@cache
def photograph(name: str) -> Image.Image:
    """A photograph of scikit-image's `data` module, as RGB; of a stereo pair the left one."""
    array = getattr(photographs, name)()
    return Image.fromarray(array[0] if isinstance(array, tuple) else array).convert("RGB")
