"""What the timings say besides times: which steps, which order, and that the compared outputs are equal."""

import numpy as np
import pandas as pd
import pytest
from checkpoints import tiny_model

from hide_utils.analyses import cost as timing
from hide_utils.scenes.questions import scene_samples


def test_methods_run_in_mirrored_order_with_equal_outputs():
    samples = scene_samples("test", 2, resolution=256)
    table = timing.side_by_side(tiny_model("qwen3_vl"), samples)
    whole = table[table["step"] == "whole"]
    assert list(whole["method"]) == ["plain", "hide", "three_passes", "hide", "plain"] * 2
    steps = table.groupby("method")["step"].agg(set)
    assert steps["plain"] == {"prefill", "answer", "whole", "cpu"}
    assert steps["hide"] >= {"extract", "prefill", "search", "decouple", "compact", "answer"}
    found = timing.ratios(table).set_index("method")
    assert list(found.index) == ["hide", "three_passes"] and (found["n"] == 2).all()
    assert (found["low"] <= found["median"]).all() and (found["median"] <= found["high"]).all()


def test_ratios_are_of_each_samples_means():
    rows = [("a", "plain", 2.0), ("a", "plain", 4.0), ("a", "hide", 3.0), ("b", "plain", 1.0), ("b", "hide", 3.0)]
    rows += [(name, "three_passes", 6.0) for name in "ab"]
    table = pd.DataFrame(rows, columns=["sample_id", "method", "seconds"]).assign(step="whole")
    hide = timing.ratios(table).set_index("method").loc["hide"]
    assert (hide["median"], hide["low"], hide["high"]) == (2.0, 1.0, 3.0)


def test_another_answer_of_the_oracle_is_an_error(monkeypatch):
    run = timing.HiDe.run

    def other(self, *args):
        result = run(self, *args)
        result.answer += "" if self.reuse_prefix else "!"
        return result

    monkeypatch.setattr(timing.HiDe, "run", other)
    with pytest.raises(AssertionError, match="otherwise"):
        timing.side_by_side(tiny_model("qwen3_vl"), scene_samples("test", 1, resolution=256))


def test_extraction_and_array_work():
    table = timing.extraction(tiny_model("qwen3_vl"), ["Where is the dog?", "Who?", "What is red?"], repeats=2)
    np.testing.assert_allclose(table["ratio"], table["batched"] / table["single"])
    assert len(table) == 2 and len(timing.array_seconds(2)) == 2
    compact = timing.array_work(timing.typical_rows(), timing.noise_picture())
    assert compact.mode == "RGBA" and compact.width < timing.SIDE
    assert timing.sweep_seconds(1) > 0


def speed_table():
    """Two runs of every bar that is drawn, in seconds."""
    plain, hide = {"prefill": 1.0, "answer": 6.0}, {"prefill": 6.5, "extract": 2.0, "search": 1.0, "answer": 2.0}
    found = [("stock", "plain", {"answer": 9.0})]
    for variant in ("before", "windows together"):
        found += [
            (variant, "plain", plain),
            (variant, "hide", hide),
            (variant, "picture", {"patches": 1.5, "tower": 3}),
        ]
    found += [("windows together", "hide, batched", hide | {"extract": 0.1}), ("windows together", "released", plain)]
    rows = []
    for variant, procedure, steps in found:
        for repeat in range(2):
            whole = {"whole": sum(steps.values()) + repeat}
            rows += [(variant, procedure, step, repeat, seconds) for step, seconds in (steps | whole).items()]
    return pd.DataFrame(rows, columns=["variant", "procedure", "step", "repeat", "seconds"])


def test_a_pictures_time_is_split_and_sums_stay():
    steps, spread = timing.where_time_goes(speed_table())
    assert list(steps.columns) == list(timing.WHERE) and list(steps.index) == list(spread.index)
    assert steps.loc["before, plain"].dropna().to_dict() == {"patches": 1.5, "tower": 3.0, "language": 2.5}
    hide = steps.loc["now, HiDe, batched"]
    assert (hide["language"], hide["extract"], hide["answer"]) == (2.0, 0.1, 2.0)
    assert steps.sum(axis=1).tolist() == pytest.approx(spread["min"].tolist())
    assert (spread["max"] - spread["min"] == 1).all()


def test_a_sample_is_timed_with_all_methods():
    samples = scene_samples("test", 2, resolution=256)
    assert 0 < timing.seconds_a_sample(tiny_model("qwen3_vl"), samples, ["direct", "oracle"])
