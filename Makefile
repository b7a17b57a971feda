# make lab    set everything up and open the lessons in JupyterLab
# make test   set everything up and run all tests
# make check  formatting, lint, types and the direction of imports
# make bench  start-up, latency and memory beside runc, crun, Docker and Podman

PYTHON ?= python3
VENV ?= .venv
BIN ?= $(VENV)/bin
LESSON ?= notebooks/en/01-one-computer.ipynb

# JupyterLab refuses root unless told that it is meant.
JUPYTER_FLAGS ?= $(if $(filter 0,$(shell id -u)),--allow-root)

.DEFAULT_GOAL := help
.PHONY: help lab test check bench clean

help:
	@sed -n 's/^# //p' Makefile

lab: $(VENV)/.lab
	$(BIN)/jupyter lab $(JUPYTER_FLAGS) --LabApp.default_url=/lab/tree/$(LESSON)

test: $(VENV)/.test check
	VENV=$(VENV) scripts/test

bench: $(VENV)/.test
	$(BIN)/pytest -m benchmark -s tests/benchmarks

check:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=extension:runtime $(BIN)/lint-imports

$(VENV)/.lab: pyproject.toml binder/apt.txt scripts/setup scripts/debian-packages
	PYTHON=$(PYTHON) VENV=$(VENV) scripts/setup lab

$(VENV)/.test: $(VENV)/.lab tests/debian-packages.txt
	PYTHON=$(PYTHON) VENV=$(VENV) scripts/setup test

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
