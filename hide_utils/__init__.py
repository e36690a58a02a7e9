"""HiDe for high-resolution multimodal LLMs: see why a model misses a small thing, and what decoupling does about it.

The names here are the whole interface that a notebook needs to start. Each is imported on first use, so that
``import hide_utils`` stays instant. The rooms of the package, in reading order, are listed in ``docs/rooms.md``.
"""

from importlib import import_module

_HOMES = {"HiDe": "method", "load_model": "models", "load_benchmark": "benchmarks", "evaluate": "evaluation"}
__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'hide_utils' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"hide_utils.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
