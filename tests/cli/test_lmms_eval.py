"""HiDe in lmms-eval: its registry finds the model, its evaluation gives the accuracy of our own. Local data alone.

lmms-eval is no part of the environment (see pyproject.toml): where it is not installed, only the first tests run.
"""

import importlib
import json
import os
import subprocess
import sys
import tomllib
from importlib import metadata, util
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from hide_utils import evaluate, load_benchmark, load_model, paths
from hide_utils.prompts import ANSWER_INSTRUCTION, multiple_choice

NAME = "hide_utils.cli.lmms_eval"
installed = pytest.mark.skipif(util.find_spec("lmms_eval") is None, reason="lmms-eval is not installed")

TASK = """
task: drawn
dataset_path: parquet
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: generate_until
doc_to_visual: !function drawn.picture
doc_to_text: question
doc_to_target: label
generation_kwargs: {{max_new_tokens: 16, temperature: 0}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
"""
FUNCTIONS = """
from PIL import Image


def picture(document):
    return [Image.open(document["picture"])]
"""


@pytest.fixture(scope="module")
def samples():
    return load_benchmark("scenes", n=12, resolution=448)


@pytest.fixture(scope="module")
def ours(samples):
    return evaluate(load_model("mini"), samples, ["direct", "hide"], progress=False).set_index(["method", "sample_id"])


@pytest.fixture(scope="module")
def task(samples, tmp_path_factory):
    """A folder with a task of lmms-eval: the samples as a Parquet file beside their pictures."""
    folder, rows = tmp_path_factory.mktemp("task"), []
    for sample in samples:
        sample.image.save(folder / f"{sample.id}.png")
        prompt = multiple_choice(sample.question, sample.options)
        rows.append({"id": sample.id, "picture": str(folder / f"{sample.id}.png"), "question": prompt})
        rows[-1]["label"] = sample.label
    pd.DataFrame(rows).to_parquet(folder / "drawn.parquet")
    (folder / "drawn.yaml").write_text(TASK.format(file=folder / "drawn.parquet"))
    (folder / "drawn.py").write_text(FUNCTIONS)
    return folder


def model(**arguments):
    return importlib.import_module(NAME).HiDeModel(device="cpu", **arguments)


# --- without lmms-eval ----------------------------------------------------------------------------------------------


def test_without_lmms_eval_the_module_says_what_to_install(monkeypatch):
    for name in ("lmms_eval", "lmms_eval.api.model"):
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not there
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    with pytest.raises(ImportError, match=r"pip install 'hide-utils\[lmms\]'"):
        importlib.import_module(NAME)


def test_the_entry_point_that_is_declared_names_the_module():
    project = tomllib.loads((paths.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["lmms_eval.models"] == {"hide": f"{NAME}:manifest"}
    assert util.find_spec(NAME) and "lmms-eval>=0.7.3" in project["optional-dependencies"]["lmms"]


# --- with it --------------------------------------------------------------------------------------------------------


@installed
@pytest.mark.parametrize("method", ["hide", "direct"])
def test_its_evaluation_gives_our_accuracy_and_our_replies(method, task, samples, ours, tmp_path, monkeypatch):
    from lmms_eval.evaluator import simple_evaluate
    from lmms_eval.tasks import TaskManager

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    wrapped = importlib.import_module(NAME).HiDeModel.create_from_arg_string(
        f"pretrained=mini,method={method}", {"batch_size": 1, "device": "cpu", "max_batch_size": None}
    )
    manager = TaskManager(include_path=str(task), include_defaults=False)
    found = simple_evaluate(wrapped, tasks=["drawn"], task_manager=manager, bootstrap_iters=0)
    replies = {row["doc"]["id"]: row["filtered_resps"][0] for row in found["samples"]["drawn"]}
    assert replies == ours.loc[method]["reply"].to_dict() and len(replies) == len(samples)
    assert found["results"]["drawn"]["exact_match,none"] == pytest.approx(ours.loc[method]["correct"].mean())


@installed
def test_the_two_methods_differ_here_or_nothing_was_shown(ours):
    assert ours.loc["hide"]["reply"].tolist() != ours.loc["direct"]["reply"].tolist()


@installed
def test_its_own_command_runs_hide(task, samples, ours, tmp_path):
    if not any(point.name == "hide" for point in metadata.entry_points(group="lmms_eval.models")):
        pytest.skip("hide-utils is not installed with its entry points")
    program = Path(sys.executable).parent / "lmms-eval"
    command = [str(program), "--model", "hide", "--model_args", "pretrained=mini,method=hide"]
    command += ["--tasks", "drawn", "--include_path", str(task), "--device", "cpu", "--limit", "4"]
    command += ["--output_path", str(tmp_path / "out"), "--log_samples"]
    place = {"HF_HOME": str(tmp_path / "home"), "HF_DATASETS_CACHE": str(tmp_path / "home"), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=os.environ | place, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    (file,) = (tmp_path / "out").rglob("*_samples_drawn.jsonl")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["filtered_resps"] for row in rows] == [ours.loc[("hide", s.id), "reply"] for s in samples[:4]]


@installed
def test_what_hide_cannot_do_with_a_request_is_answered_directly_and_counted(samples):
    hide, plain = model(), model(method="direct")
    pictures, prompt = [samples[0].image, samples[1].image], multiple_choice("What is it?", ["a dog", "a cat"])
    for shown, note in ((pictures, "several pictures"), ([], "no picture")):
        assert hide.answer(prompt, shown, 4) == plain.answer(prompt, shown, 4)
        assert hide.notes.pop(f"{note}: answered directly") == 1
    assert not hide.notes and not plain.notes


@installed
def test_the_question_is_found_in_the_prompts_of_its_tasks(monkeypatch, samples):
    """What is searched for is the question alone; what is answered is the task's prompt, word for word."""
    from lmms_eval.tasks.hrbench.utils import hrbench_doc_to_text
    from lmms_eval.tasks.vstar_bench.utils import vstar_doc_to_text

    question = "What is the color of the bag?"
    vstar = vstar_doc_to_text(
        {"text": f"{question} (A) red (B) blue"}, {"post_prompt": f"\n{ANSWER_INSTRUCTION}", "pre_prompt": ""}
    )
    hrbench = hrbench_doc_to_text({"question": question, "A": "red", "B": "blue"})
    hide, session = model(), SimpleNamespace(image=samples[0].image)
    searched, answered = [], []
    session.answer_from = lambda shown, prompt, limit: answered.append(prompt) or SimpleNamespace(text="A")
    monkeypatch.setattr(hide.hide, "open", lambda picture: session)
    monkeypatch.setattr(
        hide.hide, "locate", lambda session, asked: searched.append(asked) or SimpleNamespace(regions=[])
    )
    for prompt in (vstar, hrbench, "Describe the bag."):
        assert hide.answer(prompt, [samples[0].image]) == "A"
    assert searched == [question, question, "Describe the bag."] and answered == [vstar, hrbench, "Describe the bag."]
    assert hide.notes == {"no box survived: answered from the original picture alone": 3}


@installed
def test_settings_of_a_request_are_heeded_and_what_is_not_is_said(samples, monkeypatch):
    hide, limits = model(method="direct"), []
    monkeypatch.setattr(
        hide, "answer", lambda prompt, pictures, limit: limits.append((prompt, limit)) or "A\n\nbecause. Stop here"
    )
    hide.task_dict = {"t": {"test": [{}]}}

    def reply(visuals=(), **settings):
        arguments = ("<image>\nWhat?", settings, lambda document: list(visuals), 0, "t", "test")
        return hide.generate_until([SimpleNamespace(args=arguments)])

    assert reply(until=["\n\n", " Stop"], max_new_tokens=7) == ["A\n\nbecause."] and limits == [("What?", 7)]
    assert reply(until=" here") == ["A\n\nbecause. Stop"] and not hide.notes
    reply(do_sample=True, temperature=0.7)
    assert hide.notes == {"the task asks for sampling; decoded greedily": 1}
    with pytest.raises(ValueError, match="task t, document 0: HiDe reads pictures"):
        reply(["film.mp4"])


@installed
def test_what_it_cannot_do_says_what_to_do_instead():
    hide = model()
    for refused in (hide.loglikelihood, hide.generate_until_multi_round):
        with pytest.raises(NotImplementedError, match="output_type generate_until"):
            refused([])
    with pytest.raises(ValueError, match="unknown method 'zoom'; known: hide, direct"):
        model(method="zoom")
