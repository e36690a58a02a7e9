"""Notebook 13. Boxes that are made worse at known rates, crowded and easy scenes, and where the method fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

import pandas as pd
from pydantic import Field

from hide_utils.baselines import Method, of_regions
from hide_utils.config import Count, Margin, Pixels, RunConfig, Share
from hide_utils.edits.corruption import CORRUPTIONS, answers_at_rates, corrupted_boxes, enlarged_boxes
from hide_utils.looks import self_labelled
from hide_utils.method import HiDe, Session, lpd
from hide_utils.samples import Sample


class RobustnessConfig(RunConfig):
    """Parameters of notebook 13.

    Attributes:
        n_curve: scenes at each density of named objects.
        rates: shares of the true boxes that are corrupted.
        growths: factors by which the true boxes' sides are enlarged.
        densities: further ones of named objects in drawn scenes, per 65 536 pixels.
        resolutions: sides of the easy scenes of the negative control, in pixels.
        n_control: easy scenes at each of these resolutions.
        margin: loss of accuracy that would count as harm.
    """

    notebook: str = "13_robustness_and_failures"
    n_curve: Count | None = None
    rates: tuple[Share, ...] = ()
    growths: tuple[Annotated[float, Field(ge=1, le=100)], ...] = ()
    densities: tuple[Annotated[float, Field(gt=0, le=16)], ...] = ()
    resolutions: tuple[Pixels, ...] = ()
    n_control: Count | None = None
    margin: Margin = 0.05


Finder = Callable[[HiDe, Session, Sample], Sequence[lpd.Region]]
CORRUPTION_LOOKS = self_labelled({"wrong": 4, "extra": 1, "missing": 0})


def corrupted_box_finders(most: int) -> dict[str, Finder]:
    """Boxes by name: every corruption with 1 to `most` boxes corrupted, "wrong 2" for instance.

    A sample with fewer boxes has all of them corrupted.
    """
    return {f"{kind} {k}": partial(_corrupt, kind, k) for kind in CORRUPTIONS for k in range(1, most + 1)}


def enlarged_box_finders(factors: Sequence[float]) -> dict[str, Finder]:
    """Boxes by name: the true ones with sides so many times as long, "true x 2" for instance."""
    return {f"true x {factor:g}": partial(_enlarge, factor) for factor in factors}


def box_methods(most: int, factors: Sequence[float]) -> dict[str, Method]:
    """LPD behind the original on all of these boxes, by their names.

    Args:
        most: as in `corrupted_box_finders`.
        factors: as in `enlarged_box_finders`.
    """
    finders = corrupted_box_finders(most) | enlarged_box_finders(factors)
    return {name: of_regions(find, steps=("prefill", "compact")) for name, find in finders.items()}


def _corrupt(kind: str, n_corrupted: int, hide: HiDe, session: Session, sample: Sample) -> list[lpd.Region]:
    return corrupted_boxes(kind, min(n_corrupted, len(sample.boxes_xyxy)), sample, session.image.size)


def _enlarge(factor: float, hide: HiDe, session: Session, sample: Sample) -> list[lpd.Region]:
    return enlarged_boxes(factor, sample, session.image.size)


def answers_at_box_rates(answers: pd.DataFrame, samples: Sequence[Sample], rates: Sequence[float]) -> pd.DataFrame:
    """Answers at each rate of corrupted boxes: `answers_at_rates` of those to the `corrupted_box_finders`."""

    def method(kind: str, n_corrupted: int) -> str:
        return f"{kind} {n_corrupted}" if n_corrupted else "oracle"

    return answers_at_rates(answers, samples, rates, CORRUPTIONS, method)
