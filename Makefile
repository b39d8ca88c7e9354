# Needs git, make, and Python 3.11 to 3.13 with venv; everything else is installed into .venv and .cache.
# make help lists the targets.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
CACHE := .cache
INSTALLED := $(VENV)/.installed
EXTRAS := $(CACHE)/.extras
DISTRIBUTED := $(CACHE)/distributed
# The tests do not depend on the user's own airflow.cfg.
PYTEST := AIRFLOW_HOME=$(CURDIR)/$(CACHE)/airflow-home $(BIN)/pytest
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Container images set it; each `airflow` command would then compile Airflow anew, which takes 5 s.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test lint pytest unit graph distributed bench extras lock clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 13

demo: $(INSTALLED) ## Airflow, Postgres, an inbox and six jobs; ONCE=1 checks every alert and exits
	@$(BIN)/python -m demo

test: $(EXTRAS) ## lint, types, boundaries and all tests, side by side
	@$(MAKE) --no-print-directory --jobs=2 lint pytest

# Three workers for two cores: a third of the time a test waits for a process that it started.
pytest: $(EXTRAS)
	@$(PYTEST) -n 3 $(ARGS)

lint: $(INSTALLED) ## ruff, mypy and the boundaries between modules
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

unit: $(INSTALLED) ## the tests that need neither Postgres nor Airflow
	@$(PYTEST) tests/unit $(ARGS)

graph: $(INSTALLED) ## which part of the package imports which, as a Mermaid diagram
	@$(BIN)/python -m tools.import_graph

distributed: $(EXTRAS) $(DISTRIBUTED)/.installed ## Airflow with Celery, Redis and two triggerers from packages; needs redis-server, some minutes
	@command -v redis-server >/dev/null || { echo "no redis-server on PATH; install it (Debian: apt-get install redis-server)" >&2; exit 1; }
	@$(PYTEST) -s -m distributed tests/distributed $(ARGS)

bench: $(INSTALLED) ## measured figures against a peer, all or FIGURE=latency-listen; minutes to an hour
	@$(BIN)/python -m bench $(FIGURE)

extras: ## what tests need beyond PyPI: pgbouncer, chromium, prometheus, systemd, pg_cron, linters, packages of npm
	@rm -f $(EXTRAS)
	@$(MAKE) --no-print-directory $(EXTRAS)

lock: $(INSTALLED) ## pin the newest versions that pyproject.toml allows in requirements-dev.txt
	@$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --upgrade --quiet \
	  --no-annotate --no-emit-index-url --custom-compile-command "make lock" -o requirements-dev.txt

clean: ## remove everything that make made
	@rm -rf $(VENV) $(CACHE) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist

$(INSTALLED): requirements-dev.txt pyproject.toml tools/make-venv
	@tools/make-venv $(VENV)
	@touch $@

$(DISTRIBUTED)/.installed: $(INSTALLED) tests/distributed/requirements.txt
	@echo "Installing Airflow with Celery into $(DISTRIBUTED)" >&2
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(DISTRIBUTED)/venv
	@$(BIN)/uv pip install --quiet --python $(DISTRIBUTED)/venv/bin/python -r tests/distributed/requirements.txt
	@$(BIN)/uv pip install --quiet --python $(DISTRIBUTED)/venv/bin/python --no-deps -e .
	@touch $@

$(EXTRAS): $(INSTALLED) tools/install-extras
	@mkdir -p $(CACHE)
	@tools/install-extras $(VENV) $(CACHE)
	@touch $@
