"""What a picture's sessions find and share: localisations, the prefill, and replies that were made together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from hide_utils.method import lpd
from hide_utils.method.entities import Entities
from hide_utils.models import Cost, Prefix, ProcessedImage, Reply


@dataclass(frozen=True)
class Localisation:
    """Where the entities are.

    Attributes:
        entities: what was searched for.
        tokens: texts of the entities' tokens.
        maps: `(tokens, h, w)` purified maps in [0, 1].
        regions: merged half-open xyxy in pixels of the session's picture.
        costs: of each step behind it, the prefill included.
    """

    entities: Entities
    tokens: tuple[str, ...]
    maps: Float[np.ndarray, "tokens h w"]
    regions: list[lpd.Region]
    costs: dict[str, Cost] = field(default_factory=dict, repr=False)


@dataclass
class SharedPrefill:
    """The beginning of every prompt about a picture, held by all sessions of that picture.

    Attributes:
        picture: the picture as the model takes it. None until a session prepares it or first needs it.
        prepared: seconds that preparing it ahead took.
        prefix: the beginning's tokens, run once. None until then, and where every prompt is a full pass of its own.
        cost: of preparing and running it. None until a session first needs it.
    """

    picture: ProcessedImage | None = None
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
