"""What a stored row belongs to: its sample's content, its method, and the settings of its run.

A row is handed out again only where all of these are as they were when it was made. The settings are those of a whole
file of rows. Content and method stand in each row, in the column ``content``, as a hash of every part of `PARTS`, so
that a run can say what was changed.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from PIL import Image

from hide_utils import paths
from hide_utils.baselines import METHODS
from hide_utils.baselines.published import chosen_settings
from hide_utils.evaluation.answers import SCHEMA
from hide_utils.files import hash_folder, hash_json, of_one_method
from hide_utils.method import EXTRACTION_PROMPT, NUMERICS, SEARCH_INSTRUCTION, HiDe
from hide_utils.models import VLM
from hide_utils.prompts import CONTENT_FREE, FREE_STYLES, STYLES, multiple_choice
from hide_utils.samples import Sample
from hide_utils.scoring import SCORING

# Parts of the column ``content``, and what a run calls them.
PARTS = {
    "question": "question text",
    "options": "set of options",
    "label": "label",
    "answers": "list of accepted answers",
    "scorer": "scorer",
    "boxes": "set of true boxes",
    "entities": "list of reference entities",
    "style": "prompt style",
    "kind": "category, cycle or picture's name",
    "picture": "picture",
    "method": "version of their method",
}
SCORED = {"answers", "scorer"}  # parts that a stored reply can be scored by anew, without the model
UNREADABLE = "?"  # in place of the hash of a picture that cannot be read
DEEP = 8  # levels of values within values that count for a method


def run_settings(hide: HiDe, protocol: str) -> dict[str, Any]:
    """What an answer depends on besides sample and method. Rows that were made with other values are never mixed in."""
    model, settings = hide.model, hide.settings
    texts = [multiple_choice("?", ["a", "b", "c"], style) for style in sorted(STYLES)]
    return {
        **({"compact_pixels": hide.compact_pixels} if hide.compact_pixels else {}),
        **({"own_prompts": hide.prompts.own} if hide.prompts.own else {}),
        "schema": SCHEMA,
        "numerics": NUMERICS,
        "prompts": hash_json([EXTRACTION_PROMPT, SEARCH_INSTRUCTION, CONTENT_FREE, *texts]),
        "model": paths.portable(model.name),
        "weights": weights_key(model),
        "layer": settings.layer,
        "sigma": settings.sigma,
        "alpha": settings.alpha,
        "protocol": protocol,
        "min_pixels": model.min_pixels,
        "max_pixels": model.max_pixels,
        "dtype": str(model.dtype),
    }


def hash_picture(picture: Image.Image) -> str:
    """Hash of mode, size and pixels, as 16 hex digits."""
    return hashlib.sha256(f"{picture.mode} {picture.size}".encode() + picture.tobytes()).hexdigest()[:16]


def weights_key(model: VLM) -> str | None:
    """A hash of the files in a model's folder, or the commit of a model of the hub."""
    return hash_folder(model.folder) if model.folder else getattr(model.model.config, "_commit_hash", None)


def model_key(model: VLM) -> dict[str, Any]:
    """What attention rows depend on besides picture, text and layers, as JSON types.

    These are the weights, the pixel budget, the type of numbers, the device and the attention kernel.
    """
    return {
        "weights": weights_key(model) if model.folder else [model.name, weights_key(model)],
        "pixels": [model.min_pixels, model.max_pixels],
        "dtype": str(model.dtype),
        "device": str(model.device).split(":")[0],
        "attention": str(model.choices["attention"].value),
    }


def sample_content(sample: Sample) -> dict[str, str]:
    """A hash of every part of `PARTS` that belongs to the sample, or `UNREADABLE` for its picture."""
    parts: dict[str, Any] = {
        "question": sample.question,
        "options": sample.options,
        "label": sample.label,
        "boxes": [sample.boxes_xyxy, sample.box_images] if sample.more else sample.boxes_xyxy,
        "entities": sample.entities,
        "style": sample.style,
        "kind": [sample.kind, sample.cycle, sample.image_id],
    }
    if not sample.options:
        # Only of such samples, so that rows of questions with options keep the keys that they have.
        parts |= {"answers": sample.answers, "scorer": [described(sample.scorer), sample.tolerance, SCORING]}
        parts["style"] = [sample.style, FREE_STYLES.get(sample.style)]
    hashes = {name: hash_json(described(value))[:8] for name, value in parts.items()}
    pictures = [_picture_key(render) for render in sample.renders]
    known = pictures[0] if len(pictures) == 1 else hash_json(pictures)
    return hashes | {"picture": UNREADABLE if UNREADABLE in pictures else known}


def _picture_key(render: Any) -> str:
    """Hash of a picture's bytes, of the specification of a drawn one, or of its pixels."""
    try:
        if hasattr(render, "fingerprint"):
            return render.fingerprint()[:16]
        if _is_ours(render.func if isinstance(render, partial) else render):
            return hash_json(described(render))
        return hash_picture(render())
    except Exception:  # whatever hinders reading it now is said by the row, where it has no answer yet
        return UNREADABLE


def method_key(name: str, method: Callable[..., Any]) -> str:
    """Hash of a method or measure: of its name among `METHODS`, else of its code and all values that it carries."""
    return hash_json(name if METHODS.get(name) is method else described(method))[:8]


def contents(
    samples: Iterable[Sample], methods: Mapping[str, Callable[..., Any]], model: VLM | None = None
) -> dict[tuple[str, str], str]:
    """The column ``content`` of every row that samples and methods make, by (sample_id, method).

    Args:
        samples: what is asked.
        methods: methods or measures by name.
        model: whose ``hide.json`` may hold settings that count for one of the methods alone (`files.of_one_method`).
    """
    alone = of_one_method(chosen_settings(model)) if model else {}
    keys = {name: method_key(name, method) for name, method in methods.items()}
    for name, method in methods.items():
        meant = getattr(method, "method", None)  # of one that stands at other settings than the run's
        if own := [settings for known, settings in alone.items() if METHODS.get(known) is method or known == meant]:
            keys[name] = hash_json([keys[name], own])[:8]
    of_samples = {sample.id: " ".join(f"{k}={v}" for k, v in sample_content(sample).items()) for sample in samples}
    return {(id, name): f"{text} method={key}" for id, text in of_samples.items() for name, key in keys.items()}


def differing(stored: str | None, wanted: str) -> list[str]:
    """Parts in which a row's content is another. A picture that cannot be read counts as the one that it was."""
    then, now = (dict(part.split("=", 1) for part in (text or "").split()) for text in (stored, wanted))
    if now.get("picture") == UNREADABLE:
        now["picture"] = then.get("picture", UNREADABLE)
    return [name for name in PARTS if then.get(name) != now.get(name)]


def said_changes(changed: Iterable[list[str]], n: int) -> str:
    """What became of stored rows, in words: "37 of 191 rows are of another question text".

    Args:
        changed: for each row that is out of date the parts that are others.
        n: stored rows in all.
    """
    counts = Counter(name for parts in changed for name in parts)
    first, *rest = [f"{counts[name]} of another {word}" for name, word in PARTS.items() if name in counts]
    number, words = first.split(" ", 1)
    return ", ".join([f"{number} of {n} rows are {words}", *rest])


def hash_samples(samples: Iterable[Sample]) -> str:
    """Hash of all that samples are: ids, and every part of their content."""
    return hash_json([[sample.id, sample_content(sample)] for sample in samples])


def _is_ours(value: Any) -> bool:
    """Whether a function or an object's class is one of this package, whose numerics have a version."""
    module = getattr(value, "__module__", None) or type(value).__module__
    return module.split(".")[0] == __name__.split(".")[0]


def described(value: Any, depth: int = DEEP) -> Any:
    """A value as JSON types that are equal where it computes the same.

    Functions of this package are known by their names and by the values that they carry, since `NUMERICS` stands for
    their code. Those of others are known by their code too, and by the globals that it names.
    """
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Image.Image):
        return hash_picture(value)
    if isinstance(value, np.ndarray) and value.dtype != object:
        return [str(value.dtype), value.shape, hash_json(value.tobytes().hex())]
    if isinstance(value, (Path, ModuleType)) or depth == 0:
        return str(value) if isinstance(value, Path) else _name(value)
    if isinstance(value, Sample):
        return sample_content(value)
    if isinstance(value, VLM):
        return model_key(value)
    if isinstance(value, HiDe):
        return run_settings(value, value.protocol)
    if isinstance(value, Mapping):
        return [[described(item, depth - 1) for item in pair] for pair in value.items()]
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [described(item, depth - 1) for item in value]
        return items if isinstance(value, (list, tuple)) else sorted(items, key=hash_json)
    return [_name(value), described(_carried(value), depth - 1)]


def _name(value: Any) -> str:
    """Name of a function or class. Of one of this package it is without its file, so that it may move."""
    named = value if hasattr(value, "__qualname__") or isinstance(value, ModuleType) else type(value)
    home = getattr(named, "__module__", "")
    return f"{home.split('.')[0] if _is_ours(named) else home}.{getattr(named, '__qualname__', named.__name__)}"


def _carried(value: Any) -> Any:
    """The values by which two functions or objects of one name differ."""
    if isinstance(value, partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, MethodType):
        return [value.__self__, value.__func__]
    if isinstance(value, FunctionType):
        if _is_ours(value):
            value = inspect.unwrap(value)  # a checker of types around it changes nothing
        cells = []
        for cell in value.__closure__ or ():
            with suppress(ValueError):  # a name that is not bound yet
                cells.append(cell.cell_contents)
        theirs = [] if _is_ours(value) else [_code(value.__code__), _globals_of(value)]
        return [cells, value.__defaults__, value.__kwdefaults__, *theirs]
    if hasattr(value, "__wrapped__"):  # functools.cache
        return value.__wrapped__
    if isinstance(value, type):
        return None
    if hasattr(value, "__array__"):  # tensors and tables
        return [re.sub(r"0x[0-9a-f]+", "", repr(value)), list(map(str, np.asarray(value).ravel().tolist()))]
    return getattr(value, "__dict__", None) or re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def _code(code: CodeType) -> list[Any]:
    """What a function does, whatever its place and its comments."""
    constants = [_code(one) if isinstance(one, CodeType) else repr(one) for one in code.co_consts]
    return [code.co_code.hex(), code.co_names, constants]


def _globals_of(function: FunctionType) -> dict[str, Any]:
    """The globals that a function's code names, those of functions within it too."""
    names, codes = set(), [function.__code__]
    while codes:
        code = codes.pop()
        names |= set(code.co_names)
        codes += [one for one in code.co_consts if isinstance(one, CodeType)]
    return {name: function.__globals__[name] for name in sorted(names) if name in function.__globals__}
