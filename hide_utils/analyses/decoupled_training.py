"""Notebook 10. What a study of decoupled pictures as training data would have to be to decide anything."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from hide_utils.config import Count, RunConfig, Share
from hide_utils.stats import minimum_detectable_difference


class DecoupledTrainingConfig(RunConfig):
    """Parameters of notebook 10.

    Attributes:
        sizes: numbers of test samples that a study could have.
        discordant: shares of samples that only one of two models answers rightly.
    """

    notebook: str = "10_decoupled_training"
    sizes: tuple[Count, ...] = ()
    discordant: tuple[Share, ...] = ()


def detectable_differences(sizes: Iterable[int], discordant: Iterable[float]) -> pd.DataFrame:
    """Smallest differences in accuracy that McNemar's test would show in four cases of five.

    Args:
        sizes: numbers of paired samples.
        discordant: shares of samples on which exactly one model is right.

    Returns:
        One row a pair: n, discordant and difference; a difference is missing where none so large is possible.
    """
    pairs = [(n, share, minimum_detectable_difference(n, share)) for n in sizes for share in discordant]
    table = pd.DataFrame(pairs, columns=["n", "discordant", "difference"])
    return table.assign(difference=table["difference"].where(table["difference"] < float("inf")))
