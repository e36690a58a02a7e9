"""Notebook 05: its parameters. What it computes is `hide_utils.evaluation`."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from hide_utils.baselines import named
from hide_utils.config import Count, Pixels, RunConfig


def _known(methods: tuple[str, ...]) -> tuple[str, ...]:
    named(methods)
    if len(set(methods)) < len(methods):
        raise ValueError(f"want each method once, got {list(methods)}")
    return methods


Methods = Annotated[tuple[str, ...], AfterValidator(_known)]


class BenchmarksConfig(RunConfig):
    """Parameters of notebook 05.

    Attributes:
        methods: names of `hide_utils.baselines.METHODS`, run on all samples.
        baselines: more of them, run on the first samples alone.
        n_baselines: how many the first ones are. None takes all.
        resolutions: further sides of drawn scenes, in pixels.
        n_curve: samples at each of them.
    """

    notebook: str = "05_benchmarks"
    methods: Annotated[Methods, Field(min_length=1)] = ("direct", "hide")
    baselines: Methods = ()
    n_baselines: Count | None = None
    resolutions: tuple[Pixels, ...] = ()
    n_curve: Count | None = None
