"""What the paper reports, from ``data/paper/hide_paper_numbers.csv``: tables to draw, and numbers to quote on cards."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain

import pandas as pd

from hide_utils import paths

MODELS = ("Qwen2.5-VL-7B", "InternVL3-8B")  # whose numbers the paper gives most often


def paper_numbers(experiment: str) -> pd.DataFrame:
    """The numbers that the paper reports for one experiment.

    Args:
        experiment: a value of the file's first column, such as "main" (the main table), "aggregation" or "cost".

    Returns:
        Columns experiment, model, setting, metric, value and note. Accuracies are in percent.
    """
    numbers = _as_printed(experiment)
    return numbers.assign(value=numbers["value"].astype(float))


def published(experiment: str, model: str, setting: str, metric: str) -> float:
    """One number of the paper: ``published("main", "Qwen2.5-VL-7B", "V* / hide", "overall")``.

    Raises:
        ValueError: the paper reports no such number, or more than one.
    """
    return float(_one(experiment, model, setting, metric))


def quoted(experiment: str, text: str, models: Iterable[str] = MODELS) -> str:
    """What a card's `paper` says: the text for each model, with ``{setting | metric}`` replaced by the printed number.

    Args:
        experiment: as in `paper_numbers`.
        text: with places of numbers, and ``{model}`` for the model's name.
        models: as in the file, for which "not stated" is one.

    Raises:
        ValueError: the paper reports no such number.
    """
    said = []
    for model in models:
        parts = re.split(r"\{([^}]+) \| ([^}]+)\}", text.replace("{model}", model))  # text, setting, metric, text, ...
        places = zip(parts[1::3], parts[2::3], strict=True)
        numbers = [_one(experiment, model, setting, metric) for setting, metric in places]
        said.append("".join(chain(*zip(parts[::3], [*numbers, ""], strict=True))))
    return "; ".join(said)


def _as_printed(experiment: str) -> pd.DataFrame:
    numbers = pd.read_csv(paths.PAPER / "hide_paper_numbers.csv", dtype=str)
    return numbers[numbers["experiment"] == experiment].reset_index(drop=True)


def _one(experiment: str, *place: str) -> str:
    numbers = _as_printed(experiment).set_index(["model", "setting", "metric"])["value"]
    if list(numbers.index).count(place) != 1:
        known = "; ".join(" | ".join(at) for at in numbers.index)
        raise ValueError(f"no number, or several, for {' | '.join(place)!r} in {experiment!r}; there are: {known}")
    return numbers[place]
