"""The cases of a run as one HTML file: pictures, regions, replies and causes, to filter and sort in any browser.

The page needs no server and no other file. `cases` says what is known of each answer, `write_gallery` writes it down,
and `failures.write_page` adds why HiDe failed.
"""

from __future__ import annotations

import base64
import io
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from hide_utils import paths
from hide_utils.baselines import LOOKS
from hide_utils.files import write_text
from hide_utils.images import composite_on_white
from hide_utils.looks import look_of
from hide_utils.method import lpd
from hide_utils.samples import Sample
from hide_utils.stats.rows import outcomes

WHICH = ("failures", "gained", "lost", "all")
PICTURE, COMPACT = (480, 100_000), (320, 40_000)  # longer side in pixels, and most bytes: 1 000 cases stay below 200 MB
QUALITIES = (80, 60, 40, 25, 10)
PAGE = Path(__file__).with_name("gallery.html")


def write_gallery(
    answers: pd.DataFrame,
    samples: Sequence[Sample],
    target: str | Path,
    *,
    method: str = "hide",
    baseline: str = "direct",
    which: str = "failures",
    title: str = "Cases",
    about: str = "",
    gone: Mapping[str, str] | None = None,
    causes: Mapping[str, str] | None = None,
    cause_of: Callable[[Sequence[lpd.Region], Sample, float], str] | None = None,
) -> tuple[Path, int]:
    """Write the cases of a method as one HTML file.

    Args:
        answers: rows of `evaluate`.
        samples: those of the answers. A case whose sample is not among them has neither picture nor question.
        target: the file.
        method: whose cases these are.
        baseline: method that gains and losses are told against; it may be missing.
        which: a name in `WHICH`: what the method did not get right, what it alone of the two got right or did not, or
            all.
        title: heading of the page.
        about: a line below it.
        gone: sample -> why its picture and question cannot be shown.
        causes: cause of a failure -> its meaning.
        cause_of: tells the cause of a case whose sample has true boxes, from its regions, the sample, and the side of a
            visual token in pixels.

    Returns:
        The file, and how many cases it has.

    Raises:
        ValueError: no rows of the method, or an unknown `which`.
    """
    if which not in WHICH:
        raise ValueError(f"which={which!r}: want one of {', '.join(WHICH)}")
    by_id = {sample.id: sample for sample in samples}
    kept = [
        case
        for case in cases(answers, method, baseline)
        if which in ("all", case["change"], "failures" if case["correct"] is not True else "")
    ]
    pictures = [_shown(case, by_id.get(case["id"]), gone or {}) for case in kept]
    if cause_of is not None:
        for case in kept:
            if case.get("truth") and case["tokens"] and not by_id[case["id"]].more:
                token = math.sqrt(math.prod(case["size"]) / case["tokens"])
                case["cause"] = cause_of([tuple(one) for one in case["regions"]], by_id[case["id"]], token)
    names = {"method": look_of(LOOKS, method).label, "baseline": look_of(LOOKS, baseline).label}
    data = names | {"causes": dict(causes or {}), "cases": kept}
    write_text(Path(target), _page(title, about, data, pictures))
    return Path(target), len(kept)


def _page(title: str, about: str, data: Mapping[str, Any], pictures: Sequence[Mapping[str, str]]) -> str:
    """The page's text. Pictures stand outside the data, so that a browser decodes those alone that are shown."""
    elements = [
        f'<script type="text/plain" id="{kind}{number}">{content}</script>'
        for number, shown in enumerate(pictures)
        for kind, content in shown.items()
    ]
    words = {"title": _escaped(title), "about": _escaped(about), "pictures": "\n".join(elements), "data": _json(data)}
    script = PAGE.with_suffix(".js").read_text(encoding="utf-8")
    return Template(PAGE.read_text(encoding="utf-8")).substitute(words, script=script)


def cases(answers: pd.DataFrame, method: str, baseline: str) -> list[dict[str, Any]]:
    """What the rows say of each sample that a method was asked about, in the order of the rows.

    Returns:
        For each: id, kind, label, correct (None for an error), change ("gained", "lost", "both right", "both wrong", or
        empty where one of the two did not answer), replies of all methods, regions, recall, kept and so on; cause is
        None until the sample is known.

    Raises:
        ValueError: there are no rows of the method.
    """
    if method not in set(answers["method"]):
        there = ", ".join(dict.fromkeys(answers["method"])) or "none"
        raise ValueError(f"no answers of {method!r}; there are some of {there}")
    known = answers.assign(right=outcomes(answers))
    found = []
    for _, rows in known.groupby("sample_id", sort=False):
        by = {row["method"]: row for row in rows.to_dict("records")}
        if method in by:
            found.append(_case(by, by[method], by.get(baseline, {})))
    return found


def _case(by: Mapping[str, dict[str, Any]], own: dict[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    regions = own.get("regions")
    both = own["right"], base.get("right", math.nan)
    names = {(1, 0): "gained", (0, 1): "lost", (1, 1): "both right", (0, 0): "both wrong"}
    return {
        **{name: _plain(own.get(name)) for name in ("kind", "label", "entities", "fallback", "margin", "iou")},
        "id": own["sample_id"],
        "correct": None if np.isnan(own["right"]) else bool(own["right"]),
        "change": "" if np.isnan(both).any() else names[int(both[0]), int(both[1])],
        "recall": _plain(own.get("recall50")),
        "kept": _plain(own.get("area")),
        "regions": [] if regions is None else np.reshape(regions, (-1, 4)).astype(int).tolist(),
        "tokens": _plain(base.get("image_tokens")),
        "replies": [
            {
                "method": look_of(LOOKS, name).label,
                "correct": None if np.isnan(row["right"]) else bool(row["right"]),
                **{key: _plain(row.get(key)) for key in ("letter", "reply", "error")},
            }
            for name, row in by.items()
        ],
        "cause": None,
    }


def _plain(value: Any) -> Any:
    """A cell of a table as JSON has it; None where it is missing."""
    return None if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)) else value


def _shown(case: dict[str, Any], sample: Sample | None, gone: Mapping[str, str]) -> dict[str, str]:
    """Add to a case what its sample says, or why nothing; returns its pictures as they stand in the page."""
    if sample is None:
        case["why"] = gone.get(case["id"], "no picture and no question: it is not among the samples")
        return {}
    case |= {"question": sample.question, "options": list(sample.options or ()), "answer": sample.answer}
    try:
        picture, truth = sample.sheet
    except (OSError, ValueError) as error:
        case["why"] = f"no picture: {error}"
        return {}
    regions = [tuple(region) for region in case["regions"]]
    case |= {"size": list(picture.size), "truth": [list(map(float, box)) for box in truth]}
    shown = {"picture": _data_uri(picture.convert("RGB"), *PICTURE)}
    if regions:
        shown["compact"] = _data_uri(_compact(sample, picture, regions), *COMPACT)
    return shown


def _compact(sample: Sample, sheet: Image.Image, regions: Sequence[lpd.Region]) -> Image.Image:
    """The compact image of the regions; of several pictures that of each, from left to right."""
    if not sample.more:
        return composite_on_white(lpd.compact_image(sheet, regions))
    parts, left = [], 0
    for image in sample.images:
        own = [(x0 - left, y0, x1 - left, y1) for x0, y0, x1, y1 in regions if left <= x0 < left + image.width]
        parts += [composite_on_white(lpd.compact_image(image, own))] if own else []
        left += image.width
    whole = Image.new("RGB", (sum(part.width for part in parts), max(part.height for part in parts)), "white")
    for number, part in enumerate(parts):
        whole.paste(part, (sum(one.width for one in parts[:number]), 0))
    return whole


def _data_uri(picture: Image.Image, side: int, most: int) -> str:
    """A picture as the address that holds it, at most `side` pixels long and of at most `most` bytes before base64."""
    picture = picture.copy()
    picture.thumbnail((side, side))
    for quality in QUALITIES:
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=quality)
        if stream.tell() <= most:
            break
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _json(value: Any) -> str:
    """JSON that may stand within a script element, whatever its texts are."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def gallery_path(name: str) -> Path:
    """Where the gallery of a run or notebook lies: below ``data/results/galleries``, which is not committed."""
    plain = re.sub(r"[^\w.-]+", "-", name)
    return paths.RESULTS / "galleries" / f"{plain}.html"
