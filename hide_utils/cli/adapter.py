"""HiDe behind another toolkit's prompts: what the adapters to lmms-eval and VLMEvalKit share.

The toolkit words the prompt and scores the reply, as for every other model there. HiDe finds the regions for the
question in that prompt and puts a compact image of each picture behind the pictures.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch

from hide_utils.benchmarks.options import split_options
from hide_utils.images import composite_on_white
from hide_utils.method import HiDe, lpd
from hide_utils.models import load_model

METHODS = ("hide", "direct")
NEW_TOKENS = 128  # most tokens of a reply where the task sets no limit
_WORDS_AROUND = re.compile(r"^(?:Hint:.*\n)?Question:\s*|\s*Options:\s*$")  # of a question in VLMEvalKit's prompts


class Prompted:
    """A model that replies to prompts of others, with HiDe or without.

    Args:
        pretrained: what `load_model` takes: "mini", a folder, a hub id.
        method: "hide", or "direct" for the same model without it.
        layer, sigma, alpha: as in `HiDe`; None: the model's own.
        max_pixels, device, dtype: as in `load_model`; of several processes each takes the GPU of its LOCAL_RANK.

    Attributes:
        hide: the method with its model.
        notes: what was done instead of HiDe, and how often.

    Raises:
        ValueError: the method is unknown, and what `HiDe` or `load_model` refuses.
    """

    def __init__(
        self,
        pretrained: str = "mini",
        method: str = "hide",
        layer: int | None = None,
        sigma: float | None = None,
        alpha: float | None = None,
        max_pixels: int | None = None,
        device: str | None = None,
        dtype: str | None = None,
    ) -> None:
        if method not in METHODS:
            raise ValueError(f"unknown method {method!r}; known: {', '.join(METHODS)}")
        if device is None and torch.cuda.is_available():
            device = f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % torch.cuda.device_count()}"
        self.method = method
        self.hide = HiDe(load_model(pretrained, device=device, dtype=dtype, max_pixels=max_pixels), layer, sigma, alpha)
        self.notes: Counter[str] = Counter()

    def answer(self, prompt: str, pictures: Sequence[Any], limit: int | None = None) -> str:
        """Greedy reply of at most `limit` tokens to a prompt about pictures, given as `HiDe` takes them.

        Without pictures the model replies directly, and `notes` counts it.
        """
        hide, prompt, limit, wanted = self.hide, prompt.strip(), limit or NEW_TOKENS, self.method == "hide"
        if not pictures:
            self.notes["no picture: answered directly"] += wanted
            return hide.model.generate(hide.model.prompt(prompt), limit).text
        session, second = hide.open(list(pictures)), []
        if wanted:
            pairs = zip(session.images, hide.locate(session, question_of(prompt)).found, strict=True)
            compact = (lpd.compact_image(image, one.regions) for image, one in pairs if one.regions)
            second = [composite_on_white(image) for image in compact]
            self.notes["no box survived: answered from the original pictures alone"] += not second
        return session.answer_from([*session.images, *second], prompt, limit=limit).text


def question_of(prompt: str) -> str:
    """The question in a prompt; the whole prompt where its options are written in a way that is not known."""
    try:
        return _WORDS_AROUND.sub("", split_options(prompt)[0]).strip() or prompt
    except ValueError:
        return prompt
