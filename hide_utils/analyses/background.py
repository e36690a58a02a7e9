"""Notebook 01. Every setting of the analysis of zooming in, and what each shows of a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import pandas as pd
from PIL import Image
from pydantic import Field

from hide_utils.baselines import Method, Outcome, direct, of_pictures, true_regions
from hide_utils.config import Count, Pixels, RunConfig
from hide_utils.edits.interventions import (
    FILLS,
    canvas_window,
    enlargement,
    masked,
    on_canvas,
    unenlarged_ratio,
    upscaled,
    window,
)
from hide_utils.evaluation import localisation
from hide_utils.looks import PALETTE, Look
from hide_utils.method import HiDe, Session, lpd
from hide_utils.models import VLM
from hide_utils.samples import Sample


class BackgroundConfig(RunConfig):
    """Parameters of notebook 01.

    Attributes:
        n_curve: samples at every setting between the ends of a scale. None takes all.
        upscale_factors: by which the whole picture is enlarged.
        mask_steps: steps of the mask ratio from 0 to 1.
        canvas_steps: steps of the expand/crop ratio from -1 to 1.
        fills: what hides the background, names of `hide_utils.edits.interventions.FILLS`.
        object_sizes, picture_sizes: sides in pixels, of the factorial scenes.
        unnamed_objects: numbers of unnamed objects in a factorial scene.
        named_objects: numbers of named objects in a factorial scene, those asked about among them.
        n_factorial: factorial scenes a cell.
    """

    notebook: str = "01_background_interference"
    n_curve: Count | None = None
    upscale_factors: tuple[Annotated[float, Field(ge=1, le=8)], ...] = ()
    mask_steps: Count = 10
    canvas_steps: Count = 20
    fills: tuple[str, ...] = ()
    object_sizes: tuple[Pixels, ...] = ()
    picture_sizes: tuple[Pixels, ...] = ()
    unnamed_objects: tuple[Annotated[int, Field(ge=0)], ...] = ()
    named_objects: tuple[Annotated[int, Field(ge=4)], ...] = ()
    n_factorial: Count | None = None


EXPERIMENTS = ("upscale", "mask", "canvas", "fill", "unenlarged")
KINDS = {
    "direct_attributes": Look("attribute", PALETTE[0]),
    "relative_position": Look("spatial", PALETTE[1]),
}
TITLES = {"mask": "mask ratio {value:g}", "canvas": "expand/crop {value:g}", "fill": "{fill}", "upscale": "× {value:g}"}


def conditions(
    factors: Sequence[float], mask_ratios: Sequence[float], canvas_ratios: Sequence[float], fills: Sequence[str]
) -> pd.DataFrame:
    """Every setting of the analysis.

    Args:
        factors: by which the picture is upscaled.
        mask_ratios: see `masked`.
        canvas_ratios: see `on_canvas`.
        fills: of `FILLS`, all at mask ratio 1.

    Returns:
        Columns experiment (of `EXPERIMENTS`), value, fill and method. The method is the name under which answers are
        stored. Settings that give the same picture share it: upscaling by 1 and mask ratio 0 are the original
        ("direct"), and expand/crop ratio 0 is mask ratio 1 on white. The experiment "unenlarged" is the tightest canvas
        that the processor leaves at its scale.

    Raises:
        ValueError: a fill is unknown.
    """
    if unknown := set(fills) - set(FILLS):
        raise ValueError(f"unknown fills {sorted(unknown)}; known: {', '.join(FILLS)}")
    rows = [("upscale", value, "", "direct" if value == 1 else f"upscale {value:g}") for value in factors]
    rows += [("mask", value, "white", _mask_name(value, "white")) for value in mask_ratios]
    names = [(value, f"canvas {value:g}" if value else _mask_name(1, "white")) for value in canvas_ratios]
    rows += [("canvas", value, "white", name) for value, name in names]
    rows += [("fill", 1.0, fill, _mask_name(1, fill)) for fill in fills]
    rows += [("unenlarged", math.nan, "white", "canvas unenlarged")]
    return pd.DataFrame(rows, columns=["experiment", "value", "fill", "method"])


def _mask_name(ratio: float, fill: str) -> str:
    return f"mask {ratio:g} {fill}" if ratio else "direct"


def ends(settings: pd.DataFrame) -> pd.DataFrame:
    """The rows of `conditions` that tests compare: both ends of each experiment's scale, and every control."""
    value = settings.groupby("experiment")["value"]
    at_end = (settings["value"] == value.transform("min")) | (settings["value"] == value.transform("max"))
    return settings[at_end | settings["experiment"].isin(["fill", "unenlarged"])].reset_index(drop=True)


@dataclass(frozen=True)
class Edit:
    """One row of `conditions`: `picture` makes its picture, and calling it is a method for `evaluate`."""

    experiment: str
    value: float
    fill: str = "white"

    def picture(self, model: VLM, image: Image.Image, regions: Sequence[lpd.Region]) -> Image.Image:
        """The edited picture of an RGB picture with its true regions (pixels)."""
        if self.experiment == "upscale":
            return upscaled(image, self.value)
        if self.experiment in ("mask", "fill"):
            return masked(image, regions, self.value, self.fill)
        tightest = self.experiment == "unenlarged"
        return on_canvas(image, regions, unenlarged_ratio(model, regions, image.size) if tightest else self.value)

    def __call__(self, hide: HiDe, session: Session, sample: Sample) -> Outcome:
        """An answer from the edited picture.

        Raises:
            ValueError: the sample has no true boxes.
        """
        if not sample.boxes_xyxy:
            raise ValueError(f"sample {sample.id} has no ground-truth boxes: take samples or a benchmark that has them")
        edited = self.picture(session.model, session.image, true_regions(session, sample))
        return of_pictures(lambda *_: [edited])(hide, session, sample)


def example_edits(
    image: Image.Image, regions: Sequence[lpd.Region], rows: Mapping[str, pd.DataFrame], model: VLM
) -> dict[str, list[tuple[str, Image.Image, lpd.Region]]]:
    """Edited pictures of one picture, for `hide_utils.plots.edit_gallery`.

    Args:
        image: the picture.
        regions: its true boxes, merged, in pixels.
        rows: name -> rows of `conditions`.
        model: the model whose processor decides what is enlarged.

    Returns:
        name -> title, edited picture, and where that lies in the picture, pixel xyxy.
    """

    def panel(row) -> tuple[str, Image.Image, lpd.Region]:
        title = TITLES[row.experiment].format(value=row.value, fill=row.fill).replace("-", "−")
        place = canvas_window(regions, image.size, row.value) if row.experiment == "canvas" else (0, 0, *image.size)
        return title, Edit(row.experiment, row.value, row.fill).picture(model, image, regions), place

    return {name: [panel(row) for row in table.itertuples()] for name, table in rows.items()}


def picture_methods(settings: pd.DataFrame) -> Mapping[str, Method]:
    """Each distinct method of `conditions`, by name, for `evaluate`. "direct" is always among them."""
    methods: dict[str, Method] = {"direct": direct}
    for row in settings.drop_duplicates("method").itertuples():
        methods.setdefault(row.method, Edit(row.experiment, row.value, row.fill))
    return methods


def background_left(settings: pd.DataFrame, samples: Sequence[Sample], model: VLM) -> pd.DataFrame:
    """How much of everything each setting shows of each sample. The model does not run.

    Args:
        settings: from `conditions`.
        samples: with true boxes.
        model: whose processor decides what is enlarged.

    Returns:
        One row a sample and row of `settings`, with its columns and: sample_id, image_id, kind. size_px, the edited
        picture's pixels. shown_px, those that come from the original, in the original's pixels. object_px, the area of
        the true boxes. enlargement against the original, 1 for the original's scale.
    """
    rows = []
    for sample in samples:
        size = sample.image.size
        regions = lpd.pixel_regions(sample.boxes_xyxy, size)
        who: dict[str, Any] = {
            "sample_id": sample.id,
            "image_id": sample.image_id,
            "kind": sample.kind,
            "object_px": localisation.union_area(regions),
        }
        rows += [who | row | _sizes(row, regions, size, model) for row in settings.to_dict("records")]
    return pd.DataFrame(rows)


def _sizes(row: Mapping, regions: list[lpd.Region], size: tuple[int, int], model: VLM) -> dict[str, float]:
    experiment, value, edited, shown = row["experiment"], row["value"], size, regions
    if experiment == "upscale":
        edited, shown = tuple(round(side * value) for side in size), [(0, 0, *size)]
    elif experiment in ("mask", "fill"):
        shown = [window(region, size, value) for region in regions]
    else:
        ratio = unenlarged_ratio(model, regions, size) if experiment == "unenlarged" else value
        x0, y0, x1, y1 = canvas_window(regions, size, ratio)
        edited = (x1 - x0, y1 - y0)
    scale = enlargement(model, edited, size)
    return {"size_px": math.prod(edited), "shown_px": localisation.union_area(shown), "enlargement": scale}
