"""Notebook 00: its parameters, and the rule by which its example is chosen. What it shows is the method itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from PIL import Image

from hide_utils.config import OwnPicture, RunConfig
from hide_utils.evaluation import failures, localisation
from hide_utils.images import read_image
from hide_utils.method import Result, lpd, the_only
from hide_utils.models import VLM
from hide_utils.samples import Box, Sample

COVERED = 0.9  # least share of each true box that lies in the example's regions
EXAMPLE = """\
from hide_utils import HiDe, load_benchmark, load_model

hide = HiDe(load_model("mini"))  # or "Qwen/Qwen2.5-VL-7B-Instruct", or a local folder
sample = load_benchmark("scenes", split="calibration", n={n})[{index}]
result = hide(sample.image, sample.question, options=sample.options)  # or the path of a picture of your own
print(sample)
print("direct", result.direct_letter, "HiDe", result.letter, "entities", result.entities.text, "regions", result.boxes)
result  # in a notebook: a picture of every stage"""  # the README's, whose sample is the one that the rule chooses


class QuickstartConfig(OwnPicture, RunConfig):
    """Parameters of notebook 00. A picture of one's own takes the place of the benchmark."""

    NEEDS: ClassVar[dict[str, str]] = OwnPicture.NEEDS | {"question": "image"}
    USUAL_SPLIT: ClassVar[str] = "calibration"

    notebook: str = "00_quickstart"

    def parameters(self) -> dict[str, Any]:
        """As in the base. Those of a benchmark are None where the picture is the user's own."""
        return super().parameters() | dict.fromkeys(("benchmark", "split", "resolution", "n") if self.image else ())


def examples(table: pd.DataFrame, samples: Sequence[Sample]) -> list[int]:
    """Numbers of the samples that direct answering gets wrong and HiDe right, with every true box in HiDe's regions.

    A true box counts as inside from `COVERED` of its area on. Without true boxes that part of the rule is left out.

    Args:
        table: rows of "direct" and "hide". A sample with an error in one of them is no example.
        samples: those of the rows.
    """
    rows = table.set_index(["method", "sample_id"])
    right = rows["correct"].eq(True).fillna(False)
    wrong = rows["correct"].eq(False).fillna(False)
    return [
        number
        for number, sample in enumerate(samples)
        if wrong["direct", sample.id]
        and right["hide", sample.id]
        and _inside(rows["regions"]["hide", sample.id], sample)
    ]


@dataclass(frozen=True)
class Example:
    """A question with its picture, and why it is shown.

    Attributes:
        name: the sample's id, or the name of the user's own picture.
        rule: why it was chosen.
        image: RGB picture.
        question: about it.
        options: texts of the options. None asks for a free answer.
        answer: text of the right option. Empty where it is not known.
        boxes: true boxes in pixels. Empty where they are not known.
        style: wording of the prompt.
    """

    name: str
    rule: str
    image: Image.Image
    question: str
    options: list[str] | None
    answer: str = ""
    boxes: Sequence[Box] = ()
    style: str = "letters"


def own_picture(cfg: QuickstartConfig) -> Example:
    """The picture that the parameters name."""
    assert cfg.image is not None and cfg.question is not None  # which the configuration has checked
    options = list(cfg.options or []) or None
    return Example(cfg.image.name, "a picture of your own", read_image(cfg.image), cfg.question, options)


def of_sample(sample: Sample, rule: str) -> Example:
    """A sample of a benchmark as an example."""
    asked = sample.question, sample.options, sample.answer
    return Example(sample.id, rule, the_only(sample.images), *asked, sample.boxes_xyxy, sample.style)


def hero_and_failure(table: pd.DataFrame, samples: Sequence[Sample]) -> tuple[Example, Example | None]:
    """The first sample that `examples` finds, else the first of all; and the first that HiDe answers wrongly.

    Args:
        table: rows of "direct" and "hide".
        samples: those of the rows.

    Returns:
        Both examples. The second is None where HiDe answers all rightly.
    """
    found = examples(table, samples)
    rule = "the first that direct answering gets wrong, HiDe right, with every true box in its regions"
    none = "no sample fulfils the rule: the first of all"
    hero = of_sample(samples[found[0]], rule) if found else of_sample(samples[0], none)
    right = table[table["method"] == "hide"].set_index("sample_id")["correct"]
    wrong = [sample for sample in samples if right[sample.id] is not pd.NA and not right[sample.id]]
    return hero, of_sample(wrong[0], "the first that HiDe answers wrongly") if wrong else None


def cause(result: Result, example: Example, model: VLM) -> str:
    """Why a result is wrong, by `failures.CAUSES`, in words."""
    size = result.image.size
    token = math.sqrt(math.prod(size) / model.n_image_tokens(size))
    places = lpd.mapping(result.boxes) if result.boxes else []
    name = failures.cause_of(result.boxes, places, lpd.as_boxes(example.boxes), token)
    return f"{name} ({failures.CAUSES[name]})"


def is_readmes(cfg: QuickstartConfig) -> bool:
    """Whether the parameters are those under which README's example is chosen."""
    return (cfg.model, cfg.split, cfg.resolution, cfg.seed) == ("mini", "calibration", None, 0)


def _inside(regions: Sequence[float] | None, sample: Sample) -> bool:
    boxes = np.reshape([] if regions is None else regions, (-1, 4))
    return not sample.boxes_xyxy or localisation.coverage_recall(boxes, sample.boxes_xyxy, COVERED) == 1


def example_table(numbers: Sequence[int], samples: Sequence[Sample], result: Result) -> pd.DataFrame:
    """The chosen example, with the code that answers it for oneself and what that prints.

    Args:
        numbers: from `examples`, at least one.
        samples: of the embedded benchmark's calibration split, from its seed 0 and at the default difficulty.
        result: HiDe's for the first of these numbers, with the direct answer.

    Returns:
        One row: index, sample_id, n, examples, share, code and printed.
    """
    index = numbers[0]
    found = {"n": len(samples), "examples": len(numbers), "share": len(numbers) / len(samples)}
    said = ["direct", result.direct_letter, "HiDe", result.letter, "entities", result.entities.text]
    printed = f"{samples[index]}\n{' '.join(map(str, [*said, 'regions', result.boxes]))}"
    about = {"index": index, "sample_id": samples[index].id} | found
    return pd.DataFrame([about | {"code": EXAMPLE.format(n=index + 1, index=index), "printed": printed}])
