"""Device, number format and attention kernel, each chosen with the reason for the choice."""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

ATTENTION = ("sdpa", "flash")
VISION = ("varlen", "batched", "stock", "flash")
DECODING = ("graphs", "static", "eager")


class Choice(NamedTuple):
    """A setting and why it was taken. Notebooks show both, and provenance sidecars hold them."""

    value: Any
    reason: str


@dataclass
class Clock:
    """Seconds that a block took, and the most bytes that CUDA's allocator held in it. None on other devices."""

    seconds: float = 0.0
    peak: int | None = None


@contextmanager
def clocked(device: torch.device | str) -> Iterator[Clock]:
    """Time a block.

    Kernels on a GPU run on behind the program, so there CUDA events are recorded around them. Elsewhere the clock is
    read. What is yielded holds the numbers once the block has ended.
    """
    clock, device = Clock(), torch.device(device)
    if device.type != "cuda":
        started = time.perf_counter()
        yield clock
        clock.seconds = time.perf_counter() - started
        return
    with torch.cuda.device(device):
        torch.cuda.synchronize()  # kernels that were launched before are not the block's
        torch.cuda.reset_peak_memory_stats()
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        yield clock
        last.record()
        torch.cuda.synchronize()
        clock.seconds = first.elapsed_time(last) / 1000
        clock.peak = torch.cuda.max_memory_allocated()


def choose_device(device: str | torch.device | None = None) -> Choice:
    """Take the device asked for, else CUDA, else MPS, else the CPU.

    Raises:
        ValueError: the device asked for is unknown, or absent on this machine.
    """
    if device is not None:
        try:
            wanted = torch.device(device)
        except RuntimeError as error:
            raise ValueError(f"device {device!r} is not one that torch knows; use 'cuda', 'mps' or 'cpu'.") from error
        present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        if not present.get(wanted.type, True):
            raise ValueError(f"device {device!r} was asked for but is not available here; leave it out to use the CPU.")
        return Choice(wanted, "asked for")
    if torch.cuda.is_available():
        return Choice(torch.device("cuda"), f"CUDA is available ({torch.cuda.get_device_name()})")
    if torch.backends.mps.is_available():
        return Choice(torch.device("mps"), "Metal is available, CUDA is not")
    return Choice(torch.device("cpu"), "neither CUDA nor Metal is available")


def spread_over(model: Any) -> Choice:
    """The device on which a model that accelerate has placed takes its inputs. The reason says what lies where."""
    places = Counter(str(place) for place in getattr(model, "hf_device_map", {}).values())
    embeddings = model.get_input_embeddings()
    device = getattr(getattr(embeddings, "_hf_hook", None), "execution_device", None)
    device = embeddings.weight.device if device is None else device
    said = ", ".join(f"{n} parts on {place}" for place, n in places.items())
    return Choice(torch.device(device), f"accelerate's device map: {said}")


def choose_dtype(dtype: str | torch.dtype | None, device: torch.device) -> Choice:
    """Take the number format asked for, else bfloat16 on a GPU that has it, float16 on other GPUs, float32 on a CPU.

    Raises:
        ValueError: the name is no floating-point format of torch.
    """
    if dtype is not None:
        wanted = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
        if not (isinstance(wanted, torch.dtype) and wanted.is_floating_point):
            raise ValueError(f"dtype {dtype!r} is no floating-point format; use 'float32', 'bfloat16' or 'float16'.")
        return Choice(wanted, "asked for")
    old_mac = torch.backends.mps.is_available() and not torch.backends.mps.is_macos_or_newer(14, 0)
    if (device.type == "cuda" and torch.cuda.is_bf16_supported()) or (device.type == "mps" and not old_mac):
        return Choice(torch.bfloat16, "the GPU computes in bfloat16")
    if device.type in ("cuda", "mps"):
        return Choice(torch.float16, "the GPU has no bfloat16")
    return Choice(torch.float32, "a CPU is exact and fastest in float32")


def _obstacle(name: str, device: torch.device, dtype: torch.dtype, run: Callable[[], Any]) -> str | None:
    """What stands in the way of a kernel for CUDA in half precision, tried once on a few numbers. None: it works."""
    if device.type != "cuda":
        return f"{name} needs a CUDA device, not {device.type}"
    if dtype not in (torch.float16, torch.bfloat16):
        return f"{name} computes in half precision, not {dtype}"
    try:
        run()
        torch.cuda.synchronize(device)
    except Exception as error:  # a kernel built for another torch or GPU fails in many ways
        return f"{name} does not run here ({type(error).__name__}: {error})"
    return None


@functools.cache
def probe_flash(device: torch.device, dtype: torch.dtype) -> str | None:
    """Whether flash-attn's kernel runs: None, or what stands in the way."""

    def run() -> None:
        from flash_attn import flash_attn_func

        x = torch.ones(1, 2, 1, 64, device=device, dtype=dtype)
        flash_attn_func(x, x, x, causal=True)

    return _obstacle("flash-attn", device, dtype, run)


def choose_attention(attention: str | None, device: torch.device, dtype: torch.dtype) -> Choice:
    """Choose the attention kernel of the text model: "flash" where its kernel really runs, else "sdpa".

    Where "flash" is asked for and cannot run, "sdpa" is taken, and the reason says why.

    Raises:
        ValueError: another name is asked for.
    """
    if attention not in (None, *ATTENTION):
        raise ValueError(f"attention {attention!r} is unknown; use one of {', '.join(ATTENTION)}, or leave it out.")
    if attention == "sdpa":
        return Choice("sdpa", "asked for")
    obstacle = probe_flash(device, dtype)
    if obstacle is None:
        return Choice("flash", "asked for, and the kernel runs" if attention else "flash-attn's kernel runs here")
    return Choice("sdpa", f"fallback: {obstacle}" if attention else obstacle)


@functools.cache
def probe_varlen(device: torch.device, dtype: torch.dtype) -> str | None:
    """Whether PyTorch's attention for sequences of different lengths runs: None, or what stands in the way."""

    def run() -> None:
        from torch.nn.attention.varlen import varlen_attn

        x, borders = torch.ones(6, 2, 80, device=device, dtype=dtype), torch.tensor([0, 4, 6], device=device).int()
        varlen_attn(x, x, x, borders, borders, 4, 4)

    return _obstacle("PyTorch's varlen_attn", device, dtype, run)


def choose_vision(vision: str | None, device: torch.device, dtype: torch.dtype, attention: str) -> Choice:
    """Choose how the vision tower runs its windows and pictures.

    "flash" is flash-attn's kernel. "varlen" and "batched" are those of `hide_utils.models.towers`, which take all
    windows at once. "stock" is transformers' own path with sdpa, a call for each window.

    Args:
        vision: what is asked for. None takes the first that works of flash, varlen and batched.
        device: of the model.
        dtype: of the model.
        attention: the choice of the text model.

    Raises:
        ValueError: another name is asked for.
    """
    if vision not in (None, *VISION):
        raise ValueError(f"vision {vision!r} is unknown; use one of {', '.join(VISION)}, or leave it out.")
    if vision in ("batched", "stock"):
        return Choice(vision, "asked for")
    if attention == "flash" and vision != "varlen":
        return Choice("flash", "flash-attn's kernel runs here" if vision is None else "asked for, and the kernel runs")
    obstacle = probe_flash(device, dtype) if vision == "flash" else probe_varlen(device, dtype)
    if obstacle is None:
        return Choice(
            vision or "varlen", f"{'asked for, and' if vision else 'one call for all windows, and'} it runs here"
        )
    return Choice("batched", f"fallback: {obstacle}" if vision else obstacle)


def choose_decoding(decoding: str | None, device: torch.device) -> Choice:
    """Choose how long replies to short prompts are decoded.

    "graphs" records a step as a CUDA graph. "static" is the same without a recording. "eager" runs usual passes.

    Raises:
        ValueError: another name is asked for.
    """
    if decoding not in (None, *DECODING):
        raise ValueError(f"decoding {decoding!r} is unknown; use one of {', '.join(DECODING)}, or leave it out.")
    if device.type == "cuda" and decoding in (None, "graphs"):
        return Choice("graphs", "asked for" if decoding else "a token takes less time than launching its kernels")
    if decoding == "graphs":
        return Choice("eager", f"fallback: CUDA graphs need a CUDA device, not {device.type}")
    return Choice(decoding or "eager", "asked for" if decoding else f"launches cost nothing on {device.type}")


def choose_kernels(
    device: Choice,
    dtype: Choice,
    attention: str | None = None,
    vision: str | None = None,
    decoding: str | None = None,
) -> dict[str, Choice]:
    """All choices for a model by name: device and dtype as given, then text model, vision tower and decoding."""
    text = choose_attention(attention, device.value, dtype.value)
    tower = choose_vision(vision, device.value, dtype.value, text.value)
    steps = choose_decoding(decoding, device.value)
    return {"device": device, "dtype": dtype, "attention": text, "vision": tower, "decoding": steps}
