"""HiDe in VLMEvalKit, against a stand-in of what the kit documents; `make vlmeval-check` runs the kit itself."""

import importlib
import json
import sys
import tomllib
from types import ModuleType, SimpleNamespace

import pandas as pd
import pytest

from hide_utils import paths
from hide_utils.cli import adapter
from hide_utils.prompts import multiple_choice

NAME = "hide_utils.cli.vlmeval"
RUN = """
import json, sys
from pathlib import Path
from vlmeval.config import supported_VLM
model = supported_VLM[sys.argv[sys.argv.index("--model") + 1]]()
model.set_dump_image(lambda line: line["image_path"])
line = json.loads(Path(sys.argv[-1]).read_text())
message = model.build_prompt(line, "drawn") if model.use_custom_prompt("drawn") else line["message"]
Path(sys.argv[-1]).write_text(json.dumps([message, model.generate(message, "drawn"), model.prompted.method]))
"""


class BaseModel:
    """As the kit documents its base class: it reads a message's parts and hands them to `generate_inner`."""

    def __init__(self):
        self.dump_image_func = None

    def set_dump_image(self, dump_image_func):
        self.dump_image_func = dump_image_func

    def dump_image(self, line, dataset):
        return self.dump_image_func(line)

    def generate(self, message, dataset=None):
        assert all(item["type"] in self.allowed_types for item in message)
        return self.generate_inner(message, dataset)


@pytest.fixture
def kit(monkeypatch, tmp_path):
    """The adapter over a stand-in of the kit, whose command answers one row; what it warned of."""
    warned = []
    stubs = {
        "vlmeval": {"__file__": str(tmp_path / "vlmeval" / "__init__.py")},
        "vlmeval.config": {"supported_VLM": {}},
        "vlmeval.dataset": {"DATASET_TYPE": {"drawn": "MCQ"}.get},
        "vlmeval.smp": {"get_logger": lambda _: SimpleNamespace(warning=warned.append)},
        "vlmeval.vlm": {},
        "vlmeval.vlm.base": {"BaseModel": BaseModel},
    }
    for name, holds in stubs.items():
        module = ModuleType(name)
        vars(module).update(holds)
        monkeypatch.setitem(sys.modules, name, module)
        if "." in name:
            parent, _, child = name.rpartition(".")
            monkeypatch.setattr(sys.modules[parent], child, module, raising=False)
    (tmp_path / "run.py").write_text(RUN)
    monkeypatch.setattr(sys, "argv", ["x"])
    monkeypatch.setattr(adapter, "load_model", lambda *_, **__: None)
    monkeypatch.setattr(adapter, "HiDe", lambda _, *settings: settings)
    monkeypatch.setattr(
        adapter.Prompted, "answer", lambda one, *given: one.notes.update(["odd"]) or repr([one.hide, *given])
    )
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    module = importlib.import_module(NAME)
    yield SimpleNamespace(module=module, warned=warned)
    sys.modules.pop(NAME)


@pytest.mark.parametrize("own", [True, False])
def test_its_command_finds_the_models_and_words_questions_as_told(kit, tmp_path, own):
    """What the adapter is asked comes back as the reply."""
    theirs = [{"type": "image", "value": "a.png"}, {"type": "text", "value": "Question: Red?\n"}]
    line = {"question": "Red?", "A": "yes", "B": "no", "image_path": "a.png", "message": theirs}
    (tmp_path / "line.json").write_text(json.dumps(line))
    kit.module.main(
        ["--pretrained", "x", "--sigma", "0.5", "--max-new-tokens", "5", *(["--own-prompt"] if own else [])]
        + ["--model", "hide", str(tmp_path / "line.json")]
    )
    message, reply, method = json.loads((tmp_path / "line.json").read_text())
    text = multiple_choice("Red?", ["yes", "no"]) if own else "Question: Red?"
    assert message == [theirs[0], {"type": "text", "value": text}] if own else message == theirs
    assert issubclass(sys.modules["vlmeval.vlm"].HiDeModel, BaseModel)  # where a file for --config finds it
    assert reply == repr([(None, 0.5, None), text, ["a.png"], 5]) and method == "hide"


def test_rows_as_pandas_reads_them_and_notes(kit):
    model = kit.module.HiDeModel(own_prompt=True)
    row = pd.DataFrame({"question": ["Red?"], "A": ["yes"], "B": ["no"], "C": [None], "hint": ["Look."]}).iloc[0]
    model.set_dump_image(lambda _: ["a.png", "b.png"])
    *images, text = model.build_prompt(row, "drawn")
    assert [one["value"] for one in images] == ["a.png", "b.png"]
    assert text["value"] == multiple_choice("Look.\nRed?", ["yes", "no"])
    assert model.use_custom_prompt("drawn") and not model.use_custom_prompt("other")
    for _ in range(2):
        model.generate([{"type": "text", "value": "Red?"}])
    assert kit.warned == ["odd (said once)"]


def test_without_the_kit_the_module_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "vlmeval", None)
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    with pytest.raises(ImportError, match=r"pip install 'hide-utils\[vlmeval\]'"):
        importlib.import_module(NAME)
    extras = tomllib.loads((paths.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert any(one.startswith("ms-vlmeval==") for one in extras["optional-dependencies"]["vlmeval"])


def test_a_kit_without_its_command_is_named(kit, tmp_path):
    (tmp_path / "run.py").unlink()
    with pytest.raises(FileNotFoundError, match="no run.py"):
        kit.module.main([])
