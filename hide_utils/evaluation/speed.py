"""Where a question's time goes on this machine: before and after each lever, beside stock transformers and the floor.

`hide gpu-check` measures full-size models with random weights on a GPU, or a small one on a CPU. The levers are pulled
one after another on one model in one run, so that the machine is the same.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from hide_utils import paths
from hide_utils.config import RunConfig
from hide_utils.evaluation import floors, profiling
from hide_utils.evaluation.fullsize import ARCHITECTURES
from hide_utils.evaluation.levers import by_processor, ladder, pulled, stock, stock_text
from hide_utils.evaluation.localisation import box_quality
from hide_utils.evaluation.procedures import Pass, Visual, Work, direct_answer, hide
from hide_utils.evaluation.profiling import ANSWERED, ENTITIES, LISTED, OPTIONS, QUESTION, Procedure, Task
from hide_utils.evaluation.provenance import provenance_entry
from hide_utils.evaluation.random_models import random_model
from hide_utils.evaluation.saving import write_sidecar
from hide_utils.files import write_text
from hide_utils.method import EXTRACTION_PROMPT, Extractor, Session, given_entities, lpd
from hide_utils.models import VLM, Cost, choose_device, clocked
from hide_utils.prompts import multiple_choice

NOTEBOOK = "06_memory_and_latency"
BATCH = 32  # questions whose entities are listed together


def stock_answer(vlm: VLM, work: Task) -> Session:
    """The direct answer by transformers alone: its processor, its prompt and its `generate`."""
    session, picture = Session(vlm, work.image), vlm.prepare(work.image)
    with stock(vlm) as processor, session.timed("answer"):
        tensors = by_processor(vlm, work.image, processor=processor)
        text = stock_text(vlm, picture, multiple_choice(QUESTION, OPTIONS))
        ids = vlm.tokenizer(text, add_special_tokens=False, return_tensors="pt")
        inputs = {name: tensor.to(vlm.device) for name, tensor in {**ids, **tensors}.items()}
        if vlm.position_axes > 1:
            inputs["mm_token_type_ids"] = (inputs["input_ids"] == vlm.image_token_id).int()
        if vlm.masks_pictures:
            inputs["token_type_ids"] = (inputs["input_ids"] == vlm.image_token_id).int()
        vlm.model.generate(**inputs, max_new_tokens=ANSWERED, do_sample=False, pad_token_id=0)
    return session


def picture_alone(vlm: VLM, work: Task) -> Session:
    """The steps that a picture takes before the language model: its patches and the vision tower."""
    session = Session(vlm, work.image)
    with session.timed("patches"):
        inputs = vlm.inputs_of([vlm.prepare(work.image)])
    with session.timed("tower"), torch.inference_mode():
        vlm.model.model.get_image_features(**inputs)
    return session


def batched_extraction(vlm: VLM, work: Task, extractor: Extractor, hide: Callable[[Task], Session]) -> Session:
    """HiDe with its entities listed together with those of 31 other questions, whose share it does not bear."""
    questions = [QUESTION, *(f"What is the color of the object {number}?" for number in range(1, BATCH))]
    extractor.expect(questions)
    with clocked(vlm.device) as clock:
        extractor.extract(QUESTION)
    session = hide(work)
    share = Cost(clock.seconds / BATCH, Counter(), clock.peak)
    alone = session.costs["extract"].seconds
    # What is subtracted from the whole: the batch is outside of the others' time, and the single listing goes.
    session.costs |= {"extract": share, "aside": Cost(alone + clock.seconds - share.seconds, Counter())}
    return session


def measure(vlm: VLM, work: Task, repeats: int = 3) -> pd.DataFrame:
    """Seconds of every step under every lever.

    Args:
        vlm: a model with random weights.
        work: the question.
        repeats: how often each is measured, after one run to warm up.

    Returns:
        Columns variant, procedure, step, repeat, seconds, peak_bytes, as of `profiling.profile`. The variant is "stock"
        or a key of `ladder`. Procedures are "plain", "hide", "picture" and at the end of the ladder "hide, batched" and
        "released".
    """
    tables = [profiling.profile(vlm, work, {"plain": partial(stock_answer, vlm)}, repeats).assign(variant="stock")]
    rungs = ladder(vlm)
    for rung, levers in rungs.items():
        with pulled(vlm, levers):
            known = profiling.procedures(vlm)
            chosen: dict[str, Procedure] = {
                "plain": known["plain"],
                "hide": known["hide"],
                "picture": partial(picture_alone, vlm),
            }
            if rung == list(rungs)[-1]:
                extractor = Extractor(vlm, max_new_tokens=LISTED, batch=BATCH)
                batched = partial(batched_extraction, vlm, extractor=extractor, hide=known["hide"])
                chosen |= {"hide, batched": batched, "released": known["released"]}
            tables.append(profiling.profile(vlm, work, chosen, repeats).assign(variant=rung))
    return pd.concat(tables, ignore_index=True)


def agreement(vlm: VLM, work: Task) -> pd.DataFrame:
    """How far the outputs under the last levers are from those before any.

    Returns:
        One row: features (largest difference of the vision tower's output), of (its largest value), relative (the norm
        of the difference over the output's), iou of HiDe's regions, and tokens (share of a reply that is the same).
    """
    seen: list[tuple[Tensor, list[lpd.Region], list[int]]] = []
    rungs = list(ladder(vlm).values())
    for levers in (rungs[0], rungs[-1]):
        with pulled(vlm, levers), torch.inference_mode():
            found = vlm.model.model.get_image_features(**vlm.inputs_of([vlm.prepare(work.image)])).pooler_output
            features = found.float() if isinstance(found, Tensor) else torch.cat(list(found)).float()
            session, settings = Session(vlm, work.image), vlm.defaults
            maps = session.search(given_entities(ENTITIES), [settings.layer]).maps(settings.layer, settings.sigma)
            reply = vlm.generate(vlm.prompt(f"{EXTRACTION_PROMPT} {QUESTION}"), LISTED)
            seen.append((features, lpd.regions_of(maps, settings.alpha, work.image.size), reply.ids))
    (stock, boxes, ids), (ours, regions, others) = seen
    difference = ours - stock
    row = {
        "features": difference.abs().max().item(),
        "of": stock.abs().max().item(),
        "relative": (difference.norm() / stock.norm()).item(),
        "iou": box_quality(regions, boxes, work.image.size)["iou"],
        "tokens": sum(a == b for a, b in zip(ids, others, strict=True)) / len(ids),
    }
    return pd.DataFrame([row])


def passes_of(vlm: VLM, work: Task) -> dict[str, list[Pass]]:
    """The forward passes behind a plain answer and HiDe with batched extraction, for `floors.floor_table`."""
    picture, second = vlm.prepare(work.image), vlm.prepare(work.image.crop(work.regions[0]))
    image, compact = (Visual(one.n_tokens, vlm.inputs_of([one])) for one in (picture, second))
    whole = Work(image, compact, vlm.defaults.layer, listed=LISTED, answered=ANSWERED - 1, batch=BATCH)
    return {"plain": direct_answer(whole), "hide, batched": hide(whole)}


def check(name: str, side: int, compact_side: int, repeats: int, device: str | None) -> dict[str, pd.DataFrame]:
    """Everything that is measured and counted for one model.

    Args:
        name: of `fullsize.ARCHITECTURES` or `fullsize.SMALL`.
        side: of the picture, in pixels.
        compact_side: of the compact image, in pixels.
        repeats: how often each procedure is measured.
        device: as in `load_model`.

    Returns:
        Tables "speed" (from `measure`), "agreement", "floor", "kernels" and "limits", each with a column model.
    """
    vlm = random_model(name, device=device)
    # InternVL cuts any picture into its twelve tiles, so its compact image is one tile.
    work = profiling.task(side, 448 if vlm.family == "internvl" else compact_side)
    machine = floors.limits(vlm.device, vlm.dtype)
    n_tokens, n_compact = (vlm.n_image_tokens((length, length)) for length in (side, compact_side))
    tables = {
        "speed": measure(vlm, work, repeats),
        "agreement": agreement(vlm, work),
        "floor": floors.floor_table(vlm, passes_of(vlm, work), machine),
        "kernels": floors.kernels(vlm, n_tokens, n_compact),
        "limits": pd.DataFrame([machine]),
    }
    for table in tables.values():
        table.insert(0, "model", name)
    return tables


def summary(speed: pd.DataFrame) -> pd.DataFrame:
    """Medians and ranges of whole questions, and what they are to the stock answer.

    Args:
        speed: from `measure`, of one or more models.

    Returns:
        Columns model, variant, procedure, seconds, low, high, times_stock and peak_gb, in the order of measuring.
    """
    whole = speed[speed["step"] == "whole"]
    found = whole.groupby(["model", "variant", "procedure"], sort=False).agg(
        seconds=("seconds", "median"), low=("seconds", "min"), high=("seconds", "max"), peak_gb=("peak_bytes", "max")
    )
    found = found.reset_index().assign(peak_gb=lambda t: t["peak_gb"].astype(float) / 1e9)
    of_stock = found[found["variant"] == "stock"].set_index("model")["seconds"]
    found.insert(6, "times_stock", found["seconds"] / found["model"].map(of_stock))
    return found


def folder_of(device: torch.device) -> Path:
    """Where results of this machine's device lie: a folder in the notebook's figures, named after the GPU, or "cpu"."""
    name = torch.cuda.get_device_name(device).lower() if device.type == "cuda" else device.type
    return paths.figures_folder() / NOTEBOOK / re.sub(r"[^a-z0-9]+", "_", name).strip("_")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line: measure, print whole questions, and write tables with their sidecars into figures/."""
    parser = argparse.ArgumentParser(prog="hide gpu-check", description=__doc__)
    parser.add_argument("--models", nargs="+", help="with CUDA all full-size ones, else a small one")
    parser.add_argument("--side", type=int, help="side of the picture in pixels: 3584 with CUDA, else 896")
    parser.add_argument("--compact", type=int, help="side of the compact image in pixels, a quarter of the picture's")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", help="cuda, mps or cpu; the best one here where it is left out")
    asked = parser.parse_args(argv)
    device = choose_device(asked.device).value
    large = device.type == "cuda"
    side = asked.side or (3584 if large else 896)
    found: dict[str, list[pd.DataFrame]] = {}
    for name in asked.models or (list(ARCHITECTURES) if large else ["windowed"]):
        print(f"{name}, picture of {side} pixels on {device} ...", file=sys.stderr, flush=True)
        for kind, table in check(name, side, asked.compact or side // 4, asked.repeats, str(device)).items():
            found.setdefault(kind, []).append(table)
        if large:
            torch.cuda.empty_cache()
    tables = {kind: pd.concat(some, ignore_index=True) for kind, some in found.items()}
    print(summary(tables["speed"]).to_string(index=False, float_format="%.3f"))
    print(tables["agreement"].to_string(index=False, float_format="%.2g"))
    entry = provenance_entry(
        config=RunConfig.model_validate({"notebook": NOTEBOOK}),
        model="random weights",
        asked=vars(asked),
        machine=floors.machine(device),
    )
    for kind, table in tables.items():
        path = folder_of(device) / f"{kind}.csv"
        write_text(path, table.to_csv(index=False))
        write_sidecar(path.with_suffix(".json"), entry, path)
    print(f"tables are in {folder_of(device)}", file=sys.stderr)
    return 0
