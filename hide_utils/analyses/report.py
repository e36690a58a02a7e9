"""Notebook 09: its parameters. What it shows is made in `hide_utils.report`."""

from __future__ import annotations

from pathlib import Path

from hide_utils.config import RunConfig


class ReportConfig(RunConfig):
    """Parameters of notebook 09.

    Attributes:
        out: folder of the report's files. None is data/results/report, or beside the figures of another preset.
    """

    notebook: str = "09_report"
    out: Path | None = None
