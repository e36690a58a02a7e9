"""A card that says what a benchmark holds, computed from its samples; on the command line, ``hide card vstar``."""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hide_utils.benchmarks.loading import LICENCES, SCORES, SOURCES, load_benchmark
from hide_utils.benchmarks.rows import StoredImage
from hide_utils.samples import Sample

MEGAPIXELS = (0, 1, 2, 4, 8, 16, 32, 64, float("inf"))  # edges of the histogram


def data_card(samples: Sequence[Sample], licence: str | None = None) -> dict[str, Any]:
    """Facts about a benchmark, computed from its samples.

    Every picture's size is looked up. Where the picture lies in a file, its head alone is read.

    Args:
        samples: of one benchmark.
        licence: what is known about it, in words.

    Returns:
        ``questions`` and ``pictures``, their numbers; ``splits`` (where the samples know theirs), ``kinds``,
        ``options`` (by how many a question has), ``labels`` (by right letter), ``in_free_text`` (None without
        any), ``scorers`` of those in free text and ``cycles``, numbers of questions; ``styles``, the wordings of the
        prompt; ``megapixels``, numbers of pictures by size; ``sides_px``, (width, height) of the smallest, the median
        and the largest picture by area; ``boxes_cut``, number of true boxes that reached over the edge and were cut,
        None without any; ``with_boxes`` and ``with_entities``, numbers of questions that have them; ``object_share``,
        the median share of the picture that a true box covers, None without boxes; ``licence``.

    Raises:
        ValueError: without samples.
        ImageError: for a picture whose size cannot be read.
    """
    if not samples:
        raise ValueError("no samples: a card describes at least one")
    sizes = {_picture(s, number): _size(one) for s in samples for number, one in enumerate(s.renders)}
    by_area = sorted(sizes.values(), key=lambda wh: (wh[0] * wh[1], wh))
    share = [
        (x1 - x0) * (y1 - y0) / math.prod(sizes[_picture(s, number)])
        for s in samples
        for number, boxes in enumerate(s.boxes_of_each)
        for x0, y0, x1, y1 in boxes
    ]
    splits = Counter(s.render.split for s in samples if isinstance(s.render, StoredImage))
    return {
        "questions": len(samples),
        "pictures": len(sizes),
        "splits": dict(splits),
        "kinds": dict(Counter(s.kind for s in samples)),
        "options": dict(sorted(Counter(len(s.options) for s in samples if s.options).items())),
        "labels": dict(sorted(Counter(s.label for s in samples if s.options).items())),
        "in_free_text": sum(not s.options for s in samples) or None,
        "scorers": dict(Counter(s.scored_by for s in samples if not s.options)),
        "cycles": dict(sorted(Counter(s.cycle for s in samples if s.cycle).items())),
        "styles": sorted({s.style for s in samples}),
        "megapixels": _histogram(sizes.values()),
        "sides_px": {name: by_area[i] for name, i in (("least", 0), ("median", len(by_area) // 2), ("most", -1))},
        "boxes_cut": sum(s.boxes_cut for s in samples) or None,
        "with_boxes": sum(bool(s.boxes_xyxy) for s in samples),
        "with_entities": sum(bool(s.entities) for s in samples),
        "object_share": float(np.median(share)) if share else None,
        "licence": licence or "not stated here: look at the benchmark's own page",
    }


def _picture(sample: Sample, number: int) -> tuple[str, str | int]:
    """What tells a picture from others. Pictures that count as one in statistics may share `Sample.image_id`."""
    render = sample.renders[number]
    return sample.image_id, render.key if isinstance(render, StoredImage) else number


def _size(render: Callable[[], Image.Image]) -> tuple[int, int]:
    return render.size_wh() if isinstance(render, StoredImage) else render().size


def _histogram(sizes_wh: Iterable[tuple[int, int]]) -> dict[str, int]:
    """Number of pictures by megapixels; empty bins are left out."""
    counts, _ = np.histogram([w * h / 1e6 for w, h in sizes_wh], MEGAPIXELS)
    names = [f"{a:g} to {b:g}" for a, b in zip(MEGAPIXELS[:-1], MEGAPIXELS[1:], strict=True)]
    return {name: int(n) for name, n in zip(names, counts, strict=True) if n}


def card_text(name: str, card: dict[str, Any]) -> str:
    """The card of `data_card` as Markdown: a heading and a table."""
    shown = {key: value for key, value in card.items() if value not in ({}, None)}
    if boxes := shown.pop("with_boxes"):
        shown["ground-truth boxes"] = f"{boxes} of {card['questions']} questions"
    else:
        shown["ground-truth boxes"] = "none: no oracle, and localisation cannot be measured"
    shown["reference entities"] = f"{shown.pop('with_entities')} of {card['questions']} questions"
    lines = [f"| {key.replace('_', ' ')} | {_text(value)} |" for key, value in shown.items()]
    return "\n".join([f"# {name}", "", "| | |", "|---|---|", *lines])


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_text(item)}" for key, item in value.items())
    if isinstance(value, tuple):
        return " x ".join(map(str, value))
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def main(argv: list[str] | None = None) -> None:
    """Print the card of the benchmark that the command line names; see ``--help``."""
    parser = argparse.ArgumentParser(prog="hide card", description="What a benchmark holds, computed from its samples.")
    parser.add_argument("benchmark", help=f"scenes, {', '.join(SOURCES)}, or a file or folder")
    parser.add_argument("--split", choices=["calibration", "test"])
    parser.add_argument("--n", type=int, help="at most so many questions, whole pictures")
    args = parser.parse_args(argv)
    repos = {source.repo: name for name, source in SOURCES.items()}
    name = repos.get(args.benchmark, args.benchmark)
    samples = load_benchmark(args.benchmark, split=args.split, n=args.n)
    card = data_card(samples, LICENCES.get(name))
    if name in SOURCES:
        card["scored by its authors as"] = SCORES[SOURCES[name].score]
    print(card_text(Path(name).name, card))
