"""The analysis' picture edits with ground-truth boxes: zooming in, taken apart one step at a time (paper, analysis).

    zoom in = enlarge (`upscaled`) + crop
    crop    = less background content at the same number of tokens (`masked`) + fewer background tokens (`on_canvas`)

Each edit makes one picture, which the model answers from alone. `masked` and `on_canvas` never change an object's
pixels; `enlargement` says where an image processor does so behind their back. `conditions` lists the settings,
`picture_methods` makes them methods for `evaluate`, `background_left` says how much background each leaves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageFilter

from hide_utils.baselines.methods import Method, Outcome, direct, of_pictures, true_regions
from hide_utils.method import lpd, tad
from hide_utils.method.hide import HiDe
from hide_utils.method.session import Session
from hide_utils.models import VLM
from hide_utils.samples import Sample

FILLS = ("white", "black", "mean", "blur")
BLUR = 0.05  # standard deviation of the blur, as a share of the picture's longer side
TOLERANCE = 0.1  # a picture's scale counts as unchanged within this share: processors round sides to whole tokens
EXPERIMENTS = ("upscale", "mask", "canvas", "fill", "unenlarged")


def window(box_xyxy: Sequence[float], image_size_wh: Sequence[int], ratio: float) -> lpd.Region:
    """The picture's frame moved to the box: each edge is (1 - ratio) * picture's + ratio * box's, in pixels.

    ratio: 0 is the whole picture, 1 the box; down to -1 each edge moves out by as much as it would move in, so that at
    -1 the window is twice the picture less the box, in width and in height. Edges are rounded outwards: windows of
    growing ratios are nested and hold the box. Raises ValueError for a ratio outside [-1, 1].
    """
    if not -1 <= ratio <= 1:
        raise ValueError(f"ratio {ratio}: it runs from 0 (the whole picture) to 1 (the box), or out to -1")
    frame = (0, 0, *image_size_wh)
    x0, y0, x1, y1 = (round((1 - ratio) * f + ratio * b, 6) for f, b in zip(frame, box_xyxy, strict=True))
    return math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1)


def upscaled(image: Image.Image, factor: float) -> Image.Image:
    """The whole picture enlarged by a factor >= 1 (bicubic): object and background grow alike, none is removed.

    What a processor's pixel budget then takes back, the model does not see. Raises ValueError for a factor below 1.
    """
    if not factor >= 1:
        raise ValueError(f"factor {factor}: upscaling starts at 1, the picture as it is")
    if factor == 1:
        return image
    return image.resize([round(side * factor) for side in image.size], Image.Resampling.BICUBIC)


def ground(image: Image.Image, fill: str = "white") -> Image.Image:
    """What stands where the picture is hidden: white, black, its mean color, or itself blurred beyond recognition.

    The blur is Gaussian with a standard deviation of `BLUR` times the longer side. Raises ValueError for another fill.
    """
    if fill == "blur":
        return image.filter(ImageFilter.GaussianBlur(BLUR * max(image.size)))
    colors = {"white": (255,) * 3, "black": (0,) * 3}
    if fill == "mean":
        colors[fill] = tuple(round(c) for c in np.asarray(image.convert("RGB")).mean((0, 1)).tolist())
    if fill not in colors:
        raise ValueError(f"unknown fill {fill!r}; known: {', '.join(FILLS)}")
    return Image.new("RGB", image.size, colors[fill])


def masked(image: Image.Image, regions: Sequence[lpd.Region], ratio: float, fill: str = "white") -> Image.Image:
    """Semantic background: everything outside a window that shrinks from the picture (0) to the boxes (1) is hidden.

    Every box has a window of its own (`window`), and what lies in any of them stays, so that at 1 only the boxes are
    left, however far apart. The picture keeps size and layout, and so its number of tokens: only content goes.
    ratio: mask ratio in [0, 1]; 0 gives the picture itself. Raises ValueError outside it, and without regions.
    """
    if not len(regions) or not 0 <= ratio <= 1:
        raise ValueError(f"{len(regions)} regions at mask ratio {ratio}: need a region, and a ratio in [0, 1]")
    if ratio == 0:
        return image
    hidden = ground(image, fill)
    for kept in (window(region, image.size, ratio) for region in regions):
        hidden.paste(image.crop(kept), kept[:2])
    return hidden


def canvas_window(regions: Sequence[lpd.Region], image_size_wh: Sequence[int], ratio: float) -> lpd.Region:
    """The canvas of `on_canvas` in the picture's coordinates: one `window`, for the boxes' common bounding box."""
    if not len(regions):
        raise ValueError("no regions: a canvas is drawn around boxes")
    edges = np.array(regions)
    return window([*edges[:, :2].min(0).tolist(), *edges[:, 2:].max(0).tolist()], image_size_wh, ratio)


def on_canvas(image: Image.Image, regions: Sequence[lpd.Region], ratio: float) -> Image.Image:
    """Token background: the boxes alone, in their layout, on a white canvas of varying size.

    ratio: expand/crop ratio. At 0 the canvas has the picture's size (the same as mask ratio 1); positive ratios crop it
    towards the boxes' common bounding box, reached at 1; negative ones expand it beyond the picture, along the same
    straight lines (`window`). Tokens come and go, but none of them ever holds background content.
    Raises ValueError outside [-1, 1] and without regions.
    """
    x, y, x1, y1 = canvas_window(regions, image.size, ratio)
    canvas = Image.new("RGB", (x1 - x, y1 - y), (255, 255, 255))
    for region in regions:
        canvas.paste(image.crop(region), (region[0] - x, region[1] - y))
    return canvas


def enlargement(model: VLM, image_size_wh: tuple[int, int], reference_wh: tuple[int, int]) -> float:
    """How much larger the model sees things in a picture of one size than in the reference: a ratio of lengths.

    From the tokens a pixel gets in each, so that it holds for every processor: above 1 where a small picture is
    enlarged to the least pixel budget (a hidden zoom), below 1 where a large one is reduced to the greatest.
    """
    tokens = [model.n_image_tokens(size) / math.prod(size) for size in (image_size_wh, reference_wh)]
    return math.sqrt(tokens[0] / tokens[1])


def unenlarged_ratio(model: VLM, regions: Sequence[lpd.Region], image_size_wh: tuple[int, int]) -> float:
    """Largest expand/crop ratio, in steps of 0.01 from 1 down to 0, whose canvas is not enlarged (`TOLERANCE`)."""
    for ratio in np.linspace(1, 0, 101).round(2).tolist():
        x0, y0, x1, y1 = canvas_window(regions, image_size_wh, ratio)
        if enlargement(model, (x1 - x0, y1 - y0), image_size_wh) <= 1 + TOLERANCE:
            return ratio
    return 0.0


def conditions(
    factors: Sequence[float], mask_ratios: Sequence[float], canvas_ratios: Sequence[float], fills: Sequence[str]
) -> pd.DataFrame:
    """Every setting of the analysis: columns experiment (of `EXPERIMENTS`), value, fill and method.

    The method is the name under which answers are stored; settings that give the same picture share it: upscaling by 1
    and mask ratio 0 are the original ("direct"), expand/crop ratio 0 is mask ratio 1 on white. `fill` holds mask ratio
    1 in every fill; `unenlarged` the tightest canvas that the processor leaves at its scale.
    Raises ValueError for an unknown fill.
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
    """One row of `conditions`: `picture` makes its picture, and calling it is a method for `evaluate`.

    A sample without ground-truth boxes raises ValueError.
    """

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
        """An answer from the edited picture. Raises ValueError for a sample without true boxes."""
        if not sample.boxes_xyxy:
            raise ValueError(f"sample {sample.id} has no ground-truth boxes: take samples or a benchmark that has them")
        edited = self.picture(session.model, session.image, true_regions(session, sample))
        return of_pictures(lambda *_: [edited])(hide, session, sample)


def picture_methods(settings: pd.DataFrame) -> Mapping[str, Method]:
    """Each distinct method of `conditions`, by name, for `evaluate`; "direct" always among them."""
    methods: dict[str, Method] = {"direct": direct}
    for row in settings.drop_duplicates("method").itertuples():
        methods.setdefault(row.method, Edit(row.experiment, row.value, row.fill))
    return methods


def background_left(settings: pd.DataFrame, samples: Sequence[Sample], model: VLM) -> pd.DataFrame:
    """How much of everything each setting shows of each sample; the model does not run.

    Returns one row a sample and row of `conditions` with its columns, and: sample_id, image_id, kind; size_px (the
    edited picture, pixels), shown_px (pixels of it that come from the original, in the original's pixels), object_px
    (area of the true boxes) and enlargement (`enlargement` against the original: 1 is the original's scale).
    """
    rows = []
    for sample in samples:
        size = sample.image.size
        regions = lpd.merge_boxes(np.array(sample.boxes_xyxy) / [*size, *size], size)
        who: dict[str, Any] = {"sample_id": sample.id, "image_id": sample.image_id, "kind": sample.kind}
        who["object_px"] = tad.union_area(regions)
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
    return {"size_px": math.prod(edited), "shown_px": tad.union_area(shown), "enlargement": scale}
