"""A decoding step whose tensors stay where they are, so that a GPU can record it once and replay it.

A single token of a large model takes a GPU less time than launching its kernels takes the program. A CUDA graph holds
all launches of a step and replays them as one. The cache is transformers' `StaticCache`.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor
from transformers import DynamicCache, StaticCache

from hide_utils.models.running import Runner

LEAST_STEPS = 24  # a reply that may be shorter does not repay the recording
MOST_KEYS = 8192  # behind a long prompt the copy of its cache costs more than launches do
_SPARE = 512  # tokens of room beyond what is asked for, so that batches of almost one length share a recording


class StaticSteps:
    """`decoding.Steps` with tensors that stay where they are.

    Args:
        model: the model.
        rows: number of prompts.
        most: tokens that prompts and replies have together at most.
        record: whether the step is recorded as a CUDA graph. Else it is run as usual.
    """

    def __init__(self, model: Runner, rows: int, most: int, record: bool) -> None:
        self.model, self.record = model, record
        self.room = most + _SPARE
        on: dict[str, Any] = {"device": model.device}
        self.rows = torch.arange(rows, **on)
        self.ids = torch.zeros(rows, dtype=torch.long, **on)
        self.positions = torch.zeros(model.position_axes, rows, dtype=torch.long, **on)
        self.mask = torch.zeros(1, 1, rows, self.room, dtype=torch.bool, **on)
        self.cache = StaticCache(config=model.model.config.get_text_config(), max_cache_len=self.room)
        self.length = 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self.logits: Tensor | None = None

    def fits(self, rows: int, most: int) -> bool:
        """Whether prompts of this number and length can be decoded here."""
        return rows == len(self.rows) and most <= self.room <= most + 2 * _SPARE

    def begin(self, cache: DynamicCache, owners: Int64[Tensor, " keys"]) -> None:
        """Take over what was run so far, and record the step where that was not done yet.

        Args:
            cache: of the tokens so far. It stays as it is.
            owners: as in `decoding.sight`, of each of them.
        """
        self._fill(cache, owners)
        if self.record and self.graph is None:
            with torch.cuda.device(self.model.device):
                self._record()
            self._fill(cache, owners)  # the passes before the recording left their tokens

    def _fill(self, cache: DynamicCache, owners: Int64[Tensor, " keys"]) -> None:
        self.length = len(owners)
        for mine, theirs in zip(self.cache.layers, cache.layers, strict=True):
            if not mine.is_initialized:
                mine.lazy_initialization(theirs.keys, theirs.values)
            mine.keys[:, :, : self.length] = theirs.keys
            mine.values[:, :, : self.length] = theirs.values
            mine.cumulative_length.fill_(self.length)
        self.mask[:] = False
        self.mask[..., : self.length] = (owners < 0) | (owners == self.rows[:, None])

    def _record(self) -> None:
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(2):  # what is set up at a first call must not be recorded
                self._step()
        torch.cuda.current_stream().wait_stream(aside)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.logits = self._step()

    def _step(self) -> Tensor:
        return self.model._pass(self.ids, self.positions, self.cache, None, self.mask, len(self.rows))

    def __call__(self, ids: Int64[Tensor, " rows"], positions: Int64[Tensor, "axes rows"]) -> Tensor:
        """Logits (rows, vocab) of the next tokens. They are overwritten by the next call."""
        rows = len(self.rows)
        self.model._count_pass(rows, self.length, rows)
        self.ids.copy_(ids)
        self.positions.copy_(positions)
        self.mask[0, 0, self.rows, self.length + self.rows] = True
        self.length += rows
        if self.graph is None:
            return self._step()
        self.graph.replay()
        assert self.logits is not None
        return self.logits
