"""Readers of the published formats: V*Bench's folder, HR-Bench's tables, MME-RealWorld's and the authors' JSON."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain, count, islice
from pathlib import Path
from string import ascii_uppercase as LETTERS
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hide_utils.benchmarks.boxes import ask_for_format, read_boxes
from hide_utils.benchmarks.options import strip_letters
from hide_utils.benchmarks.rows import DAMAGED, Row, StoredImage, cell_keys, image_bytes, text_of
from hide_utils.prompts import as_text, option_texts
from hide_utils.samples import Sample
from hide_utils.scenes.questions import KINDS

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".JPG", ".JPEG", ".PNG")
_PICTURE = re.compile(r"[A-Za-z0-9+/=]{4096,}")  # base64, longer than any text
_PLACE = re.compile(r"\0(\d+)\0")  # stands where a picture was taken out
_GAPS = ("", "nan", "<na>", "null")  # what stands where there is no option, if anything does
TABLE_COLUMNS = ("index", "question", "answer", "category", "A", "B", "image")


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


# HR-Bench -------------------------------------------------------------------------------------------------------------


def read_tables(files: list[Path], prefix: str) -> list[Sample]:
    """Read HR-Bench (DreamMr/HR-Bench on the hub) from one TSV, or from Parquet files.

    The pictures stay in the files. Memory holds one row of a TSV, or one page of a Parquet file, at a time. The four
    cycles of a question show the same picture, and so share `Sample.image_id`. The last picture is decoded, since a
    file that was cut short ends in a broken one.

    Raises:
        ValueError: for a malformed file, with the file, row and field.
    """
    samples = []
    for file in files:
        rows = _tsv_rows(file) if file.suffix == ".tsv" else _parquet_rows(file)
        samples += [_table_sample(row, cell, fetch, prefix) for row, cell, fetch in rows]
    if samples:
        replace(cast(StoredImage, samples[-1].render), max_megapixels=float("inf"))()
    return samples


def _table_sample(row: Row, cell: Any, fetch: Callable[[], bytes], prefix: str) -> Sample:
    given = [letter for letter in LETTERS if row.read(letter, as_text).casefold() not in _GAPS]
    for own, letter in zip(LETTERS, given, strict=False):
        if letter != own:
            raise row.error(own, f"empty, though option {letter} is not")
    options = [row.text(letter) for letter in given]
    key, whole = row.read("image", lambda _: cell_keys(cell))
    picture = StoredImage(row.where("image"), key, fetch, fingerprint=partial(str, whole))
    return row.sample(
        f"{prefix}-{row.text('index')}", row.text("question"), strip_letters(options), row.text("answer"), "answer",
        kind=row.text("category"), render=picture, image_id=f"{prefix}-{whole}",
        cycle=row.read("cycle_category", as_text),
    )  # fmt: skip


def _check_columns(file: Path, columns: list[str]) -> None:
    """Raises ValueError where one of `TABLE_COLUMNS` is missing."""
    for name in TABLE_COLUMNS:
        if name not in columns:
            raise ValueError(f"{file}, row 0 (header), field {name!r}: missing; it has {', '.join(columns)[:200]}")


def _tsv_rows(file: Path) -> Iterator[tuple[Row, str, Callable[[], bytes]]]:
    """Each row without its picture, the picture's cell, and a function that reads the encoded picture again."""
    with file.open("rb") as stream:
        header = _tsv_record(stream, file, 0) or []
        _check_columns(file, header)
        for number in count(1):
            start = stream.tell()
            cells = _tsv_record(stream, file, number)
            if cells is None:
                return
            if len(cells) != len(header):
                field = header[min(len(cells), len(header) - 1)]
                raise Row(file, number, {}).error(field, f"{len(cells)} cells under {len(header)} names; {DAMAGED}")
            fields = dict(zip(header, cells, strict=True))
            fetch = partial(_tsv_picture, file, start, number, header.index("image"))
            yield Row(file, number, fields), fields.pop("image"), fetch


def _tsv_record(stream: BinaryIO, file: Path, number: int) -> list[str] | None:
    """Cells of the next record; None at the end of the file.

    Quoted cells may hold tabs and line ends, as pandas writes them. Raises ValueError for what is no TSV.
    """
    line = stream.readline()
    while line and not line.strip():
        line = stream.readline()
    try:
        text = line.decode("utf-8-sig")
        if '"' not in text:
            return text.rstrip("\r\n").split("\t") if text else None
        # The csv module is slow on pictures and needs many times their memory, so they are taken out before it reads.
        pictures: list[str] = []

        def aside(match: re.Match[str]) -> str:
            pictures.append(match[0])
            return f"\0{len(pictures) - 1}\0"

        rest = (part.decode() for part in iter(stream.readline, b""))
        lines = (_PICTURE.sub(aside, part) for part in chain([text], rest))
        cells = next(csv.reader(lines, delimiter="\t", strict=True))
        return [_PLACE.sub(lambda m: pictures[int(m[1])], cell) for cell in cells]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{file}, row {number}: not readable as TSV ({error}); {DAMAGED}") from error


def _tsv_picture(file: Path, start: int, number: int, column: int) -> bytes:
    """Encoded picture in a column of the record that begins at byte `start`; `number` is its row, for errors."""
    with file.open("rb") as stream:
        stream.seek(start)
        cells = _tsv_record(stream, file, number) or []
    return image_bytes(cells[column])


def _parquet_rows(file: Path) -> Iterator[tuple[Row, Any, Callable[[], bytes]]]:
    """Each row without its picture, the picture's cell, and a function that reads the encoded picture again."""
    number = 0
    try:
        with _open_parquet(file) as table:
            _check_columns(file, table.schema_arrow.names)
            for group in range(table.num_row_groups):
                for place, batch in enumerate(table.iter_batches(batch_size=1, row_groups=[group])):
                    number += 1
                    fields = batch.to_pylist()[0]
                    yield Row(file, number, fields), fields.pop("image"), partial(_parquet_picture, file, group, place)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{file}, row {number + 1}: not readable as Parquet ({error}); {DAMAGED}") from error


def _open_parquet(file: Path) -> pq.ParquetFile:
    # Without pre-buffering and with a small buffer, pages are read one by one instead of a whole row group at once.
    return pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20)


def _parquet_picture(file: Path, group: int, place: int) -> bytes:
    with _open_parquet(file) as table:
        batches = table.iter_batches(batch_size=1, row_groups=[group], columns=["image"])
        return image_bytes(next(islice(batches, place, None)).to_pylist()[0]["image"])


# JSON lists -----------------------------------------------------------------------------------------------------------


def read_list(file: Path, prefix: str, box_format: str | None) -> list[Sample]:
    """Read a JSON list: MME-RealWorld's, whose rows have a field ``Question_id``, or one in the authors' format.

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
    samples = [(_mme_sample if "Question_id" in row.fields else _authors_sample)(row, prefix) for row in found]
    if not any(row.fields["box_format"] for row in found):
        ask_for_format(file, samples)
    return samples


def _mme_sample(row: Row, prefix: str) -> Sample:
    folder = row.file.parent
    path = row.path("Image", folder, folder / "imgs", folder / "images", folder / "data")
    return row.sample(
        f"{prefix}-{row.text('Question_id')}", row.text("Text"), row.read("Answer choices", strip_letters),
        row.text("Ground truth"), "Ground truth",
        kind=f"{row.text('Task')}/{row.text('Subtask')}", render=row.picture("Image", path), image_id=row.text("Image"),
        style="mme_realworld",
    )  # fmt: skip


def _authors_sample(row: Row, prefix: str) -> Sample:
    """A row ``{id, question, labels, image_path, category, box_json?, box_format?, entities?}`` of the authors' format.

    The options stand in the question. ``box_json`` may be the path of a V*Bench JSON, or boxes as in one. The authors'
    code passes it on without reading it. Ours besides: ``image_path`` may be a list of pictures, to which belongs a
    list of boxes each, and ``entities`` lists what is asked about.
    """
    folder = row.file.parent
    pictures = [row.picture("image_path", path) for path in row.paths("image_path", folder)]
    question, options = row.question("question")
    if isinstance(row.fields.get("box_json"), str) and len(pictures) == 1:
        truth = _truth(Row.of_note(row.path("box_json", folder)), pictures[0])
    else:
        truth = row.read("box_json", partial(_boxes_of, pictures, row.fields["box_format"]))
    if row.fields.get("entities"):
        truth["entities"] = row.read("entities", option_texts)
    named = row.fields["image_path"]
    return row.sample(
        f"{prefix}-{row.text('id')}", question, options, row.text("labels"), "labels",
        kind=row.text("category", "Category"), render=pictures[0], more=pictures[1:],
        image_id=" + ".join(map(as_text, named)) if isinstance(named, list) else row.text("image_path"), **truth,
    )  # fmt: skip


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
