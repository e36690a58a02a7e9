"""What sessions of the same pictures find and share: localisations, the prefill, replies that were made together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from hide_utils.method import lpd
from hide_utils.method.entities import Entities
from hide_utils.method.rows import SearchAttention
from hide_utils.models import Cost, Prefix, ProcessedImage, Reply


class Found(NamedTuple):
    """What of the entities was found in one picture.

    Attributes:
        rows: raw attention rows, those of the entities' tokens that belong to the picture.
        maps: `(tokens, h, w)` purified maps of these tokens in [0, 1].
        regions: merged half-open xyxy in pixels of the picture.
    """

    rows: SearchAttention
    maps: Float[np.ndarray, "tokens h w"]
    regions: list[lpd.Region]


@dataclass(frozen=True)
class Localisation:
    """Where the entities are.

    Attributes:
        entities: what was searched for.
        found: in each of the session's pictures.
        costs: of each step behind it, the prefill included.
    """

    entities: Entities
    found: Sequence[Found]
    costs: dict[str, Cost] = field(default_factory=dict, repr=False)

    @property
    def only(self) -> Found:
        """What was found in the picture of a session that has one; ValueError where it has several."""
        return the_only(self.found)

    tokens = property(lambda self: self.only.rows.tokens)
    maps = property(lambda self: self.only.maps)
    regions = property(lambda self: self.only.regions)


def the_only(items: Sequence[Any]) -> Any:
    """The one item there is for each picture.

    Raises:
        ValueError: there are several pictures.
    """
    if len(items) != 1:
        raise ValueError(f"the question has {len(items)} pictures, and what was asked for works with one alone")
    return items[0]


@dataclass
class SharedPrefill:
    """The beginning of every prompt about a session's pictures, held by all sessions of these.

    Attributes:
        pictures: the pictures as the model takes them. Empty until a session prepares them or first needs them.
        prepared: seconds that preparing them ahead took.
        prefix: the beginning's tokens, run once. None until then, and where every prompt is a full pass of its own.
        cost: of preparing and running it. None until a session first needs it.
    """

    pictures: tuple[ProcessedImage, ...] = ()
    prepared: float = 0.0
    prefix: Prefix | None = None
    cost: Cost | None = None


@dataclass(frozen=True)
class Batch:
    """Texts that were answered together.

    Attributes:
        pictures: that they were asked about.
        limit: most tokens of a reply.
        replies: reply to each text, and what it costs alone; seconds are an equal share.
    """

    pictures: Sequence[ProcessedImage]
    limit: int
    replies: dict[str, tuple[Reply, Cost]]

    def holds(self, pictures: Sequence[ProcessedImage], limit: int) -> bool:
        """Whether replies to these pictures are here."""
        same = len(pictures) == len(self.pictures) and limit == self.limit
        return same and all(one.same_as(other) for one, other in zip(pictures, self.pictures, strict=True))
