"""Notebooks of a few short cells, for tests of what runs them."""

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

CELL = """n = 400  # number of samples
model = "mini"  # folder, hub id or the embedded one
sigma = 3.0  # in grid cells
layer = None  # counted from 0"""
REPORT = """import os, sys
print(n, model, layer)
print(sys.executable)
print(os.environ.get("HIDE_PRESET"), os.environ.get("HIDE_FIGURES"), os.getcwd())"""


def write(folder, name, *sources, parameters=CELL):
    cells = [new_markdown_cell("# title"), *map(new_code_cell, sources)]
    if parameters:
        cells.insert(1, new_code_cell(parameters, metadata={"tags": ["parameters"]}))
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), folder / f"{name}.ipynb")


def printed(path):
    book = nbformat.read(path, as_version=4)
    return "".join(output.get("text", "") for cell in book.cells for output in cell.get("outputs", []))
