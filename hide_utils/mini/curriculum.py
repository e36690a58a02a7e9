"""What the miniature is taught: its lessons in the order that learning needed, and what this means for HiDe.

`LESSONS` are for a GPU and begin with fresh weights. `TUNING` goes on from a checkpoint and suits a CPU. The shipped
weights saw the first 60 % of the lessons, up to the end of ``together``, and then the tuning: the last lesson makes the
model answer questions about large and crowded pictures, so that zooming in would have nothing to add.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Sizes = tuple[tuple[int, float, int], ...]  # (side in pixels, share of the batches, pictures in a batch)

ONE_HOP = {"caption": 0.25, "locate": 0.15, "search": 0.3, "attribute": 0.3}
RELATIONS = {"relation": 0.7, "caption": 0.1, "search": 0.1, "attribute": 0.1}
LETTERS = {"attribute_choice": 0.45, "relation_choice": 0.4, "search": 0.15}
MIXTURE = {
    "caption": 0.07, "locate": 0.08, "search": 0.22,
    "attribute": 0.08, "attribute_choice": 0.27, "relation": 0.06, "relation_choice": 0.22,
}  # fmt: skip
LAST = {
    "caption": 0.04, "locate": 0.06, "search": 0.24,
    "attribute": 0.04, "attribute_choice": 0.3, "relation": 0.04, "relation_choice": 0.28,
}  # fmt: skip
LOOK = {"caption": 0.1, "locate": 0.25, "search": 0.65}  # no questions

SMALL: Sizes = ((192, 0.5, 512), (256, 0.5, 512))
MIDDLE: Sizes = ((192, 0.25, 512), (256, 0.35, 512), (384, 0.25, 224), (512, 0.15, 128))
WIDE: Sizes = (
    (192, 0.14, 512), (256, 0.3, 512), (384, 0.24, 224), (512, 0.14, 128), (640, 0.06, 80), (896, 0.07, 40),
    (1120, 0.05, 24),
)  # fmt: skip
PAIRS: Sizes = (
    (256, 0.12, 256), (448, 0.28, 128), (640, 0.22, 64), (896, 0.22, 32), (1120, 0.1, 20), (1344, 0.06, 14),
)  # fmt: skip
TUNING_WIDE: Sizes = ((256, 0.5, 16), (384, 0.3, 10), (640, 0.2, 5))
TUNING_PAIRS: Sizes = ((384, 0.3, 10), (512, 0.25, 7), (640, 0.2, 5), (896, 0.25, 3))


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


LARGE = 512
LESSONS = Plan(
    (
        Lesson("dense", 0.13, SMALL, density=2.4, unnamed=3.0),
        Lesson("captions", 0.19, SMALL, {"caption": 1.0}, n_turns=2),
        Lesson("one hop", 0.28, SMALL, ONE_HOP, n_turns=4),
        Lesson("relations", 0.34, SMALL, RELATIONS, n_turns=4, things=3, apart=0.3),
        Lesson("letters", 0.42, SMALL, LETTERS, natural=0.7),
        Lesson(
            "together", 0.60, MIDDLE, MIXTURE, two=0.35, extraction=0.06, unnamed=1.5, unnamed_large=3.0, things=16
        ),
        Lesson(
            "large", 1.00, WIDE, LAST, LOOK, pair_sizes=PAIRS, two=0.5, extraction=0.03, apart=0.12,
            unnamed=1.5, unnamed_large=7.0, blur=0.85, things=24,
        ),
    ),
    muon=3e-3, adam=2e-3, until=0.6,
)  # fmt: skip
TUNING = Plan(
    (
        Lesson(
            "pairs", 1.00, TUNING_WIDE, LAST, LOOK, pair_sizes=TUNING_PAIRS, two=0.8, extraction=0.03, apart=0.12,
            unnamed=1.5, unnamed_large=8.0, misled=0.55, lacking=0.2, blur=0.8, things=24,
        ),
    ),
    muon=6e-4, adam=3e-4, until=1.0,
)  # fmt: skip

# What was taught -> what it means for results on this model. The card and notebook 00 print this table.
TAUGHT: Mapping[str, str] = {
    "Close-ups as second pictures": "It reads one enlarged object well. That zooming in helps is no discovery here.",
    "Cut-outs on white as second pictures": "A compact image looks like what it was shown. A layout on another ground "
    "does not.",
    "Windows as second pictures": "It was also shown parts of the scene with their background.",
    "A second picture outranks the first where they differ": "It believes the second picture, so a wrong box costs the "
    "answer. Other models may weigh both.",
    "The first picture alone holds what is asked, at times": "It looks back where the second picture lacks the object.",
    "Blurred first pictures": "It was shown pairs in which only the second picture is sharp.",
    "Questions on single pictures up to 512 px": "Direct answers on larger and more crowded pictures are beyond its "
    "lessons. Their accuracy says what training left out.",
    "Single pictures above 512 px without questions": "It was shown there where named objects are, so its attention "
    "finds them in pictures that it cannot answer about.",
    "Places and values right behind the names that are searched for": "Attention of a name's token to its object was "
    "learned from these texts.",
}


def lesson_at(plan: Plan, share: float) -> int:
    """Number of the lesson that is taught after a share of the plan's time."""
    return next((i for i, lesson in enumerate(plan.lessons) if share < lesson.until), len(plan.lessons) - 1)
