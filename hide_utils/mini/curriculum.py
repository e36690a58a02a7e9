"""What the miniature is taught: its lessons in the order that learning needed, and what this means for HiDe.

`LESSONS` are for a GPU and begin with fresh weights. `TUNING` goes on from a checkpoint and suits a CPU. The shipped
weights saw the first 60 % of the lessons, up to the end of ``together``, and then the tuning: the last lesson makes the
model answer questions about large and crowded pictures, so that zooming in would have nothing to add.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hide_utils.files import data_of

Sizes = tuple[tuple[int, float, int], ...]  # (side in pixels, share of the batches, pictures in a batch)


@dataclass(frozen=True)
class Lesson:
    """One lesson of a plan.

    Attributes:
        name: of the lesson.
        until: share of the plan's time at which the lesson ends.
        sizes: of single pictures.
        turns: turn kind -> weight. Without any, the lesson is dense: each visual token names what it covers.
        large_turns: the same for single pictures above `LARGE` pixels; empty for ``turns``.
        n_turns: most turns a picture.
        things: most things in a picture.
        density: most things for each 128 x 128 pixels.
        object_size: smallest and largest side of an object, in pixels.
        unnamed: most unnamed objects for each 256 x 256 pixels of a single picture of at most `LARGE` pixels.
        unnamed_large: the same for larger pictures and for those that a second one follows.
        apart: least distance of a relation, as a share of the picture.
        natural: share of the choices between left and right, above and below, that keep this order.
        extraction: share of batches that are text alone, about the entities of a question.
        two: share of the other batches with a second picture.
        pair_sizes: of first pictures that a second one follows; empty for ``sizes``.
        misled: share of first pictures that show the things at other places and in other colors.
        lacking: share of pairs of at most `LARGE` pixels in which only the first picture shows what is asked.
        blur: share of the remaining first pictures that are blurred.
    """

    name: str
    until: float
    sizes: Sizes
    turns: Mapping[str, float] = field(default_factory=dict)
    large_turns: Mapping[str, float] = field(default_factory=dict)
    n_turns: int = 5
    things: int = 22
    density: float = 2.2
    object_size: tuple[int, int] = (30, 60)
    unnamed: float = 0.0
    unnamed_large: float = 0.0
    apart: float = 0.2
    natural: float = 0.3
    extraction: float = 0.0
    two: float = 0.0
    pair_sizes: Sizes = ()
    misled: float = 0.0
    lacking: float = 0.0
    blur: float = 0.5


@dataclass(frozen=True)
class Plan:
    """Lessons with the peak learning rates of Muon and AdamW, and the share of the time at which training ends."""

    lessons: tuple[Lesson, ...]
    muon: float
    adam: float
    until: float


def _plan(fields: Mapping[str, Any]) -> Plan:
    lessons = [Lesson(**{name: _frozen(value) for name, value in one.items()}) for one in fields["lessons"]]
    return Plan(**{**fields, "lessons": tuple(lessons)})


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


_DATA = data_of(__file__)
LARGE = 512
LESSONS, TUNING = _plan(_DATA["lessons"]), _plan(_DATA["tuning"])
LOOK: dict[str, float] = _DATA["no_questions"]
# What was taught -> what it means for results on this model. The card and notebook 00 print this table.
TAUGHT: dict[str, str] = _DATA["taught"]


def lesson_at(plan: Plan, share: float) -> int:
    """Number of the lesson that is taught after a share of the plan's time."""
    return next((i for i, lesson in enumerate(plan.lessons) if share < lesson.until), len(plan.lessons) - 1)
