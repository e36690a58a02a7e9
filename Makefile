# `make run` and `make test` are complete on a fresh machine with Python 3.11 or newer: each makes the environment first.
PYTHON ?= python3
VENV ?= .venv
# More flags for pip, for example an index that holds torch builds for this machine: PIP_FLAGS="--extra-index-url ..."
PIP_FLAGS ?=

PY := $(VENV)/bin/python
READY := $(VENV)/.ready

# A python3 kernel of the user's own must not shadow the environment's, nor a preset of the shell the notebooks' values.
export JUPYTER_PREFER_ENV_PATH := 1
unexport HIDE_PRESET

.PHONY: help env run report test test-browser lint bench lab faults train-study
help:
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/'

env: $(READY)  ## make or update the environment in .venv

$(READY): constraints.txt pyproject.toml
	@echo "Making the environment in $(VENV); the first time takes a few minutes ..."
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install -qq --constraint constraints.txt $(PIP_FLAGS) --editable '.[notebooks,test]'
	@touch $@

run: $(READY)  ## run every notebook on the embedded model and rewrite figures/
	$(PY) -m hide_utils.run all --preset mini --inplace

report: $(READY)  ## write HTML, PDF and figures/tables from the results that are there
	$(PY) -m hide_utils.report

# Two workers with one thread each: the tests are many small forward passes, which more threads only slow down.
test: export OMP_NUM_THREADS := 1
test: export HF_HUB_OFFLINE := 1
test: $(READY)  ## ruff, pytest, then every notebook under the small preset
	$(PY) -m ruff check .
	$(PY) -m pytest --numprocesses 2
	HIDE_PRESET=smoke $(PY) -m pytest --numprocesses 2 --dist loadfile \
		--nbval-lax --nbval-current-env -p no:python notebooks/

# Selenium goes into a folder of its own, so that the environment stays as constraints.txt has it.
test-browser: $(READY)  ## the explorer in JupyterLab in headless Chromium (installs Debian's where there is none)
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || \
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium chromium-driver; }
	$(PY) -m pip install -qq --constraint constraints.txt --target $(VENV)/browser --upgrade \
		--requirement tests/browser/requirements.txt
	PYTHONPATH=$(VENV)/browser $(PY) -m pytest tests/browser/explorer_in_jupyterlab.py

faults: export PYTHONPATH := tests
faults: $(READY)  ## do every fault to evaluations, files and pictures, and print what was lost (about ten minutes)
	$(PY) -m faults

bench: export OMP_NUM_THREADS := 1
bench: $(READY)  ## time the benchmarks under tests/benchmarks
	$(PY) -m pytest tests/benchmarks --benchmark-enable --benchmark-only

# One thread: the miniature is too small for two. Finished runs are kept, so that an interrupted study goes on.
train-study: export OMP_NUM_THREADS := 1
train-study: export HF_HUB_OFFLINE := 1
train-study: $(READY)  ## train the miniature further on ordinary and on decoupled pictures (notebook 10; twenty minutes)
	$(PY) -m hide_utils.mini.study

lab: $(READY)  ## open the notebooks in JupyterLab
	$(PY) -m jupyterlab notebooks
