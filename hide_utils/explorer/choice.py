"""Samples to choose from in the explorer, and what an evaluation knows about them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import pandas as pd

from hide_utils.config import RunConfig, nearest
from hide_utils.evaluation.captured import RowCache
from hide_utils.explorer.case import Case, Knobs, look, open_own, open_sample
from hide_utils.method.entities import Entities, given_entities
from hide_utils.method.hide import HiDe
from hide_utils.plots.style import METHOD_LABELS
from hide_utils.samples import Sample
from hide_utils.stats.intervals import cluster_bootstrap


class Choice:
    """Samples by id, with the rows of `evaluate` for them where there are any.

    `kinds` are the samples' kinds of question, `methods` those that were evaluated. Raises ValueError without samples.
    """

    def __init__(self, samples: Sequence[Sample], answers: pd.DataFrame | None = None) -> None:
        if not samples:
            raise ValueError("no samples to choose from: load at least one")
        self.samples = {sample.id: sample for sample in samples}
        tables = [] if answers is None else answers.groupby("method", sort=False)
        self._tables = {str(method): table.set_index("sample_id") for method, table in tables}
        self.kinds = list(dict.fromkeys(sample.kind for sample in samples))
        self.methods = list(self._tables)

    def sample(self, sample_id: str) -> Sample:
        """A sample by its id. Raises ValueError for an unknown one, with the nearest."""
        if sample_id not in self.samples:
            raise ValueError(f"no sample {sample_id!r}; {nearest(sample_id, self.samples)}")
        return self.samples[sample_id]

    def right(self, sample_id: str) -> dict[str, bool]:
        """Which of the methods that answered a sample were right."""
        return {m: bool(t.loc[sample_id, "correct"]) for m, t in self._tables.items() if sample_id in t.index}

    def letters(self, sample_id: str) -> dict[str, str | None]:
        """The letter that each method stated in the evaluation; None where it stated none."""
        found = {m: t.loc[sample_id, "letter"] for m, t in self._tables.items() if sample_id in t.index}
        return {method: letter if isinstance(letter, str) else None for method, letter in found.items()}

    def entities(self, sample: Sample) -> Entities | None:
        """What the model listed for the sample's question in the evaluation; None where that is not known."""
        table = self._tables.get("hide")
        listed = table.loc[sample.id, "entities"] if table is not None and sample.id in table.index else None
        if not isinstance(listed, str) or listed == sample.question.strip():  # the latter: it had listed none
            return None
        return replace(given_entities(listed), source="model")

    def passing(self, kind: str | None, wanted: Mapping[str, bool]) -> list[tuple[str, str]]:
        """(label, id) of the samples of a kind (None: any) on which each method named was right or wrong as wanted.

        Labels leave out what all ids begin with.
        """
        found, shared = [], len(os.path.commonprefix(list(self.samples))) if len(self.samples) > 1 else 0
        for sample in self.samples.values():
            right = self.right(sample.id)
            if kind in (None, sample.kind) and all(right.get(method) == value for method, value in wanted.items()):
                marks = [f"{METHOD_LABELS.get(m, m)} {'✓' if ok else '✗'}" for m, ok in right.items()]
                short = f"…{sample.id[shared:]}" if shared else sample.id
                found.append((" · ".join([short, *marks]), sample.id))
        return found

    def first(self) -> str:
        """The rule for the sample that is shown first: the first that only HiDe got right, else the first."""
        for sample_id in self.samples:
            right = self.right(sample_id)
            if right.get("hide") and right.get("direct") is False:
                return sample_id
        return next(iter(self.samples))


def chosen_case(
    hide: HiDe, choice: Choice, sample_id: str, cache: RowCache | None = None, entities: Entities | None = None
) -> Case:
    """A sample as a case, searched for the entities given, else for those of its evaluation, else for the model's."""
    sample = choice.sample(sample_id)
    return open_sample(hide, sample, entities or choice.entities(sample), cache)


def first_case(hide: HiDe, choice: Choice, config: RunConfig, cache: RowCache | None = None) -> Case:
    """The case that a configuration names: its picture, or its sample, with its question where it has one."""
    entities = given_entities(list(config.entities)) if config.entities else None
    options = list(config.options) if config.options else None
    if config.image:
        case = open_own(hide, config.image, config.question or "", options, entities, config.image.name)
        return replace(case, path=config.image)
    sample_id = config.sample or choice.first()
    if config.question:
        return open_own(hide, choice.sample(sample_id).image, config.question, options, entities, sample_id)
    return chosen_case(hide, choice, sample_id, cache, entities)


def one_at_a_time(
    cases: Sequence[Case], own: Knobs, values: Mapping[str, Sequence[float]], measures: Sequence[str], seed: int = 0
) -> pd.DataFrame:
    """What moving one setting does to the regions of many cases while the others stay: array work, no model.

    values: setting -> the values it takes. measures: of `tad.box_quality`.

    Returns setting, value, measure, n, and the mean over the cases (estimate) with a 95 % interval bootstrapped over
    pictures (low, high). Raises ValueError for a case without true boxes.
    """
    if unknown := [case.name for case in cases if not len(case.boxes_xyxy)]:
        raise ValueError(f"{unknown[0]} has no true boxes: what regions are worth is known only where there are some")
    pictures = [case.sample.image_id if case.sample else case.name for case in cases]
    rows = []
    for setting, taken in values.items():
        for value in taken:
            knobs = Knobs(**asdict(own) | {setting: value})
            found = pd.DataFrame([look(case, knobs).quality for case in cases])
            for measure in measures:
                interval = cluster_bootstrap(found[measure].to_numpy(), pictures, seed=seed)
                rows.append((setting, value, measure, interval.n, interval.estimate, interval.low, interval.high))
    return pd.DataFrame(rows, columns=["setting", "value", "measure", "n", "estimate", "low", "high"])
