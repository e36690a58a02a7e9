"""Notebook 08: its parameters. What it shows is the explorer, `hide_utils.explorer`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from hide_utils.config import OwnPicture, RunConfig


class ExplorerConfig(OwnPicture, RunConfig):
    """Parameters of notebook 08: what the explorer shows first.

    Attributes:
        sample: id of a sample. None takes the first that only HiDe got right.
        noise_prior: whether the noise prior is subtracted.
        tokens_off: numbers of the tokens that are left out, counted from 0.
        layout: of the second picture, a name in `hide_utils.edits.layouts.LAYOUTS`.
        heads: numbers of the heads whose mean is read, counted from 0. None chosen is the mean of all.
        own_boxes: (x0, y0, x1, y1) in pixels of the picture, which stand in for the regions where there are any.
        other_model: to compare with, as `model`.
    """

    notebook: str = "08_explorer"
    sample: str | None = None
    noise_prior: bool = True
    tokens_off: tuple[Annotated[int, Field(ge=0)], ...] = ()
    layout: str = "spatial_aggregate"
    heads: tuple[Annotated[int, Field(ge=0)], ...] = ()
    own_boxes: tuple[Annotated[tuple[int, int, int, int], Field(examples=[[40, 30, 120, 90]])], ...] = ()
    other_model: str | None = Field(None, examples=["mini"])

    @model_validator(mode="after")
    def _check_one_picture(self) -> ExplorerConfig:
        if self.image and self.sample:
            raise ValueError("image and sample name a picture each, and one is shown: leave one out")
        return self
