"""Captured attention rows on disk: the model runs once for each picture, search text and set of layers.

Smoothing, thresholds and every measure are array work on rows, so a second run of an analysis needs no model. A file is
named by a hash of all that the rows depend on and by a hash of its own content; one that does not match is captured
anew. Files used longest ago go first when the folder's limit is reached.
"""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from hide_utils import paths
from hide_utils.calibration import search_rows
from hide_utils.entities import SEARCH_INSTRUCTION
from hide_utils.files import replace_file
from hide_utils.images import pad_to_aspect, read_image
from hide_utils.models import VLM
from hide_utils.provenance import hash_folder, hash_json
from hide_utils.samples import Sample
from hide_utils.session import Found

FORMAT = 1  # counts up when the same model, picture and text would give other rows
MEGABYTE = 1_000_000


class RowCache:
    """Rows of searches for reference entities, kept below a number of bytes.

    hits, captured, damaged and removed count what this object did: files read, searches run, files that had to be run
    again because their content did not match, and files removed to stay below the limit.

    Args:
        folder: where the files lie; made when the first is written.
        limit_bytes: most bytes of all files together, at least 1.
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
        self, model: VLM, samples: Sequence[Sample], layers: Sequence[int] | None = None, *, progress: bool = True
    ) -> tuple[list[Found], list[tuple[int, int]]]:
        """Rows of every sample's reference entities at all layers (or those given, counted from 0), read or captured.

        Returns one `Found` a sample, and the pixel size (width, height) of its picture as the model sees it. Each
        sample is stored as soon as it is captured, so that an interrupted run goes on where it was.
        Raises ValueError for a sample without reference entities.
        """
        layers = sorted(set(range(model.n_layers) if layers is None else layers))
        shared = model_key(model) | {"format": FORMAT, "layers": layers, "instruction": SEARCH_INSTRUCTION}
        found, sizes = [], []
        for sample in tqdm(samples, desc="rows", disable=not progress):
            picture = read_image(sample.image)
            key = hash_json(shared | {"entities": sample.entities, "picture": _hash_picture(picture)})
            rows = self._read(key)
            if rows is None:
                shown = replace(sample, render=lambda picture=picture: picture)  # drawn or decoded once
                (rows,) = search_rows(model, [shown], layers, progress=False)
                self._write(key, rows)
                self.captured += 1
            found.append(rows)
            sizes.append((pad_to_aspect(picture, model.max_aspect) if model.max_aspect else picture).size)
        return found, sizes

    def _read(self, key: str) -> Found | None:
        for path in sorted(self.folder.glob(f"{key}-*.npz")):
            content = path.read_bytes()
            if path.name == _name(key, content):  # checked before anything is parsed
                os.utime(path)
                self.hits += 1
                with np.load(io.BytesIO(content), allow_pickle=False) as stored:
                    layers, tokens = tuple(stored["layers"].tolist()), tuple(stored["tokens"].tolist())
                    return Found(layers, tokens, stored["noise"], stored["semantic"])
            warnings.warn(f"{path.name} is damaged: its rows are captured anew", stacklevel=3)
            path.unlink(missing_ok=True)
            self.damaged += 1
        return None

    def _write(self, key: str, rows: Found) -> None:
        stream = io.BytesIO()
        np.savez(
            stream,
            layers=np.array(rows.layers),
            tokens=np.array(rows.tokens, dtype=np.str_),
            noise=rows.noise,
            semantic=rows.semantic,
        )
        content = stream.getvalue()
        replace_file(self.folder / _name(key, content), lambda temporary: temporary.write_bytes(content))
        self._shrink()

    def _files(self) -> list[tuple[float, int, Path]]:
        """Time of last use, bytes and path of every file, one left by a killed run included; the oldest first."""
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


def model_key(model: VLM) -> dict[str, object]:
    """What rows depend on besides picture, text and layers, as JSON types: weights, pixel budget, numbers, kernel.

    A local folder counts with all its content, a model of the hub with its name and commit.
    """
    folder = paths.MINI if model.name == "mini" else Path(model.name)
    local = folder.is_dir()
    return {
        "weights": hash_folder(folder) if local else [model.name, getattr(model.model.config, "_commit_hash", None)],
        "pixels": [model.min_pixels, model.max_pixels],
        "dtype": str(model.dtype),
        "device": str(model.device).split(":")[0],
        "attention": str(model.choices["attention"].value),
    }


def _hash_picture(picture: Image.Image) -> str:
    """Hash of size and pixels: an id alone would not tell that a benchmark was drawn or fetched anew."""
    return hashlib.sha256(f"{picture.mode} {picture.size}".encode() + picture.tobytes()).hexdigest()[:16]


def _name(key: str, content: bytes) -> str:
    return f"{key}-{hashlib.sha256(content).hexdigest()[:16]}.npz"
