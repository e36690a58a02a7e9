"""Notebook 04. What else could be shown of the same regions, and how the maps are cut into regions.

`layout_methods` makes every variant a method for `evaluate`. Its name says whose boxes are laid out ("true" or "hide"),
how, and that the original was left out ("alone"). LPD behind the original is the method "oracle" or "hide" itself.
`CLAIMS` says which two methods decide each claim about answers, `MAP_CLAIMS` the same of maps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from textwrap import fill
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from hide_utils import findings, plots
from hide_utils.baselines import METHODS, Method, Outcome, of_pictures, of_regions, true_regions
from hide_utils.config import Alpha, Count, RunConfig, Sigma
from hide_utils.edits.layouts import ARRANGEMENTS, LAYOUTS, Layout, enlargement, model_budget, native_size, order_kept
from hide_utils.evaluation import calibration
from hide_utils.evaluation.failures import regions_in
from hide_utils.findings import Finding, paper_numbers, published, quoted
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

_PLACES = "its second pictures kept the places of what they showed and outranked the first"
_CUT_OUTS = "its second pictures were close-ups, cut-outs on white and windows, and outranked the first"
_ZOOMS = "it was shown close-ups at many sizes"
_TILED, _SHUFFLED, _SCATTERED = (
    "V* spatial: " + quoted("aggregation", f"LPD {{spatial_aggregate | spatial}} %, {other} % ({{model}})")
    for other in (
        "sequential tiling {sequential_tiling | spatial}",
        "random tiling {random_tiling | spatial}",
        "random places {random_aggregate | spatial}",
    )
)
_NO_ZOOM = "the main issue is not object size, but complex background interference"


def _claim(
    method: str, against: str, statement: str, taught: str, paper: str = "", expected: int = 1, source: str = ""
) -> dict[str, Any]:
    source = source or ("abstract" if paper == _NO_ZOOM else "aggregation strategies" if paper else "")
    words = {"statement": statement, "taught": taught, "paper": paper, "expected": expected, "source": source}
    return {"method": method, "against": against, **words}


CLAIMS: dict[str, dict[str, Any]] = {
    "sequential tiling": _claim(
        "oracle", "true sequential_tiling",
        "LPD keeps the regions' order and answers better than side by side in reading order.", _PLACES, _TILED,
    ),
    "random tiling": _claim(
        "oracle", "true random_tiling",
        "LPD keeps the regions' order and answers better than side by side in random order.", _PLACES, _SHUFFLED,
    ),
    "random places": _claim(
        "oracle", "true random_aggregate",
        "LPD keeps the regions' order and answers better than random places on a canvas of its size.",
        _PLACES, _SCATTERED,
    ),
    "masks in place": _claim(
        "oracle", "true masked_in_place",
        "LPD answers better than the whole picture with all but the regions white.", _CUT_OUTS,
    ),
    "bounding crop": _claim(
        "oracle", "true bounding_crop",
        "LPD answers better than one crop around all regions, which shows the background between them.", _CUT_OUTS,
    ),
    "sequential tiling, regions alone": _claim(
        "true spatial_aggregate alone", "true sequential_tiling alone",
        "Without the original, LPD answers better than side by side in reading order.", _PLACES, _TILED,
    ),
    "sequential tiling, HiDe's boxes": _claim(
        "hide", "hide sequential_tiling",
        "With HiDe's boxes too, LPD answers better than side by side in reading order.", _PLACES, _TILED,
    ),
    "compact image alone, true boxes": _claim(
        "oracle", "true spatial_aggregate alone",
        "With true boxes, the original beside the compact image answers better than the compact image alone.",
        _CUT_OUTS,
    ),
    "compact image alone, HiDe's boxes": _claim(
        "hide", "hide spatial_aggregate alone",
        "With HiDe's boxes, the original beside the compact image answers better than the compact image alone.",
        _CUT_OUTS,
    ),
    **{
        f"{ground} fill": _claim(
            f"hide {ground}_fill", "hide",
            f"It makes no difference whether the gaps between the regions are white or {words}.", "", expected=0,
        )
        for ground, words in {"black": "black", "mean": "the picture's mean color", "blur": "a blurred ground"}.items()
    },
    "native size, HiDe's boxes": _claim(
        "hide native_size", "hide",
        "With HiDe's boxes, it makes no difference whether the compact image is enlarged or keeps its own size.",
        _ZOOMS, _NO_ZOOM, 0,
    ),
    "native size, true boxes": _claim(
        "true native_size", "oracle",
        "With true boxes, it makes no difference whether the compact image is enlarged or keeps its own size.",
        _ZOOMS, _NO_ZOOM, 0,
    ),
    "native size, against direct": _claim(
        "hide native_size", "direct",
        "HiDe answers better than the original alone where nothing is enlarged.", _CUT_OUTS, _NO_ZOOM,
    ),
}  # fmt: skip
MAP_CLAIMS: dict[str, dict[str, Any]] = {
    name: {
        "measure": measure, "unit": name, "variant": "chosen", "against": "published", "claim": f"σ and α: {name}",
        "statement": f"σ and α chosen on calibration maps find the objects better than the published ones: {name}.",
    }
    for measure, name in {"recall50": "recall", "iou": "IoU"}.items()
}  # fmt: skip


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


def cards_of(answers: pd.DataFrame, claims: Iterable[str]) -> list[Finding]:
    """A card for each of these `CLAIMS`. One whose variant was not answered is left out."""
    there = set(answers["method"])
    words = {claim: CLAIMS[claim] for claim in claims}
    answered = {claim: own for claim, own in words.items() if {own["method"], own["against"]} <= there}
    return [findings.of_answers(answers, claim=claim, **own) for claim, own in answered.items()]


def decided(answers: pd.DataFrame, claims: Iterable[str], model: VLM) -> tuple[list[Finding], Figure | None]:
    """The `cards_of` claims and their forest, in grey under each the same difference for each of its `_parts`.

    There is no figure where no claim's variants were answered.
    """
    cards, lines, parts = cards_of(answers, claims), [], {}
    for card in cards:
        lines.append(card)
        for part, ids in _parts(answers, CLAIMS[card.claim]["method"], model).items():
            (of_part,) = cards_of(answers[answers["sample_id"].isin(ids)], [card.claim])
            lines.append(replace(of_part, claim=f"{card.claim} {part}"))
            parts[lines[-1].claim] = part
    return cards, plots.findings_forest(lines, parts, parts=parts) if lines else None


def _parts(answers: pd.DataFrame, method: str, model: VLM) -> dict[str, set[str]]:
    """Samples of each kind of question. Of a variant that is not enlarged, also those whose compact image would be."""
    rows, budget = answers[answers["method"] == method].set_index("sample_id"), model_budget(model)
    kinds = {str(kind).replace("_", " "): set(part.index) for kind, part in rows.groupby("kind", sort=False)}
    parts = kinds if len(kinds) > 1 else {}
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
    session = hide.open(sample.image)
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
    """A card for each of `MAP_CLAIMS`: regions at the best setting of `calibrated` against those at the published."""
    swept = _swept(hide, samples, cfg, means["sigma"], means["alpha"]).set_index(["sigma", "alpha"])
    best = tuple(means.loc[0, ["sigma", "alpha"]])
    both = pd.concat([swept.loc[[best]].assign(variant="chosen"), swept.loc[[PUBLISHED]].assign(variant="published")])
    return [findings.of_measure(both, **words) for words in MAP_CLAIMS.values()]
