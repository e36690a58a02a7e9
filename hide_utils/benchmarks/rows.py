"""What every benchmark format shares: rows whose errors say where they are, and pictures that stay in their files."""

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
_HEAD = 48 * 1024  # bytes of a picture that its key depends on; a multiple of 3, so that base64 can be cut there
_LETTERED = re.compile(r"\s*\(?([A-Z])[).:]\s*(.*)")


@dataclass(frozen=True)
class StoredImage:
    """A picture that stays in its file until called.

    Attributes:
        where: file, row and field, for errors.
        key: hash of its content (size and first 48 KiB of the encoded file, so that asking costs little).
        fetch: reads the encoded bytes.
        max_megapixels: larger pictures are refused.
    """

    where: str
    key: str
    fetch: Callable[[], bytes]
    max_megapixels: float = 100

    def __call__(self) -> Image.Image:
        """The picture as RGB (see `hide_utils.images.read_image`). Raises ImageError naming file, row and field."""
        try:
            return read_image(self.fetch(), max_megapixels=self.max_megapixels)
        except ValueError as error:  # ImageError, or binascii's for broken base64
            raise ImageError(f"{self.where}: {error}") from error

    def size_wh(self) -> tuple[int, int]:
        """Width and height as the picture will be read, from its head alone. Raises ImageError as a call does."""
        try:
            return upright_size(self.fetch())
        except ValueError as error:
            raise ImageError(f"{self.where}: {error}") from error

    @property
    def split(self) -> str:
        """``"calibration"`` or ``"test"`` by content: under every name and format a picture falls on the same side."""
        return "calibration" if int(self.key, 16) < CALIBRATION_SHARE * 16 ** len(self.key) else "test"


@dataclass(frozen=True)
class Row:
    """One row (counted from 1) of a benchmark's file. Its errors name file, row and field."""

    file: Path
    number: int
    fields: Mapping[str, Any]

    def where(self, field: str) -> str:
        """File, row and field in words."""
        return f"{self.file}, row {self.number}, field {field!r}"

    def error(self, field: str, what: str) -> ValueError:
        """The error to raise for a field."""
        return ValueError(f"{self.where(field)}: {what}")

    def text(self, *names: str) -> str:
        """The first of the named fields that is there, as text. Raises ValueError where all are missing or empty."""
        value = next((self.fields[name] for name in names if self.fields.get(name) is not None), "")
        if not isinstance(value, (str, int, float)) or not str(value).strip():
            raise self.error(names[0], f"missing or empty; the row has {', '.join(map(str, self.fields))}")
        return str(value).strip()

    def texts(self, name: str) -> list[str]:
        """A field that is a list of texts. Raises ValueError for anything else."""
        value = self.fields.get(name)
        if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
            raise self.error(name, f"want a list of texts, not {value!r:.80}")
        return [item.strip() for item in value]

    def boxes(self, name: str) -> list[Box]:
        """V*Bench's ``x, y, w, h`` in pixels as xyxy; one box may stand without its list. Raises ValueError."""
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
        """File that a field names, relative to the first of ``bases`` that has it.

        Raises ValueError for a path that leads out of its base, FileNotFoundError where no base has it.
        """
        value = self.text(name)
        check_inside(value, self.where(name))
        for base in bases:
            with contextlib.suppress(OSError):  # longer than a name may be
                if (base / value).is_file():
                    return base / value
        raise FileNotFoundError(f"{self.where(name)}: no file {bases[0] / value}; is the benchmark here whole?")

    def picture(self, name: str, path: Path) -> StoredImage:
        """The picture in a file of its own, named by a field."""
        with path.open("rb") as stream:
            key = _key(stream.read(_HEAD), path.stat().st_size)
        return StoredImage(f"{self.where(name)} ({path.name})", key, path.read_bytes)

    def sample(self, id: str, question: str, options: list[str], label: str, label_field: str, **rest: Any) -> Sample:
        """The sample; ``label`` is the right option's letter, as ``B`` or ``(B)``. Raises ValueError for any other."""
        letter = label.strip("(). ")
        if not 2 <= len(options) <= len(LETTERS):
            raise self.error("question", f"{len(options)} lettered option(s) found; a question has 2 to {len(LETTERS)}")
        if len(letter) != 1 or letter not in LETTERS[: len(options)]:
            raise self.error(label_field, f"{label!r} is none of the letters {LETTERS[: len(options)]}")
        return Sample(id, question, options, letter, **rest)


def check_inside(name: str, where: str) -> None:
    """Raises ValueError for a path that is absolute or climbs, on any system; links that the user made are followed."""
    path = PureWindowsPath(name)  # knows both kinds of slash, and drives
    if path.anchor or ".." in path.parts:
        raise ValueError(f"{where}: {name!r} leads out of the data folder: make it relative, without '..'")


def split_options(text: str) -> tuple[str, list[str]]:
    """Question and options of a text that ends in lines ``(A) ...``, ``(B) ...``; other lines there continue one."""
    lines = text.replace(ANSWER_INSTRUCTION, "").strip().splitlines()
    matches = [_LETTERED.fullmatch(line) for line in lines]
    options: list[str] = []
    # The question may have such a line itself ("A. Smith's sign says what?"): the last one that a B follows counts.
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
    """Options without their letters where each has its own; otherwise as they are (an option may look like one)."""
    matches = [_LETTERED.fullmatch(option) for option in options]
    own = [m[2].strip() for m, letter in zip(matches, LETTERS, strict=False) if m and m[1] == letter]
    return own if len(own) == len(options) else options


def image_bytes(cell: Any) -> bytes:
    """Encoded picture in a table's cell: base64, bytes, or a mapping with ``bytes``. Raises ValueError otherwise."""
    cell = cell.get("bytes") if isinstance(cell, dict) else cell
    if isinstance(cell, str):
        return base64.b64decode(cell, validate=True)
    if isinstance(cell, bytes):
        return cell
    raise ValueError(f"want base64 or bytes, not {type(cell).__name__}")


def cell_keys(cell: Any) -> tuple[str, str]:
    """`StoredImage.key` of a table's cell, and a hash of the whole cell. Raises ValueError for what is no whole base64."""
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
    return hashlib.blake2b(head + size.to_bytes(8, "big"), digest_size=8).hexdigest()
