"""Methods with HiDe at settings of their own, beside those of a run, on the same prefill: method objects and sweeps."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hide_utils.baselines import METHODS, Method, Outcome
from hide_utils.method import HiDe, Session
from hide_utils.models import Settings
from hide_utils.samples import Sample

# Methods of `METHODS` that read no layer, sigma or alpha, so that one answer stands for every value of them.
WITHOUT_SETTINGS = frozenset({"direct", "direct_logits", "oracle", "tree_search"})
MUST_AGREE = ("prompts", "reuse_prefix", "max_megapixels")  # of an object and its run, which opens the pictures

Wanted = Sequence[Any] | Mapping[str, Any]  # names and `HiDe` objects, or own names -> names, methods and objects


@dataclass(frozen=True)
class At:
    """A method with HiDe's layer, sigma, alpha and size of the compact image as given here, whatever the run's are.

    Attributes:
        settings: layer, sigma and alpha.
        compact_pixels: most pixels of the compact image. None: the model's own limit.
        method: name of a method in `METHODS`, which other processes know too, or a method.
    """

    settings: Settings
    compact_pixels: int | None = None
    method: str | Method = "hide"

    def __call__(self, hide: HiDe, session: Session, sample: Sample) -> Outcome:
        """What the method makes of the sample at these settings."""
        own = copy.copy(hide)
        own.settings, own.compact_pixels = self.settings, self.compact_pixels
        method = METHODS[self.method] if isinstance(self.method, str) else self.method
        return method(own, replace(session, given=session.images, second_pixels=self.compact_pixels), sample)


def at(hide: HiDe, method: str | Method = "hide") -> At:
    """A method at an object's settings. Where these come from makes no difference to a stored row, and is left out."""
    return At(replace(hide.settings, source="given"), hide.compact_pixels, method)


def label(hide: HiDe) -> str:
    """What of an object is not its model's default: "HiDe(layer=8)", or "HiDe()" where all is."""
    default = hide.model.defaults
    names = ("layer", "sigma", "alpha")
    parts = [f"{n}={getattr(hide.settings, n):g}" for n in names if getattr(hide.settings, n) != getattr(default, n)]
    parts += [f"compact_pixels={hide.compact_pixels}"] if hide.compact_pixels else []
    return f"HiDe({', '.join(parts)})"


def with_objects(methods: Wanted, run: HiDe, protocol: str) -> Sequence[str] | Mapping[str, Method | str]:
    """Methods as `hide_utils.baselines.named` takes them, of names and `HiDe` objects.

    Args:
        methods: names and objects, or a mapping of own names to names, methods and objects. An object is called by its
            `label`.
        run: HiDe as the run has it, whose model and prompts its objects share.
        protocol: how the run reads letters.

    Raises:
        ValueError: two methods have one name; or an object has another model, other prompts, or what else of
            `MUST_AGREE` the run has otherwise.
    """
    if not isinstance(methods, Mapping):
        if not any(isinstance(method, HiDe) for method in methods):
            return methods
        names = [label(method) if isinstance(method, HiDe) else method for method in methods]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"method {twice[0]!r} stands twice; give a mapping of names of your own to methods")
        methods = dict(zip(names, methods, strict=True))
    return {name: _checked(one, run, protocol) if isinstance(one, HiDe) else one for name, one in methods.items()}


def _checked(given: HiDe, run: HiDe, protocol: str) -> At:
    differing = " and ".join(name for name in MUST_AGREE if getattr(given, name) != getattr(run, name))
    if given.model is not run.model:
        raise ValueError(f"{given!r} is of another model than the run: call evaluate for each model")
    if differing:
        raise ValueError(f"{given!r} has other {differing} than the run: give evaluate such a HiDe as hide=")
    if given.protocol not in ("strict", protocol):
        how = f"by {given.protocol!r}, the run by {protocol!r}"
        raise ValueError(f"{given!r} reads letters {how}: give evaluate protocol= as well")
    return at(given)
