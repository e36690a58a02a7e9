"""Finds, fetches and draws from a benchmark, named or given as a file or folder.

Known are the drawn scenes, the published benchmarks of `SOURCES`, and the authors' JSON list.
Pictures stay in their files until `sample.image` is read. A table of gigabytes is gone through row by row.
"""

from __future__ import annotations

import errno
import re
import shutil
import warnings
import zipfile
from collections import Counter
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, cast

import numpy as np

from hide_utils import paths
from hide_utils.benchmarks.cells import DAMAGED
from hide_utils.benchmarks.formats import read_list, read_vstar
from hide_utils.benchmarks.rows import StoredImage, check_inside, one_name_a_picture, refuse_pointer
from hide_utils.benchmarks.tables import read_tables
from hide_utils.config import nearest
from hide_utils.files import data_of
from hide_utils.samples import Sample
from hide_utils.scenes.questions import KINDS, scene_samples
from hide_utils.scenes.settings import SceneConfig

_SHARD = re.compile(r"(?:-\d+-of-\d+(?:-[0-9a-f]+)?|(?<![^/_.-])\d+)(?=\.parquet$|/)")  # number of a part of a table
FOLDER = paths.BENCHMARKS  # one folder a benchmark, ignored by git
FILE_KNOBS = ("revision", "letters", "max_megapixels", "box_format")
SCENE_KNOBS = ("difficulty", "kinds", *SceneConfig.__dataclass_fields__)
LETTERINGS = ("published", "shuffled")  # who gave the options of V*Bench their letters: its authors, or `seed`


@dataclass(frozen=True)
class Source:
    """A published benchmark on the Hugging Face hub.

    Attributes:
        repo: its repository.
        fetched: patterns of the files that are fetched; empty where nothing is fetched without being asked.
        questions: pattern of its question file's name.
        layout: in words, what has to lie in its folder.
        size: number of its questions, as its own page on the hub says.
        several: it is made of several tables.
        score: its published score, a name in `SCORES`.
    """

    repo: str
    fetched: list[str]
    questions: str
    layout: str
    size: int | None = None
    several: bool = False
    score: str = "accuracy"


_DATA = data_of(__file__)
SOURCES = {name: Source(**about) for name, about in _DATA["sources"].items()}
LICENCES: dict[str, str] = _DATA["licences"]  # of the sources and of the scenes
SCORES: dict[str, str] = _DATA["scores"]  # name of a published score -> what it is


def load_benchmark(
    name_or_path: str | Path, *, split: str | None = None, n: int | None = None, seed: int = 0, **knobs: Any
) -> list[Sample]:
    """Load the samples of a benchmark.

    Args:
        name_or_path: ``"scenes"``, a name in `SOURCES`, its hub id, or a file or folder in one of the published
            formats. A name is looked for in ``data/benchmarks/<name>`` and otherwise fetched from the hub.
        split: ``"calibration"`` or ``"test"``. The scenes have splits of their own, ``"train"`` too, and None means
            test. The other benchmarks have none and are split by a hash of each picture's content, of several that of
            the first, HRScene's by needle. About 20 % of their pictures, with all questions about them, are for
            calibration, and None gives everything.
        n: at most so many samples, at least 1. None gives all, and 400 scenes. Where there are fewer, it warns.
        seed: which ``n`` samples, at least 0. Whole pictures are drawn (of HRScene's needles first one in each
            grid), and a smaller draw is part of a larger one.
            Where the file always has the right option first (V*Bench's JSON), the seed also shuffles the options,
            and the ids then end in it.
        **knobs: settings of the benchmark; None stands for the default. The scenes take ``difficulty`` (``"easy"``,
            ``"default"`` or ``"hard"``), ``kinds``, and the fields of `hide_utils.scenes.settings.SceneConfig`, which
            come before those of the difficulty. The others take:

            - ``revision``: of the hub's repository. Without it the newest is fetched. The hash of what was fetched is
              kept in the folder's file ``REVISION``.
            - ``letters``: for V*Bench. ``"published"`` takes those of test_questions.jsonl, and is the default where
              that file is. ``"shuffled"`` draws them.
            - ``box_format``: of the boxes in a JSON list: ``"pixels"``, ``"0 to 1"`` or ``"0 to 1000"``. A row's own
              field of that name comes first.
            - ``max_megapixels``: larger pictures are refused; 100 by default.

    Raises:
        ValueError: for an unknown name, split or setting, with the nearest known one, and for a malformed or truncated
            file, with the file, row and field. A damaged picture raises ImageError, a ValueError, when it is read.
        FileNotFoundError: for a missing file, or without a hub within reach. It says where to put the files.
    """
    knobs = {key: value for key, value in knobs.items() if value is not None}
    scenes = str(name_or_path) == "scenes"
    known = SCENE_KNOBS if scenes else FILE_KNOBS
    for knob in knobs:
        if knob not in known:
            raise ValueError(f"benchmark {str(name_or_path)!r} has no setting {knob!r}; {nearest(knob, known)}")
    if scenes:
        return scene_samples(split or "test", 400 if n is None else n, seed, **knobs)
    if split not in (None, "calibration", "test"):
        raise ValueError(f"unknown split {split!r}; {name_or_path} has calibration and test; None is both")
    if (n is not None and n < 1) or seed < 0:
        raise ValueError(f"n must be at least 1 and seed at least 0, not n={n}, seed={seed}")
    path, prefix, source = _find_files(name_or_path, knobs.get("revision"))
    samples = _read(path, prefix, source, seed, knobs.get("letters"), knobs.get("box_format"))
    one_name_a_picture(samples)
    if cut := [sample.id for sample in samples if sample.boxes_cut]:
        warnings.warn(f"{path}: boxes reach over the edge and were cut, of {', '.join(cut[:5])}", stacklevel=2)
    if "max_megapixels" in knobs:
        for sample in samples:
            shown = [replace(cast(StoredImage, one), max_megapixels=knobs["max_megapixels"]) for one in sample.renders]
            sample.render, sample.more = shown[0], list(shown[1:])
    return _draw(samples, split, n, seed, path)


def _draw(samples: list[Sample], split: str | None, n: int | None, seed: int, path: Path) -> list[Sample]:
    """Samples of a split, cut down to ``n`` by whole pictures, in the file's order; of HRScene's needles by needle.

    Raises:
        ValueError: for an id that occurs twice, and for a split without samples.
    """
    for sample_id, times in Counter(sample.id for sample in samples).items():
        if times > 1:
            raise ValueError(f"{path}: id {sample_id!r} stands twice; results are keyed by it, so it must be unique")
    chosen = [sample for sample in samples if split in (None, cast(StoredImage, sample.render).split)]
    if not chosen:
        where = f" in split {split!r} of its {len(samples)}; use split=None" if samples else ""
        raise ValueError(f"{path}: no samples{where}")
    if n and n > len(chosen):
        warnings.warn(f"{path.name} has {len(chosen)} questions here, not n = {n}: all are taken", stacklevel=3)
    pictures = list(dict.fromkeys(sample.image_id for sample in chosen))
    random = np.random.default_rng(seed)
    rank = {pictures[i]: place for place, i in enumerate(random.permutation(len(pictures)))}
    turn, turns = dict.fromkeys((sample.id for sample in chosen), 0), Counter[tuple[str, str]]()
    for i in random.permutation(len(chosen)):  # of what shows one needle, a picture of each grid comes before a second
        if cast(StoredImage, chosen[i].render).belongs_to:
            turn[chosen[i].id] = turns[chosen[i].image_id, chosen[i].kind]
            turns[chosen[i].image_id, chosen[i].kind] += 1
    drawn = {one.id for one in sorted(chosen, key=lambda one: (turn[one.id], rank[one.image_id]))[:n]}
    return [sample for sample in chosen if sample.id in drawn]


def _find_files(name_or_path: str | Path, revision: str | None) -> tuple[Path, str, Source]:
    """Find where a benchmark lies, fetching it if need be.

    Returns:
        Its file or folder, the first part of its ids, and what is known about it.

    Raises:
        ValueError: for an unknown name, for a repository with several benchmarks, and for a revision of a given path.
        FileNotFoundError: where there is no such path, or the benchmark cannot be fetched.
    """
    name = str(name_or_path)
    same_repo = [known for known, source in SOURCES.items() if source.repo == name]
    if len(same_repo) > 1:
        raise ValueError(f"{name} holds {' and '.join(same_repo)}: name the one you mean")
    name = same_repo[0] if same_repo else name
    if name in SOURCES:
        return _folder(name, SOURCES[name], revision), name, SOURCES[name]
    path = Path(name_or_path)
    if not path.exists():
        if isinstance(name_or_path, Path) or path.suffix or len(path.parts) > 1:
            raise FileNotFoundError(f"no benchmark file or folder at {path}; known names: scenes, {', '.join(SOURCES)}")
        known = nearest(name, ["scenes", *SOURCES])
        raise ValueError(f"unknown benchmark {name!r}; {known} (or name a file or folder)")
    if revision:
        raise ValueError(f"revision={revision!r} says what to fetch from the hub, but {path} is here: leave it out")
    return path, path.resolve().stem, Source("", [], "*", "")


def _folder(name: str, source: Source, revision: str | None) -> Path:
    """The benchmark's folder under data/benchmarks, fetched from the hub if it is not there.

    Raises:
        ValueError: where the folder holds another revision.
        FileNotFoundError: where it cannot be fetched.
    """
    folder = FOLDER / name
    record = folder / "REVISION"
    if folder.is_dir():
        kept = record.read_text().split() if record.is_file() else []
        if revision and not any(word.startswith(revision) for word in kept):
            held = kept[0] if kept else "unknown"
            raise ValueError(f"{folder} holds revision {held}, not {revision}: move it away to fetch anew")
        return folder
    todo = f"put {source.layout} from {source.repo} into {folder}"
    if not source.fetched:
        raise FileNotFoundError(f"benchmark {name!r} is not here, and too much to be fetched unasked: {todo}")
    part = folder.with_name(f".{name}.part")  # so that an interrupted fetch is never taken for the whole
    try:
        from huggingface_hub import HfApi, snapshot_download

        commit = HfApi().dataset_info(source.repo, revision=revision).sha
        snapshot_download(
            source.repo, repo_type="dataset", revision=commit, allow_patterns=source.fetched, local_dir=part
        )
    except Exception as error:  # the client's own errors, its transport's, or no client at all
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise FileNotFoundError(f"{name!r} is not here and the hub did not give it ({reason}): {todo}") from error
    (part / "REVISION").write_text(f"{commit} {revision or ''}\n")
    part.rename(folder)
    return folder


def revision_of(name: str | Path) -> str | None:
    """Hash of the commit that a benchmark was fetched at; None where its files were put there by hand."""
    names = {source.repo: known for known, source in SOURCES.items()}
    record = FOLDER / names.get(str(name), str(name)) / "REVISION"
    return record.read_text().split()[0] if record.is_file() else None


def _read(
    path: Path, prefix: str, source: Source, seed: int, letters: str | None, box_format: str | None
) -> list[Sample]:
    """All samples of a file or folder, whose format shows in the names of its files and fields."""
    if letters not in (None, *LETTERINGS):
        raise ValueError(f"unknown letters {letters!r}; {nearest(str(letters), LETTERINGS)}")
    if path.suffix == ".jsonl" or any((path / part).exists() for part in (*KINDS, "test_questions.jsonl")):
        return read_vstar(path, prefix, seed, letters)
    if letters:
        raise ValueError(f"letters={letters!r} is for V*Bench alone, and {path} is not in its format")
    files = _question_files(path, source) if path.is_dir() else [path]
    for file in files:
        refuse_pointer(file)
    if box_format and files[0].suffix != ".json":
        raise ValueError(f"box_format={box_format!r} is for JSON lists alone, and {path} is none")
    if files[0].suffix in (".tsv", ".parquet"):
        return read_tables(files, prefix)
    if files[0].suffix == ".json":
        return read_list(files[0], prefix, box_format)
    raise ValueError(f"{path} is no .tsv, .parquet, .json or .jsonl file: name a question file or its folder")


def _question_files(folder: Path, source: Source) -> list[Path]:
    """The TSV, the Parquet files or the JSON list of a folder; its zip archives are unpacked where it has none.

    Raises:
        ValueError: for several TSV files, JSON lists or tables in Parquet, unless the source is made of several.
        FileNotFoundError: where there is no question file.
    """
    found = _visible(folder, source.questions)
    if not found:
        for archive in sorted(folder.glob("*.zip")):
            refuse_pointer(archive)
            _unpack(archive, folder / archive.stem)
        found = _visible(folder, source.questions)
    for suffix in (".tsv", ".parquet", ".json"):
        files = [path for path in found if path.suffix == suffix]
        parts = {_SHARD.sub("", path.as_posix()) for path in files} if suffix == ".parquet" else files
        if len(parts) > 1 and not source.several:
            names = ", ".join(path.relative_to(folder).as_posix() for path in files[:8])
            raise ValueError(f"{folder} holds {names}: name the one file you mean, or a folder of its parts alone")
        if files:
            return files
    raise FileNotFoundError(
        f"{folder} holds no question file ({source.questions}; .tsv, .parquet, .json) or V*Bench folders"
    )


def _visible(folder: Path, pattern: str) -> list[Path]:
    """Tables and JSON files at any depth of a folder, but in no hidden one, whose name or path matches a pattern."""
    files = [path for suffix in ("tsv", "parquet", "json") for path in sorted(folder.rglob(f"*.{suffix}"))]
    hidden = [any(part.startswith(".") for part in path.relative_to(folder).parts) for path in files]
    shown = [path for path, skip in zip(files, hidden, strict=True) if not skip]
    return [path for path in shown if path.match(pattern) or fnmatch(path.relative_to(folder).as_posix(), pattern)]


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip archive into a folder, whole or not at all.

    Raises:
        ValueError: for a damaged archive, and, before anything is written, for one that leads out of the folder.
        OSError: where the disk has no room for what it unpacks to.
    """
    part = folder.with_name(f".{folder.name}.part")
    try:
        with zipfile.ZipFile(archive) as content:
            for number, member in enumerate(content.namelist(), 1):
                check_inside(member, f"{archive}, member {number}")
            needed, free = sum(member.file_size for member in content.infolist()), shutil.disk_usage(folder.parent).free
            if needed > free:
                what = f"{archive} unpacks to {needed / 1e6:.0f} MB, and there is room for {free / 1e6:.0f} MB"
                raise OSError(errno.ENOSPC, what, str(folder))
            content.extractall(part)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{archive}: no whole zip archive ({error}); {DAMAGED}") from error
    part.rename(folder)
