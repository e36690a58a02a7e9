"""What bounds a question's time: arithmetic, bytes and launches, counted; and which kernels torch takes for attention.

The floor of a pass is the longer of two times: its FLOPs at the rate that large products reach on this machine, and
the bytes of the language model's weights at the rate that large copies reach.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch.nn.attention import SDPBackend
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from hide_utils.evaluation.fullsize import Architecture, MetaWins, meta_model, work_for
from hide_utils.evaluation.procedures import Pass, pass_flops
from hide_utils.models import VLM, clocked


def fastest(device: torch.device, run: Callable[[], Any], repeats: int = 5) -> float:
    """Seconds of the fastest of several runs, after one to warm up."""
    found = []
    for _ in range(repeats + 1):
        with clocked(device) as clock:
            run()
        found.append(clock.seconds)
    return min(found[1:])


def machine(device: torch.device) -> str:
    """What runs the model, for captions: the GPU's name, or the processor's with the cores in use."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").is_file() else ""
    names = [line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name.replace('(R)', '')}, {torch.get_num_threads()} of {os.cpu_count()} cores"


def limits(device: torch.device, dtype: torch.dtype) -> dict[str, float]:
    """What this machine reaches: FLOPs a second in a large product, and bytes a second in a large copy."""
    side, n = (8192, 2**29) if device.type == "cuda" else (2048, 2**26)
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    product = 2 * side**3 / fastest(device, lambda: a @ b)
    source = torch.zeros(n, device=device, dtype=torch.uint8)
    target = torch.empty_like(source)
    return {"flops": product, "bytes": 2 * n / fastest(device, lambda: target.copy_(source))}


def floor_table(vlm: VLM, passes: Mapping[str, Sequence[Pass]], machine: dict[str, float]) -> pd.DataFrame:
    """The floor of every pass.

    Args:
        vlm: the model.
        passes: of each procedure, from `hide_utils.evaluation.procedures`.
        machine: from `limits`.

    Returns:
        Columns procedure, step, tflop, gigabytes (weights that are read) and seconds, for one question.
    """
    config, rows = vlm.model.config, []
    weights = sum(p.numel() * p.element_size() for p in vlm.model.model.language_model.parameters())
    weights += vlm.model.lm_head.weight.numel() * vlm.model.lm_head.weight.element_size()
    for procedure, of_procedure in passes.items():
        for one in of_procedure:
            prompt = pass_flops(config, replace(one, decoded=0)) * one.share
            decoded = pass_flops(config, one) * one.share - prompt
            reads = weights * one.weights_share
            # Two passes that wait for each other, each bound by its own slower part.
            seconds = max(prompt / machine["flops"], reads / machine["bytes"])
            seconds += max(decoded / machine["flops"], one.decoded * reads / machine["bytes"])
            bytes_read = reads * (1 + one.decoded)
            rows.append((procedure, one.step, (prompt + decoded) / 1e12, bytes_read / 1e9, seconds))
    return pd.DataFrame(rows, columns=["procedure", "step", "tflop", "gigabytes", "seconds"])


class _AttentionCalls(TorchFunctionMode):
    """Counts calls of scaled dot-product attention, each of which is one operation here as it is on a GPU."""

    n = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is not scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        self.n += 1
        return torch.empty_like(args[0])


def attention_calls(architecture: Architecture, path: str) -> int:
    """Calls of attention that the vision tower takes for a picture, each at least one launch on a GPU.

    The full-size model is run on torch's meta device, where an operation has a shape and no numbers.

    Args:
        architecture: the model.
        path: how it runs its windows, a name of `towers.TOWERS`.
    """
    work, model = work_for(architecture), meta_model(architecture.config(), path)
    with torch.no_grad(), _AttentionCalls() as calls, MetaWins():
        model.model.get_image_features(**work.image.inputs)
    return calls.n


def kernels(vlm: VLM, keys: int, new: int) -> pd.DataFrame:
    """Which attention kernel of torch a model's layers are given here, with and without a mask, and its time.

    Args:
        vlm: the model, whose heads, device and number format count.
        keys: tokens of the prefill.
        new: tokens that run behind it, under a mask.

    Returns:
        Columns case, queries, keys, mask, kernel and seconds (of one layer, the fastest of several runs).
    """
    text, rows = vlm.model.config.get_text_config(), []
    heads, groups = text.num_attention_heads, text.num_key_value_heads
    dim = getattr(text, "head_dim", None) or text.hidden_size // heads
    on: dict[str, Any] = {"device": vlm.device, "dtype": vlm.dtype}
    for case, queries, of, masked in (
        ("prefill", keys, groups, False),
        ("prefill under a mask", keys, heads, True),
        ("behind a prefix", new, heads, True),
    ):
        q = torch.randn(1, heads, queries, dim, **on)
        k, v = (torch.randn(1, of, keys, dim, **on) for _ in range(2))
        mask = torch.ones(queries, keys, dtype=torch.bool, device=vlm.device).tril(keys - queries) if masked else None
        how: dict[str, Any] = {"attn_mask": mask, "is_causal": not masked, "enable_gqa": of != heads}
        number = torch._fused_sdp_choice(q, k, v, **how)
        seconds = fastest(vlm.device, partial(scaled_dot_product_attention, q, k, v, **how))
        rows.append((case, queries, keys, masked, SDPBackend(number).name, seconds))
    return pd.DataFrame(rows, columns=["case", "queries", "keys", "mask", "kernel", "seconds"])
