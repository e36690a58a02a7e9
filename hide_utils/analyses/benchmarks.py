"""Notebook 05. What HiDe gains over the model alone, over its bounds, and over other ways to find the place.

`CLAIMS` says which two methods decide each claim, `COVERAGE_CLAIMS` the same of samples whose boxes hold what is asked
about, and of the others. `GROWTH` is the claim about the size of the picture. What the paper says are numbers of its
main results, read from its file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import pandas as pd
from matplotlib.figure import Figure
from pydantic import AfterValidator, Field

from hide_utils import findings, paths, plots
from hide_utils.baselines import LOOKS, named
from hide_utils.config import Count, Pixels, RunConfig
from hide_utils.evaluation import stored_answers, tables
from hide_utils.findings import MARGINS, Finding
from hide_utils.looks import PALETTE, Look, look_of
from hide_utils.method import HiDe
from hide_utils.samples import Sample
from hide_utils.stats import compare_answers, mean_over_cycles
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
        n_curve: samples at each of them. None takes all.
    """

    notebook: str = "05_benchmarks"
    methods: Annotated[tuple[str, ...], AfterValidator(_known), Field(min_length=1)] = ("direct", "hide")
    resolutions: tuple[Pixels, ...] = ()
    n_curve: Count | None = None


CURVE = ("direct", "hide", "oracle")  # methods of the curve over resolutions
BASELINES = tuple(
    f"HiDe over {name}" for name in ("relative attention", "first token", "tree search", "no prior", "gated", "logits")
)

_SECOND = "it was shown close-ups, cut-outs on white and windows as second pictures, which outranked the first"
_WRONG = "its second pictures outranked the first, so that one without what is asked about misleads it"
_SEARCH = "search lines with what is looked up right behind each name were among its lessons"
_SMALL = "it was asked about small pictures only, and shown second pictures that outrank the first"
_SOURCE = "main results"

CLAIMS: dict[str, dict[str, Any]] = {
    "HiDe over direct": {
        "method": "hide", "against": "direct", "taught": _SECOND,
        "statement": "HiDe answers better than the model alone.",
        "paper": {"V*": ("overall", "attribute", "spatial"), "HR-Bench 4K": ("overall",), "HR-Bench 8K": ("overall",)},
    },
    "place of the boxes": {
        "method": "hide", "against": "random", "taught": _WRONG,
        "statement": "It is the place of the boxes: HiDe answers better than with boxes of the same sizes elsewhere.",
    },
    "any second picture": {
        "method": "random", "against": "direct", "taught": _WRONG, "expected": "no gain",
        "statement": "A second picture alone gains nothing: boxes at random places answer no better than none.",
    },
    "perfect boxes": {
        "method": "oracle", "against": "hide", "taught": _SECOND,
        "statement": "Perfect boxes would add to what HiDe gains.",
    },
    "HiDe over relative attention": {
        "method": "hide", "against": "rel_att", "taught": _SEARCH,
        "statement": "HiDe answers better than one window of attention relative to a content-free prompt (ViCrop).",
        "paper": {name: ("attribute", "spatial") if name == "V*" else ("FSP", "FCP")
                  for name in ("V*", "HR-Bench 4K", "HR-Bench 8K")},
    },
    "HiDe over first token": {
        "method": "hide", "against": "first_token", "taught": _SEARCH,
        "statement": "Attention of the entities finds better boxes than attention of the position that answers.",
    },
    "HiDe over tree search": {
        "method": "hide", "against": "tree_search",
        "statement": "HiDe answers better than a search by trial through windows (ZoomEye-like).",
    },
    "HiDe over no prior": {
        "method": "hide", "against": "hide_no_prior",
        "statement": "Subtracting the noise prior makes HiDe's answers better.",
        "paper": "the instruction's mean map is noise and is subtracted; no number is published",
        "source": "section on TAD",
    },
    "HiDe over gated": {
        "method": "hide", "against": "hide_gated", "expected": "no gain",
        "statement": "HiDe on every question gains nothing over HiDe only where the direct answer is unsure.",
    },
    "HiDe over logits": {
        "method": "hide", "against": "direct_logits", "taught": _SECOND,
        "statement": "HiDe answers better than the model alone whose letter is read from the logits.",
    },
}  # fmt: skip
COVERAGE_CLAIMS: dict[str, dict[str, Any]] = {
    "covered": {
        "statement": "Where its boxes hold all that is asked about, HiDe gains over direct.", "taught": _SECOND,
    },
    "not covered": {
        "statement": "Where its boxes miss something that is asked about, HiDe gains nothing over direct.",
        "taught": _WRONG, "expected": "no gain",
    },
}  # fmt: skip
COVERAGE_LABELS = {"covered": "all that is asked about is covered", "not covered": "something is not covered"}
GROWTH: dict[str, Any] = {
    "claim": "gain grows with resolution",
    "statement": "HiDe gains more over direct in the largest pictures than in the smallest.",
    "taught": _SMALL,
    "paper": {"HR-Bench 4K": ("overall",), "HR-Bench 8K": ("overall",)},
}


def measured_on(cfg: BenchmarksConfig) -> str:
    """Benchmark, side of drawn scenes and part, for the lines below figures."""
    side = f" {cfg.resolution} px" if cfg.benchmark == "scenes" else ""
    return f"{paths.portable(cfg.benchmark)}{side}, {f'{cfg.split} split' if cfg.split else 'all'}"


def cycle_scores(answers: pd.DataFrame) -> pd.Series | None:
    """Mean over the cycles of each method, HR-Bench's own score. None where questions are asked once."""
    return mean_over_cycles(answers) if answers["cycle"].fillna("").astype(bool).all() else None


def _in_paper(reported: Mapping[str, Sequence[str]], methods: Sequence[str]) -> str:
    """Main results of the paper for some methods, in the words of a card.

    Args:
        reported: the paper's name of a benchmark -> the parts of it.
        methods: names of the paper's methods.
    """
    numbers = findings.paper_numbers("main").query("model == 'Qwen2.5-VL-7B'").set_index(["setting", "metric"])["value"]
    labels = {"hide": "HiDe", "vicrop": "ViCrop"}
    said = [
        f"{benchmark} {part} "
        + ", ".join(f"{labels.get(m, m)} {numbers[f'{benchmark} / {m}', part]:g} %" for m in methods)
        for benchmark, parts in reported.items()
        for part in parts
    ]
    return f"{'; '.join(said)} (Qwen2.5-VL-7B)"


def _words(words: Mapping[str, Any], methods: Sequence[str] = ("hide", "direct")) -> dict[str, Any]:
    """Words of a claim. Where they name results of the paper, with what it reports of two methods."""
    paper = words.get("paper", "")
    return {**words, "paper": _in_paper(paper, methods), "source": _SOURCE} if isinstance(paper, dict) else {**words}


def cards_of(answers: pd.DataFrame, claims: Iterable[str]) -> list[Finding]:
    """A card for each of these `CLAIMS`.

    One of a method that was not run is left out, and where several questions are all about one picture there is none,
    because nothing can be said about others.
    """
    there, cards = set(answers["method"]), []
    if answers["image_id"].nunique() == 1 < answers["sample_id"].nunique():
        return []
    for claim in claims:
        words = CLAIMS[claim]
        if {words["method"], words["against"]} <= there:
            of_paper = "vicrop" if words["against"] == "rel_att" else "direct"
            cards.append(findings.of_answers(answers, claim=claim, **_words(words, ("hide", of_paper))))
    return cards


def forest(answers: pd.DataFrame, cards: Sequence[Finding], *, by_kind: bool = True) -> Figure | None:
    """Forest of cards of `CLAIMS`, and in grey under each the same difference for each kind of question.

    There is none without cards.
    """
    lines, labels, parts = [], {}, []
    kinds = list(answers.groupby("kind", sort=False)) if by_kind and answers["kind"].nunique() > 1 else []
    for card in cards:
        lines.append(card)
        labels[card.claim] = " − ".join(
            look_of(LOOKS, CLAIMS[card.claim][side]).label for side in ("method", "against")
        )
        for kind, rows in kinds:
            for of_kind in cards_of(rows, [card.claim]):
                parts.append(f"{card.claim} {kind}")
                lines.append(replace(of_kind, claim=parts[-1]))
                labels[parts[-1]] = plots.plain_text(str(kind).replace("_", " "))
    return plots.findings_forest(lines, labels, parts=parts) if lines else None


def covered(answers: pd.DataFrame) -> dict[str, set[str]]:
    """Samples whose true boxes HiDe's regions all hold, at least half of each, and the others.

    A sample without any region is among the others, and one without an answer of HiDe or of direct in neither part.
    """
    rows = answers[answers["method"].isin(["hide", "direct"])]
    known = rows[outcomes(rows).notna()].groupby("sample_id").filter(lambda both: len(both) == 2)
    hide = known[known["method"] == "hide"].set_index("sample_id")["recall50"].astype(float)
    return {"covered": set(hide.index[hide == 1]), "not covered": set(hide.index[hide != 1])}


def coverage_cards(answers: pd.DataFrame) -> list[Finding]:
    """A card for each of `COVERAGE_CLAIMS`: HiDe over direct within that part. A part without samples has none."""
    parts = {name: answers[answers["sample_id"].isin(ids)] for name, ids in covered(answers).items()}
    return [
        replace(card, claim=name, **{"paper": "", "source": "", **COVERAGE_CLAIMS[name]})
        for name, rows in parts.items()
        for card in cards_of(rows, ["HiDe over direct"])
    ]


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
    return findings.of_differences(grown, grown.index, "points", **_words(GROWTH))


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


def cost_figure(headline: pd.DataFrame) -> Figure:
    """Accuracy of every method over its FLOPs, and the same a line each. Methods that no other beats are filled."""
    attainable = headline["method"] != "oracle"
    front = tables.pareto(headline["times_direct"], headline["accuracy"].where(attainable, -1)) & attainable
    size = {"width": plots.PAGE_WIDTH, "height": 0.9 + 0.2 * len(headline)}
    fig, axes = plots.new_figure(1, 2, **size, gridspec_kw={"width_ratios": [1.25, 1]})
    plots.pareto_front(axes[0], headline, front, looks=LOOKS)
    plots.accuracy_against_cost(axes[1], headline, front, looks=LOOKS)
    return fig
