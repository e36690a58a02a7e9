"""Tables of answers for tests, with errors in them or with every question copied."""

import numpy as np
import pandas as pd

COSTS = ("calls", "image_tokens", "text_tokens", "decoded", "flops", "seconds", "peak_bytes")


def answers(n=40, methods=("direct", "hide", "oracle"), seed=0):
    """Rows as `evaluate` has them, every picture with one question."""
    rng = np.random.default_rng(seed)
    rows = [
        {"sample_id": f"s{i}", "image_id": f"p{i}", "method": method, "kind": "ab"[i % 2], "cycle": "01"[i // 2 % 2],
         "n_options": 4, "letter": "A", "correct": bool(rng.random() < 0.4 + 0.15 * number), "error": None,
         "margin": rng.random(), "recall50": rng.random(), "iou": rng.random(), "regions": None}
        | dict.fromkeys(COSTS, 1.0 + number)
        for number, method in enumerate(methods)
        for i in range(n)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def with_errors(table, samples=("s0", "s5"), method="hide", dtype="boolean"):
    """The table with errors of a method on some samples; as bool, errors are wrong answers as old files have them."""
    table, failed = table.copy(), table["sample_id"].isin(samples) & (table["method"] == method)
    table["error"] = table["error"].astype(object).mask(failed, "OutOfMemoryError: no memory")
    table["letter"] = table["letter"].mask(failed)
    table[["recall50", "iou", *COSTS]] = table[["recall50", "iou", *COSTS]].mask(failed)
    table["correct"] = table["correct"].astype(object).mask(failed, False if dtype is bool else None).astype(dtype)
    return table


def copied(table, times=4):
    """Every question asked several times of the same picture."""
    parts = [table.assign(sample_id=table["sample_id"] + f"-{i}") for i in range(times)]
    return pd.concat(parts, ignore_index=True)
