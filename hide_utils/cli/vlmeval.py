"""HiDe as a model of VLMEvalKit: its own command, with two models more, ``hide`` and ``direct`` (extra ``[vlmeval]``).

``python -m hide_utils.cli.vlmeval --pretrained CHECKPOINT --model hide direct --data HRBench4K`` takes the arguments
of `HiDeModel` besides those of the kit's ``run.py``. In a file for its ``--config`` the class is ``HiDeModel``.
"""

from __future__ import annotations

import argparse
import runpy
import string
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from hide_utils.cli.adapter import METHODS, NEW_TOKENS, Prompted
from hide_utils.prompts import multiple_choice

try:
    import vlmeval
    import vlmeval.vlm
    from vlmeval.config import supported_VLM
    from vlmeval.dataset import DATASET_TYPE
    from vlmeval.smp import get_logger
    from vlmeval.vlm.base import BaseModel
except ImportError as error:
    raise ImportError(
        f"hide_utils.cli.vlmeval needs VLMEvalKit ({error}): pip install 'hide-utils[vlmeval]', or its repository"
    ) from error


class HiDeModel(BaseModel):
    """`Prompted` behind VLMEvalKit's interface of models.

    Args:
        own_prompt: multiple-choice questions are worded as in the paper, not as the kit words them.
        max_new_tokens: most tokens of a reply.
        **settings: arguments of `Prompted`.

    Raises:
        ValueError: what `Prompted` refuses.
    """

    INTERLEAVE = True
    allowed_types = ["text", "image"]

    def __init__(self, own_prompt: bool = False, max_new_tokens: int = NEW_TOKENS, **settings: Any) -> None:
        super().__init__()
        self.own_prompt, self.max_new_tokens = own_prompt, max_new_tokens
        self.prompted = Prompted(**settings)

    def use_custom_prompt(self, dataset: str) -> bool:
        """Whether a data set's questions are worded by `build_prompt`."""
        return self.own_prompt and DATASET_TYPE(dataset) == "MCQ"

    def build_prompt(self, line: Any, dataset: str | None = None) -> list[dict[str, str]]:
        """A message of the pictures and the question of a row, as in the paper."""
        options = [str(line[letter]) for letter in string.ascii_uppercase if _given(line, letter)]
        question = "\n".join(str(line[name]) for name in ("hint", "question") if _given(line, name))
        text = multiple_choice(question, options) if options else question
        pictures = self.dump_image(line, dataset)
        pictures = [pictures] if isinstance(pictures, str) else pictures
        return [*({"type": "image", "value": one} for one in pictures), {"type": "text", "value": text}]

    def generate_inner(self, message: Sequence[dict[str, str]], dataset: str | None = None) -> str:
        """Reply to a message: its pictures first, then its texts. What was done instead of HiDe is logged once."""
        values: dict[str, list[str]] = {"image": [], "text": []}
        for part in message:
            values[part["type"]].append(part["value"])
        before = set(+self.prompted.notes)
        reply = self.prompted.answer("\n".join(values["text"]).strip(), values["image"], self.max_new_tokens)
        for note in set(+self.prompted.notes) - before:
            get_logger("hide").warning(f"{note} (said once)")
        return reply


def _given(line: Any, name: str) -> bool:
    """Whether a row has a value there."""
    return name in line and not pd.isna(line[name])


def register(**settings: Any) -> None:
    """Make ``hide`` and ``direct`` models of the kit, with arguments of `HiDeModel`."""
    supported_VLM.update({name: partial(HiDeModel, method=name, **settings) for name in METHODS})
    vlmeval.vlm.HiDeModel = HiDeModel


def main(argv: Sequence[str] | None = None) -> None:
    """Run the kit's own command with HiDe among its models.

    Raises:
        FileNotFoundError: the kit's ``run.py`` is neither in its package nor beside it.
    """
    parser = argparse.ArgumentParser("python -m hide_utils.cli.vlmeval", allow_abbrev=False, add_help=False)
    kinds = {"layer": int, "sigma": float, "alpha": float, "max_pixels": int, "max_new_tokens": int}
    for name in ("pretrained", "device", "dtype", *kinds):
        parser.add_argument(f"--{name.replace('_', '-')}", type=kinds.get(name, str), default=argparse.SUPPRESS)
    parser.add_argument("--own-prompt", action="store_true")
    settings, others = parser.parse_known_args(argv)
    register(**vars(settings))
    package = Path(str(vlmeval.__file__)).parent
    script = next((folder / "run.py" for folder in (package, package.parent) if (folder / "run.py").is_file()), None)
    if script is None:
        raise FileNotFoundError(f"no run.py in {package} or beside it: run this from VLMEvalKit's repository")
    sys.argv = [str(script), *others]
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main()
