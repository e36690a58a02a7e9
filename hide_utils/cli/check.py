"""What a run needs, tried before it: `hide check 05_benchmarks --preset qwen2_5_vl_7b`.

The parameters are checked as for a run. Then the notebook's model answers two of its samples. No row is kept.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import psutil

from hide_utils.cli.execution import Run
from hide_utils.cli.inputs import asked, loaded
from hide_utils.config import OwnPicture, RunConfig
from hide_utils.evaluation import evaluate
from hide_utils.method import HiDe


def check(planned: Sequence[Run]) -> int:
    """Try the runs that `hide_utils.cli.run.plan` gives, and print what each needs.

    Returns:
        0, or 1 where one failed.
    """
    failed = 0
    for run in planned:
        print(f"{run.notebook.stem}: the parameters are in order", *run.notes, sep="\n    ", flush=True)
        try:
            for line in dry_run(run.config) if run.config else ():
                print(f"    {line}", flush=True)
        except Exception as error:  # whatever would fail in the notebook
            print(f"    failed: {type(error).__name__}: {error}", flush=True)
            failed = 1
    return failed


def dry_run(config: RunConfig) -> Iterator[str]:
    """Load a configuration's model, have it answer, and give line by line what that took.

    Raises:
        Exception: what the notebook would meet.
    """
    shown = config.model_fields_set
    if "model" not in shown:
        yield "answers no benchmark and runs no model of its choice: nothing else to check"
        return
    vlm = loaded(config)
    for layer in (*getattr(config, "layers", ()), config.layer):  # one that the model lacks is refused
        hide = HiDe(vlm, layer, config.sigma, config.alpha, protocol=config.protocol)
    yield f"{vlm.name} on {vlm.device}, {vlm.dtype}"
    if isinstance(config, OwnPicture) and config.image and config.question:
        result = hide(config.image, config.question, config.options, list(config.entities or []) or None)
        yield f"{config.image.name} answered in {sum(result.timings.values()):.2f} s: {result.answer}"
    # A notebook that names a benchmark, or how letters are read, answers questions. Others measure time alone.
    if shown & {"benchmark", "protocol"} and config.parameters()["benchmark"]:
        yield from _timed(hide, config)
    else:
        yield "answers no benchmark: the model was loaded, and no total is expected"
    yield f"memory in use at the end: {psutil.Process().memory_info().rss / 1e9:.1f} GB"


def _timed(hide: HiDe, config: RunConfig) -> Iterator[str]:
    """Two samples by the notebook's methods, and what all would take."""
    samples, methods = asked(config)
    for sample in samples[:2]:  # the first warms up
        start = time.perf_counter()
        rows = evaluate(hide.model, [sample], methods, hide=hide, protocol=config.protocol, progress=False)
        wall = time.perf_counter() - start
        if errors := rows["error"].dropna().tolist():
            raise RuntimeError(f"{sample.id}: {errors[0]}")
    for row in rows.itertuples():
        yield f"{row.method}: {len(samples)} questions of {config.benchmark}, {row.seconds:.2f} s each"
    if rows["peak_bytes"].notna().any():
        yield f"CUDA held at most {rows['peak_bytes'].max() / 1e9:.1f} GB"
    total = wall * len(samples)  # methods share a picture's prefill
    answers = len(samples) * len(methods)
    yield f"expected: {total / 60:.1f} minutes for these {answers} answers in one process, if none is stored"
    yield "not counted: further sets of samples, settings and edits that the notebook tries besides"
