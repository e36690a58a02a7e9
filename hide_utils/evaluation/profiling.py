"""Time and memory of the direct answer, HiDe and the released procedure on models with random weights.

Neither depends on what the weights are. Models are therefore profiled without their files, by the code that answers
real questions: full-size ones on a GPU by `hide_utils.evaluation.speed`, smaller ones here. `profile_in_children` gives
peak memory on a CPU, where each question runs in a process of its own.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from PIL import Image

from hide_utils import paths
from hide_utils.evaluation.random_models import random_model
from hide_utils.images import composite_on_white
from hide_utils.method import Extractor, Session, given_entities, lpd
from hide_utils.models import NAMES, VLM, clocked
from hide_utils.prompts import multiple_choice

QUESTION, OPTIONS = "What is the color of the bicycle?", ["red", "blue", "green", "white"]
ENTITIES = ["bicycle with large size with blue color", "scooter"]
ROWS = 20  # tokens whose attention is wanted where memory is compared
LISTED, ANSWERED = 30, 2  # tokens of the extraction's reply and of an answer (a letter and the end)


class Task(NamedTuple):
    """One question: the picture, and the regions in pixels that the compact image is made of."""

    image: Image.Image
    regions: list[lpd.Region]


def task(side: int, compact_side: int) -> Task:
    """A question about a square picture of noise, and the square in its middle. Both sides are in pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    kept = min(compact_side, side)
    low, high = (side - kept) // 2, (side + kept) // 2
    return Task(Image.fromarray(pixels), [(low, low, high, high)])


def direct_answer(vlm: VLM, work: Task, session: Session) -> None:
    """The direct answer."""
    session.answer(QUESTION, OPTIONS, limit=ANSWERED)


def whole_method(vlm: VLM, work: Task, session: Session, extractor: Extractor) -> None:
    """HiDe with fixed entities and regions. What session and extractor reuse makes it ours or the released one."""
    with session.timed("extract"):
        extractor.extract(QUESTION)
    layer, sigma, alpha = vlm.defaults.layer, vlm.defaults.sigma, vlm.defaults.alpha
    found = session.search(given_entities(ENTITIES), [layer])
    with session.timed("decouple"):
        lpd.regions_of(found.maps(layer, sigma), alpha, session.image.size)
    with session.timed("compact"):
        compact = composite_on_white(lpd.compact_image(session.image, work.regions))
    session.answer(QUESTION, OPTIONS, compact, limit=ANSWERED)


def one_pass(vlm: VLM, work: Task, session: Session, eager: bool = False) -> None:
    """One pass of the stock class over picture and question, which with `eager` hands out all layers' attention."""
    prompt = vlm.prompt(vlm.prepare(work.image), multiple_choice(QUESTION, OPTIONS))
    inputs = vlm.inputs_of([prompt.images[0].picture])
    if vlm.position_axes > 1:
        inputs["position_ids"] = prompt.position_ids[:, None].to(vlm.device)
    usual = NAMES[vlm.choices["attention"].value]
    vlm.model.set_attn_implementation({"text_config": "eager" if eager else usual})
    try:
        with session.timed("answer"), torch.inference_mode():
            ids = prompt.ids[None].to(vlm.device)
            run = vlm.model(input_ids=ids, output_attentions=eager, use_cache=False, logits_to_keep=1, **inputs)
            if eager:
                run.attentions[vlm.defaults.layer][0, :, -ROWS:].mean(0).cpu()
    finally:
        vlm.model.set_attn_implementation({"text_config": usual})


def rows_by_capture(vlm: VLM, work: Task, session: Session) -> None:
    """The rows that `one_pass` reads, captured while the fast kernel runs, in a pass of all layers too."""
    prompt = vlm.prompt(vlm.prepare(work.image), multiple_choice(QUESTION, OPTIONS))
    with session.timed("answer"):
        vlm.capture(prompt, list(range(len(prompt) - ROWS, len(prompt))), [vlm.defaults.layer], early_exit=False)


Procedure = Callable[[Task], Session]


def procedures(vlm: VLM) -> dict[str, Procedure]:
    """What is compared, by name. Each runs one question and returns its session, which knows what the steps took."""
    ours = Extractor(vlm, max_new_tokens=LISTED)
    released = Extractor(vlm, reuse_prefix=False, max_new_tokens=LISTED)

    def run(what: Callable, reuse: bool, work: Task) -> Session:
        session = Session(vlm, work.image, reuse_prefix=reuse, early_exit=reuse)
        what(vlm, work, session)
        return session

    return {
        "plain": partial(run, direct_answer, False),
        "hide": partial(run, partial(whole_method, extractor=ours), True),
        "released": partial(run, partial(whole_method, extractor=released), False),
        "pass": partial(run, one_pass, False),
        "rows": partial(run, rows_by_capture, False),
        "eager": partial(run, partial(one_pass, eager=True), False),
    }


def profile(vlm: VLM, work: Task, known: Mapping[str, Procedure], repeats: int = 5, warm_up: int = 1) -> pd.DataFrame:
    """Seconds and allocated bytes of each step.

    Procedures are run in turn, forwards and backwards, so that a drift of the machine meets all alike.

    Args:
        vlm: the model.
        work: the question.
        known: what is run, by name, as of `procedures`. A step "aside" of theirs is no part of the whole question.
        repeats: how often each is measured.
        warm_up: how often each is run before.

    Returns:
        Columns procedure, step, repeat, seconds and peak_bytes. The step "whole" is the whole question. peak_bytes is
        None where there is no CUDA. A procedure that does not fit the memory has one row without seconds.
    """
    names, rows = list(known), list[tuple[str, str, int, float | None, int | None]]()
    too_large: set[str] = set()
    for repeat in range(-warm_up, repeats):
        for name in names[:: -1 if repeat % 2 else 1]:
            if name in too_large:
                continue
            try:
                with clocked(vlm.device) as clock:
                    session = known[name](work)
            except torch.cuda.OutOfMemoryError:
                too_large.add(name)
                rows.append((name, "whole", 0, None, None))
                torch.cuda.empty_cache()
                continue
            if repeat >= 0:
                aside = session.costs.pop("aside", None)
                steps = {step: (cost.seconds, cost.peak) for step, cost in session.costs.items()}
                steps["whole"] = (clock.seconds - (aside.seconds if aside else 0), session.peak(session.costs))
                rows += [(name, step, repeat, *values) for step, values in steps.items()]
    return pd.DataFrame(rows, columns=["procedure", "step", "repeat", "seconds", "peak_bytes"])


def forked(name: str, work: Task, names: Sequence[str], repeats: int) -> Iterator[dict]:
    """Peak resident memory and seconds of one question, each in a fork of this process. Not on Windows.

    Args:
        name: model of `fullsize.SMALL`, which this process holds before it forks.
        work: the question.
        names: of `procedures`.
        repeats: how often each is measured.

    Yields:
        model, procedure, repeat, seconds, peak_bytes, and start_bytes, what the fork had resident before. The last
        three are None where the fork died.
    """
    vlm = random_model(name, device="cpu")
    known = procedures(vlm)
    for repeat in range(repeats):
        for procedure in names[:: -1 if repeat % 2 else 1]:
            reader, writer = os.pipe()
            if not (child := os.fork()):
                start = _peak()
                with clocked("cpu") as clock:
                    known[procedure](work)
                os.write(writer, json.dumps([clock.seconds, _peak(), start]).encode())
                os._exit(0)
            os.close(writer)
            with os.fdopen(reader) as stream:
                seconds, peak, start = json.loads(stream.read() or "[null, null, null]")
            os.waitpid(child, 0)
            yield {
                "model": name, "procedure": procedure, "repeat": repeat,
                "seconds": seconds, "peak_bytes": peak, "start_bytes": start,
            }  # fmt: skip


def _peak() -> int:
    """Most bytes that this process had resident so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def profile_in_children(
    name: str, side: int, compact_side: int, names: Sequence[str], repeats: int = 3
) -> pd.DataFrame:
    """Rows of `forked` from a fresh process with one thread, for a `task` of these sides in pixels.

    Raises:
        RuntimeError: the process failed. The message has the end of what it wrote.
    """
    asked = json.dumps([name, side, compact_side, names, repeats])
    command = [sys.executable, "-m", "hide_utils.evaluation.profiling", asked]
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(paths.PACKAGE.parent), *sys.path]),
    }
    ran = subprocess.run(command, capture_output=True, text=True, env=environment)
    if ran.returncode:
        raise RuntimeError(f"measuring {name} failed: {ran.stderr[-2000:]}")
    return pd.DataFrame([json.loads(line) for line in ran.stdout.splitlines()])


if __name__ == "__main__":
    model, *sides, chosen, times = json.loads(sys.argv[1])
    for row in forked(model, task(*sides), chosen, times):
        print(json.dumps(row), flush=True)
