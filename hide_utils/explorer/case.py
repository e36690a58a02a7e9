"""What the explorer shows, without widgets: a case with its captured rows, settings, and what follows from the two.

A case is one question about one picture. Its attention rows are captured once, at all layers; maps, regions, layouts
and numbers are then array work, so that the model runs again only for an answer.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image
from scipy.special import softmax

from hide_utils import paths
from hide_utils.config import RunConfig, nearest
from hide_utils.edits.layouts import LAYOUTS
from hide_utils.evaluation import localisation
from hide_utils.evaluation.captured import RowCache
from hide_utils.images import composite_on_white
from hide_utils.method import lpd, tad
from hide_utils.method.entities import Entities
from hide_utils.method.hide import HiDe, checked_question, read_letter
from hide_utils.method.session import SearchAttention, Session
from hide_utils.models import Reply
from hide_utils.prompts import multiple_choice
from hide_utils.samples import Box, Sample


@dataclass(frozen=True)
class Knobs:
    """Settings of a view: `layer` counted from 0, `sigma` in grid cells, `alpha` in (0, 1].

    prior: subtract the noise prior. off: numbers of the tokens left out. layout: a name in `layouts.LAYOUTS`.
    """

    layer: int
    sigma: float
    alpha: float
    prior: bool = True
    off: tuple[int, ...] = ()
    layout: str = "spatial_aggregate"

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise ValueError(f"unknown layout {self.layout!r}; {nearest(self.layout, LAYOUTS)}")


@dataclass(frozen=True)
class Answer:
    """A reply with the letter read off it and the probability of each option's letter as its first token.

    letter and probabilities are empty without options; the probabilities are those among the option letters alone.
    """

    text: str
    letter: str | None
    probabilities: dict[str, float]
    seconds: float


@dataclass
class Case:
    """One question about one picture, with the attention rows of its entities at every layer.

    name: the sample's id, or what the picture is called. label: letter of the right option, where known. boxes_xyxy:
    true boxes in pixels, where known. sample: where the case is a benchmark's sample unchanged. path: where the picture
    lies, if it is the user's own. answers: given so far, by the settings of the second picture; None: the direct one.
    """

    name: str
    session: Session
    question: str
    options: list[str] | None
    entities: Entities
    found: SearchAttention
    style: str = "letters"
    label: str | None = None
    boxes_xyxy: Sequence[Box] = ()
    sample: Sample | None = None
    path: Path | None = None
    answers: dict[Knobs | None, Answer] = field(default_factory=dict)

    @property
    def image(self) -> Image.Image:
        """The picture as the model sees it (RGB)."""
        return self.session.image


@dataclass(frozen=True)
class View:
    """What a case's rows give under some settings.

    maps: purified, one a token, those that are off too; on: which count; regions: merged pixel boxes of those that do;
    compact: their layout, None without a region; quality: the regions against the true boxes, in pixels; energy: share
    of the maps' mass in the true boxes (NaN where unknown); seconds: what computing it all took.
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
        """The largest value over the tokens that are on: LPD keeps a cell where it reaches alpha."""
        return self.maps[self.on].max(0, initial=0.0)


def look(case: Case, knobs: Knobs) -> View:
    """Maps, regions, layout and numbers of a case under settings: array work on captured rows, no model.

    Raises ValueError for settings out of range and for a layer whose rows were not captured.
    """
    started, found = time.perf_counter(), case.found
    if knobs.layer not in found.layers:
        raise ValueError(f"layer {knobs.layer} was not captured; the rows are of {list(found.layers)}")
    row = found.layers.index(knobs.layer)
    noise = found.noise[row] if knobs.prior else found.noise[row, :0]
    maps = tad.purify(np.concatenate([noise, found.semantic[row]]), len(noise), knobs.sigma)
    on = ~np.isin(np.arange(len(maps)), knobs.off)
    regions = lpd.regions_of(maps[on], knobs.alpha, case.image.size)
    compact = LAYOUTS[knobs.layout](case.image, regions) if regions else None
    truth = np.array(case.boxes_xyxy, float).reshape(-1, 4)
    quality = localisation.box_quality(regions, truth, case.image.size)
    energy = np.nan_to_num(localisation.energy_in_boxes(maps[on], truth / [*case.image.size, *case.image.size]))
    known = len(truth) > 0 and len(energy) > 0
    seconds = time.perf_counter() - started
    return View(maps, on, regions, compact, quality, float(energy.mean()) if known else float("nan"), seconds)


def open_sample(hide: HiDe, sample: Sample, entities: Entities | None = None, cache: RowCache | None = None) -> Case:
    """A benchmark's sample as a case.

    entities: what is searched for; None: what the model itself lists for the question (one text-only prompt). With a
    `cache` the rows are read from it where they are there, and kept in it otherwise.
    """
    session = hide.open(sample.image)
    names = _entities(hide, session, sample.question, entities)
    if cache is None or names.source == "question":  # the cache searches for names in canonical form alone
        found = session.search(names, range(hide.model.n_layers))
    else:
        ((found,), _) = cache.load(hide.model, [replace(sample, entities=list(names.names))], progress=False)
    return Case(
        sample.id,
        session,
        sample.question,
        sample.options,
        names,
        found,
        sample.style,
        sample.label,
        sample.boxes_xyxy,
        sample,
    )


def open_own(
    hide: HiDe,
    image: str | PathLike | bytes | Image.Image,
    question: str,
    options: list[str] | None = None,
    entities: Entities | None = None,
    name: str = "own picture",
) -> Case:
    """A question of one's own about a picture (path, bytes or PIL) as a case; the errors are those of `HiDe`'s call."""
    question = checked_question(question)
    multiple_choice(question, options)  # refuses a single option before anything is run
    session = hide.open(image)
    names = _entities(hide, session, question, entities)
    return Case(name, session, question, options, names, session.search(names, range(hide.model.n_layers)))


def _entities(hide: HiDe, session: Session, question: str, entities: Entities | None) -> Entities:
    if entities is not None:
        return entities
    with session.timed("extract"):
        return hide.extractor(question)


def answer(hide: HiDe, case: Case, knobs: Knobs, view: View) -> None:
    """Run the model: the direct answer (once a case) and the one with the view's second picture, into `case.answers`.

    Without a region both are the direct one, as in the method itself.
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
    return Answer(reply.text, letter, letter_probabilities(hide, reply, case.options), case.session.seconds[step])


def letter_probabilities(hide: HiDe, reply: Reply, options: list[str] | None) -> dict[str, float]:
    """Probability of each option's letter as the reply's first token, among the letters; empty without options."""
    if not options:
        return {}
    logits = hide.model.letter_logits(reply, len(options))
    return dict(zip(logits, softmax(list(logits.values())).tolist(), strict=True))


def command_line(config: RunConfig, case: Case, knobs: Knobs) -> str:
    """The command that runs the notebook of `config` so that it shows a case under these settings."""
    values = config.model_dump(mode="json")
    asked = ("model", "revision", "benchmark", "split", "resolution", "n", "seed", "max_pixels", "protocol")
    given: dict[str, Any] = {name: values[name] for name in asked if values[name] is not None}
    if case.path:
        given["image"] = paths.portable(case.path) if case.path.is_relative_to(paths.ROOT) else str(case.path)
    else:
        given["sample"] = case.name
    if case.sample is None:
        given |= {"question": case.question} | ({"options": case.options} if case.options else {})
    if case.entities.source == "given":
        given["entities"] = list(case.entities.names)
    given |= {"layer": knobs.layer, "sigma": knobs.sigma, "alpha": knobs.alpha, "noise_prior": knobs.prior}
    given |= {"tokens_off": list(knobs.off), "layout": knobs.layout}
    words = [word for name, value in given.items() for word in ("-p", name, str(value))]
    return shlex.join(["python", "-m", "hide_utils.cli.run", config.notebook, *words])
