"""Settings of a drawn scene, and the three difficulties that have a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hide_utils.scenes.drawing import GROUNDS

AREA = 256 * 256  # pixels to which numbers of objects and strokes refer
LARGEST = {"named": 16, "similar": 16, "unnamed": 64, "strokes": 256}


@dataclass(frozen=True)
class SceneConfig:
    """Settings of a scene. Numbers of objects and strokes are per 65 536 pixels, so that they grow with the area.

    Attributes:
        resolution: side of the square picture in pixels, 64 to 8192.
        named: things with a noun, those asked about among them; at least 4 in a scene. 2.25 are 36 at 1024 pixels.
        similar: how many of them share an attribute with a thing asked about, in questions of relations.
        unnamed: icons that no question names, as far as there is room.
        strokes: lines and discs in the ground's own colors.
        object_size: smallest and largest longer side of an icon in pixels, without its outline.
        separation: smallest distance between the two things of a relation along the axis that is asked about, as a
            share of the picture; 0 to 0.6.
        ground: ``"photographs"`` of the split; ``"procedural"``: gradients, textures and noise; or ``"plain"``: one
            color.

    Raises:
        ValueError: for a value of another type or out of range.
    """

    resolution: int = 1024
    named: float = 2.25
    similar: float = 1.375
    unnamed: float = 12
    strokes: float = 6
    object_size: tuple[int, int] = (36, 60)
    separation: float = 0.2
    ground: str = "photographs"

    def __post_init__(self) -> None:
        if type(self.resolution) is not int or not 64 <= self.resolution <= 8192:
            raise ValueError(f"resolution {self.resolution!r} must be a whole number from 64 to 8192, in pixels")
        for name, largest in LARGEST.items():
            _check_number(name, getattr(self, name), largest, " per 65 536 pixels")
        _check_number("separation", self.separation, 0.6)
        size = self.object_size
        whole = isinstance(size, tuple) and len(size) == 2 and all(type(side) is int for side in size)
        if not whole or not 8 <= size[0] <= size[1] <= self.resolution // 2:
            raise ValueError(
                f"object_size {size!r} must be two whole numbers, smallest and largest, from 8 to half the resolution, "
                f"{self.resolution // 2}"
            )
        if self.ground not in GROUNDS:
            raise ValueError(f"unknown ground {self.ground!r}; the scenes have {', '.join(GROUNDS)}")

    def count(self, name: str) -> int:
        """How many of ``"named"``, ``"similar"``, ``"unnamed"`` or ``"strokes"`` are in a picture."""
        n = round(getattr(self, name) * self.resolution**2 / AREA)
        return max(n, 4) if name == "named" else n

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of the picture in pixels."""
        return self.resolution, self.resolution


def _check_number(name: str, value: Any, largest: float, unit: str = "") -> None:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not 0 <= value <= largest:
        raise ValueError(f"{name} {value!r} must be a number from 0 to {largest}{unit}")


DIFFICULTIES: dict[str, dict[str, Any]] = {
    "easy": {"resolution": 640, "named": 2.25, "similar": 1.375, "unnamed": 12, "object_size": (36, 60)},
    "default": {"resolution": 1024, "named": 2.25, "similar": 1.375, "unnamed": 12, "object_size": (36, 60)},
    "hard": {"resolution": 1216, "named": 2.25, "similar": 1.375, "unnamed": 12, "object_size": (36, 60)},
}  # chosen on the calibration split by the accuracy of direct answers alone: `hide_utils.mini.measure`


def scene_config(difficulty: str, knobs: Mapping[str, Any]) -> SceneConfig:
    """The settings of a difficulty, but for those that are given.

    Raises:
        ValueError: for an unknown difficulty or setting, and for a value out of range.
    """
    if difficulty not in DIFFICULTIES:
        raise ValueError(f"unknown difficulty {difficulty!r}; the scenes have {', '.join(DIFFICULTIES)}")
    known = SceneConfig.__dataclass_fields__
    if unknown := sorted(set(knobs) - set(known)):
        raise ValueError(f"unknown scene settings {', '.join(unknown)}; the scenes have {', '.join(known)}")
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in knobs.items()}
    return SceneConfig(**DIFFICULTIES[difficulty] | given)
