"""Pictures and methods that worker processes can be sent: functions of a module, not of a test."""

import os
import signal
from pathlib import Path

from model_helpers import picture

from hide_utils.baselines import METHODS
from hide_utils.evaluation.answers import COLUMNS
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


class Dies:
    """Answers directly, but the process that meets the sample dies at it, as if killed for memory.

    With `flag` only the first one does. Each sample that is begun leaves a file in the folder `begun`.
    """

    def __init__(self, sample_id: str | None, flag: Path | None = None, begun: Path | None = None) -> None:
        self.sample_id, self.flag, self.begun = sample_id, flag, begun

    def __call__(self, hide, session, sample):
        if self.begun:
            (self.begun / sample.id).touch()
        if sample.id == self.sample_id and not (self.flag and self.flag.exists()):
            if self.flag:
                self.flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return METHODS["direct"](hide, session, sample)


class NotSendable(Exception):
    """Pickles, but cannot be made again from what was pickled."""

    def __init__(self, code: int) -> None:
        super().__init__(f"code {code:d}")


def as_dict(table):
    """Rows without what differs with run and store, logits without digits that differ with the number of threads."""
    same = [name for name in COLUMNS if name not in ("seconds", "peak_bytes", "content")]
    table = table[same].assign(margin=table["margin"].astype(float).round(3)).astype(object)
    return table.where(table.notna(), "nothing").to_dict("list")
