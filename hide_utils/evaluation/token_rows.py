"""A sample with the attention rows of three prompts: what variants of TAD and attention sinks are computed from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from hide_utils.evaluation.captured import RowCache
from hide_utils.method.entities import SEARCH_INSTRUCTION
from hide_utils.models import VLM
from hide_utils.prompts import CONTENT_FREE, multiple_choice
from hide_utils.samples import Sample

PROMPTS: dict[str, Callable[[Sample], str]] = {
    "answer": lambda sample: multiple_choice(sample.question, sample.options, sample.style),
    "content_free": lambda sample: CONTENT_FREE,
}


@dataclass(frozen=True)
class TokenRows:
    """One sample and the rows over its picture at one layer.

    Attributes:
        sample: with true boxes.
        size_wh: pixels of the picture as the model sees it.
        layer: of all rows but `answer`, counted from 0.
        tokens: texts of the entity tokens.
        noise: rows of the search prompt's instruction tokens.
        semantic: rows of its entity tokens.
        answer: row of the position that predicts the first answer token, at every layer.
        content_free: the same position's row after `CONTENT_FREE`.
    """

    sample: Sample
    size_wh: tuple[int, int]
    layer: int
    tokens: tuple[str, ...]
    noise: Float[np.ndarray, "noise h w"] = field(repr=False)
    semantic: Float[np.ndarray, "tokens h w"] = field(repr=False)
    answer: Float[np.ndarray, "layers h w"] = field(repr=False)
    content_free: Float[np.ndarray, "h w"] = field(repr=False)

    @property
    def truth(self) -> Float[np.ndarray, "boxes 4"]:
        """True boxes, normalised."""
        return np.array(self.sample.boxes_xyxy) / [*self.size_wh, *self.size_wh]


def load_token_rows(rows: RowCache, model: VLM, samples: Sequence[Sample], layer: int) -> list[TokenRows]:
    """Rows of all three prompts for every sample, read or captured (see `RowCache.load_with_last`).

    Args:
        rows: the cache.
        model: captures what is missing.
        samples: with true boxes.
        layer: counted from 0.

    Raises:
        ValueError: there are no samples, or one has no ground-truth boxes.
    """
    if not samples:
        raise ValueError("no samples with ground-truth boxes: localisation is measured on a benchmark that has them")
    if bare := [sample.id for sample in samples if not sample.boxes_xyxy]:
        raise ValueError(f"{len(bare)} samples have no ground-truth boxes ({bare[0]}, ...): leave them out")
    found, sizes, last = rows.load_with_last(model, samples, PROMPTS, [layer], range(model.n_layers))
    return [
        TokenRows(sample, size, layer, one.tokens, one.noise[0], one.semantic[0], answer, content_free[layer])
        for sample, size, one, answer, content_free in zip(samples, sizes, found, *last.values(), strict=True)
    ]


def instruction_tokens(model: VLM) -> list[str]:
    """Texts of the search instruction's tokens, in the order of `TokenRows.noise`."""
    prompt = model.prompt(f"{SEARCH_INSTRUCTION} it")
    positions = prompt.texts[0].positions(0, len(SEARCH_INSTRUCTION))
    return [model.decode([int(prompt.ids[i])]).strip() for i in positions]
