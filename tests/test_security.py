"""Nothing that comes from outside is run, leaves its folder, or is shown as mark-up; no token is ever written down."""

import ast
import html
import json
import os
import pickle
import re
import shutil
import stat
import zipfile
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import pytest
from benchmark_files import CLIMBING, authors_row, encoded, write_json
from checkpoints import checkpoint, tiny_model
from faults.work import PARAMETERS
from model_helpers import picture
from nbformat.v4 import new_code_cell, new_notebook

from hide_utils import HiDe, evaluate, load_benchmark, load_model, paths
from hide_utils.cli.run import main
from hide_utils.config import RunConfig
from hide_utils.evaluation.provenance import provenance_entry
from hide_utils.evaluation.saving import save_figure, save_table
from hide_utils.report import web
from hide_utils.samples import Sample

SCRIPT = '<script>alert("x")</script><img src=x onerror=alert(1)>'
FORBIDDEN_CALLS = {
    "eval", "exec", "compile", "__import__", "pickle.load", "pickle.loads", "pickle.Unpickler", "torch.load",
    "joblib.load", "pd.read_pickle", "marshal.loads", "shelve.open", "os.system", "os.popen", "yaml.load",
    "yaml.unsafe_load", "yaml.full_load",
}  # fmt: skip


# What the code itself does --------------------------------------------------------------------------------------------


def sources():
    """(where, tree) of every module of the project and every code cell of its notebooks."""
    for path in sorted((paths.ROOT / "hide_utils").rglob("*.py")):
        yield path.name, ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(paths.NOTEBOOKS.glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                yield path.name, ast.parse(re.sub(r"^\s*[%!].*$", "pass", cell.source, flags=re.M))


def calls():
    for where, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                yield (
                    f"{where}:{node.lineno}",
                    ast.unparse(node.func),
                    {k.arg: ast.unparse(k.value) for k in node.keywords},
                )


def test_no_call_unpickles_or_runs_what_it_is_given():
    found = list(calls())
    assert len(found) > 1000, "the search sees the code"
    assert [(where, name) for where, name, _ in found if name in FORBIDDEN_CALLS] == []
    assert [(where, name) for where, name, given in found if given.get("allow_pickle", "False") != "False"] == []
    assert [(where, name) for where, name, given in found if given.get("shell", "False") != "False"] == []
    assert [(where, name) for where, name, given in found if given.get("trust_remote_code", "False") != "False"] == []
    safe = ("True", "'html'", "'latex'")  # the latter two in pandas' styled tables
    unescaped = [(where.split(":")[0], name) for where, name, given in found if given.get("escape", "True") not in safe]
    assert unescaped in ([], [("web.py", "texts.to_html")]), "the report's tables, whose texts are made literal before"


def test_texts_of_the_report_are_literal():
    marks = set(map(chr, web.LITERAL))
    assert set('<>&"') <= marks and "<" not in SCRIPT.translate(web.LITERAL)


def test_classes_chosen_by_a_checkpoint_refuse_its_code_in_so_many_words():
    models = (paths.ROOT / "hide_utils" / "models").rglob("*.py")
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in models]
    chosen = [
        node
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and re.search(r"Auto\w+\.from_pretrained$", ast.unparse(node.func))
    ]
    assert len(chosen) == 2
    for node in chosen:
        given = {k.arg: ast.unparse(k.value) for k in node.keywords}
        assert given["trust_remote_code"] == "False" and given["revision"] == "revision"
        assert given.get("use_safetensors", "True") == "True"


# Checkpoints ----------------------------------------------------------------------------------------------------------


class Payload:
    """Pickled, it makes a file when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


@pytest.fixture
def hostile(tmp_path):
    """A checkpoint that offers code and pickles wherever a checkpoint can, and the file that any of it would make."""
    folder, marker = shutil.copytree(checkpoint("qwen3_vl"), tmp_path / "model"), tmp_path / "ran"
    (folder / "evil.py").write_text(f"open({str(marker)!r}, 'w').close()\nclass Evil: pass\n")
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Payload(marker)))
    auto_map = {name: "evil.Evil" for name in ("AutoConfig", "AutoModelForImageTextToText", "AutoImageProcessor")}
    for name in ("config.json", "preprocessor_config.json", "tokenizer_config.json"):
        file = folder / name
        extra = {"auto_map": auto_map | {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}}
        file.write_text(json.dumps(json.loads(file.read_text()) | extra))
    return folder, marker


def test_code_and_pickles_in_a_checkpoint_are_never_run(hostile, monkeypatch):
    folder, marker = hostile
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked whether to run the code"))
    pickle.loads(pickle.dumps(Payload(marker)))
    assert marker.exists(), "the payload works"
    marker.unlink()
    model = load_model(folder, device="cpu")
    assert type(model.model).__module__.startswith("transformers.") and not marker.exists()
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="no other format is read"):
        load_model(folder, device="cpu")
    assert not marker.exists()


@pytest.mark.parametrize("name", ["AutoModel", "pipeline", "Qwen2Tokenizer", "NoSuchThing", "__loader__"])
def test_an_image_processor_is_an_image_processor(tmp_path, name):
    folder = shutil.copytree(checkpoint("qwen3_vl"), tmp_path / "model")
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"image_processor_type": name}))
    with pytest.raises(ValueError, match="no image processor"):
        load_model(folder, device="cpu")


def test_a_chat_template_runs_in_a_sandbox(tmp_path):
    folder, marker = shutil.copytree(checkpoint("qwen3_vl"), tmp_path / "model"), tmp_path / "ran"
    escape = "{{ cycler.__init__.__globals__.os.system('touch " + str(marker) + "') }}"
    (folder / "chat_template.jinja").write_text(escape)
    with pytest.raises(Exception, match="unsafe|undefined|access"):
        load_model(folder, device="cpu").prompt("Where?")
    assert not marker.exists()


# Benchmarks -----------------------------------------------------------------------------------------------------------


def test_links_in_an_archive_lead_nowhere(tmp_path):
    """A link followed by a file below it is the other way out of an archive; it is unpacked as a plain file."""
    folder, outside = tmp_path / "bench", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(folder / "data.zip", "w") as archive:
        archive.writestr("MME.json", "[]")
        archive.writestr(link, str(outside))
        archive.writestr("link/file", b"x")
    with pytest.raises((ValueError, OSError)):
        load_benchmark(folder)
    assert not any(path.is_symlink() for path in folder.rglob("*")) and not list(outside.iterdir())


def test_archive_larger_than_the_disk_is_refused_before_anything_is_unpacked(tmp_path, monkeypatch):
    folder = tmp_path / "bench"
    folder.mkdir()
    with zipfile.ZipFile(folder / "data.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(10**7))
    usage = shutil.disk_usage(folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type(usage)(usage.total, usage.used, 10**6))
    with pytest.raises(OSError, match=r"data\.zip.*10 MB.*1 MB"):
        load_benchmark(folder)
    assert [path.name for path in folder.iterdir()] == ["data.zip"]


@pytest.mark.parametrize("name", [*CLIMBING, "/etc/passwd", "a\0b.png", "x" * 5000, "~/x"], ids=repr)
def test_paths_of_pictures_stay_in_the_data_folder(tmp_path, name):
    (tmp_path / "secret.png").write_bytes(encoded(1))
    path = write_json(tmp_path / "data" / "list.json", [authors_row(0, name)])
    with pytest.raises((ValueError, FileNotFoundError)):
        load_benchmark(path)


# What is shown and written --------------------------------------------------------------------------------------------


def hostile_sample() -> Sample:
    return Sample(SCRIPT, SCRIPT, [SCRIPT, "b & c"], "A", SCRIPT, lambda: picture(64, 64), entities=["dog"])


def test_markup_in_questions_is_shown_as_text(tmp_path):
    shown = hostile_sample()._repr_html_()
    assert SCRIPT not in shown and "<script" not in shown and shown.count(html.escape(SCRIPT)) == 4
    table = evaluate(tiny_model("qwen3_vl"), [hostile_sample()], ["direct"], progress=False)
    table["reply"] = SCRIPT
    assert "<script" not in table._repr_html_() and "<img" not in table._repr_html_()
    result = HiDe(tiny_model("qwen3_vl"))(picture(64, 64), SCRIPT, [SCRIPT, "b"], ["dog"])
    assert not hasattr(result, "_repr_html_") and result._repr_png_().startswith(b"\x89PNG")


@pytest.mark.filterwarnings("ignore")
def test_the_hubs_token_is_written_nowhere(tmp_path, monkeypatch):
    token = "hf_" + "SecretSecretSecretSecretSecretSec0"
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "token").write_text(token)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_TOKEN"):
        monkeypatch.setenv(name, token)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HIDE_FIGURES", str(tmp_path / "out" / "figures"))
    samples = [Sample("s0", "Where?", ["a", "b"], "A", "any", lambda: picture(64, 64), entities=["dog"])]
    evaluate(tiny_model("qwen3_vl"), samples, ["direct"], tmp_path / "out" / "rows.parquet", progress=False)
    HiDe(tiny_model("qwen3_vl"))(picture(64, 64), "Where?", ["a", "b"], ["dog"]).save(tmp_path / "out" / "result")
    entry = provenance_entry(config=RunConfig(notebook="00_any"), samples=samples)
    figure, _ = plt.subplots()
    save_figure(figure, "drawn", "00_any", entry)
    plt.close(figure)
    save_table(pd.DataFrame({"a": [1]}), "table", "00_any", entry)
    with pytest.raises(FileNotFoundError) as refused:
        load_model("nobody/no-such-model")
    assert token not in str(refused.value)
    run_a_notebook(tmp_path)
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name != "home"]
    assert len(written) > 12
    assert [path.name for path in written if token.encode() in path.read_bytes()] == []


def run_a_notebook(tmp_path: Path) -> None:
    """One that works and one that fails while the token is in the environment; the latter has what figures record."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    entry = "from hide_utils.evaluation.provenance import provenance_entry\n"
    entry += "entry = provenance_entry(model='Qwen/Qwen2.5-VL-7B-Instruct')\nprint(entry)\nentry['nothing']"
    for name, source in {"00_any": "import os\nlen(os.environ['HF_TOKEN'])", "01_broken": entry}.items():
        cells = [new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}), new_code_cell(source)]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), folder / f"{name}.ipynb")
    assert main(["all"], notebooks=folder, runs=tmp_path / "runs") == 1
    (broken,) = (tmp_path / "runs").rglob("01_broken.failed.ipynb")
    assert '"ename": "KeyError"' in broken.read_text(encoding="utf-8")
    assert os.environ["HF_TOKEN"], "kernels have had it"


def test_the_repository_holds_no_pickles():
    names = [path.name for folder in (paths.DATA, paths.FIGURES) for path in folder.rglob("*")]
    assert names and not [
        name for name in names if name.endswith((".pkl", ".pickle", ".pt", ".pth", ".bin", ".joblib"))
    ]
