"""Notebook 00: its parameters. What it shows is the method itself."""

from __future__ import annotations

from typing import Any, ClassVar

from hide_utils.config import OwnPicture, RunConfig


class QuickstartConfig(OwnPicture, RunConfig):
    """Parameters of notebook 00. A picture of one's own takes the place of the benchmark."""

    NEEDS: ClassVar[dict[str, str]] = OwnPicture.NEEDS | {"question": "image"}
    notebook: str = "00_quickstart"

    def parameters(self) -> dict[str, Any]:
        """As in the base. Those of a benchmark are None where the picture is the user's own."""
        return super().parameters() | dict.fromkeys(("benchmark", "split", "resolution", "n") if self.image else ())
