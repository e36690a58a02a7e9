"""TAD and LPD against 24 cases computed with the authors' released code."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hide_utils.method.lpd import boxes_grid, compact_image, merge_boxes, token_boxes
from hide_utils.method.tad import purify

FOLDER = Path(__file__).parent / "conformance"
CASES = json.loads((FOLDER / "reference_cases.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def arrays():
    with np.load(FOLDER / "reference_cases.npz") as stored:
        return dict(stored)


def gradient_picture(width: int, height: int) -> Image.Image:
    """The picture the reference images were cut from: every pixel tells where it was."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    blue = ((x // 256) * 40 + (y // 256) * 9) % 256
    return Image.fromarray(np.stack([x % 256, y % 256, blue], axis=-1).astype(np.uint8))


def test_there_are_24_cases():
    assert len(CASES) == 24


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"case{case['i']:02d}")
def test_reference_case(case, arrays):
    attention, wanted = (arrays[f"{name}_{case['i']:02d}"] for name in ("attention", "purified"))
    maps = purify(attention, n_noise=case["n_noise"], sigma=case["sigma"])
    np.testing.assert_allclose(maps, wanted, atol=1e-5, rtol=0)

    boxes = [token_boxes(map_hw, case["alpha"]) for map_hw in maps]
    assert boxes == [[tuple(box) for box in token] for token in case["token_boxes"]]
    assert boxes_grid(maps, [case["alpha"]]) == [boxes]

    regions = merge_boxes([box for token in boxes for box in token], case["image_size"])
    assert regions == [tuple(region) for region in case["region_boxes_px"]]

    compact = compact_image(gradient_picture(*case["image_size"]), regions)
    assert (compact.mode, list(compact.size)) == ("RGBA", case["compact"]["size"])
    assert hashlib.sha256(compact.tobytes()).hexdigest() == case["compact"]["sha256"]
