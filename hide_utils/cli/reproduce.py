"""The paper's tables on a real checkpoint: `hide reproduce --preset qwen2_5_vl_7b`.

Which cells there are and what the one word means is in `hide_utils.evaluation.reproduced`, what a run would take in
`hide_utils.evaluation.one_card`. Rows are stored as they are made, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from hide_utils import paths
from hide_utils.analyses.background import Edit
from hide_utils.analyses.layouts import layout_methods
from hide_utils.baselines import METHODS, Method
from hide_utils.benchmarks import load_benchmark
from hide_utils.cli.inputs import checked, from_here, loaded, typed
from hide_utils.config import RunConfig, load_preset, nearest, preset_values
from hide_utils.evaluation import provenance_entry, results_path, stored_answers, stored_measures
from hide_utils.evaluation import reproduced as paper
from hide_utils.evaluation.floors import machine
from hide_utils.evaluation.fullsize import ARCHITECTURES
from hide_utils.evaluation.keys import hash_samples
from hide_utils.evaluation.one_card import estimate
from hide_utils.evaluation.saving import write_sidecar
from hide_utils.evaluation.tables import markdown
from hide_utils.files import crc, write_text
from hide_utils.findings import paper_numbers
from hide_utils.method import HiDe
from hide_utils.models import VLM
from hide_utils.samples import Sample

NAME = "reproduce"
FIXED = ("notebook", "benchmark", "split", "resolution")  # as in the paper, or of no use here
WHERE = ("device", "engine", "workers")  # parameters that say where is computed, and not what
CYCLES = 4  # questions to a picture of HR-Bench


class ReproduceConfig(RunConfig):
    """Parameters of `hide reproduce`: whole benchmarks, as in the paper."""

    notebook: str = NAME
    split: Literal["train", "calibration", "test"] | None = None


def main(argv: list[str] | None = None) -> int:
    """The command `hide reproduce`. `--help` says what it takes.

    Returns:
        0.
    """
    parser = _parser()
    args = parser.parse_args(argv)
    parts = [args.only] if args.only else list(paper.PARTS)
    try:
        config, folder = _planned(args)
        if args.table:
            print(_written(folder, config.model))
            return 0
        samples = _samples(_asked(paper.cells_of(args.against or _models()[0], parts)), config, args.benchmarks)
        vlm = loaded(config)
        hide = HiDe(vlm, config.layer, config.sigma, config.alpha, protocol=config.protocol)
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    # Named by warnings about rows with errors, since to give it again tries them again.
    os.environ["HIDE_COMMAND"] = shlex.join(["hide", NAME, *(argv or sys.argv[1:])])
    model = args.against or papers_model(vlm)
    cells = paper.cells_of(model, parts)
    asked = _asked(cells)
    print(*estimate(hide, {name: (samples[name], asked[name]) for name in asked}), "", sep="\n", flush=True)
    answers, looks = _answered(hide, config, samples, asked, args.benchmarks)
    table = paper.beside_paper(cells, answers, looks)
    print(_save(table, folder, hide, config, model, samples))
    print(f"\nwritten to {os.path.relpath(folder)}: table.csv, table.md")
    return 0


def papers_model(vlm: VLM) -> str:
    """The model of the paper whose numbers stand beside a checkpoint's: its family's, else the paper's main one."""
    family = [name for name in _models() if name in ARCHITECTURES]
    same = [name for name in family if ARCHITECTURES[name].config().model_type == vlm.model.config.model_type]
    return (same or family)[0]


def is_it(vlm: VLM, model: str) -> bool:
    """Whether a checkpoint has the dimensions of a model of the paper. False where these are not known."""
    configs = [vlm.model.config, *([ARCHITECTURES[model].config()] if model in ARCHITECTURES else [])]
    texts = [
        (one.model_type, one.get_text_config().hidden_size, one.get_text_config().num_hidden_layers) for one in configs
    ]
    return texts[1:] == texts[:1]


def _models() -> list[str]:
    return paper_numbers("main")["model"].unique().tolist()


def _planned(args: argparse.Namespace) -> tuple[RunConfig, Path]:
    """The run's parameters, and the folder of its table.

    Raises:
        ValueError: an unknown name (with the nearest), or a value of the wrong type or out of bounds.
        FileNotFoundError: the preset or the model is not there.
    """
    known = [name for name in RunConfig.model_fields if name not in FIXED]
    given = dict(args.parameters) | ({"model": args.model} if args.model else {})
    if not (args.preset or args.model):
        raise ValueError("name a model: --preset qwen2_5_vl_7b, or --model with a local folder")
    if len(given) < len(args.parameters) + bool(args.model):
        raise ValueError("a parameter is given twice; give each once")
    for name in given:
        if name not in known:
            raise ValueError(f"no parameter {name!r} in {NAME}; {nearest(name, known)}")
    usual = preset_values(load_preset(args.preset), NAME, known) if args.preset else {}
    own = {name: from_here(name, typed(ReproduceConfig, name, text)) for name, text in given.items()}
    said = f"; preset {args.preset} says so"
    config = checked(ReproduceConfig, usual | own, {}, dict.fromkeys(usual.keys() - own.keys(), said))
    label = paths.run_name(args.preset) if args.preset else Path(args.model).name
    differs = {name: value for name, value in own.items() if name not in WHERE and usual.get(name) != value}
    if not args.preset:
        differs.pop("model", None)
    differs |= {name: value for name in ("only", "against") if (value := getattr(args, name))}
    folder = f"{label}-{crc(dict(sorted(differs.items()))):08x}" if differs else label
    return config, results_path(NAME, "table", {}).parent / folder


def _asked(cells: Iterable[paper.Cell]) -> dict[str, list[str]]:
    """Benchmark -> the methods whose rows its cells are made of, each once."""
    wanted: dict[str, dict[str, None]] = {}
    for cell in cells:
        if not cell.reason:
            wanted.setdefault(cell.benchmark, {})[cell.method] = None
    return {name: list(methods) for name, methods in wanted.items()}


def _place(name: str, benchmarks: Path | None) -> str:
    return str(benchmarks / name) if benchmarks else name


def _samples(names: Iterable[str], config: RunConfig, benchmarks: Path | None) -> dict[str, list[Sample]]:
    """The samples of every benchmark. Of a picture with several questions all are taken, or none.

    Raises:
        FileNotFoundError: some are not here. The message says of each where its files go.
        ValueError: a file is malformed.
    """
    found, missing = {}, []
    for name in names:
        n = config.n if config.n is None or name == "vstar" else -(-config.n // CYCLES) * CYCLES
        try:
            found[name] = load_benchmark(_place(name, benchmarks), split=config.split, n=n, seed=config.seed)
        except FileNotFoundError as error:
            missing.append(str(error))
    if missing:
        raise FileNotFoundError("; ".join(missing))
    return found


def _method(name: str, vlm: VLM) -> Method:
    kind, _, value = name.partition(" ")
    if kind in ("upscale", "mask", "canvas"):
        return Edit(kind, float(value))
    return METHODS.get(name) or layout_methods(vlm)[name]


def _answered(
    hide: HiDe,
    config: RunConfig,
    samples: Mapping[str, Sequence[Sample]],
    asked: Mapping[str, Sequence[str]],
    benchmarks: Path | None,
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Rows of every benchmark, and where the search looks by layer, read from disk or made."""
    answers, looks = {}, pd.DataFrame()
    for name, methods in asked.items():
        own = config.model_copy(update={"benchmark": _place(name, benchmarks)})
        if paper.LAYERS in methods:
            layers = partial(paper.attention_in_boxes, layers=hide.model.row_layers)
            looks = stored_measures(hide, samples[name], layers, own, f"{name}-looks")
        known = {one: _method(one, hide.model) for one in methods if one != paper.LAYERS}
        here = [one for one in known if one.endswith(" alone")]  # closures, which other processes cannot be sent
        tables = []
        for chosen, engine in (([one for one in known if one not in here], own.engine), (here, "local")):
            if chosen:
                of = own.model_copy(update={"engine": engine})
                tables.append(stored_answers(hide, samples[name], {one: known[one] for one in chosen}, of, name))
        answers[name] = pd.concat(tables, ignore_index=True)
    return answers, looks


def _save(
    table: pd.DataFrame,
    folder: Path,
    hide: HiDe,
    config: RunConfig,
    model: str,
    samples: Mapping[str, Sequence[Sample]],
) -> str:
    """Write the table as CSV and Markdown with its sidecar; returns it as text for a terminal."""
    texts, notes = paper.shown(table)
    at, vlm = hide.settings, hide.model
    about = [
        f"{paths.portable(vlm.name)} beside the paper's {model}; letters read by {config.protocol}",
        f"{vlm.dtype} on {machine(vlm.device)}",
        f"layer {at.layer + 1} counted from 1 of {vlm.n_layers}, sigma {at.sigma:g}, alpha {at.alpha:g} ({at.source})",
    ]
    if not is_it(vlm, model):
        about.append(f"This checkpoint is not known to be {model}: the words tell its numbers from that model's.")
    csv, md = folder / "table.csv", folder / "table.md"
    write_text(csv, table.to_csv(index=False, float_format="%.6g"))
    write_text(md, "\n\n".join([*about, markdown(texts), *notes]) + "\n")
    benchmarks = {name: {"n": len(some), "hash": hash_samples(some)} for name, some in samples.items()}
    more: dict[str, Any] = {"parameters": config.parameters(), "benchmarks": benchmarks, "paper's model": model}
    write_sidecar(folder / "table.json", provenance_entry(model=config.model, **more), csv, md)
    return "\n".join([*about, "", texts.to_string(index=False), "", *notes])


def _written(folder: Path, model: str) -> str:
    """The table that an earlier run wrote.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is of other weights.
    """
    if not (folder / "table.md").is_file():
        raise FileNotFoundError(f"no table in {folder} yet: give the same command without --table")
    made = json.loads((folder / "table.json").read_text(encoding="utf-8"))["model"]
    if made != provenance_entry(model=model)["model"]:
        raise ValueError(f"the table in {folder} is of other weights: give the same command without --table")
    return (folder / "table.md").read_text(encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"hide {NAME}", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--preset", help="name in notebooks/presets, or a YAML file")
    parser.add_argument("--model", help="a local folder, a hub id or mini, in place of the preset's or of a preset")
    parser.add_argument("--only", choices=paper.PARTS, help="one part of the paper's numbers")
    parser.add_argument("--against", choices=_models(), help="the paper's model that the numbers stand beside")
    parser.add_argument(
        "--benchmarks", type=Path, help="folder that holds vstar, hrbench4k, hrbench8k (data/benchmarks)"
    )
    parser.add_argument("--table", action="store_true", help="show the table that this command wrote, and run nothing")
    pair: dict[str, Any] = {"nargs": 2, "metavar": ("NAME", "VALUE"), "action": "append", "default": []}
    parser.add_argument("-p", dest="parameters", help="a parameter as in `hide run`; -p n 20 for a smaller try", **pair)
    return parser
