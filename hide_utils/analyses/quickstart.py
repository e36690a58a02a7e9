"""Notebook 00: its parameters. What it shows is the method itself."""

from __future__ import annotations

from pathlib import Path

from hide_utils.config import RunConfig


class QuickstartConfig(RunConfig):
    """Parameters of notebook 00.

    Attributes:
        image: path of a picture of one's own. None takes the example from the benchmark.
        question, options: about that picture.
        entities: what to look for. None has the model list it.
    """

    notebook: str = "00_quickstart"
    image: Path | None = None
    question: str | None = None
    options: tuple[str, ...] | None = None
    entities: tuple[str, ...] | None = None
