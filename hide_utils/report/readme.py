"""The parts of README.md that hold measured numbers, written from the committed tables, so that none is ever typed.

Notebook 09 writes them whenever it reports on `figures/`; `python -m hide_utils.report.readme` does it alone. Each part
stands between its two marks, `<!-- name: … -->` and `<!-- end of name -->`.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd

from hide_utils import paths
from hide_utils.files import replace_file
from hide_utils.notebooks import title
from hide_utils.plots import METHOD_LABELS
from hide_utils.report.captions import measured, plain_p, points

README = paths.ROOT / "README.md"
HEADLINE = ("05_benchmarks", "main")


@dataclass(frozen=True)
class Question:
    """A question, the section of the notebook that answers it, and the finding of its table that is quoted.

    section: beginning of a heading. finding: beginning of an entry of the column `finding` in the notebook's
    findings.csv; None: how many of its findings are as in the paper.
    """

    text: str
    notebook: str
    section: str
    finding: str | None = None


QUESTIONS = (
    Question("Is it background interference, or are the objects just small?",
             "01_background_interference", "5 · Factorial", "background rather than smallness"),
    Question("Next check: which layer gives the best *answers*?",
             "02_layer_sweep", "6 · Does the layer", "other layers"),
    Question("Which words should be read: are the others noise?",
             "02_layer_sweep", "1 · Which words", "non-semantic tokens"),
    Question("Can the noise prior be learned, or adapted?",
             "03_token_decoupling", "4 · Other priors", "the instruction"),
    Question("Does it work without enlarging anything?", "04_layout_ablations", "4 · Native size", "… and does so"),
    Question("Next check: does it harm where nothing is to gain?",
             "04_layout_ablations", "8 · Negative control", "no harm"),
    Question("Is it the place of the boxes, or any second picture?",
             "05_benchmarks", "Accuracy by kind", "it is the place"),
)  # fmt: skip


def headline(figures: Path = paths.FIGURES) -> str:
    """The headline table in Markdown: accuracy with intervals, differences to direct answering with tests, and cost."""
    notebook, name = HEADLINE
    table = pd.read_csv(figures / notebook / f"{name}.csv")
    entry = json.loads((figures / notebook / f"{name}.csv.json").read_text(encoding="utf-8"))
    lines = [
        "| method | accuracy [95 % interval] | points over direct [95 % interval] | gained / lost | p | FLOPs |",
        "|---|---|---|---|---|---|",
        *(_headline_row(row) for _, row in table.iterrows()),
        "",
        f"{measured(entry).removesuffix('.')}, letters read by the rule `{entry['parameters']['protocol']}`. Wilson "
        "intervals; paired differences with exact McNemar tests, p Holm-corrected; FLOPs in units of direct answering.",
    ]
    return "\n".join(lines)


def _headline_row(row: pd.Series) -> str:
    name = METHOD_LABELS.get(row["method"], row["method"])
    cells = [name, f"{_share(row['accuracy'])} % [{_share(row['low'])}, {_share(row['high'])}]"]
    if np.isnan(row["difference"]):
        cells += ["", "", ""]
    else:
        low, high = points(row["difference_low"]), points(row["difference_high"])
        cells += [f"{points(row['difference'])} [{low}, {high}]", f"{row['gained']:.0f} / {row['lost']:.0f}"]
        cells += [plain_p(row["p_holm"])]
    return f"| {' | '.join([*cells, '{:.2f} ×'.format(row['times_direct'])])} |"


def _share(value: float) -> str:
    return f"{100 * value:.1f}"


def questions(figures: Path = paths.FIGURES, notebooks: Path = paths.NOTEBOOKS) -> str:
    """The table of questions in Markdown: each with the section that answers it and what was measured there.

    Raises ValueError where a notebook has no such section, or its table no such finding.
    """
    lines = ["| question | answered in | measured here | as in the paper? |", "|---|---|---|---|"]
    for question in QUESTIONS:
        path = notebooks / f"{question.notebook}.ipynb"
        heading, number = _heading(path, question.section), title(path).split(" · ")[0]
        link = f"[{number}, {heading}](notebooks/{question.notebook}.ipynb)"
        lines.append(f"| {question.text} | {link} | {_answer(question, figures)} |")
    return "\n".join(lines)


def _heading(notebook: Path, beginning: str) -> str:
    """The heading of a notebook that begins so, whole."""
    cells = nbformat.read(notebook, as_version=4).cells
    lines = [line for cell in cells if cell.cell_type == "markdown" for line in cell.source.splitlines()]
    headings = [line.lstrip("# ").strip() for line in lines if re.match("##+ ", line)]
    found = [heading for heading in headings if heading.startswith(beginning)]
    if len(found) != 1:
        raise ValueError(f"{notebook.name} has {len(found)} sections that begin with {beginning!r}; it has {headings}")
    return found[0]


def _answer(question: Question, figures: Path) -> str:
    """What was measured and whether that is as in the paper, as two cells."""
    file = figures / question.notebook / "findings.csv"
    if not file.is_file():
        return "not measured yet | –"
    table = pd.read_csv(file)
    if question.finding is None:
        agree = int((table["agrees"] == "yes").sum())
        return f"{len(table)} findings | {agree} of {len(table)}"
    found = table[table["finding"].str.startswith(question.finding)]
    if found.empty:
        raise ValueError(f"{file.name} of {question.notebook} has no finding that begins with {question.finding!r}")
    finding, _, measured_here, agrees = found.iloc[0].tolist()[:4]
    said = f"{finding}: {measured_here}".replace("|", "\\|")
    return f"{said} | {agrees}"


PARTS = {"headline": headline, "questions": questions}


def filled(text: str, figures: Path = paths.FIGURES) -> str:
    """A README's text with its parts written anew. Raises ValueError where the marks of one are not there once."""
    for name, make in PARTS.items():
        part = re.compile(rf"(<!-- {name}: [^\n]*-->\n).*?(\n<!-- end of {name} -->)", re.DOTALL)
        if len(part.findall(text)) != 1:
            raise ValueError(f"README: want the marks of {name!r} once")
        made = make(figures).replace("\\", r"\\")
        text = part.sub(rf"\1\n{made}\n\2", text)
    return text


def write_readme(figures: Path = paths.FIGURES, readme: Path = README) -> Path:
    """Write the parts into the README; returns its path. A README that is in step is not touched."""
    text = readme.read_text(encoding="utf-8")
    if (new := filled(text, figures)) != text:
        replace_file(readme, lambda temporary: temporary.write_text(new, encoding="utf-8"))
    return readme


if __name__ == "__main__":
    print(paths.portable(write_readme()))
    sys.exit(0)
