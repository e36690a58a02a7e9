"""Does decoupling help as training data? Trains the miniature further on three kinds of pictures: ``make train-study``.

Every run starts from the shipped weights, and has the same number of steps, drawn scenes, questions and learning rates:

- ``ordinary``: the whole cluttered pictures.
- ``decoupled``: in their place the compact images that LPD makes of the true boxes of the things asked about.
- ``mixed``: half of every step's scenes one way, half the other.

``start`` is the shipped model itself. Every run is measured right after its training, on the same samples of the test
split. Runs are kept under ``data/cache/study`` by a hash of the plan, so that an interrupted study goes on without
repeating a finished run. Tables and logs of the finished runs are gathered in ``data/study``, and weights are not.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from transformers import AutoTokenizer, PreTrainedTokenizerFast, Qwen3VLForConditionalGeneration

from hide_utils import paths
from hide_utils.benchmarks import load_benchmark
from hide_utils.evaluation import evaluate, hash_folder
from hide_utils.files import hash_json, write_json, write_text
from hide_utils.images import composite_on_white
from hide_utils.method import HiDe, lpd
from hide_utils.mini import lessons
from hide_utils.mini.batches import MERGE, PROCESSOR, Lessons, Stage, conversation
from hide_utils.mini.checkpoint import save_folder
from hide_utils.mini.train import text_loss, update
from hide_utils.models import load_model
from hide_utils.samples import Sample
from hide_utils.scenes.questions import Thing
from hide_utils.stats.rows import outcomes

START, ORDINARY, DECOUPLED, MIXED = ARMS = ("start", "ordinary", "decoupled", "mixed")
# Which halves of a step's scenes are decoupled. Each half is drawn by itself, so that no short row of tokens is padded
# to a long one.
HALVES = {ORDINARY: (False, False), DECOUPLED: (True, True), MIXED: (False, True)}
COLUMNS = ["set", "resolution", "arm", "seed", "method", "sample_id", "kind", "n_options", "correct", "recall50"]
STREAM = 100  # of the lessons' generators: no stage of the curriculum has this number


@dataclass(frozen=True)
class Plan:
    """All that the study's numbers depend on, fixed before it is run.

    Attributes:
        steps: of the optimiser, in a run.
        batch: scenes a step.
        lr: peak learning rate.
        vision_lr: factor on it for the vision tower.
        side: of the training pictures, in pixels.
        most_things: most objects in a training picture.
        focus: least and largest number of objects of a picture that are asked about.
        n_turns: questions a picture.
        resolution: side of the large test scenes, in pixels.
        ordinary: side of the ordinary test scenes, in pixels.
        n: large test scenes.
        n_ordinary: ordinary test scenes.
    """

    steps: int = 40
    batch: int = 8
    lr: float = 3e-4
    vision_lr: float = 0.3
    side: int = 320
    most_things: int = 12
    focus: tuple[int, int] = (2, 4)
    n_turns: int = 4
    resolution: int = 672
    ordinary: int = 320
    n: int = 100
    n_ordinary: int = 100

    @property
    def sets(self) -> dict[str, tuple[int, int, list[str]]]:
        """Name of each test set -> its resolution in pixels, number of samples and methods."""
        return {
            "large": (self.resolution, self.n, ["direct", "hide"]),
            "ordinary": (self.ordinary, self.n_ordinary, ["direct"]),
        }


def draw_lesson(rng: np.random.Generator, plan: Plan) -> tuple[Image.Image, list[Thing], list[lessons.Turn]]:
    """A cluttered picture of the train split, the things that are asked about, and lettered questions about them."""
    while True:
        n_things = int(rng.integers(4, plan.most_things + 1))
        image, things = lessons.random_scene(rng, plan.side, n_things, (26, 52))
        count = int(rng.integers(plan.focus[0], plan.focus[1] + 1))
        focus = [things[0], *(things[1 + i] for i in rng.permutation(len(things) - 1)[: count - 1])]
        turns = []
        for _ in range(3 * plan.n_turns):
            if rng.random() < 0.5:
                turn = lessons.attribute(rng, things, plan.side, True, focus)
            else:
                turn = lessons.relation(rng, things, plan.side, True, 0.15, focus, natural=0.3)
            turns += [turn] if turn else []
        if len(turns) >= plan.n_turns:
            return image, focus, turns[: plan.n_turns]


def decoupled(image: Image.Image, things: list[Thing]) -> Image.Image:
    """LPD's compact image of the things' true boxes, on white."""
    regions = lpd.pixel_regions([t.box_xyxy for t in things], image.size)
    return composite_on_white(lpd.compact_image(image, regions))


class StudyLessons(Lessons):
    """Half-steps of one arm. Scenes and questions depend on seed and draw alone, so that all arms get the same."""

    def __init__(self, plan: Plan, arm: str, tokenizer: PreTrainedTokenizerFast, seed: int) -> None:
        super().__init__(Stage("study", plan.steps, plan.lr, batch=plan.batch), tokenizer, seed, STREAM)
        self.plan, self.arm = plan, arm

    def draw(self, step: int) -> dict[str, torch.Tensor]:
        """Half a step's batch. Two draws that follow one another make a step."""
        rng = np.random.default_rng([self.seed, self.number, step])
        compact, items = HALVES[self.arm][step % 2], []
        for _ in range(self.plan.batch // 2):
            image, things, turns = draw_lesson(rng, self.plan)
            processed = PROCESSOR(images=[decoupled(image, things) if compact else image], return_tensors="np")
            grid = processed["image_grid_thw"]
            items.append((*conversation(self.tokenizer, list(grid), turns), processed["pixel_values"], grid))
        batch = self._text([i[0] for i in items], [i[1] for i in items])
        batch["pixel_values"] = torch.from_numpy(np.concatenate([i[2] for i in items]))
        batch["image_grid_thw"] = torch.from_numpy(np.concatenate([i[3] for i in items]))
        return batch


def rate(step: int, steps: int) -> float:
    """Factor on the peak learning rate: a warm-up over a tenth of the steps, then a cosine down to zero."""
    return min(1.0, (step + 1) / max(1, steps // 10)) * 0.5 * (1 + math.cos(math.pi * step / steps))


def optimiser(model: torch.nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """AdamW for all parameters, as is usual when a model is trained further. `update` reads each group's ``peak``.

    The miniature itself was made with Muon, which orthogonalises in bfloat16. On a CPU without bfloat16 that took two
    thirds of a step.
    """
    groups = []
    for vision in (False, True):
        of = [p for name, p in model.named_parameters() if (".visual." in name) == vision]
        lr = plan.lr * (plan.vision_lr if vision else 1)
        groups.append({"params": of, "lr": lr, "peak": lr})
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0)


def train_arm(plan: Plan, arm: str, seed: int, folder: Path) -> None:
    """Train one arm from the shipped weights; ``folder`` gets ``model`` and then ``log.jsonl``, with a line a step.

    Answers know their model by a hash of its folder, so nothing but the checkpoint may lie in ``model``.
    """
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(paths.MINI)
    model = Qwen3VLForConditionalGeneration.from_pretrained(paths.MINI, attn_implementation="sdpa", dtype=torch.float32)
    model.train()
    adam, source = optimiser(model, plan), StudyLessons(plan, arm, tokenizer, seed)
    nothing, rows, began = torch.nn.Parameter(torch.zeros(1)), [], time.process_time()
    for step in range(plan.steps):
        total, right, image_tokens = 0.0, 0.0, 0
        for draw in (2 * step, 2 * step + 1):
            batch = source.draw(draw)
            image_tokens += int(batch["image_grid_thw"].prod(1).sum()) // MERGE**2
            loss, measured = text_loss(model, batch)
            (loss / 2).backward()
            total += loss.item() / 2
            right += measured["token_accuracy"] / 2
        update(model, nothing, [adam], rate(step, plan.steps))
        row = {"arm": arm, "seed": seed, "step": step + 1, "loss": round(total, 4), "accuracy": round(right, 4)}
        rows.append(row | {"image_tokens": image_tokens, "cpu_seconds": round(time.process_time() - began, 2)})
    text = "".join(json.dumps(row) + "\n" for row in rows)
    save_folder(folder / "model", model, tokenizer)
    shutil.copy(paths.MINI / "hide.json", folder / "model")  # layer, sigma and alpha stay those of the start
    write_text(folder / "log.jsonl", text)


def test_sets(plan: Plan, split: str = "test") -> dict[str, list[Sample]]:
    """The samples of every test set, the same for all runs."""
    return {
        name: load_benchmark("scenes", split=split, resolution=side, n=n, seed=0)
        for name, (side, n, _) in plan.sets.items()
    }


def measure(plan: Plan, arm: str, seed: int, weights: Path | str, folder: Path, split: str = "test") -> pd.DataFrame:
    """Answers of one run's model on every test set, a row a sample and method with `COLUMNS`; resumes in ``folder``.

    Raises:
        RuntimeError: some answers are errors. The others are stored.
    """
    hide, parts = HiDe(load_model(weights, device="cpu", dtype="float32")), []
    for name, samples in test_sets(plan, split).items():
        side, _, methods = plan.sets[name]
        table = evaluate(hide.model, samples, methods, folder / f"{split}-{name}.parquet", hide=hide, progress=False)
        parts.append(table.assign(set=name, resolution=side, arm=arm, seed=seed))
    table = pd.concat(parts, ignore_index=True)
    if gone := int(outcomes(table).isna().sum()):
        raise RuntimeError(f"{arm}, seed {seed}: {gone} answers are errors; run the study again, which tries them anew")
    return table[COLUMNS].assign(correct=table["correct"].astype(int))


def one_run(plan: Plan, arm: str, seed: int, folder: Path) -> None:
    """Train and measure one arm and seed, unless that is done; ``answers.csv`` in ``folder`` says that it is."""
    if (folder / "answers.csv").is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    if arm != START and not (folder / "log.jsonl").is_file():
        train_arm(plan, arm, seed, folder)
    table = measure(plan, arm, seed, "mini" if arm == START else folder / "model", folder)
    write_text(folder / "answers.csv", table.to_csv(index=False, float_format="%.4g"))


def run_study(
    plan: Plan, seeds: list[int], out: Path = paths.DATA / "study", cache: Path = paths.CACHE / "study"
) -> None:
    """Run every arm under every seed, seed by seed, so that a study that is cut short still compares like with like.

    After each run ``out`` gets ``answers.csv``, ``training_log.jsonl`` and ``plan.json``. The last has the plan, hashes
    of it and of the shipped weights, and the runs that are complete.
    """
    known = asdict(plan) | {"weights": hash_folder(paths.MINI, "*.safetensors")}
    cache, done = cache / hash_json(known), []
    out.mkdir(parents=True, exist_ok=True)
    for arm, seed in [(START, 0), *((arm, seed) for seed in seeds for arm in HALVES)]:
        folder = cache / f"{arm}-{seed}"
        one_run(plan, arm, seed, folder)
        done.append(folder)
        print(f"{time.strftime('%H:%M')} {arm}, seed {seed}: done", flush=True)
        gather(known, done, out)


def gather(known: dict, folders: list[Path], out: Path) -> None:
    """Write the finished runs' answers and logs as one table and one log, and what they depend on beside them."""
    answers = pd.concat([pd.read_csv(folder / "answers.csv") for folder in folders], ignore_index=True)
    logs = [folder / "log.jsonl" for folder in folders]
    text = "".join(log.read_text(encoding="utf-8") for log in logs if log.is_file())
    runs = [folder.name for folder in folders]
    write_text(out / "answers.csv", answers.to_csv(index=False))
    write_text(out / "training_log.jsonl", text)
    write_json(out / "plan.json", known | {"hash": hash_json(known), "runs": runs})


def main(argv: list[str] | None = None) -> None:
    """Command line; see ``--help``."""
    plan = Plan()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="draws of the training scenes")
    for name in ("steps", "batch", "lr", "resolution", "n", "n_ordinary"):
        default = getattr(plan, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    parser.add_argument("--out", type=Path, default=paths.DATA / "study", help="folder of the tables and logs")
    args = vars(parser.parse_args(argv))
    seeds, out = args.pop("seeds"), args.pop("out")
    torch.set_num_threads(1)
    run_study(replace(plan, **args), seeds, out)


if __name__ == "__main__":
    main()
