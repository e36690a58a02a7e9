"""What docs/real_models.md says that real models take: the counted numbers, and the same by hand."""

import pandas as pd
import pytest

from hide_utils import paths
from hide_utils.report import readme

PAGE = readme.PAGE.read_text(encoding="utf-8")


def test_the_page_on_real_models_has_the_costs_that_are_counted_now():
    assert readme.filled(PAGE, parts=readme.OF_PAGE) == PAGE, "run `hide report`, and commit what it wrote"


def test_costs_on_the_page_by_hand():
    """FLOPs and seconds of the committed tables, and sizes of the hub's files, in place of the writer's functions."""
    folder = paths.FIGURES / "06_memory_and_latency"
    speed = pd.read_csv(folder / "nvidia_h200" / "speed.csv")
    whole = speed[(speed["step"] == "whole") & (speed["variant"] == "recorded decoding")]
    seconds = whole.groupby("procedure")["seconds"].median()
    flops = pd.read_csv(folder / "flops.csv").set_index("model")
    rows = {line.split("|")[1].strip(): line for line in PAGE.splitlines() if line[0:1] == "|"}
    direct, ours = (
        [float(cell.split()[0]) for cell in rows[f"{name}, a question"].split("|")[2:-1]] for name in ("direct", "HiDe")
    )
    assert direct[1] == pytest.approx(seconds["plain"], abs=0.06) and ours[1] == pytest.approx(
        seconds["hide, batched"], abs=0.06
    )
    assert ours[0] == pytest.approx(seconds["hide, batched"] * 989 / 312, abs=0.06)
    ratio = flops.loc["Qwen3-VL-8B", "plain_tflop"] / flops.loc["Qwen2.5-VL-7B", "plain_tflop"]
    assert direct[2] == pytest.approx(seconds["plain"] * ratio * 989 / 312, abs=0.06)
    lite = [float(cell.split()[0]) for cell in rows["mme_realworld_lite, 1919 questions"].split("|")[2:-1]]
    assert lite[1] == pytest.approx(1919 * seconds["hide, batched"] / 3600, rel=0.02), "an answer besides is a suffix"
    # total_size 16584333312 in the index file of Qwen/Qwen2.5-VL-7B-Instruct; 15.9 GB in OpenGVLab/InternVL3-8B-hf
    files = {name: rows[name].split("|")[2].strip() for name in ("Qwen2.5-VL-7B", "InternVL3-8B")}
    assert files == {"Qwen2.5-VL-7B": "16.6 GB", "InternVL3-8B": "15.9 GB"}
