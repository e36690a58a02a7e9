"""HiDe for high-resolution multimodal LLMs: see why a model misses a small thing, and what decoupling does about it.

The four names here are the whole interface that a notebook needs to start. Each is imported on first use, so that
``import hide_utils`` stays instant.
"""

from importlib import import_module

# The rooms of the house (folders and files), from the ground up. A room imports only from rooms that stand before it.
ROOMS = (
    *("paths", "files", "images", "prompts", "samples", "scoring", "stats", "findings", "looks", "plots", "config"),
    *("notebooks", "scenes", "models", "method", "edits", "benchmarks", "baselines", "evaluation", "mini", "analyses"),
    *("explorer", "report", "cli"),
)
# Names at the root that people import. They stand for modules in the rooms, and nothing inside the package uses them.
ALIASES = ("tad", "lpd", "run", "pipeline", "methods")

_HOMES = {"HiDe": "method", "load_model": "models", "load_benchmark": "benchmarks", "evaluate": "evaluation"}
__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'hide_utils' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"hide_utils.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
