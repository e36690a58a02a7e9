"""Twelve drawn scenes through another toolkit's own command, on local data alone: `make lmms-check vlmeval-check`.

Each toolkit words the questions, runs HiDe and the same model without it, and scores the replies. These must be, sample
by sample, those of `evaluate`, and so must the accuracy. Whatever is not so ends the program with a code that is not 0.
It runs in an environment with the toolkit, where no other test does.
"""

import base64
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib import util
from pathlib import Path

import pandas as pd

METHODS = ("direct", "hide")


def drawn():
    """Twelve scenes, and what `evaluate` makes of them: replies by method and sample, and whether they are right."""
    from hide_utils import evaluate, load_benchmark, load_model

    samples = load_benchmark("scenes", n=12)
    table = evaluate(load_model("mini"), samples, METHODS, progress=False)
    if table["error"].notna().any():
        raise SystemExit(f"evaluate itself failed: {table['error'].dropna().iloc[0]}")
    return samples, table.set_index(["method", "sample_id"])[["reply", "correct"]]


def png(image):
    """A picture's bytes as PNG."""
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()


def run(command, folder, **environment):
    """Run a toolkit's command offline in a folder; what it printed is shown where it fails."""
    place = {"HF_HOME": str(folder), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    print("$", " ".join(command), flush=True)
    done = subprocess.run(command, cwd=folder, env=os.environ | place | environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}\nended with {done.returncode}")


def vstar_drawn(samples, folder):
    """Write lmms-eval's own V* task, whose pictures are the drawn ones."""
    import datasets

    installed = Path(util.find_spec("lmms_eval").origin).parent / "tasks" / "vstar_bench"
    shutil.copy(installed / "utils.py", folder)
    task = (installed / "_default_template_yaml").read_text() + "\n" + (installed / "vstar_bench.yaml").read_text()
    for line, ours in (
        ("include: _default_template_yaml\n", ""),
        (
            "dataset_path: lmms-lab-encoder/vstar-bench\n",
            f"dataset_path: parquet\ndataset_kwargs: {{data_files: {{test: {folder}/drawn.parquet}}}}\n",
        ),
        ('task: "vstar_bench"', 'task: "vstar_drawn"'),
    ):
        if line not in task:
            raise SystemExit(f"lmms-eval's V* task has no line {line!r}: this check is for another version")
        task = task.replace(line, ours)
    (folder / "vstar_drawn.yaml").write_text(task)
    rows = [
        {
            "image": {"bytes": png(s.image), "path": None},
            "text": "\n".join([s.question, *(f"({'ABCD'[i]}) {option}" for i, option in enumerate(s.options))]),
            "label": s.label,
            "category": s.kind,
            "question_id": s.id,
        }
        for s in samples
    ]
    datasets.Dataset.from_list(rows).cast_column("image", datasets.Image()).to_parquet(folder / "drawn.parquet")


def lmms(samples, folder):
    """Replies and accuracy by method, from the command ``lmms-eval``."""
    vstar_drawn(samples, folder)
    found = {}
    for method in METHODS:
        command = [f"{Path(sys.executable).parent}/lmms-eval", "--model", "hide"]
        command += ["--model_args", f"pretrained=mini,method={method}", "--tasks", "vstar_drawn"]
        run([*command, "--include_path", str(folder), "--output_path", method, "--log_samples"], folder)
        (log,), (results,) = (
            (folder / method).rglob(f"*_{what}") for what in ("samples_vstar_drawn.jsonl", "results.json")
        )
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        replies = {samples[line["doc_id"]].id: _only(line["filtered_resps"]) for line in lines}
        scores = json.loads(results.read_text())["results"]["vstar_drawn"]
        found[method] = replies, scores["vstar_overall_acc,none"] / 100
    return found


def vlmeval(samples, folder):
    """Replies and accuracy by method, from VLMEvalKit's command on a table of its format, scored without a judge."""
    rows = [
        {
            "index": number,
            "question": s.question,
            **{"ABCD"[i]: option for i, option in enumerate(s.options)},
            "answer": s.label,
            "category": s.kind,
            "image": base64.b64encode(png(s.image)).decode(),
        }
        for number, s in enumerate(samples)
    ]
    pd.DataFrame(rows).to_csv(folder / "drawn.tsv", sep="\t", index=False)
    command = [sys.executable, str(Path(__file__).resolve()), "kit", "--pretrained", "mini", "--own-prompt"]
    command += ["--model", *METHODS, "--data", "drawn"]
    place = {"LMUData": str(folder), "PRED_FORMAT": "tsv", "EVAL_FORMAT": "csv"}
    run([*command, "--judge", "exact_matching", "--work-dir", str(folder / "out")], folder, **place)
    found = {}
    for method in METHODS:
        table = pd.read_csv(next((folder / "out" / method).rglob(f"{method}_drawn.tsv")), sep="\t")
        scores = pd.read_csv(next((folder / "out" / method).rglob(f"{method}_drawn_acc.csv")))
        replies = dict(zip([samples[i].id for i in table["index"]], table["prediction"].astype(str), strict=True))
        found[method] = replies, float(scores["Overall"].iloc[0])
    return found


def kit(arguments):
    """VLMEvalKit's command, where torchvision's compiled part fits no CPU build of torch as well.

    The kit needs torchvision's transforms alone, which are Python. They load once the two operators are declared that
    torchvision describes as it is imported.
    """
    import torch

    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        kit.declared = torch.library.Library("torchvision", "DEF")  # is undone when it is let go of
        for name in ("nms", "qnms"):
            kit.declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    if arguments:
        from hide_utils.cli.vlmeval import main as command

        command(arguments)


def _only(replies):
    return replies if isinstance(replies, str) else replies[0]


def main(toolkit, *arguments):
    """Compare, print, and end with an error where something differs."""
    if toolkit in ("kit", "vlmeval"):
        kit(arguments)
    if toolkit == "kit":
        return
    samples, ours = drawn()
    with tempfile.TemporaryDirectory() as folder:
        found = {"lmms": lmms, "vlmeval": vlmeval}[toolkit](samples, Path(folder).resolve())
    wrong = []
    for method, (replies, accuracy) in found.items():
        wanted = ours.loc[method]
        same = sum(replies.get(name) == reply for name, reply in wanted["reply"].items())
        expected = float(wanted["correct"].mean())
        print(
            f"{method}: accuracy {accuracy:.1%}, by evaluate {expected:.1%}; {same} of {len(samples)} replies the same"
        )
        wrong += [method] if same < len(samples) or abs(accuracy - expected) > 1e-4 else []
    if wrong or found["direct"][0] == found["hide"][0]:
        raise SystemExit(
            f"differs from evaluate: {', '.join(wrong) or 'the two methods reply alike, which shows nothing'}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
