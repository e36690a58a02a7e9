#!/usr/bin/env python3
"""A stand-in for Slurm's sbatch: runs what is submitted at once, one task after another, by Slurm's own rules.

Options of the command line come before those of the script's #SBATCH lines. The script is copied to a spool folder
before it runs, and finds what a task of Slurm finds in its environment. A job that depends on tasks that failed never
runs. How each task ended stands in `$STAND_IN/<job>.json`.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

TAKES = {"array", "dependency", "wrap", "gres", "cpus-per-task", "mem", "time", "job-name", "output"}
FLAGS = {"parsable"}
PLACE = Path(os.environ["STAND_IN"])


def options(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """Options in front, by name, and the words behind them."""
    found: dict[str, str] = {}
    while words and words[0].startswith("--"):
        name, given, value = words.pop(0)[2:].partition("=")
        if name not in TAKES | FLAGS:
            sys.exit(f"sbatch: unrecognized option '--{name}'")
        found[name] = value if given or name in FLAGS else words.pop(0)
    return found, words


def tasks(array: str) -> list[int]:
    """Numbers of a job array: "0-7", "3", "1,4-5"."""
    ends = [[int(end) for end in part.split("-")] for part in array.split(",")]
    return [number for part in ends for number in range(part[0], part[-1] + 1)]


def depends(on: str) -> bool:
    """Whether every task of the jobs that must have ended well did."""
    kind, *jobs = on.split(":")
    assert kind == "afterok", on
    ended = [json.loads((PLACE / f"{job}.json").read_text()) for job in jobs]
    return all(status == 0 for job in ended for status in job.values())


def main() -> None:
    """Submit, run and record."""
    asked, words = options(sys.argv[1:])
    text = f"#!/bin/sh\n{asked['wrap']}\n" if "wrap" in asked else Path(words[0]).read_text()
    assert text.startswith("#!"), "sbatch: This does not look like a batch script"
    head = re.match(r"(?:#.*\n|\s*\n)*", text)[0]  # options below the first command do not count
    asked = options(re.findall(r"^#SBATCH (\S+)", head, re.MULTILINE))[0] | asked
    job = str(100 + len(list(PLACE.glob("*.json"))))
    spool = PLACE / f"{job}.script"
    spool.write_text(text)
    spool.chmod(0o755)
    print(job if "parsable" in asked else f"Submitted batch job {job}", flush=True)
    numbers = tasks(asked["array"]) if "array" in asked else [None]
    runs = depends(asked["dependency"]) if "dependency" in asked else True
    ended = {}
    for number in numbers if runs else []:
        more = {"SLURM_JOB_ID": job, "SLURM_SUBMIT_DIR": os.getcwd()}
        if number is not None:
            more |= {"SLURM_ARRAY_JOB_ID": job, "SLURM_ARRAY_TASK_ID": str(number)}
            more["SLURM_ARRAY_TASK_COUNT"] = str(len(numbers))
        name = asked.get("output", "slurm-%A.out").replace("%A", job).replace("%a", str(number))
        with open(name, "wb") as log:
            ran = subprocess.run([spool, *words[1:]], env=os.environ | more, stdout=log, stderr=subprocess.STDOUT)
        ended[str(number)] = ran.returncode
    (PLACE / f"{job}.json").write_text(json.dumps(ended if runs else {"DependencyNeverSatisfied": 1}))


if __name__ == "__main__":
    main()
