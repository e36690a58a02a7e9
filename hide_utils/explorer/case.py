"""What the explorer shows, computed without widgets: cases, settings, and the view that follows from the two.

A case is one question about one picture. Its attention rows are captured once, at all layers. Maps, regions, layouts
and numbers are then array work, so that the model runs again only for an answer.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from hide_utils import paths
from hide_utils.analyses.explorer import ExplorerConfig
from hide_utils.config import nearest
from hide_utils.edits.layouts import LAYOUTS
from hide_utils.evaluation import localisation
from hide_utils.images import composite_on_white
from hide_utils.method import Entities, HiDe, SearchAttention, Session, lpd, read_letter, tad
from hide_utils.samples import Box, Sample
from hide_utils.scoring import probabilities


@dataclass(frozen=True)
class Knobs:
    """Settings of a view, as the explorer's controls stand.

    Attributes:
        layer: counted from 0.
        sigma: of the smoothing, in grid cells, at least 0.
        alpha: threshold of the maps, in (0, 1].
        noise_prior: whether the noise prior is subtracted.
        tokens_off: numbers of the tokens that are left out, counted from 0.
        layout: of the second picture, a name in `hide_utils.edits.layouts.LAYOUTS`.

    Raises:
        ValueError: for an unknown layout, with the nearest.
    """

    layer: int
    sigma: float
    alpha: float
    noise_prior: bool = True
    tokens_off: tuple[int, ...] = ()
    layout: str = "spatial_aggregate"

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise ValueError(f"unknown layout {self.layout!r}; {nearest(self.layout, LAYOUTS)}")


@dataclass(frozen=True)
class Answer:
    """What the model answered.

    Attributes:
        text: its reply.
        letter: read off the reply; None without options, or where the reply states none.
        probabilities: of each option's letter as the reply's first token, among these letters alone; empty without
            options.
        seconds: that the answer took.
    """

    text: str
    letter: str | None
    probabilities: dict[str, float]
    seconds: float


@dataclass
class Case:
    """One question about one picture, with the attention rows of its entities at every layer.

    Attributes:
        name: the sample's id, or what the picture is called.
        session: of the model on the picture.
        question: text without the options.
        options: texts without their letters; None for a free answer.
        entities: that were searched for.
        attention: rows of the search, at all layers of the model.
        style: wording of the prompt, a name in `hide_utils.prompts.STYLES`.
        label: letter of the right option; None where it is not known.
        boxes_xyxy: true boxes in pixels; empty where they are not known.
        sample: the benchmark's sample, where the case is one unchanged.
        path: of the picture's file, where the picture is the user's own.
        answers: given so far, by the settings of the second picture; None stands for the direct answer.
    """

    name: str
    session: Session
    question: str
    options: list[str] | None
    entities: Entities
    attention: SearchAttention
    style: str = "letters"
    label: str | None = None
    boxes_xyxy: Sequence[Box] = ()
    sample: Sample | None = None
    path: Path | None = None
    answers: dict[Knobs | None, Answer] = field(default_factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        """Why the model's answers may mean nothing here; see `Result.notes`."""
        return self.session.model.notes(self.image, self.entities.text)

    @property
    def image(self) -> Image.Image:
        """The picture as the model sees it (RGB)."""
        return self.session.image


@dataclass(frozen=True)
class View:
    """What a case's rows give under some settings.

    Attributes:
        maps: purified map of every token, in [0, 1], also of those that are off.
        on: which tokens count.
        regions: merged boxes of the tokens that count, in pixels.
        compact: the regions in their layout; None without a region.
        quality: measures of the regions against the true boxes, by name; see `evaluation.localisation.box_quality`.
        energy: share of the maps' mass that lies in the true boxes, in [0, 1]; NaN where there are none.
        seconds: that computing the view took.
    """

    maps: Float[np.ndarray, "tokens h w"]
    on: Bool[np.ndarray, " tokens"]
    regions: list[lpd.Region]
    compact: Image.Image | None
    quality: dict[str, float]
    energy: float
    seconds: float

    @property
    def union(self) -> Float[np.ndarray, "h w"]:
        """Largest value over the tokens that count, in [0, 1]. LPD keeps a cell where it reaches alpha."""
        return self.maps[self.on].max(0, initial=0.0)


def view_of(case: Case, knobs: Knobs) -> View:
    """Maps, regions, layout and numbers of a case under settings, from its captured rows and without the model.

    Raises:
        ValueError: for settings out of range and for a layer whose rows were not captured.
    """
    started, attention = time.perf_counter(), case.attention
    if knobs.layer not in attention.layers:
        raise ValueError(f"layer {knobs.layer} was not captured; the rows are of {list(attention.layers)}")
    row = attention.layers.index(knobs.layer)
    noise = attention.noise[row] if knobs.noise_prior else attention.noise[row, :0]
    maps = tad.purify(np.concatenate([noise, attention.semantic[row]]), len(noise), knobs.sigma)
    on = ~np.isin(np.arange(len(maps)), knobs.tokens_off)
    regions = lpd.regions_of(maps[on], knobs.alpha, case.image.size)
    compact = LAYOUTS[knobs.layout](case.image, regions) if regions else None
    truth = np.array(case.boxes_xyxy, float).reshape(-1, 4)
    quality = localisation.box_quality(regions, truth, case.image.size)
    energy = np.nan_to_num(localisation.energy_in_boxes(maps[on], truth / [*case.image.size, *case.image.size]))
    known = len(truth) > 0 and len(energy) > 0
    seconds = time.perf_counter() - started
    return View(maps, on, regions, compact, quality, float(energy.mean()) if known else float("nan"), seconds)


def ask_model(hide: HiDe, case: Case, knobs: Knobs, view: View) -> None:
    """Have the model answer with and without the view's second picture, and keep both answers in `case.answers`.

    The direct answer is asked for once in a case. Without a region it also stands for the other, as in the method.
    """
    if None not in case.answers:
        case.answers[None] = _read(hide, case, None, "direct")
    if view.compact is None:
        case.answers[knobs] = case.answers[None]
    else:
        case.answers[knobs] = _read(hide, case, composite_on_white(view.compact), "answer")


def _read(hide: HiDe, case: Case, second: Image.Image | None, step: str) -> Answer:
    reply = case.session.answer(case.question, case.options, second, step, case.style)
    letter = read_letter(hide.model, reply, case.options, hide.protocol)
    shares = probabilities(hide.model.letter_logits(reply, len(case.options))) if case.options else {}
    return Answer(reply.text, letter, shares, case.session.seconds[step])


def command_line(config: ExplorerConfig, case: Case, knobs: Knobs) -> str:
    """The command that runs the notebook of `config` so that it first shows a case under these settings."""
    values = config.model_dump(mode="json")
    asked = ("model", "revision", "benchmark", "split", "resolution", "n", "seed", "max_pixels", "protocol")
    given: dict[str, Any] = {name: values.get(name) for name in asked}
    if case.path:
        given["image"] = paths.portable(case.path) if case.path.is_relative_to(paths.ROOT) else case.path
    else:
        given["sample"] = case.name
    if case.sample is None:
        given["question"], given["options"] = case.question, case.options
    if case.entities.source == "given":
        given["entities"] = case.entities.names
    given.update(asdict(knobs))
    texts = {name: str(list(value) if isinstance(value, tuple) else value) for name, value in given.items()}
    words = [word for name, text in texts.items() if given[name] is not None for word in ("-p", name, text)]
    return shlex.join(["hide", "run", config.notebook, *words])
