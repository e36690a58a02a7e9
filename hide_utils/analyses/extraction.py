"""Notebook 07. How well entities are listed, whether that is needed, and what a wrong entity costs.

`CLAIMS` says which two methods decide each claim about answers, and of which questions lists are compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from hide_utils import findings, plots
from hide_utils.baselines import LOOKS
from hide_utils.config import Count, RunConfig, Share
from hide_utils.edits.entity_corruption import ERRORS, reworded
from hide_utils.evaluation import entity_lists, stored_answers, stored_measures
from hide_utils.evaluation.entity_lists import Question
from hide_utils.evaluation.entity_variants import (
    REFERENCE,
    accuracy_and_boxes,
    answers_at_entity_rates,
    corrupted_method,
    corrupted_methods,
    extraction_methods,
    own_words,
    possible_errors,
)
from hide_utils.evaluation.token_selection import Rule, choose_rules, rule_quality
from hide_utils.findings import Finding, claims_beside
from hide_utils.looks import self_labelled
from hide_utils.method import HiDe, clean
from hide_utils.samples import Sample
from hide_utils.stats import median_label


class ExtractionConfig(RunConfig):
    """Parameters of notebook 07.

    Attributes:
        n_calibration: calibration scenes, on which it is chosen which of the question's tokens are read.
        n_close: test scenes of the claims of `CLOSE`. None takes as many as other claims have.
        rates: shares of the entities that are corrupted.
    """

    notebook: str = "07_extraction_robustness"
    n_calibration: Count | None = None
    n_close: Count | None = None
    rates: tuple[Share, ...] = ()


CLAIMS = claims_beside(__file__)
ANSWERS = CLAIMS["answers"]
EXTRACTOR_LOOKS = self_labelled({"model's prompt": 3, "rules": 0, "whole question": 1}, "osD")
SHOWN = {
    REFERENCE: "reference entities",
    "entities: question": "whole question",
    "question: tokens that point": "tokens of the question that point",
    corrupted_method("dropped", 1): "one left out",
    corrupted_method("distractor", 1): "one replaced by another thing",
    corrupted_method("absent", 1): "one replaced by what is not there",
    corrupted_method("attribute", 1): "one in a wrong color",
    corrupted_method("over-long", 1): "one followed by the question",
}
OF_TWO = ("dropped, one of two", "wrong or missing, one of two")  # claims of questions about two things alone
CLOSE = ("tokens that point", "duplicate, all")  # claims about methods that differ so little that they have more scenes
ERROR_LOOKS = self_labelled(dict(zip(ERRORS, (0, 1, 4, 2, 5, 9), strict=True)))


def token_rules(hide: HiDe, held: Sequence[Sample], cfg: ExtractionConfig) -> dict[str, Rule]:
    """How the question's own tokens are best read, chosen on calibration samples: `choose_rules`."""
    return choose_rules(stored_measures(hide, held, rule_quality, cfg, "rules"))


def answer_all(
    hide: HiDe, samples: Sequence[Sample], rules: Mapping[str, Rule], cfg: ExtractionConfig, **draw: Any
) -> pd.DataFrame:
    """Answers of all `extraction_methods`, and of every possible number of corrupted entities of each kind."""
    kinds, groups = possible_errors(samples), []
    for number in sorted({len(sample.entities) for sample in samples}):
        part = [sample for sample in samples if len(sample.entities) == number]
        methods = extraction_methods(rules) | corrupted_methods(kinds, number)
        groups.append(stored_answers(hide, part, methods, cfg, **draw))
    return pd.concat(groups, ignore_index=True)


def answer_close(
    hide: HiDe, samples: Sequence[Sample], rules: Mapping[str, Rule], cfg: ExtractionConfig, **draw: Any
) -> pd.DataFrame:
    """Answers that the claims of `CLOSE` compare. With every entity listed twice the method is "duplicate 100%"."""
    groups = []
    for number in sorted({len(sample.entities) for sample in samples}):
        part = [sample for sample in samples if len(sample.entities) == number]
        twice, methods = corrupted_method("duplicate", number), extraction_methods(rules)
        methods |= corrupted_methods(["duplicate"], number)
        named = {name: methods[name] for name in ("hide", "question: tokens that point", REFERENCE, twice)}
        groups.append(stored_answers(hide, part, named, cfg, **draw).replace({"method": {twice: "duplicate 100%"}}))
    return pd.concat(groups, ignore_index=True)


def at_rates(answers: pd.DataFrame, samples: Sequence[Sample], rates: Sequence[float]) -> pd.DataFrame:
    """`answers_at_entity_rates` of every error that is possible, at least at the rates 0 and 1."""
    return answers_at_entity_rates(answers, samples, sorted({0.0, *rates, 1.0}), possible_errors(samples))


def with_rates(answers: pd.DataFrame, spoilt: pd.DataFrame) -> pd.DataFrame:
    """The answers, and those at rates from `at_rates` as methods of their own."""
    return pd.concat([answers, spoilt], ignore_index=True)


def cards_of(answers: pd.DataFrame, claims: Iterable[str]) -> list[Finding]:
    """A card for each of these claims about answers, on the samples that both methods have answered."""
    found = []
    for claim in claims:
        words = ANSWERS[claim]
        needed = [words["method"], words["against"], *([corrupted_method("dropped", 2)] if claim in OF_TWO else [])]
        by = [set(answers.loc[answers["method"] == method, "sample_id"]) for method in needed]
        found += findings.cards_of(answers[answers["sample_id"].isin(set.intersection(*by))], ANSWERS, [claim])
    return found


def recall_cards(answers: pd.DataFrame, claims: Iterable[str]) -> list[Finding]:
    """The comparison of these claims by the true boxes that are found. An answer without regions has found none."""
    table = answers.assign(variant=answers["method"], recall=answers["recall50"].fillna(0).astype(float))
    named = {claim: ANSWERS[claim] | CLAIMS["recall"][claim] for claim in claims}
    found = []
    for claim, words in named.items():
        pair = words.pop("method"), words.pop("against")
        found.append(findings.of_measure(table, "recall", *pair, "recall", claim=f"{claim}: recall", **words))
    return found


def listed(hide: HiDe, samples: Sequence[Sample], answers: pd.DataFrame) -> pd.DataFrame:
    """What each extractor lists for three sets of questions: `entity_lists.score_questions` with a column questions.

    The model's lists for the scenes are those that their answers searched for.
    """
    of_scenes = {"scenes": ("hide", own_words), "scenes, reworded": ("reworded: model", reworded)}
    ways = entity_lists.extractors(hide.extractor)
    written = entity_lists.load_questions()
    found = {way: list_([question.text for question in written]) for way, list_ in ways.items()}
    tables = [entity_lists.score_questions(written, found).assign(questions="hand-written")]
    for name, (method, words) in of_scenes.items():
        asked = [Question(s.id, s.kind, words(s), tuple(s.entities)) for s in samples]
        found = {way: list_([q.text for q in asked]) for way, list_ in ways.items() if way != "model's prompt"}
        found = {"model's prompt": _searched_for(answers, method, asked)} | found
        tables.append(entity_lists.score_questions(asked, found).assign(questions=name))
    return pd.concat(tables, ignore_index=True)


def _searched_for(answers: pd.DataFrame, method: str, asked: Sequence[Question]) -> list[tuple[str, ...]]:
    """What a method's answers searched for, nothing where it was the question itself."""
    searched = answers[answers["method"] == method].set_index("sample_id")["entities"]
    return [() if searched[q.id] == q.text.strip() else clean([searched[q.id]]) for q in asked]


def listing_cards(rows: pd.DataFrame) -> list[Finding]:
    """A card for each set of questions: exact lists of the model against those of the rules."""
    found = []
    for claim, words in CLAIMS["lists"].items():
        part = rows[
            (rows["questions"].str.split(", ").str[-1] == claim.split(", ")[-1]) & (rows["match"] == "canonical")
        ]
        table = part.assign(sample_id=part["id"], image_id=part["id"], method=part["extractor"], correct=part["exact"])
        found.append(findings.of_answers(table, "model's prompt", "rules", claim=claim, **words))
    return found


def searched_for(answers: pd.DataFrame, samples: Sequence[Sample]) -> Figure:
    """One picture with what is searched for in several ways, and the regions that are found.

    It is the question about two things, or else about any, of which searching for it keeps the median area.
    """
    of = [sample for sample in samples if len(sample.entities) > 1] or samples
    area = answers[answers["method"] == "entities: question"].set_index("sample_id")["area"].fillna(0)
    chosen = median_label(area[[sample.id for sample in of]])
    sample = next(sample for sample in of if sample.id == chosen)
    rows = answers[answers["sample_id"] == chosen].set_index("method")
    panels = []
    for method, title in SHOWN.items():
        if method in rows.index:
            row = rows.loc[method]
            title = f"{title}\n{fill(row['entities'], 34)}"
            regions = [] if row["regions"] is None else row["regions"]
            panels.append(plots.Panel(sample.image, title, regions, sample.boxes_xyxy))
    return plots.gallery([panels[:4], panels[4:]], titles=0.55)


def score_rows(scores: pd.DataFrame) -> Figure:
    """Precision, recall and F1 of each set of questions and extractor.

    Args:
        scores: from `entity_lists.scores_by`, by questions, extractor and match.
    """
    fig, axes = plots.new_figure(1, 3, width=plots.PAGE_WIDTH, height=2.0, sharey=True)
    counts = scores.groupby("questions", sort=False)["n"].max()
    for ax, measure in zip(axes, entity_lists.EXTRACTION_MEASURES, strict=True):
        part = scores[(scores["measure"] == measure) & (scores["match"] == "canonical")]
        lines = {name: f"{name}\nn = {n}" for name, n in counts.items()}
        plots.dot_rows(ax, part, "questions", "extractor", rows=lines, looks=EXTRACTOR_LOOKS, markersize=3.6)
        ax.set(xlabel={"f1": "F1"}.get(measure, measure), xlim=(-0.03, 1.03))
    plots.shared_legend(fig, axes, columns=3)
    return fig


def cost_curves(answers: pd.DataFrame, spoilt: pd.DataFrame) -> Figure:
    """Recall of the true boxes and accuracy over the rate of each kind of error, beside the direct answer and chance.

    Args:
        answers: with those of the method "direct".
        spoilt: from `at_rates`.
    """
    means_ = accuracy_and_boxes(spoilt, ["corruption", "rate"])
    fig, axes = plots.new_figure(1, 2, width=plots.PAGE_WIDTH, height=2.9)
    labels = {"recall50": "recall of the true boxes", "accuracy": "accuracy"}
    for ax, (measure, label) in zip(axes, labels.items(), strict=True):
        plots.error_curves(ax, means_[means_["measure"] == measure], looks=ERROR_LOOKS)
        ax.set(xlabel="share of entities with the error", ylabel=label, xticks=sorted(set(spoilt["rate"])))
    plots.reference(axes[1], LOOKS["direct"], answers[answers["method"] == "direct"]["correct"].mean(), across=True)
    plots.level(axes[1], (1 / spoilt["n_options"]).mean(), "chance", across=True)
    plots.shared_legend(fig, axes, columns=4)
    return fig
