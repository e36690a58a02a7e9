"""The paper's numbers beside those that were measured here, each with its interval, n and one word.

The word is the verdict of a `hide_utils.findings.Finding` that claims no difference between the measured and the
published number, with Holm's correction over all of the table: "agrees" where the interval of the difference lies
within the margin of its unit, else "differs" where the corrected test says that there is one, else "undecided". The
published number is taken as it stands, for the paper gives no answers to single questions that could be paired.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from hide_utils.benchmarks.loading import SOURCES
from hide_utils.evaluation.localisation import energy_in_boxes
from hide_utils.evaluation.tables import PUBLISHED
from hide_utils.files import data_of
from hide_utils.findings import Finding, corrected, paper_numbers
from hide_utils.method import HiDe, Session, given_entities
from hide_utils.samples import Sample
from hide_utils.stats import wilson
from hide_utils.stats.rows import mean_interval, outcomes, pictures_of

_DATA = data_of(__file__)
EXPERIMENTS: dict[str, dict[str, Any]] = _DATA["experiments"]
REASONS: dict[str, str] = _DATA["reasons"]
PARTS = tuple(dict.fromkeys(about["part"] for about in EXPERIMENTS.values()))
BENCHMARKS = {PUBLISHED[name][0]: name for name in ("vstar", "hrbench4k", "hrbench8k")}  # the paper's name -> ours
WORDS = {True: "agrees", False: "differs", None: "undecided"}  # whether "no difference" is borne out -> the word
ENDS = ("measured", "low", "high")
COLUMNS = (
    *("experiment", "setting", "metric", "published", *ENDS, "n", "pictures", "left_out", "word", "p_corrected"),
    *("n_to_decide", "benchmark", "method", "kind", "note", "reason"),
)
FEW = 10  # pictures, below which resampling them says nothing
LAYERS = "layers"  # the method of cells about layers, which is a measure and gives no answers
_RATIO = "× published"


@dataclass(frozen=True)
class Cell:
    """A number of the paper, and what gives it here.

    Attributes:
        experiment, setting, metric, published: as in ``data/paper/hide_paper_numbers.csv``.
        benchmark: name of the benchmark.
        method: name of the method whose rows count.
        kind: of the questions that count. None takes all.
        note: what is not stated, or is another here.
        reason: why nothing here gives it. Empty where something does.
    """

    experiment: str
    setting: str
    metric: str
    published: float
    benchmark: str
    method: str
    kind: str | None
    note: str = ""
    reason: str = ""


def cells_of(model: str, parts: Collection[str] = PARTS) -> list[Cell]:
    """The paper's cells of some parts, those of other models with the reason why they have no measurement.

    Args:
        model: as the paper calls it.
        parts: of `PARTS`.
    """
    chosen = {name: about for name, about in EXPERIMENTS.items() if about["part"] in parts}
    return [
        _cell(row, about, model)
        for name, about in chosen.items()
        for row in paper_numbers(name).fillna({"note": ""}).to_dict("records")
    ]


def _cell(row: Mapping[str, Any], about: Mapping[str, Any], model: str) -> Cell:
    title, _, name = row["setting"].rpartition(" / ")
    other = row["model"] not in (model, "not stated")
    reason = about.get("reason") or about.get("reasons", {}).get(name, "")
    unknown = "" if row["model"] == model else _DATA["notes"]["not stated"]
    notes = [row["note"], unknown, about.get("note"), about.get("notes", {}).get(name)]
    return Cell(
        experiment=row["experiment"],
        setting=row["setting"] + (f" ({row['model']})" if other else ""),
        metric=row["metric"],
        published=row["value"] if about.get("otherwise") != LAYERS else float(name),
        benchmark=BENCHMARKS.get(title, "vstar"),
        method=about.get("methods", {}).get(name) or about.get("otherwise", "").format(name),
        kind=_DATA["kinds"].get(row["metric"]),
        note="" if other else "; ".join(filter(None, notes)),
        reason=REASONS["other model"] if other else reason,
    )


def attention_in_boxes(hide: HiDe, session: Session, sample: Sample, layers: Sequence[int]) -> dict[str, Any]:
    """A measure for `stored_measures`: where the search for the reference entities looks.

    Args:
        hide: the method. Its settings play no part.
        session: of the sample's picture.
        sample: with true boxes and reference entities.
        layers: counted from 0, ascending.

    Returns:
        ``layers``, and ``attention``, the share in [0, 1] of each layer's attention to the picture that lies in true
        boxes, the mean of the entities' tokens.

    Raises:
        ValueError: the sample lacks boxes or entities.
    """
    if not (sample.boxes_xyxy and sample.entities):
        raise ValueError(f"sample {sample.id} lacks true boxes or reference entities: take the benchmark with its JSON")
    found = session.search(given_entities(sample.entities), layers)
    truth = np.array(sample.boxes_xyxy) / (session.image.size * 2)
    return {"layers": list(layers), "attention": energy_in_boxes(found.semantic, truth).mean(1).round(6).tolist()}


def beside_paper(cells: Sequence[Cell], answers: Mapping[str, pd.DataFrame], looks: pd.DataFrame) -> pd.DataFrame:
    """Every cell beside what was measured.

    Args:
        cells: of `cells_of`.
        answers: benchmark -> rows of `evaluate` by the cells' methods.
        looks: what `stored_measures` gives for `attention_in_boxes`. It may be empty where no cell is about layers.

    Returns:
        A row a cell with `COLUMNS`. measured, low and high are in the cell's unit: percent, minutes, gigabytes, or a
        layer counted from 1. Without a measurement they and the word are missing, and ``reason`` says why. low and high
        are missing where there are too few pictures. n_to_decide is there where the word is "undecided".
    """
    rows = [asdict(cell) | _measured(cell, answers, looks) for cell in cells]
    known = {str(number): row for number, row in enumerate(rows) if math.isfinite(row.get("low", math.nan))}
    for one in corrected([_finding(name, row) for name, row in known.items()]):
        verdict = {"word": WORDS[one.holds], "p_corrected": one.p_corrected, "n_to_decide": one.n_to_decide}
        known[one.claim].update(verdict)
    whole = dict.fromkeys(("n", "pictures", "left_out", "n_to_decide"), "Int64")
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(whole)


def _finding(name: str, row: Mapping[str, Any]) -> Finding:
    """The claim that a measured number is the published one. Minutes and gigabytes are compared as ratios."""
    published = row["published"]
    estimate, low, high = (row[end] / published - 1 if row["unit"] == _RATIO else row[end] - published for end in ENDS)
    facing = estimate - low if estimate > 0 else high - estimate  # the side of the interval towards no difference
    z = norm.isf(0.025) * abs(estimate) / facing if facing > 0 else math.inf * abs(estimate) if estimate else 0.0
    numbers: dict[str, Any] = {"estimate": estimate, "low": min(low, estimate), "high": max(high, estimate)}
    test = {"n": row["n"], "test": "normal, from the interval", "p": float(2 * norm.sf(z))}
    return Finding(claim=name, statement="It is as published.", unit=row["unit"], expected=0, **numbers, **test)


def _measured(cell: Cell, answers: Mapping[str, pd.DataFrame], looks: pd.DataFrame) -> dict[str, Any]:
    """Columns of a cell's measurement, or its reason alone."""
    if cell.reason:
        return {}
    if cell.method == LAYERS:
        return _peak_layer(looks)
    rows = answers[cell.benchmark]
    rows = rows[(rows["method"] == cell.method) & (True if cell.kind is None else rows["kind"] == cell.kind)]
    known = rows[outcomes(rows).notna()]
    if known.empty:
        return {"reason": REASONS["no answer"]}
    if cell.metric == "peak GB":
        found = _peak_memory(known)
    else:
        found = _minutes(known, cell.benchmark) if cell.metric == "minutes" else _accuracy(known)
    return found | {"left_out": len(rows) - len(known)}


def _accuracy(rows: pd.DataFrame) -> dict[str, Any]:
    """Accuracy in percent. Of a benchmark with cycles it is the mean over these, HR-Bench's own score.

    The interval is Wilson's, and where a picture carries several questions that of the bootstrap by picture. This is
    too short for fewer than `FEW` pictures, and where all are alike: Wilson's with pictures as samples stands in.
    """
    pictures, cycle = pictures_of(rows), rows["cycle"].fillna("")
    weights = len(rows) / (cycle.nunique() * cycle.map(cycle.value_counts()))  # all 1 where no answer is missing
    found, n = mean_interval(outcomes(rows) * weights, pictures, shares=cycle.nunique() == 1), pictures.nunique()
    if len(rows) > n and (n < FEW or found.high - found.low < 1e-9):
        alone = wilson(round(found.estimate * n), n)
        found = found._replace(low=alone.low, high=alone.high)
    return _columns([100 * value for value in found[:3]], pictures, "points")


def _minutes(rows: pd.DataFrame, benchmark: str) -> dict[str, Any]:
    """Minutes that the whole benchmark takes at the rows' mean seconds, with the interval of the bootstrap."""
    pictures, size = pictures_of(rows), SOURCES[benchmark].size or len(rows)
    found = mean_interval(rows["seconds"].astype(float) * size / 60, pictures, shares=False)
    return _columns(_if_many(found[:3], pictures), pictures, _RATIO)


def _peak_memory(rows: pd.DataFrame) -> dict[str, Any]:
    """The most gigabytes that the allocator held. It is the same at every run, so that it is its own interval."""
    peak = rows["peak_bytes"].astype(float).max() / 1e9
    return {"reason": REASONS["no memory"]} if math.isnan(peak) else _columns([peak] * 3, pictures_of(rows), _RATIO)


def _peak_layer(looks: pd.DataFrame, draws: int = 2000) -> dict[str, Any]:
    """The layer, counted from 1, of the most attention in true boxes, with the middle 95 % of resampled pictures."""
    layers, shares = 1.0 + np.array(looks["layers"].iloc[0]), np.array(looks["attention"].tolist())
    rng, pictures = np.random.default_rng(0), pictures_of(looks)
    drawn = [layers[shares[rng.integers(0, len(shares), len(shares))].mean(0).argmax()] for _ in range(draws)]
    ends = np.quantile(drawn, [0.025, 0.975], method="nearest").tolist()
    return _columns(_if_many([float(layers[shares.mean(0).argmax()]), *ends], pictures), pictures, "layers")


def _if_many(values: Sequence[float], pictures: pd.Series) -> Sequence[float]:
    """A value with the ends of its bootstrap interval, which are missing for fewer than `FEW` pictures."""
    return values if pictures.nunique() >= FEW else [values[0], math.nan, math.nan]


def _columns(values: Sequence[float], pictures: pd.Series, unit: str) -> dict[str, Any]:
    about = {"n": len(pictures), "pictures": pictures.nunique(), "unit": unit, "word": WORDS[None]}
    return dict(zip(ENDS, map(float, values), strict=True)) | about


def shown(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The measured cells of `beside_paper` as a table of texts, and lines for below it: notes, and what has no cell."""
    measured = table[table["measured"].notna()]
    notes = {note: str(number) for number, note in enumerate(dict.fromkeys(filter(None, measured["note"])), 1)}
    texts = pd.DataFrame([_texts(row, notes) for row in measured.to_dict("records")])
    lines = [f"note {number}: {note}." for note, number in notes.items()]
    for reason, cells in table[table["measured"].isna()].groupby("reason", sort=False):
        metrics = cells.groupby(["experiment", "setting"], sort=False)["metric"].agg(", ".join)
        names = [f"{experiment} {setting}: {each}" for (experiment, setting), each in metrics.items()]
        lines.append(f"not measured, for {reason}: {'; '.join(names)}.")
    return texts, lines


def _texts(row: Mapping[str, Any], notes: Mapping[str, str]) -> dict[str, str]:
    form = "{:.0f}" if row["method"] == LAYERS else "{:.1f}"
    measured, low, high = (form.format(row[end]) for end in ENDS)
    n = f"{row['n']}" + (f" (pictures: {row['pictures']})" if row["pictures"] < row["n"] else "")
    return {
        **{name: row[name] for name in ("experiment", "setting", "metric")},
        "published": f"{row['published']:g}",
        "measured": measured,
        "95 % interval": "too few" if math.isnan(row["low"]) else f"{low} to {high}",
        "n": n + (f", {row['left_out']} errors left out" if row.get("left_out") else ""),
        "word": row["word"],
        "note": notes.get(row["note"], ""),
    }
