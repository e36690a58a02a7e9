"""Measuring time and memory on random weights: the path of a GPU's full-size models, on a CPU at small sizes."""

import sys

import pytest
import torch
from checkpoints import FAMILIES, tiny_model
from model_helpers import picture
from tile_checkpoints import TILED

from hide_utils import HiDe
from hide_utils.evaluation import profiling, random_models
from hide_utils.evaluation.keys import run_settings
from hide_utils.images import composite_on_white
from hide_utils.method import lpd

NAMES = ["plain", "hide", "released", "pass", "rows", "eager"]


def test_every_procedure_is_measured_by_step(small):
    vlm = random_models.random_model(small, device="cpu")
    table = profiling.profile(vlm, profiling.task(200, 64), profiling.procedures(vlm), repeats=2)
    assert list(dict.fromkeys(table["procedure"])) == NAMES
    steps = table.groupby("procedure")["step"].agg(set)
    assert steps["plain"] == {"prefill", "answer", "whole"}
    assert (
        steps["hide"] == {"extract", "prefill", "search", "decouple", "compact", "answer", "whole"} == steps["released"]
    )
    assert (table["seconds"] > 0).all() and table["peak_bytes"].isna().all()
    assert (table.groupby(["procedure", "step"]).size() == 2).all()


def test_tokens_of_a_procedure_are_fixed(small):
    vlm = random_models.random_model(small, device="cpu")
    work, known = profiling.task(200, 64), profiling.procedures(vlm)
    for name, decoded in (("plain", 2), ("hide", 32), ("released", 32)):
        vlm.counts.clear()
        session = known[name](work)
        assert vlm.counts["decoded"] == decoded
        assert session.counts["answer"]["images"] == {"plain": 1, "hide": 1, "released": 2}[name]
    whole, early = (known[name](work).counts["search"]["flops"] for name in ("released", "hide"))
    assert whole > early


def test_what_does_not_fit_is_a_row_without_seconds():
    vlm = random_models.random_model("small", device="cpu")

    def full(*_):
        raise torch.cuda.OutOfMemoryError("full")

    known = {"plain": profiling.procedures(vlm)["plain"], "eager": full}
    table = profiling.profile(vlm, profiling.task(96, 64), known, repeats=1)
    assert (
        table[table["procedure"] == "eager"]["seconds"].isna().all() and len(table[table["procedure"] == "eager"]) == 1
    )
    assert len(table[table["procedure"] == "plain"]) == 3


def test_peak_memory_is_measured_in_forks_of_a_fresh_process():
    table = profiling.profile_in_children("small", 448, 128, ["plain", "eager"], repeats=1)
    peak = table.set_index("procedure")["peak_bytes"]
    held = 4 * 6 * 196**2 * 4  # layers, heads, tokens, bytes: what eager attention hands out, at least
    assert peak["eager"] - table.set_index("procedure")["start_bytes"]["eager"] > held
    assert peak["plain"] > table.set_index("procedure")["start_bytes"]["plain"] > 1e8


def test_the_end_of_what_a_process_that_failed_wrote_is_said(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/sh")  # which cannot open a file of the module's name
    with pytest.raises(RuntimeError, match="measuring huge failed: .*hide_utils.evaluation.profiling"):
        profiling.profile_in_children("huge", 448, 128, ["plain"], repeats=1)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "gemma3"])  # which has one size
def test_a_budget_bounds_the_compact_image_alone(family):
    model = tiny_model(family)
    side = TILED[family].side if family in TILED else {"qwen2_5_vl": 28, "internvl": 56}.get(family, 32)
    found = {}
    for budget in (None, 4 * side**2):
        for shared in (True, False):
            hide = HiDe(model, 1, 1.0, 0.3, reuse_prefix=shared, compact_pixels=budget)
            session = hide.open(picture(330, 300))
            regions = [(10, 10, 310, 290)]
            compact = composite_on_white(lpd.compact_image(session.image, regions))
            reply = session.answer("Which?", ["red", "blue"], compact)
            own = model.prepare(session.image).n_tokens
            found[budget, shared] = (reply.ids, reply.n_image_tokens - own)
    assert found[None, True] == found[None, False]
    budget = 4 * side**2
    assert found[budget, True] == found[budget, False]
    # Four tokens; or four tiles with an overview, of 2 x 2 tokens, or of 3 x 3 with a newline token a row.
    most = {56: 5 * 4, 42: 9 + 6 * 7}.get(side, 4)
    assert 0 < found[budget, True][1] <= most < found[None, True][1]
    assert model.max_pixels is None
    assert run_settings(hide, "strict")["compact_pixels"] == budget
    assert "compact_pixels" not in run_settings(HiDe(model), "strict")
    with pytest.raises(ValueError, match="compact_pixels"):
        HiDe(model, compact_pixels=0)
