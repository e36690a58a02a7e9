"""HiDe as a model of lmms-eval, so that its own command runs it: ``lmms-eval --model hide`` (extra ``[lmms]``).

`manifest` is the entry point by which it is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image

from hide_utils.cli.adapter import Prompted

try:
    from lmms_eval.api.model import lmms
    from loguru import logger
    from tqdm.auto import tqdm
except ImportError as error:
    raise ImportError("hide_utils.cli.lmms_eval needs lmms-eval: pip install 'hide-utils[lmms]'") from error


class HiDeModel(lmms):
    """`Prompted` behind lmms-eval's interface of simple models.

    Args:
        batch_size: given by lmms-eval; requests are answered one by one whatever it says.
        **settings: arguments of `Prompted`.

    Raises ValueError for what `Prompted` refuses.
    """

    def __init__(self, batch_size: int | str = 1, **settings: Any) -> None:
        super().__init__()
        self.prompted = Prompted(**settings)
        self.device = self.prompted.hide.model.device

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """Replies to the requests, in their order; what was done instead of HiDe, and how often, is logged."""
        notes = self.prompted.notes
        notes.clear()
        replies = [self._reply(*r.args) for r in tqdm(requests, desc="HiDe", disable=self.rank != 0)]
        for note, times in (+notes).items():
            logger.warning(f"hide: {times} of {len(replies)} requests: {note}")
        return replies

    def _reply(self, context: str, settings: dict, doc_to_visual, doc_id: int, task: str, split: str) -> str:
        visuals = doc_to_visual(self.task_dict[task][split][doc_id]) or []
        if any(not isinstance(visual, Image.Image) for visual in visuals):
            raise ValueError(f"task {task}, document {doc_id}: HiDe reads pictures, neither videos nor sound")
        if settings.get("do_sample") or settings.get("temperature"):
            self.prompted.notes["the task asks for sampling; decoded greedily"] += 1
        reply = self.prompted.answer(context.replace("<image>", "").strip(), visuals, settings.get("max_new_tokens"))
        stops = settings.get("until") or []
        for stop in [stops] if isinstance(stops, str) else stops:
            if stop.strip():  # an empty line is what tasks get that name no stop; other adapters pass it over too
                reply = reply.split(stop)[0]
        return reply

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
