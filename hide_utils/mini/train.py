"""Trains the miniature: ``python -m hide_utils.mini.train`` on a GPU, then ``--tune FOLDER`` on a CPU.

The lessons are those of `hide_utils.mini.curriculum`. They take nine minutes on an H100 with 15 processes that draw
scenes, of which the first 60 % are trained. The shipped weights were then tuned twice in a row, for 18 and 46 minutes
on two cores. An interrupted run goes on with ``--resume``.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm
from transformers import AutoTokenizer, PreTrainedTokenizerBase, Qwen3VLForConditionalGeneration

from hide_utils.mini import lessons
from hide_utils.mini.checkpoint import build_config, build_model, build_tokenizer, save_folder
from hide_utils.mini.curriculum import LESSONS, TUNING, Plan
from hide_utils.mini.losses import Losses
from hide_utils.mini.optimizer import Optimizer
from hide_utils.mini.run import LOG, STATE, Clock, Log, Progress, RunSettings, batches, load_state, save_state
from hide_utils.paths import CACHE

WARM_UP, FALL, LEAST = 80, 0.55, 0.03  # steps up to the peak rate; share at which it begins to fall; its end
LOG_EVERY = 10.0  # seconds


def schedule(step: int, share: float) -> float:
    """Factor on the peak learning rates after a share of the plan: a warm-up, a plateau, and a line downwards."""
    return min(1.0, (step + 1) / WARM_UP) * (1.0 if share < FALL else max(LEAST, (1 - share) / (1 - FALL)))


def trial(plan: Plan) -> Plan:
    """The plan with pictures of 128 px alone, two in a batch: it shows that training runs, and teaches nothing."""
    small = ((128, 1.0, 2),)
    return replace(plan, lessons=tuple(replace(lesson, sizes=small, pair_sizes=small) for lesson in plan.lessons))


def starting_point(start: Path | None) -> tuple[Qwen3VLForConditionalGeneration, PreTrainedTokenizerBase]:
    """The model in float32, and its tokenizer: those of a checkpoint, or new ones."""
    if start is None:
        tokenizer = build_tokenizer(lessons.corpus())
        return build_model(build_config(tokenizer)), tokenizer
    model = Qwen3VLForConditionalGeneration.from_pretrained(
        start, dtype=torch.float32, attn_implementation="sdpa", use_safetensors=True
    )
    return model, AutoTokenizer.from_pretrained(start, trust_remote_code=False)


class Trainer:
    """A model that learns, with its optimizer and its place in the plan."""

    def __init__(self, settings: RunSettings, resume: bool) -> None:
        torch.manual_seed(settings.seed)
        self.settings = settings
        self.model, self.tokenizer = starting_point(settings.start)
        state, self.progress = load_state(settings) if resume else ({}, Progress())
        self.clock = Clock(settings, self.progress.seconds)
        self.batches = batches(settings, self.clock, self.tokenizer, self.progress.step)
        self.log = Log(settings.out / LOG)
        self.log.cut(self.progress.step)
        self.model.to(settings.device).train()
        width = self.model.config.text_config.hidden_size
        self.nothing = torch.nn.Parameter((torch.randn(width, 2) * 0.02).to(settings.device))
        self.optimizer = Optimizer(dict(self.model.named_parameters()) | {"nothing": self.nothing})
        if settings.device == "cuda":  # the optimizer has the masters in float32
            torch.set_float32_matmul_precision("high")
            self.model.bfloat16()
            self.nothing.data = self.nothing.data.bfloat16()
        self.losses = Losses(self.model, self.tokenizer, self.nothing)
        if state:
            self.optimizer.load(state)

    def step(self) -> int:
        """Learn from the next batch; the number of its lesson is returned."""
        step, share = self.progress.step, self.clock.share(self.progress.step)
        lesson, drawn = next(self.batches)
        batch = {name: tensor.to(self.settings.device, non_blocking=True) for name, tensor in drawn.items()}
        loss, measures = self.losses(batch)
        loss.backward()
        factor = schedule(step, share)
        self.optimizer.step(self.settings.plan.muon * factor, self.settings.plan.adam * factor)
        self.log.add(measures)
        self.progress.step += 1
        self.progress.scenes += len(next(iter(batch.values())))
        return lesson

    def run(self, quiet: bool = False) -> None:
        """Train up to ``settings.until``, with a line in the log every ten seconds, and save."""
        settings, progress = self.settings, self.progress
        logged = saved = time.perf_counter()
        began, lesson = logged - progress.seconds, 0
        with tqdm(total=1.0, initial=self.clock.share(progress.step), disable=quiet) as bar:
            while (share := self.clock.share(progress.step)) < settings.until:
                lesson = self.step()
                now = time.perf_counter()
                progress.seconds = now - began
                self.clock.tick(progress.seconds)
                bar.update(self.clock.share(progress.step) - share)
                if now - logged > LOG_EVERY:
                    logged = now
                    self.write_log(lesson)
                if now - saved > settings.save_every:
                    saved = now
                    self.save()
        if self.log.sums:
            self.write_log(lesson)
        self.save()

    def write_log(self, lesson: int) -> None:
        """Write a line of the log."""
        progress, share = self.progress, self.clock.share(self.progress.step)
        about = {"share": round(share, 3), "lesson": self.settings.plan.lessons[lesson].name}
        self.log.write(about | vars(progress) | {"seconds": round(progress.seconds, 1)})

    def save(self) -> None:
        """Write the model's folder and what is needed to go on."""
        save_state(self.settings, self.optimizer.state(), self.progress)
        save_folder(self.settings.out, self.model, self.tokenizer)


def read_settings(args: argparse.Namespace) -> RunSettings:
    """Settings from the command line; what is not given follows from whether the run is a tuning.

    Raises:
        FileExistsError: the folder holds a run, and ``--resume`` was not given.
    """
    plan = TUNING if args.tune else LESSONS
    out = args.out or CACHE / "mini" / ("tuning" if args.tune else "lessons")
    if (out / STATE).is_file() and not args.resume:
        raise FileExistsError(f"{out} holds a run: go on with --resume, or give another folder with --out.")
    return RunSettings(
        plan=trial(plan) if args.trial else plan,
        out=out,
        start=args.tune,
        seconds=args.seconds or (3900.0 if args.tune else 540.0),
        until=args.until or plan.until,
        device=args.device or ("cuda" if torch.cuda.is_available() else "cpu"),
        **{name: getattr(args, name) for name in ("seed", "steps", "scale", "workers", "save_every")},
    )


def main(argv: list[str] | None = None) -> None:
    """Command line; see ``--help``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="folder that is written (default: below data/cache/mini)")
    parser.add_argument("--tune", type=Path, metavar="FOLDER", help="go on from this checkpoint with the tuning")
    parser.add_argument("--resume", action="store_true", help="go on with the run in the folder that is written")
    parser.add_argument("--steps", type=int, default=0, help="length of the whole plan in steps, instead of seconds")
    parser.add_argument("--seconds", type=float, help="length of the whole plan (default: 540, of the tuning 3900)")
    parser.add_argument("--until", type=float, help="share of the plan to end at (default: 0.6, of the tuning 1)")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the size of the batches")
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 1), help="draw the batches")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=("cuda", "cpu"), help="default: the GPU where there is one")
    parser.add_argument("--save-every", type=float, default=300.0, help="seconds between checkpoints")
    parser.add_argument("--trial", action="store_true", help="two pictures of 128 px a batch: only to see that it runs")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    args = parser.parse_args(argv)
    settings = read_settings(args)
    settings.out.mkdir(parents=True, exist_ok=True)
    Trainer(settings, args.resume).run(args.quiet)


if __name__ == "__main__":
    main()
