"""What a process that answers pictures is made of, and what it sends back."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from hide_utils.baselines import Method, named
from hide_utils.evaluation.answers import Answered, answer_picture
from hide_utils.evaluation.keeping import Keeper
from hide_utils.method.hide import HiDe
from hide_utils.models import load_model
from hide_utils.samples import Sample

Task = Sequence[tuple[Sample, tuple[str, ...]]]  # samples of one picture, each with the names of its methods


@dataclass(frozen=True)
class Recipe:
    """What a worker needs to answer as the calling program would.

    Attributes:
        model: arguments of `load_model`.
        settings: arguments of `HiDe` besides model and protocol.
        methods: names, or a mapping of own names to methods.
        protocol: how letters are read.
        keeper: keeps arrays. None keeps none.
        threads: threads of torch. None leaves that to torch.
    """

    model: dict[str, Any]
    settings: dict[str, Any]
    methods: Sequence[str] | Mapping[str, Method | str]
    protocol: str
    keeper: Keeper | None = None
    threads: int | None = None

    @classmethod
    def of(
        cls,
        hide: HiDe,
        methods: Sequence[str] | Mapping[str, Method | str],
        protocol: str,
        keeper: Keeper | None = None,
    ) -> Recipe:
        """The recipe of a running method. A model's folder is named in full, because workers start elsewhere."""
        vlm = hide.model
        model = {
            "name_or_path": vlm.name if vlm.folder is None or vlm.name == "mini" else str(vlm.folder.resolve()),
            **{name: vlm.choices[name].value for name in ("device", "dtype", "attention", "vision", "decoding")},
            "min_pixels": vlm.min_pixels,
            "max_pixels": vlm.max_pixels,
            # The commit of a model of the hub, so that every worker gets the same files.
            **({} if vlm.folder else {"revision": getattr(vlm.model.config, "_commit_hash", None)}),
        }
        settings = {
            **{name: getattr(hide.settings, name) for name in ("layer", "sigma", "alpha")},
            **{name: getattr(hide, name) for name in ("reuse_prefix", "max_megapixels", "compact_pixels", "prompts")},
        }
        return cls(model, settings, methods, protocol, keeper)

    def on(self, device: str, threads: int | None = None) -> Recipe:
        """The same on another device."""
        return replace(self, model=self.model | {"device": device}, threads=threads)


class Worker:
    """The model of one process, which answers the pictures that it is given."""

    def __init__(self, recipe: Recipe) -> None:
        if recipe.threads:
            torch.set_num_threads(recipe.threads)
        self.hide = HiDe(load_model(**recipe.model), protocol=recipe.protocol, **recipe.settings)
        self.methods, self.protocol = named(recipe.methods), recipe.protocol
        self.keep = None if recipe.keeper is None else recipe.keeper.tried

    def answer(self, task: Task) -> list[Answered]:
        """Rows of one picture's samples."""
        jobs = [(sample, {name: self.methods[name] for name in names}) for sample, names in task]
        answered = answer_picture(self.hide, jobs, self.protocol, keep=self.keep)
        return [one if one.error is None else replace(one, error=_sendable(one.error)) for one in answered]

    def numbered(self, number: int, task: Task) -> tuple[int, list[Answered]]:
        """The same, with the number that the task was given."""
        return number, self.answer(task)


def _sendable(error: Exception) -> Exception:
    """The exception, or its words where it cannot be sent to the calling program."""
    try:
        copy.copy(error)  # makes it anew from its arguments, as unpickling does
        pickle.dumps(error)
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
