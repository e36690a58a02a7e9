"""HRScene's diagnostic pictures: grids of equal cells with one needle, and what their own code scores as right.

WhiteBackground has a photograph in one cell of a white grid and a question about it. ComplexGrid has a photograph in
every cell and the caption of one of them. Each needle is asked about at every place of every grid.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from hide_utils.benchmarks.rows import Row, StoredImage
from hide_utils.prompts import as_text, option_texts
from hide_utils.samples import Box, Sample

CAPTION_QUESTION = (
    'The picture is a grid of smaller pictures. In which row and which column is the one that fits "{caption}" best? '
    "Count rows from the top and columns from the left, both from 1."
)


@dataclass(frozen=True)
class Place:
    """Where a needle lies: its grid's number of rows and of columns, and its own, counted from 0."""

    needle: str
    grid: int
    row: int
    column: int

    @property
    def kind(self) -> str:
        """The grid in words, which is the kind of such a sample."""
        return f"{self.grid}x{self.grid}"

    @property
    def id(self) -> str:
        """The grid, and what HRScene's code takes for an id: needle, row and column."""
        return f"{self.kind}-{self.needle}_{self.row}_{self.column}"

    def box(self, image_size_wh: tuple[int, int]) -> Box:
        """The needle's cell in pixels, xyxy: the picture's share that its place has in a grid of equal cells."""
        width, height = (side / self.grid for side in image_size_wh)
        return self.column * width, self.row * height, (self.column + 1) * width, (self.row + 1) * height


def place_of(task: str, file: Path, value: Any) -> Place:
    """The place of a needle, from its file's path and its id.

    Args:
        task: "whitebackground" or "complexgrid", as HRScene's configurations begin.
        file: its path names the configuration, as in ``whitebackground_3x3/test-00000-of-00001.parquet``.
        value: the id, ``NEEDLE_ROW_COLUMN`` counted from 0, or of a grid of one cell the needle alone.

    Raises:
        ValueError: for a path without a grid, and for an id that is no place in it.
    """
    named = re.findall(rf"{task}_(\d+)x(?:\1)(?!\d)", file.as_posix().lower())
    if not named:
        raise ValueError(f"which grid? HRScene's folders say it: put the file into one called {task}_3x3, say")
    grid, text = int(named[-1]), as_text(value)
    whole = re.fullmatch(r"(.+)_(\d+)_(\d+)", text)
    place = Place(whole[1], grid, int(whole[2]), int(whole[3])) if whole else Place(text, grid, 0, 0)
    if not place.needle or max(place.row, place.column) >= grid or (grid > 1 and not whole):
        raise ValueError(f"{text!r} is no NEEDLE_ROW_COLUMN in a grid of {grid} by {grid}, counted from 0")
    return place


def parts_of(sample_id: str) -> Place | None:
    """The place of a needle from the id of its sample; None for any other sample."""
    found = re.fullmatch(r"\w+-(\d+)x\1-(.+)_(\d+)_(\d+)", sample_id)
    return Place(found[2], int(found[1]), int(found[3]), int(found[4])) if found else None


def needle(row: Row, task: str, picture: StoredImage, size_wh: Callable[[], tuple[int, int]], prefix: str) -> Sample:
    """The sample of a row of HRScene's diagnosis.

    Its kind is the grid, its true box the needle's cell. Its `Sample.image_id` names the needle: pictures of one needle
    are drawn together, lie in one split, and count as one in intervals.

    Args:
        row: with the columns of its format in ``tables.yaml``.
        task: "whitebackground" or "complexgrid".
        picture: the row's picture.
        size_wh: tells its width and height in pixels.
        prefix: first part of the sample's id.

    Raises:
        ValueError: for a malformed row, with the file, row and field.
    """
    place = row.read("id", partial(place_of, task, row.file))
    about: dict[str, Any] = {
        "kind": place.kind, "render": replace(picture, belongs_to=place.needle), "image_id": f"{prefix}-{place.needle}",
        "boxes_xyxy": [place.box(size_wh())],
    }  # fmt: skip
    sample_id = f"{prefix}-{place.id}"
    if task == "complexgrid":
        about |= {"scorer": names_place, "style": "row and column"}
        question = CAPTION_QUESTION.format(caption=row.text("caption"))
        return row.free_sample(sample_id, question, row.text("answer"), "answer", **about)
    about |= {"scorer": agrees, "style": "short"}
    answers = row.read("answer", option_texts)
    return row.free_sample(sample_id, row.text("question"), answers, "answer", **about)


def agreement(reply: str, answers: Sequence[str]) -> float:
    """HRScene's score of a reply about WhiteBackground, in [0, 1].

    It is a third for each answer that stands in the reply, and at most 1. The ten answers of VQAv2's annotators repeat
    each other, so that what three of them say scores 1.
    """
    said = _last_line(reply)
    return min(sum(answer.lower() in said for answer in answers) / 3, 1) if said else 0.0


def agrees(reply: str, sample: Sample) -> bool:
    """Whether a reply about WhiteBackground has the whole score, as `agreement` counts."""
    return agreement(reply, sample.answers) == 1


def names_place(reply: str, sample: Sample) -> bool:
    """Whether a reply about ComplexGrid names the needle's row and column, read as HRScene's code reads them.

    Without the tags that are asked for, the first number is the row and the last one the column.
    """
    return _row_and_column(_last_line(reply)) == _row_and_column(sample.answers[0].lower()) is not None


def _row_and_column(text: str) -> tuple[int, int] | None:
    tagged = re.search(r"<row>(\d+)</row>.*?<col>(\d+)</col>", text)
    if tagged:
        return int(tagged[1]), int(tagged[2])
    numbers = re.findall(r"\d+", text)
    return (int(numbers[0][:2]), int(numbers[-1][-2:])) if numbers else None


def _last_line(reply: str) -> str:
    """What HRScene's code reads of a reply: its last line in small letters, without "answer:", stars and points."""
    return re.sub(r"answer:|[*.]", "", reply.split("\n")[-1].lower()).strip()
