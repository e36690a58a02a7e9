"""Notebook 05. What HiDe gains over the model alone, over its bounds, and over other ways to find the place.

`CLAIMS` says which two methods decide each claim, also of the samples whose boxes hold what is asked about and of the
others, and of the size of the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated

import pandas as pd
from matplotlib.figure import Figure
from pydantic import AfterValidator, Field

from hide_utils import findings, paths, plots
from hide_utils.baselines import LOOKS, named
from hide_utils.config import Count, Layer, Pixels, RunConfig
from hide_utils.evaluation import stored_answers, tables
from hide_utils.evaluation.own_scores import own_scores as own_scores  # which the notebook calls
from hide_utils.evaluation.variants import label
from hide_utils.findings import MARGINS, Finding, claims_beside
from hide_utils.looks import PALETTE, Look, look_of
from hide_utils.method import HiDe
from hide_utils.samples import Sample
from hide_utils.stats import compare_answers
from hide_utils.stats.rows import outcomes


def _known(methods: tuple[str, ...]) -> tuple[str, ...]:
    named(methods)
    if len(set(methods)) < len(methods):
        raise ValueError(f"want each method once, got {list(methods)}")
    return methods


class BenchmarksConfig(RunConfig):
    """Parameters of notebook 05.

    Attributes:
        methods: names of `hide_utils.baselines.METHODS`, all run on all samples.
        resolutions: further sides of drawn scenes, in pixels.
        n_curve: samples at each of them, and at each of the layers. None takes all.
        layers: other ones for HiDe, counted from 0. Those that the model has no rows of are left out.
    """

    notebook: str = "05_benchmarks"
    methods: Annotated[tuple[str, ...], AfterValidator(_known), Field(min_length=1)] = ("direct", "hide")
    resolutions: tuple[Pixels, ...] = ()
    n_curve: Count | None = None
    layers: tuple[Layer, ...] = ()


CURVE = ("direct", "hide", "oracle")  # methods of the curve over resolutions
BASELINES = tuple(
    f"HiDe over {name}"
    for name in (
        *("relative attention", "first token", "tree search", "no prior", "few heads"),
        *("gated", "conformal gate", "logits"),
    )
)

CLAIMS = claims_beside(__file__)
ANSWERS = CLAIMS["answers"]
COVERAGE_LABELS = {"covered": "all that is asked about is covered", "not covered": "something is not covered"}


def measured_on(cfg: BenchmarksConfig) -> str:
    """Benchmark, side of drawn scenes and part, for the lines below figures."""
    side = f" {cfg.resolution} px" if cfg.benchmark == "scenes" else ""
    return f"{paths.portable(cfg.benchmark)}{side}, {f'{cfg.split} split' if cfg.split else 'all'}"


def cards_of(answers: pd.DataFrame, claims: Iterable[str], group: str = "answers") -> list[Finding]:
    """A card for each of these claims of a group. One of a method that was not run is left out.

    Where several questions are all about one picture there is none, because nothing can be said about others.
    """
    if answers["image_id"].nunique() == 1 < answers["sample_id"].nunique():
        return []
    return findings.cards_of(answers, CLAIMS[group], claims)


def forest(answers: pd.DataFrame, cards: Sequence[Finding], *, by_kind: bool = True) -> Figure | None:
    """Forest of cards about answers, and in grey under each the same difference for each kind of question.

    There is none without cards.
    """
    if not cards:  # or `cards_of` would take every claim
        return None
    claims = [card.claim for card in cards]
    pairs = {claim: (ANSWERS[claim]["method"], ANSWERS[claim]["against"]) for claim in claims}
    labels = {claim: " − ".join(look_of(LOOKS, side).label for side in pair) for claim, pair in pairs.items()}
    kinds = findings.by_kind(answers) if by_kind else {}
    parts: dict[str, dict[str, Finding]] = {claim: {} for claim in claims}
    for kind, rows in kinds.items():
        for card in cards_of(rows, claims):
            parts[card.claim][kind] = card
    return plots.findings_forest(cards, labels, parts=parts)


def covered(answers: pd.DataFrame) -> dict[str, set[str]]:
    """Samples whose true boxes HiDe's regions all hold, at least half of each, and the others.

    A sample without any region is among the others, and one without an answer of HiDe or of direct in neither part.
    """
    rows = answers[answers["method"].isin(["hide", "direct"])]
    known = rows[outcomes(rows).notna()].groupby("sample_id").filter(lambda both: len(both) == 2)
    hide = known[known["method"] == "hide"].set_index("sample_id")["recall50"].astype(float)
    return {"covered": set(hide.index[hide == 1]), "not covered": set(hide.index[hide != 1])}


def coverage_cards(answers: pd.DataFrame) -> list[Finding]:
    """A card for each part of the samples: HiDe over direct within it. A part without samples has none."""
    parts = {name: answers[answers["sample_id"].isin(ids)] for name, ids in covered(answers).items()}
    return [card for name, rows in parts.items() for card in cards_of(rows, [name], "by coverage")]


def over_resolutions(
    hide: HiDe, cfg: BenchmarksConfig, load: Callable[..., Sequence[Sample]], answers: pd.DataFrame
) -> pd.DataFrame:
    """Answers of the methods of `CURVE` to scenes of every size, with the column resolution.

    Args:
        hide: the method's settings.
        cfg: the notebook's parameters.
        load: draws scenes, ``load(n, resolution=…)``.
        answers: those at the notebook's own resolution.
    """
    methods = [name for name in CURVE if name in cfg.methods]
    rows = [answers[answers["method"].isin(methods)].assign(resolution=cfg.resolution)]
    for side in cfg.resolutions:
        if side != cfg.resolution:
            own = stored_answers(hide, load(cfg.n_curve, resolution=side), methods, cfg, resolution=side)
            rows.append(own.assign(resolution=side))
    return pd.concat(rows, ignore_index=True)


def growth(curve: pd.DataFrame) -> Finding:
    """The card of what HiDe gains at the largest of the resolutions more than at the smallest.

    Scenes of one number differ between resolutions. They are paired so that both ends have equally many.
    """
    number = curve["sample_id"].str.rsplit("-", n=1).str[-1]
    known = curve.assign(number=number, value=100 * outcomes(curve))
    wide = known.pivot(index="number", columns=["resolution", "method"], values="value")
    low, high = wide[curve["resolution"].min()], wide[curve["resolution"].max()]
    grown = ((high["hide"] - high["direct"]) - (low["hide"] - low["direct"])).dropna()
    ((claim, words),) = CLAIMS["growth"].items()
    return findings.of_differences(grown, grown.index, "points", claim=claim, **words)


def curve_figure(curve: pd.DataFrame) -> Figure:
    """Accuracy of the methods of `CURVE` over the side of the picture, and what HiDe gains over direct, with n."""
    fig, axes = plots.new_figure(1, 2, width=plots.PAGE_WIDTH, height=2.7)
    plots.accuracy_curve(axes[0], curve, "resolution", xlabel="", looks=LOOKS)
    sides = curve.groupby("resolution")
    gains = pd.concat([compare_answers(rows, [("hide", "direct")]).assign(resolution=side) for side, rows in sides])
    points = gains.assign(**{name: 100 * gains[name] for name in plots.DIFFERENCE})
    axes[1].axhspan(-MARGINS["points"], MARGINS["points"], color="0.92", linewidth=0, zorder=-1)
    plots.level(axes[1], 0, across=True)
    plots.points(axes[1], points, points["resolution"], Look("", PALETTE[0]), values=plots.DIFFERENCE, upright=True)
    axes[1].set(ylabel="HiDe − direct, points", xlim=axes[0].get_xlim())
    for ax in axes:
        n = sides["sample_id"].nunique()
        ax.set_xticks(n.index, [f"{side}\nn = {count}" for side, count in n.items()])
        ax.set_xlabel("side of the picture in pixels (object size fixed)")
    return fig


def at_other_layers(hide: HiDe, cfg: BenchmarksConfig) -> list[HiDe]:
    """HiDe at every other layer of the parameters that the model has rows of, all else equal."""
    layers = [layer for layer in cfg.layers if layer in hide.model.row_layers and layer != hide.settings.layer]
    return [HiDe(hide.model, layer, cfg.sigma, cfg.alpha, protocol=cfg.protocol) for layer in layers]


def layers_forest(tried: pd.DataFrame, answers: pd.DataFrame, objects: Sequence[HiDe], hide: HiDe) -> Figure:
    """What HiDe's accuracy is at other layers more than at its own, on the samples of `tried`."""
    own = answers[(answers["method"] == "hide") & answers["sample_id"].isin(tried["sample_id"])]
    rows, cards = pd.concat([tried, own], ignore_index=True), []
    for one in objects:
        words = {"claim": f"layer {one.settings.layer + 1} − layer {hide.settings.layer + 1}", "statement": ""}
        cards.append(findings.of_answers(rows, label(one), "hide", **words))
    return plots.findings_forest(cards)


def cost_figure(headline: pd.DataFrame) -> Figure:
    """Accuracy of every method over its FLOPs, and the same a line each. Methods that no other beats are filled."""
    attainable = headline["method"] != "oracle"
    front = tables.pareto(headline["times_direct"], headline["accuracy"].where(attainable, -1)) & attainable
    size = {"width": plots.PAGE_WIDTH, "height": 0.9 + 0.2 * len(headline)}
    fig, axes = plots.new_figure(1, 2, **size, gridspec_kw={"width_ratios": [1.25, 1]})
    plots.pareto_front(axes[0], headline, front, looks=LOOKS)
    plots.accuracy_against_cost(axes[1], headline, front, looks=LOOKS)
    return fig
