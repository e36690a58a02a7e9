"""What every benchmark format shares: rows that say where an error is, and pictures that stay in their files."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from string import ascii_uppercase as LETTERS
from typing import Any

from PIL import Image

from hide_utils.images import ImageError, read_image, upright_size
from hide_utils.prompts import ANSWER_INSTRUCTION
from hide_utils.samples import Box, Sample

CALIBRATION_SHARE = 0.2
DAMAGED = "the file is cut short or damaged: download it again"
_HEAD = 48 * 1024  # bytes of a picture that its key depends on. Being a multiple of 3, it ends a group of base64 too.
_LETTERED = re.compile(r"\s*\(?([A-Z])[).:]\s*(.*)")  # "(A) red", "A. red", "A: red"


@dataclass(frozen=True)
class StoredImage:
    """A picture that stays in its file until it is called.

    Attributes:
        where: file, row and field, for errors.
        key: hash of its content, in hex. It covers the size and the first 48 KiB of the encoded picture, so that it
            costs little to compute.
        fetch: reads the encoded bytes.
        max_megapixels: larger pictures are refused.
    """

    where: str
    key: str
    fetch: Callable[[], bytes]
    max_megapixels: float = 100

    def __call__(self) -> Image.Image:
        """Decode the picture as RGB, as `hide_utils.images.read_image` does.

        Raises:
            ImageError: for a picture that cannot be used, with the file, row and field.
        """
        try:
            return read_image(self.fetch(), max_megapixels=self.max_megapixels)
        except ValueError as error:  # ImageError, or binascii's for broken base64
            raise ImageError(f"{self.where}: {error}") from error

    def size_wh(self) -> tuple[int, int]:
        """Width and height of the upright picture in pixels, from its head alone.

        Raises:
            ImageError: for what the head shows to be unusable, with the file, row and field.
        """
        try:
            return upright_size(self.fetch())
        except ValueError as error:
            raise ImageError(f"{self.where}: {error}") from error

    @property
    def split(self) -> str:
        """``"calibration"`` or ``"test"``, by the picture's content and so the same in every benchmark and format."""
        return "calibration" if int(self.key, 16) < CALIBRATION_SHARE * 16 ** len(self.key) else "test"


@dataclass(frozen=True)
class Row:
    """One row of a benchmark's file; its errors name file, row and field.

    Attributes:
        file: that it stands in.
        number: counted from 1.
        fields: values by name.
    """

    file: Path
    number: int
    fields: Mapping[str, Any]

    def where(self, field: str) -> str:
        """File, row and field in words."""
        return f"{self.file}, row {self.number}, field {field!r}"

    def error(self, field: str, what: str) -> ValueError:
        """The error to raise for a field; `what` says what is wrong with it."""
        return ValueError(f"{self.where(field)}: {what}")

    def text(self, *names: str) -> str:
        """The first of the named fields that is there, as text without surrounding space.

        Raises:
            ValueError: where all are missing, or it is empty or no text or number.
        """
        value = next((self.fields[name] for name in names if self.fields.get(name) is not None), "")
        if not isinstance(value, (str, int, float)) or not str(value).strip():
            raise self.error(names[0], f"missing or empty; the row has {', '.join(map(str, self.fields))}")
        return str(value).strip()

    def texts(self, name: str) -> list[str]:
        """A field that is a list of texts, each without surrounding space.

        Raises:
            ValueError: where it is anything else, or one of the texts is empty.
        """
        value = self.fields.get(name)
        if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
            raise self.error(name, f"want a list of texts, not {value!r:.80}")
        return [item.strip() for item in value]

    def boxes(self, name: str) -> list[Box]:
        """A field of V*Bench's boxes: a list of ``[x, y, w, h]`` in pixels, or one such box alone.

        Returns:
            Boxes as (x0, y0, x1, y1) in pixels, half-open.

        Raises:
            ValueError: for anything else, and for a box without width or height.
        """
        boxes = self.fields.get(name)
        boxes = [boxes] if isinstance(boxes, list) and boxes and not isinstance(boxes[0], list) else boxes
        if not isinstance(boxes, list):
            raise self.error(name, f"want a list of x, y, w, h, not {boxes!r:.80}")
        for box in boxes:
            numbers = box if isinstance(box, list) and all(type(v) in (int, float) for v in box) else []
            if len(numbers) != 4 or not all(map(math.isfinite, numbers)) or min(numbers[2:]) <= 0:
                raise self.error(name, f"{box!r:.80} is no x, y, w, h in pixels with w, h > 0")
        return [(float(x), float(y), float(x + w), float(y + h)) for x, y, w, h in boxes]

    def path(self, name: str, *bases: Path) -> Path:
        """The file that a field names, looked for below each of the folders `bases` in turn.

        Raises:
            ValueError: for a path that leads out of its folder.
            FileNotFoundError: where none of the folders has it.
        """
        value = self.text(name)
        check_inside(value, self.where(name))
        for base in bases:
            with contextlib.suppress(OSError):  # the system refuses a name that is too long
                if (base / value).is_file():
                    return base / value
        raise FileNotFoundError(f"{self.where(name)}: no file {bases[0] / value}; is the benchmark here whole?")

    def picture(self, name: str, path: Path) -> StoredImage:
        """The picture in a file of its own at `path`, which the field `name` names."""
        with path.open("rb") as stream:
            key = _key(stream.read(_HEAD), path.stat().st_size)
        return StoredImage(f"{self.where(name)} ({path.name})", key, path.read_bytes)

    def sample(self, id: str, question: str, options: list[str], label: str, label_field: str, **rest: Any) -> Sample:
        """The row as a sample.

        Args:
            id: unique within the benchmark.
            question: text without the options.
            options: 2 to 26 texts without their letters.
            label: letter of the right option, as ``B``, ``B.`` or ``(B)``.
            label_field: name of the field that it comes from, for errors.
            **rest: further fields of `Sample`.

        Raises:
            ValueError: for too few or too many options, and for a label that is none of their letters.
        """
        letter = label.strip("(). ")
        if not 2 <= len(options) <= len(LETTERS):
            raise self.error("question", f"{len(options)} lettered option(s) found; a question has 2 to {len(LETTERS)}")
        if len(letter) != 1 or letter not in LETTERS[: len(options)]:
            raise self.error(label_field, f"{label!r} is none of the letters {LETTERS[: len(options)]}")
        return Sample(id, question, options, letter, **rest)


def check_inside(name: str, where: str) -> None:
    """Refuse a path that leads out of the folder it is relative to.

    Links below the folder are followed: only the user can have made them.

    Raises:
        ValueError: for a path that any system takes for absolute, or that has ``..`` in it; `where` begins the message.
    """
    path = PureWindowsPath(name)  # splits at both kinds of slash and knows drives
    if path.anchor or ".." in path.parts:
        raise ValueError(f"{where}: {name!r} leads out of the data folder: make it relative, without '..'")


def split_options(text: str) -> tuple[str, list[str]]:
    """Split a text that ends in lines ``(A) ...``, ``(B) ...`` into the question and its options.

    A line among the options without a letter continues the option above it. The instruction to answer with a letter
    is left out.

    Returns:
        The question, and the options without letters: at most one where the text holds no such list.
    """
    lines = text.replace(ANSWER_INSTRUCTION, "").strip().splitlines()
    matches = [_LETTERED.fullmatch(line) for line in lines]
    options: list[str] = []
    # A line of the question may look like an option, as "A. Smith's sign says what?" does. So the search goes from the
    # end, and takes the first "A" that a "B" follows.
    for start in (i for i in reversed(range(len(lines))) if (match := matches[i]) and match[1] == LETTERS[0]):
        options = []
        for line, match in zip(lines[start:], matches[start:], strict=True):
            if match and LETTERS[len(options) :].startswith(match[1]):
                options.append(match[2].strip())
            else:
                options[-1] = f"{options[-1]} {line.strip()}".strip()
        if len(options) > 1:
            return "\n".join(lines[:start]).strip(), options
    return "\n".join(lines), options


def strip_letters(options: list[str]) -> list[str]:
    """Take the letters off options, where each begins with its own.

    Otherwise they are returned as they are, since a single option may only look like a lettered one.
    """
    matches = [_LETTERED.fullmatch(option) for option in options]
    own = [m[2].strip() for m, letter in zip(matches, LETTERS, strict=False) if m and m[1] == letter]
    return own if len(own) == len(options) else options


def image_bytes(cell: Any) -> bytes:
    """Encoded picture in a table's cell, which holds base64, bytes, or a mapping with ``bytes``.

    Raises:
        ValueError: for any other cell, and for broken base64.
    """
    cell = cell.get("bytes") if isinstance(cell, dict) else cell
    if isinstance(cell, str):
        return base64.b64decode(cell, validate=True)
    if isinstance(cell, bytes):
        return cell
    raise ValueError(f"want base64 or bytes, not {type(cell).__name__}")


def cell_keys(cell: Any) -> tuple[str, str]:
    """Hashes of a picture in a table's cell: `StoredImage.key`, and one of the whole cell, both in hex.

    Raises:
        ValueError: for a cell without a picture, and for base64 that was cut short.
    """
    cell = cell.get("bytes") if isinstance(cell, dict) else cell
    if not cell or not isinstance(cell, (str, bytes)):
        raise ValueError("no picture in it")
    raw = cell.encode() if isinstance(cell, str) else cell
    whole = hashlib.blake2b(raw, digest_size=8).hexdigest()
    if isinstance(cell, bytes):
        return _key(cell[:_HEAD], len(cell)), whole
    if len(cell) % 4:
        raise ValueError(f"{len(cell)} characters are no whole base64; {DAMAGED}")
    size = len(cell) // 4 * 3 - (len(cell) - len(cell.rstrip("=")))
    return _key(image_bytes(cell[: _HEAD // 3 * 4]), size), whole


def _key(head: bytes, size: int) -> str:
    """`StoredImage.key` of a picture of `size` encoded bytes, of which `head` holds the first 48 KiB."""
    return hashlib.blake2b(head + size.to_bytes(8, "big"), digest_size=8).hexdigest()
