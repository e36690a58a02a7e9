# `make run` and `make test` are complete on a fresh machine with Python 3.11 or newer: each makes the environment first.
PYTHON ?= python3
VENV ?= .venv
# Notebooks that `make run` executes at a time; on a GPU that holds one model only: JOBS=1
JOBS ?= 2
# Flags for JupyterLab, as in: make lab ARGS="--no-browser --port 9000"
ARGS ?=
# More flags for pip, for example an index that holds torch builds for this machine: PIP_FLAGS="--extra-index-url ..."
PIP_FLAGS ?=

PY := $(VENV)/bin/python
READY := $(VENV)/.ready

# A python3 kernel of the user's own must not shadow the environment's, nor a preset of the shell the notebooks' values.
export JUPYTER_PREFER_ENV_PATH := 1
unexport HIDE_PRESET
# Clusters export a backend of matplotlib without which notebooks would have no pictures.
unexport MPLBACKEND

# The oldest transformers that is supported; the newest is the one that constraints.txt pins.
OLDEST := 5.17.0
OLD := .venv-$(OLDEST)

.PHONY: help env run answers report test test-matrix test-browser animation coverage audit bench gpu-check lab faults
.PHONY: lmms-check vlmeval-check
help:
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/'

env: $(READY)  ## make or update the environment in .venv

$(READY): constraints.txt pyproject.toml
	@echo "Making the environment in $(VENV); the first time takes a few minutes ..."
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install -qq --constraint constraints.txt $(PIP_FLAGS) --editable '.[notebooks,test]'
	@touch $@

run: $(READY)  ## run every notebook on the embedded model and rewrite figures/
	$(PY) -m hide_utils run all --preset mini --inplace --jobs $(JOBS)

answers: $(READY)  ## make the answers in data/answers anew (goes on where it was interrupted)
	$(PY) -m hide_utils answers --jobs $(JOBS)

report: $(READY)  ## write HTML, PDF and figures/tables from the results that are there
	$(PY) -m hide_utils report

# Two workers with one thread each: the tests are many small forward passes, which more threads only slow down.
test: export OMP_NUM_THREADS := 1
test: export HF_HUB_OFFLINE := 1
test: export HIDE_SHAPES := 0
test: $(READY)  ## ruff, mypy, pytest, then every notebook under the small preset
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy hide_utils
	$(PY) -m pytest --numprocesses 2 --dist worksteal
	HIDE_PRESET=smoke $(PY) -m pytest --numprocesses 2 --dist loadfile \
		--nbval-lax --nbval-current-env -p no:python notebooks/

# What stands under the pinned transformers in constraints.txt stays; pip finds what the older one itself needs.
$(OLD)/.ready: constraints.txt pyproject.toml
	@echo "Making an environment with transformers $(OLDEST) in $(OLD) ..."
	@$(OLD)/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(OLD)
	@grep -vE '^(transformers|tokenizers|huggingface_hub)==' constraints.txt > $(OLD)/constraints.txt
	@$(OLD)/bin/python -m pip install -qq --constraint $(OLD)/constraints.txt $(PIP_FLAGS) \
		'transformers==$(OLDEST)' --editable '.[notebooks,test]'
	@touch $@

test-matrix: export OMP_NUM_THREADS := 1
test-matrix: export HF_HUB_OFFLINE := 1
test-matrix: $(READY) $(OLD)/.ready  ## pytest on the oldest and the newest supported transformers, an environment each
	$(OLD)/bin/python -m pytest --numprocesses 2 -m 'not quarantine' --ignore tests/test_frame.py  # for the pinned versions
	$(PY) -m pytest --numprocesses 2 --dist worksteal -m 'not quarantine'

coverage: export OMP_NUM_THREADS := 1
coverage: export HF_HUB_OFFLINE := 1
coverage: $(READY)  ## pytest with the share of hide_utils' lines that it runs; fails below 90 per cent
	$(PY) -m pytest --numprocesses 2 --cov --cov-report=term-missing:skip-covered --cov-fail-under=90

# In an environment of its own: what it looks up is constraints.txt, not what it needs itself. --strict: a package that
# cannot be looked up fails the run instead of counting as harmless. The record is written only by a run that could.
AUDIT := .venv-audit
audit:  ## look up every pinned version for known vulnerabilities and record the answer in data/audit.json
	@$(AUDIT)/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(AUDIT)
	@$(AUDIT)/bin/python -m pip install -qq pip-audit==2.10.1
	$(AUDIT)/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off \
		--requirement constraints.txt --format json --output data/audit.json

# Selenium goes into a folder of its own, so that the environment stays as constraints.txt has it.
test-browser: $(READY)  ## the gallery, and the explorer in JupyterLab, in headless Chromium (installs Debian's where there is none)
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || \
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium chromium-driver; }
	$(PY) -m pip install -qq --constraint constraints.txt --target $(VENV)/browser --upgrade \
		--requirement tests/browser/requirements.txt
	PYTHONPATH=$(VENV)/browser $(PY) -m pytest tests/browser/gallery_in_chromium.py \
		tests/browser/explorer_in_jupyterlab.py tests/browser/explorer_in_use.py

animation: $(READY)  ## the README's animation of the explorer, made in headless Chromium (after `make test-browser`)
	PYTHONPATH=.:tests:tests/browser:$(VENV)/browser $(PY) tests/browser/animation.py

faults: export PYTHONPATH := tests
faults: $(READY)  ## do every fault to evaluations, files and pictures, and print what was lost, doubled or wrong (about ten minutes)
	$(PY) -m faults

# An environment for each toolkit, since they want other versions than constraints.txt has: what it pins besides stays.
.venv-lmms/.ready .venv-vlmeval/.ready: .venv-%/.ready: constraints.txt pyproject.toml
	@echo "Making an environment with '.[$*]' in .venv-$*; the first time takes several minutes ..."
	@.venv-$*/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv .venv-$*
	@grep -vE '^(filelock|protobuf)==' constraints.txt > .venv-$*/constraints.txt
	@.venv-$*/bin/python -m pip install -qq --constraint .venv-$*/constraints.txt $(PIP_FLAGS) --editable '.[$*]'
	@touch $@

lmms-check vlmeval-check: export OMP_NUM_THREADS := 1
# torchvision fits no CPU build of torch. HiDe and lmms-eval do without it, transformers does not do with a broken one.
lmms-check: .venv-lmms/.ready  ## twelve scenes through lmms-eval's own command and V* task, in an environment of its own
	@.venv-lmms/bin/python -c 'import torchvision' 2>/dev/null || .venv-lmms/bin/python -m pip uninstall -qq -y torchvision
	.venv-lmms/bin/python tests/toolkits.py lmms

vlmeval-check: .venv-vlmeval/.ready  ## the same scenes through VLMEvalKit's own command
	.venv-vlmeval/bin/python tests/toolkits.py vlmeval

bench: export OMP_NUM_THREADS := 1
bench: $(READY)  ## time the benchmarks under tests/speed, then HiDe against plain answering
	$(PY) -m pytest tests/speed --benchmark-enable --benchmark-only
	$(PY) -m hide_utils.analyses.cost

gpu-check: $(READY)  ## time full-size models with random weights on a GPU, before and after each lever (a small one on a CPU)
	$(PY) -m hide_utils gpu-check

lab: $(READY)  ## open the notebooks in JupyterLab; ARGS="--no-browser --port 9000" hands flags on
	$(PY) -m jupyterlab notebooks $(ARGS)
