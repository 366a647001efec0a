# Modelyard. On a fresh machine with Python >= 3.11 and make: `make demo` or `make test`. Every target is idempotent.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MEMBERS := libs/common libs/yard libs/embedded services/gateway services/dataset-svc services/algo-svc \
           services/train-svc services/notebook-svc services/serving-svc
STAMP := $(VENV)/.installed
BEGUN := $(VENV)/.installing
# Much of a test is waiting for a server: one process more than there are cores, but each has servers of its own.
WORKERS ?= $(shell cores=$$(nproc 2>/dev/null || echo 2); echo $$((cores < 5 ? cores + 1 : 6)))
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
           --no-emit-index-url --no-emit-find-links
export YARD_ENGINE_CACHE ?= $(CURDIR)/.cache/engines

.PHONY: help setup demo up down status check asyncapi test faults compose-test bench lock format clean

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## install everything into .venv

$(STAMP): requirements.lock $(MEMBERS:%=%/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Modelyard needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V). Set PYTHON=/path/to/python."; exit 1; }
	@test ! -e $(BEGUN) || { echo "The last installation was cut off: making $(VENV) anew ..."; rm -rf $(VENV); }
	@mkdir -p $(VENV) && touch $(BEGUN)
	@test -x $(BIN)/python || { echo "Making $(VENV) ..."; $(PYTHON) -m venv $(VENV); }
	@echo "Installing what requirements.lock names (a minute or two the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(MEMBERS:%=-e %)
	@rm $(BEGUN) && touch $@

demo: setup ## the main job on real data, from an image folder to predictions
	@$(BIN)/python -m embedded demo

up: setup ## start the platform on this machine and keep it running
	@$(BIN)/python -m embedded up

down: ## stop it; running jobs and services go on, the state stays
	@test ! -x $(BIN)/python || $(BIN)/python -m embedded down

status: ## say whether it runs, and where
	@test ! -x $(BIN)/python || $(BIN)/python -m embedded status || test $$? = 3

check: setup ## style, types, walls, and whether the events' document is what the contracts say
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports
	@$(BIN)/python -m common.contracts.asyncapi --check

asyncapi: setup ## write docs/events/asyncapi.yaml anew, unless that would break a reader
	@$(BIN)/python -m common.contracts.asyncapi

test: setup ## every test, in WORKERS processes
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

faults: setup ## the long fault runs
	@$(BIN)/python -m pytest -m faults --timeout 3600

compose-test: setup ## the journey on docker-compose.yml, with images built here; as root, some ten minutes on two cores
	@$(BIN)/python -m pytest -m compose tests/compose tests/journeys --timeout 1200

bench: setup ## measured speed against named limits; NAME=serve for one, JSON=1 for the lines alone
	@$(BIN)/python -m bench $(if $(NAME),--name $(NAME)) $(if $(JSON),--json)

lock: setup ## resolve requirements.in again, and of it what services need where they run
	@$(COMPILE) requirements.in -o requirements.lock
	@$(COMPILE) --constraints requirements.lock requirements-runtime.in -o requirements-runtime.lock

format: setup ## put the code in order
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

clean: down ## remove everything that was made here, the state too
	rm -rf $(VENV) .yard .cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
