"""Qwen3.5 and its mixture of experts: full attention at every fourth layer, linear attention with a state between."""

from __future__ import annotations

from typing import Any, ClassVar

from hide_utils.models.qwen import Qwen3VL


class Qwen3_5(Qwen3VL):
    """32 pixels a token, as Qwen3-VL. Rows are those of the full attention. Replies begin without a chain of thought.

    Nothing is published for it. The layer is a guess: Qwen3-VL's relative depth, moved to the nearest that has rows.
    """

    family_settings = Qwen3VL.family_settings.as_guess("whose layers all have full attention")
    template: ClassVar[dict[str, Any]] = {"enable_thinking": False}
