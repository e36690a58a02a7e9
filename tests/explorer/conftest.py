"""A method on a tiny model, four drawn scenes with stored answers, and the explorer over them."""

import pandas as pd
import pytest
from checkpoints import tiny_model
from explorer_parts import CONFIG

from hide_utils import HiDe
from hide_utils.explorer import Explorer
from hide_utils.scenes.questions import scene_samples


@pytest.fixture(scope="module")
def hide():
    hide = HiDe(tiny_model("qwen3_vl"), layer=1, sigma=0.5, alpha=0.6)
    hide.extractor.max_new_tokens = 6  # a random model never ends a list
    return hide


@pytest.fixture(scope="module")
def samples():
    return scene_samples("test", 4, resolution=256)


@pytest.fixture(scope="module")
def answers(samples):
    """As an evaluation would return it: the second sample is the first that only HiDe got right."""
    rows = []
    for sample, direct, own in zip(samples, (True, False, False, True), (True, True, False, False), strict=True):
        for method, right in (("direct", direct), ("hide", own)):
            wrong = "B" if sample.label == "A" else "A"
            row = {
                "sample_id": sample.id,
                "method": method,
                "correct": right,
                "letter": sample.label if right else wrong,
            }
            rows.append(row | {"entities": ", ".join(sample.entities) if method == "hide" else None})
    return pd.DataFrame(rows)


@pytest.fixture
def explorer(hide, samples, answers):
    return Explorer(hide, samples, answers, config=CONFIG)
