"""Figures and tables on disk, each with a sidecar that says what made it."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from hide_utils import paths
from hide_utils.files import replace_file, to_json

# A sidecar keeps its entry while only these differ: the file beside it is byte for byte what that commit made then.
VOLATILE = ("utc", "commit", "dirty")


def _target(name: str, notebook: str) -> Path:
    for part in (name, notebook):
        if not part or Path(part).name != part:
            raise ValueError(f"{part!r}: want a to_json name without folders")
    return paths.figures_folder() / notebook / name


def write_sidecar(path: Path, entry: dict[str, Any], *more: Path) -> Path:
    """Write `<name>.json` beside a file of results: what made it (and more files), their SHA-256; returns its path."""
    sidecar = path.with_suffix(".json")
    _write_sidecar(sidecar, entry, [path, *more])
    return sidecar


def _write_sidecar(path: Path, entry: dict[str, Any], described: list[Path]) -> None:
    files = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in described}
    entry = to_json({"files": files} | entry)

    def lasting(content: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in content.items() if name not in VOLATILE}

    with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
        if lasting(json.loads(path.read_text(encoding="utf-8"))) == lasting(entry):
            return
    text = json.dumps(entry, indent=1, ensure_ascii=False) + "\n"
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def save_figure(fig: Figure, name: str, notebook: str, provenance: dict[str, Any]) -> list[Path]:
    """Write `<figures>/<notebook>/<name>.pdf`, `.png` and the sidecar `.json`; returns their paths.

    The same figure gives the same bytes at every run, and a sidecar (the provenance and the files' SHA-256) is
    rewritten only when more than its time and commit differ, so that a rerun without a change leaves no difference.
    `paths.figures_folder` says where.
    """
    stem = _target(name, notebook)
    pdf, png, sidecar = (stem.with_name(f"{name}.{ending}") for ending in ("pdf", "png", "json"))
    replace_file(pdf, lambda path: fig.savefig(path, metadata={"CreationDate": None}))
    replace_file(png, lambda path: fig.savefig(path))
    _write_sidecar(sidecar, provenance, [pdf, png])
    return [pdf, png, sidecar]


def save_table(df: pd.DataFrame, name: str, notebook: str, provenance: dict[str, Any]) -> list[Path]:
    """Write `<figures>/<notebook>/<name>.csv` and the sidecar `<name>.csv.json`; returns their paths.

    Without the index; floats with six significant digits.
    """
    path = _target(name, notebook).with_name(f"{name}.csv")
    text = df.to_csv(index=False, float_format="%.6g")
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    sidecar = path.with_name(f"{path.name}.json")
    _write_sidecar(sidecar, provenance, [path])
    return [path, sidecar]
