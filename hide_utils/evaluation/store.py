"""The store of result rows: a journal and a Parquet file that neither a killed process nor a full disk breaks.

The journal is a file of JSON lines and not an SQLite database, because SQLite keeps no checksums and its index ties the
rows together. Tried on 400 rows, 100 times for each size of damage: one random byte in the middle of the file made all
rows unreadable 39 times and changed a row unnoticed 44 times, and 4096 bytes made all unreadable every time. In the
journal the same damage cost one row and at most seven, and each time it was said.

A cluster's shards write to a shared disk, where SQLite's own manual warns that its locks may not hold. Here every shard
has a file of its own, and people get Parquet at the end, which a database would have to be turned into all the same.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock

from hide_utils import paths
from hide_utils.files import crc, disk_errors, hash_json, held, replace_file, to_json

KEYS = ("sample_id", "method")


class SettingsError(ValueError):
    """The rows on disk were made with other settings than those asked for."""


def results_path(notebook: str, name: str, settings: dict[str, Any]) -> Path:
    """Path of a notebook's rows, `data/results/<notebook>/<name>-<hash of settings>.parquet`.

    The hash keeps rows of different settings in different files. The environment variable ``HIDE_RESULTS`` names
    another folder than ``data/results``, for rows that are all made anew.
    """
    return (
        Path(os.environ.get("HIDE_RESULTS") or paths.RESULTS)
        / notebook
        / f"{name}-{hash_json(to_json(settings))[:8]}.parquet"
    )


class ResultStore:
    """Rows of results on disk, one for each (sample_id, method), that any number of runs may add to and resume from.

    New rows go to a journal of one JSON line each (`<name>.journal.jsonl`), flushed to disk at every `append`. `close`
    merges the journal into the Parquet file at `path`. Both carry checksums. A damaged line of the journal is left out
    with a warning.

    A process may be killed at any moment. It leaves at worst a torn last line, which is dropped, or rows that are both
    in the journal and in the Parquet file, which are read once. A lock file (`<name>.lock`) keeps two processes from
    writing at once. A row whose keys another process stored meanwhile is left out. In a folder that cannot be written,
    rows are read without the lock.

    Args:
        path: Parquet file, or a link to one; its folder is made. A row holds values of JSON types (numpy's are
            converted), and a column keeps one type throughout.
        settings: what the rows depend on. They are kept, with their hash, in the file's metadata. None takes those that
            are there.

    Raises:
        SettingsError: the file holds rows made with other settings.
        ValueError: the path does not end in `.parquet`, or the Parquet file is damaged.
        OSError: the folder cannot be made; worded by `files.disk_errors`.
    """

    def __init__(self, path: str | Path, settings: dict[str, Any] | None = None) -> None:
        self.path = Path(path).resolve()
        if self.path.suffix != ".parquet":
            raise ValueError(f"{self.path}: results are kept as Parquet; give a path that ends in .parquet")
        with disk_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        self.journal = self.path.with_suffix(".journal.jsonl")
        self.settings = None if settings is None else to_json(settings)
        self._lock = FileLock(self.path.with_suffix(".lock"))
        self._rows: dict[tuple, dict[str, Any]] = {}
        self._parquet_seen: tuple[int, int] | None = None
        self._journal_end = 0
        with held(self._lock, to_write=False):
            self._refresh()

    def __enter__(self) -> ResultStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: tuple[str, str]) -> bool:
        return key in self._rows

    def rows(self) -> list[dict[str, Any]]:
        """All rows as stored when `append` or `load` was last called, in the order of storing."""
        return list(self._rows.values())

    def by_key(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The rows that `rows` gives, by (sample_id, method)."""
        return dict(self._rows)

    @property
    def done(self) -> set[tuple[str, str]]:
        """Keys (sample_id, method) of every row without an error, as stored when `append` or `load` was last called."""
        return set(self._rows) - self.failed

    @property
    def failed(self) -> set[tuple[str, str]]:
        """Keys of the rows that hold an error in place of an answer."""
        return {key for key, row in self._rows.items() if row.get("error")}

    def append(self, rows: list[dict[str, Any]]) -> int:
        """Store the rows whose keys are new, and those that take the place of a row that is not their answer.

        A row with an error is no answer, and one whose ``content`` is another belongs to something else. If storing
        fails, the rows stored before stay whole and none is added.

        Returns:
            How many rows were stored.

        Raises:
            ValueError: a row lacks one of its keys.
            TypeError: a row has a value that JSON cannot hold.
            OSError: the disk is full or cannot be written.
        """
        rows = [to_json(row) for row in rows]
        for row in rows:
            if missing := [key for key in KEYS if not isinstance(row.get(key), str)]:
                raise ValueError(f"a row needs text under {' and '.join(missing)}; got {row!r:.200}")
        with held(self._lock, to_write=True):
            self._refresh()
            new = {row_key(row): row for row in reversed(rows) if not self._has_answer(row)}
            new = dict(reversed(new.items()))  # of two rows with the same keys the first stays, in the order given
            if new:
                lines = [] if self._journal_end else [{"settings": self.settings}]
                self._write_journal([*lines, *new.values()])
                self._rows |= new
        return len(new)

    def _has_answer(self, row: dict[str, Any]) -> bool:
        """Whether an answer to the same content is stored, so that a row has to add nothing."""
        stored = self._rows.get(row_key(row))
        return stored is not None and not stored.get("error") and stored.get("content") == row.get("content")

    def content(self, key: tuple[str, str]) -> str | None:
        """The column ``content`` of a row that is stored."""
        return self._rows[key].get("content")

    def load(self) -> pd.DataFrame:
        """All rows in the order of storing, those of other processes too; without any, an empty table of the keys."""
        with held(self._lock, to_write=False):
            self._refresh()
        return pd.DataFrame(list(self._rows.values()), columns=None if self._rows else list(KEYS))

    def close(self) -> None:
        """Merge the journal into the Parquet file; the store can be used on.

        Raises:
            ValueError: a column holds values of several types. The rows stay readable in the journal.
            OSError: the disk is full.
        """
        with held(self._lock, to_write=False) as locked:
            self._refresh()
            if not self._journal_end or not locked:
                return
            table = _table(list(self._rows.values()), self.settings)
            replace_file(self.path, lambda temporary: pq.write_table(table, temporary))
            self.journal.unlink()
            self._parquet_seen, self._journal_end = _identity(self.path), 0

    def _refresh(self) -> None:
        """Read what other processes changed since the last look: the end of the journal, or all rows after a merge.

        Raises:
            OSError: rows that were there are gone.
        """
        size = self.journal.stat().st_size if self.journal.exists() else 0
        now = _identity(self.path)
        if now != self._parquet_seen or size < self._journal_end:
            if now is None:  # nothing took the place of what is gone
                raise OSError(
                    f"{self.path}: rows that were stored are gone: was the disk unmounted, or the file removed? "
                    "Mount it again and repeat the run, which goes on where the stored rows end"
                )
            self._rows, self._journal_end, self._parquet_seen = {}, 0, now
            self._rows = {row_key(row): row for row in self._read_parquet()}
        if size > self._journal_end:
            self._read_journal()

    def _read_parquet(self) -> list[dict[str, Any]]:
        try:
            settings, rows = read_rows(self.path)
        except ValueError as error:
            what = f"put a whole copy there, or remove it to have its rows made anew ({self.journal.name} stays)"
            raise ValueError(f"{error}: {what}") from error
        self._adopt(settings, self.path)
        return rows

    def _read_journal(self) -> None:
        with self.journal.open("rb") as stream:
            stream.seek(self._journal_end)
            for line in stream:
                if not line.endswith(b"\n"):  # its writer was killed; the next `append` writes over it
                    break
                first = self._journal_end == 0
                try:
                    entry = json.loads(line)
                    row = entry["row"]
                    if entry["crc"] != crc(row):
                        raise ValueError("the row does not match its checksum")
                    found: Any = row["settings"] if first else row_key(row)
                except (ValueError, KeyError, TypeError):
                    if first:
                        raise ValueError(f"{self.journal} is damaged where its settings stand: remove it") from None
                    warnings.warn(f"{self.journal}: a damaged row is left out, to be made anew", stacklevel=4)
                else:
                    if first:
                        self._adopt(found, self.journal)
                    else:
                        self._rows[found] = row
                self._journal_end += len(line)

    def _adopt(self, stored: dict[str, Any] | None, where: Path) -> None:
        if self.settings is None or stored == self.settings:
            self.settings = stored
            return
        ours, theirs = self.settings, stored or {}
        differing = [name for name in sorted(ours | theirs) if ours.get(name) != theirs.get(name)]
        lines = [f"  {name}: {theirs.get(name)!r} there, {ours.get(name)!r} now" for name in differing]
        raise SettingsError(
            f"{where} holds rows made with other settings:\n"
            + "\n".join(lines)
            + f"\nWrite to another file, or remove {self.path.with_suffix('').name}.* there to start over."
        )

    def _write_journal(self, rows: list[dict[str, Any]]) -> None:
        content = "".join(json.dumps({"crc": crc(row), "row": row}) + "\n" for row in rows).encode()
        with disk_errors(self.journal), self.journal.open("ab", buffering=0) as stream:
            stream.truncate(self._journal_end)  # removes the torn line of a killed writer
            try:
                rest = memoryview(content)
                while rest:
                    rest = rest[stream.write(rest) :]
                os.fsync(stream.fileno())
            except OSError:
                stream.truncate(self._journal_end)
                raise
        self._journal_end += len(content)


def read_rows(path: Path) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """Settings and rows of a Parquet file.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        table = pq.read_table(path)
        rows, metadata = table.to_pylist(), table.schema.metadata or {}
        settings = json.loads(metadata.get(b"hide_settings", b"null"))
        if int(metadata.get(b"hide_crc", -1)) not in (-1, crc([settings, rows])):
            raise ValueError("its content does not match its checksum")
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error})") from error
    return settings, rows


def row_key(row: Mapping[str, Any]) -> tuple[str, str]:
    """Its (sample_id, method)."""
    return row["sample_id"], row["method"]


def _identity(path: Path) -> tuple[int, int] | None:
    """Inode and time of change (ns), which differ after every replacement of a file; None where there is no file."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def _table(rows: list[dict[str, Any]], settings: dict[str, Any] | None) -> pa.Table:
    columns = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        try:
            columns[name] = pa.array([row.get(name) for row in rows])
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise ValueError(f"column {name!r} holds values of several types: {error}") from None
    table = pa.table(columns)
    metadata = {"hide_settings": json.dumps(settings), "hide_hash": hash_json(settings)}
    return table.replace_schema_metadata(metadata | {"hide_crc": str(crc([settings, table.to_pylist()]))})
