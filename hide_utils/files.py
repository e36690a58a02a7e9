"""Writing that happens whole or not at all, and values as JSON can hold them."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import uuid
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from hide_utils import paths

_FULL = "no space left; nothing stored before is lost. Free some space and run again"
_CLOSED = "cannot be written; nothing stored before is lost. Allow it, or name a folder of your own"
_MEANINGS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,  # a limit on the size of files
    errno.EROFS: _CLOSED,
    errno.EACCES: _CLOSED,
    errno.EPERM: _CLOSED,
}


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Within it, an error for a full or read-only disk says that earlier results are whole and what to do.

    It stays an OSError with its errno (a PermissionError where it was one), and names `path`.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _MEANINGS:
            raise
        raise OSError(error.errno, _MEANINGS[error.errno], str(path)) from error


@contextlib.contextmanager
def held(lock: FileLock, *, to_write: bool) -> Iterator[bool]:
    """Hold a lock. Whoever only reads gets on without it, and False, where none can be made: in a read-only folder.

    Raises OSError, as `disk_errors` words it, to whoever wants to write there.
    """
    with contextlib.ExitStack() as stack:
        try:
            with disk_errors(Path(lock.lock_file)):
                stack.enter_context(lock)
            got = True
        except OSError:
            if to_write:
                raise
            got = False
        yield got


@contextlib.contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """While inside, no other process may be: RuntimeError at once, before it runs what this one is running."""
    lock = FileLock(path.with_suffix(".running"), timeout=0)  # the system takes it away from a killed process
    try:
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
    except Timeout:
        raise RuntimeError(
            f"{path}: another process is writing these results. Wait for it, or give each process a share of its own: "
            "evaluate(..., shard=(i, n))"
        ) from None
    try:
        yield
    finally:
        lock.release()


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in the place of `path` in one step.

    Folders are made. If anything fails, `path` is as it was and no temporary file stays. Two processes that write the
    same file at once, on machines that share a disk too, each put a whole one there.
    """
    temporary = path.with_name(f".{path.stem}-{uuid.uuid4().hex[:12]}{path.suffix}")
    with disk_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write(temporary)
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def to_json(value: Any) -> Any:
    """`value` with JSON's types in place of numpy's, tuples and paths (as `paths.portable` writes them).

    Raises TypeError for anything else.
    """

    def convert(item: Any) -> Any:
        if isinstance(item, (np.generic, np.ndarray)):
            return item.tolist()
        if isinstance(item, Path):
            return paths.portable(item)
        raise TypeError(f"cannot store {item!r:.100} ({type(item).__name__}); convert it to text or numbers first")

    return json.loads(json.dumps(value, default=convert))


def crc(value: Any) -> int:
    """Checksum of JSON types, the same after they were written as JSON and read."""
    return zlib.crc32(json.dumps(value).encode())
