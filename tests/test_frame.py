"""The files that make the environment agree with one another and with what is installed."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from hide_utils.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
APART = {"ray"}  # extras for users alone: the environment holds what they name through the extra "test"
ELSEWHERE = {"lmms", "vlmeval"}  # extras for users alone, with an environment of their own: see the Makefile
EXTRAS = {name: wanted for name, wanted in PROJECT["optional-dependencies"].items() if name not in APART | ELSEWHERE}
DIRECT = [Requirement(text) for text in [*PROJECT["dependencies"], *(r for extra in EXTRAS.values() for r in extra)]]
MAKEFILE = (ROOT / "Makefile").read_text()


def pinned(lines, sign):
    pairs = (line.split(sign) for line in lines if sign in line)
    return {canonicalize_name(name): version for name, version in pairs}


CONSTRAINTS = pinned(
    [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")], "=="
)
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())
CONDA = pinned([entry for entry in ENVIRONMENT["dependencies"] if isinstance(entry, str)], "=")
PIP = next(entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict))


@pytest.mark.parametrize("requirement", DIRECT, ids=lambda requirement: requirement.name)
def test_direct_dependency_has_one_version_everywhere(requirement):
    name = canonicalize_name(requirement.name)
    version = CONSTRAINTS.get(name)
    assert version, f"{name} is not pinned in constraints.txt"
    assert version in requirement.specifier
    assert (CONDA | pinned(PIP, "==")).get(name) == version, f"{name} in environment.yml is not {version}"
    assert metadata.version(name).partition("+")[0] == version, "the environment is out of date: make env"


@pytest.mark.parametrize("extra", sorted(APART))
def test_an_extra_for_users_is_tested_at_the_version_it_asks_for(extra):
    assert set(PROJECT["optional-dependencies"][extra]) <= set(EXTRAS["test"])


@pytest.mark.parametrize("extra", sorted(ELSEWHERE))
def test_an_extra_of_which_the_environment_holds_nothing_is_pinned_nowhere(extra):
    """But for what the project needs itself, which such an extra may want older."""
    names = {canonicalize_name(Requirement(text).name) for text in PROJECT["optional-dependencies"][extra]}
    names -= {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    assert names and not names & {*CONSTRAINTS, *CONDA, *pinned(PIP, "==")}


def test_what_the_package_imports_the_project_declares():
    """A package that comes with another may leave with its next version. flash-attn is built apart: environment.yml."""
    imported: set[str] = set()
    for path in (ROOT / "hide_utils").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition(".")[0])
    imported -= sys.stdlib_module_names | {"hide_utils", "flash_attn"}
    known = metadata.packages_distributions() | {"vlmeval": ["ms-vlmeval"]}
    extras = PROJECT["optional-dependencies"]
    declared = [*PROJECT["dependencies"], *(text for name in extras if name != "test" for text in extras[name])]
    names = {canonicalize_name(Requirement(text).name) for text in declared}
    assert len(imported) > 20
    assert [name for name in sorted(imported) if not names & set(map(canonicalize_name, known.get(name, [name])))] == []


def test_constraints_pin_public_versions_only():
    # A local version such as 2.13.0+cpu exists on some machines alone; 2.13.0 takes it where it is to be had.
    assert not [name for name, version in CONSTRAINTS.items() if "+" in version]
    assert "hide-utils" not in CONSTRAINTS


def test_environment_yml_ends_in_the_project_itself():
    assert "python" in CONDA
    assert CONDA.pop("python") in SpecifierSet(PROJECT["requires-python"])
    assert list(ENVIRONMENT["dependencies"][-1]) == ["pip"], "pip's block comes once, after conda's"
    assert PIP[-1] == f"--editable .[{','.join(EXTRAS)}]"
    assert not set(CONDA) & set(pinned(PIP, "==")), "a package from conda and from pip"


def test_makefile_installs_what_the_project_declares():
    installs = [line for line in MAKEFILE.splitlines() if "--constraint constraints.txt" in line]
    (install,) = (line for line in installs if "--target" not in line)
    assert f"--editable '.[{','.join(EXTRAS)}]'" in install
    of_toolkits = MAKEFILE.count("--editable '.[$*]'")
    assert MAKEFILE.count("--editable '.[") - of_toolkits == MAKEFILE.count(f"--editable '.[{','.join(EXTRAS)}]'") == 2
    assert of_toolkits == 1 and all(f".venv-{name}/.ready" in MAKEFILE for name in ELSEWHERE)
    assert re.search(r"^\$\(READY\): constraints\.txt pyproject\.toml$", MAKEFILE, re.M)


@pytest.mark.parametrize("target", ["run", "test"])
def test_make_target_makes_the_environment_first(target):
    assert re.search(rf"^{target}: \$\(READY\)", MAKEFILE, re.M)


def test_the_oldest_transformers_that_is_allowed_is_the_oldest_that_is_tested():
    (oldest,) = re.findall(r"^OLDEST := (.+)$", MAKEFILE, re.M)
    (allowed,) = (requirement for requirement in DIRECT if requirement.name == "transformers")
    (bound,) = allowed.specifier
    assert bound.operator == ">=" and Version(bound.version) == Version(oldest)


def test_ci_runs_make_test():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    commands = [line for line in script.read_text().splitlines() if line and not line.startswith("#")]
    assert commands[0] == "set -euo pipefail"
    assert commands[-1] == "exec make test"


def test_make_lab_hands_flags_on():
    command = ["make", "--dry-run", "--no-print-directory", "lab", "ARGS=--no-browser --port 9000"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1].endswith("-m jupyterlab notebooks --no-browser --port 9000")
