"""Loading a model: its files are found, its family is read from the config, and its settings come with it.

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
from hide_utils.models.backends import choose_device, choose_dtype, choose_kernels, spread_over
from hide_utils.models.base import VLM
from hide_utils.models.calibrated import calibrated, settings_file
from hide_utils.models.gemma3 import Gemma3
from hide_utils.models.glm import GLM4V
from hide_utils.models.idefics import Idefics3, SmolVLM
from hide_utils.models.internvl import InternVL
from hide_utils.models.llava import LlavaOnevision
from hide_utils.models.mistral import Mistral3
from hide_utils.models.qwen import Qwen2_5VL, Qwen3VL, Qwen3VLMoe
from hide_utils.models.qwen3_5 import Qwen3_5

FAMILIES: dict[str, type[VLM]] = {
    "qwen2_5_vl": Qwen2_5VL,
    "qwen3_vl": Qwen3VL,
    "internvl": InternVL,
    "qwen3_vl_moe": Qwen3VLMoe,
    "glm4v": GLM4V,
    "glm46v": GLM4V,
    "glm4v_moe": GLM4V,
    "qwen3_5": Qwen3_5,
    "qwen3_5_moe": Qwen3_5,
    "mistral3": Mistral3,
    "idefics3": Idefics3,
    "smolvlm": SmolVLM,
    "llava_onevision": LlavaOnevision,
    "gemma3": Gemma3,
}
_ELSEWHERE = (
    "Give a local folder with config.json, tokenizer files and *.safetensors, put such a folder into "
    "data/models/OWNER/NAME, or go online once so that the hub's files are cached."
)
_QUIET_BYTES = 200_000_000  # weights that load in a moment are loaded without a word


def load_model(
    name_or_path: str | os.PathLike = "mini",
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    attention: str | None = None,
    vision: str | None = None,
    decoding: str | None = None,
    max_pixels: int | None = None,
    min_pixels: int | None = None,
    revision: str | None = None,
    device_map: str | dict | None = None,
    max_memory: dict | None = None,
    offload_folder: str | Path | None = None,
    settings: str | os.PathLike | None = None,
) -> VLM:
    """Load a model with its tokenizer and image processor.

    Only safetensors are read, and no code from a checkpoint is run.

    Args:
        name_or_path: "mini" for the embedded miniature, a local folder, or a hub id. A hub id is looked for as
            ``data/models/OWNER/NAME`` first.
        device: "cuda", "mps" or "cpu", or "auto" to have accelerate spread the model. None takes the best one here.
        dtype: floating-point format of the weights. None takes the best one for the device.
        attention: kernel of the text model, "sdpa" or "flash". None takes flash where it runs.
        vision: how the vision tower runs its windows, "flash", "varlen", "batched" or "stock". None takes the first of
            them that runs.
        decoding: how long replies to short prompts are decoded, "graphs", "static" or "eager". None takes graphs on
            CUDA.
        max_pixels: most pixels of a picture after the processor's resize. None: the processor's own limit.
        min_pixels: fewest pixels of a picture after the resize. None: the processor's own limit.
        revision: commit, tag or branch of a hub model.
        device_map: where accelerate places the parts of a model that is larger than the device, as in
            `from_pretrained`. What does not fit waits in the CPU's memory or on disk.
        max_memory: device -> bytes that accelerate may use there.
        offload_folder: where accelerate keeps what waits on disk.
        settings: file of the method's settings that ``hide calibrate`` wrote, or its folder. None takes ``hide.json``
            beside the weights; for a model of the hub that of ``data/models/OWNER/NAME``. Without one the family's
            settings apply.

    Raises:
        FileNotFoundError: there are no such files, here or on the hub.
        ValueError: the family is unknown, the weights do not belong to the config, a file is damaged, a choice is not
            possible here, or a revision is asked for of a folder that is here.
    """
    source = find_checkpoint(name_or_path, revision)
    family = _family(source, revision)
    if device == "auto":
        device, device_map = None, device_map or "auto"
    chosen_device = choose_device(device)
    chosen_dtype = choose_dtype(dtype, chosen_device.value)
    choices = choose_kernels(chosen_device, chosen_dtype, attention, vision, decoding)
    with _announced(str(name_or_path), source, f"{chosen_device.value} as {chosen_dtype.value}"):
        spread = {"device_map": device_map, "max_memory": max_memory, "offload_folder": offload_folder}
        model = _weights(source, revision, chosen_dtype.value, spread if device_map else {}).eval()
    if device_map:
        choices["device"] = spread_over(model)
    else:
        model.to(chosen_device.value)
    tokenizer = load_tokenizer(source, revision)
    processor = _image_processor(source, revision)
    folder = paths.model_folder(os.fspath(name_or_path))
    # A model of data/models goes by its folder and not by its hub id, whose files may differ.
    name = source if folder and folder.is_relative_to(paths.MODELS) else str(name_or_path)
    vlm = family(name, model, tokenizer, processor, choices, (min_pixels, max_pixels), folder)
    if file := settings_file(folder or paths.MODELS / os.fspath(name_or_path), settings):
        vlm.defaults, vlm.world, vlm.prompts = calibrated(file, vlm)
    return vlm


def find_checkpoint(name_or_path: str | os.PathLike, revision: str | None) -> str:
    """The folder of a model's files, or the hub id to ask for.

    Raises:
        FileNotFoundError: the folder is missing, holds no weights or pointers in place of files, or could be of any
            owner.
        ValueError: a revision is asked for and the folder is here.
    """
    name, folder = str(name_or_path), paths.model_folder(os.fspath(name_or_path))
    if name == "mini" and not (paths.MINI / "config.json").is_file():
        todo = "install the package anew" if paths.INSTALLED else "restore that folder from git"
        raise FileNotFoundError(f"the embedded model is not in {paths.MINI}; {todo}.")
    if folder is not None:
        if not any(folder.glob("*.safetensors")):
            raise FileNotFoundError(f"{folder} holds no *.safetensors; put them there (no other format is read).")
        if pointers := [file.name for file in sorted(folder.iterdir()) if _is_pointer(file)]:
            raise FileNotFoundError(f"{folder} holds Git LFS pointers for {pointers}: run `git lfs pull` there.")
        if revision:
            raise ValueError(f"revision={revision!r} is for the hub, but {folder} is here: leave one of them out.")
        return str(folder)
    path = Path(name).expanduser()
    if isinstance(name_or_path, Path) or path.is_absolute() or name.count("/") != 1:
        raise FileNotFoundError(f"there is no model folder {path}. {_ELSEWHERE}")
    if any((unclear := paths.MODELS / path.name).glob("*.safetensors")):
        raise FileNotFoundError(f"{unclear} could be any owner's: move it into that owner's folder, or give its path.")
    return name


def _is_pointer(file: Path) -> bool:
    """Whether a file of a checkpoint is only a note of Git LFS where the file would be. Files that nobody reads may."""
    read = file.suffix in (".safetensors", ".json", ".jinja", ".txt") and file.is_file()
    return read and file.stat().st_size < 1024 and b"\noid sha256:" in file.read_bytes()


@contextmanager
def _announced(name: str, source: str, where: str) -> Iterator[None]:
    """Say what is being loaded and how long it took, with transformers' bars. Small weights are loaded silently."""
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
    """Turn transformers' many errors for files that are not there into one that says which, and what to do.

    Raises:
        FileNotFoundError: the block raised an OSError.
        ValueError: a file is no JSON.
    """
    try:
        yield
    except json.JSONDecodeError as error:
        raise ValueError(f"the {what} of {source!r} is damaged: {error}") from error
    except OSError as error:
        raise FileNotFoundError(f"no {what} of {source!r} here or on the hub. {_ELSEWHERE} ({error})") from error


def _family(source: str, revision: str | None) -> type[VLM]:
    """The class for a checkpoint, by the model type in its config; ValueError for one that is not in `FAMILIES`."""
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
    """The stock model with its weights; ValueError where these are damaged, absent or of another config."""
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
    """Tokenizer of a folder or hub id, with its chat template.

    Raises:
        FileNotFoundError: there is no tokenizer or no chat template.
    """
    with _reading("tokenizer", source):
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, revision=revision, trust_remote_code=False)
        if tokenizer.chat_template is None:  # older checkpoints keep it in a file that processors alone read
            file = transformers.utils.cached_file(source, "chat_template.json", revision=revision)
            tokenizer.chat_template = json.loads(Path(file).read_text(encoding="utf-8"))["chat_template"]
    return tokenizer


def _image_processor(source: str, revision: str | None) -> transformers.BaseImageProcessor:
    """The image processor's PIL version, which needs no torchvision and is the same everywhere.

    Raises:
        FileNotFoundError: there is no processor's config.
        ValueError: the config names a class that is no image processor of transformers.
    """
    with _reading("preprocessor_config.json", source):
        settings, _ = transformers.BaseImageProcessor.get_image_processor_dict(source, revision=revision)
        name = str(settings.get("image_processor_type")).removesuffix("Fast").removesuffix("Pil")
        kind = getattr(transformers, name + "Pil", None) or getattr(transformers, name, None)
        # The name comes with the checkpoint, and from_pretrained of other classes would load other things.
        if lacking := getattr(kind, "_backends", None):  # a stand-in of transformers' own
            raise ValueError(
                f"{source!r}: {name} of transformers {transformers.__version__} needs {', '.join(lacking)}; install "
                "them, or a newer transformers, whose PIL version of it does without."
            )
        if not (isinstance(kind, type) and issubclass(kind, transformers.BaseImageProcessor)):
            raise ValueError(f"{source!r}: its image_processor_type {name!r} is no image processor of transformers.")
        return kind.from_pretrained(source, revision=revision)  # type: ignore[attr-defined]  # a class by name
