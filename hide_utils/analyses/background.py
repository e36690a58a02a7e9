"""Notebook 01. Zooming in taken apart with true boxes, and backgrounds that are drawn with and without their parts.

*Edits* change the picture of a sample, as the paper's analysis does. *Redrawn scenes* have the same questions, things
and places, because the parts of a scene have random streams of their own: what is left out is the only difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Annotated, Any, cast

import pandas as pd
from matplotlib.figure import Figure
from PIL import Image
from pydantic import Field

from hide_utils import plots
from hide_utils.baselines import LOOKS as METHOD_LOOKS
from hide_utils.baselines import METHODS, Method, Outcome, direct, of_pictures, true_regions
from hide_utils.benchmarks.grids import names_place, parts_of
from hide_utils.config import Count, Pixels, RunConfig
from hide_utils.edits.interventions import canvas_window, masked, on_canvas, unenlarged_ratio, upscaled
from hide_utils.evaluation import stored_answers
from hide_utils.findings import MARGINS, Finding, claims_beside, of_answers, of_differences
from hide_utils.looks import PALETTE, Look
from hide_utils.method import HiDe, Session, lpd
from hide_utils.models import VLM
from hide_utils.samples import Sample
from hide_utils.scenes.questions import photograph_of, scene_samples
from hide_utils.scenes.settings import DIFFICULTIES
from hide_utils.stats import accuracies
from hide_utils.stats.rows import outcomes

Density = Annotated[float, Field(ge=0)]


class BackgroundConfig(RunConfig):
    """Parameters of notebook 01.

    Attributes:
        n_large: samples of the edits that make pictures larger. None takes all.
        n_curve: scenes at every point of a curve. None takes all.
        n_sizes: scenes of every size of objects and picture. None takes all.
        object_sizes: a small and a large side of the objects in pixels, whose areas differ by a factor of two.
        picture_sizes: the same of the picture.
        resolutions: sides of the picture, of a curve.
        similar_densities: numbers per 65 536 pixels of named objects that share an attribute with those asked
            about, of a curve.
        unnamed_densities: numbers per 65 536 pixels of unnamed objects, of a curve.
    """

    notebook: str = "01_background_interference"
    n_large: Count | None = None
    n_curve: Count | None = None
    n_sizes: Count | None = None
    object_sizes: tuple[Pixels, ...] = ()
    picture_sizes: tuple[Pixels, ...] = ()
    resolutions: tuple[Pixels, ...] = ()
    similar_densities: tuple[Density, ...] = ()
    unnamed_densities: tuple[Density, ...] = ()


@dataclass(frozen=True)
class Edit:
    """A change of the picture with its true regions. Calling it is a method for `evaluate`.

    Attributes:
        experiment: "upscale", "mask", "canvas", or "unenlarged", the tightest canvas that the processor leaves at its
            scale.
        value: the factor or ratio; see `hide_utils.edits.interventions`.
    """

    experiment: str
    value: float = 0.0

    def picture(self, model: VLM, image: Image.Image, regions: Sequence[lpd.Region]) -> Image.Image:
        """The edited picture of an RGB picture with its true regions (pixels)."""
        if self.experiment == "upscale":
            return upscaled(image, self.value)
        if self.experiment == "mask":
            return masked(image, regions, self.value)
        return on_canvas(image, regions, self._ratio(model, image, regions))

    def window(self, model: VLM, image: Image.Image, regions: Sequence[lpd.Region]) -> lpd.Region:
        """Where the edited picture lies in the original's pixels, xyxy."""
        if self.experiment in ("upscale", "mask"):
            return 0, 0, *image.size
        return canvas_window(regions, image.size, self._ratio(model, image, regions))

    def _ratio(self, model: VLM, image: Image.Image, regions: Sequence[lpd.Region]) -> float:
        return self.value if self.experiment == "canvas" else unenlarged_ratio(model, regions, image.size)

    def __call__(self, hide: HiDe, session: Session, sample: Sample) -> Outcome:
        """An answer from the edited picture.

        Raises:
            ValueError: the sample has no true boxes.
        """
        if not sample.boxes_xyxy:
            raise ValueError(f"sample {sample.id} has no ground-truth boxes: take samples or a benchmark that has them")
        edited = self.picture(session.model, session.image, true_regions(session, sample))
        return of_pictures(lambda *_: [edited])(hide, session, sample)


EDITS: dict[str, Edit] = {
    "upscaled": Edit("upscale", 1.5), "masked": Edit("mask", 1.0), "more white": Edit("canvas", -0.5),
    "less white": Edit("unenlarged"), "close-up": Edit("canvas", 1.0),
}  # fmt: skip
ANSWERED: dict[str, Method] = {"direct": direct, **{name: EDITS[name] for name in ("masked", "less white", "close-up")}}
LARGER: dict[str, Method] = {"direct": direct, **{name: EDITS[name] for name in ("masked", "upscaled", "more white")}}
PARTS: dict[str, dict[str, Any]] = {
    "no unnamed objects": {"unnamed": 0}, "no strokes": {"strokes": 0},
    "no strokes, plain ground": {"strokes": 0, "ground": "plain"},
}  # fmt: skip
PROCEDURAL = {"ground": "procedural"}
ON_GROUNDS = {"as drawn": PROCEDURAL} | {name: PROCEDURAL | PARTS[name] for name in PARTS if name != "no strokes"}
# setting of a scene -> parameter
CURVES = {"resolution": "resolutions", "unnamed": "unnamed_densities", "similar": "similar_densities"}
AXES = {
    "resolution": "side of the picture, pixels", "unnamed": "unnamed objects per 65 536 px",
    "similar": "similar objects per 65 536 px",
}  # fmt: skip
LOOKS = {
    "direct": Look("as it is", PALETTE[7]), "masked": Look("masked", PALETTE[0]),
    "large": Look("large objects", PALETTE[0]), "small": Look("small objects", PALETTE[1]),
    "resolution": Look("resolution", PALETTE[2]), "unnamed": Look("unnamed objects", PALETTE[0]),
    "similar": Look("similar objects", PALETTE[1]),
}  # fmt: skip
ON_GRIDS: dict[str, Method] = {name: METHODS[name] for name in ("direct", "hide")}
LEAST = 30  # needles that a claim about HRScene's grids takes

CLAIMS = claims_beside(__file__)


def edits_of(samples: Sequence[Sample], methods: Mapping[str, Method]) -> dict[str, Method]:
    """The methods, without edits that move what is in the picture where the answer is a place in it (ComplexGrid)."""
    placed = any(sample.scorer is names_place for sample in samples)
    moving = [
        name for name, one in methods.items() if isinstance(one, Edit) and one.experiment in ("canvas", "unenlarged")
    ]
    return {name: method for name, method in methods.items() if not (placed and name in moving)}


def redrawn(
    hide: HiDe, cfg: BackgroundConfig, variants: Mapping[str, Mapping[str, Any]], n: int | None = None
) -> pd.DataFrame:
    """Direct answers to scenes drawn with other settings, as rows of which a variant's name is the method.

    Rows of one scene's index have one `sample_id`, so that variants are compared in pairs. The scenes are drawn
    whatever the benchmark is.

    Args:
        hide: the method's settings, with its model.
        cfg: says split, seed, n and, for variants without one, the resolution.
        variants: name -> settings of the scene.
        n: scenes of each variant. None takes that of `cfg`.
    """
    tables = {name: answers_on(hide, cfg, {"direct": direct}, n, **knobs) for name, knobs in variants.items()}
    return pd.concat([rows.assign(method=name) for name, rows in tables.items()], ignore_index=True)


def answers_on(
    hide: HiDe, cfg: BackgroundConfig, methods: Mapping[str, Method], n: int | None = None, **knobs: Any
) -> pd.DataFrame:
    """Answers to drawn scenes, whose `sample_id` is the number of the scene."""
    usual = DIFFICULTIES["default"] | ({"resolution": cfg.resolution} if cfg.resolution else {})
    knobs = {name: value for name, value in (usual | knobs).items() if value != DIFFICULTIES["default"].get(name)}
    samples = scene_samples(cfg.split or "test", n or cfg.n or 400, cfg.seed, **knobs)
    of_scenes = cfg.model_copy(update={"benchmark": "scenes"})  # whose rows are the same beside any benchmark
    table = stored_answers(hide, samples, methods, of_scenes, **knobs)
    number = table["sample_id"].str.rsplit("-", n=1).str[-1]
    return table.assign(sample_id=number, image_id=number)


def factorial(cfg: BackgroundConfig) -> dict[str, dict[str, Any]]:
    """Settings of the scenes of every size of objects and picture, by name. All objects of a scene have one size."""
    of = {"small": min, "large": max}
    return {
        f"{one} objects, {other} picture": {
            "object_size": (of[one](cfg.object_sizes),) * 2,
            "resolution": of[other](cfg.picture_sizes),
        }
        for one, other in product(of, of)
    }


def by_size(answers: pd.DataFrame, cfg: BackgroundConfig) -> pd.DataFrame:
    """Accuracies of the `factorial` scenes with the columns object ("small", "large") and picture (its side)."""
    table, settings = accuracies(answers, ["method"]), factorial(cfg)
    sides = table["method"].map({name: knobs["resolution"] for name, knobs in settings.items()})
    return table.assign(object=table["method"].str.split(" ").str[0], picture=sides)


def curve(hide: HiDe, cfg: BackgroundConfig, knob: str, values: Sequence[float]) -> pd.DataFrame:
    """Direct answers to scenes drawn at every value of one setting: rows with the column value."""
    whole = [int(v) if v == int(v) else v for v in values]  # 8 and 8.0 are one setting, and rows of theirs one file
    tables = [redrawn(hide, cfg, {f"{knob} {v:g}": {knob: v}}, cfg.n_curve).assign(value=v) for v in whole]
    return pd.concat(tables, ignore_index=True)


def card_of_ends(rows: pd.DataFrame, knob: str) -> Finding:
    """The finding of a `curve`: the answers at its highest value against those at its lowest."""
    low, high = (f"{knob} {value:g}" for value in (rows["value"].min(), rows["value"].max()))
    return of_answers(rows, high, low, claim=knob, **CLAIMS["curves"][knob])


def by_photograph(rows: pd.DataFrame, samples: Sequence[Sample]) -> pd.DataFrame:
    """The rows of drawn scenes with a column ``photograph``: the name of the one behind each."""
    names = {sample.id: photograph_of(cast(partial, sample.render).args[0]) for sample in samples}
    return rows.assign(photograph=rows["sample_id"].map(names))


def example_edits(model: VLM, sample: Sample) -> list[tuple[str, Image.Image, lpd.Region]]:
    """A sample's picture and its edits, for `hide_utils.plots.edit_gallery`: title, picture, place in the original."""
    image, edits = sample.image, {name: edit for name, edit in EDITS.items() if name != "upscaled"}
    regions = lpd.pixel_regions(sample.boxes_xyxy, image.size)
    given = (model, image, regions)
    made = [(name, edit.picture(*given), edit.window(*given)) for name, edit in edits.items()]
    return [("as it is", image, (0, 0, *image.size)), *made]


def example_scenes(cfg: BackgroundConfig, number: int = 0) -> dict[str, Sample]:
    """One scene as drawn, without each of its `PARTS`, and on a procedural ground, by name."""
    variants = {"as drawn": {}, **PARTS, "procedural ground": PROCEDURAL}
    usual = {"resolution": cfg.resolution} if cfg.resolution else {}
    return {
        name: scene_samples(cfg.split or "test", number + 1, cfg.seed, **usual | knobs)[number]
        for name, knobs in variants.items()
    }


def on_grids(hide: HiDe, samples: Sequence[Sample], cfg: BackgroundConfig) -> pd.DataFrame | None:
    """Answers of `ON_GRIDS` to HRScene's diagnosis; None for any other benchmark.

    Columns beside those of `evaluate`: needle, grid (cells a side) and steps, the needle's cell's distance from the
    upper left one, in rows and columns together.
    """
    places = {sample.id: parts_of(sample.id) for sample in samples}
    if None in places.values():
        return None
    table = stored_answers(hide, samples, ON_GRIDS, cfg)
    found = pd.DataFrame(
        [
            (place.needle, place.grid, place.row + place.column)
            for place in map(places.get, table["sample_id"])
            if place
        ],
        columns=["needle", "grid", "steps"],
        index=table.index,
    )
    return table.join(found)


def grid_figure(rows: pd.DataFrame) -> Figure:
    """Accuracy over the size of the grid, and on the largest grid over the needle's distance from the upper left."""
    fig, axes = plots.new_figure(1, 2, width=plots.PAGE_WIDTH, height=2.3, sharey=True)
    largest = rows[rows["grid"] == rows["grid"].max()]
    for ax, part, x in ((axes[0], rows, "grid"), (axes[1], largest, "steps")):
        plots.bands(ax, accuracies(part, [x, "method"]), x, "method", looks=METHOD_LOOKS, values=plots.ACCURACY)
        ax.set(ylim=(0, 1), xticks=sorted(part[x].unique()))
    axes[0].set(xlabel="cells along a side of the grid, one of them asked about", ylabel="accuracy")
    axes[1].set_xlabel(f"rows and columns from the upper left, of {largest['grid'].max()} by {largest['grid'].max()}")
    axes[0].legend(loc="best")
    return fig


def grid_cards(rows: pd.DataFrame) -> list[Finding]:
    """Cards about the largest grid: against the smallest, and HiDe against direct; by needle, over all its places.

    There is none where fewer than `LEAST` needles were asked about in both grids, and where there is one grid alone.
    Nor is there where direct answers are right about less than the margin in the smallest grid: a model that cannot
    answer the questions has nothing to lose.
    """
    wide = rows.assign(value=100 * outcomes(rows)).pivot_table("value", "needle", ["method", "grid"])
    least, most = rows["grid"].min(), rows["grid"].max()
    pairs = {
        "more background": (("direct", most), ("direct", least)),
        "HiDe in much background": (("hide", most), ("direct", most)),
    }
    if least == most or not wide.get(("direct", least), pd.Series(dtype=float)).mean() >= MARGINS["points"]:
        return []
    if not {place for pair in pairs.values() for place in pair} <= set(wide.columns):
        return []
    differences = {claim: (wide[one] - wide[other]).dropna() for claim, (one, other) in pairs.items()}
    return [
        of_differences(change, change.index, "points", claim=claim, **CLAIMS["grids"][claim])
        for claim, change in differences.items()
        if len(change) >= LEAST
    ]
