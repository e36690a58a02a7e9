"""Notebook 13. Boxes that are made worse at known rates, crowded and easy scenes, and where the method fails.

`CLAIMS` says which two methods decide each claim about answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any

import pandas as pd
from matplotlib.figure import Figure
from pydantic import Field

from hide_utils import findings, plots
from hide_utils.baselines import LOOKS, Method, named, of_regions
from hide_utils.config import Count, RunConfig, Share
from hide_utils.edits.corruption import CORRUPTIONS, answers_at_rates, corrupted_boxes, enlarged_boxes
from hide_utils.evaluation import stored_answers
from hide_utils.evaluation.failures import regions_in, wrong_shares
from hide_utils.findings import Finding, claims_beside
from hide_utils.images import composite_on_white
from hide_utils.looks import Look, self_labelled
from hide_utils.method import HiDe, Session, lpd
from hide_utils.plots import Panel
from hide_utils.samples import Sample
from hide_utils.scenes.settings import SceneConfig, scene_config
from hide_utils.stats.rows import outcomes, pictures_of


class RobustnessConfig(RunConfig):
    """Parameters of notebook 13.

    Attributes:
        n_scenes: drawn scenes at each further density, and easy ones.
        rates: shares of the true boxes that are corrupted, beside none and all.
        growths: factors by which the true boxes' sides are enlarged.
        densities: further ones of named objects in drawn scenes, per 65 536 pixels.
    """

    notebook: str = "13_robustness_and_failures"
    n_scenes: Count = 400
    rates: tuple[Share, ...] = ()
    growths: tuple[Annotated[float, Field(gt=1, le=100)], ...] = ()
    densities: tuple[Annotated[float, Field(gt=0, le=16)], ...] = ()


PLAIN = ("direct", "hide", "oracle")
DENSITY = SceneConfig().named  # of the benchmark, per 65 536 pixels
CORRUPTION_LOOKS = self_labelled({"wrong": 4, "extra": 1, "missing": 0})
TITLES = {
    "none": "well localised",
    "any fault": "any fault",
    "missed": "object missed",
    "background": "mostly background",
    "fragmented": "object cut",
    "layout": "order lost",
}
_SHARE_LOOKS = {
    "hide": LOOKS["hide"],
    "both": Look("HiDe, and with the true boxes too", LOOKS["oracle"].color),
    "direct": LOOKS["direct"],
}

CLAIMS = claims_beside(__file__)
(GROWTH,) = CLAIMS["enlarged"].values()  # with places of a factor


def box_methods(most: int, factors: Sequence[float]) -> dict[str, Method]:
    """LPD behind the original on boxes that are made worse.

    Args:
        most: every corruption is there with 1 to so many boxes corrupted, "wrong 2" for instance. A sample with fewer
            boxes has all of them corrupted.
        factors: by which the true boxes' sides are longer, "true x 2" for instance.
    """
    finders: dict[str, Any] = {
        f"{kind} {k}": partial(_corrupt, kind, k) for kind in CORRUPTIONS for k in range(1, most + 1)
    }
    finders |= {GROWTH["method"].format(f"{factor:g}"): partial(_enlarge, factor) for factor in factors}
    return {name: of_regions(find, steps=("prefill", "compact")) for name, find in finders.items()}


def _corrupt(kind: str, n_corrupted: int, hide: HiDe, session: Session, sample: Sample) -> list[lpd.Region]:
    return corrupted_boxes(kind, min(n_corrupted, len(sample.boxes_xyxy)), sample, session.image.size)


def _enlarge(factor: float, hide: HiDe, session: Session, sample: Sample) -> list[lpd.Region]:
    return enlarged_boxes(factor, sample, session.image.size)


def answered(hide: HiDe, samples: Sequence[Sample], cfg: RobustnessConfig, **draw: Any) -> pd.DataFrame:
    """Answers of direct, HiDe, the true boxes and `box_methods`: of each sample as many states as it has boxes."""
    counts = sorted({len(sample.boxes_xyxy) for sample in samples})
    tables = []
    for count in counts:
        own = [sample for sample in samples if len(sample.boxes_xyxy) == count]
        tables.append(stored_answers(hide, own, named(PLAIN) | box_methods(count, cfg.growths), cfg, **draw))
    return pd.concat(tables, ignore_index=True)


def at_rates(answers: pd.DataFrame, samples: Sequence[Sample], rates: Iterable[float]) -> pd.DataFrame:
    """Answers at each rate of corrupted boxes, none and all among them. The rates hold within each kind of question.

    The columns are those of `answers_at_rates`; methods are called "wrong 100%", for instance.
    """

    def method(kind: str, n_corrupted: int) -> str:
        return f"{kind} {n_corrupted}" if n_corrupted else "oracle"

    parts = []
    for kind in dict.fromkeys(sample.kind for sample in samples):
        own = [sample for sample in samples if sample.kind == kind]
        parts.append(answers_at_rates(answers, own, sorted({0.0, 1.0, *rates}), CORRUPTIONS, method))
    return pd.concat(parts, ignore_index=True)


def growth_cards(answers: pd.DataFrame, factors: Iterable[float]) -> list[Finding]:
    """A card for each factor by which boxes are enlarged."""
    cards = []
    for factor in factors:
        words = {name: GROWTH[name].format(f"{factor:g}") for name in ("method", "statement")}
        cards.append(findings.of_answers(answers, claim=f"boxes × {factor:g}", **GROWTH | words))
    return cards


def failure_cards(found: pd.DataFrame, answers: pd.DataFrame) -> list[Finding]:
    """Cards on the samples with boxes at fault: against the others, and with the true boxes in their place.

    Of the questions on one picture the first counts, so that no picture is in both groups. A card that lacks a group is
    left out.

    Args:
        found: from `failures.causes`.
        answers: rows of `evaluate`, with "hide" and "oracle" on the same samples.
    """
    pictures = answers.assign(picture=pictures_of).drop_duplicates("sample_id").set_index("sample_id")["picture"]
    first = found[~found["sample_id"].map(pictures).duplicated()]
    faulty, good = first[first["cause"] != "none"], first[first["cause"] == "none"]
    cards = []
    if len(faulty) and len(good):
        wrong = [(~group["correct"]).tolist() for group in (faulty, good)]
        cards += [findings.of_groups(*wrong, claim=claim, **words) for claim, words in CLAIMS["groups"].items()]
    if len(faulty):
        of_faulty = answers[answers["sample_id"].isin(faulty["sample_id"])]
        cards += findings.cards_of(of_faulty, CLAIMS["answers"], ["better boxes"])
    return cards


def over_rates(answers: pd.DataFrame, spoilt: pd.DataFrame) -> Figure:
    """Accuracy over the rate of corrupted boxes, from `at_rates`, beside direct answering and HiDe."""
    fixed = answers[answers["method"].isin(["direct", "hide"])]
    rows = pd.concat([spoilt.assign(method=spoilt["corruption"]), fixed], ignore_index=True)
    return plots.accuracy_panels(
        rows, "rate", xlabel="share of the true boxes that is wrong, joined by an extra one, or missing",
        looks=CORRUPTION_LOOKS | LOOKS,
    )  # fmt: skip


def over_densities(crowds: Mapping[float, pd.DataFrame], resolution: int | None) -> Figure:
    """Accuracy over the number of named objects, from answers at each of their densities."""
    knobs = {"resolution": resolution} if resolution else {}
    counts = {named: scene_config("default", {"named": named, **knobs}).count("named") for named in sorted(crowds)}
    rows = pd.concat([crowds[named].assign(objects=count) for named, count in counts.items()], ignore_index=True)
    rows = rows[rows["method"].isin(PLAIN)]
    return plots.accuracy_panels(rows, "objects", xlabel="named objects in the picture", looks=LOOKS)


def growth_table(answers: pd.DataFrame, factors: Iterable[float]) -> pd.DataFrame:
    """What enlarging does to the boxes: columns method, factor, kept (share of the picture) and joined.

    The last is the share of the samples with several regions by the true boxes that have a single one.
    """
    names = {"oracle": 1.0} | {GROWTH["method"].format(f"{factor:g}"): factor for factor in factors}
    counts = {name: pd.Series([len(regions) for regions in regions_in(answers, name)]) for name in names}
    several = counts["oracle"] > 1
    kept = answers.groupby("method")["area"].mean()
    rows = [(name, factor, kept[name], (counts[name][several] == 1).mean()) for name, factor in names.items()]
    return pd.DataFrame(rows, columns=["method", "factor", "kept", "joined"])


def over_growths(answers: pd.DataFrame, table: pd.DataFrame) -> Figure:
    """Accuracy over the factor by which boxes are enlarged, with a `growth_table` below its ticks."""
    factors = table.set_index("method")["factor"]
    rows = answers[answers["method"].isin([*factors.index, "direct", "hide"])]
    factor = rows["method"].map(factors)
    rows = rows.assign(factor=factor, method=rows["method"].where(factor.isna(), "oracle"))
    looks = LOOKS | {"oracle": LOOKS["oracle"]._replace(label="true boxes, enlarged")}
    ticks = {
        row.factor: f"{row.factor:g}\n{row.kept:.1%}\n{'–' if pd.isna(row.joined) else format(row.joined, '.0%')}"
        for row in table.itertuples()
    }
    fig = plots.accuracy_panels(rows, "factor", xlabel="", looks=looks, ticks=ticks, log=True)
    said = "sides ×\npicture kept\npairs joined"
    fig.axes[0].annotate(said, (0, 0), (-13, -8.3), "axes fraction", "offset points", fontsize=7, ha="right", va="top")
    return fig


def control_forest(places: Mapping[str, pd.DataFrame]) -> Figure:
    """Differences to direct answering in several sets of scenes; each line has the accuracies that it compares.

    Args:
        places: name of the scenes -> answers there, by "direct" and other methods.
    """
    lines, labels = [], {}
    for place, answers in places.items():
        right = outcomes(answers).groupby(answers["method"]).mean()
        for method in ("oracle", "hide", "random"):
            if method in right:
                words = {"claim": f"{place}: {method}", "statement": ""}
                lines.append(findings.of_answers(answers, method, "direct", **words))
                said = f"{LOOKS[method].label} {right[method]:.1%}, direct {right['direct']:.1%}"
                labels[lines[-1].claim] = f"{place}: {said}"
    return plots.findings_forest(lines, labels, width=plots.PAGE_WIDTH)


def failure_rates(found: pd.DataFrame, answers: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Shares of wrong answers by cause, and the table `wrong_shares` that is drawn."""
    table = wrong_shares(found, answers)
    counts = table.drop_duplicates("cause").set_index("cause")["n"]
    rows = {cause: f"{TITLES[cause]}, n = {n}" for cause, n in counts.items()}
    fig, ax = plots.new_figure(width=1.5 * plots.COLUMN_WIDTH, height=0.42 * len(rows) + 1.0)
    plots.dot_rows(ax, table, "cause", "method", rows=rows, looks=_SHARE_LOOKS, values=("wrong", "low", "high"))
    ax.set(xlabel="share of the answers that are wrong", xlim=(-0.02, 1.02))
    plots.shared_legend(fig, [ax], columns=3)
    return fig, table


def examples(samples: Sequence[Sample], factors: Sequence[float]) -> list[list[Panel]]:
    """What the model is shown of the first sample with the most boxes, for `plots.gallery`: spoilt, then enlarged."""
    sample = max(samples, key=lambda one: len(one.boxes_xyxy))
    image, count = sample.image, len(sample.boxes_xyxy)

    def shown(title: str, regions: Sequence[lpd.Region]) -> Panel:
        if not regions:
            return Panel(title=f"{title}:\nno second picture")
        picture = composite_on_white(lpd.compact_image(image, regions))
        return Panel(picture, f"{title}\n{picture.width} × {picture.height}", framed=True)

    spoilt = {kind: corrupted_boxes(kind, count, sample, image.size) for kind in CORRUPTIONS}
    grown = {factor: enlarged_boxes(factor, sample, image.size) for factor in factors}
    true = corrupted_boxes("missing", 0, sample, image.size)
    first = Panel(image, "wrong places", spoilt["wrong"], sample.boxes_xyxy)
    lines = [[first, shown("true boxes", true), *(shown(f"all {kind}", regions) for kind, regions in spoilt.items())]]
    if grown:
        second = Panel(image, f"sides × {max(grown):g}", grown[max(grown)], sample.boxes_xyxy)
        lines.append([second, *(shown(f"sides × {factor:g}", regions) for factor, regions in grown.items())])
    return lines
