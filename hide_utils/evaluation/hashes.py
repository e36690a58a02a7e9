"""Values, folders and pictures as short hashes, by which a result is known to belong to what it was made of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from hide_utils.files import hash_file, hash_json

ABOUT = (".md", ".csv", ".jsonl", ".png")  # endings of files that only tell about a model in whose folder they lie


def hash_picture(picture: Image.Image) -> str:
    """Hash of mode, size and pixels, as 16 hex digits."""
    return hashlib.sha256(f"{picture.mode} {picture.size}".encode() + picture.tobytes()).hexdigest()[:16]


def hash_folder(folder: str | Path, pattern: str = "*") -> str:
    """Hash of the names and contents of a folder's files, those of its folders too, as 16 hex digits.

    Notes, tables, logs and figures (`ABOUT`) do not count. Hidden files and folders do not either: git and the hub's
    client keep their own records there.

    Raises:
        FileNotFoundError: no file matches the pattern.
    """
    folder = Path(folder)
    seen = [p for p in folder.rglob(pattern) if not any(part[0] == "." for part in p.relative_to(folder).parts)]
    files = [p for p in seen if p.is_file() and p.suffix not in ABOUT]
    if not files:
        raise FileNotFoundError(f"{folder}: no file to hash; is this the right folder?")
    return hash_files(files, folder)


def hash_files(files: Iterable[Path], folder: Path) -> str:
    """Hash of the names below `folder` and the contents of files, in order of name, as 16 hex digits."""
    return hash_json([f"{p.relative_to(folder).as_posix()} {hash_file(p)}" for p in sorted(files)])
