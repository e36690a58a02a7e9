"""Diets: the miniature goes on learning from one stream of scenes and questions, which each diet shows in another way.

*crowded* shows the whole picture. *decoupled* shows the compact image of the true boxes alone, which is HiDe's second
picture without background. *both* shows the picture and its compact image, as HiDe does. Scene, question, order and
number of steps are the same in all diets of a seed: they learn side by side from the same batches.

Every fourth step is a rehearsal, the same in all diets: where things are, and which entities a question has, without
any question to answer. Else HiDe would lose the search that it stands on, in every diet.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hide_utils import paths
from hide_utils.edits.layouts import budget_size
from hide_utils.evaluation.diet_study import TRAINING_SCENES
from hide_utils.images import composite_on_white
from hide_utils.method import lpd
from hide_utils.mini.batches import conversation, draw_batch, padded
from hide_utils.mini.checkpoint import CELL, MIN_PIXELS, save_folder
from hide_utils.mini.curriculum import LOOK, TUNING, Lesson
from hide_utils.mini.losses import Losses
from hide_utils.mini.optimizer import Optimizer
from hide_utils.mini.run import Log, as_tensors, drawn_ahead
from hide_utils.mini.train import schedule, starting_point
from hide_utils.prompts import multiple_choice
from hide_utils.samples import Sample
from hide_utils.scenes import scene_samples

SHOWN = {"crowded": ("scene",), "decoupled": ("compact",), "both": ("scene", "compact")}  # diet -> pictures, in order
DIETS = tuple(SHOWN)
REHEARSE_EVERY = 4  # steps
FIRST_SEED = 1_000_000  # of the training scenes: that of a batch is this times (seed + 1), plus its number
LOG_EVERY = 10  # steps


@dataclass(frozen=True)
class DietSettings:
    """Settings of the diets of one seed.

    Attributes:
        out: folder of the study. The model of a diet goes to a folder of its own in it, its log to ``logs``.
        seed: of the scenes and of the weights that the shipped model lacks.
        steps: of every diet.
        batch: scenes in a step.
        workers: processes that draw batches; 0 draws them in between.
        device: "cuda" or "cpu".
        diets: that learn.
        scenes: settings of the training scenes.
    """

    out: Path
    seed: int
    steps: int
    batch: int = 16
    workers: int = 0
    device: str = "cpu"
    diets: Sequence[str] = DIETS
    scenes: dict[str, Any] = field(default_factory=lambda: TRAINING_SCENES)

    @property
    def rehearsal(self) -> Lesson:
        """The tuning's single pictures up to 448 px, without questions."""
        sizes = ((256, 0.5, self.batch), (384, 0.5, max(2, self.batch // 2)))
        return replace(TUNING.lessons[0], name="rehearsal", sizes=sizes, turns=LOOK, two=0.0, extraction=0.25)


# --- batches ----------------------------------------------------------------------------------------------------------


def compact(sample: Sample, image: Image.Image) -> Image.Image:
    """The compact image of a sample's true boxes on white, at the size to which the processor scales it."""
    picture = composite_on_white(lpd.compact_image(image, lpd.pixel_regions(sample.boxes_xyxy, image.size)))
    width, height = (max(1, round(side / CELL)) * CELL for side in budget_size(picture.size, MIN_PIXELS, CELL))
    return picture.resize((width, height), Image.Resampling.BICUBIC)


def on_one_canvas(pictures: Sequence[Image.Image]) -> np.ndarray:
    """Pictures in the middle of white ones of one size, uint8 ``(n, height, width, 3)``.

    The size fits all of them, so that a batch can be run as one.
    """
    width, height = (max(picture.size[axis] for picture in pictures) for axis in (0, 1))
    out = np.full((len(pictures), height, width, 3), 255, np.uint8)
    for canvas, picture in zip(out, pictures, strict=True):
        top, left = (height - picture.height) // 2, (width - picture.width) // 2
        canvas[top : top + picture.height, left : left + picture.width] = np.asarray(picture)
    return out


def diet_batch(settings: DietSettings, tokenizer: PreTrainedTokenizerBase, step: int) -> dict[str, np.ndarray]:
    """The batch of a step: pictures ``scene`` and ``compact``, and ``<diet>.ids`` and ``<diet>.weights`` of each diet.

    A rehearsal has the arrays of `draw_batch` instead.
    """
    seed = FIRST_SEED * (settings.seed + 1) + step
    if step % REHEARSE_EVERY == REHEARSE_EVERY - 1:
        batch = draw_batch(np.random.default_rng(seed), settings.rehearsal, tokenizer, settings.batch / 16)
        return {name: array for name, array in batch.items() if name != "dense"}
    samples = scene_samples("train", settings.batch, seed, **settings.scenes)
    images = [sample.image for sample in samples]
    compacts = [compact(sample, image) for sample, image in zip(samples, images, strict=True)]
    out = {"scene": np.stack([np.asarray(image) for image in images]), "compact": on_one_canvas(compacts)}
    for diet, names in SHOWN.items():
        grids = [(out[name].shape[1] // CELL, out[name].shape[2] // CELL) for name in names]
        turns = [([(multiple_choice(one.question, one.options, one.style), False)], one.label) for one in samples]
        rows = [conversation(tokenizer, grids, [turn]) for turn in turns]
        out |= {f"{diet}.{name}": array for name, array in padded(rows, tokenizer.pad_token_id).items()}
    return out


def of_diet(batch: dict[str, Tensor], diet: str) -> dict[str, Tensor]:
    """What one diet sees of a batch of `diet_batch`, as `Losses` takes it."""
    if "scene" not in batch:
        return batch
    pictures = dict(zip(("image", "second"), (batch[name] for name in SHOWN[diet]), strict=False))
    return pictures | {name: batch[f"{diet}.{name}"] for name in ("ids", "weights")}


# --- training ---------------------------------------------------------------------------------------------------------


class Learner:
    """A copy of the shipped model that learns from one diet."""

    def __init__(self, settings: DietSettings, diet: str) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.diet = settings, diet
        self.model, self.tokenizer = starting_point(paths.MINI)
        self.model.to(settings.device).train()
        self.optimizer = Optimizer(dict(self.model.named_parameters()))
        if settings.device == "cuda":  # the optimizer has the masters in float32
            self.model.bfloat16()
        nothing = torch.nn.Parameter(torch.zeros(self.model.config.text_config.hidden_size, 2))
        self.losses = Losses(self.model, self.tokenizer, nothing)  # the dense loss, which needs it, is not used
        self.log = Log(settings.out / "logs" / f"{diet}-{settings.seed}.jsonl")
        self.log.cut(-1)

    def step(self, step: int, batch: dict[str, Tensor]) -> None:
        """Learn from a batch of `diet_batch`."""
        loss, measures = self.losses(of_diet(batch, self.diet))
        if step % LOG_EVERY == 0 and not math.isfinite(loss.item()):
            raise FloatingPointError(f"the loss of {self.diet!r} is not finite at step {step}: take smaller rates")
        loss.backward()
        factor = schedule(step, step / self.settings.steps)
        self.optimizer.step(TUNING.muon * factor, TUNING.adam * factor)
        for name, measure in measures.items():
            kind = "letters" if name.startswith("letters") else "loss" if "scene" in batch else "rehearsal"
            self.log.add({kind: measure})

    def save(self) -> None:
        """Write the folder, with HiDe's settings of the shipped model, so that nothing else differs from it."""
        folder = self.settings.out / f"{self.diet}-{self.settings.seed}"
        save_folder(folder, self.model, self.tokenizer)
        shutil.copy(paths.MINI / "hide.json", folder / "hide.json")


def learn(settings: DietSettings) -> None:
    """Train all diets of a seed, side by side, each with a line in its log every `LOG_EVERY` steps."""
    (settings.out / "logs").mkdir(parents=True, exist_ok=True)
    tokenizer = starting_point(paths.MINI)[1]

    def draw(step: int) -> dict[str, Tensor]:
        return as_tensors(diet_batch(settings, tokenizer, step))

    batches = drawn_ahead(draw, range(settings.steps), settings.workers, settings.device)
    began = time.perf_counter()
    if settings.device == "cuda":
        torch.set_float32_matmul_precision("high")
    learners = [Learner(settings, diet) for diet in settings.diets]
    device = torch.cuda.get_device_name() if settings.device == "cuda" else "cpu"
    for step, drawn in enumerate(batches):
        batch = {name: tensor.to(settings.device, non_blocking=True) for name, tensor in drawn.items()}
        for learner in learners:
            learner.step(step, batch)
            if (step + 1) % LOG_EVERY == 0 or step + 1 == settings.steps:
                seconds = round(time.perf_counter() - began, 1)
                about = {"diet": learner.diet, "seed": settings.seed, "device": device}
                learner.log.write(about | {"step": step + 1, "seconds": seconds})
    for learner in learners:
        learner.save()
