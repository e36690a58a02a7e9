"""What the report's tests share: notebooks and results as a run would leave them."""

import hashlib
import json

import numpy as np
import pandas as pd
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image

from hide_utils.findings import Finding, as_table, corrected
from hide_utils.stats import comparison_table

PARAMETERS = "n = 40  # samples\nmodel = 'mini'"
CODE = """fig = draw()
files = save_figure(fig, "accuracy", cfg.notebook, entry)
files += save_table(df, "main", cfg.notebook, entry)
files += save_figure(fig, "never_made", cfg.notebook, entry)"""


def book(title, *cells):
    first = new_markdown_cell(f"# {title}\n\n**Question.** Does *it*\nwork?\n\n| a |\n|---|\n| b |")
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    return new_notebook(
        metadata={"kernelspec": kernel},
        cells=[first, new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}), *cells],
    )


def write_item(folder, name, now, **changes):
    """A figure or table with a sidecar as a run would leave it today, but for the changes."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    if path.suffix == ".png":
        Image.fromarray(np.full((220, 440, 3), 200, np.uint8)).save(path)
    else:
        results().to_csv(path, index=False)
    entry = now | {
        "files": {name: hashlib.sha256(path.read_bytes()).hexdigest()},
        "notebook": {"name": folder.name, "hash": "today"},
        "parameters": {"n": 40, "model": "mini", "benchmark": "scenes", "resolution": 448, "split": "test"},
        "benchmark": {"n": 40, "hash": "0123456789"},
    }
    sidecar = path.with_suffix(".json") if path.suffix == ".png" else folder / f"{name}.json"
    sidecar.write_text(json.dumps(entry | changes))
    return path


def results():
    """Two methods on four samples, as `comparison_table` reports them."""
    rows = [
        {"sample_id": str(i), "kind": "color" if i < 2 else "place", "method": m, "correct": right}
        for m, outcomes in (("direct", (1, 0, 0, 0)), ("hide", (1, 1, 1, 0)))
        for i, right in enumerate(outcomes)
    ]
    table = comparison_table(pd.DataFrame(rows))
    return table[table["kind"] == "all"].drop(columns="kind").assign(p_holm=table["p"])


def write_cards(folder, now):
    """Findings of a notebook: one that is undecided, and one of which the paper says nothing."""
    words = {"unit": "points", "n": 40, "test": "t"}
    one = Finding("one", "It <helps>.", 3.0, -4.0, 10.0, p=0.2, paper="it helps", source="table 1", **words)
    other = Finding("other", "It is | short.", 9.0, 8.0, 10.0, p=0.001, **words)
    path = write_item(folder, "findings.csv", now)
    as_table(corrected([one, other])).to_csv(path, index=False)
    entry = json.loads((folder / "findings.csv.json").read_text())
    entry["files"] = {"findings.csv": hashlib.sha256(path.read_bytes()).hexdigest()}
    (folder / "findings.csv.json").write_text(json.dumps(entry))
    return path
