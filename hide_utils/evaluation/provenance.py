"""What made a result: code, versions, device, parameters, and hashes of the model's and the benchmark's content.

`hash_code` and `imported` read what a source depends on, `provenance_entry` joins all that is known.
"""

from __future__ import annotations

import ast
import platform
import re
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from hide_utils import paths
from hide_utils.config import RunConfig
from hide_utils.evaluation.keys import hash_samples
from hide_utils.files import hash_file, hash_files, hash_folder
from hide_utils.notebooks import code_cells, hash_notebook
from hide_utils.samples import Sample

PACKAGES = ("numpy", "pandas", "pillow", "scikit-image", "scipy", "statsmodels", "torch", "transformers")

PACKAGE = paths.PACKAGE
WRITTEN = ("figures", "notebooks/*.ipynb", "README.md", "docs/real_models.md")  # by runs, which say so in a sidecar


def hash_code(notebook: str | None = None) -> str:
    """Hash of the files of hide_utils that a notebook imports, directly or through others.

    A result is out of date only when a file that made it changed. Without a notebook, all files count.

    Args:
        notebook: name without folder and ending; one that is not among the notebooks counts as None.
    """
    if notebook is None or not (path := _notebook(notebook)).is_file():
        files = [path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".yaml")]
        return hash_files([path for path in files if not path.is_relative_to(paths.SHIPPED)], PACKAGE)
    reached: set[Path] = set()
    todo = imported("\n".join(code_cells(path)))
    while todo:
        module = todo.pop()
        reached.add(module)
        todo |= _imported_by(module, module.stat().st_mtime_ns) - reached
    beside = {data for module in reached if (data := module.with_suffix(".yaml")).is_file()}  # by `files.data_of`
    return hash_files(reached | beside, PACKAGE)


@cache
def _imported_by(module: Path, mtime_ns: int) -> set[Path]:
    """`imported` of a file of the package, read again only after a change: notebooks share most of what they import."""
    return imported(module.read_text(encoding="utf-8"), module.relative_to(PACKAGE).parent.parts)


def imported(source: str, inside: tuple[str, ...] = ()) -> set[Path]:
    """Files of hide_utils that a source imports itself, those that its files import in turn left out.

    Imports count wherever they stand: at the top, inside functions and under TYPE_CHECKING. Relative ones are resolved.
    A name of the package's lazy root (`from hide_utils import HiDe`, or `hide_utils.HiDe` after `import hide_utils`)
    counts as an import of the room that the root's table `_HOMES` gives for it. Python runs the `__init__.py` of every
    folder above an imported file, so these are among the files, the root's own too.

    Args:
        source: Python, or the code cells of a notebook: lines that begin with % or ! are IPython's and do not count.
        inside: folders below hide_utils in which the source lies, for its relative imports: ("method",) for
            `method/hide.py` and for `method/__init__.py`, () for files of the root and for notebooks.

    Returns:
        Absolute paths below `PACKAGE`. Modules of other packages, and names that are no file, are left out.

    Raises:
        SyntaxError: the source does not parse.
    """
    tree = ast.parse(re.sub(r"^\s*[%!].*$", "pass", source, flags=re.MULTILINE))
    names: set[tuple[str, ...]] = set()
    roots = {PACKAGE.name}  # what the package itself is called in this source
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {tuple(alias.name.split(".")) for alias in node.names}
            roots |= {alias.asname for alias in node.names if alias.name == PACKAGE.name and alias.asname}
        elif isinstance(node, ast.ImportFrom):
            above = (PACKAGE.name, *inside)[: len(inside) + 2 - node.level] if node.level else ()
            base = (*above, *(node.module.split(".") if node.module else ()))
            names |= {base} | {(*base, alias.name) for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in roots:
            names.add((PACKAGE.name, node.attr))
    ours = {name[1:] for name in names if name[0] == PACKAGE.name}
    ours |= {(room,) for name, room in _homes().items() if (name,) in ours}
    modules = {PACKAGE.joinpath(*name[:depth]) for name in ours for depth in range(len(name) + 1)}
    files = {file for module in modules for file in (module / "__init__.py", module.with_suffix(".py"))}
    return {file for file in files if file.is_file()}


def _homes() -> dict[str, str]:
    """Room of every name that the package's root imports on first use, as its table `_HOMES` says."""
    for node in ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_HOMES":
            return ast.literal_eval(node.value)
    return {}


def picture_entry(image: Path, question: str, options: Sequence[str] | None) -> dict[str, Any]:
    """What a sidecar says of a picture of one's own: name and hash of its file, and what was asked about it."""
    content = hash_file(image)[:16]
    return {"file": image.name, "hash": content, "question": question, "options": options}


def provenance_entry(
    *,
    config: RunConfig | None = None,
    model: str | Path | None = None,
    samples: Iterable[Sample] | None = None,
    **extra: Any,
) -> dict[str, Any]:
    """Everything a reader needs to know how a result was made, as plain JSON types.

    Args:
        config: recorded are its notebook (with a hash of the code in it), its parameters, its seed and, unless `model`
            is given, its model.
        model: ``"mini"`` or a folder, recorded with a hash of its files; or a hub id, recorded by name.
        samples: recorded as their number and a hash of their content.
        extra: further entries, for example ``seeds={"draw": 0, "bootstrap": 1}`` or ``caption="..."``.

    Returns:
        Entries utc, commit, dirty, code, versions and device; notebook, parameters and seeds with `config`; model and
        benchmark where they are known; and those of `extra`. No path of this machine is in it.
    """
    entry: dict[str, Any] = {"utc": datetime.now(UTC).isoformat(timespec="seconds")} | _commit()
    entry["code"] = hash_code(config.notebook if config else None)
    entry["versions"] = _versions()
    entry["device"] = _device()
    if config is not None:
        entry["notebook"] = {"name": config.notebook, "hash": hash_notebook(_notebook(config.notebook))}
        entry["parameters"] = config.parameters()
        entry["seeds"] = {"seed": config.seed}
        model = config.model if model is None else model
    if model is not None:
        folder = paths.model_folder(model)
        entry["model"] = {"name": "mini" if model == "mini" else paths.portable(model)}
        entry["model"]["hash"] = hash_folder(folder) if folder else None
    if samples is not None:
        samples = list(samples)
        entry["benchmark"] = {"n": len(samples), "hash": hash_samples(samples)}
    return entry | extra


def _notebook(name: str) -> Path:
    return paths.NOTEBOOKS / f"{name}.ipynb"


def _commit() -> dict[str, Any]:
    """Commit of the checkout, and as `dirty` whether tracked files differ from it; both None outside a git checkout.

    A repository in which the package happens to be installed says nothing about it.

    What a run itself rewrites does not count: figures, tables in pages, and notebooks, whose code has a hash anyway.
    """

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=paths.ROOT, capture_output=True, text=True, check=True).stdout

    if paths.INSTALLED:
        return {"commit": None, "dirty": None}
    try:
        changed = git("status", "--porcelain", "-uno", "--", ".", *(f":!{page}" for page in WRITTEN))
        return {"commit": git("rev-parse", "HEAD").strip(), "dirty": bool(changed)}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}


@cache
def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES}


@cache
def _device() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"cpu {platform.machine()}"
