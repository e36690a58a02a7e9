"""Files written whole or not at all, their locks and hashes, and values as JSON can hold them."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from filelock import FileLock, Timeout

from hide_utils import paths

ABOUT = (".md", ".csv", ".jsonl", ".png")  # endings of files that only tell about a model in whose folder they lie
LARGE = 2**24  # bytes from which on a file's hash is kept on disk: to read a real checkpoint takes long
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
    """Reword errors of a full or read-only disk: they say that earlier results are whole, and what to do.

    The reworded error keeps its errno, so a PermissionError stays one.

    Args:
        path: file or folder that the error names.

    Raises:
        OSError: whatever error of the system was raised within.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _MEANINGS:
            raise
        raise OSError(error.errno, _MEANINGS[error.errno], str(path)) from error


@contextlib.contextmanager
def held(lock: FileLock, *, to_write: bool) -> Iterator[bool]:
    """Hold a lock between processes; in a read-only folder, where no lock can be made, reading goes on without it.

    Args:
        lock: waited for until it is free.
        to_write: whether the caller is going to write, which needs the lock.

    Yields:
        True while the lock is held, False where reading goes on without it.

    Raises:
        OSError: the lock cannot be made and `to_write` is true; worded by `disk_errors`.
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
    """Let one process at a time run what writes `path`, so that no two run the same.

    Raises:
        RuntimeError: another process is running it. The error comes at once, without waiting.
        OSError: the folder cannot be written; worded by `disk_errors`.
    """
    lock = FileLock(path.with_suffix(".running"), timeout=0)  # the system frees it when a process is killed
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

    Missing folders are made. If anything fails, `path` stays as it was and no temporary file is left. Two processes may
    write the same file at once, even from two machines that share a disk: each puts a whole file there. Where `path` is
    a link, the file that it leads to is replaced, and the link stays.

    Args:
        path: file to write or replace.
        write: called with the path of the temporary file, which has the ending of `path`.

    Raises:
        ValueError: the file came with the installed package.
        OSError: the disk is full or cannot be written; worded by `disk_errors`.
        Exception: whatever `write` raises.
    """
    with _replacing(path) as temporary:
        write(temporary)


def replace_files(sources: Mapping[Path, Path]) -> None:
    """Put copies of files in the place of others as `replace_file` does: of all of them, or of none.

    Every copy lies beside its place before the first is put there. A full disk thus leaves all as it was.

    Args:
        sources: file to write or replace -> file to copy.
    """
    with contextlib.ExitStack() as stack:
        for path, source in sources.items():
            shutil.copyfile(source, stack.enter_context(_replacing(path)))


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """The temporary file beside `path` that takes its place at the end."""
    path = paths.to_write(path.resolve())
    temporary = path.with_name(f".{path.stem}-{uuid.uuid4().hex[:12]}{path.suffix}")
    with disk_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def data_of(module: str) -> Any:
    """What stands in the YAML file beside a module and of its name: lists and tables that hold no code.

    Args:
        module: the module's ``__file__``.
    """
    return yaml.safe_load(Path(module).with_suffix(".yaml").read_text(encoding="utf-8"))


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all, as `replace_file` does."""
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON for people to read, whole or not at all: an entry a line, indented by one space.

    Raises:
        TypeError: `to_json` cannot convert it.
        OSError: as in `replace_file`.
    """
    write_text(path, _in_lines(value))


def _in_lines(value: Any) -> str:
    return json.dumps(to_json(value), indent=1, ensure_ascii=False) + "\n"


def hash_file(path: Path) -> str:
    """SHA-256 of a file in hex, read again only where its size or one of its times of change is another.

    The hashes of files of `LARGE` bytes or more are kept in ``data/cache/hashes.json``, for later programs too.
    """
    path = path.resolve()
    stat = path.stat()
    return _hash_file(path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@cache
def _hash_file(path: Path, *state: int) -> str:
    memory, known = paths.CACHE / "hashes.json", {}
    if large := state[0] >= LARGE:
        with contextlib.suppress(OSError, ValueError, AttributeError):  # none yet, or damaged
            known = dict(json.loads(memory.read_text(encoding="utf-8")).items())
        if isinstance(kept := known.get(str(path)), list) and kept[:-1] == list(state):
            return kept[-1]
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if large:
        with contextlib.suppress(OSError):  # a disk that is full or cannot be written
            write_json(memory, known | {str(path): [*state, found]})
    return found


def to_json(value: Any) -> Any:
    """A copy of `value` made of JSON's types: numpy's numbers and arrays, tuples and paths are converted.

    Paths become text as `paths.portable` writes them.

    Raises:
        TypeError: there is a value of any other type in it.
    """

    def convert(item: Any) -> Any:
        if isinstance(item, (np.generic, np.ndarray)):
            return item.tolist()
        if isinstance(item, Path):
            return paths.portable(item)
        raise TypeError(f"cannot store {item!r:.100} ({type(item).__name__}); convert it to text or numbers first")

    return json.loads(json.dumps(value, default=convert))


def crc(value: Any) -> int:
    """CRC-32 of a value of JSON's types; the same for what is read back after writing it as JSON."""
    return zlib.crc32(json.dumps(value).encode())


def hash_json(value: Any) -> str:
    """First 16 hex digits of the SHA-256 of `value` as JSON with sorted keys; tuples count as lists.

    Raises:
        TypeError: JSON cannot hold the value.
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def hash_folder(folder: str | Path) -> str:
    """Hash of the names and contents of a folder's files, those of its folders too, as 16 hex digits.

    Notes, tables, logs and figures (`ABOUT`) do not count. Hidden files and folders do not either: git and the hub's
    client keep their own records there. Entries of ``hide.json`` that count for one method's rows alone are left out
    (`of_one_method`).

    Raises:
        FileNotFoundError: it holds no file.
    """
    folder = Path(folder)
    seen = [p for p in folder.rglob("*") if not any(part[0] == "." for part in p.relative_to(folder).parts)]
    files = [p for p in seen if p.is_file() and p.suffix not in ABOUT]
    if not files:
        raise FileNotFoundError(f"{folder}: no file to hash; is this the right folder?")
    return hash_files(files, folder)


def hash_files(files: Iterable[Path], folder: Path) -> str:
    """Hash of the names below `folder` and the contents of files, in order of name, as 16 hex digits."""
    return hash_json([f"{p.relative_to(folder).as_posix()} {_hash_of_all(p)}" for p in sorted(files)])


def of_one_method(methods: dict[str, Any]) -> dict[str, Any]:
    """Of what stands under ``methods`` in a hide.json, the entries that say themselves what they were chosen on.

    Rows of their methods belong to them, and no other row does: to tune a method leaves the others' answers valid.
    """
    return {name: one for name, one in methods.items() if isinstance(one, dict) and "chosen_on" in one}


def _hash_of_all(path: Path) -> str:
    """Hash of a file, of a hide.json that of what it would hold without the entries `of_one_method`."""
    if path.name != "hide.json":
        return hash_file(path)
    settings = json.loads(path.read_text(encoding="utf-8"))
    methods = settings.get("methods", {})
    if not (alone := of_one_method(methods)):
        return hash_file(path)
    settings["methods"] = {name: one for name, one in methods.items() if name not in alone}
    if not settings["methods"]:
        settings.pop("methods")
    return hashlib.sha256(_in_lines(settings).encode()).hexdigest()
