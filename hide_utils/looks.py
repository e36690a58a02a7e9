"""How a series is drawn wherever it appears: its label, color and marker.

A room that names its series here (the methods, the settings of an analysis) loads no plotting library for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import Any, NamedTuple

# seaborn's palette "colorblind", which readers with any kind of color vision can tell apart
PALETTE = (
    *("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc"),
    *("#ca9161", "#fbafe4", "#949494", "#ece133", "#56b4e9"),
)
NEUTRAL = "0.3"


class Look(NamedTuple):
    """How one series is drawn wherever it appears.

    Attributes:
        label: its name in words, for legends and axes.
        color: any color of matplotlib.
        marker: its own marker; None leaves that to the figure.
        filled: whether the marker is filled with the color, or with white.
    """

    label: str
    color: str = NEUTRAL
    marker: str | None = None
    filled: bool = True


Looks = Mapping[Any, Look]
NO_LOOKS: Looks = {}


def self_labelled(colors: Mapping[str, int], markers: Sequence[str | None] = ()) -> dict[str, Look]:
    """Looks of series whose names are their labels.

    Args:
        colors: name -> its color's number in `PALETTE`.
        markers: one a name, in their order. Without any, markers are left to the figure.
    """
    markers = markers or [None] * len(colors)
    return {name: Look(name, PALETTE[i], marker) for (name, i), marker in zip(colors.items(), markers, strict=True)}


def look_of(looks: Looks, name: Any) -> Look:
    """The look of one name. A name that is not in the mapping is its own label and has a neutral color."""
    return looks.get(name) or Look(str(name))


def looks_of(looks: Looks, names: Iterable[Any]) -> dict[Any, Look]:
    """The look of every name, each once, in order of first appearance.

    Names that are not in the mapping are their own labels. They take the palette's colors that no other has, in turn.
    """
    spare = cycle([color for color in PALETTE if color not in {look.color for look in looks.values()}] or PALETTE)
    return {name: looks.get(name) or Look(str(name), next(spare)) for name in dict.fromkeys(names)}
