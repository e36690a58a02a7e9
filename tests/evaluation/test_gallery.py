"""The gallery of a run: one file that holds all it shows, whatever stands in the texts and whatever is missing."""

import base64
import io
import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hide_utils.evaluation.answers import empty_row
from hide_utils.evaluation.failures import write_page
from hide_utils.evaluation.gallery import COMPACT, PICTURE, WHICH, write_gallery
from hide_utils.samples import Sample

EVIL = "</script><script>document.title='broken'</script> & <b>bold</b> $title"
BOX = (20.0, 20.0, 60.0, 50.0)


def noise(side, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8))


def lost():
    raise FileNotFoundError("no picture at street.jpg")


def sample(name, **changes):
    given = {"question": f"What is {name}?", "options": ["red", "blue"], "label": "A", "kind": "color"}
    return Sample(name, **given | {"render": lambda: noise(320), "boxes_xyxy": [BOX]} | changes)


SAMPLES = [
    sample("gained", question=EVIL, options=["red", EVIL]),
    sample("lost", kind="place"),
    sample("unseen", render=lost),
    sample("unboxed", boxes_xyxy=[]),
    sample("two", more=[lambda: noise(200, 1)], boxes_xyxy=[BOX, (10.0, 10.0, 40.0, 40.0)], box_images=[0, 1]),
    sample("failed"),
]
RIGHT = {"gained": (False, True), "lost": (True, False), "two": (False, False), "unboxed": (True, True)}


def rows(regions=(16.0, 16.0, 64.0, 56.0)):
    found = []
    for one in [*SAMPLES, sample("gone")]:
        for method, right in zip(("direct", "hide"), RIGHT.get(one.id, (False, False)), strict=True):
            row = empty_row(one, method) | {"reply": EVIL, "letter": "A" if right else None, "correct": right}
            row |= {"image_tokens": 100, "recall50": 1.0, "area": 0.02} if one.boxes_xyxy else {"image_tokens": 100}
            more = (330.0, 10.0, 350.0, 30.0) if one.id == "two" else ()
            found.append(row | {"regions": [*regions, *more] if method == "hide" else None})
            if one.id == "failed" and method == "hide":
                found[-1] |= {"error": "OutOfMemoryError: no memory", "correct": None, "regions": None}
    return pd.DataFrame(found)


def read(path):
    """The cases of a page, and its pictures by their place in it."""
    page = path.read_text(encoding="utf-8")
    pictures = dict(re.findall(r'<script type="text/plain" id="(\w+)">data:image/jpeg;base64,([^<]*)</script>', page))
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    return json.loads(data)["cases"], {k: Image.open(io.BytesIO(base64.b64decode(v))) for k, v in pictures.items()}


def test_page_holds_every_case_with_what_is_known_of_it(tmp_path):
    path, n = write_page(rows(), SAMPLES, tmp_path / "all.html", which="all", title=EVIL)
    cases, pictures = read(path)
    by = {case["id"]: case for case in cases}
    assert n == len(cases) == len(SAMPLES) + 1
    changes = {"gained": "gained", "lost": "lost", "unboxed": "both right", "two": "both wrong", "failed": ""}
    assert {name: by[name]["change"] for name in changes} == changes
    assert (by["gained"]["question"], by["gained"]["replies"][0]["reply"]) == (EVIL, EVIL)
    assert [by[name]["cause"] for name in ("gained", "unboxed", "two")] == ["none", None, None]
    assert by["unseen"]["why"] == "no picture: no picture at street.jpg" and by["unseen"]["question"]
    assert "not among the samples" in by["gone"]["why"] and by["failed"]["replies"][1]["error"].startswith("OutOf")
    assert by["two"]["size"] == [520, 320] and by["two"]["truth"][1] == [330.0, 10.0, 360.0, 40.0]
    places = {case["id"]: number for number, case in enumerate(cases)}
    assert pictures[f"compact{places['two']}"].size == (48 + 20, 40)  # of both pictures, side by side
    assert f"compact{places['failed']}" not in pictures and f"picture{places['unseen']}" not in pictures
    page = path.read_text(encoding="utf-8")
    assert page.count("</script>") == len(pictures) + 2 and "<b>" not in page
    assert not re.search(r'(src|href)="?http|@import|url\(', page)


@pytest.mark.parametrize(("which", "ids"), [
    ("failures", ["lost", "unseen", "two", "failed", "gone"]), ("gained", ["gained"]), ("lost", ["lost"]),
])  # fmt: skip
def test_page_of_some_cases(tmp_path, which, ids):
    cases, _ = read(write_gallery(rows(), SAMPLES, tmp_path / "some.html", which=which)[0])
    assert [case["id"] for case in cases] == ids and which in WHICH


def test_thousand_cases_of_the_worst_pictures_stay_below_200_mb(tmp_path):
    large = [sample(name, render=lambda: noise(1500)) for name in ("a", "b")]
    about = {"correct": False, "reply": "B", "regions": [0.0, 0.0, 1400.0, 1400.0]}
    table, sizes = pd.DataFrame([empty_row(one, "hide") | about for one in large]), []
    for n in (1, 2):
        path, written = write_gallery(table[:n], large, tmp_path / "page.html")
        sizes.append(path.stat().st_size)
        assert written == n and {max(p.size) for p in read(path)[1].values()} == {PICTURE[0], COMPACT[0]}
    assert 1000 * (sizes[1] - sizes[0]) < 200e6


def test_refusals(tmp_path):
    with pytest.raises(ValueError, match="no answers of 'oracle'; there are some of direct, hide"):
        write_gallery(rows(), SAMPLES, tmp_path / "page.html", method="oracle")
    with pytest.raises(ValueError, match="want one of failures, gained, lost, all"):
        write_gallery(rows(), SAMPLES, tmp_path / "page.html", which="some")
