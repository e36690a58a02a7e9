"""Trains the miniature: ``python -m hide_utils.mini.train``, two and a half hours on two cores, or ``--device cuda``.

The stages are those of `hide_utils.mini.curriculum`. Each leaves a checkpoint. An interrupted run goes on where
``--stages`` names those that are left.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TextIO

import numpy as np
import torch
import torch.distributed as dist
from tqdm import tqdm
from transformers import AutoTokenizer, PreTrainedTokenizerFast, Qwen3VLForConditionalGeneration

from hide_utils.files import write_text
from hide_utils.mini import lessons
from hide_utils.mini.batches import Lessons, Stage
from hide_utils.mini.checkpoint import build_config, build_tokenizer, save_folder
from hide_utils.mini.curriculum import MIXTURE, STAGES
from hide_utils.paths import CACHE, MINI
from hide_utils.scenes.questions import COLORS, SHAPES


def corpus(seed: int) -> list[str]:
    """Texts that hold every word of the lessons, for the tokenizer; some of them are drawn with ``seed``."""
    stage = Stage("corpus", 1, 0.0, MIXTURE)
    tokenizer = build_tokenizer(["a"])
    data = Lessons(stage, tokenizer, seed, 99)
    texts = [f" {w}" for w in (*COLORS, *SHAPES, *lessons.COLUMNS, *lessons.ROWS, "none", "done")]
    texts += [tokenizer.decode(row) for step in range(12) for row in data.draw(step)["input_ids"]]
    rng = np.random.default_rng(seed)
    for _ in range(60):
        pieces, reply = lessons.extraction(rng)
        texts.append("".join(p for p, _ in pieces) + "\n" + reply)
    return [t.replace("<|image_pad|>", "") for t in texts]


def build_optimisers(model: torch.nn.Module, lr: float, vision_lr: float) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices, and AdamW for embeddings, norms and biases.

    Args:
        model: to train.
        lr: peak learning rate, which each group keeps as ``"peak"`` for `update`.
        vision_lr: factor on it for the vision tower.
    """
    groups: dict[tuple[bool, bool], list] = {}
    for name, p in model.named_parameters():
        vision = ".visual." in name
        matrix = p.ndim == 2 and "embed" not in name and "lm_head" not in name
        groups.setdefault((matrix, vision), []).append(p)

    def of(matrix: bool) -> list[dict]:
        return [
            {"params": ps, "lr": lr * (vision_lr if v else 1), "peak": lr * (vision_lr if v else 1)}
            for (m, v), ps in groups.items()
            if m == matrix
        ]

    return [
        torch.optim.Muon(of(True), weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(of(False), betas=(0.9, 0.98), weight_decay=0.0),
    ]


def schedule(step: int, steps: int) -> float:
    """Factor on the peak learning rate at one of ``steps`` steps: a warm-up over 60, then a cosine down to 3 %."""
    return min(1.0, (step + 1) / 60) * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * step / steps)))


def dense_loss(
    model: Qwen3VLForConditionalGeneration,
    batch: dict[str, torch.Tensor],
    words: dict[str, torch.Tensor],
    nothing: torch.Tensor,
) -> tuple[torch.Tensor, dict[str, float]]:
    """Cross-entropy of every visual token against the names of what it covers, over cosine similarities times 20.

    Args:
        batch: of `Lessons.draw`, with ``dense`` targets.
        words: token ids of the names of each property, in the order of the targets' columns.
        nothing: embeddings ``(hidden, 2)`` of "no color" and "no shape".

    Returns:
        The loss, and the accuracy of each property.
    """
    seen = model.model.get_image_features(batch["pixel_values"], batch["image_grid_thw"])
    seen = torch.cat(list(seen.pooler_output if hasattr(seen, "pooler_output") else seen[0])).float()
    table = model.get_input_embeddings().weight.float()
    loss, accuracies = seen.new_zeros(()), {}
    for column, (name, ids) in enumerate(words.items()):
        names = table[ids]
        if name in ("color", "shape"):
            names = torch.cat([names, nothing[None, :, column]])
        logits = 20 * torch.nn.functional.normalize(seen, dim=-1) @ torch.nn.functional.normalize(names, dim=-1).T
        target = batch["dense"][:, column]
        weight = (
            torch.where(target == len(ids), 0.15, 1.0) if name in ("color", "shape") else torch.full(target.shape, 0.3)
        )
        each = torch.nn.functional.cross_entropy(logits, target, reduction="none")
        loss = loss + (2.0 if name == "shape" else 1.0) * (each * weight.to(each)).sum() / weight.sum()
        real = target < len(ids)
        accuracies[name] = (logits.argmax(-1) == target)[real].float().mean().item()
    return loss, accuracies


def text_loss(
    model: Qwen3VLForConditionalGeneration, batch: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, dict[str, float]]:
    """Weighted loss and accuracy of the next token. The head runs only where a token is learned.

    batch: of `Lessons.draw`; its weights are taken out of it.
    """
    weights = batch.pop("weights")[:, 1:]
    hidden = model.model(**batch, use_cache=False).last_hidden_state[:, :-1]
    wanted = weights > 0
    logits = model.lm_head(hidden[wanted]).float()
    target, w = batch["input_ids"][:, 1:][wanted], weights[wanted]
    loss = (torch.nn.functional.cross_entropy(logits, target, reduction="none") * w).sum() / w.sum()
    return loss, {"token_accuracy": ((logits.argmax(-1) == target).float() * w).sum().item() / w.sum().item()}


def average_gradients(parameters: list[torch.nn.Parameter]) -> None:
    """Put the mean over the processes into the gradients. A parameter that no loss reached counts as zero."""
    for p in parameters:
        p.grad = torch.zeros_like(p) if p.grad is None else p.grad
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def update(
    model: torch.nn.Module, nothing: torch.nn.Parameter, optimisers: list[torch.optim.Optimizer], factor: float
) -> None:
    """Step at ``factor`` times the peak learning rates, on gradients averaged over the processes, and clear them."""
    for group in (g for o in optimisers for g in o.param_groups):
        group["lr"] = group["peak"] * factor
    if dist.is_initialized():
        average_gradients([*model.parameters(), nothing])
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for o in optimisers:
        o.step()
        o.zero_grad(set_to_none=True)


def word_ids(tokenizer: PreTrainedTokenizerFast, device: str) -> dict[str, torch.Tensor]:
    """Token ids ``(names,)`` of each property that a visual token has, in the order of `dense_targets`' columns."""
    properties = {"color": COLORS, "shape": SHAPES, "column": lessons.COLUMNS, "row": lessons.ROWS}
    return {
        name: torch.tensor([tokenizer(f" {w}").input_ids[0] for w in names], device=device)
        for name, names in properties.items()
    }


def train_stage(
    model: Qwen3VLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    stage: Stage,
    number: int,
    args: argparse.Namespace,
    log: TextIO | None,
) -> None:
    """Train a model on one stage, in place, and every 50 steps write a line to the log and a checkpoint.

    Args:
        model: to train.
        tokenizer: of the model.
        stage: of the curriculum.
        number: the stage's place in `STAGES`, which picks its stream of lessons.
        args: of the command line.
        log: None on every process but the first.
    """
    rank, ranks = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    lessons_of = Lessons(stage, tokenizer, args.seed, number, rank, ranks)
    optimisers = build_optimisers(model, stage.lr, stage.vision_lr)
    nothing = torch.nn.Parameter(torch.randn(model.config.text_config.hidden_size, 2, device=args.device) * 0.02)
    optimisers[1].add_param_group({"params": [nothing], "lr": stage.lr, "peak": stage.lr})
    words = word_ids(tokenizer, args.device)
    sums: dict[str, float] = {}
    started, count, steps = time.perf_counter(), 0, stage.stop or stage.steps
    for step in tqdm(range(steps), desc=stage.name, disable=args.quiet or rank > 0):
        for draw in range(step * stage.accumulate, (step + 1) * stage.accumulate):
            batch = {k: v.to(args.device) for k, v in lessons_of.draw(draw).items()}
            with torch.autocast(args.device, torch.bfloat16):
                loss, extra = text_loss(model, batch) if stage.turns else dense_loss(model, batch, words, nothing)
            (loss / stage.accumulate).backward()
            for k, v in {"loss": loss.item(), **extra}.items():
                sums[k] = sums.get(k, 0.0) + v
            count += 1
        update(model, nothing, optimisers, schedule(step, stage.steps))
        if log and ((step + 1) % 50 == 0 or step + 1 == steps):
            row = {"stage": stage.name, "step": step + 1, "seconds": round(time.perf_counter() - started, 1)}
            log.write(json.dumps(row | {k: round(v / count, 4) for k, v in sums.items()}) + "\n")
            log.flush()
            sums, count = {}, 0
            save_folder(args.work / stage.name, model, tokenizer)


def finish(work: Path, out: Path, model: Qwen3VLForConditionalGeneration, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write the finished checkpoint with the logs of all its stages."""
    save_folder(out, model, tokenizer)
    logs = [work / f"{stage.name}.jsonl" for stage in STAGES]
    text = "".join(log.read_text(encoding="utf-8") for log in logs if log.is_file())
    write_text(out / "training_log.jsonl", text)


def main(argv: list[str] | None = None) -> None:
    """Command line; see ``--help``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=MINI, help="folder of the finished checkpoint")
    parser.add_argument("--work", type=Path, default=CACHE / "mini_training", help="folder of the stage checkpoints")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--processes", type=int, default=2, help="processes with one thread each, faster than threads on a CPU"
    )
    parser.add_argument(
        "--stages", nargs="*", default=[s.name for s in STAGES], help="only these, each from the one before it"
    )
    parser.add_argument(
        "--compile", action="store_true", help="torch.compile the decoder layers (needs a C++ compiler)"
    )
    parser.add_argument("--quiet", action="store_true")
    args = parser.parse_args(argv)
    args.work.mkdir(parents=True, exist_ok=True)
    if args.processes == 1:
        run(0, args)
    else:
        torch.multiprocessing.spawn(run, (args,), args.processes)


def run(rank: int, args: argparse.Namespace) -> None:
    """Run the chosen stages on one of ``args.processes`` processes; the first writes the files."""
    if args.processes > 1:
        torch.set_num_threads(1)
        rendezvous = f"file://{(args.work / 'rendezvous').resolve()}"
        dist.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=args.processes)
    torch.manual_seed(args.seed)
    for number, stage in enumerate(STAGES):
        if stage.name not in args.stages:
            continue
        before = args.work / STAGES[number - 1].name
        if number == 0:
            tokenizer = build_tokenizer(corpus(args.seed))
            model = Qwen3VLForConditionalGeneration._from_config(build_config(tokenizer), attn_implementation="sdpa")
        else:
            tokenizer = AutoTokenizer.from_pretrained(before)
            model = Qwen3VLForConditionalGeneration.from_pretrained(before, attn_implementation="sdpa")
        model.to(args.device).train()
        if args.compile:
            for layer in model.model.language_model.layers:
                layer.compile(dynamic=True)
        with open(args.work / f"{stage.name}.jsonl", "w", encoding="utf-8") if rank == 0 else nullcontext() as log:
            train_stage(model, tokenizer, stage, number, args, log)
        if rank == 0:
            save_folder(args.work / stage.name, model, tokenizer)
            if stage is STAGES[-1]:
                finish(args.work, args.out, model, tokenizer)
        if args.processes > 1:
            dist.barrier()
    (args.work / "rendezvous").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
