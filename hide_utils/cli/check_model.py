"""What of the method holds for a checkpoint: `hide check-model FOLDER_OR_HUB_ID`.

Exit status 1 where something fails. In half precision the numbers of two routes drift apart, and bounds are wide; on a
small model, or a CPU with the memory, --dtype float32 is the sharper test.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from hide_utils.evaluation.model_checks import FAILS, Check, checks
from hide_utils.evaluation.tried_model import TOLERANCES
from hide_utils.models import load_model


def main(argv: Sequence[str] | None = None) -> int:
    """Command line: load the model, try it, and print a line for each check.

    Returns:
        0, or 1 where something fails.
    """
    parser = argparse.ArgumentParser(prog="hide check-model", description=__doc__)
    parser.add_argument("model", help="a checkpoint's folder, or its hub id")
    parser.add_argument("--device", help="cuda, mps, cpu, or auto to spread the model; the best one where left out")
    parser.add_argument("--dtype", choices=[str(dtype).removeprefix("torch.") for dtype in TOLERANCES])
    asked = parser.parse_args(argv)
    try:
        vlm = load_model(asked.model, device=asked.device, dtype=asked.dtype)
    except Exception as error:  # a new family's files may fail anywhere
        print(_line(Check("loads", FAILS, f"{type(error).__name__}: {error}")))
        return 1
    print(f"{vlm.name}: {vlm.family}, {vlm.n_layers} layers, {vlm.device} in {str(vlm.dtype).removeprefix('torch.')}")
    failed = 0
    for check in checks(vlm):
        print(_line(check), flush=True)
        failed += check.verdict == FAILS
    print(f"{failed} fail" if failed else "nothing fails", file=sys.stderr)
    return int(failed > 0)


def _line(check: Check) -> str:
    return f"{check.what:<40} {check.verdict:<13} {check.result}".encode("ascii", "replace").decode()
