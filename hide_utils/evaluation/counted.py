"""What is counted on models of full size without weights: FLOPs by lever and by side, calls of attention."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hide_utils.evaluation import floors, fullsize, procedures


def torch_agrees(name: str) -> bool:
    """Whether torch's counter finds the FLOPs of every pass of a plain answer and HiDe that the configuration gives."""
    one = fullsize.ARCHITECTURES[name]
    work, model = fullsize.work_for(one, listed=1), fullsize.meta_model(one.config())
    passes = [*procedures.direct_answer(work), *procedures.hide(work)]
    return fullsize.counted(model, passes) == [procedures.pass_flops(model.config, one) for one in passes]


def levers_saved() -> pd.DataFrame:
    """FLOPs that each lever saves, in plain answers: what the method takes without it, less what it takes with it.

    Returns:
        Columns lever, model and saved, those that save most on top.
    """
    rows = [
        (lever, one.name, saved)
        for one in fullsize.ARCHITECTURES.values()
        for lever, saved in procedures.saved_by_switches(one.config(), fullsize.work_for(one)).items()
    ]
    table = pd.DataFrame(rows, columns=["lever", "model", "saved"])
    order = table.groupby("lever")["saved"].transform("mean").sort_values(ascending=False, kind="stable").index
    return table.loc[order].reset_index(drop=True)


def by_side() -> pd.DataFrame:
    """`fullsize.by_resolution` of all architectures, with a column model."""
    found = [fullsize.by_resolution(one).assign(model=one.name) for one in fullsize.ARCHITECTURES.values()]
    return pd.concat(found, ignore_index=True)


def growth(sides: pd.DataFrame) -> float:
    """How many times as fast HiDe's FLOPs grow with the side as a plain answer's: exponents, of the worst model."""
    exponents = {
        (name, column): np.polyfit(np.log(table["side"]), np.log(table[column]), 1)[0]
        for name, table in sides.groupby("model")
        for column in ("plain", "hide")
    }
    return max(exponents[name, "hide"] / exponents[name, "plain"] for name in set(sides["model"]))


def calls_over_blocks() -> float:
    """Attention calls of a picture's vision tower over its blocks, of the worst model."""
    found = []
    for one in fullsize.ARCHITECTURES.values():
        vision = one.config().vision_config
        calls = floors.attention_calls(one, "batched")
        found.append(calls / (getattr(vision, "depth", None) or vision.num_hidden_layers))
    return max(found)
