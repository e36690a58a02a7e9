"""Captured attention rows on disk: the model runs once for each picture, prompt and set of layers.

Smoothing, thresholds and every measure are array work on rows, so a second run of an analysis needs no model. The name
of a file holds a hash of all that its rows depend on, the format, and a hash of its own content. A file whose content
or format does not match its name is captured anew. Files used longest ago go first when the folder's limit is reached.

Neither joblib.Memory nor diskcache does this: both unpickle what lies in their folder, so a folder lent by somebody
else could run code here, and neither checks what it reads, so a damaged file would give wrong rows. diskcache keeps its
index in an SQLite file besides, which cannot be shared on a network disk or opened in a read-only folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from hide_utils import paths
from hide_utils.evaluation.keys import hash_picture, model_key
from hide_utils.files import hash_json, replace_file
from hide_utils.images import read_image
from hide_utils.method import HiDe, SearchAttention, Session, given_entities, the_only
from hide_utils.models import VLM
from hide_utils.prompts import QUESTION
from hide_utils.samples import Sample

FORMAT = 1  # is raised when the same model, picture and text would give other rows
MEGABYTE = 1_000_000


class RowCache:
    """Rows of searches for entities, kept below a number of bytes.

    Where nothing can be written, on a full disk say, rows are captured all the same, with a warning.

    Args:
        folder: where the files lie; made when the first is written. None: ``data/cache/rows``.
        limit_bytes: most bytes of all files together, at least 1.

    Attributes:
        hits: files that this object read.
        captured: prompts that it ran.
        damaged: files whose content or format did not match, so that their prompts were run again.
        removed: files removed to stay below the limit.

    Raises:
        ValueError: `limit_bytes` is below 1.
    """

    def __init__(self, folder: str | Path | None = None, limit_bytes: int = 2000 * MEGABYTE) -> None:
        if limit_bytes < 1:
            raise ValueError(f"limit_bytes={limit_bytes}: a cache needs room for at least one byte")
        self.folder, self.limit_bytes = Path(folder or paths.CACHE / "rows"), limit_bytes
        self.hits = self.captured = self.damaged = self.removed = 0

    def __repr__(self) -> str:
        sizes = [size for _, size, _ in self._files()]
        did = f"{self.hits} read, {self.captured} captured, {self.damaged} damaged, {self.removed} removed"
        return (
            f"RowCache({paths.portable(self.folder)}: {len(sizes)} files, {sum(sizes) / MEGABYTE:.1f} of at most "
            f"{self.limit_bytes / MEGABYTE:.0f} MB; now {did})"
        )

    def load(
        self,
        model: VLM,
        samples: Sequence[Sample],
        layers: Sequence[int] | None = None,
        *,
        heads: bool = False,
        progress: bool = True,
    ) -> tuple[list[SearchAttention], list[tuple[int, int]]]:
        """Rows of every sample's entities, read or captured.

        Each sample is stored as soon as it is captured, so that an interrupted run goes on where it was.

        Args:
            model: captures what is missing.
            samples: one without reference entities is searched for those that the model lists for its question.
            layers: counted from 0; None: all.
            heads: keep the heads apart as well, in files of their own; see `Session.search` for their size.
            progress: show a bar.

        Returns:
            One `SearchAttention` a sample, and the size (width, height) in pixels of its picture as the model sees it.
        """
        layers = sorted(set(model.row_layers if layers is None else layers))
        hide, shared = HiDe(model), model_key(model)
        found, sizes = [], []
        for sample in tqdm(samples, desc="rows", disable=not progress):
            picture = read_image(the_only(sample.images))  # which are drawn or decoded anew at each access
            session = Session(model, picture, prompts=hide.prompts)
            common = shared | {"picture": hash_picture(picture)}
            found.append(self._found(hide, session, sample, layers, heads, common))
            sizes.append(session.image.size)
        return found, sizes

    def _found(
        self, hide: HiDe, session: Session, sample: Sample, layers: list[int], heads: bool, common: dict
    ) -> SearchAttention:
        extraction = hide.prompts.extraction.removesuffix(f" {QUESTION}")  # as files had it that are here already
        own = {"question": sample.question, "extraction": extraction}
        key = common | {"layers": layers, "instruction": hide.prompts.search, "entities": sample.entities or own}
        names = ("noise", "semantic", "noise_heads", "semantic_heads")[: 4 if heads else 2]

        def capture() -> dict[str, np.ndarray]:
            entities = given_entities(sample.entities) if sample.entities else hide.extractor(sample.question)
            rows = session.search(entities, layers, heads)
            texts = {"layers": np.array(rows.layers), "tokens": np.array(rows.tokens, dtype=np.str_)}
            return texts | {name: getattr(rows, name) for name in names}

        stored = self._stored(key | ({"heads": True} if heads else {}), capture)
        stored_layers, tokens = tuple(stored["layers"].tolist()), tuple(stored["tokens"].tolist())
        return SearchAttention(stored_layers, tokens, **{name: stored[name] for name in names})

    def _stored(self, key: dict, capture: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """The arrays stored under what they depend on; captured and stored where they are missing or damaged."""
        name = hash_json(key)
        arrays = self._read(name)
        if arrays is None:
            arrays = capture()
            self._write(name, arrays)
            self.captured += 1
        return arrays

    def _read(self, key: str) -> dict[str, np.ndarray] | None:
        for path in sorted(self.folder.glob(f"{key}-*.npz")):
            try:
                content = path.read_bytes()
            except FileNotFoundError:  # removed by another process meanwhile
                continue
            if path.name == _name(key, content):  # checked before anything is parsed
                with contextlib.suppress(OSError):  # a read-only folder, or another process removed the file just now
                    os.utime(path)
                self.hits += 1
                with np.load(io.BytesIO(content), allow_pickle=False) as stored:
                    return dict(stored)
            why = "is damaged" if f"-v{FORMAT}-" in path.name else f"is not of format {FORMAT}"
            warnings.warn(f"{path.name} {why}: its rows are captured anew", stacklevel=5)
            with contextlib.suppress(OSError):
                path.unlink()
            self.damaged += 1
        return None

    def _write(self, key: str, arrays: dict[str, np.ndarray]) -> None:
        stream = io.BytesIO()
        np.savez(stream, **arrays)  # type: ignore[arg-type]  # none is called allow_pickle
        content = stream.getvalue()
        try:
            replace_file(self.folder / _name(key, content), lambda temporary: temporary.write_bytes(content))
            self._shrink()
        except OSError as error:  # this run has its rows all the same
            why = error.strerror or error
            warnings.warn(f"{self.folder}: rows are not kept, the next run captures them anew: {why}", stacklevel=5)

    def _files(self) -> list[tuple[float, int, Path]]:
        """Time of last use, bytes and path of every file, the oldest first; files left by a killed run count too."""
        found = []
        for path in self.folder.glob("*.npz"):
            try:
                stat = path.stat()
            except FileNotFoundError:  # removed by another process meanwhile
                continue
            found.append((stat.st_mtime, stat.st_size, path))
        return sorted(found)

    def _shrink(self) -> None:
        files = self._files()
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= self.limit_bytes:
                break
            path.unlink(missing_ok=True)
            self.removed += 1
            total -= size


def _name(key: str, content: bytes) -> str:
    return f"{key}-v{FORMAT}-{hashlib.sha256(content).hexdigest()[:16]}.npz"
