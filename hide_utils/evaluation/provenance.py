"""What made a result: code, versions, device, parameters, and hashes of the model's and the benchmark's content."""

from __future__ import annotations

import ast
import hashlib
import json
import platform
import re
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from hide_utils import paths
from hide_utils.config import RunConfig
from hide_utils.samples import Sample

PACKAGES = ("numpy", "pandas", "pillow", "scikit-image", "scipy", "statsmodels", "torch", "transformers")

PACKAGE = paths.ROOT / "hide_utils"
ABOUT = (".md", ".csv", ".jsonl")  # what lies in a model's folder and says something about it, but is no part of it


def hash_json(value: Any) -> str:
    """First 16 hex digits of the SHA-256 of `value` as JSON with sorted keys; tuples count as lists.

    Raises TypeError for what JSON cannot hold.
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def hash_folder(folder: str | Path, pattern: str = "*") -> str:
    """First 16 hex digits of the SHA-256 over the names and contents of a folder's files, in order of name.

    Notes, tables and logs (`ABOUT`) and hidden files do not count. Raises FileNotFoundError where no file matches.
    """
    folder = Path(folder)
    files = sorted(p for p in folder.rglob(pattern) if p.is_file() and p.suffix not in ABOUT and p.name[0] != ".")
    if not files:
        raise FileNotFoundError(f"{folder}: no file to hash; is this the right folder?")
    lines = [f"{p.relative_to(folder).as_posix()} {_hash_file(p, p.stat().st_mtime_ns)}" for p in files]
    return hash_json(lines)


@cache
def _hash_file(path: Path, mtime_ns: int) -> str:
    """SHA-256 of a file, read once for each time of change: real checkpoints take long."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_code(notebook: str | None = None) -> str:
    """Hash of the modules of hide_utils that a notebook imports, in turn too; of all of them without a notebook.

    So a result is out of date when what made it changed, not when anything did.
    """
    path = paths.NOTEBOOKS / f"{notebook}.ipynb"
    if notebook is None or not path.is_file():
        return hash_folder(PACKAGE, "*.py")
    reached: set[Path] = set()
    todo = _imported("\n".join(_code_cells(path)), ())
    while todo:
        module = todo.pop()
        if module not in reached:
            reached.add(module)
            inside = module.relative_to(PACKAGE).parent.parts
            todo |= _imported(module.read_text(encoding="utf-8"), inside)
    return hash_json(
        [f"{p.relative_to(PACKAGE).as_posix()} {_hash_file(p, p.stat().st_mtime_ns)}" for p in sorted(reached)]
    )


def _imported(source: str, inside: tuple[str, ...]) -> set[Path]:
    """Files of hide_utils that a source names in its imports, with the packages that hold them.

    inside: folders below hide_utils in which the source lies, for relative imports. IPython's own lines do not count.
    """
    source = re.sub(r"^\s*[%!].*$", "pass", source, flags=re.MULTILINE)
    names: set[tuple[str, ...]] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {tuple(alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = (PACKAGE.name, *inside)[: len(inside) + 2 - node.level] if node.level else ()
            base = (*above, *(node.module.split(".") if node.module else ()))
            names |= {base} | {(*base, alias.name) for alias in node.names}
    ours = {name[1:depth] for name in names if name[0] == PACKAGE.name for depth in range(1, len(name) + 1)}
    every = {path for parts in ours for path in (PACKAGE.joinpath(*parts, "__init__.py"), _module(parts))}
    return {path for path in every if path.is_file()}


def _module(parts: tuple[str, ...]) -> Path:
    return PACKAGE.joinpath(*parts).with_suffix(".py")


def hash_samples(samples: Iterable[Sample]) -> str:
    """Hash of all that the samples ask (ids, questions, options, labels, boxes); pictures count through their ids."""
    return hash_json(
        [[s.id, s.image_id, s.question, s.options, s.label, s.kind, s.boxes_xyxy, s.entities] for s in samples]
    )


def provenance(
    *,
    config: RunConfig | None = None,
    model: str | Path | None = None,
    samples: Iterable[Sample] | None = None,
    **extra: Any,
) -> dict[str, Any]:
    """Everything a reader needs to know how a result was made, as plain JSON types.

    Args:
        config: its notebook (with a hash of the code in it), its parameters, its seed and, unless `model` is given,
            its model are recorded.
        model: ``"mini"`` or a folder, recorded with a hash of its files; or a hub id, recorded by name.
        samples: recorded as their number and a hash of their content.
        extra: further entries, for example ``seeds={"draw": 0, "bootstrap": 1}`` or ``caption="..."``.
    """
    entry: dict[str, Any] = {"utc": datetime.now(UTC).isoformat(timespec="seconds")} | _commit()
    entry["code"] = hash_code(config.notebook if config else None)
    entry["versions"] = {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}
    entry["device"] = _device()
    if config is not None:
        entry["notebook"] = {"name": config.notebook, "hash": _hash_notebook(config.notebook)}
        entry["parameters"] = config.parameters()
        entry["seeds"] = {"seed": config.seed}
        model = config.model if model is None else model
    if model is not None:
        folder = paths.MINI if model == "mini" else Path(model)
        entry["model"] = {"name": "mini" if model == "mini" else paths.portable(model)}
        entry["model"]["hash"] = hash_folder(folder) if folder.is_dir() else None
    if samples is not None:
        samples = list(samples)
        entry["benchmark"] = {"n": len(samples), "hash": hash_samples(samples)}
    return entry | extra


def _hash_notebook(name: str) -> str | None:
    path = paths.NOTEBOOKS / f"{name}.ipynb"
    if not path.is_file():
        return None
    return hash_json(_code_cells(path))


def _code_cells(path: Path) -> list[str]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def _commit() -> dict[str, Any]:
    """Commit of the checkout and whether tracked files differ from it; None and None outside a git checkout.

    What a run itself rewrites does not count: figures, the README's tables, and notebooks, whose code has a hash.
    """

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=paths.ROOT, capture_output=True, text=True, check=True).stdout

    try:
        changed = git("status", "--porcelain", "-uno", "--", ".", ":!figures", ":!notebooks/*.ipynb", ":!README.md")
        return {"commit": git("rev-parse", "HEAD").strip(), "dirty": bool(changed)}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}


@cache
def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@cache
def _device() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"cpu {platform.machine()}"
