"""Attention rows, prior and maps of every sample on disk, and for chosen ones the pictures of every stage.

A file says what it belongs to. One of other settings, or of another picture or question, is made anew.
"""

from __future__ import annotations

import copy
import json
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hide_utils.evaluation.keys import UNREADABLE, sample_content
from hide_utils.files import hash_json, replace_file
from hide_utils.method import HiDe, Session
from hide_utils.samples import Sample

BEHIND = ("alpha", "protocol", "compact_pixels", "schema")  # settings that rows and maps do not depend on


def maps_file(folder: str | Path, sample_id: str) -> Path:
    """Where `evaluate` keeps a sample's arrays below ``save_maps=folder``.

    The name has the id's harmless characters and a hash of it. So no id leads out of the folder, and no two share a
    file, whatever they are made of.
    """
    return (
        Path(folder) / f"{re.sub('[^A-Za-z0-9._-]+', '_', sample_id)[:80].lstrip('.')}-{hash_json(sample_id)[:8]}.npz"
    )


@dataclass(frozen=True)
class Keeper:
    """Keeps what HiDe's search for a sample's question gives, whatever methods answer it.

    Attributes:
        folder: where the files lie.
        settings: of the run, as `run_settings` gives them.
        heads: whether the rows' heads are kept apart as well.
        pictured: ids of samples whose compact images and stages are kept as PNG.
        wanted: id -> what its files will say about themselves, of samples whose files are missing or out of date.
    """

    folder: Path
    settings: Mapping[str, Any]
    heads: bool = False
    pictured: frozenset[str] = frozenset()
    wanted: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        folder: str | Path | None,
        settings: Mapping[str, Any],
        heads: bool,
        pictured: Iterable[str],
        ids: Sequence[str],
    ) -> Keeper | None:
        """The keeper that `evaluate` was asked for. None without a folder.

        Raises:
            ValueError: pictures or heads are to be kept nowhere, or those of samples that are not there.
        """
        pictured = frozenset([pictured] if isinstance(pictured, str) else pictured)
        if folder is None:
            if heads or pictured:
                raise ValueError("save_heads and save_pictures need a folder: give save_maps as well")
            return None
        if strange := sorted(pictured - set(ids)):
            raise ValueError(f"save_pictures: no sample has the id {strange[0]!r}; the first one's is {ids[:1]}")
        return cls(Path(folder).resolve(), settings, heads, pictured)

    def lacking(self, samples: Sequence[Sample]) -> Keeper:
        """This keeper with the samples that it has yet to do. A warning counts files that are made anew, and why."""
        wanted, why = {}, Counter[str]()
        for sample in samples:
            file, about = maps_file(self.folder, sample.id), self._about(sample)
            outdated = _outdated(file, about) if file.exists() else []
            if outdated or not file.exists():
                wanted[sample.id] = about
                why.update(outdated)
        if why:
            said = ", ".join(f"{n} {reason}" for reason, n in why.most_common())
            warnings.warn(f"{self.folder.name}: files are made anew: {said}", stacklevel=3)
        return replace(self, wanted=wanted)

    def tried(self, hide: HiDe, session: Session, sample: Sample) -> str:
        """Keep what a sample lacks. What is wrong with the sample is returned, since its answers count all the same.

        Raises:
            OSError: the disk is full or cannot be written.
        """
        try:
            if sample.id in self.wanted:
                self.keep(hide, session, sample)
        except OSError:
            raise
        except Exception as error:
            return f"{sample.id}: {type(error).__name__}: {error}"
        return ""

    def keep(self, hide: HiDe, session: Session, sample: Sample) -> None:
        """Write a sample's files, the arrays last: who has these has all.

        Raises:
            OSError: the disk is full or cannot be written.
            Exception: what the search raises.
        """
        file, session = maps_file(self.folder, sample.id), session.alone()
        arrays: dict[str, np.ndarray] = {}
        located = hide.locate(session, sample.question, heads=self.heads)
        for number, one in enumerate(located.found, 1):
            mark = f"_{number}" if number > 1 else ""
            found = one.rows.arrays(hide.settings.layer, hide.settings.sigma)
            arrays |= {f"{name}{mark}": array for name, array in found.items()}
        for path in file.parent.glob(f"{file.stem}.*.png"):  # of other settings, or of another picture
            path.unlink()
        written = self._pictures(hide, session, sample, file) if sample.id in self.pictured else []
        about = self.wanted[sample.id] | {"entities": located.entities.text, "files": written}
        arrays["about"] = np.array(json.dumps(about, ensure_ascii=False))
        replace_file(file, partial(np.savez_compressed, **arrays))  # type: ignore[arg-type]

    def _pictures(self, hide: HiDe, session: Session, sample: Sample, file: Path) -> list[str]:
        """Write the figure of all stages and each compact image, and return their names."""
        hide = copy.copy(hide)
        hide.protocol = self.settings["protocol"]
        result = hide.run(session, sample.question, sample.options or None, style=sample.style)
        hide.compare(session, result, sample.style)
        stages = result._repr_png_(sample.boxes_of_each if sample.more else sample.boxes_xyxy)
        writers = {"stages": lambda path: path.write_bytes(stages)}
        for number, one in enumerate(result.looked, 1):
            if one.compact_image is not None:
                writers["compact" + (f"_{number}" if number > 1 else "")] = partial(
                    one.compact_image.save, format="PNG"
                )
        names = {f"{file.stem}.{name}.png": write for name, write in writers.items()}
        for name, write in names.items():
            replace_file(file.with_name(name), write)
        return list(names)

    def _about(self, sample: Sample) -> dict[str, Any]:
        """What a sample's arrays belong to: settings, picture and question; and a hash of all that its pictures do."""
        content = sample_content(sample)
        whole = hash_json([self.settings, content]) if sample.id in self.pictured else None
        searched = {name: value for name, value in self.settings.items() if name not in BEHIND}
        told = {"sample_id": sample.id, "question": sample.question, "picture": content["picture"]}
        return told | searched | {"heads": self.heads, "pictures": whole}


def _outdated(file: Path, wanted: dict[str, Any]) -> list[str]:
    """What about a file is not as it is wanted; empty where it can stay."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            stored = json.loads(str(arrays["about"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return ["damaged"]
    free = {"files", "entities"} | ({"heads"} if stored.get("heads") else set())  # more than is asked for
    free |= {"picture", "pictures"} if wanted["picture"] == UNREADABLE else set()
    free |= {"pictures"} if wanted["pictures"] is None else set()
    if changed := [name for name in wanted | stored if name not in free and stored.get(name) != wanted.get(name)]:
        lost = {"heads": "without the heads", "pictures": "without their pictures"}
        return [lost.get(name, f"of another {name}") for name in changed]
    gone = any(not file.with_name(name).exists() for name in stored["files"])
    return ["without their pictures"] if gone and wanted["pictures"] else []
