# One command does everything: `make demo` and `make test` set the project up by themselves.
#
#   make            set up .venv with everything, then nothing more to do
#   make demo       three states exchange a sealed notice (runtime packages only)
#   make test       the gate: format, lint, types, import contracts, tests; ARGS="-k name"
#   make faults     the fault campaigns in five minutes: ok, lost, duplicated, recovered, unknown
#   make faults-long  the same whole, and every long test: hours      make bench   measurements, ARGS=--json
#   make format     rewrite to the house format     make lint/types one step of the gate
#   make lock       pin the newest packages (needs uv)
#   make clean      remove .venv and caches
#
# On a closed network: WHEELHOUSE=dir installs from a folder of wheels and asks nobody. Fill it elsewhere with
#   python3 -m pip download --require-hashes -r requirements-dev.lock -d dir

.DEFAULT_GOAL := setup
.PHONY: all setup demo test format lint types contracts bench faults faults-long long lock clean

WHEELHOUSE ?=
ARGS ?=
# Two workers fit two cores. In one process, as a debugger needs it: make test WORKERS=0 ARGS="-k name --pdb"
WORKERS ?= 2

BIN := .venv/bin
PACKAGES := exchange keys protocol tests
SOURCE := $(if $(WHEELHOUSE),--no-index --find-links "$(WHEELHOUSE)")
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check --no-input
HELP := could not be installed; without a network, see WHEELHOUSE at the top of Makefile
INSTALL = echo "setup: packages of $<" && { \
  $(PIP) install $(SOURCE) --require-hashes -r $< || { echo "setup: $< $(HELP)" >&2; false; }; }

# Two makes at once take turns; the second then finds the work done. A lock left by a dead make is taken over.
TURN := . .ci/turn;

all: setup

setup: .venv/.dev .venv/.project
	@.ci/softhsm .venv/softhsm
	@.ci/faketime .venv/faketime

.venv/.python:
	@$(TURN) test -e $@ || { python="$$(.ci/python)" && echo "setup: .venv with $$python" && \
	  "$$python" -m venv --clear .venv && touch $@; }

.venv/.runtime: requirements.lock .venv/.python
	@$(TURN) test $@ -nt $< || { $(INSTALL) && touch $@; }

.venv/.dev: requirements-dev.lock .venv/.runtime
	@$(TURN) test $@ -nt $< -a $@ -nt .venv/.runtime || { $(INSTALL) && touch $@; }

# hatchling is pinned in requirements.lock, so this step needs no network.
.venv/.project: pyproject.toml .venv/.runtime
	@$(TURN) test $@ -nt $< -a $@ -nt .venv/.runtime || { echo "setup: almenara itself" && \
	  $(PIP) install --no-index --no-deps --no-build-isolation --editable . && touch $@; }

demo: .venv/.project
	@$(BIN)/almenara demo $(ARGS)

# A file's tests stay together and in order: some share processes, and some continue each other's story.
# Files go out in the order of the folders, so the long ones of acceptance come first and none is left over.
SPREAD := -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# Hundreds of processes are started: they find the compiled code of the first, also where it is not wanted.
TESTING := PYTHONASYNCIODEBUG=1 PYTHONDONTWRITEBYTECODE=

test: setup
	@echo "gate 1/5: format (ruff format --check)"
	@$(BIN)/ruff format --quiet --check --diff .
	@echo "gate 2/5: lint (ruff check)"
	@$(BIN)/ruff check --quiet .
	@echo "gate 3/5: types (mypy --strict)"
	@$(BIN)/mypy --strict --no-error-summary
	@echo "gate 4/5: import contracts (lint-imports)"
	@$(BIN)/lint-imports --no-logo
	@echo "gate 5/5: tests (pytest)"
	@$(TESTING) $(BIN)/python -m pytest -q $(SPREAD) $(ARGS)

format: setup
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

lint: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: setup
	@$(BIN)/mypy --strict

contracts: setup
	@$(BIN)/lint-imports --no-logo

bench: setup
	@$(BIN)/python -m tests.benchmarks $(ARGS)
	@$(BIN)/python -m tests.benchmarks.coordinator_alone $(filter --json,$(ARGS))
	@$(BIN)/python -m tests.benchmarks.coordinator_alone --postgres 18 $(filter --json,$(ARGS))

faults: setup
	@ALMENARA_FAULTS=faults $(BIN)/python -m pytest -q $(SPREAD) -m "not long" tests/faults tests/lying $(ARGS)

faults-long: setup
	@ALMENARA_FAULTS=long PYTHONASYNCIODEBUG=1 $(BIN)/python -m pytest -q -m "fault or long" $(ARGS)

long: faults-long

LOCK := uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

lock:
	@echo hatchling | $(LOCK) pyproject.toml - --output-file requirements.lock
	@$(LOCK) pyproject.toml --extra dev --constraint requirements.lock --output-file requirements-dev.lock

clean:
	@rm -rf .venv .setup-lock .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find $(PACKAGES) -name __pycache__ -type d -prune -exec rm -rf {} +
