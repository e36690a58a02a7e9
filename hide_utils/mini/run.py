"""What a training run is: its settings, how far it is, the stream of its batches, and its files.

A run's folder holds the model as `load_model` reads it, ``training_log.jsonl``, and ``training.safetensors`` with all
that is needed to go on.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from transformers import PreTrainedTokenizerBase

from hide_utils.files import hash_json, replace_file, write_text
from hide_utils.mini.batches import Batch, draw_batch
from hide_utils.mini.curriculum import Plan, lesson_at

STATE, LOG = "training.safetensors", "training_log.jsonl"
Numbered = tuple[int, dict[str, Tensor]]  # number of the lesson, and the batch as tensors


@dataclass(frozen=True)
class RunSettings:
    """Settings of a training run.

    Attributes:
        plan: what is taught.
        out: folder that is written.
        start: folder of the checkpoint that training goes on from. None begins with fresh weights.
        seed: of the weights and of every batch.
        steps: in the whole plan; 0 where the time counts.
        seconds: that the whole plan takes, where ``steps`` is 0.
        until: share of the plan at which this run ends.
        scale: factor on the size of the batches.
        workers: processes that draw batches; 0 draws them in between.
        device: "cuda" or "cpu".
        save_every: seconds between checkpoints.
    """

    plan: Plan
    out: Path
    start: Path | None
    seed: int
    steps: int
    seconds: float
    until: float
    scale: float
    workers: int
    device: str
    save_every: float

    @property
    def identity(self) -> str:
        """What a run that goes on must have in common with the one before. Its end and its workers may differ."""
        length = [self.steps] if self.steps else [self.seconds, "seconds"]
        return hash_json([repr(self.plan), self.seed, *length, self.scale, self.start is None])


@dataclass
class Progress:
    """How far a run is: steps, conversations or pictures shown, and seconds, without those before an interruption."""

    step: int = 0
    scenes: int = 0
    seconds: float = 0.0


class Clock:
    """The share of the plan that has passed, by steps or by time. Processes that draw batches ahead read it too."""

    def __init__(self, settings: RunSettings, seconds: float) -> None:
        self.settings = settings
        self._passed = multiprocessing.get_context("fork").Value("d", seconds)

    def tick(self, seconds: float) -> None:
        """Say how long the run has taken."""
        self._passed.value = seconds

    def share(self, step: int) -> float:
        """The share at a step. Where time counts, the step does not matter, and the share is that of now."""
        settings = self.settings
        return step / settings.steps if settings.steps else min(1.0, self._passed.value / settings.seconds)


@dataclass
class _Drawn(IterableDataset):
    draw: Callable[[int], Any]
    numbers: Iterable[int]

    def __iter__(self) -> Iterator[Any]:
        numbers, worker = self.numbers, get_worker_info()
        if worker:
            torch.set_num_threads(1)
            numbers = islice(numbers, worker.id, None, worker.num_workers)
        return map(self.draw, numbers)


def drawn_ahead(draw: Callable[[int], Any], numbers: Iterable[int], workers: int, device: str) -> Iterator[Any]:
    """What `draw` makes of numbers, in their order. It does not matter which process draws one.

    Call it before the GPU is used, because the workers are forks of this process.
    """
    loader = DataLoader(
        _Drawn(draw, numbers),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=device == "cuda",
        multiprocessing_context="fork" if workers else None,
    )
    return iter(loader)


def as_tensors(batch: Batch) -> dict[str, Tensor]:
    """A batch of arrays as tensors on the same memory."""
    return {name: torch.from_numpy(array) for name, array in batch.items()}


def batches(settings: RunSettings, clock: Clock, tokenizer: PreTrainedTokenizerBase, first: int) -> Iterator[Numbered]:
    """Batches from ``first`` on, by `drawn_ahead`."""

    def draw(number: int) -> Numbered:
        lesson, rng = lesson_at(settings.plan, clock.share(number)), np.random.default_rng([settings.seed, number])
        return lesson, as_tensors(draw_batch(rng, settings.plan.lessons[lesson], tokenizer, settings.scale))

    return drawn_ahead(draw, count(first), settings.workers, settings.device)


@dataclass
class Log:
    """The log of a run, a JSON object a line, with the means of all measures since the line before."""

    file: Path
    sums: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, Tensor] = field(default_factory=dict)

    def add(self, measures: dict[str, tuple[Tensor, Tensor]]) -> None:
        """Add the measures of a step. They stay where they are, so that a GPU need not wait."""
        for name, (total, number) in measures.items():
            self.sums[name] = self.sums.get(name, 0) + total
            self.counts[name] = self.counts.get(name, 0) + number

    def write(self, row: dict) -> None:
        """Write a line and forget the measures."""
        counted = {k: float(count) for k, count in sorted(self.counts.items())}
        means = {k: round(float(self.sums[k]) / count, 4) for k, count in counted.items() if count}
        with self.file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row | means) + "\n")
        self.sums, self.counts = {}, {}

    def cut(self, step: int) -> None:
        """Drop lines behind a step, which a run that goes on writes again."""
        lines = self.file.read_text(encoding="utf-8").splitlines(keepends=True) if self.file.is_file() else []
        write_text(self.file, "".join(line for line in lines if json.loads(line)["step"] <= step))


def save_state(settings: RunSettings, tensors: dict[str, Tensor], progress: Progress) -> None:
    """Write what a run needs to go on, whole or not at all."""
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    about = {"run": settings.identity, "progress": json.dumps(vars(progress))}
    replace_file(settings.out / STATE, lambda file: save_file(kept, file, metadata=about))


def load_state(settings: RunSettings) -> tuple[dict[str, Tensor], Progress]:
    """Read what `save_state` wrote.

    Raises:
        FileNotFoundError: no run was begun in the folder.
        ValueError: it was another run.
    """
    if not (settings.out / STATE).is_file():
        raise FileNotFoundError(f"{settings.out} holds no {STATE}, so there is no run to go on with.")
    with safe_open(settings.out / STATE, "pt") as file:
        about = file.metadata()
        if about["run"] != settings.identity:
            raise ValueError(f"the run in {settings.out} has other settings: give those, or another folder with --out.")
        names = list(file.keys())
        return {name: file.get_tensor(name) for name in names}, Progress(**json.loads(about["progress"]))
