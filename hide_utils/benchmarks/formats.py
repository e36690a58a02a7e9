"""Readers of V*Bench's folder, and of the JSON lists of MME-RealWorld, VisualProbe and the authors.

Tables are in `tables`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from string import ascii_uppercase as LETTERS
from typing import Any

import numpy as np

from hide_utils.benchmarks.boxes import ask_for_format, read_boxes
from hide_utils.benchmarks.cells import DAMAGED
from hide_utils.benchmarks.options import strip_letters
from hide_utils.benchmarks.rows import Row, StoredImage, text_of
from hide_utils.prompts import as_text, option_texts
from hide_utils.samples import Sample
from hide_utils.scenes.questions import KINDS

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".JPG", ".JPEG", ".PNG")
_CHOOSE = (
    "a question that ends in lettered options has `labels`, and one without has `answers` or `answer` in its place: "
    "give one of these"
)


# V*Bench --------------------------------------------------------------------------------------------------------------


def read_vstar(path: Path, prefix: str, seed: int, letters: str | None) -> list[Sample]:
    """Read V*Bench (craigwu/vstar_bench on the hub).

    Boxes and entities come from the JSON beside each picture, whichever questions are taken.

    Args:
        path: its folder, or a .jsonl in it.
        prefix: first part of the samples' ids.
        seed: of the shuffled letters.
        letters: ``"published"`` takes the questions of test_questions.jsonl as they are lettered there.
            ``"shuffled"`` takes those of the pictures' JSON, where the first option is always right. Their options are
            shuffled by `seed`, and the ids end in it. None takes the published ones where that file is.

    Raises:
        ValueError: for a malformed file, with the file, row and field.
        FileNotFoundError: for a missing picture or question file.
    """
    folder = path.parent if path.suffix == ".jsonl" else path
    listed = path if path.suffix == ".jsonl" else folder / "test_questions.jsonl"
    if letters == "published" or (letters is None and listed.is_file()):
        if not listed.is_file():
            raise FileNotFoundError(f"letters='published' needs {listed}; without it use letters='shuffled'")
        lines = enumerate(text_of(listed).split("\n"), 1)  # other line ends may stand within a text
        return [_vstar_lettered(Row.of_json(listed, i, line), folder, prefix) for i, line in lines if line.strip()]
    notes = [note for kind in KINDS for note in sorted((folder / kind).glob("*.json"))]
    if not notes:
        raise FileNotFoundError(f"{folder} has no pictures' JSON in {' or '.join(KINDS)}: download V*Bench whole")
    return [_vstar_shuffled(Row.of_note(note), prefix, seed) for note in notes]


def _vstar_lettered(row: Row, folder: Path, prefix: str) -> Sample:
    path = row.path("image", folder)
    question, options = row.question("text")
    note, picture = path.with_suffix(".json"), row.picture("image", path)
    return row.sample(
        f"{prefix}-{row.text('question_id')}", question, options, row.text("label"), "label",
        kind=row.text("category"), render=picture, image_id=path.relative_to(folder).as_posix(),
        **(_truth(Row.of_note(note), picture) if note.is_file() else {}),
    )  # fmt: skip


def _vstar_shuffled(row: Row, prefix: str, seed: int) -> Sample:
    kind, stem = row.file.parent.name, row.file.stem
    path = next((p for suffix in PICTURE_SUFFIXES if (p := row.file.with_suffix(suffix)).is_file()), None)
    if path is None:
        raise FileNotFoundError(f"{row.file}: its picture is not beside it ({stem}.jpg); is the benchmark here whole?")
    options, picture = row.read("options", strip_letters), row.picture("image", path)
    # Each question has a random stream of its own, so that a draw of some gives the letters that a draw of all gives.
    digest = hashlib.blake2b(f"{kind}/{stem}".encode(), digest_size=8).digest()
    order = np.random.default_rng([seed, *digest]).permutation(len(options)).tolist()
    label = LETTERS[order.index(0)] if options else ""
    return row.sample(
        f"{prefix}-{kind}-{stem}-s{seed}", row.text("question"), [options[i] for i in order], label, "options",
        kind=kind, render=picture, image_id=f"{kind}/{path.name}", **_truth(row, picture),
    )  # fmt: skip


def _truth(row: Row, picture: StoredImage) -> dict[str, Any]:
    """True boxes and their entities, as fields of `Sample`. Raises ValueError where there is not one box for each."""
    truth = row.read("bbox", partial(read_boxes, size_wh=picture.size_wh))
    boxes, entities = truth["boxes_xyxy"], row.read("target_object", option_texts)
    if len(boxes) != len(entities):
        raise row.error("bbox", f"{len(boxes)} boxes for {len(entities)} objects")
    return truth | {"entities": entities}


# JSON lists -----------------------------------------------------------------------------------------------------------


def read_list(file: Path, prefix: str, box_format: str | None) -> list[Sample]:
    """Read a JSON list, whose rows may be of several formats.

    MME-RealWorld's have a field ``Question_id``, VisualProbe's ``problem``, and the others are in the authors' format.
    Boxes are in `box_format`, unless their row has a field of that name.

    Raises:
        ValueError: for a malformed file, with the file, row and field.
        FileNotFoundError: for a missing picture.
    """
    try:
        rows = json.loads(text_of(file))
    except ValueError as error:
        raise ValueError(f"{file}: no valid JSON ({error}); {DAMAGED}") from error
    if not isinstance(rows, list):
        raise ValueError(f"{file}: want a list of questions, not {type(rows).__name__}")
    found = [Row.of(file, number, fields, box_format=box_format) for number, fields in enumerate(rows, 1)]
    readers = {"Question_id": _mme_sample, "problem": _probe_sample}
    samples = [
        next((readers[key] for key in readers if key in row.fields), _authors_sample)(row, prefix) for row in found
    ]
    if not any(row.fields["box_format"] for row in found):
        ask_for_format(file, samples)
    return samples


def _reader_of(row: Row) -> Callable[[Row, str], Sample]:
    named = {"Question_id": _mme_sample, "problem": _probe_sample}
    return next((reader for field, reader in named.items() if field in row.fields), _authors_sample)


def _mme_sample(row: Row, prefix: str) -> Sample:
    folder = row.file.parent
    path = row.path("Image", folder, folder / "imgs", folder / "images", folder / "data")
    return row.sample(
        f"{prefix}-{row.text('Question_id')}", row.text("Text"), row.read("Answer choices", strip_letters),
        row.text("Ground truth"), "Ground truth",
        kind=f"{row.text('Task')}/{row.text('Subtask')}", render=row.picture("Image", path), image_id=row.text("Image"),
        style="mme_realworld",
    )  # fmt: skip


def _probe_sample(row: Row, prefix: str) -> Sample:
    """A row ``{doc_id, images, problem, solution, data_source?}`` of VisualProbe (Mini-o3/VisualProbe_* on the hub).

    The columns are those that public code reads. Names of pictures begin with the repository's, in which they lie. The
    authors have a language model judge replies. Here they are scored as `normalised`, where nothing else is asked for.
    """
    given, folder = row.fields.get("images"), row.file.parent
    named = [re.sub(r"^VisualProbe_\w+/", "", as_text(one)) for one in (given if isinstance(given, list) else [given])]
    inside = replace(row, fields={**row.fields, "images": named})
    pictures = [row.picture("images", path) for path in inside.paths("images", folder)]
    return row.free_sample(
        f"{prefix}-{row.text('doc_id')}", row.text("problem").replace("<image>", "").strip(),
        row.fields.get("solution"), "solution", style="short",
        kind=row.read("data_source", as_text) or prefix, render=pictures[0], more=pictures[1:],
        image_id=" + ".join(named),
    )  # fmt: skip


def _authors_sample(row: Row, prefix: str) -> Sample:
    """A row ``{id, question, labels, image_path, category, box_json?, box_format?, entities?}`` of the authors' format.

    The options stand in the question. ``box_json`` may be the path of a V*Bench JSON, or boxes as in one. The authors'
    code passes it on without reading it. Ours besides: ``image_path`` may be a list of pictures, to which belongs a
    list of boxes each, and ``entities`` lists what is asked about. A question without options has ``answers``, or
    ``answer``, in place of ``labels``, and may have ``scorer``, ``tolerance`` and ``style``.
    """
    folder = row.file.parent
    pictures = [row.picture("image_path", path) for path in row.paths("image_path", folder)]
    if isinstance(row.fields.get("box_json"), str) and len(pictures) == 1:
        truth = _truth(Row.of_note(row.path("box_json", folder)), pictures[0])
    else:
        truth = row.read("box_json", partial(_boxes_of, pictures, row.fields["box_format"]))
    if row.fields.get("entities"):
        truth["entities"] = row.read("entities", option_texts)
    named = row.fields["image_path"]
    about = truth | {
        "kind": row.text("category", "Category"), "render": pictures[0], "more": pictures[1:],
        "image_id": " + ".join(map(as_text, named)) if isinstance(named, list) else row.text("image_path"),
    }  # fmt: skip
    sample_id, (question, options) = f"{prefix}-{row.text('id')}", row.question("question")
    given = [name for name in ("answers", "answer") if name in row.fields]
    given += ["labels"] if row.fields.get("labels") is not None else []
    if len(given) != 1 or (options and given != ["labels"]):
        raise row.error(given[0] if given else "labels", _CHOOSE)
    if given == ["labels"]:
        return row.sample(sample_id, question, options, row.text("labels"), "labels", **about)
    about |= {name: read for name in ("scorer", "style") if (read := row.read(name, as_text))}
    about["tolerance"] = row.read("tolerance", _tolerance)
    return row.free_sample(
        sample_id, question or row.text("question"), row.fields[given[0]], given[0], **{"style": "short"} | about
    )


def _tolerance(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | None):
        raise ValueError(f"want a number, not {value!r:.80}")
    return float(value or 0)


def _boxes_of(pictures: list[StoredImage], box_format: str | None, value: Any) -> dict[str, Any]:
    """Boxes of one picture, or a list of them for each of several, as fields of `Sample`."""
    if len(pictures) == 1:
        return read_boxes(value, pictures[0].size_wh, box_format)
    lists = [None] * len(pictures) if value is None else value
    if not isinstance(lists, list) or len(lists) != len(pictures):
        raise ValueError(f"want a list with the boxes of each of {len(pictures)} pictures ([] for none): {value!r:.80}")
    read = [read_boxes(boxes, one.size_wh, box_format) for boxes, one in zip(lists, pictures, strict=True)]
    return {
        "boxes_xyxy": [box for one in read for box in one["boxes_xyxy"]],
        "box_images": [number for number, one in enumerate(read) for _ in one["boxes_xyxy"]],
        "boxes_cut": sum(one.get("boxes_cut", 0) for one in read),
    }
