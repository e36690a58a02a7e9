"""Notebook 05 on a small file of every published benchmark: its own cells, other parameters, a tiny checkpoint."""

import ast
import json

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import pytest
from benchmark_files import BOOK, authors_row, hrbench_rows, noise, write_json, write_tsv, write_vstar
from checkpoints import checkpoint
from matplotlib.figure import Figure

from hide_utils import paths
from hide_utils.baselines import METHODS

KEPT = {"split": None, "resolution": None, "n": None, "resolutions": []}


def vstar(folder):
    """Pictures large enough for the boxes, and no letters of the authors'."""
    root = write_vstar(folder)
    for number, note in enumerate(sorted(root.glob("*/*.json"))):
        note.with_suffix(".jpg").write_bytes(noise(number, 128))
        fields = json.loads(note.read_text())
        write_json(note, fields | {"bbox": [[10, 10 + 40 * i, 40, 30] for i in range(len(fields["bbox"]))]})
    (root / "test_questions.jsonl").unlink()
    return root


def hrbench(folder):
    return write_tsv(folder / "hr_bench_4k.tsv", hrbench_rows(2, lambda i: noise(i, 96)))


def mme(folder):
    asked = [
        BOOK | {"Question_id": f"{kind}/{i}", "Task": kind} for kind in ("Perception", "Reasoning") for i in (1, 2)
    ]
    (folder / BOOK["Image"]).write_bytes(noise(3, 96))
    return write_json(folder / "MME-RealWorld-Lite.json", asked)


def listed(folder):
    vstar(folder)
    box = "vstar_bench/direct_attributes/sa_4690.json"
    return write_json(folder / "list.json", [authors_row(i, box_json=box) for i in range(2)])


def mixed(folder):
    """A list of one's own, in which one question of two has options."""
    for i in range(3):
        (folder / f"p{i}.png").write_bytes(noise(i, 112))
    boxes = {"box_json": [[10, 10, 40, 30]], "category": "signs"}
    rows = [authors_row(i, f"p{i}.png", **boxes) for i in range(3)]
    rows[1] |= {"labels": None, "question": "What does the sign say?", "answers": ["Gate 7", "7"], "scorer": "contains"}
    rows[2] |= {"labels": None, "question": "How many signs are there?", "answer": 3, "scorer": "number"}
    return write_json(folder / "mixed.json", rows)


# One file of each benchmark: tests/benchmarks holds that its other files (Parquet, V*Bench's own letters) are read as
# the same samples, and the notebook sees nothing else of them.
FORMATS = {
    "vstar": vstar,
    "hrbench_tsv": hrbench,
    "mme_realworld_lite": mme,
    "authors_json": listed,
    "mixed_json": mixed,
}


def run(name, **parameters):
    """Every code cell of a notebook in order, with other parameters; what a cell ends in is shown as HTML."""
    scope, shown = {"__name__": "__main__", "In": []}, []
    for cell in nbformat.read(paths.NOTEBOOKS / f"{name}.ipynb", as_version=4).cells:
        if cell.cell_type != "code":
            continue
        scope["In"].append(cell.source)  # as IPython does
        tree = ast.parse(cell.source)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, name, "exec"), scope)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), name, "eval"), scope)
            shown.append(value._repr_html_() if hasattr(value, "_repr_html_") else repr(value))
        if "parameters" in cell.metadata.get("tags", []):
            scope |= parameters
    return scope, shown


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("published", FORMATS)
def test_notebook_runs_on_every_published_benchmark(tmp_path, monkeypatch, published):
    for name in ("RESULTS", "CACHE"):
        monkeypatch.setattr(paths, name, tmp_path / name)
    monkeypatch.setattr(paths, "figures_folder", lambda: tmp_path / "figures")
    monkeypatch.delenv("HIDE_PRESET", raising=False)
    savefig = Figure.savefig  # small ones: they are looked at elsewhere
    monkeypatch.setattr(Figure, "savefig", lambda fig, path, **knobs: savefig(fig, path, **knobs | {"dpi": 20}))
    few = ["direct", "hide", "oracle", "random", "hide_gated"]  # the search by trial takes its time
    others = {} if published == "vstar" else {"methods": few}
    source = {"model": str(checkpoint("qwen3_vl")), "benchmark": str(FORMATS[published](tmp_path))}
    with matplotlib.rc_context():
        kept = KEPT | ({"split": "auto"} if published == "mixed_json" else {})  # which is all of a list of one's own
        scope, shown = run("05_benchmarks", **source, **kept, **others)
    plt.close("all")
    table, boxed = scope["answers"], scope["boxed"]
    free = table["n_options"] == 0
    assert table["error"].notna().equals(free & (table["method"] == "hide_gated")), "which needs letters"
    assert scope["cfg"].split is None and free.sum() == (2 * 5 if published == "mixed_json" else 0)
    assert boxed == ("hrbench" not in published and "mme" not in published)
    assert table["method"].nunique() == (len(METHODS) if published == "vstar" else 4 + boxed)
    folder = tmp_path / "figures" / "05_benchmarks"
    written = {path.name for path in folder.iterdir()}
    assert {"accuracy_against_cost.pdf", "main.csv", "measured_and_published.tex"} <= written
    several = table["image_id"].nunique() > 1  # questions about a single picture decide nothing
    assert ("hide_over_direct.png" in written) == several and "resolution.png" not in written
    assert ("by_coverage.png" in written) == ("perfect_boxes.png" in written) == (boxed and several)
    assert len(pd.read_csv(folder / "main.csv")) == table["method"].nunique()
    claims = {"HiDe over direct", "place of the boxes", "HiDe over gated"} | ({"perfect boxes"} if boxed else set())
    assert (claims if several else set()) <= set(pd.read_csv(folder / "findings.csv")["claim"])
    if "hrbench" in published:
        assert table["cycle"].nunique() == 4 and scope["scores"]["method"].tolist() == [few[0], few[1], *few[3:]]
    assert any("published: V*" in text or "HR-Bench" in text for text in shown)
