"""What every benchmark format shares: rows that say where an error is, and pictures that stay in their files."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PureWindowsPath
from string import ascii_uppercase as LETTERS
from typing import Any, TypeVar, cast

from PIL import Image

from hide_utils.benchmarks.cells import DAMAGED, HEAD, key_of
from hide_utils.benchmarks.options import letter_of, split_options
from hide_utils.files import hash_file
from hide_utils.images import LFS_HINT, LFS_POINTER, ImageError, read_image, upright_size
from hide_utils.prompts import as_text
from hide_utils.samples import Sample
from hide_utils.scoring import check_answers

CALIBRATION_SHARE = 0.2
Value = TypeVar("Value")


@dataclass(frozen=True)
class StoredImage:
    """A picture that stays in its file until it is called.

    Attributes:
        where: file, row and field, for errors.
        key: hash of its content, in hex. It covers the size and the first 48 KiB of the encoded picture, so that it
            costs little to compute.
        fetch: reads the encoded bytes.
        fingerprint: gives a hash of the whole picture as it is stored, in hex.
        max_megapixels: larger pictures are refused.
        belongs_to: pictures that belong to one thing lie in one split; empty for a picture of its own.
    """

    where: str
    key: str
    fetch: Callable[[], bytes]
    fingerprint: Callable[[], str]
    max_megapixels: float = 100
    belongs_to: str = ""

    def __call__(self) -> Image.Image:
        """Decode the picture as RGB, as `hide_utils.images.read_image` does.

        Raises:
            ImageError: for a picture that cannot be used, with the file, row and field.
        """
        return self._read(partial(read_image, max_megapixels=self.max_megapixels))

    def size_wh(self) -> tuple[int, int]:
        """Width and height of the upright picture in pixels, from its head alone.

        Raises:
            ImageError: for what the head shows to be unusable, with the file, row and field.
        """
        return self._read(partial(upright_size, max_megapixels=self.max_megapixels))

    def _read(self, reader: Callable[[bytes], Value]) -> Value:
        try:
            return reader(self.fetch())
        except ValueError as error:  # ImageError, or binascii's for broken base64
            raise ImageError(f"{self.where}: {error}") from error

    @property
    def split(self) -> str:
        """``"calibration"`` or ``"test"``, by the picture's content and so the same in every benchmark and format.

        Pictures that belong together are split by the name of what they belong to.
        """
        key = hashlib.blake2b(self.belongs_to.encode(), digest_size=8).hexdigest() if self.belongs_to else self.key
        return "calibration" if int(key, 16) < CALIBRATION_SHARE * 16 ** len(key) else "test"


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

    @classmethod
    def of(cls, file: Path, number: int, fields: Any, **default: Any) -> Row:
        """A row with these fields, and defaults for those that it lacks. Raises ValueError for what is no mapping."""
        if not isinstance(fields, dict):
            raise ValueError(f"{file}, row {number}: want a mapping of fields, not {fields!r:.80}")
        return cls(file, number, default | fields)

    @classmethod
    def of_json(cls, file: Path, number: int, text: str) -> Row:
        """A row from a line of JSON. Raises ValueError for what is no mapping."""
        try:
            return cls.of(file, number, json.loads(text))
        except json.JSONDecodeError as error:
            raise ValueError(f"{file}, row {number}: no valid JSON ({error}); {DAMAGED}") from error

    @classmethod
    def of_note(cls, file: Path) -> Row:
        """The JSON beside one of V*Bench's pictures."""
        return cls.of_json(file, 1, text_of(file))

    def where(self, field: str) -> str:
        """File, row and field in words."""
        return f"{self.file}, row {self.number}, field {field!r}"

    def error(self, field: str, what: str) -> ValueError:
        """The error to raise for a field; `what` says what is wrong with it."""
        name = f" of sample {self.fields['id']!r}" if "id" in self.fields else ""
        return ValueError(f"{self.where(field)}{name}: {what}")

    def read(self, name: str, reader: Callable[[Any], Value]) -> Value:
        """What `reader` makes of a field; its ValueError gets file, row and field."""
        try:
            return reader(self.fields.get(name))
        except ValueError as error:
            raise self.error(name, str(error)) from error

    def text(self, *names: str) -> str:
        """The first of the named fields that is there, as text without surrounding space.

        Raises:
            ValueError: where all are missing, or one is no text or number, or holds half a character.
        """
        found = next(filter(None, (self.read(name, as_text) for name in names)), "")
        if not found:
            raise self.error(names[0], f"missing or empty; the row has {', '.join(map(str, self.fields))}")
        return found

    def question(self, name: str) -> tuple[str, list[str]]:
        """A field that holds a question and its options, told apart by `split_options`."""
        return self.read(name, split_options)

    def path(self, name: str, *bases: Path) -> Path:
        """The file that a field names, looked for below each of the folders `bases` in turn.

        Raises:
            ValueError: for a path that leads out of its folder.
            FileNotFoundError: where none of the folders has it.
        """
        return _file(self.text(name), self.where(name), bases)

    def paths(self, name: str, *bases: Path) -> list[Path]:
        """The files that a field names in a list, or the one that it names alone; as `path`.

        Raises:
            ValueError: for a path that leads out of its folder, an empty list, and one that holds something else.
            FileNotFoundError: where none of the folders has a file. Of a list, the message has its number.
        """
        value = self.fields.get(name)
        if not isinstance(value, list):
            return [self.path(name, *bases)]
        texts = self.read(name, lambda _: [as_text(one) for one in value])
        if not texts or "" in texts:
            gap = f"entry {texts.index('') + 1} of {len(texts)} is empty" if texts else "the list is empty"
            raise self.error(name, f"{gap}: name a picture")
        return [
            _file(text, f"{self.where(name)}, entry {number} of {len(texts)}", bases)
            for number, text in enumerate(texts, 1)
        ]

    def picture(self, name: str, path: Path) -> StoredImage:
        """The picture in a file of its own at `path`, which the field `name` names."""
        with path.open("rb") as stream:
            key = key_of(stream.read(HEAD), path.stat().st_size)
        return StoredImage(f"{self.where(name)} ({path.name})", key, path.read_bytes, partial(hash_file, path))

    def sample(self, id: str, question: str, options: list[str], label: str, label_field: str, **rest: Any) -> Sample:
        """The row as a sample.

        Args:
            id: unique within the benchmark.
            question: text without the options.
            options: 2 to 26 texts without their letters.
            label: letter of the right option, as ``B``, ``b.`` or ``(B)``.
            label_field: name of the field that it comes from, for errors.
            **rest: further fields of `Sample`.

        Raises:
            ValueError: for too few or too many options, and for a label that is none of their letters.
        """
        letter = letter_of(label)
        if not 2 <= len(options) <= len(LETTERS):
            raise self.error("question", f"{len(options)} lettered option(s) found; a question has 2 to {len(LETTERS)}")
        if len(letter) != 1 or letter not in LETTERS[: len(options)]:
            raise self.error(label_field, f"{label!r} is none of the letters {LETTERS[: len(options)]}")
        return Sample(id, question, options, letter, **rest)

    def free_sample(self, id: str, question: str, answers: Any, answer_field: str, **rest: Any) -> Sample:
        """The row as a sample without options.

        Args:
            id: unique within the benchmark.
            question: its text.
            answers: accepted ones, a list or one alone.
            answer_field: name of the field that they come from, for errors.
            **rest: further fields of `Sample`.

        Raises:
            ValueError: for what `Sample` refuses, and for answers that the scorer could never find.
        """
        listed = answers if isinstance(answers, list) else [answers]
        try:
            sample = Sample(id, question, [], "", answers=listed, **rest)
            check_answers(sample)
        except ValueError as error:
            raise self.error(answer_field, str(error)) from error
        return sample


def _file(name: str, where: str, bases: Sequence[Path]) -> Path:
    check_inside(name, where)
    for base in bases:
        with contextlib.suppress(OSError):  # the system refuses a name that is too long
            if (base / name).is_file():
                return base / name
    raise FileNotFoundError(f"{where}: no file {bases[0] / name}; is the benchmark here whole?")


def check_inside(name: str, where: str) -> None:
    """Refuse a path that leads out of the folder it is relative to.

    Links below the folder are followed: only the user can have made them.

    Raises:
        ValueError: for a path that any system takes for absolute, or that has ``..`` in it; `where` begins the message.
    """
    path = PureWindowsPath(name)  # splits at both kinds of slash and knows drives
    if path.anchor or ".." in path.parts:
        raise ValueError(f"{where}: {name!r} leads out of the data folder: make it relative, without '..'")


def refuse_pointer(file: Path) -> None:
    """Raises ValueError for a file that Git LFS has not fetched."""
    with file.open("rb") as stream:
        if stream.read(len(LFS_POINTER)) == LFS_POINTER:
            raise ValueError(f"{file} {LFS_HINT}")


def text_of(file: Path) -> str:
    """The whole of a file in UTF-8. Raises ValueError for any other encoding and for a pointer of Git LFS."""
    refuse_pointer(file)
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: no UTF-8 ({error}): save it as UTF-8") from error


def one_name_a_picture(samples: Sequence[Sample]) -> None:
    """Give questions about the same bytes, of all their pictures, one `Sample.image_id`, which is the first of theirs.

    Whole files are read only where their keys agree.
    """
    shown = [cast(list[StoredImage], sample.renders) for sample in samples]
    keys = [tuple(picture.key for picture in pictures) for pictures in shown]
    times = Counter(key for key, _ in {(key, sample.image_id) for key, sample in zip(keys, samples, strict=True)})
    first: dict[tuple, str] = {}
    for key, pictures, sample in zip(keys, shown, samples, strict=True):
        whole = [hashlib.blake2b(picture.fetch()).digest() for picture in pictures] if times[key] > 1 else []
        sample.image_id = first.setdefault((key, *whole), sample.image_id)
