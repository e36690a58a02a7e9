"""Notebook 04. What else could be shown of the same regions, and how the maps are cut into regions.

`layout_methods` makes every variant a method for `evaluate`. Its name says whose boxes are laid out ("true" or "hide"),
how, and that the original was left out ("alone"). LPD behind the original is the method "oracle" or "hide" itself.
`CLAIMS` says which two methods decide each claim about answers, and which settings each about maps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from textwrap import fill

import pandas as pd
from matplotlib.figure import Figure

from hide_utils import plots
from hide_utils.baselines import METHODS, Method, Outcome, of_pictures, of_regions, true_regions
from hide_utils.config import Alpha, Count, RunConfig, Sigma
from hide_utils.edits.layouts import ARRANGEMENTS, LAYOUTS, Layout, enlargement, model_budget, native_size, order_kept
from hide_utils.evaluation import calibration
from hide_utils.evaluation.failures import regions_in
from hide_utils.findings import Finding, by_kind, cards_of, claims_beside, of_measure, paper_numbers, published
from hide_utils.images import composite_on_white
from hide_utils.method import HIDE_STEPS, HiDe, Session, lpd
from hide_utils.models import VLM
from hide_utils.plots import Panel
from hide_utils.samples import Sample
from hide_utils.stats import median_label


class LayoutsConfig(RunConfig):
    """Parameters of notebook 04.

    Attributes:
        n_calibration: samples of the calibration split. None takes all.
        sigmas, alphas: grid on which the threshold and the smoothing are chosen.
    """

    notebook: str = "04_layout_ablations"
    n_calibration: Count | None = None
    sigmas: tuple[Sigma, ...] = calibration.SIGMAS
    alphas: tuple[Alpha, ...] = calibration.ALPHAS


LABELS = {
    "sequential_tiling": "side by side, in reading order",
    "random_tiling": "side by side, in random order",
    "random_aggregate": "at random places",
    "spatial_aggregate": "LPD",
    "bounding_crop": "one crop around all",
    "masked_in_place": "masked in place",
    "native_size": "LPD, not enlarged",
    "black_fill": "LPD on black",
    "mean_fill": "LPD on the mean color",
    "blur_fill": "LPD on a blurred ground",
}
OF_PAPER = ("spatial_aggregate", "sequential_tiling", "random_tiling", "random_aggregate")
_OF_SETTINGS = (("sigma", "grid cells"), ("alpha", "threshold"))
PUBLISHED = tuple(published("hyperparameters", "Qwen2.5-VL-7B", *place) for place in _OF_SETTINGS)

CLAIMS = claims_beside(__file__)


def _true(hide: HiDe, session: Session, sample: Sample) -> Sequence[lpd.Region]:
    return true_regions(session, sample)


def _own(hide: HiDe, session: Session, sample: Sample) -> Sequence[lpd.Region]:
    return hide.locate(session, sample.question).regions


def _layouts(model: VLM) -> Mapping[str, Layout]:
    budget = model_budget(model)
    return LAYOUTS | ({"native_size": partial(native_size, budget)} if budget else {})


def _alone(find: Callable[..., Sequence[lpd.Region]], layout: Layout) -> Method:
    """Answers from the laid-out regions alone, without the original. Without a region the answer is the direct one."""

    def method(hide: HiDe, session: Session, sample: Sample) -> Outcome:
        regions = find(hide, session, sample)
        if not regions:
            return replace(METHODS["direct"](hide, session, sample), fallback="no box survived")
        picture = composite_on_white(layout(session.image, regions))
        return replace(of_pictures(lambda *_: [picture])(hide, session, sample), regions=tuple(regions))

    return method


def layout_methods(model: VLM) -> dict[str, Method]:
    """Every variant that `CLAIMS` name, and the paper's four layouts without the original.

    For a model without a pixel budget those that are not enlarged are left out.
    """
    named = _layouts(model)
    true = [*(name for name in ARRANGEMENTS if name != "spatial_aggregate"), "native_size"]
    own = ["sequential_tiling", "black_fill", "mean_fill", "blur_fill", "native_size"]
    methods = {name: METHODS[name] for name in ("direct", "hide", "oracle")}
    for boxes, find, layouts, steps in (
        ("true", _true, true, ("prefill", "compact")),
        ("hide", _own, own, HIDE_STEPS[:-1]),
    ):
        methods |= {f"{boxes} {name}": of_regions(find, named[name], steps) for name in layouts if name in named}
    methods |= {f"true {name} alone": _alone(_true, named[name]) for name in OF_PAPER}
    return methods | {"hide spatial_aggregate alone": _alone(_own, named["spatial_aggregate"])}


def decided(answers: pd.DataFrame, claims: Iterable[str], model: VLM) -> tuple[list[Finding], Figure | None]:
    """Cards of these claims and their forest, in grey under each the same difference for each of its `_parts`.

    There is no figure where no claim's variants were answered.
    """
    cards, parts = cards_of(answers, CLAIMS["answers"], claims), {}
    for card in cards:
        of = _parts(answers, CLAIMS["answers"][card.claim]["method"], model)
        rows = {part: answers[answers["sample_id"].isin(ids)] for part, ids in of.items()}
        parts[card.claim] = {part: cards_of(own, CLAIMS["answers"], [card.claim])[0] for part, own in rows.items()}
    return cards, plots.findings_forest(cards, parts=parts) if cards else None


def _parts(answers: pd.DataFrame, method: str, model: VLM) -> dict[str, set[str]]:
    """Samples of each kind of question. Of a variant that is not enlarged, also those whose compact image would be."""
    rows, budget = answers[answers["method"] == method].set_index("sample_id"), model_budget(model)
    parts = {kind: set(part.index) for kind, part in by_kind(rows).items()}
    if budget and "native_size" in method:
        with_regions = dict(zip(rows.index[rows["regions"].notna()], regions_in(answers, method), strict=True))
        larger = {name for name, regions in with_regions.items() if regions and enlargement(regions, budget) > 1}
        parts |= {"where LPD is enlarged": larger} if larger else {}
    return parts


def order_holds(answers: pd.DataFrame) -> bool:
    """Whether LPD kept the order of all regions that lie apart, of true boxes and of HiDe's."""
    found = [regions for method in ("oracle", "hide") for regions in regions_in(answers, method)]
    return all(order_kept(regions, lpd.mapping(regions)) for regions in found if regions)


def typical(answers: pd.DataFrame, samples: Sequence[Sample]) -> Sample:
    """Of the samples with several true boxes, or else of all, the one for which HiDe keeps the median area."""
    of = [sample for sample in samples if len(sample.boxes_xyxy) > 1] or samples
    area = answers[answers["method"] == "hide"].set_index("sample_id")["area"]
    chosen = median_label(area[[sample.id for sample in of]])
    return next(sample for sample in of if sample.id == chosen)


def examples(hide: HiDe, sample: Sample) -> list[list[Panel]]:
    """What the model is shown of one picture, for `plots.gallery`: a line for true boxes and one for HiDe's."""
    session = hide.open(sample.images)
    shown = {
        "true boxes": (_true, ["spatial_aggregate", *OF_PAPER[1::2], "bounding_crop", "masked_in_place"]),
        "HiDe's boxes": (_own, ["spatial_aggregate", "black_fill", "mean_fill", "blur_fill", "native_size"]),
    }
    lines = []
    for title, (find, names) in shown.items():
        regions, named = find(hide, session, sample), _layouts(hide.model)
        line = [Panel(session.image, title, regions, sample.boxes_xyxy)]
        for name in names if regions else []:
            if name in named:
                picture = composite_on_white(named[name](session.image, regions))
                line.append(
                    Panel(picture, f"{fill(LABELS[name], 20)}\n{picture.width} × {picture.height}", framed=True)
                )
        lines.append(line)
    return lines


def accuracy_alone(answers: pd.DataFrame) -> Figure:
    """Accuracy of the paper's layouts without the original, by kind of question, beside the published values."""
    names = {f"true {name} alone": name for name in OF_PAPER}
    rows = answers[answers["method"].isin(names)]
    rows = rows.assign(layout=rows["method"].map(names), kind=rows["kind"].str.replace("_", " "))
    paper = paper_numbers("aggregation")
    paper = paper.assign(layout=paper["setting"], accuracy=paper["value"] / 100)
    labels = {name: LABELS[name] for name in OF_PAPER}
    return plots.rows_beside_published(rows, "layout", labels, paper, "V* spatial")


def _swept(
    hide: HiDe, samples: Sequence[Sample], cfg: LayoutsConfig, sigmas: Iterable[float], alphas: Iterable[float]
) -> pd.DataFrame:
    """`calibration.stored_sweep` of a grid that is widened to hold the published setting."""
    return calibration.stored_sweep(hide, samples, cfg, {*sigmas, PUBLISHED[0]}, {*alphas, PUBLISHED[1]})


def calibrated(hide: HiDe, samples: Sequence[Sample], cfg: LayoutsConfig) -> pd.DataFrame:
    """Mean box quality of every sigma and alpha, the best first, on a grid that has the best inside."""
    return calibration.settings_grid(partial(_swept, hide, samples, cfg), cfg.sigmas, cfg.alphas)


def map_cards(hide: HiDe, samples: Sequence[Sample], cfg: LayoutsConfig, means: pd.DataFrame) -> list[Finding]:
    """A card for each claim about maps: regions at the best setting of `calibrated` against those at the published."""
    swept = _swept(hide, samples, cfg, means["sigma"], means["alpha"]).set_index(["sigma", "alpha"])
    best = tuple(means.loc[0, ["sigma", "alpha"]])
    both = pd.concat([swept.loc[[best]].assign(variant="chosen"), swept.loc[[PUBLISHED]].assign(variant="published")])
    return [of_measure(both, claim=claim, **words) for claim, words in CLAIMS["maps"].items()]
