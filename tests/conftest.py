"""Tests run without a display, a network or the shell's preset, and check shapes and types unless HIDE_SHAPES is 0."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # read when the hub's client is first imported
os.environ.pop("HIDE_HOME", None)  # read when hide_utils.paths is

import matplotlib  # noqa: E402
import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402
from jaxtyping import install_import_hook  # noqa: E402

if os.environ.get("HIDE_SHAPES") != "0":  # as `make test` has it: checking every call takes a fifth of the time
    install_import_hook("hide_utils", "typecheck.check")
matplotlib.use("Agg")

# The same examples at every run, so that a failure comes from the change and not from the draw.
settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")


@pytest.fixture(autouse=True)
def no_preset(monkeypatch):
    for name in ("PRESET", "FIGURES", "STAGING", "RESULTS", "COMMAND", "ROWS", "SWEEP"):
        monkeypatch.delenv(f"HIDE_{name}", raising=False)
