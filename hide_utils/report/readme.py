"""The parts of README.md that hold measured numbers, written from the committed tables, so that none is ever typed.

`hide report` and notebook 09 write them whenever they report on `figures/`. Each part stands between its two marks,
`<!-- name: … -->` and `<!-- end of name -->`. `hide report` writes those of docs/real_models.md too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd

from hide_utils import paths
from hide_utils.baselines import LOOKS
from hide_utils.benchmarks.loading import SOURCES
from hide_utils.evaluation import one_card
from hide_utils.evaluation.saving import read_table
from hide_utils.evaluation.tables import PUBLISHED, published
from hide_utils.files import data_of, write_text
from hide_utils.findings import in_words
from hide_utils.looks import look_of
from hide_utils.notebooks import title
from hide_utils.report.blocks import HEADLINE
from hide_utils.report.captions import measured_on, p_text, points
from hide_utils.stats.rows import left_out_in_words

README, PAGE = paths.ROOT / "README.md", paths.ROOT / "docs" / "real_models.md"
HIDE_ARXIV = "2510.00054"
PEER_COLUMNS = {name: PUBLISHED[name][1] for name in ("vstar", "hrbench4k", "hrbench8k")}  # benchmark -> peers' column
Part = Callable[[Path], str]


@dataclass(frozen=True)
class Question:
    """A question, the section of the notebook that answers it, and the finding of its table that is quoted.

    Attributes:
        text: the question, in Markdown.
        notebook: name of the notebook that answers it.
        section: how the heading of the section begins.
        finding: name of the claim, or how the entry in the first column of an older table begins.
        table: name of a table of the notebook. Its third column is what was measured, its fourth, where it has one,
            whether that is as claimed.
    """

    text: str
    notebook: str
    section: str
    finding: str
    table: str = "findings"


QUESTIONS = tuple(Question(**one) for one in data_of(__file__))


def headline(figures: Path = paths.FIGURES) -> str:
    """The headline table in Markdown: accuracy, differences to direct answering with tests, localisation and cost."""
    notebook, name = HEADLINE
    table = read_table(figures / notebook / f"{name}.csv")
    entry = json.loads((figures / notebook / f"{name}.csv.json").read_text(encoding="utf-8"))
    tested = "Wilson intervals; paired differences with exact McNemar tests"
    if "pictures" in table and (table["pictures"] < table["n"]).any():
        tested = "Intervals and tests of paired differences by picture"
    lines = [
        "| method | accuracy [95 % interval] | points over direct [95 %] | p | boxes: recall, kept | tokens | FLOPs |",
        "|---|---|---|---|---|---|---|",
        *(_headline_row(row) for _, row in table.iterrows()),
        "",
        f"{measured_on(entry).removesuffix('.')}, letters read by the rule `{entry['parameters']['protocol']}`. "
        f"{tested}, p Holm-corrected; recall is the share of true boxes that the regions hold, *kept* that of the "
        f"picture; FLOPs in units of direct answering. {left_out_in_words(table)}".rstrip(),
    ]
    return "\n".join(lines)


def _headline_row(row: pd.Series) -> str:
    name = look_of(LOOKS, row["method"]).label
    cells = [name, f"{_share(row['accuracy'])} % [{_share(row['low'])}, {_share(row['high'])}]"]
    if np.isnan(row["difference"]):
        cells += ["", ""]
    else:
        low, high = points(row["difference_low"]), points(row["difference_high"])
        cells += [f"{points(row['difference'])} [{low}, {high}]", p_text(row["p_holm"])]
    boxes = "" if np.isnan(row["recall50"]) else f"{row['recall50']:.2f}, {_share(row['area'])} %"
    cells += [boxes, f"{row['tokens']:.0f}"]
    return f"| {' | '.join([*cells, '{:.2f} ×'.format(row['times_direct'])])} |"


def _share(value: float) -> str:
    return f"{100 * value:.1f}"


def questions(figures: Path = paths.FIGURES, notebooks: Path = paths.NOTEBOOKS) -> str:
    """The table of questions in Markdown: each with the section that answers it and what was measured there.

    Questions of a notebook that is not there are left out, and of one without results the table says so. Where a
    section or a finding goes by another name now, the table names the whole notebook.
    """
    lines = ["| question | answered in | measured here | as in the paper? |", "|---|---|---|---|"]
    for question in QUESTIONS:
        path = notebooks / f"{question.notebook}.ipynb"
        if path.is_file():
            number = title(path).split(" · ")[0]
            link = f"[{number}, {section_heading(question, notebooks) or 'whole'}](notebooks/{path.name})"
            said, verdict = quoted_finding(question, figures) or ("see there", "–")
            lines.append(f"| {question.text} | {link} | {said} | {verdict} |")
    return "\n".join(lines)


def section_heading(question: Question, notebooks: Path = paths.NOTEBOOKS) -> str | None:
    """The heading of the section that answers a question; None unless exactly one begins as the question says."""
    cells = nbformat.read(notebooks / f"{question.notebook}.ipynb", as_version=4).cells
    lines = [line for cell in cells if cell.cell_type == "markdown" for line in cell.source.splitlines()]
    found = [line.lstrip("# ") for line in lines if re.match(f"#+ {re.escape(question.section)}", line)]
    return found[0] if len(found) == 1 else None


def quoted_finding(question: Question, figures: Path = paths.FIGURES) -> tuple[str, str] | None:
    """What was measured, and whether that is as claimed; None where no finding begins as the question says."""
    file = figures / question.notebook / f"{question.table}.csv"
    if not file.is_file():
        return "not measured yet", "–"
    table = read_table(file)
    if "claim" in table:
        cards = in_words(table[table["claim"] == question.finding])
        said = [
            (f"{card.claim} {card.evidence.split(';')[0]}".replace("|", "\\|"), card.verdict)
            for card in cards.itertuples()
        ]
        return said[0] if said else None
    found = table[table.iloc[:, 0].str.startswith(question.finding)]
    if found.empty:
        return None
    name, _, measured_here, verdict = [*found.iloc[0].fillna("–").tolist(), "–"][:4]  # some tables judge nothing
    return f"{name}: {measured_here}".replace("|", "\\|"), str(verdict)


def example(figures: Path = paths.FIGURES) -> str:
    """The code of use, whose sample the rule of notebook 00 chose, and what it prints, in Markdown."""
    chosen = read_table(figures / "00_quickstart" / "example.csv").iloc[0]
    said = (
        f"Index {chosen['index']} is the first of the calibration split where the direct answer is wrong, HiDe's "
        f"regions cover every true box and HiDe is right, as for {chosen['examples']} of the first {chosen['n']}. "
        "It prints:"
    )
    return f"```python\n{chosen['code']}\n```\n\n{said}\n\n```text\n{chosen['printed']}\n```"


def peers(figures: Path = paths.FIGURES, most: int = 10) -> str:
    """The table of where HiDe stands among published methods, in Markdown: none of its numbers is measured here.

    Of each method it has the row that is best on V*, of those that name all three benchmarks and whose numbers were
    seen again in a public source (``checked`` in ``data/paper/peer_numbers.csv``).

    Args:
        figures: not looked at, since nothing here is measured.
        most: at most so many rows, the best first.
    """
    told = pd.read_csv(paths.PAPER / "peer_numbers.csv", dtype={"arxiv": str})
    hide = {name: published(name).query("method == 'hide'").set_index("backbone")["accuracy"] for name in PEER_COLUMNS}
    own = pd.DataFrame(hide).rename(columns=PEER_COLUMNS).rename_axis("backbone").reset_index()
    own = own.assign(method="hide", training="training-free", checked="numbers", arxiv=HIDE_ARXIV, source="HiDe paper")
    whole = pd.concat([own, told[told["checked"] == "numbers"]]).dropna(subset=[*PEER_COLUMNS.values()])
    ordered = whole.sort_values("vstar_overall", ascending=False, kind="stable").drop_duplicates("method")
    lines = ["| method | backbone | training | V* | HR-Bench 4K | 8K | published in |", "|---|---|---|---|---|---|---|"]
    for row in ordered.head(most).fillna({"training": "–"}).to_dict("records"):
        numbers = [max(f"{row[name]:.1f}", f"{row[name]:g}", key=len) for name in PEER_COLUMNS.values()]  # as printed
        source = f"{row['source'].split(';')[0]}, [{row['arxiv']}](https://arxiv.org/abs/{row['arxiv']})"
        cells = [look_of(LOOKS, row["method"]).label, row["backbone"], row["training"], *numbers, source]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def costs(figures: Path = paths.FIGURES) -> str:
    """What real models take in memory and time, by `one_card.on_cards`, in Markdown."""
    table = one_card.on_cards(figures=figures)
    lines = ["| model | files | image tokens | GPU memory |", "|---|---|---|---|"]
    for row in table.drop_duplicates("model").itertuples():
        lines.append(f"| {row.model} | {row.files_gb:.1f} GB | {row.tokens} | {row.memory_gb:.0f} GB |")
    lines += ["", f"| | {' | '.join(table['model'] + ', ' + table['card'])} |", "|---" * (1 + len(table)) + "|"]
    for name in ("direct", "hide"):
        cells = [f"{seconds:.1f} s" for seconds in table[name]]
        lines.append(f"| {LOOKS[name].label}, a question | {' | '.join(cells)} |")
    for name, source in SOURCES.items():
        if source.size:
            cells = [f"{hours:.2f} h" for hours in table[name]]
            lines.append(f"| {name}, {source.size} questions | {' | '.join(cells)} |")
    return "\n".join([*lines, "", one_card.assumed(figures)])


PARTS: dict[str, Part] = {"headline": headline, "example": example, "questions": questions, "peers": peers}
OF_PAGE: dict[str, Part] = {"costs": costs}


def filled(text: str, figures: Path = paths.FIGURES, parts: Mapping[str, Part] = PARTS) -> str:
    """A README's text with its parts written anew, or that of another page with these parts.

    Raises:
        ValueError: the marks of a part are missing, or there more than once.
    """
    for name, make in parts.items():
        part = re.compile(rf"(<!-- {name}: [^\n]*-->\n).*?(\n<!-- end of {name} -->)", re.DOTALL)
        if len(part.findall(text)) != 1:
            raise ValueError(f"{'README' if parts is PARTS else 'page'}: want the marks of {name!r} once")
        made = make(figures).replace("\\", r"\\")
        text = part.sub(rf"\1{made}\2", text)
    return text


def write_readme(figures: Path = paths.FIGURES, readme: Path = README, target: Path | None = None) -> Path:
    """Write the parts into the README, or with them a copy of it to `target`; returns what was written.

    A README that is in step is not touched.
    """
    text, target = readme.read_text(encoding="utf-8"), target or readme
    if (new := filled(text, figures)) != text or target != readme:
        write_text(target, new)
    return target


def write_page(figures: Path = paths.FIGURES, page: Path = PAGE) -> Path:
    """Write the parts into docs/real_models.md; returns its path. A page that is in step is not touched."""
    text = page.read_text(encoding="utf-8")
    if (new := filled(text, figures, OF_PAGE)) != text:
        write_text(page, new)
    return page
