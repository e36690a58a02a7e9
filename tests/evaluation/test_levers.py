"""Levers, floors and launches: the path of a GPU's check, on a CPU at small sizes."""

import functools
import json

import pandas as pd
import pytest
import torch
from checkpoints import FAMILIES, tiny_model
from model_helpers import picture

from hide_utils.evaluation import floors, levers, procedures, profiling, random_models, speed
from hide_utils.evaluation.fullsize import ARCHITECTURES
from hide_utils.models.patches import PatchProduct


@pytest.fixture(scope="module")
def windowed():
    """A small model with windows, and a question about a picture of which windows are cut."""
    return random_models.random_model("windowed", device="cpu"), profiling.task(260, 84)


def test_every_lever_is_measured_beside_the_stock_answer(small):
    tables = speed.check(small, 200, 64, repeats=1, device="cpu")
    table = tables["speed"]
    assert list(dict.fromkeys(table["variant"])) == ["stock", "before", "windows together", "patches on the device"]
    by_variant = table.groupby("variant")["procedure"].agg(set)
    assert by_variant["stock"] == {"plain"} and by_variant["before"] == {"plain", "hide", "picture"}
    assert by_variant["patches on the device"] == {"plain", "hide", "picture", "hide, batched", "released"}
    assert (table["seconds"] > 0).all() and "aside" not in set(table["step"])
    assert {"patches", "tower"} < set(table.query("procedure == 'picture'")["step"])
    found = speed.summary(table)
    assert found.loc[found["variant"] == "stock", "times_stock"].tolist() == [1.0]
    assert (found["low"] <= found["seconds"]).all() and (found["seconds"] <= found["high"]).all()
    assert all((tables[name]["model"] == small).all() for name in tables)
    (agreement,) = tables["agreement"].to_dict("records")
    assert agreement["features"] <= 1e-5 * agreement["of"] and agreement["iou"] == agreement["tokens"] == 1


def test_a_batch_bears_its_share_alone(windowed):
    vlm, work = windowed
    known = profiling.procedures(vlm)
    extractor = speed.Extractor(vlm, max_new_tokens=8, batch=speed.BATCH)
    batched = functools.partial(speed.batched_extraction, vlm, extractor=extractor, hide=known["hide"])
    table = profiling.profile(vlm, work, {"hide": known["hide"], "hide, batched": batched}, repeats=3)
    table = table.pivot_table(index="procedure", columns="step", values="seconds", aggfunc="min")
    assert table.loc["hide, batched", "extract"] < table.loc["hide", "extract"]
    steps = table.loc["hide, batched"].drop("whole").sum()
    assert table.loc["hide, batched", "whole"] == pytest.approx(steps, rel=0.5)


def test_levers_are_let_go(windowed):
    vlm, work = windowed
    names = vlm.model.config.vision_config._attn_implementation, dict(vlm.choices)
    with levers.pulled(vlm, levers.Levers()):
        assert vlm.model.config.vision_config._attn_implementation == "sdpa"
        assert vlm.choices["vision"].value == "stock" and "prepare" in vars(vlm)
    with levers.stock(vlm):
        assert not any(type(module) is PatchProduct for module in vlm.model.modules())
        assert vlm.model.config.text_config._attn_implementation == "sdpa"
    assert names == (vlm.model.config.vision_config._attn_implementation, vlm.choices)
    assert "prepare" not in vars(vlm) and vlm.model.config.text_config._attn_implementation == "hide_sdpa"
    assert any(type(module) is PatchProduct for module in vlm.model.modules())


@pytest.mark.parametrize("family", FAMILIES)
def test_all_levers_and_the_stock_path_give_one_answer(family):
    vlm, image = tiny_model(family), picture(300, 220)
    found = []
    for pulled in [*levers.ladder(vlm).values(), levers.Levers("batched", "device", "static")]:
        with levers.pulled(vlm, pulled):
            found.append(vlm.generate(vlm.prompt(vlm.prepare(image), "Where is the dog?"), 6).ids)
    assert found == [found[0]] * len(found)
    seen = []
    generate = vlm.model.generate

    def watched(**inputs):
        seen.append((inputs["input_ids"], generate(**inputs)))
        return seen[-1][1]

    vlm.model.generate = watched
    try:
        speed.stock_answer(vlm, profiling.Task(image, []))
    finally:
        del vlm.model.generate
    ((ids, replied),) = seen
    ours = vlm.prompt(image, speed.multiple_choice(profiling.QUESTION, profiling.OPTIONS))
    assert torch.equal(ids[0], ours.ids)
    assert replied[0, len(ours) :].tolist() == vlm.generate(ours, profiling.ANSWERED).ids


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_calls_of_the_vision_tower_are_blocks_and_not_windows(name, shallow):
    architecture = shallow(name)
    vision = architecture.config().vision_config
    blocks = getattr(vision, "depth", None) or vision.num_hidden_layers
    assert floors.attention_calls(architecture, "batched") == blocks
    stock = floors.attention_calls(architecture, "stock")
    full = len(vision.fullatt_block_indexes) if name == "Qwen2.5-VL-7B" else 0  # the only one with windows
    assert stock == (full + (blocks - full) * 1024 if full else blocks)


def test_floors_are_bound_by_arithmetic_or_by_bytes(windowed):
    vlm, work = windowed
    passes = speed.passes_of(vlm, work)
    slow_arithmetic = floors.floor_table(vlm, passes, {"flops": 1e6, "bytes": 1e15})
    tflop = sum(procedures.pass_flops(vlm.model.config, one) for one in passes["plain"]) / 1e12
    plain = slow_arithmetic.query("procedure == 'plain'")
    assert plain["tflop"].sum() == pytest.approx(tflop) and plain["seconds"].sum() == pytest.approx(tflop * 1e6)
    slow_memory = floors.floor_table(vlm, passes, {"flops": 1e18, "bytes": 1e9})
    assert (slow_memory["seconds"] == slow_memory["gigabytes"]).all()
    extract = slow_memory.set_index(["procedure", "step"]).loc[("hide, batched", "extract")]
    one_reading = slow_memory.set_index(["procedure", "step"]).loc[("hide, batched", "prefill"), "gigabytes"]
    assert extract["gigabytes"] == pytest.approx(one_reading * (1 + profiling.LISTED) / speed.BATCH)


def test_limits_and_kernels_are_those_of_this_machine(windowed):
    vlm, _ = windowed
    found = floors.limits(vlm.device, vlm.dtype)
    assert found["flops"] > 1e8 and found["bytes"] > 1e8
    table = floors.kernels(vlm, 128, 16).set_index("case")
    assert set(table["kernel"]) <= {"MATH", "FLASH_ATTENTION", "EFFICIENT_ATTENTION", "CUDNN_ATTENTION"}
    assert table["mask"].tolist() == [False, True, True] and (table["seconds"] > 0).all()


def test_the_command_writes_tables_with_sidecars(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HIDE_FIGURES", str(tmp_path))
    row = pd.DataFrame([("m", "stock", "plain", "whole", 0, 2.0, None)], columns=[
        "model", "variant", "procedure", "step", "repeat", "seconds", "peak_bytes"
    ])  # fmt: skip
    asked = []
    monkeypatch.setattr(
        speed, "check", lambda *given: asked.append(given) or dict.fromkeys(["speed", "agreement"], row)
    )
    assert speed.main(["--models", "m", "n", "--device", "cpu", "--side", "448"]) == 0
    assert asked == [("m", 448, 112, 3, "cpu"), ("n", 448, 112, 3, "cpu")]
    folder = tmp_path / "06_memory_and_latency" / "cpu"
    assert len(pd.read_csv(folder / "speed.csv")) == 2 and (folder / "agreement.csv").is_file()
    assert json.loads((folder / "speed.json").read_text())["asked"]["models"] == ["m", "n"]
    assert "cores" in json.loads((folder / "speed.json").read_text())["machine"]
    assert "times_stock" in capsys.readouterr().out
