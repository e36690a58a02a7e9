"""The house: imports run from a room to rooms above it, and no files import each other in a circle."""

import ast
import importlib
import io
import tokenize
from graphlib import CycleError, TopologicalSorter

import pytest

import hide_utils
from hide_utils.evaluation.provenance import PACKAGE, imported

ROOMS, ALIASES = hide_utils.ROOMS, hide_utils.ALIASES
FILES = sorted(PACKAGE.rglob("*.py"))
OUTSIDE = {PACKAGE / f"{name}.py" for name in ("__init__", "__main__", *ALIASES)}
INSIDE = [path for path in FILES if path not in OUTSIDE]


def room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def folders(path):
    return path.relative_to(PACKAGE).parent.parts


def wrong_ways(path, source):
    """Rooms and aliases that a file must not import and does; calls of import_module with a literal name count."""
    files = imported(source, folders(path))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
            if isinstance(node.args[0], ast.Constant):
                files |= imported(f"import {node.args[0].value}")
    found = {room(file) for file in files if file != PACKAGE / "__init__.py"}
    behind = {name for name in found & set(ROOMS) if ROOMS.index(name) > ROOMS.index(room(path))}
    return sorted(behind | (found - set(ROOMS)))


def test_every_folder_and_file_of_the_package_is_a_room_or_an_alias():
    there = {path.stem if path.suffix == ".py" else path.name for path in PACKAGE.iterdir() if path.name[:2] != "__"}
    assert there - {"py.typed"} == set(ROOMS) | set(ALIASES)
    assert len(set(ROOMS)) == len(ROOMS)


@pytest.mark.parametrize("path", INSIDE, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_come_from_rooms_above(path):
    assert wrong_ways(path, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("where", "line", "found"),
    [
        ("method/tad.py", "from hide_utils.evaluation import evaluate", ["evaluation"]),
        ("method/tad.py", "import hide_utils.report.captions", ["report"]),
        ("method/tad.py", "from ..cli.run import main", ["cli"]),
        ("method/tad.py", "from .. import baselines", ["baselines"]),
        ("stats/__init__.py", "from ..plots import style", ["plots"]),
        ("files.py", "from . import images", ["images"]),
        ("models/base.py", "def late():\n    from hide_utils.method import lpd", ["method"]),
        ("models/base.py", "from hide_utils import HiDe", ["method"]),
        ("models/base.py", "def late():\n    import hide_utils\n    return hide_utils.evaluate", ["evaluation"]),
        ("models/base.py", "from importlib import import_module\nimport_module('hide_utils.cli')", ["cli"]),
        ("cli/run.py", "from hide_utils import tad", ["tad"]),
        ("cli/run.py", "from hide_utils.methods import METHODS", ["methods"]),
        ("cli/run.py", "from hide_utils import HiDe, paths\nfrom hide_utils.method.tad import purify", []),
        ("method/tad.py", "from hide_utils.models import base\nfrom . import lpd", []),
    ],
)
def test_an_import_that_runs_back_is_found_wherever_it_hides(where, line, found):
    path = PACKAGE / where
    assert wrong_ways(path, line) == found
    assert wrong_ways(path, path.read_text(encoding="utf-8") + "\n" + line) == found


def arrows(files):
    """File -> files that it imports, its own room's front left out: that is run whatever it imports from the room."""
    return {
        path: imported(path.read_text(encoding="utf-8"), folders(path)) - OUTSIDE - {path.parent / "__init__.py", path}
        for path in files
    }


def test_no_files_import_each_other_in_a_circle():
    TopologicalSorter(arrows(INSIDE)).prepare()
    one, other = PACKAGE / "method" / "tad.py", PACKAGE / "method" / "hide.py"
    with pytest.raises(CycleError):
        TopologicalSorter(arrows(INSIDE) | {one: {other}}).prepare()


def floors(of):
    """Room -> floor: a room stands above all that it imports."""
    below = {name: {room(file) for path in of if room(path) == name for file in of[path]} - {name} for name in ROOMS}
    found = {}
    for name in TopologicalSorter(below).static_order():
        found[name] = 1 + max((found[under] for under in below.get(name, ())), default=0)
    return found


def test_the_house_has_at_most_nine_floors():
    found = floors(arrows(INSIDE))
    assert max(found.values()) <= 9, found
    run, web, files = PACKAGE / "cli" / "run.py", PACKAGE / "report" / "web.py", PACKAGE / "files.py"
    found = floors({run: {web}, web: {files}})
    assert (found["files"], found["report"], found["cli"]) == (1, 2, 3)


def test_no_file_of_analyses_imports_another():
    room_of_analyses = PACKAGE / "analyses"
    for path in room_of_analyses.glob("*.py"):
        beside = imported(path.read_text(encoding="utf-8"), ("analyses",)) - {room_of_analyses / "__init__.py"}
        assert not [file.name for file in beside if file.parent == room_of_analyses], path.name


@pytest.mark.parametrize("name", [name for name in ROOMS if (PACKAGE / name).is_dir()])
def test_a_room_says_in_a_few_lines_what_is_there(name):
    said = ast.get_docstring(ast.parse((PACKAGE / name / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert len(said) > 60 and said.count("\n") <= 5, name


def test_the_names_that_people_import_are_where_they_were():
    wanted = {
        "hide_utils": "HiDe load_model load_benchmark evaluate",
        "hide_utils.tad": "purify",
        "hide_utils.lpd": "token_boxes merge_boxes compact_image",
        "hide_utils.scoring": "parse_letter",
        "hide_utils.images": "read_image",
        "hide_utils.pipeline": "HiDe",
        "hide_utils.methods": "METHODS of_pictures of_regions",
        "hide_utils.run": "main",
    }
    for module, names in wanted.items():
        assert all(hasattr(importlib.import_module(module), name) for name in names.split()), module
    assert hide_utils.HiDe is importlib.import_module("hide_utils.method.hide").HiDe
    with pytest.raises(AttributeError, match="it has HiDe, evaluate"):
        hide_utils.nothing  # noqa: B018


def test_the_method_can_be_read_in_one_sitting():
    """At most 850 lines that hold code: no docstring, comment or blank line."""
    total = 0
    for path in (PACKAGE / "method").glob("*.py"):
        source, docs, lines = path.read_text(encoding="utf-8"), set(), set()
        for node in ast.walk(ast.parse(source)):
            documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            if documented and ast.get_docstring(node) is not None:
                docs |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.string.strip() and token.type != tokenize.COMMENT:
                lines |= set(range(token.start[0], token.end[0] + 1))
        total += len(lines - docs)
    assert 300 < total <= 850
