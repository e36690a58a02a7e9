"""A study of diets (`hide_utils.mini.diets`) behind its training: answers of all its models, and what is kept of it.

A study's folder holds a model for each diet and seed, ``logs`` and ``rows``. What ships of it lies in ``data/study``.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from hide_utils.benchmarks import load_benchmark
from hide_utils.evaluation.loop import evaluate
from hide_utils.evaluation.provenance import provenance_entry
from hide_utils.evaluation.saving import write_sidecar
from hide_utils.evaluation.store import ResultStore
from hide_utils.files import replace_file, write_text
from hide_utils.method import HiDe
from hide_utils.models import load_model
from hide_utils.samples import Sample

# Training scenes: small enough to be cheap, with things so small and many that direct answers fail at times.
TRAINING_SCENES: dict[str, Any] = {"resolution": 448, "named": 6, "unnamed": 24, "object_size": (20, 44)}
SETS = {"default": ("direct", "hide", "oracle"), "easy": ("direct",)}  # difficulty of the test scenes -> methods
AT_ONCE = 40  # pictures that are held in memory
REFERENCE = "none-0"  # the shipped model, which learned from no diet
ROWS, LOGS = "decoupled_training.parquet", "decoupled_training_log.csv"
COLUMNS = ["diet", "seed", "set", "method", "sample_id", "image_id", "kind", "letter", "correct", "recall50"]


def models_in(study: Path) -> dict[str, str | Path]:
    """Name of a trained model, ``<diet>-<seed>``, or `REFERENCE` -> what `load_model` takes."""
    folders = sorted(path.parent for path in study.glob("*/model.safetensors"))
    return {REFERENCE: "mini"} | {folder.name: folder for folder in folders}


def test_samples(difficulty: str, n: int, share: tuple[int, int], **knobs: int) -> Iterator[list[Sample]]:
    """One of several shares of the test scenes, some at a time, whose pictures are drawn once for all models."""
    mine = load_benchmark("scenes", split="test", n=n, difficulty=difficulty, **knobs)[share[0] :: share[1]]
    for first in range(0, len(mine), AT_ONCE):
        yield [replace(sample, render=cache(sample.render)) for sample in mine[first : first + AT_ONCE]]


def answer(study: Path, n: int, share: tuple[int, int], device: str | None, **knobs: int) -> None:
    """Answer the first `n` test scenes of each of `SETS` with all models of a study, and with the shipped one.

    Rows are kept in the folder ``rows`` of the study, so that an interrupted run goes on where it was. They do not lie
    beside the weights, whose folder's hash is among their settings.
    """
    models = {name: load_model(folder, device=device, dtype="float32") for name, folder in models_in(study).items()}
    for difficulty, methods in SETS.items():
        for samples in test_samples(difficulty, n, share, **knobs):
            for name, model in models.items():
                out = study / "rows" / f"{name}-{difficulty}-{share[0]}-of-{share[1]}.parquet"
                evaluate(model, samples, methods, out, hide=HiDe(model), progress=False)


def packed(study: Path) -> pd.DataFrame:
    """The rows of a study, with `COLUMNS`. A model that answered less of a set than others is left out of it.

    Raises:
        ValueError: there are no rows, or some hold an error.
    """
    tables = []
    for path in sorted({file.with_name(file.name.partition(".")[0]) for file in (study / "rows").glob("*-of-*")}):
        diet, seed, difficulty, *_ = path.name.split("-")
        tables.append(
            ResultStore(path.with_suffix(".parquet")).load().assign(diet=diet, seed=int(seed), set=difficulty)
        )
    if not tables:
        raise ValueError(f"{study} holds no rows: run `answer` first")
    rows = pd.concat(tables).drop_duplicates(COLUMNS[:5])
    if errors := sorted(set(rows["error"].dropna())):
        raise ValueError(f"{study} holds errors, which `answer` tries again: {errors}")
    counts = rows.groupby(["set", "diet", "seed"])["sample_id"].transform("size")
    whole = counts == counts.groupby(rows["set"]).transform("max")
    if not whole.all():
        names = (rows["diet"] + "-" + rows["seed"].astype(str) + " on " + rows["set"])[~whole]
        warnings.warn(f"left out, because `answer` did not finish: {', '.join(sorted(set(names)))}", stacklevel=2)
    return rows[whole].sort_values(COLUMNS[:5])[COLUMNS].reset_index(drop=True)


def logged(study: Path) -> pd.DataFrame:
    """The logs of a study: columns diet, seed, device, step, seconds, loss, letters and rehearsal."""
    lines = [line for path in sorted((study / "logs").glob("*.jsonl")) for line in path.read_text().splitlines()]
    return pd.DataFrame([json.loads(line) for line in lines])


def pack(study: Path, to: Path) -> list[Path]:
    """Write rows, logs and a sidecar that says what made them; returns their paths."""
    to.mkdir(parents=True, exist_ok=True)
    rows, log = packed(study), logged(study)
    trained_on = sorted(set(log.pop("device")))
    there = set(rows[["diet", "seed", "set"]].itertuples(index=False, name=None))
    learned = [("none", 0), *sorted(set(log[["diet", "seed"]].itertuples(index=False, name=None)))]
    left_out = [f"{diet}-{seed} on {one}" for diet, seed in learned for one in SETS if (diet, seed, one) not in there]
    told = [json.loads(path.read_text(encoding="utf-8")) for path in (study / "rows").glob("*.json")]
    made = [json.dumps({name: one[name] for name in ("device", "versions")}) for one in told]
    replace_file(to / ROWS, lambda file: rows.to_parquet(file, index=False, compression="zstd"))
    write_text(to / LOGS, log.to_csv(index=False, float_format="%.4g"))
    about: dict[str, Any] = {
        "source": "python -m hide_utils.mini.study train, answer, pack",
        "steps": int(log["step"].max()),
        "training_scenes": TRAINING_SCENES,
        "seeds": {"training": sorted(set(log["seed"])), "test": 0},
        "diets": sorted(set(log["diet"])),
        "seconds": float(log["seconds"].max()),
        "left_out": left_out,
        "trained_on": trained_on,
        "answered_on": [json.loads(made) for made in sorted(set(made))],
    }
    files = [to / ROWS, to / LOGS]
    return [*files, write_sidecar((to / ROWS).with_suffix(".json"), provenance_entry(model="mini", **about), *files)]
