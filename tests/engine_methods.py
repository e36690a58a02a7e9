"""Pictures and methods that worker processes can be sent: functions of a module, not of a test."""

import os
from pathlib import Path

from model_helpers import picture

from hide_utils.methods import METHODS
from hide_utils.samples import Sample


def poisoned():
    """A picture whose reader has a fault of its own."""
    raise RuntimeError("this picture is poisoned")


class Drawn:
    """A picture drawn on demand, as the scenes' are."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self):
        return picture(96, 96, self.seed)


def samples(n: int) -> list[Sample]:
    """Two questions a picture; the third picture is poisoned."""
    asked = ["What is the color of the dog?", "Where is the truck?"]
    return [
        Sample(
            f"s{i}", asked[i % 2], ["red", "blue"], "AB"[i % 3 % 2], "direct_attributes",
            render=poisoned if i // 2 == 2 else Drawn(i // 2), boxes_xyxy=[(10, 10, 40, 40)], image_id=f"p{i // 2}",
        )
        for i in range(n)
    ]  # fmt: skip


class DiesOnce:
    """Answers directly, but the first process that meets the sample dies at it, as if killed for memory."""

    def __init__(self, flag: Path, sample_id: str) -> None:
        self.flag, self.sample_id = flag, sample_id

    def __call__(self, hide, session, sample):
        if sample.id == self.sample_id and not self.flag.exists():
            self.flag.touch()
            os._exit(9)
        return METHODS["direct"](hide, session, sample)
