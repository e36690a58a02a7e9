"""A picture in a table's cell: its encoded bytes, and the keys that tell it from others without decoding it."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

DAMAGED = "the file is cut short or damaged: download it again"
HEAD = 48 * 1024  # bytes of a picture that its key depends on. Being a multiple of 3, it ends a group of base64 too.


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
    """Hashes of a picture in a table's cell: the key of a `StoredImage`, and one of the whole cell, both in hex.

    Raises:
        ValueError: for a cell without a picture, and for base64 that was cut short.
    """
    cell = cell.get("bytes") if isinstance(cell, dict) else cell
    if not cell or not isinstance(cell, (str, bytes)):
        raise ValueError("no picture in it")
    raw = cell.encode() if isinstance(cell, str) else cell
    whole = hashlib.blake2b(raw, digest_size=8).hexdigest()
    if isinstance(cell, bytes):
        return key_of(cell[:HEAD], len(cell)), whole
    if len(cell) % 4:
        raise ValueError(f"{len(cell)} characters are no whole base64; {DAMAGED}")
    size = len(cell) // 4 * 3 - (len(cell) - len(cell.rstrip("=")))
    return key_of(image_bytes(cell[: HEAD // 3 * 4]), size), whole


def key_of(head: bytes, size: int) -> str:
    """The key of a `StoredImage` of a picture of `size` encoded bytes, of which `head` holds the first 48 KiB."""
    return hashlib.blake2b(head + size.to_bytes(8, "big"), digest_size=8).hexdigest()
