"""What the drawn world consists of: 74 nouns and their icons, eight colors, and the photographs behind them.

The icons lie as masks in ``data/scenes/icons.npz``, which a script beside it wrote once. So no scene depends on
how a font is rendered. The file holds the icons of the nouns and others besides, which no question names.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image
from skimage import data as photographs

from hide_utils import paths
from hide_utils.files import data_of

FOLDER = paths.DATA / "scenes"

_WORLD = data_of(__file__)
PHOTOGRAPHS = {split: tuple(names) for split, names in _WORLD["photographs"].items()}
SPLITS = tuple(PHOTOGRAPHS)
COLORS = {name: tuple(rgb) for name, rgb in _WORLD["colors"].items()}
NOUNS = tuple(_WORLD["nouns"].split())
RECORD = {
    "name": "scenes",
    "about": f"drawn scenes of {len(NOUNS)} nouns and {len(COLORS)} colors",
    "words": " ".join([*NOUNS, *COLORS, "object with color and of what is the on left or right side above below"]),
}

# Font Awesome's name for each noun. Most are the noun itself.
ICONS = {noun: noun for noun in NOUNS} | _WORLD["icons"]


@dataclass(frozen=True)
class Thing:
    """One object of a scene.

    Attributes:
        noun: one of `NOUNS`. Of an unnamed object it is the name of its icon.
        color: one of `COLORS`.
        box_xyxy: in pixels, half-open, exact to the drawn outline.
        size: longer side of its icon in pixels, without the outline.
        mirrored: whether left and right are exchanged.
        shade: what is added to red, green and blue of its color.
    """

    noun: str
    color: str
    box_xyxy: tuple[int, int, int, int]
    size: int = 0
    mirrored: bool = False
    shade: int = 0

    @property
    def centre(self) -> tuple[float, float]:
        """Centre of the box in pixels."""
        return (self.box_xyxy[0] + self.box_xyxy[2]) / 2, (self.box_xyxy[1] + self.box_xyxy[3]) / 2


def entity_name(thing: Thing) -> str:
    """A thing's entity in canonical form, with both of its attributes."""
    return f"{thing.noun} with {thing.color} color"


@cache
def photograph(name: str) -> Image.Image:
    """A photograph of scikit-image's `data` module, as RGB; of a stereo pair the left one."""
    array = getattr(photographs, name)()
    return Image.fromarray(array[0] if isinstance(array, tuple) else array).convert("RGB")


@cache
def _icons() -> np.lib.npyio.NpzFile:
    return np.load(FOLDER / "icons.npz", allow_pickle=False)


@cache
def unnamed_icons() -> tuple[str, ...]:
    """Names of the icons that stand for no noun, in the order of the alphabet."""
    return tuple(sorted(set(_icons().files) - set(ICONS.values())))


@cache
def icon(name: str) -> Image.Image:
    """Mask of a noun or of an unnamed icon: 8 bits, its longer side 256 pixels, without a margin.

    Raises:
        ValueError: for a name that is neither.
    """
    name = ICONS.get(name, name)
    if name not in _icons():
        raise ValueError(f"no icon {name!r}; the nouns are {', '.join(NOUNS)}")
    return Image.fromarray(_icons()[name])
