# `make` alone lists the targets. Everything runs in .venv, made from pyproject.toml with nothing but Python.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 4
RUNS ?= 1000
MINUTES ?= 20
BROKERS ?= valkey redis rabbitmq
POOLS ?= prefork threads gevent

# Where the environment forbids it, hundreds of processes would each compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all test-matrix faults lint format types layers check bench bench-check soak clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,test,lint]'
	@touch $@

setup: $(BIN)/.installed  ## make .venv with everything in it

demo: setup  ## boot everything, run two real workflows, show the results, stop everything
	$(BIN)/wfe demo

test: setup  ## run the tests, in parallel and in random order
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m 'not slow' -q

test-all: setup  ## run the tests, the long ones too
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -q

test-matrix: setup  ## run the tests with workers on each of BROKERS="valkey redis rabbitmq" with each of POOLS="prefork threads gevent"
	$(BIN)/python -m tests.support.run_matrix --brokers $(BROKERS) --pools $(POOLS)

faults: setup  ## the long fault suite; RUNS=1000 runs under random kills for at most MINUTES=20, SEED=… for one again
	STORM_RUNS=$(RUNS) STORM_MINUTES=$(MINUTES) $(if $(SEED),STORM_SEED=$(SEED)) $(BIN)/python -m pytest tests/faults -q

lint: setup  ## style, types, layers, and the Dockerfile
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint docker/Dockerfile

check: lint test  ## all that CI checks

format: setup  ## let ruff put the code in order
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup  ## measure against Celery's own canvas; takes some minutes
	$(BIN)/python -m benchmarks

bench-check: setup  ## fail if steps have become slower beside Celery's canvas, or cost more statements, commits or messages
	$(BIN)/python -m benchmarks --only guard --rounds 3

soak: MINUTES = 30
soak: setup  ## a mixed load for MINUTES=30: fail if memory grows or anything is lost
	$(BIN)/python -m benchmarks --only soak --minutes $(MINUTES)

clean:  ## remove what the targets made
	rm -rf $(VENV) .ci-venv .mypy_cache .ruff_cache .import_linter_cache .hypothesis .workflow_engine build dist
