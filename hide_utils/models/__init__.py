"""Vision-language models of several families behind one interface.

A new family is one file with a subclass of `VLM` and one line in `FAMILIES`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import transformers
from safetensors import SafetensorError

from hide_utils import paths
from hide_utils.models.backends import choose_attention, choose_device, choose_dtype, spread_over
from hide_utils.models.base import VLM
from hide_utils.models.internvl import InternVL
from hide_utils.models.outputs import Prefix, Reply, Rows, Settings
from hide_utils.models.prompt import ImageSpan, ProcessedImage, Prompt, TextSpan
from hide_utils.models.qwen import Qwen2_5VL, Qwen3VL

__all__ = [
    "VLM",
    "ImageSpan",
    "Prefix",
    "ProcessedImage",
    "Prompt",
    "Reply",
    "Rows",
    "Settings",
    "TextSpan",
    "load_model",
]

FAMILIES: dict[str, type[VLM]] = {
    "qwen2_5_vl": Qwen2_5VL,
    "qwen3_vl": Qwen3VL,
    "internvl": InternVL,
}
_ELSEWHERE = (
    "Give a local folder with config.json, tokenizer files and *.safetensors, put such a folder into data/models under "
    "the model's own name, or go online once so that the hub's files are cached."
)
_QUIET_BYTES = 200_000_000  # weights that load in a moment are loaded without a word


def load_model(
    name_or_path: str | os.PathLike = "mini",
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    attention: str | None = None,
    max_pixels: int | None = None,
    min_pixels: int | None = None,
    revision: str | None = None,
    device_map: str | dict | None = None,
    max_memory: dict | None = None,
    offload_folder: str | Path | None = None,
) -> VLM:
    """Load a model: "mini" (the embedded miniature), a local folder, or a hub id (looked for in data/models first).

    The family is read from the config. device, dtype and attention ("sdpa" | "flash") are chosen for the machine when
    left out; `max_pixels` and `min_pixels` bound the pixels of a picture after the processor's resize. A model that is
    larger than the device is spread by accelerate: device "auto", or a `device_map`, `max_memory` (device -> bytes) and
    `offload_folder` as `from_pretrained` takes them; what does not fit waits in the CPU's memory or on disk.
    Raises FileNotFoundError when there are no such files (or no hub), ValueError for an unknown family or for weights
    that do not belong to the config. Only safetensors are read, and no code from a checkpoint is run.
    """
    source = _locate(name_or_path)
    family = _family(source, revision)
    if device == "auto":
        device, device_map = None, device_map or "auto"
    chosen_device = choose_device(device)
    chosen_dtype = choose_dtype(dtype, chosen_device.value)
    choices = {
        "device": chosen_device,
        "dtype": chosen_dtype,
        "attention": choose_attention(attention, chosen_device.value, chosen_dtype.value),
    }
    with _announced(str(name_or_path), source, f"{chosen_device.value} as {chosen_dtype.value}"):
        spread = {"device_map": device_map, "max_memory": max_memory, "offload_folder": offload_folder}
        model = _weights(source, revision, chosen_dtype.value, spread if device_map else {}).eval()
    if device_map:
        choices["device"] = spread_over(model)
    else:
        model.to(chosen_device.value)
    tokenizer = load_tokenizer(source, revision)
    processor = _image_processor(source, revision)
    name = source if Path(source).parent == paths.MODELS else str(name_or_path)  # what lies there is hashed by folder
    vlm = family(name, model, tokenizer, processor, choices, (min_pixels, max_pixels))
    vlm.defaults = _calibrated(Path(source) / "hide.json", vlm) or vlm.defaults
    return vlm


def _calibrated(file: Path, vlm: VLM) -> Settings | None:
    """Settings that a checkpoint folder carries: {"layer": 0-based, "sigma": …, "alpha": …}."""
    if not file.is_file():
        return None
    values = json.loads(file.read_text())
    if absent := {"layer", "sigma", "alpha"} - set(values):
        raise ValueError(f"{file} lacks {', '.join(sorted(absent))}; add them or remove the file.")
    if not 0 <= values["layer"] < vlm.n_layers:
        raise ValueError(f"{file}: layer {values['layer']} is not among 0 to {vlm.n_layers - 1}, the model's own.")
    return Settings(values["layer"], float(values["sigma"]), float(values["alpha"]), "calibrated, hide.json")


def _locate(name_or_path: str | os.PathLike) -> str:
    if str(name_or_path) == "mini":
        if not (paths.MINI / "config.json").is_file():
            raise FileNotFoundError(f"the embedded model is not in {paths.MINI}; restore that folder from git.")
        return str(paths.MINI)
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        if not any(path.glob("*.safetensors")):
            raise FileNotFoundError(f"{path} holds no *.safetensors; put the weights there (no other format is read).")
        return str(path)
    if isinstance(name_or_path, Path) or path.is_absolute() or str(name_or_path).count("/") != 1:
        raise FileNotFoundError(f"there is no model folder {path}. {_ELSEWHERE}")
    here = paths.MODELS / path.name
    return str(here) if any(here.glob("*.safetensors")) else str(name_or_path)


@contextmanager
def _announced(name: str, source: str, where: str) -> Iterator[None]:
    """Say what is being loaded and how long it took, with transformers' bars; small weights are loaded silently."""
    files = list(Path(source).glob("*.safetensors"))
    size, bars = sum(file.stat().st_size for file in files), transformers.utils.logging.is_progress_bar_enabled()
    quiet = bool(files) and size < _QUIET_BYTES
    if quiet and bars:
        transformers.utils.logging.disable_progress_bar()
    try:
        if not quiet:
            what = f"{len(files)} files, {size / 1e9:.1f} GB" if files else "from the hub or its cache"
            print(f"loading {name} ({what}) to {where} ...", file=sys.stderr, flush=True)
        started = time.perf_counter()
        yield
        if not quiet:
            print(f"loaded in {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    finally:
        if quiet and bars:
            transformers.utils.logging.enable_progress_bar()


@contextmanager
def _reading(what: str, source: str) -> Iterator[None]:
    """Say what is missing and what to do, instead of transformers' many ways to say it."""
    try:
        yield
    except OSError as error:
        raise FileNotFoundError(f"no {what} of {source!r} here or on the hub. {_ELSEWHERE} ({error})") from error


def _family(source: str, revision: str | None) -> type[VLM]:
    with _reading("config.json", source):
        config, _ = transformers.PreTrainedConfig.get_config_dict(source, revision=revision)
        if not config:
            raise OSError("the file does not exist")
    kind = config.get("model_type")
    if kind not in FAMILIES:
        hint = " InternVL needs a checkpoint whose name ends in -hf." if kind == "internvl_chat" else ""
        raise ValueError(
            f"{source!r} is of family {kind!r}; known are {', '.join(FAMILIES)}.{hint} "
            "A new family is a subclass of VLM in hide_utils/models/ and one line in FAMILIES."
        )
    return FAMILIES[kind]


def _weights(source: str, revision: str | None, dtype: torch.dtype, spread: dict) -> transformers.PreTrainedModel:
    try:
        with _reading("weights", source):
            model, report = transformers.AutoModelForImageTextToText.from_pretrained(
                source,
                revision=revision,
                dtype=dtype,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                **spread,
            )
    except (RuntimeError, SafetensorError) as error:
        raise ValueError(f"the weights of {source!r} are damaged or do not fit its config.json: {error}") from error
    if absent := sorted(report["missing_keys"]):
        raise ValueError(
            f"{len(absent)} weights of {source!r} are missing, {absent[0]!r} first: the files belong to another "
            "family or size than its config.json, or are incomplete."
        )
    return model


def load_tokenizer(source: str, revision: str | None = None) -> transformers.PreTrainedTokenizerBase:
    """Tokenizer of a folder or hub id, with the chat template where older checkpoints keep it."""
    with _reading("tokenizer", source):
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, revision=revision, trust_remote_code=False)
        if tokenizer.chat_template is None:  # older checkpoints keep it in a file that only processors read
            file = transformers.utils.cached_file(source, "chat_template.json", revision=revision)
            tokenizer.chat_template = json.loads(Path(file).read_text())["chat_template"]
    return tokenizer


def _image_processor(source: str, revision: str | None) -> transformers.BaseImageProcessor:
    """The processor's PIL version, which needs no torchvision and is the same everywhere."""
    with _reading("preprocessor_config.json", source):
        settings, _ = transformers.BaseImageProcessor.get_image_processor_dict(source, revision=revision)
        name = str(settings.get("image_processor_type")).removesuffix("Fast").removesuffix("Pil")
        kind = getattr(transformers, name + "Pil", None) or getattr(transformers, name, None)
        # The name comes with the checkpoint, and from_pretrained of other classes would load other things.
        if not (isinstance(kind, type) and issubclass(kind, transformers.BaseImageProcessor)):
            raise ValueError(f"{source!r}: its image_processor_type {name!r} is no image processor of transformers.")
        return kind.from_pretrained(source, revision=revision)  # type: ignore[attr-defined]  # a class by name
