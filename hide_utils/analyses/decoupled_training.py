"""Notebook 10. Whether training on decoupled pictures makes the model better, from the study that `mini.study` makes.

`CLAIMS` says which two diets decide each claim, by which method and on which test scenes. A diet's result on a sample
is the mean of its seeds, so that a claim is about these trained models and an interval about the samples.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats as distributions

from hide_utils import findings, paths, plots
from hide_utils.config import Count, RunConfig
from hide_utils.evaluation import diet_study as studies
from hide_utils.findings import Finding, claims_beside
from hide_utils.findings.card import LEVEL, MARGINS, POWER
from hide_utils.images import composite_on_white
from hide_utils.looks import PALETTE, Look
from hide_utils.method import lpd
from hide_utils.plots import Panel
from hide_utils.scenes import scene_samples
from hide_utils.stats import cluster_bootstrap


class DecoupledTrainingConfig(RunConfig):
    """Parameters of notebook 10.

    Attributes:
        study: folder of `hide_utils.mini.study` with trained models and rows; None takes the study that is shipped.
        sizes: numbers of test samples for which the power is worked out.
    """

    notebook: str = "10_decoupled_training"
    study: str | None = None
    sizes: tuple[Count, ...] = ()


DIETS = {
    "none": Look("shipped model", PALETTE[7], "o"),
    "crowded": Look("crowded", PALETTE[0], "s"),
    "decoupled": Look("decoupled", PALETTE[3], "D"),
    "both": Look("both", PALETTE[2], "^"),
}


class Section(NamedTuple):
    """What a section compares: test scenes, method and measure, a column of `diet_study.COLUMNS`; and its name."""

    scenes: str
    method: str
    measure: str
    label: str


SECTIONS = {
    "direct": Section("default", "direct", "correct", "crowded scenes, direct"),
    "with_hide": Section("default", "hide", "correct", "crowded scenes, HiDe"),
    "search": Section("default", "hide", "recall50", "HiDe's boxes"),
    "true_boxes": Section("default", "oracle", "correct", "crowded scenes, true boxes"),
    "easy": Section("easy", "direct", "correct", "easy scenes, direct"),
}


CLAIMS = claims_beside(__file__)  # by the section that decides them
_SECTION_OF = {claim: section for section, claims in CLAIMS.items() for claim in claims}


def load_study(cfg: DecoupledTrainingConfig) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows and logs of a study, with the columns of `studies.COLUMNS` and of `studies.logged`.

    Of the rows, those of the first `cfg.n` questions of each set of test scenes.

    Raises:
        FileNotFoundError: the folder holds no study.
        ValueError: the study is not finished.
    """
    if cfg.study:
        rows, log = studies.packed(Path(cfg.study)), studies.logged(Path(cfg.study))
    else:
        rows, log = pd.read_parquet(paths.STUDY / studies.ROWS), pd.read_csv(paths.STUDY / studies.LOGS)
    first = rows.groupby("set")["sample_id"].transform(lambda ids: ids.rank(method="dense"))
    return (rows if cfg.n is None else rows[first <= cfg.n]).reset_index(drop=True), log


def sources(cfg: DecoupledTrainingConfig) -> dict[str, Any]:
    """What made the study, for the sidecars of figures: what its own sidecar says, or the folder."""
    if cfg.study:
        return {"folder": paths.portable(cfg.study)}
    return json.loads((paths.STUDY / studies.ROWS).with_suffix(".json").read_text(encoding="utf-8"))


def _scores(rows: pd.DataFrame, section: Section, diet: str) -> pd.DataFrame:
    """The measure of a section, a line a sample and a column a seed, indexed by sample and picture."""
    part = rows[(rows["set"] == section.scenes) & (rows["method"] == section.method) & (rows["diet"] == diet)]
    index = ["sample_id", "image_id"]
    return part.astype({section.measure: float}).pivot(index=index, columns="seed", values=section.measure)


def answered(rows: pd.DataFrame, section: str | None = None) -> list[str]:
    """The claims, of one section or of all, for which a study has rows of both sides."""
    there = set(rows[["set", "diet"]].drop_duplicates().itertuples(index=False, name=None))
    return [
        claim
        for name in ([section] if section else CLAIMS)
        for claim, words in CLAIMS[name].items()
        if {(SECTIONS[name].scenes, words[side]) for side in ("diet", "against")} <= there
    ]


def differences(rows: pd.DataFrame, claim: str) -> pd.DataFrame:
    """What a claim's diet is better than the other: a line a sample, a column a seed of the first diet.

    Right answers count in points, recall as it is. The other diet counts with the same seed. The shipped model has one
    seed, which counts for all.
    """
    section, words = SECTIONS[_SECTION_OF[claim]], CLAIMS[_SECTION_OF[claim]][claim]
    one, other = (_scores(rows, section, words[side]) for side in ("diet", "against"))
    assert one.index.equals(other.index)
    against = pd.DataFrame({seed: other.iloc[:, 0] for seed in one}) if words["against"] == "none" else other
    return (one - against) * (100 if section.measure == "correct" else 1)


def cards_of(rows: pd.DataFrame, claims: Iterable[str]) -> list[Finding]:
    """A card for each claim: the difference of a sample is the mean of its seeds."""
    cards = []
    for claim in claims:
        table, section = differences(rows, claim), _SECTION_OF[claim]
        unit = "points" if SECTIONS[section].measure == "correct" else "recall"
        words = {name: of for name, of in CLAIMS[section][claim].items() if name not in ("diet", "against")}
        pictures, values = table.index.get_level_values("image_id"), table.mean(axis=1).tolist()
        cards.append(findings.of_differences(values, pictures, unit, claim=claim, **words))
    return cards


def forest(rows: pd.DataFrame, cards: Sequence[Finding]) -> Figure:
    """Forest of cards, with a tick at each seed's own difference."""
    fig = plots.findings_forest(cards)
    for y, card in enumerate(cards):
        seeds = differences(rows, card.claim).mean()
        fig.axes[0].plot(seeds, np.full(len(seeds), y + 0.22), "|", color="0.4", markersize=5, markeredgewidth=0.9)
    return fig


def accuracy_by_diet(rows: pd.DataFrame) -> Figure:
    """Accuracy of each diet in each section: the mean of its seeds with its interval, and a tick for each seed."""
    fig, ax = plots.new_figure(width=5.2, height=3.1)
    lines, seeds = [], []
    sections = [section for section in SECTIONS.values() if section.measure == "correct"]
    for place, section in enumerate(sections):
        for diet, offset in zip(DIETS, plots.offsets(len(DIETS), 0.7), strict=True):
            scores = _scores(rows, section, diet)
            if len(scores):
                interval = cluster_bootstrap(scores.mean(axis=1), range(len(scores)))
                lines.append({"section": section.label, "diet": diet, **interval._asdict()})
                seeds += [(value, place + offset + 0.07) for value in scores.mean()] if len(scores.columns) > 1 else []
    table = pd.DataFrame(lines)
    counts = table.groupby("section")["n"].max()
    labels = {one.label: fill(one.label, 15) + f", n = {counts[one.label]}" for one in sections}
    plots.dot_rows(ax, table, "section", "diet", rows=labels, looks=DIETS, spread=0.7)
    ax.plot(*zip(*seeds, strict=True), "|", color="0.35", markersize=4, markeredgewidth=0.8)
    ax.set(xlabel="accuracy")
    plots.shared_legend(fig, [ax], columns=4)
    return fig


def learning_curves(log: pd.DataFrame, every: int = 20) -> Figure:
    """Loss and right letters of the training batches over the steps, the mean of the seeds in the span of all seeds.

    Args:
        log: from `load_study`.
        every: steps whose means are one point.
    """
    fig, axes = plots.new_figure(1, 2, width=plots.PAGE_WIDTH, height=2.3)
    shown = [diet for diet in DIETS if diet in set(log["diet"])]
    window = log.assign(step=np.ceil(log["step"] / every).astype(int) * every, diet=pd.Categorical(log["diet"], shown))
    by_seed = window.groupby(["diet", "seed", "step"], observed=True)[["loss", "letters"]].mean()
    for ax, measure in zip(axes, ("loss", "letters"), strict=True):
        spans = by_seed[measure].groupby(["diet", "step"], observed=True).agg(estimate="mean", low="min", high="max")
        plots.bands(ax, spans.reset_index(), "step", "diet", looks=DIETS)
        ax.set(xlabel="step")
    axes[0].set(ylabel="loss of the answer, nats", ylim=(0, None))
    axes[1].set(ylabel="right letters in training", ylim=(None, 1.01))
    plots.shared_legend(fig, axes[:1], columns=3)
    return fig


def example(seed: int) -> list[list[Panel]]:
    """A training scene of each kind of question, for `plots.gallery`: the picture, and its compact image."""
    lines = []
    for sample in scene_samples("train", 2, seed, **studies.TRAINING_SCENES):
        picture = sample.image
        compact = composite_on_white(lpd.compact_image(picture, lpd.pixel_regions(sample.boxes_xyxy, picture.size)))
        lines += [
            Panel(picture, f"{fill(sample.question, 30)}\n{picture.width} × {picture.height}", truth=sample.boxes_xyxy),
            Panel(compact, f"its compact image\n{compact.width} × {compact.height}", framed=True),
        ]
    return [lines]


def detectable_differences(rows: pd.DataFrame, sizes: Iterable[int]) -> pd.DataFrame:
    """Smallest differences that the test of a claim finds in four cases of five, by the spread of its differences.

    Args:
        rows: from `load_study`.
        sizes: numbers of samples.

    Returns:
        One row a claim and size: claim, n and points.
    """
    needed = distributions.norm.isf(LEVEL / 2) + distributions.norm.isf(1 - POWER)
    claims = [claim for claim in answered(rows) if SECTIONS[_SECTION_OF[claim]].measure == "correct"]
    spreads = {claim: differences(rows, claim).mean(axis=1).std() for claim in claims}
    pairs = [(claim, n, needed * spread / np.sqrt(n)) for claim, spread in spreads.items() for n in sizes]
    return pd.DataFrame(pairs, columns=["claim", "n", "points"])


def power(table: pd.DataFrame) -> Figure:
    """The smallest difference that each claim's test finds, over the number of samples; a color a section."""
    fig, ax = plots.new_figure(width=4.6, height=2.9)
    named = {claim: SECTIONS[section].label for claim, section in _SECTION_OF.items()}
    spread = table.assign(section=table["claim"].map(named)).groupby(["section", "n"], sort=False)["points"]
    spans = spread.agg(estimate="median", low="min", high="max").reset_index()
    plots.bands(ax, spans, "n", "section", markers="osD^")
    plots.level(ax, MARGINS["points"], "the margin", across=True)
    ax.set(xlabel="test samples", ylabel="smallest difference found, points", ylim=(0, None), xscale="log")
    plots.ticks_at(ax, sorted(set(table["n"])))
    plots.shared_legend(fig, [ax], columns=2)
    return fig
