"""One file for each notebook, with its parameters, what it computes and what that shows.

Read a file beside its notebook. None imports another: what two notebooks share stands in `edits`, `evaluation` or
`stats`. Nothing is imported here, so that a notebook depends on its own file alone.
"""

from __future__ import annotations

import importlib
import pkgutil

from hide_utils.config import RunConfig


def config_of(notebook: str) -> type[RunConfig] | None:
    """The `RunConfig` of this room that is a notebook's, by the notebook's name without its ending. None for others."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return next(
        (kind for kind in RunConfig.__subclasses__() if kind.model_fields["notebook"].default == notebook), None
    )
