"""The samples that the explorer offers, filtered by what an evaluation knows about them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from hide_utils.baselines import LOOKS
from hide_utils.config import nearest
from hide_utils.looks import look_of
from hide_utils.method.entities import Entities, given_entities
from hide_utils.samples import Sample
from hide_utils.stats.rows import outcomes


class SampleList:
    """Samples by id, with the rows of `evaluate` for them where there are any.

    Args:
        samples: at least one.
        answers: rows of `evaluate`; None where nothing was evaluated.

    Attributes:
        samples: by id.
        kinds: the samples' kinds of question.
        methods: that were evaluated.

    Raises:
        ValueError: without samples.
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
        """The sample with an id.

        Raises:
            ValueError: for an unknown id, with the nearest.
        """
        if sample_id not in self.samples:
            raise ValueError(f"no sample {sample_id!r}; {nearest(sample_id, self.samples)}")
        return self.samples[sample_id]

    def right(self, sample_id: str) -> dict[str, bool]:
        """Whether each method that answered a sample was right."""
        right = {m: outcomes(t.loc[[sample_id]]).item() for m, t in self._tables.items() if sample_id in t.index}
        return {method: value == 1 for method, value in right.items() if value == value}  # NaN is no answer

    def letters(self, sample_id: str) -> dict[str, str | None]:
        """The letter that each method stated in the evaluation; None where it stated none.

        Of a question without options it is the reply.
        """
        said = "letter" if self.samples[sample_id].options else "reply"
        found = {m: t.loc[sample_id, said] for m, t in self._tables.items() if sample_id in t.index}
        return {method: letter if isinstance(letter, str) else None for method, letter in found.items()}

    def entities(self, sample: Sample) -> Entities | None:
        """Entities that the model listed for the sample's question in the evaluation; None where that is not known."""
        table = self._tables.get("hide")
        listed = table.loc[sample.id, "entities"] if table is not None and sample.id in table.index else None
        if not isinstance(listed, str) or listed == sample.question.strip():
            # Where the model had listed nothing, the method searched for the question itself.
            return None
        return replace(given_entities(listed), source="model")

    def passing(self, kind: str | None, wanted: Mapping[str, bool]) -> list[tuple[str, str]]:
        """Samples of a kind on which methods were right or wrong as wanted.

        Args:
            kind: of question; None for any.
            wanted: method -> whether it was right.

        Returns:
            (label, id) of each. The labels leave out what all ids begin with.
        """
        found, shared = [], len(os.path.commonprefix(list(self.samples))) if len(self.samples) > 1 else 0
        for sample in self.samples.values():
            right = self.right(sample.id)
            if kind in (None, sample.kind) and all(right.get(method) == value for method, value in wanted.items()):
                marks = [f"{look_of(LOOKS, m).label} {'✓' if ok else '✗'}" for m, ok in right.items()]
                short = f"…{sample.id[shared:]}" if shared else sample.id
                found.append((" · ".join([short, *marks]), sample.id))
        return found

    def first(self) -> str:
        """Id of the sample to show first: the first that HiDe got right and the direct answer wrong, else the first."""
        for sample_id in self.samples:
            right = self.right(sample_id)
            if right.get("hide") and right.get("direct") is False:
                return sample_id
        return next(iter(self.samples))
