"""Figures and tables on disk, each beside a sidecar: a JSON file that says what made them.

A sidecar holds the entry of `provenance_entry` and, under `files`, the SHA-256 of every file that it describes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from hide_utils import paths
from hide_utils.files import replace_file, to_json, write_json, write_text
from hide_utils.findings import Finding, as_table, corrected
from hide_utils.stats.rows import left_out_in_words

if TYPE_CHECKING:  # matplotlib takes a second to load, and evaluations import this file without drawing
    from matplotlib.figure import Figure

# A sidecar is left as it is while only these differ: its files are byte for byte what that commit made at that time.
VOLATILE = ("utc", "commit", "dirty")


def is_sidecar(path: Path) -> bool:
    """Whether a file is a sidecar: JSON with the key `files`. False where there is no file, or it is no JSON."""
    return "files" in _content(path)


def write_sidecar(sidecar: Path, entry: dict[str, Any], *files: Path, more: str = "") -> Path:
    """Write a sidecar unless the one that is there says the same (`VOLATILE` apart); returns its path.

    Args:
        sidecar: JSON file to write or replace.
        entry: what made the files; values as `files.to_json` takes them.
        files: what the sidecar describes. They have to be there.
        more: a sentence for the end of the caption, which is the file's name in words where there is none.
    """
    if more:
        title = files[0].stem.replace("_", " ").capitalize()
        entry = entry | {"caption": f"{entry.get('caption') or title + '.'} {more}"}
    hashes = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    entry = to_json({"files": hashes} | entry)
    if _lasting(_content(sidecar)) != _lasting(entry):
        write_json(sidecar, entry)
    return sidecar


def same_sidecar(one: Path, other: Path) -> bool:
    """Whether two files are sidecars that say the same (`VOLATILE` apart)."""
    return is_sidecar(one) and _lasting(_content(one)) == _lasting(_content(other))


def output_folder() -> Path:
    """Folder that this process writes figures and tables to, one folder for each notebook.

    ``figures/`` is written by the runner alone. Its kernels write to a folder of their own (``HIDE_STAGING``), and the
    runner puts the files in their place when the notebook ran through. Any other process writes to the folder in
    ``HIDE_FIGURES``, or without one below ``data/results/runs/by-hand``, and says so once.
    """
    staging, folder = Path(os.environ.get("HIDE_STAGING") or paths.FIGURES), paths.figures_folder()
    if staging.is_dir() and not _committed(staging):
        return staging
    run = paths.run_name(os.environ.get("HIDE_PRESET") or paths.DEFAULT_PRESET)
    if not _committed(folder) and folder != paths.RUNS / run / "figures":
        return folder
    return _by_hand(paths.RUNS / paths.BY_HAND / run / "figures")


@contextlib.contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """A context in which this process writes figures and tables to a folder."""
    before = {name: os.environ.pop(name, None) for name in ("HIDE_STAGING", "HIDE_FIGURES")}
    os.environ["HIDE_FIGURES"] = str(folder)
    try:
        yield
    finally:
        del os.environ["HIDE_FIGURES"]
        os.environ.update({name: value for name, value in before.items() if value})


def _committed(folder: Path) -> bool:
    return folder.resolve().is_relative_to(paths.FIGURES.resolve())


@cache
def _by_hand(folder: Path) -> Path:
    print(f"Figures and tables go to {paths.portable(folder)}; `hide run --inplace` alone writes to figures/.")
    return folder


def save_figure(fig: Figure, name: str, notebook: str, provenance: dict[str, Any]) -> list[Path]:
    """Write `<figures>/<notebook>/<name>.pdf`, `.png` and the sidecar `.json`; returns their paths.

    The folder is `output_folder`. The same figure gives the same bytes at every run, so a rerun without a change
    leaves no difference. Where answers that are drawn leave out errors, the sidecar's caption says how many.

    Raises:
        ValueError: `name` or `notebook` has a folder in it, or is empty.
        OSError: the disk is full or cannot be written; the files before stay whole.
    """
    from hide_utils.plots import every_letter, left_out_in  # only here: drawing takes long to load

    stem = _target(name, notebook)
    pdf, png, sidecar = (stem.with_name(f"{name}.{ending}") for ending in ("pdf", "png", "json"))
    with every_letter(fig):
        replace_file(pdf, lambda path: fig.savefig(path, metadata={"CreationDate": None}))
        replace_file(png, lambda path: fig.savefig(path))
    return [pdf, png, write_sidecar(sidecar, provenance, pdf, png, more=left_out_in(fig))]


def save_table(df: pd.DataFrame, name: str, notebook: str, provenance: dict[str, Any]) -> list[Path]:
    """Write `<figures>/<notebook>/<name>.csv` and the sidecar `<name>.csv.json`; returns their paths.

    The index is left out, and floats have six significant digits. Where the table leaves out rows with errors, the
    sidecar's caption says how many.

    Raises:
        ValueError, OSError: as `save_figure` does.
    """
    path = _target(name, notebook).with_name(f"{name}.csv")
    write_text(path, df.to_csv(index=False, float_format="%.6g"))
    sidecar = path.with_name(f"{path.name}.json")
    return [path, write_sidecar(sidecar, provenance, path, more=left_out_in_words(df))]


def save_findings(findings: Sequence[Finding], notebook: str, provenance: dict[str, Any]) -> list[Finding]:
    """Correct a notebook's findings together and write them to `<figures>/<notebook>/findings.csv` with its sidecar.

    Returns:
        The corrected findings, which have verdicts.

    Raises:
        ValueError: two findings have one name.
    """
    together = corrected(findings)
    save_table(as_table(together), "findings", notebook, provenance)
    return together


def read_table(path: Path) -> pd.DataFrame:
    """A table that `save_table` wrote. Only empty cells are missing values: "NA" and "None" are names, as "007" is."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""], dtype={"kind": str, "sample_id": str})


def _target(name: str, notebook: str) -> Path:
    for part in (name, notebook):
        if not part or Path(part).name != part:
            raise ValueError(f"{part!r}: want a plain name without folders")
    return output_folder() / notebook / name


def _lasting(content: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name not in VOLATILE}


def _content(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty where there is no file, or it holds something else."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        content = json.loads(path.read_text(encoding="utf-8"))
        return content if isinstance(content, dict) else {}
    return {}


def free_sidecar(out: Path) -> Path:
    """The path of the rows. `signs.parquet` must not cost the user a `signs.json` that is no sidecar.

    Raises:
        ValueError: another's file lies where the sidecar would be written.
    """
    sidecar = out.with_suffix(".json")
    if sidecar.is_file() and not is_sidecar(sidecar):
        raise ValueError(f"{sidecar} is there and would be replaced by the sidecar of {out}: give out another name")
    return out
