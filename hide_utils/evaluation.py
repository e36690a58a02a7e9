"""Run methods over samples: resumable, one prefill a picture, a row for each sample and method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
from torch import OutOfMemoryError
from tqdm.auto import tqdm

from hide_utils import paths, tad
from hide_utils.config import RunConfig
from hide_utils.images import ImageError
from hide_utils.methods import Method, Outcome, named
from hide_utils.models import VLM
from hide_utils.pipeline import HiDe, read_letter
from hide_utils.provenance import hash_folder
from hide_utils.results import ResultStore, results_path
from hide_utils.samples import Sample
from hide_utils.session import Session

# What a single picture may do without ending a run of thousands: the sample counts as wrong and its row says why.
SAMPLE_ERRORS = (ImageError, FileNotFoundError, OutOfMemoryError)


def evaluate(
    model: VLM,
    samples: Sequence[Sample],
    methods: Sequence[str] | Mapping[str, Method] = ("direct", "hide"),
    out: str | Path | None = None,
    *,
    hide: HiDe | None = None,
    protocol: str = "strict",
    progress: bool = True,
) -> pd.DataFrame:
    """Answer every sample by every method.

    Args:
        model: from `load_model`.
        samples: with unique ids.
        methods: names from `hide_utils.methods.METHODS`, or a mapping of own names to methods.
        out: Parquet file to keep rows in; what it holds already is not run again. None keeps nothing.
        hide: the method's settings; None: the model's defaults.
        protocol: how letters are read, the same for every method.
        progress: show a bar.

    Returns:
        One row a sample and method, in the order of ``samples`` and ``methods``: sample_id, image_id, method, kind,
        label, n_options, reply, letter, correct, fallback, error, entities, regions (pixel xyxy, flattened), recall50
        and iou against the ground truth (NaN where there is none), area (share of the picture), seconds,
        image_tokens, text_tokens, decoded. A reply that states no letter counts as wrong and has ``letter`` None.

    Raises:
        ValueError: unknown method, repeated sample ids, or (`SettingsError`) rows in ``out`` made with other settings.
    """
    methods = named(methods)
    ids = [sample.id for sample in samples]
    if len(set(ids)) < len(ids):
        raise ValueError("sample ids repeat: results are keyed by them, so make them unique")
    hide = hide or HiDe(model, protocol=protocol)
    store = None if out is None else ResultStore(out, run_settings(hide, protocol))
    kept: list[dict[str, Any]] = []
    done = set() if store is None else store.done
    with nullcontext() if store is None else closing(store):
        todo = [(s, [m for m in methods if (s.id, m) not in done]) for s in samples]
        todo = [(sample, missing) for sample, missing in todo if missing]
        for sample, missing in tqdm(todo, desc="samples", disable=not progress):
            rows = answer_sample(hide, sample, {m: methods[m] for m in missing}, protocol)
            if store is not None:
                store.append(rows)
            kept += rows
        table = pd.DataFrame(kept) if store is None else store.load()
    order = pd.MultiIndex.from_product([ids, list(methods)], names=["sample_id", "method"])
    return table.set_index(["sample_id", "method"]).reindex(order).reset_index()


def stored_answers(
    hide: HiDe,
    samples: Sequence[Sample],
    methods: Sequence[str] | Mapping[str, Method],
    config: RunConfig,
    name: str = "answers",
    **draw: Any,
) -> pd.DataFrame:
    """`evaluate` for a notebook: rows are kept under ``data/results`` by a hash of all they depend on.

    Methods of a mapping are known by their names alone, so a name has to say all that the answer depends on; a change
    of what one does calls for another name, or another value in ``draw``.

    name: of the file, where a notebook keeps several tables. draw: what else distinguishes these samples from others of
    the same benchmark, split and seed (a resolution, say).
    """
    settings = run_settings(hide, config.protocol) | draw
    settings |= {"benchmark": paths.portable(config.benchmark), "split": config.split, "seed": config.seed}
    out = results_path(config.notebook, name, settings)
    return evaluate(hide.model, samples, methods, out, hide=hide, protocol=config.protocol)


def run_settings(hide: HiDe, protocol: str) -> dict[str, Any]:
    """What an answer depends on besides sample and method; rows made with other values are never mixed in."""
    model, settings = hide.model, hide.settings
    folder = paths.MINI if model.name == "mini" else Path(model.name)
    return {
        "model": paths.portable(model.name),
        "weights": hash_folder(folder) if folder.is_dir() else None,
        "layer": settings.layer,
        "sigma": settings.sigma,
        "alpha": settings.alpha,
        "protocol": protocol,
        "min_pixels": model.min_pixels,
        "max_pixels": model.max_pixels,
        "dtype": str(model.dtype),
    }


def answer_sample(hide: HiDe, sample: Sample, methods: Mapping[str, Method], protocol: str) -> list[dict[str, Any]]:
    """Rows of one sample; an unusable picture gives rows that say so instead of ending the run."""
    try:
        session = hide.open(sample.image)
        return [_row(hide, session, sample, *method, protocol) for method in methods.items()]
    except SAMPLE_ERRORS as error:
        return [_empty(sample, method) | {"error": f"{type(error).__name__}: {error}"} for method in methods]


def _empty(sample: Sample, method: str) -> dict[str, Any]:
    return {
        "sample_id": sample.id,
        "image_id": sample.image_id,
        "method": method,
        "kind": sample.kind,
        "label": sample.label,
        "n_options": len(sample.options),
        "reply": "",
        "letter": None,
        "correct": False,
        "fallback": None,
        "error": None,
        "entities": None,
        "regions": None,
        "recall50": None,
        "iou": None,
        "area": None,
        "seconds": None,
        "image_tokens": None,
        "text_tokens": None,
        "decoded": None,
    }


def _row(hide: HiDe, session: Session, sample: Sample, name: str, method: Method, protocol: str) -> dict[str, Any]:
    outcome = method(hide, session, sample)
    letter = read_letter(hide.model, outcome.reply, sample.options, protocol)
    seconds, counts = session.cost(outcome.steps)
    located = [found.entities.text for found in session.located.values()] if "search" in outcome.steps else []
    return (
        _empty(sample, name)
        | _box_quality(session, sample, outcome)
        | {
            "reply": outcome.reply.text,
            "letter": letter,
            "correct": letter == sample.label,
            "fallback": outcome.fallback,
            "entities": located[-1] if located else None,
            "seconds": seconds,
            "image_tokens": counts.get("image_tokens", 0),
            "text_tokens": counts.get("text_tokens", 0),
            "decoded": counts.get("decoded", 0),
        }
    )


def _box_quality(session: Session, sample: Sample, outcome: Outcome) -> dict[str, Any]:
    if not outcome.regions:
        return {}
    quality = tad.box_quality(outcome.regions, sample.boxes_xyxy, session.image.size)
    known = quality if sample.boxes_xyxy else {"area": quality["area"]}
    return known | {"regions": [float(v) for region in outcome.regions for v in region]}
