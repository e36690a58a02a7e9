"""Answers in shares: `hide run --shard`, and the job array of docs/hide_array.sbatch under a stand-in for Slurm."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from benchmark_files import authors_row, noise, write_json
from checkpoints import checkpoint

from hide_utils import evaluate, load_benchmark, load_model, paths
from hide_utils.cli.main import main
from hide_utils.evaluation import loop

PAGE = (paths.ROOT / "docs" / "real_models.md").read_text(encoding="utf-8")


@pytest.fixture
def signs(tmp_path, monkeypatch):
    """Words of `hide run` for five questions about three pictures, on a tiny checkpoint."""
    for name in ("RESULTS", "RUNS", "CACHE"):
        monkeypatch.setattr(paths, name, tmp_path / name)
    for i in range(3):
        (tmp_path / f"{i}.jpg").write_bytes(noise(i, 96))
    path = write_json(tmp_path / "signs.json", [authors_row(i, f"{i % 3}.jpg") for i in range(5)])
    given = {"model": checkpoint("qwen3_vl"), "benchmark": path, "split": None, "n": None, "resolution": None}
    given |= {"methods": "('direct', 'hide')", "resolutions": "()"}
    return ["run", "05", *(word for name, value in given.items() for word in ("-p", name, str(value)))]


def answers_of_the_notebook(signs):
    """The table of answers that the notebook's own cells make."""
    given = {name: value for name, value in zip(signs[3::3], signs[4::3], strict=True)}
    given |= dict.fromkeys(("split", "n", "resolution"), None) | {"methods": ["direct", "hide"], "resolutions": []}
    scope = {"__name__": "__main__", "In": []}
    for cell in nbformat.read(paths.NOTEBOOKS / "05_benchmarks.ipynb", as_version=4).cells:
        if cell.cell_type == "code" and "answers" not in scope:
            scope["In"].append(cell.source)
            exec(compile(cell.source, "05", "exec"), scope)
            scope |= given if "parameters" in cell.metadata.get("tags", []) else {}
    return scope["answers"]


def test_a_notebook_takes_in_the_shares_that_other_jobs_answered(signs, monkeypatch, capsys):
    for i in (2, 0, 1):
        assert main([*signs, "--shard", str(i), "3"]) == 0
    said = [
        re.search(r"share (\d) of 3: (\d) of 5 questions by 2 methods", line)
        for line in capsys.readouterr()[0].splitlines()
    ]
    assert [found.groups() for found in said if found] == [("2", "1"), ("0", "2"), ("1", "2")], "by whole pictures"
    assert not paths.RUNS.exists(), "no notebook is run"
    model = load_model(signs[4])
    alone = evaluate(model, load_benchmark(signs[7]), ["direct", "hide"], progress=False)
    monkeypatch.setattr(loop, "answer_picture", lambda *_: pytest.fail("what a share answered is answered anew"))
    together = answers_of_the_notebook(signs)
    columns = ["sample_id", "method", "reply", "letter", "correct"]
    pd.testing.assert_frame_equal(together[columns], alone[columns])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["05", "--shard", "3", "3"], "--shard 3 3: want I from 0 to N - 1"),
        (["05", "--shard", "0", "0"], "want I from 0 to N - 1"),
        (["04", "--shard", "0", "2"], "answers one notebook that lists its methods"),
        (["05", "04", "--shard", "0", "2"], "not 04_layout_ablations, 05_benchmarks"),
    ],
)
def test_what_cannot_be_answered_in_shares_is_refused(words, said, capsys):
    with pytest.raises(SystemExit):
        main(["run", *words])
    assert said in capsys.readouterr().err


def test_a_share_with_errors_fails_so_that_nothing_is_made_of_it(signs, monkeypatch, capsys):
    from hide_utils.cli import shares

    table = pd.DataFrame({"sample_id": ["a", "b"], "error": ["no memory", None]})
    monkeypatch.setattr(shares, "stored_answers", lambda *_, **__: table)
    assert main([*signs, "--shard", "0", "2"]) == 1
    assert "1 rows have errors and are no answers: give the same command again" in capsys.readouterr().out


# --- the job array ---------------------------------------------------------------------------------------------------

# In place of `hide`: writes down what it was called with, and fails in task 3 until the file `mended` is there.
HIDE = """#!/bin/sh
echo "$@" >> calls
case "$*" in *"--shard 3 "*) test -e mended ;; esac
"""


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A project's folder with the stand-in on the path; call it with shell commands for the calls that they led to."""
    for place, source in {
        "docs/hide_array.sbatch": None,
        "bin/sbatch": "tests/sbatch.py",
        ".venv/bin/hide": HIDE,
    }.items():
        target = tmp_path / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if source == HIDE:
            target.write_text(HIDE)
        else:
            shutil.copy(paths.ROOT / (source or place), target)
        target.chmod(0o755)
    (tmp_path / "jobs").mkdir()
    monkeypatch.setenv("STAND_IN", str(tmp_path / "jobs"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:/usr/bin:/bin")

    def run(commands):
        (tmp_path / "calls").write_text("")
        subprocess.run(["bash", "-euc", commands], cwd=tmp_path, check=True)
        return (tmp_path / "calls").read_text().splitlines()

    return run


def test_a_task_that_failed_is_run_again_alone_and_then_the_notebook(cluster, tmp_path):
    """The commands are those of the page."""
    submit, again = re.findall(r"```bash\n((?:[^`]*sbatch[^`]*))```", PAGE)
    task, notebook = "run --preset qwen2_5_vl_7b 05_benchmarks", "run 05_benchmarks --preset qwen2_5_vl_7b"
    assert cluster(submit) == [f"{task} --shard {i} 8" for i in range(8)], "the notebook waits for task 3"
    assert [json.loads((tmp_path / "jobs" / f"{job}.json").read_text()) for job in (100, 101)] == [
        {str(i): int(i == 3) for i in range(8)},
        {"DependencyNeverSatisfied": 1},
    ]
    (tmp_path / "mended").touch()
    assert cluster(again) == [f"{task} --shard 3 8", notebook]
    assert (tmp_path / "hide-100_7.log").is_file()


def test_the_stand_in_keeps_to_the_rules(cluster, tmp_path):
    (tmp_path / "job.sh").write_text(
        "#!/bin/sh\n#SBATCH --array=1,4-5\necho $SLURM_ARRAY_TASK_ID >> calls\n#SBATCH --array=9\n"
    )
    assert cluster("sbatch job.sh") == ["1", "4", "5"], "options below a command do not count"
    assert cluster("sbatch --array=2 job.sh") == ["2"], "the command line comes first"
    with pytest.raises(subprocess.CalledProcessError):
        cluster("sbatch --arry=2 job.sh")
