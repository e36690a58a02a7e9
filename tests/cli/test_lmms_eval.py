"""HiDe in lmms-eval, against a stand-in of its interface; `make lmms-check` runs lmms-eval itself."""

import importlib
import sys
import tomllib
from importlib import util
from types import ModuleType, SimpleNamespace

import pytest
from model_helpers import picture

from hide_utils import paths
from hide_utils.cli import adapter

NAME = "hide_utils.cli.lmms_eval"
PROJECT = tomllib.loads((paths.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


class Base:
    """As lmms-eval has it: of one process, with the documents of a task by its name and split."""

    rank = 0

    def __init__(self):
        self.task_dict = {"t": {"test": [{}]}}


@pytest.fixture
def hide(monkeypatch):
    """The adapter over stand-ins of lmms-eval and of the model, which replies with what the test puts there."""
    stubs = {
        "lmms_eval": {},
        "lmms_eval.api": {},
        "lmms_eval.api.model": {"lmms": Base},
        "lmms_eval.models": {},
        "lmms_eval.models.registry_v2": {"ModelManifest": SimpleNamespace},
        "loguru": {"logger": SimpleNamespace(warning=lambda text: said.append(text))},
    }
    said, asked = [], []
    for name, holds in stubs.items():
        module = ModuleType(name)
        vars(module).update(holds)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    monkeypatch.setattr(adapter, "load_model", lambda *_, **__: None)
    monkeypatch.setattr(adapter, "HiDe", lambda *_: SimpleNamespace(model=SimpleNamespace(device="cpu")))
    module = importlib.import_module(NAME)
    model = module.HiDeModel(batch_size=4, pretrained="x", method="hide")
    model.prompted.answer = lambda *given: asked.append(given) or "A\n\nbecause. Stop here"
    yield SimpleNamespace(module=module, model=model, said=said, asked=asked)
    sys.modules.pop(NAME)


def replies(hide, visuals=(), **settings):
    arguments = ("<image>\nWhat?", settings, lambda document: list(visuals), 0, "t", "test")
    return hide.model.generate_until([SimpleNamespace(args=arguments)])


def test_settings_of_a_request_are_heeded_and_what_is_not_is_said(hide):
    shown = [picture(8, 8), picture(9, 9)]
    assert replies(hide, shown, until=["\n\n", " Stop"], max_new_tokens=7) == ["A\n\nbecause."]
    assert hide.asked == [("What?", shown, 7)] and not hide.said
    assert replies(hide, until=" here") == ["A\n\nbecause. Stop"] and not hide.said
    replies(hide, do_sample=True, temperature=0.7)
    assert hide.said == ["hide: 1 of 1 requests: the task asks for sampling; decoded greedily"]
    with pytest.raises(ValueError, match="task t, document 0: HiDe reads pictures"):
        replies(hide, ["film.mp4"])


def test_what_it_cannot_do_says_what_to_do_instead(hide):
    for refused in (hide.model.loglikelihood, hide.model.generate_until_multi_round):
        with pytest.raises(NotImplementedError, match="output_type generate_until"):
            refused([])


def test_the_registry_is_told_where_the_class_is(hide):
    told = hide.module.manifest()
    module, _, name = told.simple_class_path.rpartition(".")
    assert told.model_id == "hide" and getattr(importlib.import_module(module), name) is hide.module.HiDeModel
    assert PROJECT["entry-points"]["lmms_eval.models"] == {"hide": f"{NAME}:manifest"} and util.find_spec(NAME)


def test_without_lmms_eval_the_module_says_what_to_install(monkeypatch):
    for name in ("lmms_eval", "lmms_eval.api.model"):
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not there
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    with pytest.raises(ImportError, match=r"pip install 'hide-utils\[lmms\]'"):
        importlib.import_module(NAME)


def test_the_extra_pins_what_lmms_eval_needs_of_others():
    """Its release reaches into filelock 3, and torchvision's release belongs to the torch that is pinned."""
    extra = PROJECT["optional-dependencies"]["lmms"]
    assert {"filelock<4", "lmms-eval==0.7.3"} <= set(extra)
    pinned = (paths.ROOT / "constraints.txt").read_text(encoding="utf-8")
    minor = int(next(line for line in extra if line.startswith("torchvision==")).split("==")[1].split(".")[1])
    assert f"\ntorch==2.{minor - 15}." in pinned  # 0.28 is built for 2.13, and so on
