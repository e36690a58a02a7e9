"""Stored answers outlive a change of code but not of numbers: `NUMERICS` stands for what the reference cases give."""

import json

import numpy as np
from test_conformance import CASES, FOLDER, gradient_picture

from hide_utils.evaluation.keys import hash_picture
from hide_utils.files import hash_json
from hide_utils.method import NUMERICS
from hide_utils.method.lpd import compact_image, merge_boxes, token_boxes
from hide_utils.method.tad import purify

RECORD = FOLDER / "numerics.json"


def test_the_version_of_the_numerics_is_that_of_the_outputs():
    outputs = []
    with np.load(FOLDER / "reference_cases.npz") as arrays:
        for case in CASES:
            attention, size = arrays[f"attention_{case['i']:02d}"], case["image_size"]
            for sigma in (case["sigma"], 0.0, 1.5):
                maps = purify(attention, n_noise=case["n_noise"], sigma=sigma)
                regions = merge_boxes([box for one in maps for box in token_boxes(one, case["alpha"])], size)
                outputs.append([regions, hash_picture(compact_image(gradient_picture(*size), regions))])
    now = {"version": NUMERICS, "outputs": hash_json(outputs)}
    assert now == json.loads(RECORD.read_text()), (
        f"the method gives other numbers than version {NUMERICS} did: raise NUMERICS in hide_utils/method/hide.py and "
        f"write {now} into {RECORD.name}, so that answers stored before are not taken for its own"
    )
