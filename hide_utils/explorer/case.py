"""What the explorer shows, computed without widgets: cases, settings, and the view that follows from the two.

A case is one question about one picture. Its attention rows are captured once, at all layers. Maps, regions, layouts
and numbers are then array work, so that the model runs again only for an answer, and for the heads of a layer.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from hide_utils.config import nearest
from hide_utils.edits.layouts import LAYOUTS
from hide_utils.evaluation import localisation
from hide_utils.method import Entities, HiDe, SearchAttention, Session, lpd, tad
from hide_utils.samples import Box, Sample

Maps = Float[np.ndarray, "_ h w"]


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
        heads: numbers of the heads whose mean is read, counted from 0. None chosen is the mean of all.
        own_boxes: xyxy in pixels of the picture, which stand in for the regions where there are any.

    Raises:
        ValueError: for an unknown layout, with the nearest.
    """

    layer: int
    sigma: float
    alpha: float
    noise_prior: bool = True
    tokens_off: tuple[int, ...] = ()
    layout: str = "spatial_aggregate"
    heads: tuple[int, ...] = ()
    own_boxes: tuple[lpd.Region, ...] = ()

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise ValueError(f"unknown layout {self.layout!r}; {nearest(self.layout, LAYOUTS)}")


def own_settings(hide: HiDe) -> Knobs:
    """The settings of the method itself."""
    settings = hide.settings
    return Knobs(settings.layer, round(settings.sigma, 6), round(settings.alpha, 6))


@dataclass(frozen=True)
class TokenRows:
    """Attention of some tokens of a prompt or a reply to the picture.

    Attributes:
        tokens: their texts, white space included.
        rows: at the layers of the case's search, mean over heads.
    """

    tokens: tuple[str, ...]
    rows: Float[np.ndarray, "layers tokens h w"]


@dataclass(frozen=True)
class Answer:
    """What the model answered.

    Attributes:
        text: its reply.
        letter: read off the reply; None without options, or where the reply states none.
        probabilities: of each option's letter as the reply's first token, among these letters alone; empty without
            options.
        seconds: that the answer took.
        asked: rows of the text that was asked.
        said: rows of the reply's tokens, each that of the step which wrote it.
    """

    text: str
    letter: str | None
    probabilities: dict[str, float]
    seconds: float
    asked: TokenRows
    said: TokenRows


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
        apart: by layer, the rows with their heads apart, as far as they were asked for.
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
    apart: dict[int, SearchAttention] = field(default_factory=dict)

    def row_of(self, layer: int) -> int:
        """Where a layer stands among the captured ones.

        Raises:
            ValueError: it was not captured.
        """
        if layer not in self.attention.layers:
            raise ValueError(f"layer {layer} was not captured; the rows are of {list(self.attention.layers)}")
        return self.attention.layers.index(layer)

    def heads_at(self, layer: int) -> SearchAttention:
        """The rows of one layer with the heads apart. The first time, the model runs the search up to that layer."""
        self.row_of(layer)
        if layer not in self.apart:
            self.apart[layer] = self.session.search(self.entities, [layer], heads=True)
        return self.apart[layer]

    def rows(self, knobs: Knobs) -> tuple[Float[np.ndarray, "noise h w"], Float[np.ndarray, "tokens h w"]]:
        """Rows of the instruction and of the entities at the layer, mean over the chosen heads or over all.

        Raises:
            ValueError: for a layer whose rows were not captured, and for a head that the model lacks.
        """
        row = self.row_of(knobs.layer)
        if not knobs.heads:
            return self.attention.noise[row], self.attention.semantic[row]
        apart = self.heads_at(knobs.layer)
        assert apart.noise_heads is not None and apart.semantic_heads is not None  # heads=True
        if (most := apart.noise_heads.shape[1]) <= max(knobs.heads):
            raise ValueError(f"head {max(knobs.heads)}, counted from 0: layer {knobs.layer} has {most} heads")
        chosen = list(knobs.heads)
        return apart.noise_heads[0, chosen].mean(0), apart.semantic_heads[0, chosen].mean(0)

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
        noise: rows of the instruction's tokens.
        raw: row of every token, whose map is purified.
        maps: purified map of every token, in [0, 1], also of those that are off.
        on: which tokens count.
        regions: merged boxes of the tokens that count, or the user's own, in pixels.
        compact: the regions in their layout; None without a region.
        quality: measures of the regions against the true boxes, by name; see `evaluation.localisation.box_quality`.
        energy: share of the maps' mass that lies in the true boxes, in [0, 1]; NaN where there are none.
        seconds: that computing the view took.
    """

    noise: Float[np.ndarray, "noise h w"]
    raw: Float[np.ndarray, "tokens h w"]
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


def purified(noise: Maps, raw: Maps, knobs: Knobs) -> Maps:
    """TAD under the settings: rows of the instruction and of the tokens -> the tokens' maps in [0, 1]."""
    prior = noise if knobs.noise_prior else noise[:0]
    return tad.purify(np.concatenate([prior, raw]), len(prior), knobs.sigma)


def counted(case: Case, knobs: Knobs) -> Bool[np.ndarray, " tokens"]:
    """Which of a case's tokens count."""
    return ~np.isin(np.arange(len(case.attention.tokens)), knobs.tokens_off)


def truth_of(case: Case) -> Float[np.ndarray, "boxes 4"]:
    """The true boxes in parts of the picture's sides; (0, 4) where they are not known."""
    return np.reshape(case.boxes_xyxy, (-1, 4)) / [*case.image.size, *case.image.size]


def mean_energy(maps: Maps, boxes: Float[np.ndarray, "boxes 4"]) -> float:
    """Share of the maps' mass in boxes (parts of the sides), mean over the maps; NaN without either."""
    if not len(maps) or not len(boxes):
        return float("nan")
    return float(np.nan_to_num(localisation.energy_in_boxes(maps, boxes)).mean())


def view_of(case: Case, knobs: Knobs) -> View:
    """Maps, regions, layout and numbers of a case under settings, from its rows.

    The model runs only for chosen heads of a layer whose heads were not asked for yet.

    Raises:
        ValueError: for settings out of range, a layer whose rows were not captured, and a head that the model lacks.
    """
    started, size = time.perf_counter(), case.image.size
    noise, raw = case.rows(knobs)
    maps, on = purified(noise, raw, knobs), counted(case, knobs)
    if knobs.own_boxes:
        regions = lpd.pixel_regions(knobs.own_boxes, size)
    else:
        regions = lpd.regions_of(maps[on], knobs.alpha, size)
    compact = LAYOUTS[knobs.layout](case.image, regions) if regions else None
    quality = localisation.box_quality(regions, case.boxes_xyxy, size)
    energy = mean_energy(maps[on], truth_of(case))
    return View(noise, raw, maps, on, regions, compact, quality, energy, time.perf_counter() - started)


@dataclass(frozen=True)
class Shown:
    """What a pane shows.

    Attributes:
        model: name of the model.
        n_layers: its decoder layers.
        case: question and picture.
        knobs: settings.
        view: what the case's rows give under them.
    """

    model: str
    n_layers: int
    case: Case
    knobs: Knobs
    view: View
