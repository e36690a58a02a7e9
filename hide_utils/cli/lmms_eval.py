"""HiDe as a model of lmms-eval, so that its own command runs it: ``lmms-eval --model hide`` (extra ``[lmms]``).

The task words the prompt and scores the reply, as for every other model there; HiDe finds the regions for the question
in that prompt and puts the compact image behind the picture. `manifest` is the entry point by which it is found.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from hide_utils.benchmarks.rows import split_options
from hide_utils.images import composite_on_white, read_image
from hide_utils.method import HiDe, lpd
from hide_utils.models import load_model

try:
    from lmms_eval.api.model import lmms
    from loguru import logger
    from tqdm.auto import tqdm
except ImportError as error:
    raise ImportError("hide_utils.cli.lmms_eval needs lmms-eval: pip install 'hide-utils[lmms]'") from error

NEW_TOKENS = 128  # most tokens of a reply where the task sets no limit


class HiDeModel(lmms):
    """`HiDe` behind lmms-eval's interface of simple models.

    Args:
        pretrained: what `load_model` takes: "mini", a folder, a hub id.
        method: "hide", or "direct" for the same model without it.
        layer, sigma, alpha: as in `HiDe`; None: the model's own.
        max_pixels, device, dtype: as in `load_model`; of several processes each takes the GPU of its LOCAL_RANK.
        batch_size: given by lmms-eval; requests are answered one by one whatever it says.

    Raises ValueError for an unknown method, and for what `HiDe` or `load_model` refuses.
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
        batch_size: int | str = 1,
    ) -> None:
        super().__init__()
        if method not in ("hide", "direct"):
            raise ValueError(f"unknown method {method!r}; known: hide, direct")
        if device is None and torch.cuda.is_available():
            device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
        model = load_model(pretrained, device=device, dtype=dtype, max_pixels=max_pixels)
        self.method, self.hide, self.device = method, HiDe(model, layer, sigma, alpha), model.device
        self.notes: Counter[str] = Counter()

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """Replies to the requests, in their order; what was done instead of HiDe, and how often, is logged."""
        self.notes.clear()
        replies = [self._reply(*r.args) for r in tqdm(requests, desc="HiDe", disable=self.rank != 0)]
        for note, times in self.notes.items():
            logger.warning(f"hide: {times} of {len(replies)} requests: {note}")
        return replies

    def _reply(self, context: str, settings: dict, doc_to_visual, doc_id: int, task: str, split: str) -> str:
        visuals = doc_to_visual(self.task_dict[task][split][doc_id]) or []
        if any(not isinstance(visual, Image.Image) for visual in visuals):
            raise ValueError(f"task {task}, document {doc_id}: HiDe reads pictures, neither videos nor sound")
        if settings.get("do_sample") or settings.get("temperature"):
            self.notes["the task asks for sampling; decoded greedily"] += 1
        reply = self.answer(context.replace("<image>", "").strip(), visuals, settings.get("max_new_tokens"))
        stops = settings.get("until") or []
        for stop in [stops] if isinstance(stops, str) else stops:
            if stop.strip():  # an empty line is what tasks get that name no stop; other adapters pass it over too
                reply = reply.split(stop)[0]
        return reply

    def answer(self, prompt: str, pictures: Sequence[Image.Image], limit: int | None = None) -> str:
        """Greedy reply of at most `limit` tokens to a task's prompt about pictures, by HiDe where it is one picture.

        To several pictures, or none, the model replies directly, and `notes` counts it: HiDe's regions are of one.
        """
        hide, limit, wanted = self.hide, limit or NEW_TOKENS, self.method == "hide"
        if wanted and len(pictures) != 1:
            self.notes[f"{'several pictures' if pictures else 'no picture'}: answered directly"] += 1
        if not pictures:
            return hide.model.generate(hide.model.prompt(prompt), limit).text
        session = hide.open(pictures[0])
        shown = [session.image, *(read_image(more, max_megapixels=hide.max_megapixels) for more in pictures[1:])]
        if wanted and len(pictures) == 1:
            if regions := hide.locate(session, self._asked(prompt)).regions:
                shown.append(composite_on_white(lpd.compact_image(session.image, regions)))
            else:
                self.notes["no box survived: answered from the original picture alone"] += 1
        return session.answer_from(shown, prompt, limit=limit).text

    def _asked(self, prompt: str) -> str:
        """The question in a prompt; the whole prompt where its options are written in a way that is not known."""
        try:
            return split_options(prompt)[0] or prompt
        except ValueError:
            return prompt

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Not there: HiDe replies in words."""
        raise NotImplementedError("HiDe gives no likelihoods: choose the task's variant of output_type generate_until")

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
        """Not there: HiDe answers one question at a time."""
        raise NotImplementedError("HiDe answers single questions: choose a task of output_type generate_until")


def manifest() -> Any:
    """What lmms-eval's registry of models wants to know."""
    from lmms_eval.models.registry_v2 import ModelManifest  # imports the registry, which asks for this module

    return ModelManifest(model_id="hide", simple_class_path="hide_utils.cli.lmms_eval.HiDeModel")
