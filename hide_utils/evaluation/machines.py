"""What `hide gpu-check` measured on other machines, read from the folders that it wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from hide_utils import paths
from hide_utils.evaluation.fullsize import ARCHITECTURES
from hide_utils.evaluation.saving import read_table
from hide_utils.evaluation.speed import NOTEBOOK

WHERE = ("stock", "patches", "tower", "language", "extract", "search", "decouple", "compact", "answer")
NAMES = {"windowed": "small Qwen2.5-VL"}  # of `fullsize.SMALL`


class Machine(NamedTuple):
    """What `hide gpu-check` measured on one machine.

    Attributes:
        folder: its name.
        card: name of the GPU, or of the processor.
        speed, floor, kernels: tables of `hide_utils.evaluation.speed.check`.
    """

    folder: str
    card: str
    speed: pd.DataFrame
    floor: pd.DataFrame
    kernels: pd.DataFrame


def machines(figures: Path = paths.FIGURES) -> list[Machine]:
    """Every machine whose folder lies in the notebook's figures, in the order of their names."""
    found = []
    for path in sorted((figures / NOTEBOOK).glob("*/speed.csv")):
        entry = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        card = entry.get("machine") or entry["device"]
        tables = (read_table(path.with_name(f"{name}.csv")) for name in ("speed", "floor", "kernels"))
        found.append(Machine(path.parent.name, card, *tables))
    return found


def where_time_goes(speed: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Seconds of every step before and after the levers, a row for each way of answering.

    What the picture takes is split into patches, vision tower and language model by what the first two take alone. A
    plain answer is one pass, so its "language model" holds the question and the answer too.

    Args:
        speed: of one model, from `hide_utils.evaluation.speed.measure`.

    Returns:
        Medians with columns `WHERE`, and the smallest and largest whole question as columns min and max. Rows
        are named by their labels.
    """
    last = speed["variant"].iloc[-1]
    bars = {
        "stock, plain": ("stock", "plain"),
        "before, plain": ("before", "plain"),
        "before, HiDe": ("before", "hide"),
        "now, plain": (last, "plain"),
        "now, HiDe": (last, "hide"),
        "now, HiDe, batched": (last, "hide, batched"),
        "now, as released": (last, "released"),
    }
    steps = speed.groupby(["variant", "procedure", "step"])["seconds"].median().unstack()
    rows = {}
    for label, (variant, procedure) in bars.items():
        row = steps.loc[(variant, procedure)].drop("whole").dropna()
        if variant == "stock":
            row = row.rename({"answer": "stock"})
        elif procedure != "released":  # whose prompts run the picture again and again
            picture = steps.loc[(variant, "picture"), ["patches", "tower"]]
            whole_picture = ["prefill", "answer"] if procedure == "plain" else ["prefill"]
            language = row[whole_picture].sum() - picture.sum()
            row = pd.concat([row.drop(whole_picture), picture, pd.Series({"language": language})])
        rows[label] = row.rename({"prefill": "patches"})
    whole = speed[speed["step"] == "whole"].groupby(["variant", "procedure"])["seconds"].agg(["min", "max"])
    spread = pd.DataFrame({label: whole.loc[key] for label, key in bars.items()}).T
    return pd.DataFrame(rows).T.reindex(columns=list(WHERE)), spread


def full_size(found: Sequence[Machine]) -> dict[str, tuple[list[float], str]]:
    """What HiDe with batched entities takes over a plain answer on models of full size.

    Returns:
        "time" and "peak memory" -> a ratio a run, and card and model: those of the model with the largest median. A
        quantity that no machine measured is left out.
    """
    measured: dict[str, tuple[list[float], str]] = {}
    for one in found:
        for model, speed in one.speed[one.speed["model"].isin(ARCHITECTURES)].groupby("model", sort=False):
            last = speed[(speed["variant"] == speed["variant"].iloc[-1]) & (speed["step"] == "whole")]
            for name, column in (("time", "seconds"), ("peak memory", "peak_bytes")):
                wide = last.pivot(index="repeat", columns="procedure", values=column).astype(float)
                ratios = (wide["hide, batched"] / wide["plain"]).dropna().tolist()
                if ratios and (name not in measured or np.median(ratios) > np.median(measured[name][0])):
                    measured[name] = ratios, f"{one.card}, {model}"
    return measured


def title(one: Machine, model: str) -> str:
    """A model and the size of the picture that it was asked about, for a panel."""
    tokens = one.kernels.query("model == @model and case == 'prefill'")["keys"].item()
    return f"{NAMES.get(model, model)}, {tokens} image tokens"


def whole_questions(found: Sequence[Machine]) -> dict[str, pd.DataFrame]:
    """Model, card and number of runs -> the whole questions that were timed there by our own path."""
    return {
        f"{title(one, str(model))}\n{one.card}, n = {speed['repeat'].nunique()}": speed[
            (speed["step"] == "whole") & (speed["variant"] != "stock")
        ]
        for one in found
        for model, speed in one.speed.groupby("model", sort=False)
    }
