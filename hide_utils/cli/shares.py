"""A notebook's answers in shares, for jobs that have no common driver: `hide run 05_benchmarks --shard 3 8`.

Each job answers its share into a file of its own. The notebook takes all shares in when it is run without `--shard`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hide_utils.cli.inputs import asked, loaded
from hide_utils.cli.records import Run
from hide_utils.config import RunConfig
from hide_utils.evaluation import stored_answers
from hide_utils.method import HiDe


def config_of_share(planned: Sequence[Run], i: int, n: int) -> RunConfig:
    """The configuration of the one notebook that is answered in shares.

    Args:
        planned: the runs asked for.
        i: which share, counted from 0.
        n: number of shares.

    Raises:
        ValueError: several notebooks, one whose parameters list no methods, or a share that is not there.
    """
    config = planned[0].config
    if len(planned) > 1 or config is None or not hasattr(config, "methods"):
        names = ", ".join(run.notebook.stem for run in planned)
        raise ValueError(f"--shard answers one notebook that lists its methods, as 05_benchmarks does, not {names}")
    if not 0 <= i < n:
        raise ValueError(f"--shard {i} {n}: want I from 0 to N - 1")
    return config


def answer_share(config: RunConfig, i: int, n: int) -> int:
    """Answer one share of the questions by the notebook's methods, and print how many there are.

    Args:
        config: of the notebook.
        i: which share, counted from 0.
        n: number of shares.

    Returns:
        0, or 1 where a question could not be answered.
    """
    samples, methods = asked(config)
    hide = HiDe(loaded(config), config.layer, config.sigma, config.alpha, protocol=config.protocol)
    # As notebook 05 tells its rows from others.
    drawn: dict[str, Any] = {"resolution": config.resolution} if config.benchmark == "scenes" else {}
    table = stored_answers(hide, samples, methods, config, shard=(i, n), **drawn)
    failed = int(table["error"].notna().sum())
    print(f"share {i} of {n}: {table['sample_id'].nunique()} of {len(samples)} questions by {len(methods)} methods")
    if failed:
        print(f"{failed} rows have errors and are no answers: give the same command again")
    return int(failed > 0)
