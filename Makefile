# make run: a broker on 127.0.0.1:9092.   make test: everything that must hold.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
ARGS ?=

help:
	@echo "make setup       build .venv"
	@echo "make run         a broker on localhost:9092 (ARGS=... for pykbroker serve)"
	@echo "make test        formatter, linter, types, import contracts, all tests"
	@echo "make check       the same without the tests"
	@echo "make unit        the tests alone (ARGS=... for pytest)"
	@echo "make test-long   the long forms of fuzzing and of the property tests"
	@echo "make bench-start start-up time and memory at rest"
	@echo "make lock        renew the locked dependencies (needs uv)"

.PHONY: help setup run bench-start test check lint types imports unit test-long lock clean

setup: $(STAMP)

$(STAMP): requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m compileall -q pykbroker wire
	touch $(STAMP)

run: setup
	$(BIN)/pykbroker serve $(ARGS)

bench-start: setup
	$(BIN)/python -m compileall -q pykbroker wire
	$(BIN)/python tests/bench/start_up.py $(ARGS)

test: check unit

check: lint types imports

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

unit: setup
	$(BIN)/python -m pytest $(ARGS)

test-long: setup
	HYPOTHESIS_PROFILE=long FUZZ_FRAMES=2000000 $(BIN)/python -m pytest --timeout=7200 $(ARGS)

# Needs uv. Versions and hashes only: no index or download address is written.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --group dev pyproject.toml -o requirements/dev.txt

clean:
	rm -rf $(VENV) build dist
