"""What the timings say besides times: which steps, which order, that outputs are equal, and what is held against."""

import numpy as np
import pandas as pd
import pytest
from checkpoints import tiny_model

from hide_utils import plots
from hide_utils.analyses import cost
from hide_utils.evaluation import array_work, fullsize, machines, side_by_side
from hide_utils.findings import corrected
from hide_utils.scenes.questions import scene_samples

LADDER = {name: cost.PROCEDURES[name] for name in ("plain", "hide", "hide, batched")}


def test_methods_run_in_mirrored_order_with_equal_outputs():
    table = side_by_side.side_by_side(tiny_model("qwen3_vl"), scene_samples("test", 2, resolution=256))
    whole = table[table["step"] == "whole"]
    assert list(whole["method"]) == ["plain", "hide", "three_passes", "three_passes", "hide", "plain"] * 2
    assert list(whole["repeat"]) == [0, 0, 0, 1, 1, 1] * 2
    steps = table.groupby("method")["step"].agg(set)
    assert steps["plain"] == {"prefill", "answer", "whole"}
    assert steps["hide"] >= {"extract", "prefill", "search", "decouple", "compact", "answer"}
    over = side_by_side.over_plain(table)
    assert list(over.columns) == list(side_by_side.METHODS) and list(over.index) == [0, 1]
    assert (over["plain"] == 1).all()


def made_times(sides=(448, 1024), scenes=8):
    """Two runs of every method: the first of each is disturbed. HiDe adds half at the small side and a tenth else."""
    rows = []
    for side in sides:
        for scene in range(scenes):
            seconds = {"plain": 1.0, "hide": 1.5 if side == sides[0] else 1.1, "three_passes": 2.0}
            for method, value in seconds.items():
                for repeat in range(2):
                    for step, share in (("prefill", 0.75), ("answer", 0.25), ("whole", 1.0)):
                        measured = share * (value + 0.01 * scene) * (9 if repeat == 0 else 1)
                        rows.append((scene, method, repeat, step, measured, side))
    return pd.DataFrame(rows, columns=["scene", "method", "repeat", "step", "seconds", "side"])


def test_the_faster_run_counts_with_all_its_steps():
    best = side_by_side.faster(made_times())
    assert set(best["repeat"]) == {1} and set(best["step"]) == {"prefill", "answer", "whole"}
    over = side_by_side.over_plain(made_times())
    assert over.loc[(1024, 0), "hide"] == pytest.approx(1.1) and over.loc[(448, 0), "three_passes"] == 2.0


def test_claims_on_time_are_decided_by_scene():
    cards = {card.claim: card for card in corrected(cost.time_cards(made_times()))}
    assert {name: card.verdict for name, card in cards.items()} == {
        "HiDe over plain, time": "as in the paper",
        "one prefill, time": "no claim in the paper",
        "larger pictures, time": "no claim in the paper",
    }
    assert all(card.holds and card.n == 8 and card.unit == "× plain" for card in cards.values())
    assert cards["HiDe over plain, time"].estimate == pytest.approx(0.1, abs=0.01)
    assert cards["larger pictures, time"].estimate == pytest.approx(-0.4, abs=0.02)
    assert len(cost.time_cards(made_times(sides=(1024,)))) == 2
    assert cost.time_cards(made_times(scenes=1)) == [], "one scene has no interval"


def test_another_answer_of_the_oracle_is_an_error(monkeypatch):
    run = side_by_side.HiDe.run

    def other(self, *args):
        result = run(self, *args)
        result.answer += "" if self.reuse_prefix else "!"
        return result

    monkeypatch.setattr(side_by_side.HiDe, "run", other)
    with pytest.raises(AssertionError, match="otherwise"):
        side_by_side.side_by_side(tiny_model("qwen3_vl"), scene_samples("test", 1, resolution=256))


def test_extraction_and_array_work():
    table = side_by_side.extraction(tiny_model("qwen3_vl"), ["Where is the dog?", "Who?", "What is red?"], repeats=2)
    np.testing.assert_allclose(table["ratio"], table["batched"] / table["single"])
    assert len(table) == 2 and len(array_work.array_seconds(2)) == 2
    compact = array_work.array_work(array_work.typical_rows(), array_work.noise_picture())
    assert compact.mode == "RGBA" and compact.width < array_work.SIDE
    assert array_work.sweep_seconds(1) > 0


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
    steps, spread = machines.where_time_goes(speed_table())
    assert list(steps.columns) == list(machines.WHERE) and list(steps.index) == list(spread.index)
    assert steps.loc["before, plain"].dropna().to_dict() == {"patches": 1.5, "tower": 3.0, "language": 2.5}
    hide = steps.loc["now, HiDe, batched"]
    assert (hide["language"], hide["extract"], hide["answer"]) == (2.0, 0.1, 2.0)
    assert steps.sum(axis=1).tolist() == pytest.approx(spread["min"].tolist())
    assert (spread["max"] - spread["min"] == 1).all()


def a_machine(model="Qwen2.5-VL-7B", batched=1.1, peak=21.0):
    """What a folder of `hide gpu-check` holds, with made-up numbers of one model."""
    speed = speed_table().assign(model=model, peak_bytes=20e9)
    whole = speed["step"] == "whole"
    last = whole & (speed["procedure"] == "hide, batched")
    plain = speed[whole & (speed["procedure"] == "plain") & (speed["variant"] == "windows together")]["seconds"]
    speed.loc[last, "seconds"], speed.loc[last, "peak_bytes"] = batched * plain.to_numpy(), peak * 1e9
    floor = pd.DataFrame({"model": model, "procedure": ["plain", "hide, batched"], "seconds": [3.0, 4.0]})
    kernels = pd.DataFrame({"model": [model], "case": "prefill", "keys": 16384})
    return machines.Machine("gpu", "A GPU", speed, floor, kernels)


def test_the_worst_full_size_model_is_held_against_the_targets():
    found = [a_machine(), a_machine("Qwen3-VL-8B", batched=1.3, peak=19.0), a_machine("windowed", batched=9.0)]
    worst = machines.full_size(found)
    assert worst["time"] == (pytest.approx([1.3, 1.3]), "A GPU, Qwen3-VL-8B")
    assert worst["peak memory"] == (pytest.approx([1.05, 1.05]), "A GPU, Qwen2.5-VL-7B")
    assert machines.full_size([]) == {}


def test_folders_of_machines_are_read_with_their_cards(tmp_path):
    for name in ("b", "a"):
        folder = tmp_path / "06_memory_and_latency" / name
        folder.mkdir(parents=True)
        for table in ("speed", "floor", "kernels"):
            getattr(a_machine(), table).to_csv(folder / f"{table}.csv", index=False)
        (folder / "speed.json").write_text('{"device": "an old card"}')
    (folder / "speed.json").write_text('{"device": "cpu x86_64", "machine": "a processor"}')
    assert [(one.folder, one.card) for one in machines.machines(tmp_path)] == [
        ("a", "a processor"),
        ("b", "an old card"),
    ]
    assert machines.machines(tmp_path / "none") == []
    (title,) = machines.whole_questions(machines.machines(tmp_path)[:1])
    assert title == "Qwen2.5-VL-7B, 16384 image tokens\na processor, n = 2"


def test_figures_say_what_they_hold():
    one = a_machine()
    (ax,) = cost.machine_figure(one).axes
    assert ax.get_title() == "Qwen2.5-VL-7B, 16384 image tokens"
    (ax,) = plots.seconds_by_lever(machines.whole_questions([one]), looks=LADDER).axes
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["before", "windows together"]
    left, right = cost.time_figure(made_times()).axes
    assert left.get_xlabel().endswith("1024 px") and right.get_xticks().tolist() == [448, 1024]
    assert [text.get_text().strip() for text in left.texts] == ["1.04 s", "1.14 s", "2.04 s"]
    memory = pd.DataFrame({"procedure": ["plain", "eager"], "start_bytes": 4e8, "peak_bytes": [5e8, 9e8]})
    (ax,) = cost.memory_figure(memory).axes
    assert [text.get_text().strip() for text in ax.texts] == ["500 MB", "900 MB"]
    (ax,) = cost.flops_figure(fullsize.cost_table()).axes
    assert len(ax.get_yticklabels()) == 7


def test_targets_are_met_missed_or_open():
    names = list(cost.TARGETS)
    table = cost.targets({names[0]: ([1.05], "counted"), names[5]: ([1.2, 1.6, 1.5], "here")}).set_index("target")
    assert list(table.index) == names and len(table) <= 12 and len(table.columns) <= 7
    assert table.loc[names[0], ["state", "n", "measured on"]].tolist() == ["met", 1, "counted"]
    assert table.loc[names[5], ["measured", "state", "least", "largest", "n"]].tolist() == [1.5, "not met", 1.2, 1.6, 3]
    assert (table["state"] == "open").sum() == len(names) - 2


def test_every_target_has_what_is_held_against_it(monkeypatch):
    apart = pd.DataFrame({"ratio": [0.2, 0.3]})
    monkeypatch.setattr(cost, "extraction", lambda model, questions: apart[: len(questions)])
    monkeypatch.setattr(cost, "calls_over_blocks", lambda: 1.0)  # whose calls tests/evaluation/test_levers.py counts
    memory = pd.DataFrame(
        [(name, 0, peak) for name, peak in {"plain": 5e8, "hide": 5e8, "pass": 5e8, "rows": 5e8, "eager": 9e8}.items()],
        columns=["procedure", "repeat", "peak_bytes"],
    )
    cfg = cost.CostConfig(n_questions=2)
    held = cost.against_targets(tiny_model("qwen3_vl"), cfg, made_times(), memory, [a_machine()])
    assert set(held) == set(cost.TARGETS)
    assert held["time, HiDe over plain, miniature"][0] == pytest.approx([1.1] * 8, abs=0.01)
    assert held["memory added to a pass, captured rows over eager attention"][0] == [1e6 / 4e8]
    assert held["listing entities, in a batch over one at a time"][0] == [0.2, 0.3]
    assert held["growth of FLOPs with the picture's side, HiDe over plain"][0][0] < 1
