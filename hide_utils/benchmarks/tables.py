"""Reader of published tables, TSV or Parquet, of which `tables.yaml` beside it says what stands in which column."""

from __future__ import annotations

import contextlib
import csv
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, count, islice
from pathlib import Path
from string import ascii_uppercase as LETTERS
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from hide_utils.benchmarks.boxes import read_corners
from hide_utils.benchmarks.cells import DAMAGED, cell_keys, image_bytes
from hide_utils.benchmarks.grids import needle
from hide_utils.benchmarks.options import leading_letter, split_options, strip_letters
from hide_utils.benchmarks.rows import Row, StoredImage
from hide_utils.files import data_of
from hide_utils.images import upright_size
from hide_utils.prompts import as_text
from hide_utils.samples import Sample

_PICTURE = re.compile(r"[A-Za-z0-9+/=]{4096,}")  # base64, longer than any text
_PLACE = re.compile(r"\0(\d+)\0")  # stands where a picture was taken out
_GAPS = ("", "nan", "<na>", "null")  # what stands where there is no option, if anything does
SKIPPED = ("crop_image",)  # columns of other pictures, which are large: ZoomBench's close-ups of the answer


@dataclass(frozen=True)
class Columns:
    """A table's format; the fields are explained where they are filled in, in ``tables.yaml``."""

    known_by: list[str]
    id: str
    question: str
    answer: str
    kind: list[str]
    options: str
    boxes: str = ""
    cycle: str = ""
    free: str = ""
    grid: str = ""

    @property
    def needed(self) -> list[str]:
        """Columns that a table in this format has."""
        listed = {"letters": ["A", "B"], "question": []}.get(self.options, [self.options])
        return [name for name in (self.id, self.question, self.answer, *self.kind, *listed, "image") if name]


FORMATS = {name: Columns(**columns) for name, columns in data_of(__file__).items()}


def read_tables(files: list[Path], prefix: str) -> list[Sample]:
    """Read a table in one of the `FORMATS`, from TSV or Parquet files.

    The pictures stay in the files. Memory holds one row of a TSV, or one page of a Parquet file, at a time. The four
    cycles of a question of HR-Bench show the same picture, and so share `Sample.image_id`. The last picture is decoded,
    since a file that was cut short ends in a broken one.

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
    columns = _format_of(row.fields)
    key, whole = row.read("image", lambda _: cell_keys(cell))
    picture = StoredImage(row.where("image"), key, fetch, fingerprint=partial(str, whole))
    size_wh = partial(_size_of, cell)  # since fetching a picture anew for its size takes long
    if columns.grid:
        return needle(row, columns.grid, picture, size_wh, prefix)
    about: dict[str, Any] = {
        "kind": "/".join(row.text(name) for name in columns.kind), "render": picture, "image_id": f"{prefix}-{whole}",
    }  # fmt: skip
    if columns.boxes:
        about |= row.read(columns.boxes, partial(read_corners, size_wh=size_wh))
    sample_id, answer = f"{prefix}-{row.text(columns.id)}", row.text(columns.answer)
    if columns.free and about["kind"] == columns.free:
        return row.free_sample(sample_id, row.text(columns.question), answer, columns.answer, style="short", **about)
    question, options = _question(row, columns)
    return row.sample(
        sample_id, question, options, leading_letter(answer), columns.answer,
        cycle=row.read(columns.cycle, as_text), **about,
    )  # fmt: skip


def _question(row: Row, columns: Columns) -> tuple[str, list[str]]:
    """The question without options, and its options without letters, from where the format has them."""
    if columns.options == "question":
        return row.question(columns.question)
    question = row.text(columns.question)
    if columns.options != "letters":
        return question, row.read(columns.options, strip_letters)
    given = [letter for letter in LETTERS if row.read(letter, as_text).casefold() not in _GAPS]
    for own, letter in zip(LETTERS, given, strict=False):
        if letter != own:
            raise row.error(own, f"empty, though option {letter} is not")
    options = strip_letters([row.text(letter) for letter in given])
    with contextlib.suppress(ValueError):  # which only says that the question does not end in options
        asked, listed = split_options(question)
        if listed == options:  # some of TreeBench's questions repeat their options
            question = asked
    return question, options


def _size_of(cell: Any) -> tuple[int, int]:
    return upright_size(image_bytes(cell))


def _format_of(names: Collection[str]) -> Columns:
    known = (columns for columns in FORMATS.values() if columns.known_by and set(columns.known_by) <= set(names))
    return next(known, FORMATS["HR-Bench"])


def _check_columns(file: Path, names: list[str]) -> None:
    """Raises ValueError where a column is missing that the table's format has."""
    for name in _format_of(names).needed:
        if name not in names:
            raise ValueError(f"{file}, row 0 (header), field {name!r}: missing; it has {', '.join(names)[:200]}")


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
            names = table.schema_arrow.names
            _check_columns(file, names)
            wanted = [name for name in names if name not in SKIPPED]
            for group in range(table.num_row_groups):
                for place, batch in enumerate(table.iter_batches(batch_size=1, row_groups=[group], columns=wanted)):
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
