"""GLM-4.1V and its successors: Qwen's grid and positions; the budget counts a picture as a film of two frames."""

from __future__ import annotations

from typing import Any, ClassVar

from hide_utils.models.base import VLM
from hide_utils.models.qwen import Qwen2_5VL


class GLM4V(Qwen2_5VL):
    """28 pixels a token (patch 14, merge 2). Nobody has published settings."""

    image_token = "<|image|>"
    template: ClassVar[dict[str, Any]] = {"enable_thinking": False}  # known to GLM-4.5V and later
    family_settings = VLM.family_settings
    family_depth = VLM.family_depth

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        table = self.model.model.visual.embeddings.position_embedding
        if table.weight.is_meta:  # the tower reads it without the call at which accelerate would fetch it
            table._hf_hook.pre_forward(table)

    @property
    def film(self) -> int:
        """See `Qwen2_5VL.film`."""
        return self.image_processor.temporal_patch_size

    def _fitted(self, **given: int) -> tuple[int, int]:
        return super()._fitted(num_frames=self.film, temporal_factor=self.film, **given)
